"""`orc diff`: the differences between two jobs, as text or as a JSON value."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

from orc.cli.ledger_access import read_ledger_and_tables
from orc.cli.options import Database, Full, Json
from orc.cli.parameters import Argument, Option
from orc.cli.terminal.job_cost import with_whole_cost
from orc.cli.terminal.tables.columns import id_column, number_column, text_column
from orc.cli.terminal.tables.table import put_table
from orc.cli.terminal.text import put, put_json, put_piece, safe
from orc.cli.terminal.times import ago
from orc.ledger.command_lines import command_line
from orc.ledger.exit_codes import FAILED, SUCCEEDED
from orc.ledger.wording import calls_cost_text, count_text, duration_text, number_text, steps_text
from orc.projections.tables.rows import JobRow, StepRow

if TYPE_CHECKING:
    from orc.ledger import LedgerReader
    from orc.projections.history.job_diff import FileDiff, JobDiff, StepDiff, TextDifference

_LINES = 40
_ROWS = 40
_COLOURS = {"+": "32", "-": "31", "@": "36"}
_SIGNS = {"added": "A", "removed": "D", "changed": "M"}


def command(
    before: Annotated[
        str,
        Argument(
            help="The job to compare with: an id, a unique part of it, or `latest~1`.",
            metavar="JOB1",
            complete="complete_jobs",
        ),
    ],
    after: Annotated[
        str,
        Argument(help="The other job, such as `latest`.", metavar="JOB2", complete="complete_jobs"),
    ],
    step: Annotated[
        str | None,
        Option(help="Only this step, the steps inside it, and its files.", metavar="STEP"),
    ] = None,
    is_stat: Annotated[bool, Option("--stat", help="Print only the summary.")] = False,
    has_exit_code: Annotated[
        bool, Option("--exit-code", help="Exit 1 if anything differs.")
    ] = False,
    is_full: Full = False,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Compare two jobs: spec, steps, texts, files, cost and time."""
    with read_ledger_and_tables(database) as ledger:
        is_same = _put_diff(
            ledger, (before, after), step=step, is_stat=is_stat, is_full=is_full, as_json=as_json
        )
    return SUCCEEDED if is_same or not has_exit_code else FAILED


def _put_diff(
    ledger: LedgerReader,
    names: tuple[str, str],
    *,
    step: str | None,
    is_stat: bool,
    is_full: bool,
    as_json: bool,
) -> bool:
    """Print the differences; whether there are none. Raises UsageProblem, NoSuchJob."""
    from orc.cli.jobs.compare import compare_jobs

    found = compare_jobs(ledger, *names, step=step)
    if as_json:
        put_json(_value(found))
        return found.is_same
    _put_summary(found, is_full=is_full)
    if not is_stat:
        for line in _bodies(found, is_full=is_full):
            _put_line(line)
    return found.is_same


def _put_summary(found: JobDiff, *, is_full: bool) -> None:
    for sign, job in (("---", found.before), ("+++", found.after)):
        put(f"{sign} {job.job_id}  {safe(job.name)}  {job.status}  {ago(job.submitted_at)}")
    put()
    heads = ("", number_column("BEFORE"), number_column("AFTER"), number_column("CHANGE"))
    put_table(heads, _totals(found.before, found.after))
    if found.is_same:
        put()
        put("no differences except in times, tokens and costs")
        return
    if found.spec is not None or found.settings:
        put()
    if found.spec is not None:
        put(f"spec: {_counts(found.spec)}")
    for change in _cut(found.settings, is_full):
        put(f"{safe(change.name)}: {_shown(change.before)} -> {_shown(change.after)}")
    _put_more(len(found.settings), "settings", is_full)
    steps = [step for step in found.steps if step.state != "same"]
    if steps:
        put()
        put_table(
            (
                "",
                id_column("STEP"),
                "STATUS",
                text_column("TIME", drop=2),
                text_column("TOKENS", drop=3),
                text_column("COST", drop=1),
                "WHAT DIFFERS",
            ),
            [_step_row(step) for step in _cut(steps, is_full)],
        )
        _put_more(len(steps), "steps", is_full)
    files = [file for file in found.files if file.state != "same"]
    if files:
        put()
        put_table(
            ("", id_column("FILE"), number_column("BYTES"), text_column("STEP", drop=1)),
            [_file_row(file) for file in _cut(files, is_full)],
        )
        _put_more(len(files), "files", is_full)


def _totals(old: JobRow, new: JobRow) -> Iterator[tuple[str, ...]]:
    rows: tuple[tuple[str, float | None, float | None, str, str], ...] = (
        ("time", old.duration_s, new.duration_s,
         duration_text(old.duration_s) or "not ended", duration_text(new.duration_s) or "not ended"),
        (
            "cost", _whole(old), _whole(new),
            _cost(old), _cost(new),
        ),
        ("calls", old.calls, new.calls, number_text(old.calls), number_text(new.calls)),
        ("tokens in", old.input_tokens, new.input_tokens,
         number_text(old.input_tokens), number_text(new.input_tokens)),
        ("tokens out", old.output_tokens, new.output_tokens,
         number_text(old.output_tokens), number_text(new.output_tokens)),
    )  # fmt: skip
    for name, one, other, shown, shown_after in rows:
        yield name, shown, shown_after, _ratio(one, other)
    yield (
        "steps",
        steps_text(old.steps_succeeded, old.steps_total, brief=True),
        steps_text(new.steps_succeeded, new.steps_total, brief=True),
        "",
    )


def _cost(row: JobRow | StepRow) -> str:
    return calls_cost_text(row.calls, row.cost_nano_usd, row.calls_unpriced, brief=True)


def _whole(job: JobRow) -> int | None:
    return None if job.calls_unpriced else job.cost_nano_usd


def _ratio(old: float | None, new: float | None) -> str:
    if old is None or new is None or old == new:
        return ""
    return f"x {new / old:.2f}" if old else ""


def _step_row(found: StepDiff) -> tuple[str, ...]:
    def both(shown: Callable[[StepRow], str]) -> str:
        return _both(*(None if row is None else shown(row) for row in (found.before, found.after)))

    return (
        _SIGNS[found.state],
        found.name,
        both(lambda row: row.status),
        both(lambda row: duration_text(row.duration_s)),
        both(lambda row: number_text(row.tokens) if row.tokens else ""),
        both(_cost),
        ", ".join(map(_what, found.texts)),
    )


def _both(old: str | None, new: str | None) -> str:
    """`old -> new`; one value if both are equal, or if one is None."""
    if old is None or new is None or old == new:
        return (new if old is None else old) or ""
    return f"{old or '-'} -> {new or '-'}"


def _what(text: TextDifference) -> str:
    if text.diff is None:
        return f"{text.what} (gone)"
    return f"{text.what} +{text.diff.added} -{text.diff.removed}"


def _file_row(found: FileDiff) -> tuple[str, ...]:
    rows = [row for row in (found.before, found.after) if row is not None]
    sizes = [number_text(row.size_bytes) for row in rows]
    step = rows[-1].step_id.partition("/")[2]
    return _SIGNS[found.state], found.path, _both(sizes[0], sizes[-1]), step


def _bodies(found: JobDiff, *, is_full: bool) -> Iterator[str]:
    if found.spec is not None:
        yield from _body("spec", found.spec, found, is_full=is_full)
    for step in found.steps:
        for text in step.texts:
            yield from _body(f"{text.what} of {step.name}", text, found, is_full=is_full)
    for file in found.files:
        if file.text is not None:
            yield from _body(f"file {file.path}", file.text, found, is_full=is_full)


def _body(name: str, text: TextDifference, found: JobDiff, *, is_full: bool) -> Iterator[str]:
    yield ""
    yield safe(name)
    if text.diff is None:
        yield f"cannot be compared: {safe(text.lost)}"
        return
    if text.diff.note:
        yield text.diff.note
        return
    # A pipe gets whole lines.
    is_cut = sys.stdout.isatty() and not is_full
    width = max(40, shutil.get_terminal_size().columns) if is_cut else None
    lines = text.diff.lines if is_full else text.diff.lines[:_LINES]
    long = 0
    for line in lines:
        spaced = line.replace("\t", "    ")
        long += width is not None and len(safe(spaced)) > width
        yield safe(spaced, width=width)
    missing = len(text.diff.lines) - len(lines)
    said = [count_text(missing, "more line")] if missing else []
    said += [f"{count_text(long, 'line')} cut"] if long else []
    if said:
        whole = command_line("diff", found.before.job_id, found.after.job_id, "--full")
        yield from (f"... {what}: {whole}" for what in said)


def _put_line(line: str) -> None:
    """Print a line of a difference; in colour on a terminal, unless NO_COLOR is set."""
    is_colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    colour = _COLOURS.get(line[:1]) if is_colour else None
    if colour is None:
        put(line)
        return
    # `put` escapes control characters, so the colour codes are printed apart from the line.
    put_piece(f"\x1b[{colour}m")
    put(line)
    put_piece("\x1b[0m")


def _shown(value: Any) -> str:
    return "nothing" if value is None else safe(value, width=60)


def _counts(text: TextDifference) -> str:
    if text.diff is None:
        return f"cannot be compared: {safe(text.lost)}"
    return f"{count_text(text.diff.added, 'line')} added, {number_text(text.diff.removed)} removed"


def _cut(values: Any, is_full: bool) -> Any:
    return values if is_full else values[:_ROWS]


def _put_more(count: int, what: str, is_full: bool) -> None:
    if count > _ROWS and not is_full:
        put(f"and {number_text(count - _ROWS)} more {what}: --full")


def _value(found: JobDiff) -> dict[str, Any]:
    from msgspec import to_builtins

    return {
        "same": found.is_same,
        "before": _job_value(found.before),
        "after": _job_value(found.after),
        "spec": None if found.spec is None else to_builtins(found.spec),
        "settings": [to_builtins(change) for change in found.settings],
        "steps": [
            {
                "step": step.name,
                "state": step.state,
                "before": None if step.before is None else with_whole_cost(step.before._asdict()),
                "after": None if step.after is None else with_whole_cost(step.after._asdict()),
                "texts": [to_builtins(text) for text in step.texts],
            }
            for step in found.steps
        ],
        "files": [
            {
                "path": file.path,
                "state": file.state,
                "before": None if file.before is None else file.before._asdict(),
                "after": None if file.after is None else file.after._asdict(),
                "text": None if file.text is None else to_builtins(file.text),
            }
            for file in found.files
        ],
    }


def _job_value(job: JobRow) -> dict[str, Any]:
    return with_whole_cost(job._asdict())
