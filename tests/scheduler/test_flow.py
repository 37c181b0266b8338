"""Conditions, fan-outs, loops, groups and approvals: what runs and its results, also after crashes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import pytest

from orc.ledger import Recorded
from orc.ledger.events import (
    ApprovalDecided,
    ApprovalRequested,
    JobStarted,
    StepConfigured,
    StepExpanded,
    StepSkipped,
    StepStarted,
)
from orc.scheduler.core.fold.state import JobState
from tests.builders import OWNER, reused, started, succeeded
from tests.scheduler.flows import ASKING, ENDS, FLOW, decide_here, flow_stand, statuses
from tests.scheduler.harness import Crash, Stand
from tests.scheduler.test_resume import cancels

FAILING = """
project: demo
steps:
  bad: {value: "${{ steps.none.output.x }}"}
  none: {value: null}
  after: {needs: bad, value: 1}
  mend: {needs: after, if: failure(), value: mended}
  never: {needs: none, if: failure(), value: 1}
  always: {needs: [after, none], if: always(), value: done}
"""


def run(text: str, **inputs: object) -> tuple[JobState, dict[str, object]]:
    with flow_stand(text, **inputs) as stand:
        state = stand.run()
        assert state.summary() == stand.state().summary()
        outputs = {
            name: stand.output(name)
            for name, step in state.steps.items()
            if step.status == "succeeded"
        }
        return state, outputs


def test_each_flow_gives_the_expected_output() -> None:
    state, outputs = run(FLOW)
    assert state.status == "succeeded"
    assert outputs["end"] == ENDS
    assert outputs["few"] == "skipped"
    assert statuses(state)["many"] == statuses(state)["after_many"] == "skipped"
    assert {name for name in state.steps if name.startswith("both[")} == {"both[k1]", "both[k2]"}
    assert "draft#2/write" in state.steps
    assert "draft#3" not in state.steps


def test_a_run_that_dies_at_any_commit_ends_as_one_that_does_not() -> None:
    whole, outputs = run(FLOW)
    commits = 0
    while True:
        commits += 1
        for dies in ("before", "after"):
            with flow_stand(FLOW) as stand:
                try:
                    stand.run(commits=commits, dies=dies)
                except Crash:
                    state = stand.state()
                    state = state if state.status == "succeeded" else stand.run()
                else:
                    assert commits > 5
                    return
                assert statuses(state) == statuses(whole), (commits, dies)
                assert stand.output("end") == ENDS
                assert {name: stand.output(name) for name in outputs} == outputs
                ended = Counter(
                    recorded.event.step
                    for recorded in stand.stream()
                    if recorded.event.type == "step.succeeded"
                )
                assert set(ended.values()) == {1}


def test_items_never_outnumber_max_parallel() -> None:
    text = """
project: demo
concurrency: 8
steps:
  each: {for_each: [1, 2, 3, 4, 5, 6, 7], as: n, max_parallel: 3, run: "sleep 0.0${{ n }}"}
"""
    with flow_stand(text) as stand:
        most = 0

        def watch(state: JobState, batch: Sequence[Recorded]) -> None:
            nonlocal most
            most = max(most, state.running_total)

        assert stand.run(on_state=watch).status == "succeeded"
    assert most == 3


def test_an_empty_list_succeeds_with_nothing() -> None:
    state, outputs = run("project: demo\nsteps: {a: {for_each: [], value: 1}}\n")
    assert (state.status, outputs) == ("succeeded", {"a": []})


@pytest.mark.parametrize("tolerated", [False, True])
def test_a_failing_item_leaves_the_others(tolerated: bool) -> None:
    text = f"""
project: demo
steps:
  a:
    for_each: [1, 0, 2]
    continue_on_error: {str(tolerated).lower()}
    value: "${{{{ 6 // item }}}}"
  b: {{value: "${{{{ steps.a.output }}}}"}}
"""
    state, outputs = run(text)
    found = statuses(state)
    assert (found["a[0]"], found["a[1]"], found["a[2]"]) == ("succeeded", "failed", "succeeded")
    if tolerated:
        assert outputs["b"] == [6, None, 3]
    else:
        assert (found["a"], found["b"], state.status) == ("failed", "skipped", "failed")
        assert "a[1]" in state.failed["a"].message


def test_condition_functions_see_how_upstream_steps_ended() -> None:
    state, _ = run(FAILING)
    assert statuses(state) == {
        "bad": "failed",
        "none": "succeeded",
        "after": "skipped",
        "mend": "succeeded",
        "never": "skipped",
        "always": "succeeded",
    }
    assert state.status == "failed"
    assert list(state.failed) == ["bad"]


def test_a_resume_reopens_only_steps_that_can_end_differently() -> None:
    with flow_stand(FAILING) as stand:
        stand.run()
        state = stand.run()
    assert statuses(state)["never"] == "skipped"
    assert state.steps["never"].attempts == 0
    assert state.steps["mend"].attempts == 1
    assert state.steps["bad"].attempts == 2


def test_a_skipped_step_says_which_condition_did_not_hold() -> None:
    with flow_stand(FLOW) as stand:
        stand.run()
        skipped = [r.event for r in stand.stream() if isinstance(r.event, StepSkipped)]
    assert [(event.step, event.reason, event.because) for event in skipped] == [
        ("many", "condition", ()),
        ("after_many", "dependency_skipped", ("many",)),
    ]
    assert skipped[0].condition == "steps.list.output | length > 5"


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("${{ 'same' }}", "key: items 0 and 1 have the same key 'same'; keys must be unique"),
        ("${{ ' ' }}", "key: the key of item 0 is empty"),
        ("${{ 'x' | indent(1000, true) }}", "key: the key of item 0 is too long"),
    ],
)
def test_keys_that_are_empty_too_long_or_the_same_are_refused(key: str, message: str) -> None:
    state, _ = run(
        "project: demo\nsteps:\n  words: {value: [ok, ../x]}\n"
        f'  a: {{for_each: "${{{{ steps.words.output }}}}", key: "{key}", value: 1}}\n'
    )
    failure = state.failed["a"]
    assert failure.kind == "template"
    assert message in failure.message


@pytest.mark.parametrize(
    "items",
    [
        'for_each: "${{ steps.found.output }}", key: same',
        'for_each: "${{ steps.found.output[0] }}"',
        'for_each: "${{ steps.found.output }}", files: [{path: "x${{ item | length }}", content: x}]',
    ],
)
def test_a_fan_out_that_cannot_expand_is_not_tolerated(items: str) -> None:
    text = (
        f"project: demo\nsteps:\n  found: {{value: [a, b]}}\n  each: {{{items}, value: 1, CONT}}\n"
    )
    state, _ = run(text.replace("CONT", "continue_on_error: true"))
    assert (state.status, state.steps["each"].inside) == ("failed", None)
    grouped = text.replace("CONT", "continue_on_error: false")
    grouped = grouped.replace("  each: ", "  all: {continue_on_error: true, steps: {each: ")
    state, _ = run(f"{grouped.rstrip()}}}}}\n")
    assert state.status == "succeeded"


def test_a_key_is_any_text_and_the_id_has_a_name_for_it() -> None:
    state, outputs = run(
        "project: demo\nsteps:\n  a:\n"
        "    for_each: [ok, ../x, 'A#b[1]', É, B, b]\n    key: ${{ item }}\n"
        "    value: ${{ each.key }} ${{ each.index }} ${{ each.first }} ${{ each.last }}\n"
        "  all: {value: '${{ steps.a.items }}'}\n"
    )
    items = [name for name in state.steps if name.startswith("a[")]
    assert items[0] == "a[ok]"
    assert [re.sub("[0-9a-f]{12}", "D", name) for name in items[1:]] == [
        "a[x-D]",
        "a[A-b-1-D]",
        "a[_D]" if items[3].startswith("a[_") else "a[D]",
        "a[B-D]",
        "a[b-D]",
    ]
    assert outputs["a"] == [
        "ok 0 true false",
        "../x 1 false false",
        "A#b[1] 2 false false",
        "É 3 false false",
        "B 4 false false",
        "b 5 false true",
    ]
    found = outputs["all"]
    assert isinstance(found, list)
    assert [item["step"] for item in found] == items
    assert found[2] == {
        "item": "A#b[1]",
        "index": 2,
        "key": "A#b[1]",
        "step": items[2],
        "status": "succeeded",
        "output": "A#b[1] 2 false false",
        "error": None,
    }


def test_items_and_a_matrix_are_combined() -> None:
    _, outputs = run(
        "project: demo\nsteps:\n  list: {value: {a: [1, 2], b: [x, y]}}\n  both:\n"
        "    for_each: ${{ steps.list.output.b }}\n    as: letter\n"
        "    matrix: {n: '${{ steps.list.output.a }}', m: [k]}\n"
        "    value: ${{ letter }}${{ matrix.n }}${{ matrix.m }}${{ each.index }}\n"
        "  all: {value: '${{ steps.both.items }}'}\n"
    )
    assert outputs["both"] == ["x1k0", "x2k1", "y1k2", "y2k3"]
    found = outputs["all"]
    assert isinstance(found, list)
    assert (found[3]["item"], found[3]["matrix"]) == ("y", {"n": 2, "m": "k"})


def test_an_item_called_each_hides_the_place_of_the_item() -> None:
    _, outputs = run(
        "project: demo\nsteps: {a: {for_each: [5], as: each, value: '${{ each + 1 }}'}}\n"
    )
    assert outputs["a"] == [6]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            "value: 1, matrix: {a: '${{ steps.t.output.x }}'}",
            "matrix.a: must be a list; got a number",
        ),
        ("value: 1, matrix: {a: '${{ steps.t.output.y }}'}", "matrix.a: ${{ steps.t.output.y }}"),
        (
            "value: 1, for_each: [1], max_parallel: '${{ steps.t.output.z }}'",
            "max_parallel: must be a whole number of at least 1; got '2'; write `... | int`",
        ),
        ("value: 1, timeout: '${{ steps.t.output.z }}x'", "timeout: must be a duration"),
        ("prompt: hi, provider: '${{ steps.t.output.z }}'", "provider: there is no provider '2'"),
        ("prompt: hi, model: '${{ steps.t.output.x }}'", "model: must be a text that is not empty"),
        ("prompt: hi, base_url: '${{ steps.t.output.z }}'", "base_url: it must look like http"),
        (
            "prompt: hi, params: {temperature: '${{ steps.t.output.z }}'}",
            "params.temperature: must be",
        ),
        (
            "prompt: hi, params: {max_tokens: '${{ none }}', top_k: '${{ steps.t.output.x }}'}",
            "params.max_tokens: must be a whole number; got null",
        ),
        ("prompt: hi, fallback: ['${{ steps.t.output.z }}']", "fallback[0]: there is no provider"),
        (
            "prompt: hi, output: {format: json, schema: {type: '${{ steps.t.output.z }}'}}",
            "output.schema: is not a valid JSON Schema",
        ),
        (
            "prompt: hi, tools: [{builtin: run_command, allow: ['${{ steps.t.output.w }}']}]",
            "tools[0].allow: must have at least one name",
        ),
        ("value: '${{ steps.t.items }}'", "step 't' has no `for_each` or `matrix`"),
    ],
)
def test_a_setting_that_turns_out_wrong_fails_its_step(keys: str, said: str) -> None:
    state, _ = run(
        f"project: demo\nsteps:\n  t: {{value: {{x: 1, z: '2', w: []}}}}\n  a: {{{keys}}}\n"
    )
    assert (state.failed["a"].kind, state.steps["a"].calls_ended) == ("template", 0)
    assert said in state.failed["a"].message


CONFIGURED = """
project: demo
steps:
  list: {value: {words: [a, b, c], n: 1}}
  each:
    for_each: ${{ steps.list.output.words }}
    max_parallel: ${{ steps.list.output.n }}
    total_timeout: ${{ 60 + each.index }}
    if: item != 'c'
    value: ${{ item }}
  end: {value: "${{ steps.each.output }}", timeout: "${{ steps.list.output.n }}m"}
"""


def test_settings_are_recorded_before_a_step_starts_also_if_the_run_dies() -> None:
    with flow_stand(CONFIGURED) as stand:
        whole = stand.run()
        commits = len(stand.stream())
        found = configured_in(stand)
    assert found == [
        ("each", {"max_parallel": 1}),
        ("each[0]", {"total_timeout_s": 60.0}),
        ("each[1]", {"total_timeout_s": 61.0}),
        ("end", {"timeout_s": 60.0}),
    ]
    for commit in range(1, commits):
        with flow_stand(CONFIGURED) as stand:
            try:
                stand.run(commits=commit)
            except Crash:
                if stand.state().status == "succeeded":
                    return
                state = stand.run()
                assert state.summary() == stand.state().summary()
                assert statuses(state) == statuses(whole)
            assert configured_in(stand) == found


def test_items_of_a_result_from_another_job_are_not_taken_for_none() -> None:
    with flow_stand(
        "project: demo\nsteps: {a: {for_each: [1], value: 1}, b: {value: '${{ steps.a.items }}'}}\n"
    ) as stand:
        stand.append(reused("a", output=[1]))
        state = stand.run()
    assert "was taken from another job, without its items" in state.failed["b"].message


def configured_in(stand: Stand) -> list[tuple[str, dict[str, object]]]:
    """The settings of each step, in the order in which they were recorded."""
    events = [recorded.event for recorded in stand.stream()]
    return [(one.step, one.settings) for one in events if isinstance(one, StepConfigured)]


def test_a_for_each_value_that_is_not_a_list_fails_the_step() -> None:
    state, _ = run(
        "project: demo\nsteps: {t: {value: {x: 1}}, a: {for_each: '${{ steps.t.output }}', value: 1}}\n"
    )
    assert "must be a list; got a mapping" in state.failed["a"].message


@pytest.mark.parametrize(
    ("how", "status", "output"), [("continue", "succeeded", 3), ("fail", "failed", None)]
)
def test_an_exhausted_loop_gives_a_warning(how: str, status: str, output: object) -> None:
    text = f"""
project: demo
steps:
  a:
    loop: {{until: "steps.a.output > 5", max_iterations: 3, on_exhausted: {how}}}
    value: "${{{{ loop.index }}}}"
"""
    state, outputs = run(text)
    assert (state.steps["a"].status, outputs.get("a")) == (status, output)
    assert [name for name in state.steps if name.startswith("a#")] == ["a#1", "a#2", "a#3"]


def test_thousands_of_items_are_created_a_thousand_per_event() -> None:
    text = "project: demo\ninputs: {n: {type: list}}\n"
    text += "steps: {a: {for_each: '${{ inputs.n }}', value: 1}}\n"
    with flow_stand(text, n=list(range(2500))) as stand:
        assert stand.run().status == "succeeded"
        events = [r.event for r in stand.stream() if isinstance(r.event, StepExpanded)]
        assert [(event.first, len(event.children), event.total) for event in events] == [
            (0, 1000, 2500),
            (1000, 1000, 2500),
            (2000, 500, 2500),
        ]
        assert stand.output("a") == [1] * 2500


CLEANED = """
project: demo
steps:
  slow: {run: "sleep 30"}
  after: {needs: slow, value: 1}
  inside: {loop: {max_iterations: 3}, steps: {wait: {run: "sleep 30"}}}
  clean: {needs: [after, inside], if: cancelled(), value: "${{ steps.slow.status }}"}
  tell: {needs: clean, if: always(), value: "${{ steps.clean.output }}"}
  never: {needs: slow, if: failure(), value: 1}
"""


def test_cancelled_and_always_steps_run_before_the_end_of_a_cancelled_job() -> None:
    with flow_stand(CLEANED) as stand:
        state = stand.run(beside=cancels(after_s=1.0))
        assert state.status == "cancelled"
        assert statuses(state) == {
            "slow": "cancelled",
            "after": "cancelled",
            "inside": "cancelled",
            "inside#1": "cancelled",
            "inside#1/wait": "cancelled",
            "clean": "succeeded",
            "tell": "succeeded",
            "never": "cancelled",
        }
        assert stand.output("tell") == "cancelled"
        assert state.summary() == stand.state().summary()


def test_a_resume_of_a_cancelled_job_runs_the_remaining_steps() -> None:
    text = CLEANED.replace("sleep 30", "true")
    with flow_stand(text) as stand:
        state = stand.run()
    assert state.status == "succeeded"
    assert statuses(state)["clean"] == "skipped"


def test_a_cancel_signal_outlives_an_owner_that_dies_before_the_cancelled_steps_end() -> None:
    for commits in range(1, 20):
        with flow_stand(CLEANED) as stand:
            with pytest.raises(Crash):
                stand.run(beside=cancels(after_s=1.0), commits=commits)
            kinds = [recorded.event.type for recorded in stand.stream()]
            if "job.cancelling" not in kinds:
                continue
            assert "job.cancelled" not in kinds
            state = stand.run()
            assert state.status == "cancelled"
            assert statuses(state)["tell"] == "succeeded"
            assert state.summary() == stand.state().summary()
            return
    pytest.fail("no cut was in the middle of its end")


def test_a_decision_does_not_hide_an_older_cancel_signal() -> None:
    with flow_stand(ASKING + "  slow: {run: 'sleep 30'}\n") as stand:
        stand.leave_signal("cancel")
        later = stand.leave_signal("decide", step="gate", option="later", by="ann")
        stand.append(
            JobStarted(owner=OWNER),
            started("before"),
            succeeded("before", output="the text"),
            started("gate", kind="approval"),
            ApprovalRequested(step="gate", attempt=1, message="?", options=("later", "reject")),
            ApprovalDecided(step="gate", attempt=1, option="later", by="ann", signal_id=later),
        )
        assert stand.run().status == "cancelled"


class TestApproval:
    def test_a_job_waits_without_a_process_and_goes_on_after_the_decision(self) -> None:
        with flow_stand(ASKING) as stand:
            assert stand.run().status == "waiting"
            stand.wall_s += 86_400
            decide_here(stand, "gate", "approve", "fine")
            state = stand.run()
            assert state.status == "succeeded"
            assert statuses(state)["stay"] == "skipped"
            assert stand.output("gate") == {"decision": "approve", "comment": "fine", "by": "ann"}

    def test_a_rejection_fails_the_step_and_the_graph_can_branch_on_it(self) -> None:
        with flow_stand(ASKING) as stand:
            stand.run()
            decide_here(stand, "gate", "reject", "not yet")
            state = stand.run()
            assert state.status == "succeeded"
            assert state.steps["gate"].failure is not None
            assert state.steps["gate"].failure.kind == "rejected"
            assert stand.output("stay") == "not yet"

    def test_the_first_decision_wins(self) -> None:
        with flow_stand(ASKING) as stand:
            stand.run()
            decide_here(stand, "gate", "later")
            decide_here(stand, "gate", "approve")
            decided = [r.event for r in stand.stream() if isinstance(r.event, ApprovalDecided)]
            assert [event.option for event in decided] == ["later"]

    @pytest.mark.parametrize("option", ["yes", "", "Approve"])
    def test_an_unknown_option_decides_nothing(self, option: str) -> None:
        with flow_stand(ASKING) as stand:
            stand.run()
            assert decide_here(stand, "gate", option).steps["gate"].status == "waiting"

    @pytest.mark.parametrize("is_running", [True, False])
    def test_after_its_time_the_default_is_chosen(self, is_running: bool) -> None:
        beside = "  slow: {run: 'sleep 0.2', needs: before}\n" if is_running else ""
        text = ASKING.replace("options:", "timeout: 1h, on_timeout: later, options:") + beside
        with flow_stand(text) as stand:
            assert stand.run().status == "waiting"
            assert stand.run().status == "waiting"
            stand.wall_s += 3600.0
            state = stand.run()
            assert state.status == "succeeded"
            assert stand.output("gate")["decision"] == "later"

    def test_a_question_is_asked_once_over_all_resumes(self) -> None:
        with flow_stand(ASKING) as stand:
            for _ in range(3):
                stand.run()
            kinds = Counter(recorded.event.type for recorded in stand.stream())
        assert (kinds["approval.requested"], kinds["job.waiting"]) == (1, 3)


def test_a_step_that_holds_others_takes_no_slot() -> None:
    text = "project: demo\nconcurrency: 1\n"
    text += "steps: {a: {loop: {max_iterations: 2}, steps: {b: {run: 'true'}}}}\n"
    state, _ = run(text)
    assert state.status == "succeeded"


def test_each_attempt_of_an_item_is_its_own() -> None:
    text = """
project: demo
steps:
  a:
    for_each: [1, 2]
    retry: {max_attempts: 2, initial: 1ms, jitter: 0}
    run: '[ "$ORC_ATTEMPT" = "${{ item }}" ]'
"""
    with flow_stand(text) as stand:
        assert stand.run().status == "succeeded"
        starts = Counter(r.event.step for r in stand.stream() if isinstance(r.event, StepStarted))
    assert starts == {"a": 1, "a[0]": 1, "a[1]": 2}
