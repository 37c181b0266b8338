"""The forms of a step as JSON: what differs from its defaults, or all fields."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from orc.ledger import pack
from orc.ledger.definition import RetryDef, StepDef, dump_step, dump_whole_step
from orc.ledger.events import Payload
from orc.ledger.stored_struct import dump, dump_changed, load

GIVEN: dict[str, Any] = {"id": "one", "kind": "value", "value": 1}
INNER = StepDef(id="group", kind="group", steps=(StepDef(**GIVEN),))


@pytest.mark.parametrize(
    "step",
    [
        StepDef(**GIVEN),
        load(StepDef, GIVEN),
        load(StepDef, dump_step(INNER)).steps[0],
        copy.copy(StepDef(**GIVEN)),
        pickle.loads(pickle.dumps(StepDef(**GIVEN))),
    ],
)
def test_the_dump_of_a_step_has_no_entry_for_a_default(step: StepDef) -> None:
    assert (step.needs, step.retry.max_attempts, step.max_turns) == ((), 1, 10)
    assert dump_step(step) == GIVEN
    assert step == StepDef(**GIVEN)
    assert hash(step) == hash(StepDef(**GIVEN))


def test_a_default_that_was_given_is_equal_to_one_that_was_not() -> None:
    given = StepDef(**GIVEN, needs=(), retry=RetryDef())
    assert given == StepDef(**GIVEN)
    assert dump_step(given) == GIVEN
    assert given != StepDef(**GIVEN, needs=("zero",)) != StepDef(**{**GIVEN, "id": "two"})


def test_the_whole_step_has_all_fields_in_order_also_inside() -> None:
    whole = dump_whole_step(INNER, without=("retry",))
    names = list(StepDef.__struct_fields__)
    assert list(whole) == [name for name in names if name != "retry"]
    assert list(whole["steps"][0]) == names
    assert whole["steps"][0]["retry"] == dump(RetryDef())
    assert whole["needs"] == []
    assert whole["read"] == {}


def test_a_payload_that_was_packed_is_that_which_was_read() -> None:
    packed, _ = pack({"a": [1]})
    read = load(Payload, {"value": {"a": [1]}})
    assert dump_changed(packed) == {"value": {"a": [1]}}
    assert packed == read
    assert (packed.sha256, packed.parts) == (None, None)
    assert pack(1)[0] != pack(2)[0]
    assert hash(pack(1)[0]) == hash(load(Payload, {"value": 1}))
