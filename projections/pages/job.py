"""The page of one job, in its current state or in the state after an earlier event."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from msgspec import Struct

from orc.ledger.command_lines import is_in_decision
from orc.ledger.files.locks import has_owner
from orc.ledger.files.runner_log import read_runner
from orc.ledger.kinds import JOB_ENDED, NOT_LIVE, NOTABLE, SHOWN_RESUMABLE
from orc.ledger.reader import LedgerReader
from orc.ledger.transport.imported import imported, resume_command
from orc.projections.folder.jsonl import event_object
from orc.projections.folds.doubts import Doubts
from orc.projections.history.definitions import SpecSeen, read_spec
from orc.projections.history.timeline import read_timeline
from orc.projections.money.budget_use import budget_use
from orc.projections.pages.home import elapsed_of, progress_of
from orc.projections.pages.links import Links
from orc.projections.pages.runs import can_do, runner_note
from orc.projections.pictures.graph_svg import draw_graph
from orc.projections.pictures.nodes import nodes_of_view
from orc.projections.pictures.timeline_svg import draw_timeline
from orc.projections.scores.overview import has_scores, read_means
from orc.projections.tables.derived_tables import tables_at
from orc.projections.tables.inner_waits import is_asking
from orc.projections.tables.inside import Usage
from orc.projections.tables.job_view import JobView, read_circuits, read_files, read_view
from orc.projections.tables.questions import answers_to, continued_by
from orc.projections.tables.rows import StepRow
from orc.projections.tables.status import NEXT_TEXTS, shown_status, step_state, step_status
from orc.projections.tables.step_notes import failures_of, step_note
from orc.projections.tables.tags import read_tags

INSIDE_MAX = 20
INNER_MAX = 200
FAILURES_MAX = 20
_DEPTH_MAX = 4
_EVENT_CHARS = 300


class Moment(Struct, frozen=True):
    """The event whose state the page shows: `version` of `head` events, its time and its summary."""

    version: int
    head: int
    at: str
    summary: str

    @property
    def is_now(self) -> bool:
        """Whether the page shows the current state."""
        return self.version == self.head


def read_job(
    reader: LedgerReader, database: Path, job_id: str, links: Links, *, now: str, at: int | None
) -> dict[str, Any]:
    """The values of the template `job.html`; with `at`, in the state after that event.

    `at` is from 1 to the version of the job's last event. `now` is UTC text. Raises LedgerError.
    """
    head = reader.head(job_id).version
    moment = read_moment(reader, job_id, at or head, head)
    if moment.is_now:
        view = read_view(reader.connection, job_id)
        status = shown_status(reader.connection, database, job_id, view.job.status)
        values = read_values(reader, view, status, links, moment, now=now)
        runner = runner_note(database, job_id, status, head) if links.act(job_id) else None
        return {**values, "can": can_do(status), "runner": runner}
    with tables_at(database, job_id, moment.version) as connection:
        then = LedgerReader(database, connection)
        view = read_view(connection, job_id)
        values = read_values(then, view, view.job.status, links, moment, now=moment.at)
        return {**values, "can": None, "runner": None}


def job_version(reader: LedgerReader, database: Path, job_id: str) -> str:
    """A text that changes when the content of the page does, except for running times."""
    runner = read_runner(database, job_id)
    shown = "" if runner is None else f"-{runner.is_running}-{runner.stamp}"
    return f"{reader.head(job_id).version}-{has_owner(database, job_id)}{shown}"


def read_moment(reader: LedgerReader, job_id: str, version: int, head: int) -> Moment:
    """One event of the job, with a summary in words."""
    recorded = reader.read_event(job_id, version)
    shown = event_object(recorded, with_hash=False)
    words = [recorded.event.type, str(shown.get("step", ""))]
    if "attempt" in shown:
        words.append(f"attempt {shown['attempt']}")
    words += [str(shown[key]) for key in ("kind", "message", "reason", "path") if shown.get(key)]
    summary = " ".join(word for word in words if word)[:_EVENT_CHARS]
    return Moment(version, head, recorded.recorded_at, summary)


def read_values(
    reader: LedgerReader, view: JobView, status: str, links: Links, moment: Moment, *, now: str
) -> dict[str, Any]:
    """The values that the page and the HTML export share. Raises LedgerError.

    `status` is the one to show, as in `shown_status`.
    """
    connection, job_id = reader.connection, view.job.job_id
    is_live = status not in NOT_LIVE
    timeline = read_timeline(
        connection,
        view,
        now=now,
        up_to=None if moment.is_now else moment.version,
        is_live=is_live,
    )

    def link(step: str) -> str:
        return links.step(job_id, step)

    spec = read_spec(reader, job_id, version=moment.version)
    asking = [step for step in view.steps if is_asking(step)][:FAILURES_MAX]
    # The command for a decision continues the job, too.
    is_answered = bool(asking) and is_in_decision(continued_by(reader, job_id), job_id)
    lines, inner_tables = _step_tables(view, is_live=is_live)
    failed, tolerated = failures_of(view)
    return {
        "job": view.job,
        "status": status,
        "is_over": status in JOB_ENDED,
        "is_resumable": status in SHOWN_RESUMABLE,
        "next_text": NEXT_TEXTS.get(status, str)(),
        "moment": moment,
        "progress": progress_of(view.job),
        "elapsed_s": elapsed_of(view.job, status, now),
        "budget": _budget(reader, spec, job_id, moment.version),
        "models": view.models,
        "tags": read_tags(connection, job_id),
        "has_results": has_scores(connection, job_id),
        "score_means": read_means(connection, job_id),
        "failed": failed[:FAILURES_MAX],
        "failed_left": max(0, len(failed) - FAILURES_MAX),
        "tolerated": view.all_tolerated,
        "tolerated_steps": tolerated[:FAILURES_MAX],
        "tolerated_left": max(0, len(tolerated) - FAILURES_MAX),
        "is_live": is_live,
        "asking": [(step, answers_to(reader, job_id, step.name)) for step in asking],
        "resume": "" if is_answered else resume_command(connection, job_id),
        "graph": draw_graph(nodes_of_view(view, is_live=is_live), link=link),
        "timeline": draw_timeline(timeline, link=link),
        "lines": lines,
        "inner_tables": inner_tables,
        "state_of": partial(step_state, view, is_live=is_live),
        "files": read_files(connection, job_id),
        "step_names": {step.step_id: step.name for step in view.steps},
        "batches": list(view.batches.values()),
        "circuits": read_circuits(connection, job_id),
        "doubts": _doubts(view),
        "imported": imported(connection, job_id) if moment.is_now else None,
        "spec": spec,
        "links": links,
    }


class StepLine(Struct, frozen=True):
    """A line of the table of steps: a step, with what it and the steps inside it used.

    `inside_count` is set if the steps inside have their own table.
    """

    step: StepRow
    depth: int
    note: str
    used: Usage
    inside_count: int = 0


class InnerTable(Struct, frozen=True):
    """A separate table for many steps inside one; `counts` has the number in each state."""

    container: StepRow
    lines: tuple[StepLine, ...]
    counts: Mapping[str, int]

    @property
    def shown(self) -> Sequence[StepLine]:
        """At most `INNER_MAX` lines in their order, first of all those of steps that ask for a look."""
        if len(self.lines) <= INNER_MAX:
            return self.lines
        chosen = [line for line in self.lines if line.step.status in NOTABLE][:INNER_MAX]
        others = (line for line in self.lines if line.step.status not in NOTABLE)
        names = {line.step.name for line in (*chosen, *islice(others, INNER_MAX - len(chosen)))}
        return [line for line in self.lines if line.step.name in names]


def _step_tables(view: JobView, *, is_live: bool) -> tuple[list[StepLine], list[InnerTable]]:
    """The lines of the main table, and separate tables for containers with many steps."""
    inner_tables: list[InnerTable] = []
    return list(_lines(view, view.top_level, 0, inner_tables, is_live=is_live)), inner_tables


def _lines(
    view: JobView,
    steps: Sequence[StepRow],
    depth: int,
    inner_tables: list[InnerTable],
    *,
    is_live: bool,
) -> Iterator[StepLine]:
    for step in steps:
        children = view.children_of.get(step.name, [])
        note, used = step_note(view, step, is_live=is_live), view.usage[step.name]
        if len(children) <= INSIDE_MAX:
            yield StepLine(step, min(depth, _DEPTH_MAX), note, used)
            yield from _lines(view, children, depth + 1, inner_tables, is_live=is_live)
            continue
        yield StepLine(step, min(depth, _DEPTH_MAX), note, used, len(children))
        counts = Counter(step_status(view, child, is_live=is_live) for child in children)
        inner: list[InnerTable] = []
        within = tuple(_lines(view, children, 0, inner, is_live=is_live))
        inner_tables.append(InnerTable(step, within, counts))
        inner_tables += inner


def _budget(
    reader: LedgerReader, spec: SpecSeen, job_id: str, version: int
) -> list[tuple[str, int, int]]:
    budget = None if spec.definition is None else spec.definition.budget
    return [] if budget is None else budget_use(reader, job_id, budget.limits(), version=version)


def _doubts(view: JobView) -> str | None:
    job = view.job
    if not job.calls_in_doubt:
        return None
    return Doubts(job.calls_in_doubt, job.in_doubt_nano_usd or 0, job.in_doubt_unpriced).text()
