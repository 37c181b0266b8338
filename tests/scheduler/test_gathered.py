"""Results that are large together: the step refers to them, and a reader gets them one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import orc.ledger.gathered as gathered
import orc.scheduler.branching as branching
from orc.ledger.events import StepSucceeded
from tests.scheduler.flows import flow_stand, statuses

SPEC = """
project: demo
steps:
  list: {value: [1, 2, 3]}
  each:
    for_each: ${{ steps.list.output }}
    as: n
    value: "${{ n }}LONG"
  pair:
    steps:
      a: {value: LONG}
      b: {value: 7}
  rounds:
    loop: {max_iterations: 2}
    steps:
      a: {value: LONG}
  nested:
    for_each: ${{ steps.list.output }}
    steps:
      a: {value: LONG}
""".replace("LONG", "x" * 2000)
READERS = """
  needs_it: {needs: each, value: whole}
  one: {value: "${{ steps.each.output[1] | length }}"}
  count: {value: "${{ steps.each.output | length }}"}
  slice: {value: "${{ steps.each.output[1:] | length }}"}
  member: {value: "${{ steps.pair.output.b }}"}
  deep: {value: "${{ steps.nested.output[2].a | length }}"}
  last_round: {value: "${{ steps.rounds.output.a | length }}"}
  has_any: {if: "steps.each.output | length > 0", needs: each, value: 1}
"""
WHOLE = """
  whole: {value: "${{ steps.each.output }}"}
  text: {value: "all: ${{ steps.each.output }}"}
  joined: {value: "${{ steps.each.output | join(',') }}"}
  spread: {for_each: "${{ steps.each.output }}", value: 1}
  group: {value: "${{ steps.pair.output }}"}
  same: {value: "${{ steps.each.output == [] }}"}
  last: {needs: whole, if: always(), value: done}
"""
ONE = ("one", "count", "slice", "member", "deep", "last_round", "needs_it", "has_any")
ALL = ("whole", "text", "joined", "spread", "group", "same")


@pytest.fixture(autouse=True)
def low_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(branching, "COPIED_BYTES_MAX", 1500)


@pytest.fixture
def too_large(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Together, the results are too large for one value."""
    with monkeypatch.context() as patch:
        patch.setattr(gathered, "BLOB_BYTES_MAX", 1990)
        yield


def outputs_of(text: str) -> tuple[dict[str, str], dict[str, Any]]:
    with flow_stand(text) as stand:
        state = stand.run()
        assert state.summary() == stand.state().summary()
        found = {
            name: stand.output(name)
            for name in (*ONE, *ALL)
            if name in state.steps and state.steps[name].status == "succeeded"
        }
        (event,) = (
            one.event
            for one in stand.stream()
            if isinstance(one.event, StepSucceeded) and one.event.step == "each"
        )
        assert event.output.parts is not None
        assert event.output.size_bytes == 3 * 2001
        return statuses(state), found


def test_a_step_refers_to_results_and_others_read_its_value() -> None:
    status, found = outputs_of(SPEC + READERS + WHOLE)
    assert {found[name] for name in ("one", "count", "slice", "member")} == {2001, 3, 2, 7}
    assert (found["deep"], found["last_round"]) == (2000, 2000)
    assert [text[:2] for text in found["whole"]] == ["1x", "2x", "3x"]
    assert status["spread"] == "succeeded"
    assert found["same"] is False


def test_results_that_are_no_value_together_are_read_one_by_one(too_large: None) -> None:
    status, found = outputs_of(SPEC + READERS)
    assert {status[name] for name in ONE} == {"succeeded"}
    assert (found["one"], found["count"], found["slice"], found["member"]) == (2001, 3, 2, 7)
    assert (found["deep"], found["last_round"]) == (2000, 2000)


@pytest.mark.parametrize("name", [name for name in ALL if name != "same"])
def test_who_reads_them_all_at_once_fails_with_the_bound(too_large: None, name: str) -> None:
    with flow_stand(SPEC + WHOLE) as stand:
        state = stand.run()
    assert state.steps["each"].status == "succeeded"
    assert state.steps["last"].status == "succeeded"
    failure = state.steps[name].failure
    assert failure is not None
    assert failure.kind == "template"
    assert ("2 results with 2 KiB" if name == "group" else "3 results with 5.9") in failure.message
    assert "use the results one by one" in failure.message
