"""Reads a step with a few keys of simple types, without the validation that all other steps need.

A large spec has thousands of them. What is read here is what `StepSpec.model_validate` would read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orc.scheduler.core.spec.model import StepSpec


def plain_step(raw: Any) -> StepSpec | None:
    """The step; None if it has other keys or other types, so that it must be validated."""
    if type(raw) is not dict or not raw or not raw.keys() <= _IS_PLAIN.keys():
        return None
    for key, value in raw.items():
        if not _IS_PLAIN[key](value):
            return None
    fields = dict(raw)
    if type(raw.get("needs")) is str:
        fields["needs"] = [raw["needs"]]
    return StepSpec.of_checked(fields)


def _is_text(value: Any) -> bool:
    return type(value) is str


def _are_texts(value: Any) -> bool:
    return type(value) is list and all(type(text) is str for text in value)


_IS_PLAIN: dict[str, Callable[[Any], bool]] = {
    "value": lambda value: True,
    "run": lambda value: _is_text(value) or _are_texts(value),
    "python": lambda value: _is_text(value) and value != "",
    "args": lambda value: type(value) is dict and all(type(name) is str for name in value),
    "prompt": _is_text,
    "system": _is_text,
    "needs": lambda value: _is_text(value) or _are_texts(value),
}
"""For each key, whether its value has a form that needs no validation."""
