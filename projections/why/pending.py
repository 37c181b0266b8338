"""What a step that has not ended waits for now."""

from __future__ import annotations

from collections.abc import Iterator

from orc.ledger.definition import JobDef
from orc.ledger.kinds import OPEN
from orc.ledger.reader import LedgerReader
from orc.ledger.wording import number_text
from orc.projections.tables.job_view import JobView
from orc.projections.tables.rows import StepRow
from orc.projections.why.texts import Statement

_LISTED = 10


def pending_statements(
    reader: LedgerReader,
    view: JobView,
    row: StepRow,
    job: JobDef | None,
    only: tuple[str, ...] | None,
    *,
    is_live: bool,
) -> Iterator[Statement]:
    """The statements, the nearest reason first."""
    job_id = view.job.job_id
    if view.job.status == "running" and not is_live:
        text = f"no process runs the job: orc resume {job_id} goes on with it"
        yield Statement("waits", text, ())
    elif view.job.status == "waiting":
        text = f"the job waits for a person, and orc resume {job_id} goes on with it"
        yield Statement("waits", text, ())
    if row.status == "waiting":
        yield Statement("waits", _waits_for(row), ())
    if row.status == "running":
        inside = [child for child in view.children_of.get(row.name, ()) if child.status in OPEN]
        if inside:
            yield Statement("waits", f"it waits for what is inside it: {_names(inside)}", ())
        return
    if row.status == "pending":
        yield from _not_begun(view, row, job, is_live=is_live)


def _not_begun(
    view: JobView, row: StepRow, job: JobDef | None, *, is_live: bool
) -> Iterator[Statement]:
    open_needs = [
        view.by_name[name]
        for name in row.needed
        if name in view.by_name and view.by_name[name].status in OPEN
    ]
    if open_needs:
        yield Statement("waits", f"it needs {_names(open_needs)}", ())
        return
    if row.parent is not None and row.parent in view.by_name:
        running = [child for child in view.children_of[row.parent] if child.status == "running"]
        if running:
            yield Statement("waits", f"others of {row.parent} come first: {_names(running)}", ())
            return
    if is_live:
        total = None if job is None else job.concurrency.get("total")
        yield Statement("waits", f"all that it needs has ended; it waits for a slot of {total}", ())


def _waits_for(row: StepRow) -> str:
    if row.question is not None and row.decision is None:
        return f"a person is asked: {row.question} (orc approve or orc reject)"
    if row.failure_kind == "budget":
        return str(row.failure)
    return f"it is tried again after a failure: {row.failure_kind}: {row.failure}"


def _names(rows: list[StepRow]) -> str:
    shown = ", ".join(f"{row.name} ({row.status})" for row in rows[:_LISTED])
    more = len(rows) - _LISTED
    return f"{shown} and {number_text(more)} more" if more > 0 else shown
