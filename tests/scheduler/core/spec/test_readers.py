"""Jobs and steps with a few keys are read and checked in shorter ways, which give the same."""

from __future__ import annotations

import random
from typing import Any

import pytest
from pydantic import ValidationError

from orc.scheduler.core.spec import checks
from orc.scheduler.core.spec.model import JobSpec, StepSpec
from orc.scheduler.core.spec.parse import examine
from orc.scheduler.core.spec.readers import _IN_JOB, _IN_STEP, _plain_job, _plain_step

VALUES = [None, True, 0, 1.5, "", "x", [], ["x"], [1], [None], {}, {"a": [1]}, {1: 2}]


@pytest.mark.parametrize("key", sorted(_IN_STEP))
@pytest.mark.parametrize("value", VALUES)
def test_a_plain_step_is_the_step_that_validation_gives(key: str, value: Any) -> None:
    raw = {"run": "true", key: value}
    found = _plain_step(raw)
    try:
        validated = StepSpec.model_validate(raw)
    except ValidationError:
        assert found is None
        return
    if found is not None:
        assert found == validated
        assert found.model_fields_set == validated.model_fields_set
        assert found.model_dump() == validated.model_dump()


@pytest.mark.parametrize("key", sorted(_IN_JOB))
@pytest.mark.parametrize(
    "value", [*VALUES, "x\n", "\n", "a b", ".x", "x" * 100, "x" * 101, "é", "1.2_3-4", "${{ x }}"]
)
def test_a_plain_job_is_the_job_that_validation_gives(key: str, value: Any) -> None:
    raw = {"project": "p", key: value}
    found = _plain_job(raw)
    try:
        validated = JobSpec.model_validate(raw)
    except ValidationError:
        assert found is None
        return
    if found is not None:
        assert found == validated
        assert found.model_fields_set == validated.model_fields_set
        assert found.model_dump() == validated.model_dump()


def test_a_job_with_another_key_is_validated() -> None:
    assert _plain_job({"project": "p"}) is not None
    assert _plain_job({"project": "p", "tags": []}) is None
    assert _plain_job({"project": "p", "nope": 1}) is None
    assert _plain_job({"task_description": "p"}) is None


def test_a_step_with_another_key_is_validated() -> None:
    assert _plain_step({"run": "true", "if": "true"}) is None
    assert _plain_step({"run": "true", "nope": 1}) is None
    assert _plain_step({}) is None
    assert _plain_step("run") is None


WRITTEN = {
    "prompt": "''", "messages": "[{role: user, content: [{text: a, image: b}]}]", "embed": "[]",
    "run": "''", "python": "no", "value": "1", "approval": "{message: a, options: [reject]}",
    "steps": "{other: {value: 1}, in: {run: ''}}", "workflow": "w.yaml", "system": "s",
    "max_turns": "3", "tools": "[{builtin: read_file, name: x}]", "cache": "job", "as": "1x",
    "with": "{a: 1}", "key": "k", "max_parallel": "2", "for_each": "x", "matrix": "{1x: [1]}",
    "repeat": "2", "score": "{1x: a}", "loop": "{max_iterations: 2, on_exhausted: fail}",
    "on_unknown": "ask", "idempotent": "true", "needs": "[nobody]", "output": "{repair: 2}",
    "files": "[{glob: a, content: b}]", "env": "{1x: a, S: b}", "secrets": "[1x, S]",
    "workspace": "w", "cwd": "spec", "executor": "gpu", "resources": "{'a b': 1}",
    "queue_timeout": "9s", "retry": "{initial: 5, max: 1}", "retry_on": "[auth, signal]",
    "timeout": "8s", "attempt_timeout": "7s", "total_timeout": "6s", "if": "steps",
}  # fmt: skip
"""A value for each key with which a check finds something, in some step."""


def written(keys: list[str]) -> str:
    step = ", ".join(f"{key}: {WRITTEN[key]}" for key in keys)
    return (
        "project: p\nsecrets: [S]\ndefaults: {total_timeout: 1s, cwd: spec}\n"
        f"steps:\n  other: {{value: 1}}\n  step: {{{step}}}\n"
    )


def test_a_check_is_left_out_only_where_it_finds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(7)
    names = sorted(WRITTEN)
    specs = [written([one]) for one in names]
    specs += [written(chance.sample(names, chance.randint(2, 5))) for _ in range(400)]
    short = [examine(spec, source_name="s")[1] for spec in specs]
    every = tuple(check for _, check in checks._CHECKS)
    monkeypatch.setattr(checks, "_checks_of", lambda given: every)
    assert [examine(spec, source_name="s")[1] for spec in specs] == short
    assert sum(map(len, short)) > 1000
