"""A deep copy of a job's state as plain values: equal as long as nothing in the state has changed."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, cast

from orc.scheduler.core.fold.evolve import JobState


def snapshot(state: JobState) -> Any:
    """Every field of the state, its caches and the order of its mappings included."""
    return _copy(state)


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return tuple((key, _copy(item)) for key, item in value.items())
    if isinstance(value, list | tuple | deque):
        return tuple(map(_copy, value))
    if isinstance(value, set):
        return frozenset(value)
    if is_dataclass(value) and not cast(Any, value).__dataclass_params__.frozen:
        return tuple((field.name, _copy(getattr(value, field.name))) for field in fields(value))
    # Frozen: the value itself stands for what it is.
    return value
