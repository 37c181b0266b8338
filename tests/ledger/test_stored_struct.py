"""Steps share the objects of their defaults, and keep only what differs from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from orc.ledger.definition import StepDef, dump_step
from orc.ledger.stored_struct import NO_ENTRIES, NO_ITEMS
from orc.scheduler.core.resolve.early import step_def


def test_steps_share_the_empty_mappings_of_their_defaults() -> None:
    first, second = (StepDef(id=name, kind="value") for name in ("a", "b"))
    assert first.env is second.env is NO_ENTRIES
    assert first.env == {}
    assert dump_step(first) == {"id": "a", "kind": "value"}


def test_a_shared_default_cannot_be_changed() -> None:
    changes: list[Callable[[], Any]] = [
        lambda: NO_ENTRIES.__setitem__("a", 1),
        lambda: NO_ENTRIES.update({"a": 1}),
        lambda: NO_ENTRIES.setdefault("a", 1),
        lambda: NO_ITEMS.append(1),
        lambda: NO_ITEMS.extend([1]),
        lambda: NO_ITEMS.insert(0, 1),
    ]
    for change in changes:
        with pytest.raises(TypeError, match="cannot be changed"):
            change()
    assert NO_ENTRIES == {}
    assert NO_ITEMS == []


def test_a_field_with_its_default_is_not_recorded() -> None:
    common: dict[str, Any] = {
        "id": "a",
        "kind": "value",
        "env": {},
        "needs": (),
        "retry_on": (),
        "timeout_s": None,
    }
    step = step_def(common, {"value": 0})
    assert dump_step(step) == {"id": "a", "kind": "value", "value": 0}
    assert step_def({**common, "timeout_s": 0.0, "continue_on_error": True}, {}).timeout_s == 0.0


@pytest.mark.parametrize("value", [None, False, 0, 0.0, "", [], {}])
def test_an_empty_value_of_a_step_is_kept(value: object) -> None:
    step = step_def({"id": "a", "kind": "value"}, {"value": value})
    assert step.value == value
    assert type(step.value) is type(value)
