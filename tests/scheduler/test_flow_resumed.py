"""Which steps a resume keeps and which it reopens: conditions, rejections, half-started steps."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.flow_model import Flow, Node
from tests.scheduler.flows import decide_here, flow_stand, statuses
from tests.scheduler.harness import Crash
from tests.scheduler.test_flow_properties import check_cut

FAILED_BEFORE = """
project: demo
steps:
  bad: {value: "${{ project.nothing.of_that }}"}
  told: {needs: bad, if: always(), value: "${{ steps.bad.status }}"}
  mend: {needs: told, if: failure(), value: mended}
  group:
    needs: told
    if: always()
    steps: {inner: {if: failure(), value: inner}}
"""
GATED = """
project: demo
steps:
  gate: {approval: "Publish?"}
  proof: {approval: "Is the proof read?"}
  publish: {needs: [gate, proof], value: published}
  tell: {needs: [gate, proof], if: failure(), value: told}
"""


@pytest.mark.parametrize("dies", ["before", "after"])
def test_dependents_of_a_failed_step_still_see_the_failure_after_a_crash(dies: str) -> None:
    expected = {
        "bad": "failed",
        "told": "succeeded",
        "mend": "succeeded",
        "group": "succeeded",
        "group/inner": "succeeded",
    }
    for commits in range(1, 30):
        with flow_stand(FAILED_BEFORE) as stand:
            try:
                state = stand.run(commits=commits, dies=dies)
            except Crash:
                state = stand.state()
                state = stand.run() if state.status != "failed" else state
                assert statuses(state) == expected, commits
                continue
            assert statuses(state) == expected
            assert commits > 3
            return


def test_steps_skipped_for_a_rejection_stay_skipped_while_others_are_asked() -> None:
    with flow_stand(GATED) as stand:
        stand.run()
        decide_here(stand, "gate", "reject")
        assert stand.run().status == "waiting"
        decide_here(stand, "proof", "approve")
        state = stand.run()
        assert statuses(state) == {
            "gate": "failed",
            "proof": "succeeded",
            "publish": "skipped",
            "tell": "succeeded",
        }


@pytest.mark.parametrize(
    "step",
    [
        {"approval": "Publish?"},
        {"for_each": [1, 2], "value": 1},
        {"loop": {"max_iterations": 2}, "value": 1},
        {"steps": {"inner": {"value": 1}}},
    ],
)
def test_a_container_of_which_only_the_start_is_recorded_begins_again(step: dict[str, Any]) -> None:
    is_asked = "approval" in step
    text = yaml.safe_dump({"project": "demo", "steps": {"a": step}})
    with flow_stand(text) as whole:
        whole.run()
        stream = whole.stream()
        (cut,) = [
            r.version for r in stream if r.event.type == "step.started" and r.event.step == "a"
        ]
        with flow_stand(text) as stand:
            with stand.open() as ledger:
                ledger.append(stream[1:cut])
            state = stand.run()
    assert state.status == ("waiting" if is_asked else "succeeded")
    assert state.steps["a"].attempts == 2


def test_reopened_items_are_held_with_their_children_under_max_parallel() -> None:
    members = (Node("first"), Node("second", "ask", weak=2))
    flow = Flow((Node("each", "group", items=3, abreast=1, members=members),), total=4, abreast=4)
    check_cut(flow, None, None)


def test_dependents_of_a_running_loop_see_the_failure_upstream_of_the_loop() -> None:
    flow = Flow(
        nodes=(
            Node("asked", "ask", items=1, rounds=1, weak=8),
            Node("loop", needs=("asked",), condition="failure", rounds=1),
            Node("beside"),
            Node("after", needs=("loop",), condition="failure"),
        ),
        total=1,
        abreast=1,
        attempts_max=1,
    )
    check_cut(flow, None, None)


TOLD = """
project: demo
steps:
  gate: {approval: "Go?"}
  each: {needs: gate, if: always(), for_each: [a, b], value: "${{ item }} ${{ steps.gate.status }}"}
  some:
    needs: gate
    if: always() and item != 'a'
    for_each: [a, b]
    value: "${{ item }} ${{ steps.gate.status }}"
  never: {needs: gate, if: "failure() and item == 'b'", for_each: [a, b], value: "${{ item }}"}
  later: {needs: gate, for_each: [a], value: "${{ item }}"}
"""


def test_items_that_succeeded_in_spite_of_a_failure_keep_their_results_after_a_resume() -> None:
    with flow_stand(TOLD) as stand:
        assert stand.run().status == "waiting"
        decide_here(stand, "gate", "reject")
        assert stand.run().status == "failed"
        told = {name: stand.output(name) for name in ("each", "some", "never")}
        assert told == {
            "each": ["a failed", "b failed"],
            "some": [None, "b failed"],
            "never": [None, "b"],
        }
        assert statuses(stand.state())["later"] == "skipped"
        before = [each.event for each in stand.stream()]
        stand.run()
        decide_here(stand, "gate", "approve")
        state = stand.run()
        assert (state.status, statuses(state)["later"]) == ("succeeded", "succeeded")
        assert {name: stand.output(name) for name in told} == told
        started = {
            each.event.step
            for each in stand.stream()[len(before) :]
            if each.event.type == "step.started"
        }
        assert started == {"gate", "later", "later[0]"}
