"""The answer of `orc why`: one sentence about a step, and one statement for each of its events.

The statements are in the order of the events. `explainer.py` words each event, `causes.py`
follows a skip to the failure that caused it, `waits.py` finds what delayed a start.
"""

from __future__ import annotations

from msgspec import Struct

from orc.ledger.kinds import INTERRUPTED
from orc.ledger.reader import LedgerReader
from orc.projections.history.definitions import SpecSeen
from orc.projections.history.trace import Trace, read_story
from orc.projections.tables.inner_waits import wait_of
from orc.projections.tables.job_view import JobView, read_rows, read_view
from orc.projections.tables.rows import StepRow
from orc.projections.tables.status import step_state, step_status
from orc.projections.tables.step_notes import LEFT_RUNNING
from orc.projections.why.causes import Cause, chain_text, read_causes
from orc.projections.why.explainer import StepExplainer
from orc.projections.why.texts import Statement


class Why(Struct, frozen=True):
    """The explanation of one step: `verdict` is one sentence, `statements` follow the events.

    `status` is the one that is shown, as in `step_status`.
    `causes` are the chain of causes of a skipped or failed step, the step itself first.
    """

    step: StepRow
    status: str
    verdict: str
    statements: tuple[Statement, ...]
    causes: tuple[Cause, ...]


def read_why(
    reader: LedgerReader,
    job_id: str,
    step_id: str,
    *,
    is_live: bool,
    view: JobView | None = None,
    spec: SpecSeen | None = None,
) -> Why:
    """The explanation of a step that the job has; `is_live` says whether a process runs the job.

    A `view` and a `spec` that were read already are not read again. Raises LedgerError if events
    cannot be read.
    """
    (row,) = read_rows(reader.connection, StepRow, "step_id = ?", f"{job_id}/{step_id}")
    view = view or read_view(reader.connection, job_id)
    trace = Trace(reader, job_id)
    explainer = StepExplainer(reader, view, trace, row, known_spec=spec)
    story = list(read_story(reader, job_id, step_id))
    explainer.job_events = [found for found in story if getattr(found.event, "step", None) is None]
    for recorded in story:
        explainer.add_event(recorded)
    explainer.finish(is_live=is_live)
    causes = (
        read_causes(reader, view, trace, step_id) if row.status in ("skipped", "failed") else ()
    )
    statements = tuple(explainer.statements)
    verdict = _verdict(view, row, causes, statements, is_live=is_live)
    tolerated = view.tolerated.get(step_id)
    if tolerated is not None:
        verdict = _with(verdict, f"; tolerated: {tolerated.text()}")
    elif row.warning:
        verdict = _with(verdict, f"; {row.warning}")
    return Why(row, step_status(view, row, is_live=is_live), verdict, statements, causes)


def _with(verdict: str, more: str) -> str:
    """The verdict with more about the step: before the lines of a text that is below it."""
    first, below, rest = verdict.partition(":\n")
    return f"{first}{more}{below}{rest}"


def _verdict(
    view: JobView,
    row: StepRow,
    causes: tuple[Cause, ...],
    statements: tuple[Statement, ...],
    *,
    is_live: bool,
) -> str:
    """The chain of causes, or the step's status with the last statement that explains it."""
    if causes:
        return chain_text(causes)
    phrase = _phrase(view, row, is_live=is_live)
    wanted: dict[str, tuple[str, ...]] = {
        "succeeded": ("started", "reused"),
        "cancelled": ("cancelled",),
        "removed": ("removed",),
    }
    for statement in reversed(statements):
        if statement.kind == "reused" and row.status == "succeeded":
            return f"{row.name}: {statement.text}"
        if statement.kind in wanted.get(row.status, ("waits", "asked", "started")):
            return f"{row.name} {phrase}: {statement.text}"
    return f"{row.name} {phrase}"


def _phrase(view: JobView, row: StepRow, *, is_live: bool) -> str:
    state = step_state(view, row, is_live=is_live)
    if state == INTERRUPTED:
        return LEFT_RUNNING
    inside = view.inner_waits.get(row.name)
    is_for_retries = wait_of(row).waits_for == "retry" or (
        state == "waiting" and inside is not None and not inside.is_left_to_people
    )
    if is_for_retries and not is_live and view.job.status == "running":
        return "waits until the job is resumed"
    if row.is_queued:
        return f"is queued on {row.executor}"
    if row.status == "running" and row.host is not None:
        return f"is running on host {row.host} ({row.executor})"
    status = "again" if row.status == "pending" and row.attempts else state
    return _STATUS_PHRASES.get(status, f"is {status}")


_STATUS_PHRASES: dict[str, str] = {
    "succeeded": "succeeded",
    "cancelled": "was cancelled",
    "removed": "is no longer a step of the job",
    "pending": "has not started",
    "again": "has not started again",
    "running": "is running",
    "waiting": "is waiting",
}
