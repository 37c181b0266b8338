"""Where a file came from: the step, the attempt and the call that made it, and what those used.

A fold of what the ledger says of one file. Which file is meant is `find_files.py`'s
business; how it is told, that of commands and pages.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from orc.ledger.definition import StepDef
from orc.ledger.digest import Digest, clean_text, digest_bytes
from orc.ledger.errors import LedgerError
from orc.ledger.events import FileWritten, Payload, StepReused
from orc.ledger.kinds import ANSWERED, FileOrigin, facts_of
from orc.ledger.reader import LedgerReader
from orc.projections.history.definitions import SpecSeen, read_or_lost, read_spec
from orc.projections.history.upstream import UpstreamStep, read_upstream
from orc.projections.tables.job_view import JobView, read_calls, read_rows, read_tools, read_view
from orc.projections.tables.rows import AttemptRow, CallRow, FileRow, JobRow, StepRow, ToolRow

Origin = Literal["content", "glob", "text", "tool"]
"""What put the bytes into the file: a content that the spec gives, a pattern that captured
what was there, the step's whole text, a tool."""

HOPS_MAX = 100
SAME_MAX = 100


@dataclass(frozen=True, slots=True)
class Reuse:
    """A result was taken from `from_step` of `from_job`: by event `version` of `job_id`.

    `reason` is `fork` or `cache`; `is_here` says whether that job is in this ledger.
    """

    job_id: str
    step: str
    version: int
    reason: str
    from_job: str
    from_step: str
    from_version: int
    is_here: bool


@dataclass(frozen=True, slots=True)
class Writing:
    """One time that something was put at the file's path in its job, at event `version`.

    `is_same` marks the same bytes as before. `attempt` is none for a result that was reused.
    """

    version: int
    at: str
    step: str
    attempt: int | None
    sha256: str
    size_bytes: int
    is_same: bool


@dataclass(frozen=True, slots=True)
class Lineage:
    """The story of a file. `job`, `step` and what follows are of the job where it was made.

    `calls` are those of the attempt. `reply` is the call whose reply the file is, or whose
    reply asked for `tool`, the call of the tool that wrote it. `version` is the event of the writing,
    none where it cannot be found. `is_current` is false once other bytes took the path;
    `lost` says why the ledger has the file's bytes no more.
    `definition` is the step's in the spec that was in force, None where that is gone.
    `reused` leads from the file's job to where it was made. `upstream` is nearest first;
    `upstream_total` and `same_total` count all, of which only so many are listed.
    """

    file: FileRow
    is_current: bool
    lost: str | None
    making: FileOrigin
    origin: Origin | None
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
    upstream: tuple[UpstreamStep, ...]
    upstream_total: int
    same: tuple[FileRow, ...]
    same_total: int


def read_lineage(reader: LedgerReader, file: FileRow) -> Lineage:
    """The story of one file of the ledger. Raises LedgerError where events cannot be read."""
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
        upstream=tuple(upstream),
        upstream_total=upstream_total,
        same=tuple(same[:SAME_MAX]),
        same_total=len(same),
    )


def read_writings(reader: LedgerReader, job_id: str, path: str) -> tuple[Writing, ...]:
    """All that was ever put at a path of a job, oldest first."""
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
    """From job to job to where the bytes were made, or as far as this ledger goes."""
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
    """The event that put the bytes at the path, at or before an event of the job."""
    for found in reversed(read_writings(reader, job_id, file.path)):
        # What was written again as it was, was made before.
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
        # The tool may have been called for an earlier attempt, whose replies the later one had.
        found = read_rows(reader.connection, CallRow, "call_id = ?", tool.call_id)
        return found[0] if found else None
    return next((call for call in reversed(calls) if call.status in ANSWERED), None)


def _tool(reader: LedgerReader, step: StepRow, file: FileRow, project: str) -> ToolRow | None:
    """The model's call that wrote these bytes to this path, the last one."""
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
    except (LedgerError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _origin(definition: StepDef | None, file: FileRow, project: str) -> Origin | None:
    """By the entry under `files` that it fits; none where several templates could have given it."""
    path = file.path.removeprefix(f"{project}/")
    entries = () if definition is None else definition.files
    fitting = [entry for entry in entries if entry.path == path]
    fitting = fitting or [
        entry for entry in entries if entry.glob and fnmatchcase(path, entry.glob)
    ]
    fitting = fitting or [entry for entry in entries if "${{" in (entry.path or "")]
    found: set[Origin] = {
        "glob" if entry.glob else "text" if entry.content is None else "content"
        for entry in fitting
    }
    return found.pop() if len(found) == 1 else None


def _same(reader: LedgerReader, file: FileRow) -> list[FileRow]:
    """The other files with its bytes, the newest first."""
    rows = read_rows(
        reader.connection,
        FileRow,
        "sha256 = ? ORDER BY written_at DESC, file_id",
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
