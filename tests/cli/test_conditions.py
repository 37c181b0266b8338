"""Conditions in a job that runs: the text "false" neither starts a step nor ends a loop."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command_line import orc, write

SPEC = """\
project: p
inputs: {deploy: {}}
steps:
  given: {value: {deploy: "${{ inputs.deploy }}"}}
  step: STEP
"""
GUARDED = '{{needs: given, if: "{}", run: touch "$ORC_SPEC_DIR/RAN"}}'
LOOPED = (
    '{{needs: given, loop: {{until: "{}", max_iterations: 2}}, run: touch "$ORC_SPEC_DIR/RAN"}}'
)


@pytest.mark.parametrize("step", [GUARDED, LOOPED], ids=["if", "until"])
def test_a_condition_that_is_a_text_fails_the_step_with_the_fix(here: Path, step: str) -> None:
    text = SPEC.replace("STEP", step.format("steps.given.output.deploy"))
    said = orc("run", write("spec.yaml", text), "-i", "deploy=false")
    assert said.code == 1
    assert "a condition must be true or false; got text: false; write" in said.out + said.err
    assert Path("RAN").exists() is (step is LOOPED)


@pytest.mark.parametrize("condition", ["{} | bool", "{} == 'true'"])
def test_the_fix_reads_the_text_as_it_is_meant(here: Path, condition: str) -> None:
    step = GUARDED.format(condition.format("steps.given.output.deploy"))
    spec = write("spec.yaml", SPEC.replace("STEP", step))
    assert orc("run", spec, "--quiet", "-i", "deploy=false").code == 0
    assert not Path("RAN").exists()
    assert orc("run", spec, "--quiet", "-i", "deploy=true").code == 0
    assert Path("RAN").exists()
