"""Amended jobs with container steps: which children are kept or removed, and how numbering continues."""

from __future__ import annotations

from orc.ledger.definition import JobDef
from orc.scheduler.core.fold.compare import find_changes, plan_changes
from orc.scheduler.core.fold.graph import build_graph
from orc.scheduler.core.fold.state import JobState
from tests.builders import amended
from tests.scheduler.flows import flow_stand, job_of, statuses
from tests.scheduler.harness import Stand

FAN = """
project: demo
inputs: {least: {type: integer, default: 2}}
steps:
  list: {value: [3, 1]}
  each:
    for_each: ${{ steps.list.output }}
    run: "echo ${{ item }} | tee out-${{ item }}.txt"
    files: ["out-*.txt"]
    max_parallel: 1
  enough: {if: "steps.each.output | length >= inputs.least", value: enough}
  end: {value: "${{ steps.each.output }}"}
"""


def amend(stand: Stand, definition: JobDef) -> tuple[JobState, tuple[str, ...]]:
    """Amend the job as `orc resume --spec` does, and run it; return its state and the reset steps."""
    state = stand.state()
    changes = find_changes(state.definition, definition)
    plan = plan_changes(state, build_graph(definition.steps), changes)
    stand.append(amended(definition, *plan.reset, removed=plan.removed))
    return stand.run(), plan.reset


def test_children_of_a_kept_step_are_kept() -> None:
    with flow_stand(FAN) as stand:
        before = stand.run()
        state, reset = amend(
            stand,
            job_of(
                FAN.replace(
                    'end: {value: "${{ steps.each.output }}"}', "end: {needs: each, value: [0]}"
                )
            ),
        )
        assert reset == ("end",)
        assert state.steps["each[0]"].attempts == before.steps["each[0]"].attempts == 1
        assert list(state.owned) == list(before.owned)
        assert len(state.owned) == 2
        assert stand.output("end") == [0]


def test_children_of_a_step_that_runs_again_are_removed_and_their_numbers_continue() -> None:
    with flow_stand(FAN) as stand:
        stand.run()
        state, reset = amend(stand, job_of(FAN.replace("[3, 1]", "[3]")))
        assert reset == ("list", "each", "enough", "end")
        assert "each[1]" not in state.steps
        assert state.steps["each[0]"].attempts == 2
        assert [found.step for found in state.owned] == ["each[0]"]
        assert statuses(state)["enough"] == "skipped"
        assert stand.output("end") == ["3"]


def test_an_input_that_only_a_condition_names_is_a_change() -> None:
    with flow_stand(FAN) as stand:
        stand.run()
        state, reset = amend(stand, job_of(FAN, least=5))
        assert reset == ("enough",)
        assert statuses(state)["enough"] == "skipped"


def test_a_step_that_its_condition_skipped_stays_skipped() -> None:
    with flow_stand(FAN, least=5) as stand:
        stand.run()
        changed = FAN.replace(
            'end: {value: "${{ steps.each.output }}"}', "end: {needs: each, value: [0]}"
        )
        state, reset = amend(stand, job_of(changed, least=5))
        assert reset == ("end",)
        assert (state.status, statuses(state)["enough"]) == ("succeeded", "skipped")
