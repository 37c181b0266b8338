"""Random jobs on the real runner and a real ledger, checked against the independent model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orc.ledger import Recorded
from orc.ledger.events import LlmResponded, StepFailed
from orc.scheduler.core.fold.evolve import JobState
from tests.builders import EPOCH_S
from tests.model import Foreseen, Plan, foresee, steadfast
from tests.scheduler.harness import Crash, Stand, empty_stand, replayed, stand_for
from tests.scheduler.profiles import bounded, long
from tests.scheduler.referee import Referee
from tests.strategies import circuit_plans, plans, timed_plans


def watch(stand: Stand, referee: Referee, **options: Any) -> JobState:
    """Run the job while the referee checks the new commits."""
    began_s = stand.wall_s - EPOCH_S

    def observe(now: float, batch: Sequence[Recorded]) -> None:
        referee.observe(began_s + now, [recorded.event for recorded in batch])

    return stand.run(observe=observe, **options)


def referee_for(stand: Stand) -> Referee:
    referee = Referee(stand.plan, epoch_s=EPOCH_S)
    referee.observe(0.0, [recorded.event for recorded in stand.stream()])
    return referee


def check_end(plan: Plan, state: JobState, expected: Foreseen) -> None:
    fates = expected.fates
    assert {name: step.status for name, step in state.steps.items()} == {
        name: fate.status for name, fate in fates.items()
    }
    assert state.status == expected.status
    kinds = {name: step.failure and step.failure.kind for name, step in state.steps.items()}
    for task in plan.tasks:
        if fates[task.id].status == "failed":
            assert kinds[task.id] == fates[task.id].kind


def check_rules_hold(plan: Plan) -> None:
    with stand_for(plan) as stand:
        referee = referee_for(stand)
        state = watch(stand, referee)
        referee.finished()
    expected = foresee(plan)
    check_end(plan, state, expected)
    assert referee.attempts == {name: fate.attempts for name, fate in expected.fates.items()}


def check_circuits(plan: Plan) -> None:
    """With circuits and fallbacks, the end depends on timing; only the rules are checked."""
    with stand_for(plan) as stand:
        referee = referee_for(stand)
        watch(stand, referee)
        referee.finished()


def check_exact_times(plan: Plan) -> None:
    with stand_for(plan) as stand:
        referee = referee_for(stand)
        state = watch(stand, referee)
        ended_at = stand.wall_s - EPOCH_S
    expected = foresee(plan)
    referee.finished(timed_out=expected.ended_at == plan.timeout_s)
    check_end(plan, state, expected)
    assert referee.starts == {name: fate.starts for name, fate in expected.fates.items()}
    assert ended_at == expected.ended_at


def check_every_prefix_folds_to_the_state_of_its_moment(plan: Plan) -> None:
    with stand_for(plan) as stand:
        then: dict[int, dict[str, Any]] = {}

        def keep(state: JobState, batch: Sequence[Recorded]) -> None:
            then[state.version] = state.summary()

        stand.run(on_state=keep)
        stream = stand.stream()
        assert stand.state().summary() == then[len(stream)]
    for version, summary in then.items():
        assert replayed(stand.definition, stream[:version]) == summary


def check_crashes_change_no_ends_or_outputs(plan: Plan, crashes: Sequence[tuple[int, str]]) -> None:
    with stand_for(plan) as stand:
        referee = referee_for(stand)
        died = 0
        for commits, dies in crashes:
            try:
                watch(stand, referee, commits=commits, dies=dies)
                break
            except Crash:
                died += 1
                # The last commit before the death was not observed.
                stream = stand.stream()
                seen = [recorded.event for recorded in stream[referee.versions :]]
                referee.recall(seen)
                if stand.state().status == "succeeded":
                    break
        else:
            if stand.state().status != "succeeded":
                watch(stand, referee)
        check_after_crashes(stand, referee, died)


def check_after_crashes(stand: Stand, referee: Referee, died: int) -> None:
    referee.finished()
    state = stand.state()
    check_end(stand.plan, state, foresee(stand.plan))
    for name, course in referee.courses.items():
        paid = sum(model.paid[name] for model in stand.models.values())
        assert paid <= course.replies + died
    with stand_for(stand.plan) as calm:
        calm.run()
        for name, step in state.steps.items():
            if step.status == "succeeded":
                assert stand.output(name) == calm.output(name)


crashes = st.lists(
    st.tuples(st.integers(1, 25), st.sampled_from(("before", "after"))), min_size=1, max_size=4
)


@bounded(15)
@given(plans(limited=True))
def test_a_job_under_limits_keeps_every_rule(plan: Plan) -> None:
    check_rules_hold(plan)


@bounded(15)
@given(circuit_plans(falls_back=False))
def test_circuits_hold_steps_back_and_change_neither_ends_nor_attempts(plan: Plan) -> None:
    check_rules_hold(plan)


@bounded(15)
@given(circuit_plans(falls_back=True))
def test_steps_move_to_their_fallback_when_the_rules_say_so(plan: Plan) -> None:
    check_circuits(plan)


@bounded(15)
@given(plans(limited=False))
def test_a_job_without_limits_has_exactly_the_predicted_times(plan: Plan) -> None:
    check_exact_times(plan)


@bounded(15)
@given(timed_plans())
def test_timeouts_of_attempts_steps_and_jobs_are_exact(plan: Plan) -> None:
    check_exact_times(plan)


@bounded(15)
@given(plans(limited=True) | circuit_plans(falls_back=True))
def test_every_prefix_of_the_events_folds_to_the_state_of_its_moment(plan: Plan) -> None:
    check_every_prefix_folds_to_the_state_of_its_moment(plan)


@bounded(15)
@given(plans(limited=True, tasks_max=6).map(steadfast), crashes)
def test_crashes_change_neither_ends_nor_outputs_and_cost_one_reply_at_most(
    plan: Plan, crashes: list[tuple[int, str]]
) -> None:
    check_crashes_change_no_ends_or_outputs(plan, crashes)


@bounded(12)
@given(circuit_plans(falls_back=False, tasks_max=6).map(steadfast), crashes)
def test_crashes_with_open_circuits_change_neither_ends_nor_outputs(
    plan: Plan, crashes: list[tuple[int, str]]
) -> None:
    check_crashes_change_no_ends_or_outputs(plan, crashes)


@bounded(12)
@given(
    (plans(limited=True, tasks_max=5) | circuit_plans(falls_back=False, tasks_max=5)).map(
        steadfast
    ),
    st.data(),
)
def test_a_stream_cut_after_any_event_goes_on_to_the_same_end(
    plan: Plan, data: st.DataObject
) -> None:
    check_cut(plan, lambda length: data.draw(st.integers(1, length - 1)))


def check_cut(plan: Plan, choose: Callable[[int], int]) -> None:
    with stand_for(plan) as whole:
        whole.run()
        check_cut_of(whole, choose(len(whole.stream())))


def check_cut_of(whole: Stand, version: int) -> None:
    """Cut the stream of a job that has ended after this event; a new run goes on to the same end."""
    plan, stream = whole.plan, whole.stream()
    with empty_stand(plan) as cut:
        cut.truncate(stream[:version], whole)
        cut.wall_s = whole.wall_s
        referee = Referee(plan, epoch_s=EPOCH_S)
        referee.recall([recorded.event for recorded in stream[:version]])
        watch(cut, referee)
        referee.finished()
        ended = cut.state()
        check_end(plan, ended, foresee(plan))
        kept = [r.event for r in stream[:version] if isinstance(r.event, LlmResponded)]
        used = {event.step for event in kept}
        names = used & {s for s, step in ended.steps.items() if step.status == "succeeded"}
        assert cut.outputs(*names) == whole.outputs(*names)


@bounded(12)
@given(plans(limited=False, tasks_max=5), st.floats(-1e6, 1e6), st.floats(0.1, 10.0))
def test_a_jump_of_the_wall_clock_changes_recorded_times_and_nothing_else(
    plan: Plan, jump_s: float, after_s: float
) -> None:
    check_jump(plan, jump_s, after_s)


def check_jump(plan: Plan, jump_s: float, after_s: float) -> None:
    def starts(wall: Callable[[float], float]) -> tuple[dict[str, list[float]], list[Any]]:
        found: dict[str, list[float]] = {task.id: [] for task in plan.tasks}

        def observe(now: float, batch: Sequence[Recorded]) -> None:
            for recorded in batch:
                if recorded.event.type == "step.started":
                    found[recorded.event.step].append(now)

        with stand_for(plan) as stand:
            state = stand.run(observe=observe, wall=wall)
            waits = [
                (r.event.step, r.event.delay_s)
                for r in stand.stream()
                if isinstance(r.event, StepFailed)
            ]
        return found, [sorted(waits, key=str), {n: s.status for n, s in state.steps.items()}]

    jumped = starts(lambda now: now if now < after_s else now + jump_s)
    assert jumped == starts(lambda now: now)


@pytest.mark.torture
class TestForLong:
    """The same properties with many more jobs."""

    @long
    @given(plans(limited=True, tasks_max=20))
    def test_a_job_under_limits_keeps_every_rule(self, plan: Plan) -> None:
        check_rules_hold(plan)

    @long
    @given(circuit_plans(falls_back=False, tasks_max=15))
    def test_circuits_hold_steps_back(self, plan: Plan) -> None:
        check_rules_hold(plan)

    @long
    @given(circuit_plans(falls_back=True, tasks_max=15))
    def test_steps_move_to_their_fallback(self, plan: Plan) -> None:
        check_circuits(plan)

    @long
    @given(circuit_plans(falls_back=False, tasks_max=12).map(steadfast), crashes)
    def test_crashes_with_open_circuits_change_no_ends_or_outputs(
        self, plan: Plan, crashes: list[tuple[int, str]]
    ) -> None:
        check_crashes_change_no_ends_or_outputs(plan, crashes)

    @long
    @given(plans(limited=False, tasks_max=20))
    def test_a_job_without_limits_has_exactly_the_predicted_times(self, plan: Plan) -> None:
        check_exact_times(plan)

    @long
    @given(timed_plans())
    def test_timeouts_are_exact(self, plan: Plan) -> None:
        check_exact_times(plan)

    @long
    @given(plans(limited=True) | circuit_plans(falls_back=True))
    def test_every_prefix_of_the_events_folds(self, plan: Plan) -> None:
        check_every_prefix_folds_to_the_state_of_its_moment(plan)

    @long
    @given(plans(limited=False), st.floats(-1e6, 1e6), st.floats(0.1, 10.0))
    def test_a_jump_of_the_wall_clock_changes_times_only(
        self, plan: Plan, jump_s: float, after_s: float
    ) -> None:
        check_jump(plan, jump_s, after_s)

    @long
    @given(plans(limited=True, tasks_max=12).map(steadfast), crashes)
    def test_crashes_change_no_ends_or_outputs(
        self, plan: Plan, crashes: list[tuple[int, str]]
    ) -> None:
        check_crashes_change_no_ends_or_outputs(plan, crashes)

    @long
    @given(plans(limited=True).map(steadfast), st.data())
    def test_a_cut_stream_goes_on_to_the_same_end(self, plan: Plan, data: st.DataObject) -> None:
        check_cut(plan, lambda length: data.draw(st.integers(1, length - 1)))
