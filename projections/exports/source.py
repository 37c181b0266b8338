"""The source of every export: a job with its rows and events, at one version of the ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from msgspec import Struct

from orc.ledger.errors import LedgerError, RemovedBlob
from orc.ledger.events import JobSubmitted, Payload, StepFailed, StepInterrupted, StepSucceeded
from orc.ledger.kinds import JOB_ENDED
from orc.ledger.reader import Head, LedgerReader
from orc.ledger.stored import parse_time
from orc.ledger.wording import count_text
from orc.projections.tables.job_view import JobView, read_view
from orc.projections.tables.rows import StepRow

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ExportSource(Struct, frozen=True):
    """A job to export. `status` is the one to show, `as_of` the time of its last event, UTC text.

    `orc_version` is the version that exports; `submitted` has the version that submitted the job.
    """

    reader: LedgerReader
    view: JobView
    status: str
    submitted: JobSubmitted
    head: Head
    as_of: str
    orc_version: str

    @property
    def job_id(self) -> str:
        """The job's id."""
        return self.view.job.job_id

    @property
    def has_ended(self) -> bool:
        """Whether the job has ended; only a resume can add events."""
        return self.status in JOB_ENDED


def read_source(
    reader: LedgerReader, job_id: str, *, status: str, orc_version: str
) -> ExportSource:
    """The source for a job that exists. The caller holds a read transaction."""
    head = reader.head(job_id)
    submitted = reader.read_event(job_id, 1).event
    assert isinstance(submitted, JobSubmitted)
    return ExportSource(
        reader=reader,
        view=read_view(reader.connection, job_id),
        status=status,
        submitted=submitted,
        head=head,
        as_of=reader.read_event(job_id, head.version).recorded_at,
        orc_version=orc_version,
    )


def spec_name(view: JobView, step: StepRow) -> str:
    """The step's name in the spec: items and rounds have the name of their container."""
    parts: list[str] = []
    at = step
    while (holder := view.by_name.get(at.parent or "")) is not None:
        # The name of a member is `<group>/<member>`; an item or round adds no part.
        inside = at.name[len(holder.name) :]
        if inside.startswith("/"):
            parts.append(inside)
        at = holder
    return at.name + "".join(reversed(parts))


def read_logs(source: ExportSource) -> dict[tuple[str, int], Payload]:
    """The whole logs by step and attempt; the tables have only their beginnings."""
    found: dict[tuple[str, int], Payload] = {}
    for recorded in source.reader.read_stream(source.job_id):
        event = recorded.event
        if isinstance(event, StepSucceeded | StepFailed | StepInterrupted) and event.log:
            found[event.step, event.attempt] = event.log
    return found


def read_log(reader: LedgerReader, log: Payload | None, *, bytes_max: int) -> str:
    """The end of an attempt's log; a note in brackets says if it was cut, removed or damaged."""
    if log is None:
        return ""
    try:
        content = reader.read_payload_bytes(log)
    except RemovedBlob as error:
        return f"[{str(error).partition(': ')[2]}]\n"
    except LedgerError as error:
        return f"[{error}]\n"
    cut = max(0, len(content) - bytes_max)
    note = f"[cut: {count_text(cut, 'byte')} before this]\n" if cut else ""
    return note + content[cut:].decode("utf-8", "replace")


def unix_ns(at: str) -> int:
    """UTC text as nanoseconds since 1970, computed in whole microseconds without floats."""
    return (parse_time(at) - _EPOCH) // timedelta(microseconds=1) * 1000
