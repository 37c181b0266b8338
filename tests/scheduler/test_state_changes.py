"""Only `evolve` changes a job's state: `decide`, queries and queues do not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

import orc.scheduler.guard as guard_module
import orc.scheduler.runner as runner_module
import orc.scheduler.turn as turn_module
from orc.ledger import Recorded
from orc.ledger.codec import row_to_recorded
from orc.ledger.definition import load_job
from orc.ledger.events import AnyEvent, JobSubmitted
from orc.scheduler.core.commands import (
    AskAboutDoubt,
    AskPerson,
    CancelJob,
    Command,
    DecideApproval,
    ExpandStep,
    ExpireStep,
    Failed,
    FailStep,
    FinishAttempt,
    Interrupted,
    InterruptJob,
    PauseJob,
    RecordCall,
    ResumeJob,
    Settle,
    SkipStep,
    StartAttempt,
    StartJob,
    Succeeded,
    TimeOutJob,
)
from orc.scheduler.core.fold.compare import plan_changes
from orc.scheduler.core.fold.evolve import JobState, evolve
from orc.scheduler.core.fold.limits import held_by_circuit
from orc.scheduler.core.fold.queues import WorkQueues
from orc.scheduler.core.rules.decide import decide
from tests.builders import EPOCH_S, OWNER, call_failed, fold_recorded, new_state, responded
from tests.flow_model import Flow
from tests.flow_strategies import flows
from tests.histories.recorder import COLUMNS, FOLDER
from tests.model import Plan
from tests.scheduler.flow_stand import answer, stand_of
from tests.scheduler.flows import ASKING, FLOW, flow_stand
from tests.scheduler.harness import Stand, stand_for
from tests.scheduler.profiles import bounded, long
from tests.snapshots import snapshot
from tests.strategies import plans

FAR_S = EPOCH_S + 10_000_000.0
HISTORIES = sorted(FOLDER.glob("*.jsonl"))
RUNS_MAX = 30


def commands(state: JobState) -> Iterator[Command]:
    """Every kind of command for every step, whether it applies in the state or not."""
    yield from (StartJob(OWNER), ResumeJob(OWNER), Settle(), PauseJob(), TimeOutJob())
    yield from (CancelJob(), CancelJob(1, at_once=True), InterruptJob("SIGTERM"))
    for step_id, step in state.steps.items():
        failed = Failed("timeout", "too late", 1.0)
        yield from (StartAttempt(step_id, FAR_S), SkipStep(step_id), ExpireStep(step_id))
        yield from (
            FailStep(step_id, failed),
            AskAboutDoubt(step_id),
            AskPerson(step_id, "?", FAR_S),
        )
        yield from (DecideApproval(step_id, "approve"), DecideApproval(step_id, "reject"))
        yield ExpandStep(step_id, (f"{step_id}[0]",))
        succeeded = Succeeded(step.output, 1.0) if step.output is not None else failed
        for outcome in (succeeded, failed, Interrupted("signal", 1.0)):
            yield FinishAttempt(step_id, step.attempts, outcome, FAR_S, wait_s=1.0)
        yield RecordCall(responded(step_id, step.attempts), FAR_S)
        yield RecordCall(call_failed(step_id, step.attempts, kind="rate_limit"), FAR_S)


def ask_everything(state: JobState) -> None:
    """Call every query of the state and every method of the queues."""
    queues = WorkQueues(state)
    for now in (EPOCH_S, FAR_S):
        queues.take_overdue(now)
        queues.wake(now)
        list(queues.ready(now))
        queues.next_due(now)
        queues.waits_for_person_only()
    for step_id in queues.take_due():
        if state.steps[step_id].ticket:
            queues.add_ready(step_id)
    list(queues.ready(FAR_S))
    for step_id in state.steps:
        held_by_circuit(state, step_id, FAR_S)
        state.target_of(step_id)
    state.summary()
    with suppress(KeyError):
        plan_changes(state, state.graph, {})


def check_nothing_changes(state: JobState) -> None:
    before = snapshot(state)
    for command in commands(state):
        # A command that only a bug can send fails an assertion, and must not change the state.
        with suppress(AssertionError, AttributeError, KeyError):
            decide(state, command)
    assert snapshot(state) == before
    ask_everything(state)
    assert snapshot(state) == before


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_no_command_and_no_question_changes_the_state_at_any_event(path: Path) -> None:
    *rows, _ = map(json.loads, path.read_text("utf-8").splitlines())
    state: JobState | None = None
    for row in rows:
        recorded = row_to_recorded((0, *(row[name] for name in COLUMNS)))
        if state is None:
            assert isinstance(recorded.event, JobSubmitted)
            state = new_state(load_job(recorded.event.spec.value))
            check_nothing_changes(state)
        evolve(state, recorded)
        check_nothing_changes(state)


class Watch:
    """Fails if the runner's state changes between two events."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.events = 0
        self.decisions = 0
        self._after: dict[int, Any] = {}
        patch.setattr(turn_module, "evolve", self.evolve)
        for module in (runner_module, guard_module):
            patch.setattr(module, "decide", self.decide)

    def begin(self) -> None:
        """Begin with a new runner's state."""
        self._after.clear()

    def evolve(self, state: JobState, recorded: Recorded) -> JobState:
        self.check(state)
        evolve(state, recorded)
        self.events += 1
        self._after[id(state)] = snapshot(state)
        return state

    def decide(self, state: JobState, command: Command) -> list[AnyEvent]:
        before = snapshot(state)
        events = decide(state, command)
        assert snapshot(state) == before, command
        self.decisions += 1
        return events

    def check(self, state: JobState) -> None:
        known = self._after.get(id(state))
        assert known is None or snapshot(state) == known, "changed outside of evolve"


def run_watched(stand: Stand, watch: Watch) -> JobState:
    """Run the job once, and check that its final state equals the fold of its events."""
    watch.begin()
    state = stand.run()
    watch.check(state)
    assert state == fold_recorded(stand.definition, stand.stream())
    return state


@pytest.mark.parametrize("text", [FLOW, ASKING], ids=["flow", "asking"])
def test_a_run_changes_its_state_by_events_alone(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(monkeypatch)
    with flow_stand(text) as stand:
        run_watched(stand, watch)
    assert watch.events > 5
    assert watch.decisions > 5


@bounded(8)
@given(plan=plans(limited=True))
def test_a_random_job_changes_its_state_by_events_alone(plan: Plan) -> None:
    check_job(plan)


def check_job(plan: Plan) -> None:
    with pytest.MonkeyPatch.context() as patch, stand_for(plan) as stand:
        run_watched(stand, Watch(patch))


@bounded(8)
@given(flow=flows())
def test_a_random_flow_changes_its_state_by_events_alone(flow: Flow) -> None:
    check_flow(flow)


def check_flow(flow: Flow) -> None:
    with pytest.MonkeyPatch.context() as patch, stand_of(flow) as stand:
        watch = Watch(patch)
        stand.submit()
        for _ in range(RUNS_MAX):
            state = run_watched(stand, watch)
            if state.status != "waiting":
                return
            answer(stand, flow, state)


@pytest.mark.torture
class TestForLong:
    """The same properties with many more jobs."""

    @long
    @given(plan=plans(limited=True))
    def test_a_random_job_changes_its_state_by_events_alone(self, plan: Plan) -> None:
        check_job(plan)

    @long
    @given(flow=flows())
    def test_a_random_flow_changes_its_state_by_events_alone(self, flow: Flow) -> None:
        check_flow(flow)
