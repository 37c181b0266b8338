"""Why a step ran, or did not, or not yet: what the events say of it, each statement with its event.

The statements are in the order of the events. What led to a skip is followed in
`causes.py`, what held a start back in `waits.py`; `why_teller.py` says what each event means.
"""

from __future__ import annotations

from dataclasses import dataclass

from orc.ledger.reader import LedgerReader
from orc.projections.history.trace import read_story, read_trace
from orc.projections.tables.job_view import read_rows, read_view
from orc.projections.tables.rows import StepRow
from orc.projections.why.causes import Link, chain_text, read_causes
from orc.projections.why.teller import Teller
from orc.projections.why.texts import Statement


@dataclass(frozen=True, slots=True)
class Why:
    """What is to be said of a step: in one sentence, and then event by event.

    `causes` leads from a step that was skipped, or that failed, to what began it.
    """

    step: StepRow
    verdict: str
    statements: tuple[Statement, ...]
    causes: tuple[Link, ...]


def read_why(reader: LedgerReader, job_id: str, step_id: str, *, is_live: bool) -> Why:
    """Why the step is as it is; `is_live` says whether a process runs the job now.

    The step has to be one of the job. Raises LedgerError where events cannot be read.
    """
    (row,) = read_rows(reader.connection, StepRow, "step_id = ?", f"{job_id}/{step_id}")
    view = read_view(reader.connection, job_id)
    trace = read_trace(reader, job_id)
    teller = Teller(reader, view, trace, row)
    story = list(read_story(reader, job_id, step_id))
    teller.job_events = [found for found in story if getattr(found.event, "step", None) is None]
    for recorded in story:
        teller.take(recorded)
    teller.close(is_live=is_live)
    causes = (
        read_causes(reader, view, trace, step_id) if row.status in ("skipped", "failed") else ()
    )
    return Why(row, _verdict(row, causes, teller.statements), tuple(teller.statements), causes)


def _verdict(row: StepRow, causes: tuple[Link, ...], said: list[Statement]) -> str:
    """The one sentence: of what is last, and of what led to it."""
    if causes:
        return chain_text(causes)
    wanted: dict[str, tuple[str, ...]] = {
        "succeeded": ("started", "reused"),
        "cancelled": ("cancelled",),
        "removed": ("removed",),
    }
    for statement in reversed(said):
        if statement.kind == "reused" and row.status == "succeeded":
            return f"{row.name}: {statement.text}"
        if statement.kind in wanted.get(row.status, ("waits", "asked", "started")):
            return f"{row.name} {_IS.get(row.status, f'is {row.status}')}: {statement.text}"
    return f"{row.name} {_IS.get(row.status, f'is {row.status}')}"


_IS: dict[str, str] = {
    "succeeded": "ran and succeeded",
    "cancelled": "was cancelled",
    "removed": "is no step of the job any more",
    "pending": "has not begun",
    "running": "is running",
    "waiting": "waits",
}
