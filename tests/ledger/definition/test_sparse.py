"""Steps hold only the fields that they were given, and behave as if they had all."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from orc.ledger import pack
from orc.ledger.definition import RetryDef, StepDef, dump_step, dump_whole_step
from orc.ledger.events import Payload

GIVEN: dict[str, Any] = {"id": "one", "kind": "value", "value": 1}
INNER = StepDef(id="group", kind="group", steps=(StepDef(**GIVEN),))


@pytest.mark.parametrize(
    "step",
    [
        StepDef(**GIVEN),
        StepDef.model_validate(GIVEN),
        StepDef.of_checked(dict(GIVEN)),
        StepDef.model_validate(dump_step(INNER)).steps[0],
        copy.copy(StepDef(**GIVEN)),
        pickle.loads(pickle.dumps(StepDef(**GIVEN))),
    ],
)
def test_a_step_has_no_entry_for_a_default(step: StepDef) -> None:
    assert set(vars(step)) == {"id", "kind", "value"} == step.model_fields_set
    assert (step.needs, step.retry.max_attempts, step.max_turns) == ((), 1, 10)
    assert dump_step(step) == GIVEN
    assert step == StepDef(**GIVEN)
    assert hash(step) == hash(StepDef(**GIVEN))


def test_a_default_that_was_given_is_equal_to_one_that_was_not() -> None:
    given = StepDef(**GIVEN, needs=(), retry=RetryDef())
    assert given == StepDef(**GIVEN)
    assert dump_step(given) == GIVEN
    assert given != StepDef(**GIVEN, needs=("zero",)) != StepDef(**{**GIVEN, "id": "two"})


def test_a_copy_with_another_field_leaves_the_fields_of_other_steps_alone() -> None:
    first, second = StepDef(**GIVEN), StepDef(**GIVEN)
    assert first.model_copy(update={"needs": ("zero",)}).model_fields_set == {*GIVEN, "needs"}
    assert second.model_fields_set == set(GIVEN)


def test_the_whole_step_has_all_fields_in_order_also_inside() -> None:
    whole = dump_whole_step(INNER, without=("retry",))
    names = list(StepDef.model_fields)
    assert list(whole) == [name for name in names if name != "retry"]
    assert list(whole["steps"][0]) == names
    assert whole["steps"][0]["retry"] == RetryDef().model_dump()
    assert whole["needs"] == []
    assert whole["read"] == {}


def test_a_payload_that_was_packed_is_that_which_was_read() -> None:
    packed, _ = pack({"a": [1]})
    read = Payload.model_validate({"value": {"a": [1]}})
    assert vars(packed) == {"value": {"a": [1]}}
    assert packed == read
    assert (packed.sha256, packed.parts) == (None, None)
    assert pack(1)[0] != pack(2)[0]
    assert hash(pack(1)[0]) == hash(Payload.model_validate({"value": 1}))
