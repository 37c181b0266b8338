"""Steps of specs hold only the fields that they were given, and behave as if they had all."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from orc.scheduler.core.spec.model import StepSpec

GIVEN: dict[str, Any] = {"value": 1, "needs": ["a"]}


@pytest.mark.parametrize(
    "step",
    [
        StepSpec(**GIVEN),
        StepSpec.model_validate(GIVEN),
        StepSpec.of_checked(dict(GIVEN)),
        copy.copy(StepSpec(**GIVEN)),
        pickle.loads(pickle.dumps(StepSpec(**GIVEN))),
    ],
)
def test_a_step_has_no_entry_for_a_default(step: StepSpec) -> None:
    assert set(vars(step)) == set(GIVEN) == step.model_fields_set
    assert (step.run, step.tools) == (None, [])
    assert step.model_dump(exclude_unset=True) == GIVEN
    assert step == StepSpec(**GIVEN) == StepSpec(**GIVEN, tools=[])
    assert step != StepSpec(value=2, needs=["a"])


def test_a_copy_with_another_field_leaves_the_fields_of_other_steps_alone() -> None:
    first, second = StepSpec(**GIVEN), StepSpec(**GIVEN)
    assert first.model_copy(update={"run": "true"}).model_fields_set == {*GIVEN, "run"}
    assert second.model_fields_set == set(GIVEN)
