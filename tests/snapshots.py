"""A deep copy of a job's state as plain values: equal as long as nothing in the state has changed."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.fold.graph import Graph


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
    if isinstance(value, Graph):
        return _copy(vars(value))
    if isinstance(value, Struct) and not value.__struct_config__.frozen:
        return tuple((name, _copy(getattr(value, name))) for name in value.__struct_fields__)
    # Frozen: the value itself stands for what it is.
    return value
