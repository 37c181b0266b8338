"""Where a file came from: the step, the attempt and the call that made it, and what they used.

`find_files.py` finds the file that a person names. Commands and pages word the answer.
"""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any, Literal

from msgspec import Struct

from orc.ledger.definition import StepDef
from orc.ledger.digest import Digest, clean_text, digest_bytes
from orc.ledger.errors import LedgerError
from orc.ledger.events import FileWritten, Payload, StepReused
from orc.ledger.kinds import ANSWERED, FileOrigin, facts_of
from orc.ledger.reader import LedgerReader
from orc.projections.history.definitions import SpecSeen, read_or_lost, read_spec
from orc.projections.history.read_sources import ReadSource, read_sources
from orc.projections.history.upstream import UpstreamStep, read_upstream
from orc.projections.tables.job_view import (
    NEWEST_FILES,
    JobView,
    read_calls,
    read_rows,
    read_tools,
    read_view,
)
from orc.projections.tables.rows import AttemptRow, CallRow, FileRow, JobRow, StepRow, ToolRow

ContentSource = Literal["content", "glob", "text", "tool"]
"""How the bytes came into the file: `content` is a content in the spec, `glob` a pattern that captured
the file, `text` the step's whole text, `tool` the tool `write_file`."""

HOPS_MAX = 100
SAME_MAX = 100


class Reuse(Struct, frozen=True):
    """Event `version` of `job_id` copied the result of `from_step` of `from_job`.

    `reason` is `fork` or `cache`; `is_here` says whether `from_job` is in this ledger.
    """

    job_id: str
    step: str
    version: int
    reason: str
    from_job: str
    from_step: str
    from_version: int
    is_here: bool


class Writing(Struct, frozen=True):
    """Event `version` wrote a file at the path.

    `is_same` says whether it wrote the same bytes as before. `attempt` is None for a reused result.
    """

    version: int
    at: str
    step: str
    attempt: int | None
    sha256: str
    size_bytes: int
    is_same: bool


class Lineage(Struct, frozen=True):
    """The origin of a file.

    `file`, `is_current`, `lost`, `reused`, `writings` and `same` are about the file in its job. All
    other fields are about the job in which the file was made.

    - `is_current`: false if the path has other bytes now.
    - `lost`: why the ledger does not have the bytes any more.
    - `version`: the event that wrote the file; None if it was not found.
    - `calls`: the calls of the attempt. `reply` is the one whose reply is in the file, or whose
      reply asked for `tool`, the call of the tool that wrote the file.
    - `definition`: the step in the spec that was in force; None if the spec's bytes were removed.
    - `reused`: the copies of the result, from the file's job back to the job that made it.
    - `sources`: the files and rows of the job's inputs that the step had.
    - `upstream`: the steps that the step used, nearest first. `same`: other files with the same
      bytes. `upstream_total` and `same_total` also count those that are not listed.
    """

    file: FileRow
    is_current: bool
    lost: str | None
    making: FileOrigin
    origin: ContentSource | None
    job: JobRow
    step: StepRow
    version: int | None
    attempt: AttemptRow | None
    calls: tuple[CallRow, ...]
    reply: CallRow | None
    tool: ToolRow | None
    reused: tuple[Reuse, ...]
    spec: SpecSeen
    definition: StepDef | None
    writings: tuple[Writing, ...]
    sources: tuple[ReadSource, ...]
    upstream: tuple[UpstreamStep, ...]
    upstream_total: int
    same: tuple[FileRow, ...]
    same_total: int


def read_lineage(reader: LedgerReader, file: FileRow) -> Lineage:
    """The origin of a file of the ledger. Raises LedgerError if events cannot be read."""
    hops, made_in, written = _follow(reader, file)
    writings = read_writings(reader, file.job_id, file.path)
    view = read_view(reader.connection, made_in)
    (step,) = read_rows(reader.connection, StepRow, "step_id = ?", f"{made_in}/{written.step}")
    spec = read_spec(reader, made_in, version=written.version)
    definition = spec.step(step.name)
    attempt = _attempt(view, written)
    calls = () if attempt is None else _calls(reader, attempt)
    tool = _tool(reader, step, file, view.job.name)
    is_lost = bool(hops) and not hops[-1].is_here
    facts = facts_of(step.kind)
    making: FileOrigin = "reused" if is_lost else "tool" if tool else facts.makes
    upstream, upstream_total = read_upstream(reader.connection, view, step)
    same = _same(reader, file)
    return Lineage(
        file=file,
        is_current=_is_current(reader, file),
        lost=_lost(reader, file),
        making=making,
        origin="tool" if tool else _origin(definition, file, view.job.name),
        job=view.job,
        step=step,
        version=written.version or None,
        attempt=attempt,
        calls=calls,
        reply=_reply(reader, calls, tool) if facts.calls_model else None,
        tool=tool,
        reused=tuple(hops),
        spec=spec,
        definition=definition,
        writings=writings,
        sources=read_sources(reader, made_in, spec.definition, step.name, written.version or None),
        upstream=tuple(upstream),
        upstream_total=upstream_total,
        same=tuple(same[:SAME_MAX]),
        same_total=len(same),
    )


def read_writings(reader: LedgerReader, job_id: str, path: str) -> tuple[Writing, ...]:
    """All writings at a path of a job, oldest first."""
    rows = reader.connection.execute(
        "SELECT version FROM events WHERE job_id = ? AND (type = 'file.written' "
        "AND json_extract(data, '$.path') = ? OR type = 'step.reused' AND EXISTS (SELECT 1 FROM "
        "json_each(data, '$.files') WHERE json_extract(value, '$.path') = ?)) ORDER BY version",
        (job_id, path, path),
    ).fetchall()
    found: list[Writing] = []
    for (version,) in rows:
        recorded = reader.read_event(job_id, version)
        event = recorded.event
        if isinstance(event, FileWritten):
            place = (event.attempt, event.sha256, event.size_bytes)
            found.append(
                Writing(version, recorded.recorded_at, event.step, *place, bool(event.reason))
            )
        elif isinstance(event, StepReused):
            file = next(file for file in event.files if file.path == path)
            is_same = bool(found) and found[-1].sha256 == file.sha256
            bytes_ = (file.sha256, file.size_bytes)
            found.append(Writing(version, recorded.recorded_at, event.step, None, *bytes_, is_same))
    return tuple(found)


def _follow(reader: LedgerReader, file: FileRow) -> tuple[list[Reuse], str, Writing]:
    """Follow reused results back to the job that made the bytes, or to the last one in this ledger."""
    hops: list[Reuse] = []
    job_id, step = file.job_id, file.step_id.partition("/")[2]
    writing = _writing(reader, job_id, file, step, None)
    while len(hops) < HOPS_MAX and writing.attempt is None:
        event = reader.read_event(job_id, writing.version).event if writing.version else None
        if not isinstance(event, StepReused):
            break
        is_here = _has_job(reader, event.from_job)
        hops.append(
            Reuse(job_id, writing.step, writing.version, event.reason,
                  event.from_job, event.from_step, event.version, is_here)
        )  # fmt: skip
        if not is_here:
            break
        job_id = event.from_job
        writing = _writing(reader, job_id, file, event.from_step, event.version)
    return hops, job_id, writing


def _writing(
    reader: LedgerReader, job_id: str, file: FileRow, step: str, up_to: int | None
) -> Writing:
    """The event that wrote the file's bytes at its path, at or before event `up_to` of the job."""
    for found in reversed(read_writings(reader, job_id, file.path)):
        # If the same bytes were written again, an earlier event made them.
        is_made = not found.is_same or found.attempt is None
        if is_made and found.sha256 == file.sha256 and found.version <= (up_to or found.version):
            return found
    return Writing(0, file.written_at, step, file.attempt, file.sha256, file.size_bytes, False)


def _has_job(reader: LedgerReader, job_id: str) -> bool:
    row = reader.connection.execute("SELECT 1 FROM jobs WHERE job_id = ?", (job_id,)).fetchone()
    return row is not None


def _attempt(view: JobView, writing: Writing) -> AttemptRow | None:
    attempts = view.attempts_of.get(writing.step, ())
    return next((row for row in attempts if row.attempt == writing.attempt), None)


def _calls(reader: LedgerReader, attempt: AttemptRow) -> tuple[CallRow, ...]:
    calls = read_calls(reader.connection, attempt.step_id)
    return tuple(call for call in calls if call.attempt_id == attempt.attempt_id)


def _reply(
    reader: LedgerReader, calls: tuple[CallRow, ...], tool: ToolRow | None
) -> CallRow | None:
    if tool is not None:
        # An earlier attempt may have called the tool; a later attempt reuses its replies.
        found = read_rows(reader.connection, CallRow, "call_id = ?", tool.call_id)
        return found[0] if found else None
    return next((call for call in reversed(calls) if call.status in ANSWERED), None)


def _tool(reader: LedgerReader, step: StepRow, file: FileRow, project: str) -> ToolRow | None:
    """The last call of `write_file` that wrote the file's bytes to its path."""
    if not facts_of(step.kind).calls_model:
        return None
    for row in reversed(read_tools(reader.connection, step.step_id)):
        if row.tool != "write_file":
            continue
        arguments = _arguments(reader, row)
        if f"{project}/{arguments.get('path')}" == file.path:
            written = clean_text(str(arguments.get("content"))).encode()
            if digest_bytes(written) == file.sha256:
                return row
    return None


def _arguments(reader: LedgerReader, row: ToolRow) -> dict[str, Any]:
    try:
        text = reader.read_blob(row.arguments_blob) if row.arguments_blob else row.arguments
        value = json.loads(text or "{}")
    except (LedgerError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _origin(definition: StepDef | None, file: FileRow, project: str) -> ContentSource | None:
    """From the entry of `files` that matches the path; None if entries of several kinds match."""
    path = file.path.removeprefix(f"{project}/")
    entries = () if definition is None else definition.files
    matching = [entry for entry in entries if entry.path == path]
    matching = matching or [
        entry for entry in entries if entry.glob and fnmatchcase(path, _pattern(entry.glob))
    ]
    matching = matching or [entry for entry in entries if "${{" in (entry.path or "")]
    found: set[ContentSource] = {
        "glob" if entry.glob else "text" if entry.content is None else "content"
        for entry in matching
    }
    return found.pop() if len(found) == 1 else None


def _pattern(glob: str) -> str:
    # A folder with everything in it.
    return f"{glob}*" if glob.endswith("/") else glob


def _same(reader: LedgerReader, file: FileRow) -> list[FileRow]:
    """The other files with the same bytes, newest first."""
    rows = read_rows(
        reader.connection,
        FileRow,
        f"sha256 = ? {NEWEST_FILES}",
        file.sha256,
    )
    return [row for row in rows if row.file_id != file.file_id]


def _is_current(reader: LedgerReader, file: FileRow) -> bool:
    rows = read_rows(reader.connection, FileRow, "file_id = ?", file.file_id)
    return bool(rows) and rows[0].sha256 == file.sha256


def _lost(reader: LedgerReader, file: FileRow) -> str | None:
    if reader.knows_blob(Digest(file.sha256)):
        return None
    _, lost = read_or_lost(reader, Payload(sha256=Digest(file.sha256), text=True))
    return lost
