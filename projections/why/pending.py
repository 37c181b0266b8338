"""What a step that has not ended is waiting for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orc.ledger.command_lines import quoted_command
from orc.ledger.definition import JobDef
from orc.ledger.kinds import OPEN
from orc.ledger.reader import LedgerReader
from orc.ledger.transport.imported import resume_command
from orc.ledger.wording import number_text
from orc.projections.tables.inner_waits import is_asking, is_in_batch, is_over_budget
from orc.projections.tables.job_view import JobView
from orc.projections.tables.questions import answers_to
from orc.projections.tables.rows import StepRow
from orc.projections.tables.status import (
    is_in_queue,
    is_starting,
    queued_text,
    starting_text,
    step_status,
)
from orc.projections.tables.step_notes import batch_note, container_text
from orc.projections.why.texts import Statement, quoted

_LISTED = 10


def pending_statements(
    reader: LedgerReader, view: JobView, row: StepRow, job: JobDef | None, *, is_live: bool
) -> Iterator[Statement]:
    """The reasons why the step has not ended, those of the whole job first.

    `is_live` says whether a process runs the job.
    """
    connection, job_id = reader.connection, view.job.job_id
    is_queued = is_in_queue(connection, job_id)
    resume = resume_command(connection, job_id)
    if is_starting(connection, reader.path, job_id):
        yield Statement("waits", starting_text(), ())
    elif view.job.status == "running" and not is_live and is_queued:
        yield Statement("waits", queued_text(), ())
    elif view.job.status == "running" and not is_live:
        text = f"no process runs the job; `{resume}` continues it"
        yield Statement("waits", text, ())
    elif view.job.status == "waiting" and any(
        step.status == "waiting" and step.failure_kind == "budget" for step in view.steps
    ):
        how = quoted_command("show", view.job.job_id)
        text = f"the job waits for a larger budget; {how} says with which command it goes on"
        yield Statement("waits", text, ())
    elif view.job.status == "waiting" and any(map(is_in_batch, view.steps)):
        text = f"the job waits for a server that works on a batch; `{resume}` asks it again"
        yield Statement("waits", text, ())
    elif view.job.status == "waiting":
        then = f"; {quoted_command('show', job_id)} says with which command it goes on"
        if is_queued:
            then = f"; after that, a worker ({quoted_command('work')}) continues it"
        elif is_asking(row):
            # Its own commands follow.
            then = ""
        yield Statement("waits", f"the job waits for a person to act{then}", ())
    if row.status == "waiting":
        yield Statement(
            "waits", _waits_for(row, answers_to(reader, job_id, row.name), is_live=is_live), ()
        )
    if is_in_batch(row):
        yield Statement("waits", f"its call is {batch_note(view, row)}", ())
    if row.status == "running":
        inside = [child for child in view.children_of.get(row.name, ()) if child.status in OPEN]
        waits = container_text(view, row)
        if waits:
            yield Statement("waits", f"{waits}{_waiting_inside(view, row)}", ())
        elif inside:
            names = _names(view, inside, is_live=is_live)
            yield Statement("waits", f"it waits for the steps inside it: {names}", ())
        if row.is_queued:
            yield Statement("waits", f"no worker has taken it yet{_asks_for(view, row, job)}", ())
        return
    if row.status == "pending":
        yield from _not_started(view, row, job, is_live=is_live)


def _not_started(
    view: JobView, row: StepRow, job: JobDef | None, *, is_live: bool
) -> Iterator[Statement]:
    open_needs = [
        view.by_name[name]
        for name in row.needed
        if name in view.by_name and view.by_name[name].status in OPEN
    ]
    if open_needs:
        yield Statement("waits", f"it needs {_names(view, open_needs, is_live=is_live)}", ())
        return
    if row.parent is not None and row.parent in view.by_name:
        running = [child for child in view.children_of[row.parent] if child.status == "running"]
        if running:
            names = _names(view, running, is_live=is_live)
            text = f"other steps of {row.parent} run first: {names}"
            yield Statement("waits", text, ())
            return
    if is_live:
        total = None if job is None else job.concurrency.get("total")
        slots = "" if total is None else f" (concurrency: {number_text(total)})"
        text = f"every step that it needs has ended; it waits for a free slot{slots}"
        yield Statement("waits", text, ())


def _asks_for(view: JobView, row: StepRow, job: JobDef | None) -> str:
    """What a worker must have for the queued attempt, and the command that shows what workers have."""
    step = None if job is None else job.step(row.name)
    if step is None:
        return ""
    resources = step.resources_of(len(view.attempts_of[row.name]))
    asked = [f"{name}: {amount:g}" for name, amount in resources.items() if amount]
    asked += [f"the label {label}" for label in step.labels]
    how = quoted_command("executors", step.executor)
    needs = f"; it needs {', '.join(asked)}" if asked else ""
    return f"{needs}; {how} shows what the workers have"


def _waiting_inside(view: JobView, row: StepRow) -> str:
    """The steps inside a container that wait, and the command that says how each goes on."""
    inside = view.inner_waits[row.name]
    if not inside.waiting:
        return ""
    shown = ", ".join(inside.names[:_LISTED])
    more = len(inside.names) - _LISTED
    left = f" and {number_text(more)} more" if more > 0 else ""
    how = quoted_command("show", view.job.job_id)
    hint = f"; {how} says how to go on" if inside.is_left_to_people else ""
    return f": {shown}{left}{hint}"


def _waits_for(row: StepRow, answers: Sequence[str], *, is_live: bool) -> str:
    if row.question is not None and is_asking(row):
        first, found, _ = row.question.strip().partition("\n")
        more = " ..." if found else ""
        commands = " or ".join(f"`{command}`" for command in answers)
        return f"a person must decide: {first}{more} ({commands})"
    if is_over_budget(row):
        return str(row.failure)
    then = "" if is_live else " then"
    lead = f"it will{then} be retried after a failure: {row.failure_kind}"
    return quoted(lead, row.failure or "")


def _names(view: JobView, rows: list[StepRow], *, is_live: bool) -> str:
    shown = ", ".join(
        f"{row.name} ({step_status(view, row, is_live=is_live)})" for row in rows[:_LISTED]
    )
    more = len(rows) - _LISTED
    return f"{shown} and {number_text(more)} more" if more > 0 else shown
