"""Scores of a run: what is recorded, what a crash leaves to do, and what an amendment scores again."""

from __future__ import annotations

import re
from typing import Any

import pytest

from orc.ledger.events import ScoreRecorded
from orc.scheduler.core.errors import SpecError
from orc.scheduler.core.fold.compare import find_changes, plan_changes
from orc.scheduler.core.fold.graph import build_graph
from tests.builders import amended
from tests.scheduler.flows import flow_stand, job_of
from tests.scheduler.harness import Crash, Stand

SPEC = """
project: demo
inputs: {right: {default: "2"}}
steps:
  base: {value: 10}
  answer:
    matrix: {n: [1, 2]}
    repeat: 2
    value: "${{ matrix.n }}"
    score:
      right: {value: "${{ output | string == inputs.right }}", why: "it is ${{ output }}"}
      far: ${{ steps.base.output - output }}
  both:
    steps:
      x: {value: 1}
      y: {value: 2, score: {own: "${{ output * repeatable }}"}}
    score: {sum: "${{ steps.x.output + steps.y.output }}"}
  rounds:
    loop: {max_iterations: 2}
    value: ${{ loop.index }}
    score: {last: "${{ output }}"}
  judge:
    for_each: [0, 3]
    needs: [answer]
    value: {grade: 7}
    score: {quality: {value: "${{ output.grade }}", of: "answer[${{ item }}]"}}
""".replace("${{ output * repeatable }}", "${{ output * 2 }}")


def scores(stand: Stand) -> list[tuple[str, str, Any, str]]:
    return [
        (event.step, event.name, event.value if event.error is None else event.error, event.who)
        for recorded in stand.stream()
        if isinstance(event := recorded.event, ScoreRecorded)
    ]


EXPECTED = {
    *((f"answer[{n}]", "right", n > 1, "expression") for n in range(4)),
    *((f"answer[{n}]", "far", 9.0 - (n > 1), "expression") for n in range(4)),
    ("both/y", "own", 4.0, "expression"),
    ("both", "sum", 3.0, "expression"),
    ("rounds", "last", 2.0, "expression"),
    ("answer[0]", "quality", 7.0, "judge"),
    ("answer[3]", "quality", 7.0, "judge"),
}


def test_items_groups_loops_and_judges_are_scored_once_each() -> None:
    with flow_stand(SPEC) as stand:
        state = stand.run()
        assert state.status == "succeeded"
        assert not state.unscored
        assert sorted(scores(stand), key=str) == sorted(EXPECTED, key=str)
        last = stand.stream()[-1].event
        assert last.type == "job.succeeded", "the job ends after its scores"


def test_a_run_that_dies_at_any_commit_has_each_score_once_in_the_end() -> None:
    commits = 0
    while True:
        commits += 1
        for dies in ("before", "after"):
            with flow_stand(SPEC) as stand:
                try:
                    stand.run(commits=commits, dies=dies)
                except Crash:
                    state = stand.state()
                    state = state if state.status == "succeeded" else stand.run()
                else:
                    assert commits > 5
                    return
                assert state.status == "succeeded"
                assert sorted(scores(stand), key=str) == sorted(EXPECTED, key=str), (commits, dies)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("${{ output.nothing }}", "has no"),
        (
            "${{ output | string }}",
            "a score is a number or a boolean; the expression gave the text '1'",
        ),
        ("${{ none }}", "the expression gave nothing (null)"),
        ("${{ [output] }}", "the expression gave a list"),
        ("${{ {'a': 1} }}", "the expression gave a mapping"),
        ("${{ 1e308 * 10 }}", "infinite"),
        ("${{ 1e300 }}", "too large for a score"),
        ("${{ -1e16 }}", "too large for a score"),
    ],
)
def test_a_broken_expression_fails_its_score_and_not_the_step(
    expression: str, message: str
) -> None:
    score = f'bad: "{expression}", good: "${{{{ output }}}}"'
    text = f"project: demo\nsteps: {{a: {{value: 1, score: {{{score}}}}}}}"
    with flow_stand(text) as stand:
        assert stand.run().status == "succeeded"
        bad, good = scores(stand)
        assert message in bad[2]
        assert good[2] == 1.0


def amend(stand: Stand, text: str) -> tuple[str, ...]:
    """Amend the job as `orc resume --spec` does, and run it; the steps that are scored again."""
    state, definition = stand.state(), job_of(text)
    changes = find_changes(state.definition, definition)
    plan = plan_changes(state, build_graph(definition.steps), changes, definition=definition)
    assert plan.reset == (), "a score is no change of the work"
    stand.append(amended(definition, removed=plan.removed, rescored=plan.rescored or None))
    assert stand.run().status == "succeeded"
    return plan.rescored


@pytest.mark.parametrize(
    ("old", "new", "rescored", "value"),
    [
        ("steps.base.output - output", "output", ("answer",), ("answer[2]", "far", 2.0)),
        ("output * 2", "output * 3 + steps.x.output", ("both",), ("both/y", "own", 7.0)),
        (
            'right: {default: "2"}',
            'right: {default: "1"}',
            ("answer",),
            ("answer[0]", "right", True),
        ),
        ("{last: ", "{least: ", ("rounds",), ("rounds", "least", 2.0)),
        ("{sum: ", "{total: ", ("both",), ("both", "total", 3.0)),
        (
            "value: 10}",
            "value: 10, score: {new: '${{ output }}'}}",
            ("base",),
            ("base", "new", 10.0),
        ),
    ],
)
def test_a_changed_score_is_computed_again_and_nothing_runs(
    old: str, new: str, rescored: tuple[str, ...], value: tuple[str, str, Any]
) -> None:
    assert len(re.findall(re.escape(old), SPEC)) == 1
    with flow_stand(SPEC) as stand:
        stand.run()
        before = len(scores(stand))
        started = [each for each in stand.stream() if each.event.type == "step.started"]
        assert amend(stand, SPEC.replace(old, new)) == rescored
        assert value in [found[:3] for found in scores(stand)[before:]]
        assert {found[0].split("[")[0].split("/")[0] for found in scores(stand)[before:]} == {
            *rescored
        }
        again = [each for each in stand.stream() if each.event.type == "step.started"]
        assert again == started


def test_repetitions_are_items_of_their_own() -> None:
    with flow_stand(SPEC.replace("matrix.n }}", "matrix.n }}-${{ repetition }}")) as stand:
        stand.run()
        assert stand.output("answer") == ["1-1", "1-2", "2-1", "2-2"]


@pytest.mark.parametrize("of", ["nobody", "nobody[0]", "nobody/x"])
def test_a_judge_of_a_step_that_is_not_in_the_spec_is_refused(of: str) -> None:
    text = (
        "project: demo\nsteps:\n  answer: {value: 1}\n"
        f"  judge: {{value: 1, score: {{q: {{value: '${{{{ output }}}}', of: '{of}'}}}}}}\n"
    )
    with pytest.raises(SpecError) as refused:
        job_of(text)
    (problem,) = refused.value.problems
    assert problem.line == 4
    assert f"steps.judge.score.q.of: the score 'q' is about the step {of!r}" in problem.message
    assert "known: answer, judge" in problem.message
    assert job_of(text.replace(of, "answer[0]"))
