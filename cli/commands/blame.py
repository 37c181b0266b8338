"""`orc blame`: prints which step, prompt, model and reply produced a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from orc.cli.errors import UsageProblem
from orc.cli.ledger_access import read_ledger_and_tables
from orc.cli.options import Database, Full, Json
from orc.cli.parameters import Argument, Option
from orc.cli.terminal.excerpts import excerpt
from orc.cli.terminal.job_folder import displayed_folder
from orc.cli.terminal.text import put, put_json, safe, say
from orc.cli.terminal.times import when
from orc.ledger.command_lines import quoted_command
from orc.ledger.step_names import log_name
from orc.ledger.wording import (
    cost_text,
    count_text,
    duration_text,
    number_text,
    size_text,
    usd_text,
)
from orc.projections.tables.rows import CallRow, FileRow

if TYPE_CHECKING:
    from orc.ledger import LedgerReader
    from orc.projections.history.exchange import Exchange
    from orc.projections.history.find_files import FoundFiles
    from orc.projections.history.lineage import Lineage, Reuse

_NAMED_MAX = 5
_LISTED = 8
_HOW = {
    ("reply", "text"): "the text of a model's reply",
    ("reply", "content"): "content that the spec builds from a model's reply",
    ("reply", None): "built from a model's reply",
    ("vectors", "text"): "the vectors that a model computed",
    ("command", "text"): "the output of a command",
    ("command", "glob"): "captured from the working folder of a command",
    ("function", "text"): "the return value of a Python function",
    ("function", "glob"): "captured from the working folder of a Python function",
    ("value", "text"): "a value of the spec",
}


def command(
    file: Annotated[
        str,
        Argument(
            help="A file's path in a job, a copy of it on disk, or the start of its SHA-256.",
            metavar="FILE",
        ),
    ],
    job: Annotated[
        str | None,
        Option(
            help="Only files of this job. Default: the latest job that has the file.",
            metavar="JOB",
            complete="complete_jobs",
        ),
    ] = None,
    is_full: Full = False,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Show which step, prompt, model and reply produced a file."""
    with read_ledger_and_tables(database) as ledger:
        return _put_blame(ledger, file, job=job, is_full=is_full, as_json=as_json)


def _put_blame(
    ledger: LedgerReader, name: str, *, job: str | None, is_full: bool, as_json: bool
) -> int:
    """Print how the file that `name` stands for was made. Raises UsageProblem, NoSuchJob."""
    from orc.cli.terminal.contents.blame_value import blame_value
    from orc.projections.history.find_files import find_files
    from orc.projections.history.lineage import read_lineage

    job_id = None if job is None else ledger.find_job(job)
    found = find_files(ledger, name, job_id=job_id)
    file = _choose(found, name, job_id)
    lineage = read_lineage(ledger, file)
    if as_json:
        asked = {"name": name, "found_by": found.by, "sha256": found.sha256}
        put_json({"asked": asked, **blame_value(ledger, lineage)})
        return 0
    if found.by == "changed":
        put(
            f"{safe(name)} was changed after orc wrote it: its SHA-256 is now {found.sha256}, "
            "which is not in this ledger. This is the file that orc wrote:"
        )
    elif found.is_other_copy and found.by == "path":
        say(
            f"the file {safe(name)} in this folder has other bytes, which are not in this ledger; "
            f"this is {safe(file.path)} of {file.job_id}"
        )
    for line in _blame_lines(ledger, lineage, is_full=is_full):
        put(line)
    return 0


def _choose(found: FoundFiles, name: str, job_id: str | None) -> FileRow:
    if not found.files:
        raise UsageProblem(_unknown(found, name, job_id))
    first = found.files[0]
    if found.by == "digest":
        others = {file.sha256 for file in found.files} - {first.sha256}
        if others:
            listed = ", ".join(sorted(safe(d[:16]) for d in (first.sha256, *others))[:_NAMED_MAX])
            raise UsageProblem(f"several digests start with {name!r}: {listed}; give more digits")
    if found.by == "path" and len(found.files) > 1:
        paths = [file.path for file in found.files]
        more = ", ..." if len(paths) > _NAMED_MAX else ""
        raise UsageProblem(
            f"{name!r} matches several files of {first.job_id}: "
            f"{', '.join(paths[:_NAMED_MAX])}{more}; give more of the path"
        )
    return first


def _unknown(found: FoundFiles, name: str, job_id: str | None) -> str:
    from orc.projections.history.find_files import COPY_BYTES_MAX

    where = "this ledger" if job_id is None else job_id
    if found.too_large:
        return (
            f"{name} is larger than {size_text(COPY_BYTES_MAX)}, so orc does not compute its "
            "digest; give its path in the job, or its SHA-256"
        )
    if found.is_other_copy:
        return (
            f"{where} has no file with the bytes of {name}, and no file with its path; "
            f"{quoted_command('show', job_id or 'latest', '--files')} lists the files of a job"
        )
    return (
        f"{name!r} is not a path or SHA-256 of a file in {where}, and not a file on disk; "
        f"{quoted_command('show', job_id or 'latest', '--files')} lists the files of a job"
    )


def _blame_lines(reader: LedgerReader, found: Lineage, *, is_full: bool) -> Iterator[str]:
    """How the file was made, as lines that are safe for a terminal; unless `is_full`, texts are cut."""
    yield _headline(found)
    file = found.file
    digest = _digest(file.sha256, is_full=is_full)
    mode = f", mode {safe(file.mode)}" if file.mode else ""
    yield _line("file", f"{size_text(file.size_bytes)}, {safe(file.media_type)}{mode}{digest}")
    if found.lost is not None:
        yield _line("gone", safe(found.lost))
    if not found.is_current:
        yield _line(
            "now",
            f"no longer a file of {file.job_id}: it was overwritten, or its step was reset",
        )
    for hop in found.reused:
        yield _line("reused", _reuse_text(hop))
    yield _line("how", _how_text(found))
    if found.reply is not None:
        yield from _call_lines(reader, found, found.reply, is_full=is_full)
    if found.making in ("command", "function"):
        yield from _command_lines(reader, found, is_full=is_full)
    if found.making != "reused":
        yield _line("spec", _spec_text(found, is_full=is_full))
    for source in found.sources:
        yield _line("input", safe(source.text()))
    yield from _upstream_lines(found, is_full=is_full)
    yield from _earlier_lines(found, is_full=is_full)
    yield from _same_lines(found, is_full=is_full)


def _how_text(found: Lineage) -> str:
    """Where the bytes of the file came from, in a few words."""
    if found.making == "reused":
        return "the job that made it is not in this ledger"
    if found.tool is not None:
        call = found.tool.call_id.rpartition("/")[2]
        return f"written by the tool {found.tool.tool}, which the model called in call {call}"
    if found.origin == "content" and found.making != "reply":
        return "the content that the spec gives"
    return _HOW.get((found.making, found.origin), f"written by a step of kind {found.step.kind}")


def _headline(found: Lineage) -> str:
    path = safe(found.file.path)
    if found.making == "reused":
        hop = found.reused[-1]
        return f"{path} was made by step {safe(hop.from_step)} of {hop.from_job}"
    attempt = "" if found.attempt is None else f", attempt {found.attempt.attempt},"
    event = "" if found.version is None else f", event {found.version}"
    at = found.file.written_at if not found.reused or found.attempt is None else None
    at = at or (found.attempt and found.attempt.finished_at) or found.file.written_at
    return (
        f"{path} was written by step {safe(found.step.name)}{attempt} of {found.job.job_id} "
        f"({safe(found.job.name)}), {when(at)}{event}"
    )


def _reuse_text(hop: Reuse) -> str:
    how = {
        "fork": "it was forked from",
        "cache": "the result cache had it from",
        "amend": "the amendment did not change the item, which had it from",
    }[hop.reason]
    return (
        f"{hop.job_id} reused the result: {how} {hop.from_job}, step {safe(hop.from_step)} "
        f"(event {hop.version})"
    )


def _call_lines(
    reader: LedgerReader, found: Lineage, call: CallRow, *, is_full: bool
) -> Iterator[str]:
    from orc.projections.history.exchange import read_exchange

    exchange = read_exchange(reader, call)
    yield _line(
        "asked", f"{safe(call.provider)}/{safe(call.model)}{_params(exchange)}{_place(found)}"
    )
    yield from _asked_lines(exchange, is_full=is_full)
    yield _line("answered", _answer_text(call))
    if exchange.reply is not None:
        if exchange.reply.text:
            yield from excerpt(exchange.reply.text, is_full=is_full)
        for name, arguments in exchange.reply.tool_calls:
            yield from excerpt(f"{name} {arguments}", is_full=is_full)
    if exchange.lost:
        yield _line("gone", safe(exchange.lost))


def _asked_lines(exchange: Exchange, *, is_full: bool) -> Iterator[str]:
    if exchange.system:
        yield from excerpt(f"system: {exchange.system}", is_full=is_full, lines=3)
    turns = exchange.turns
    if not is_full and len(turns) > 2:
        # The first message and the last one.
        yield from excerpt(turns[0].text, is_full=False)
        yield f"    | ({count_text(len(turns) - 2, 'more message')}: --full)"
        turns = turns[-1:]
    for turn in turns:
        mark = f"{turn.role}: " if len(exchange.turns) > 1 else ""
        tool_calls = "".join(f"\n{name} {arguments}" for name, arguments in turn.tool_calls)
        yield from excerpt(f"{mark}{turn.text}{tool_calls}", is_full=is_full)


def _params(exchange: Exchange) -> str:
    given = {name: value for name, value in (exchange.params or {}).items() if value is not None}
    return "".join(f", {safe(name)} {safe(value, width=60)}" for name, value in given.items())


def _place(found: Lineage) -> str:
    if found.reply is None or len(found.calls) < 2:
        return ""
    return f", call {found.reply.call} (the attempt made {len(found.calls)})"


def _answer_text(call: CallRow) -> str:
    if call.status == "from ledger":
        whose = f"{call.paid_by_job}, step {call.paid_by_step}" if call.paid_by_job else "this job"
        saved = "" if call.saved_nano_usd is None else f", {usd_text(call.saved_nano_usd)} saved"
        return f"from the reply cache: {safe(whose)} had sent the same request{saved}"
    cost = f"cost {cost_text(call.cost_nano_usd)}, " if call.has_cost else ""
    tokens = (
        f"{count_text(call.input_tokens or 0, 'token')} in, "
        f"{number_text(call.output_tokens or 0)} out"
    )
    after = f"after {duration_text(call.duration_s)}" if call.duration_s is not None else ""
    how = "" if call.status == "answered" else f"{call.status} "
    return f"{how}{after}, {tokens}, {cost}{safe(call.finish_reason)}"


def _command_lines(reader: LedgerReader, found: Lineage, *, is_full: bool) -> Iterator[str]:
    run = None if found.definition is None else found.definition.run
    from orc.cli.terminal.contents.blame_value import exit_code_of

    code = exit_code_of(found)
    ended = "" if code is None else f"exit code {code}"
    if run is not None:
        yield _line("command", ended)
        text = run if isinstance(run, str) else " ".join(map(repr, run))
        yield from excerpt(text, is_full=is_full)
    elif found.definition is not None and found.definition.function:
        yield _line("function", safe(found.definition.function))
    if found.attempt is not None and (found.attempt.log or found.attempt.log_sha256):
        folder = displayed_folder(
            reader.connection, reader.path, found.job.job_id, found.job.runs_dir or "runs"
        )
        name = log_name(found.step.name, found.attempt.attempt)
        yield _line("log", safe(folder / "logs" / name))


def _spec_text(found: Lineage, *, is_full: bool) -> str:
    digest = _digest(found.spec.source_sha256, is_full=is_full)
    lost = f"; {found.spec.lost}" if found.spec.lost else ""
    return f"{safe(found.spec.source_name)}{digest} (event {found.spec.version}){safe(lost)}"


def _digest(sha256: str | None, *, is_full: bool) -> str:
    if sha256 is None:
        return ""
    return f", sha256 {sha256 if is_full else sha256[:16] + '...'}"


def _upstream_lines(found: Lineage, *, is_full: bool) -> Iterator[str]:
    listed = found.upstream if is_full else found.upstream[:_LISTED]
    for source in listed:
        paths = [safe(file.path) for file in source.files]
        shown = paths if is_full else paths[:_LISTED]
        more = (
            f" and {number_text(len(paths) - len(shown))} more" if len(paths) > len(shown) else ""
        )
        made = f", which wrote {', '.join(shown)}{more}" if paths else ""
        away = "" if source.distance == 1 else f" ({source.distance} steps upstream)"
        yield _line("used", f"step {safe(source.step.name)}{away}{made}")
    if found.upstream_total > len(listed):
        yield _line("", f"and {count_text(found.upstream_total - len(listed), 'more step')}")


def _earlier_lines(found: Lineage, *, is_full: bool) -> Iterator[str]:
    others = [writing for writing in found.writings if len(found.writings) > 1]
    shown = others if is_full else others[-_LISTED:]
    if len(others) > len(shown):
        yield _line("history", f"{number_text(len(others) - len(shown))} earlier: --full")
    before = ""
    for writing in shown:
        by = f"step {safe(writing.step)}"
        by += f", attempt {writing.attempt}" if writing.attempt is not None else ", reused"
        is_same = writing.sha256 == before
        what = "the same bytes again" if is_same else f"sha256 {writing.sha256[:16]}..."
        yield _line("history", f"event {writing.version}, {when(writing.at)}: {by}, {what}")
        before = writing.sha256


def _same_lines(found: Lineage, *, is_full: bool) -> Iterator[str]:
    if not found.file.size_bytes and not is_full:
        # Every empty file has the same bytes, which tells the reader nothing.
        return
    listed = found.same if is_full else found.same[:_LISTED]
    for other in listed:
        yield _line("same bytes", f"{safe(other.file_id)} ({when(other.written_at)})")
    if found.same_total > len(listed):
        yield _line("", f"and {count_text(found.same_total - len(listed), 'more file')}")


def _line(label: str, text: str) -> str:
    return f"  {label:<10} {text}".rstrip()
