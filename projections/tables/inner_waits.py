"""What the steps inside a container or a job wait for: `2 of 3 items wait for a person`.

A container has started, and its own row stays `running` while the steps inside it wait.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from orc.ledger.kinds import OPEN, WaitsFor, facts_of
from orc.ledger.wording import count_text, number_text

if TYPE_CHECKING:
    from orc.projections.tables.rows import StepRow

WAITS_FOR: dict[WaitsFor, str] = {
    "approval": "for a person",
    "in_doubt": "for a person",
    "budget": "for a larger budget",
    "retry": "for a retry",
    "batch": "for a batch",
}
"""What a step waits for, in words that follow `waits`."""


class StepWait(NamedTuple):
    """A step of a row or of a folded job: its id, the step that contains it, and its state.

    `waits_for` is None unless its status is `waiting`, or its call is in a batch.
    """

    name: str
    parent: str | None
    kind: str
    status: str
    waits_for: WaitsFor | None


class InnerWaits:
    """The steps directly inside an open container, of which there are `total`.

    `waiting` counts for each reason those that wait for it, or that contain a step which does.
    `has_work` is whether a step inside runs, at any depth; `names` are the waiting steps, at any
    depth, in order. `ended` counts those that have ended.
    """

    def __init__(self, holds: str) -> None:
        self.holds = holds
        self.total = 0
        self.ended = 0
        self.has_work = False
        self.waiting: dict[str, int] = {}
        self.names: list[str] = []

    @property
    def is_waiting(self) -> bool:
        """Whether steps inside wait, and none of them runs."""
        return bool(self.waiting) and not self.has_work

    @property
    def is_left_to_people(self) -> bool:
        """Whether a person must act for one of the waiting steps."""
        alone = (WAITS_FOR["retry"], WAITS_FOR["batch"])
        return any(reason not in alone for reason in self.waiting)

    def text(self) -> str:
        """`2 of 3 items wait for a person, 1 for a retry`; empty if no step inside waits."""
        parts: list[str] = []
        for reason, number in self.waiting.items():
            if self.holds == "round":
                # The rounds before the last one have ended.
                lead = f"round {number_text(self.total)} waits " if not parts else "and "
            elif parts:
                lead = f"{number_text(number)} "
            else:
                verb = "waits" if number == 1 else "wait"
                lead = f"{number_text(number)} of {count_text(self.total, self.holds)} {verb} "
            parts.append(f"{lead}{reason}")
        return (" " if self.holds == "round" else ", ").join(parts)


class JobWaits(NamedTuple):
    """How many steps of a job wait for an answer, for a larger budget, and for a batch."""

    questions: int = 0
    over_budget: int = 0
    batched: int = 0

    def text(self) -> str:
        """`for 2 answers and a larger budget`; `to be resumed` if nothing else is left to do."""
        parts = [count_text(self.questions, "answer")] * bool(self.questions)
        parts += ["a larger budget"] * bool(self.over_budget)
        parts += ["a batch"] * bool(self.batched)
        return f"for {' and '.join(parts)}" if parts else "to be resumed"


def read_job_waits(connection: sqlite3.Connection, job_id: str) -> JobWaits:
    """How many steps of a job wait for a person."""
    is_asking = "question IS NOT NULL AND decision IS NULL AND status = 'waiting'"
    return JobWaits(
        *connection.execute(
            f"SELECT count(*) FILTER (WHERE {is_asking}), count(*) FILTER (WHERE NOT ({is_asking}) "
            "AND failure_kind = 'budget' AND status = 'waiting'), count(*) FILTER (WHERE batch IS NOT "
            "NULL) FROM steps WHERE job_id = ? AND status IN ('waiting', 'running')",
            (job_id,),
        ).fetchone()
    )


def is_asking(step: StepRow) -> bool:
    """Whether the step waits for the answer of a person."""
    return step.status == "waiting" and step.question is not None and step.decision is None


def is_over_budget(step: StepRow) -> bool:
    """Whether the step waits for a larger budget."""
    return step.status == "waiting" and not is_asking(step) and step.failure_kind == "budget"


def is_in_batch(step: StepRow) -> bool:
    """Whether the step's call waits in a batch."""
    return step.status == "running" and step.batch is not None


def wait_of(step: StepRow) -> StepWait:
    """What a row says of the step's wait."""
    found: WaitsFor | None = "batch" if is_in_batch(step) else None
    if step.status == "waiting":
        found = "approval" if is_asking(step) else "budget" if is_over_budget(step) else "retry"
    return StepWait(step.name, step.parent, step.kind, step.status, found)


def inner_waits(steps: Iterable[StepWait]) -> dict[str, InnerWaits]:
    """The waits inside each open container that has steps inside it, by the id of the container."""
    by_name = {step.name: step for step in steps}
    found: dict[str, InnerWaits] = {}
    for step in by_name.values():
        for around in _open_around(step, by_name):
            inside = found.setdefault(
                around.name, InnerWaits(facts_of(around.kind).holds or "member")
            )
            is_busy = step.status == "running" and step.waits_for is None
            inside.has_work |= is_busy and not facts_of(step.kind).is_container
            inside.names += [step.name] * (step.waits_for is not None)
        if step.parent in found:
            found[step.parent].total += 1
            found[step.parent].ended += step.status not in OPEN
    for name, reasons in _reasons(by_name).items():
        parent = by_name[name].parent
        if parent is None or parent not in found:
            continue
        waiting = found[parent].waiting
        for reason in reasons:
            waiting[reason] = waiting.get(reason, 0) + 1
    return found


def _reasons(by_name: Mapping[str, StepWait]) -> dict[str, list[str]]:
    """What each step waits for, or the steps inside it, in the order of the steps."""
    found: dict[str, list[str]] = {}
    for step in by_name.values():
        if step.waits_for is None:
            continue
        reason = WAITS_FOR[step.waits_for]
        for name in (step.name, *(around.name for around in _open_around(step, by_name))):
            known = found.setdefault(name, [])
            if reason not in known:
                known.append(reason)
    return found


def _open_around(step: StepWait, by_name: Mapping[str, StepWait]) -> Iterator[StepWait]:
    """The open containers of the step, the innermost first."""
    around = by_name.get(step.parent or "")
    while around is not None and around.status in OPEN:
        yield around
        around = by_name.get(around.parent or "")
