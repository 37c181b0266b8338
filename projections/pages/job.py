"""The page of one job, now or as it was after an earlier event."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from orc.ledger.locks import has_owner
from orc.ledger.reader import LedgerReader
from orc.ledger.transport.imported import imported
from orc.projections.folder.jsonl import event_object
from orc.projections.folds.doubts import Doubts
from orc.projections.history.definitions import SpecSeen, read_spec
from orc.projections.history.timeline import read_timeline
from orc.projections.pages.home import elapsed_of, progress_of
from orc.projections.pages.links import Links
from orc.projections.pictures.graph_svg import draw_graph
from orc.projections.pictures.nodes import nodes_of_view
from orc.projections.pictures.timeline_svg import draw_timeline
from orc.projections.tables.job_view import JobView, read_circuits, read_files, read_view
from orc.projections.tables.moment import tables_at
from orc.projections.tables.rows import StepRow
from orc.projections.tables.status import shown_status, step_state

INSIDE_MAX = 20
FAILURES_MAX = 20
_DEPTH_MAX = 4
_EVENT_CHARS = 300


@dataclass(frozen=True, slots=True)
class Moment:
    """Which event the page stands at: number `version` of `head`, its time, and what it said."""

    version: int
    head: int
    at: str
    said: str

    @property
    def is_now(self) -> bool:
        """Whether the page shows the job as it is."""
        return self.version == self.head


def read_job(
    reader: LedgerReader, database: Path, job_id: str, links: Links, *, now: str, at: int | None
) -> dict[str, Any]:
    """What the template `job.html` shows; with `at`, after that event. Raises LedgerError.

    `at` is from 1 to the version of the job's last event. `now` is UTC text.
    """
    head = reader.head(job_id).version
    moment = read_moment(reader, job_id, at or head, head)
    if moment.is_now:
        view = read_view(reader.connection, job_id)
        status = shown_status(database, job_id, view.job.status)
        return read_values(reader, view, status, links, moment, now=now)
    with tables_at(database, job_id, moment.version) as connection:
        then = LedgerReader(database, connection)
        view = read_view(connection, job_id)
        return read_values(then, view, view.job.status, links, moment, now=moment.at)


def job_version(reader: LedgerReader, database: Path, job_id: str) -> str:
    """Changes with whatever the page shows, but for the time that passes."""
    return f"{reader.head(job_id).version}-{has_owner(database, job_id)}"


def read_moment(reader: LedgerReader, job_id: str, version: int, head: int) -> Moment:
    """One event of the job, in words."""
    recorded = reader.read_event(job_id, version)
    shown = event_object(recorded, with_hash=False)
    words = [recorded.event.type, str(shown.get("step", ""))]
    if "attempt" in shown:
        words.append(f"attempt {shown['attempt']}")
    words += [str(shown[key]) for key in ("kind", "message", "reason", "path") if shown.get(key)]
    said = " ".join(word for word in words if word)[:_EVENT_CHARS]
    return Moment(version, head, recorded.recorded_at, said)


def read_values(
    reader: LedgerReader, view: JobView, status: str, links: Links, moment: Moment, *, now: str
) -> dict[str, Any]:
    """What is to be shown of a job, whose status is the one to show. Raises LedgerError."""
    connection, job_id = reader.connection, view.job.job_id
    is_live = status != "interrupted"
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
    lines, families = _families(view)
    return {
        "job": view.job,
        "status": status,
        "moment": moment,
        "progress": progress_of(view.job),
        "elapsed_s": elapsed_of(view.job, status, now),
        "budget": budget_lines(view, spec),
        "models": _models(view),
        "failed": [step for step in view.steps if step.status == "failed"][:FAILURES_MAX],
        "asking": [
            step
            for step in view.steps
            if step.status == "waiting" and step.question and not step.decision
        ][:FAILURES_MAX],
        "graph": draw_graph(nodes_of_view(view, is_live=is_live), link=link),
        "timeline": draw_timeline(timeline, link=link),
        "lines": lines,
        "families": families,
        "state_of": partial(step_state, is_live=is_live),
        "files": read_files(connection, job_id),
        "step_names": {step.step_id: step.name for step in view.steps},
        "circuits": read_circuits(connection, job_id),
        "doubts": _doubts(view),
        "imported": imported(connection, job_id) if moment.is_now else None,
        "spec": spec,
        "links": links,
    }


@dataclass(frozen=True, slots=True)
class StepLine:
    """A step in the table, `depth` steps deep. Of many inside it, `folded` are in a table below."""

    step: StepRow
    depth: int
    folded: int = 0


@dataclass(frozen=True, slots=True)
class Family:
    """Many steps inside one, in a table of their own; `counts` says how many are in which state."""

    holder: StepRow
    lines: tuple[StepLine, ...]
    counts: Mapping[str, int]


def _families(view: JobView) -> tuple[list[StepLine], list[Family]]:
    """The steps with what is inside them below; more than a few inside one stand apart."""
    families: list[Family] = []
    return list(_lines(view, view.tops, 0, families)), families


def _lines(
    view: JobView, steps: Sequence[StepRow], depth: int, families: list[Family]
) -> Iterator[StepLine]:
    for step in steps:
        children = view.children_of.get(step.name, [])
        if len(children) <= INSIDE_MAX:
            yield StepLine(step, min(depth, _DEPTH_MAX))
            yield from _lines(view, children, depth + 1, families)
            continue
        yield StepLine(step, min(depth, _DEPTH_MAX), len(children))
        counts = Counter(child.status for child in children)
        inner: list[Family] = []
        families.append(Family(step, tuple(_lines(view, children, 0, inner)), counts))
        families += inner


def _models(view: JobView) -> list[str]:
    """The models that steps asked, or would ask, by name."""
    named = {
        f"{step.provider}/{step.model}" if step.model else step.provider
        for step in view.steps
        if step.provider
    }
    return sorted(named)


def budget_lines(view: JobView, spec: SpecSeen) -> list[tuple[str, float, float]]:
    """What of the job's budget is used: the limit's name, how much, of how much."""
    budget = None if spec.definition is None else spec.definition.budget
    job = view.job
    used = {
        "max_cost_usd": job.cost_usd or 0.0,
        "max_tokens": job.input_tokens + job.output_tokens,
        "max_calls": job.calls,
    }
    return [
        (name, float(spent), float(limit))
        for name, spent in used.items()
        if (limit := getattr(budget, name, None)) is not None
    ]


def _doubts(view: JobView) -> str | None:
    job = view.job
    if not job.calls_in_doubt:
        return None
    return Doubts(job.calls_in_doubt, job.in_doubt_usd or 0.0, job.in_doubt_unpriced).text()
