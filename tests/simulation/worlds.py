"""The two kinds of simulated jobs, each with its model, its providers and its referee."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any, Protocol

from msgspec.structs import replace

from orc.ledger.definition import FileDef, JobDef
from orc.scheduler.core.fold.evolve import JobState
from tests.builders import EPOCH_S
from tests.flow_model import Flow, all_nodes, job_status, walk
from tests.model import Plan, Task, foresee
from tests.scheduler.flow_referee import FlowReferee
from tests.scheduler.flow_stand import LANE, FlowModel, answer, own_name, price
from tests.scheduler.flow_stand import definition_of as flow_definition
from tests.scheduler.harness import Stand, definition_of, empty_stand
from tests.scheduler.referee import Referee
from tests.scheduler.scripted import ScriptedModel
from tests.scheduler.watches import demand
from tests.simulation.jobs import is_foreseen, random_flow, random_plan
from tests.simulation.oracles import CallWatch, Watched


class World(Protocol):
    """A job with its checks."""

    definition: JobDef
    calls: CallWatch
    is_foreseen: bool
    """Whether the job must end as its model says, which knows of no mistakes."""

    def stand(self) -> Any:
        """An empty ledger for the job in a temporary folder."""

    def observe(self, now: float, events: Sequence[Any], *, is_stopping: bool) -> None:
        """Check one commit at this time. Raises Objection."""

    def catch_up(self, events: Sequence[Any]) -> None:
        """Take in unobserved commits at the end of a life. Raises Objection."""

    def decisions(self, state: JobState) -> dict[str, str]:
        """The decisions for the open questions."""

    def answer(self, stand: Stand, state: JobState, turn: int) -> None:
        """Act as a person for a waiting job."""

    def check_end(self, stand: Stand, state: JobState) -> None:
        """Check that the job ended as the model predicts. Raises Objection."""


def random_world(chance: Random, more: Random) -> World:
    """A random job of either kind."""
    if chance.random() < 0.55:
        return PlanWorld(random_plan(chance, more))
    return FlowWorld(random_flow(chance, more))


class PlanWorld:
    """A job of prompts and values: retries, limits, circuits, fallbacks, timeouts."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.is_foreseen = is_foreseen(plan)
        self.calls = CallWatch()
        self.referee = Referee(plan, epoch_s=EPOCH_S)
        steps = tuple(
            replace(step, files=(FileDef(path=f"{step.id}.txt"),))
            for step in definition_of(plan).steps
        )
        self.definition = replace(definition_of(plan), steps=steps)
        lanes = sorted({choice.lane for task in plan.tasks for choice in task.choices} - {""})
        self._models = {lane: Watched(ScriptedModel(lane, plan), self.calls) for lane in lanes}

    @contextmanager
    def stand(self) -> Iterator[Stand]:
        with empty_stand(self.plan, self.definition, self._models) as stand:
            yield stand

    def observe(self, now: float, events: Sequence[Any], *, is_stopping: bool) -> None:
        self.referee.is_stopping = is_stopping
        self.calls.observe(events)
        self.referee.observe(now, events)

    def catch_up(self, events: Sequence[Any]) -> None:
        self.calls.observe(events)
        self.referee.recall(events)

    def decisions(self, state: JobState) -> dict[str, str]:
        return {}

    def answer(self, stand: Stand, state: JobState, turn: int) -> None:
        raise AssertionError(f"{state.status}: no question can be open in this status")

    def check_end(self, stand: Stand, state: JobState) -> None:
        self.referee.finished(timed_out=state.job_failure is not None)
        if not self.is_foreseen:
            return
        expected = foresee(self.plan)
        fates = {name: fate.status for name, fate in expected.fates.items()}
        _demand_equal({name: step.status for name, step in state.steps.items()}, fates)
        demand(state.status == expected.status, f"{state.status}, not {expected.status}")
        for name, fate in expected.fates.items():
            failure = state.steps[name].failure
            kind = failure.kind if fate.status == "failed" and failure else None
            demand(fate.status != "failed" or kind == fate.kind, f"{name}: {kind}, not {fate.kind}")


class FlowWorld:
    """A job with conditions, fan-outs, loops, groups, approvals and budgets."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.calls = CallWatch()
        self.referee = FlowReferee(flow)
        self.definition = flow_definition(flow)
        self._models = {LANE: Watched(FlowModel(flow), self.calls)}
        self.is_foreseen = True

    @contextmanager
    def stand(self) -> Iterator[Stand]:
        models: Mapping[str, Any] = self._models
        with empty_stand(Plan((Task("unused"),)), self.definition, models) as stand:
            stand.price = price
            yield stand

    def observe(self, now: float, events: Sequence[Any], *, is_stopping: bool) -> None:
        self.referee.is_stopping = is_stopping
        self.calls.observe(events)
        self.referee.observe(now, events)
        self._note(events)

    def catch_up(self, events: Sequence[Any]) -> None:
        self.calls.observe(events)
        self.referee.catch_up(events)
        self._note(events)

    def _note(self, events: Sequence[Any]) -> None:
        if any(self._leaves_the_model(event) for event in events):
            self.is_foreseen = False

    def _leaves_the_model(self, event: Any) -> bool:
        """Whether the job may end otherwise than the model, which knows no faults and no limits."""
        match event.type:
            case "job.cancelling":
                # Its always() and cancelled() steps then ran with fewer results before them.
                return True
            case "step.failed":
                return event.kind == "budget" or "may or may not have completed" in event.message
            case "approval.decided":
                return (
                    event.option == "reject" and self.referee.steps[event.step].node.kind == "ask"
                )
        return False

    def decisions(self, state: JobState) -> dict[str, str]:
        options = {node.id: node.option for node in all_nodes(self.flow.nodes)}
        return {name: options[own_name(name)] for name in sorted(state.questions)}

    def answer(self, stand: Stand, state: JobState, turn: int) -> None:
        answer(stand, self.flow, state, raise_by=turn + 1)

    def check_end(self, stand: Stand, state: JobState) -> None:
        self.referee.finished()
        if not self.is_foreseen:
            return
        expected = walk(self.flow)
        _demand_equal({name: s.status for name, s in state.steps.items()}, expected.statuses)
        status = job_status(self.flow, expected.ends)
        demand(state.status == status, f"{state.status}, not {status}")
        with stand.open() as ledger:
            outputs = {
                name: ledger.read_payload(step.output)
                for name, step in state.steps.items()
                if step.status == "succeeded"
            }
        _demand_equal(outputs, expected.outputs)


def _demand_equal(found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    names = sorted({*found, *expected})
    differ = [
        f"{name}: {found.get(name)!r}, not {expected.get(name)!r}"
        for name in names
        if found.get(name, "nothing") != expected.get(name, "nothing")
    ]
    demand(not differ, "; ".join(differ))
