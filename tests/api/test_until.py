"""What the condition of a loop can name: the step itself, its members, and the steps around it."""

from __future__ import annotations

from pathlib import Path

import pytest

import orc
from tests.each_case import each_case

INNER = """project: inner
steps:
  last: {value: 2}
"""
SPEC = """project: outer
steps:
  last: {value: 7}
  a: {%s}
"""
ROUNDS = {
    "for_each: [1, 2], loop: {until: steps.a.output, max_iterations: 5, on_exhausted: fail}, "
    "value: '${{ loop.index > item }}'": [True, True],
    "matrix: {x: [1]}, repeat: 2, loop: {until: not steps.a.output, max_iterations: 3, "
    "on_exhausted: fail}, value: '${{ loop.index < 2 }}'": [False, False],
    "for_each: [1, 2], loop: {until: steps.a.output.b == 2 and steps.b.output == 2, "
    "max_iterations: 3, on_exhausted: fail}, steps: {b: {value: '${{ loop.index * item }}'}}": [
        {"b": 2},
        {"b": 2},
    ],
    "loop: {until: steps.a.output.b == 2 and steps.a.status == 'succeeded', max_iterations: 3, "
    "on_exhausted: fail}, steps: {b: {value: '${{ loop.index }}'}}": {"b": 2},
    "workflow: inner.yaml, loop: {until: steps.a.output.last == 2 and steps.last.output == 7, "
    "max_iterations: 1, on_exhausted: fail}": {"last": 2},
    "for_each: [1], workflow: inner.yaml, loop: {until: steps.a.output.last == 2, "
    "max_iterations: 1, on_exhausted: fail}": [{"last": 2}],
}
"""The output of a step with a loop."""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("inner.yaml").write_text(INNER, encoding="utf-8")


@each_case("keys, output", list(ROUNDS.items()))
def test_the_condition_of_a_loop_can_name_the_last_round(keys: str, output: object) -> None:
    Path("spec.yaml").write_text(SPEC % keys, encoding="utf-8")
    job = orc.run("spec.yaml")
    assert job.status == "succeeded", job.failures
    assert job.outputs["a"] == output


def test_the_scores_of_a_workflow_do_not_read_its_members_for_other_steps() -> None:
    keys = "workflow: inner.yaml, score: {outer: '${{ steps.last.output }}', own: '${{ output.last }}'}"
    Path("spec.yaml").write_text(SPEC % keys, encoding="utf-8")
    found = orc.run("spec.yaml").scores()
    assert {one.name: one.estimate and one.estimate.mean for one in found} == {"outer": 7, "own": 2}
