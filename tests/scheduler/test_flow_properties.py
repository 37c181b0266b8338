"""Random flows on the real runner and a real ledger, checked against the independent model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orc.ledger import Recorded
from orc.scheduler.core.fold.state import JobState
from tests.flow_model import Flow, job_status, walk
from tests.flow_strategies import budgeted_flows, flows
from tests.scheduler.flow_referee import FlowReferee
from tests.scheduler.flow_stand import answer, events_of, stand_of
from tests.scheduler.harness import Crash, Stand, replayed
from tests.scheduler.profiles import bounded, long

TURNS_MAX = 80
Crashes = list[tuple[int, str]]


def run_to_the_end(
    stand: Stand, flow: Flow, referee: FlowReferee, crashes: Sequence[tuple[int, str]] = ()
) -> tuple[JobState, int]:
    """Run, crash, decide and resume until the job ends; return the number of crashes."""
    left = list(crashes)
    died = 0
    for turn in range(TURNS_MAX):
        options: dict[str, Any] = {}
        if left:
            options["commits"], options["dies"] = left.pop(0)

        def observe(now: float, batch: Sequence[Recorded]) -> None:
            referee.observe(now, [recorded.event for recorded in batch])

        try:
            stand.run(observe=observe, **options)
        except Crash:
            died += 1
        referee.catch_up(events_of(stand, referee.versions))
        state = stand.state()
        if state.status in ("succeeded", "failed"):
            return state, died
        if state.status == "waiting":
            # Raise more each time, because each resume retries failed steps, which costs too.
            answer(stand, flow, state, raise_by=turn + 1)
            referee.catch_up(events_of(stand, referee.versions))
    raise AssertionError(f"{stand.state().status} after {TURNS_MAX} runs")


def check_end(stand: Stand, flow: Flow, state: JobState) -> None:
    expected = walk(flow)
    assert {name: step.status for name, step in state.steps.items()} == expected.statuses
    assert state.status == job_status(flow, expected.ends)
    with stand.open() as ledger:
        outputs = {
            name: ledger.read_payload(step.output)
            for name, step in state.steps.items()
            if step.status == "succeeded"
        }
    assert outputs == expected.outputs


def start(stand: Stand, flow: Flow) -> FlowReferee:
    stand.submit()
    referee = FlowReferee(flow)
    referee.catch_up(events_of(stand, 0))
    return referee


def check_flow(flow: Flow, crashes: Sequence[tuple[int, str]] = ()) -> None:
    with stand_of(flow) as stand:
        referee = start(stand, flow)
        state, died = run_to_the_end(stand, flow, referee, crashes)
        referee.finished()
        check_end(stand, flow, state)
        paid = len(stand.models["ollama"].paid)
        assert paid <= sum(step.replies for step in referee.steps.values()) + died * flow.total


def check_prefixes(flow: Flow) -> None:
    """Every prefix of the events folds to the state at that time."""
    with stand_of(flow) as stand:
        referee = start(stand, flow)
        then: dict[int, dict[str, Any]] = {}

        def keep(state: JobState, batch: Sequence[Recorded]) -> None:
            then[state.version] = state.summary()

        for _ in range(TURNS_MAX):
            state = stand.run(on_state=keep)
            if state.status != "waiting":
                break
            answer(stand, flow, state)
        referee.catch_up(events_of(stand, referee.versions))
        stream = stand.stream()
        for version, summary in then.items():
            assert replayed(stand.definition, stream[:version]) == summary


def check_cut(flow: Flow, versions: Sequence[int] | None, data: st.DataObject | None) -> None:
    """A resume of the stream, cut after an event, leads to the same end."""
    with stand_of(flow) as whole:
        run_to_the_end(whole, flow, start(whole, flow))
        stream = whole.stream()
        if data is not None:
            versions = [data.draw(st.integers(1, len(stream) - 1))]
        for version in versions or range(1, len(stream)):
            with stand_of(flow) as cut:
                cut.truncate(stream[:version], whole)
                cut.wall_s = whole.wall_s
                referee = FlowReferee(flow)
                referee.catch_up(events_of(cut, 0))
                state, _ = run_to_the_end(cut, flow, referee)
                check_end(cut, flow, state)


crashes = st.lists(
    st.tuples(st.integers(1, 20), st.sampled_from(("before", "after"))), min_size=1, max_size=4
)


@bounded(15)
@given(flows())
def test_a_flow_ends_as_the_model_says_and_keeps_every_rule(flow: Flow) -> None:
    check_flow(flow)


@bounded(15)
@given(flows(), crashes)
def test_crashes_change_neither_ends_nor_outputs(flow: Flow, crashes: Crashes) -> None:
    check_flow(flow, crashes)


@bounded(15)
@given(flows(depth=1), st.data())
def test_a_stream_cut_after_any_event_goes_on_to_the_same_end(
    flow: Flow, data: st.DataObject
) -> None:
    check_cut(flow, None, data)


@bounded(15)
@given(flows())
def test_every_prefix_folds_to_the_state_of_its_moment(flow: Flow) -> None:
    check_prefixes(flow)


@bounded(15)
@given(budgeted_flows(), st.just([]) | crashes)
def test_a_budget_binds_and_what_it_stopped_goes_on_when_it_is_raised(
    flow: Flow, crashes: Crashes
) -> None:
    check_flow(flow, crashes)


@pytest.mark.torture
class TestForLong:
    """The same properties with many more jobs."""

    @long
    @given(flows(depth=3))
    def test_a_flow_ends_as_the_model_says(self, flow: Flow) -> None:
        check_flow(flow)

    @long
    @given(flows(), crashes)
    def test_crashes_change_nothing(self, flow: Flow, crashes: Crashes) -> None:
        check_flow(flow, crashes)

    @bounded(40)
    @given(flows(depth=1))
    def test_a_stream_cut_after_every_event(self, flow: Flow) -> None:
        check_cut(flow, None, None)

    @long
    @given(flows())
    def test_every_prefix_folds(self, flow: Flow) -> None:
        check_prefixes(flow)

    @long
    @given(budgeted_flows(), st.just([]) | crashes)
    def test_a_budget_binds(self, flow: Flow, crashes: Crashes) -> None:
        check_flow(flow, crashes)
