"""The page of one step: its explanation, its attempts with prompts and replies, its result."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from orc.ledger.definition import dump_step
from orc.ledger.kinds import NOT_LIVE, OPEN
from orc.ledger.reader import LedgerReader
from orc.projections.history.definitions import read_spec
from orc.projections.history.turns import pretty, read_attempts, read_output
from orc.projections.pages.file import show_files
from orc.projections.pages.growing_log import growing_size, with_growing_log
from orc.projections.pages.items import ORDERS, ItemFilter, read_item_page
from orc.projections.pages.job import job_version
from orc.projections.pages.links import Links
from orc.projections.pages.runs import can_do
from orc.projections.scores.rows import read_step_scores
from orc.projections.tables.job_view import read_calls, read_rows, read_view
from orc.projections.tables.questions import answers_to
from orc.projections.tables.rows import FileRow, StepRow
from orc.projections.tables.status import shown_status, step_state
from orc.projections.why.step import read_why

CALLS_MAX = 60
"""The number of calls that a page shows with their texts; the table of calls has all of them."""


def read_step(
    reader: LedgerReader,
    database: Path,
    job_id: str,
    name: str,
    links: Links,
    wanted: ItemFilter = ItemFilter(),  # noqa: B008  # it is frozen
) -> dict[str, Any] | None:
    """The values of the template `step.html`; None if the job has no such step. Raises LedgerError.

    `wanted` says which of the steps inside it are in the table.
    """
    connection = reader.connection
    view = read_view(connection, job_id, attempts_of=name)
    step = view.by_name.get(name)
    if step is None:
        return None
    status = shown_status(connection, database, job_id, view.job.status)
    state = step_state(view, step, is_live=status not in NOT_LIVE)
    events = list(reader.read_step(job_id, name))
    calls = read_calls(connection, step.step_id)
    spec = read_spec(reader, job_id)
    definition = spec.step(name)
    files = read_rows(connection, FileRow, "job_id = ? AND step_id = ?", job_id, step.step_id)
    return {
        "job": view.job,
        "step": step,
        "answers": answers_to(reader, job_id, name) if step.question else [],
        "state": state,
        "is_open": state in OPEN,
        "is_live": status not in NOT_LIVE,
        "can": can_do(status),
        "used": view.usage[name],
        "tolerated": view.tolerated.get(name),
        "why": read_why(reader, job_id, name, is_live=status == "running", view=view, spec=spec),
        "attempts": with_growing_log(
            read_attempts(
                reader, view, step, events, calls[:CALLS_MAX], is_live=status not in NOT_LIVE
            ),
            database,
            job_id,
            name,
        ),
        "calls_left": max(0, len(calls) - CALLS_MAX),
        "output": read_output(reader, events),
        "definition": pretty({} if definition is None else dump_step(definition)),
        "files": files,
        "has_result": step.status == "succeeded",
        "scores": read_step_scores(connection, step.step_id),
        "shown_files": show_files(reader, files, links),
        "needs": [view.by_name[need] for need in step.needed if need in view.by_name],
        "dependents": [other for other in view.steps if name in other.needed],
        "items": read_item_page(reader, view, name, wanted, is_live=status not in NOT_LIVE),
        "orders": ORDERS,
        "state_of": partial(step_state, view, is_live=status not in NOT_LIVE),
        "links": links,
    }


def step_version(reader: LedgerReader, database: Path, job_id: str, name: str) -> str:
    """A text that changes when the content of the page does, except for running times."""
    found = read_rows(reader.connection, StepRow, "step_id = ?", f"{job_id}/{name}")
    is_running = bool(found) and found[0].status == "running"
    size = growing_size(database, job_id, name, found[0].attempts) if is_running else 0
    return f"{job_version(reader, database, job_id)} {size}"
