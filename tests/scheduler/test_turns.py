"""Which events share a turn, and so a commit: values go on within one, and nothing waits for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orc.ledger import Recorded
from orc.scheduler.core.fold.state import JobState
from orc.scheduler.runner import ROUNDS_MAX, TURN_S
from tests.scheduler.flows import FLOW, flow_stand

LARGE = f"""
project: demo
steps:
  small: {{value: 1}}
  large: {{needs: small, value: {"x" * 5000}}}
  length: {{value: "${{{{ steps.large.output | length }}}}"}}
  double: {{value: "${{{{ steps.length.output * 2 }}}}"}}
"""
BESIDE = """
project: demo
steps:
  first: {value: 1}
  second: {value: "${{ steps.first.output + 1 }}"}
  command: {needs: second, run: "true"}
  beside: {needs: second, value: 3}
  after: {needs: beside, value: 4}
"""

Batches = list[list[tuple[str, str | None]]]


def chain(count: int) -> str:
    lines = ["project: demo", "steps:", "  s0: {value: 0}"]
    lines += [f"  s{i}: {{value: '${{{{ steps.s{i - 1}.output + 1 }}}}'}}" for i in range(1, count)]
    return "\n".join(lines)


def commits_of(text: str, *, turn_s: float = TURN_S) -> Batches:
    """The types and steps of the events of each commit of a run."""
    found: Batches = []

    def watch(state: JobState, batch: Sequence[Recorded]) -> None:
        found.append([(one.event.type, getattr(one.event, "step", None)) for one in batch])

    with flow_stand(text) as stand:
        assert stand.run(turn_s=turn_s, on_state=watch).status == "succeeded"
    return found


def joined(batches: Batches) -> list[Any]:
    return [event for batch in batches for event in batch]


def test_a_chain_of_values_is_one_commit_with_the_events_of_many() -> None:
    together, alone = commits_of(chain(20)), commits_of(chain(20), turn_s=0.0)
    assert (len(together), len(alone)) == (1, 20)
    assert joined(together) == joined(alone)


def test_values_of_a_flow_have_the_same_events_in_any_number_of_commits() -> None:
    together, alone = commits_of(FLOW), commits_of(FLOW, turn_s=0.0)
    assert len(together) < len(alone)
    assert joined(together) == joined(alone)


def test_a_value_that_reads_a_blob_is_computed_after_its_commit() -> None:
    batches = commits_of(LARGE)
    assert [step for kind, step in batches[0] if kind == "step.succeeded"] == ["small", "large"]
    assert [step for kind, step in batches[1] if kind == "step.succeeded"] == ["length", "double"]


def test_a_command_starts_before_the_values_beside_it_go_on() -> None:
    batches = commits_of(BESIDE)
    starts = next(batch for batch in batches if ("step.started", "command") in batch)
    assert ("step.started", "beside") in starts
    assert ("step.succeeded", "beside") not in starts


def test_a_turn_goes_on_for_a_limited_number_of_rounds() -> None:
    batches = commits_of(chain(2 * ROUNDS_MAX + 5))
    ended = [sum(kind == "step.succeeded" for kind, _ in batch) for batch in batches]
    assert sum(ended) == 2 * ROUNDS_MAX + 5
    assert max(ended) <= ROUNDS_MAX


def test_a_value_starts_and_ends_in_the_same_commit() -> None:
    for text, turn_s in ((chain(20), TURN_S), (chain(20), 0.0), (LARGE, TURN_S), (LARGE, 0.0)):
        for batch in commits_of(text, turn_s=turn_s):
            started = [step for kind, step in batch if kind == "step.started"]
            assert started == [step for kind, step in batch if kind == "step.succeeded"]


def test_a_command_starts_in_the_commit_of_the_blob_that_it_reads() -> None:
    batches = commits_of(
        f"""
        project: demo
        steps:
          large: {{value: {"x" * 5000}}}
          command: {{needs: large, run: "test -n ${{{{ steps.large.output }}}}"}}
          beside: {{needs: large, value: 3}}
        """
    )
    starts = next(batch for batch in batches if ("step.started", "command") in batch)
    assert ("step.succeeded", "large") in starts
    assert ("step.started", "beside") not in starts
