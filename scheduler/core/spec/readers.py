"""Reads jobs and steps with a few keys of simple types, without the validation that others need.

A large spec has thousands of such steps, and for a small one the validators of pydantic, which are
built at their first use, take longer than all the rest. What is read here is what `model_validate`
would read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from orc.scheduler.core.spec.model import PROJECT_LENGTH_MAX, PROJECT_PATTERN, JobSpec, StepSpec


def plain_job(raw: dict[str, Any]) -> JobSpec | None:
    """The job without its steps; None if it has other keys or types, so that it must be validated."""
    if "project" not in raw or not _is_plain(raw, _IN_JOB):
        return None
    return JobSpec.model_construct(**raw)


def plain_step(raw: Any) -> StepSpec | None:
    """The step; None if it has other keys or other types, so that it must be validated."""
    if type(raw) is not dict or not raw or not _is_plain(raw, _IN_STEP):
        return None
    fields = dict(raw)
    if type(raw.get("needs")) is str:
        fields["needs"] = [raw["needs"]]
    return StepSpec.of_checked(fields)


def _is_plain(raw: dict[Any, Any], known: Mapping[str, Callable[[Any], bool]]) -> bool:
    return raw.keys() <= known.keys() and all(known[key](value) for key, value in raw.items())


def _is_text(value: Any) -> bool:
    return type(value) is str


def _is_filled(value: Any) -> bool:
    return type(value) is str and value != ""


def _are_texts(value: Any) -> bool:
    return type(value) is list and all(type(text) is str for text in value)


def _is_project(value: Any) -> bool:
    return _is_text(value) and len(value) <= PROJECT_LENGTH_MAX and bool(_PROJECT.fullmatch(value))


_PROJECT = re.compile(PROJECT_PATTERN.removesuffix("$"))
_IN_JOB: dict[str, Callable[[Any], bool]] = {
    "project": _is_project,
    "task_description": _is_text,
    "provider": _is_filled,
    "model": _is_filled,
    "base_url": _is_filled,
    "output_dir": _is_filled,
}
"""For each key of a job, whether its value has a form that needs no validation."""
_IN_STEP: dict[str, Callable[[Any], bool]] = {
    "value": lambda value: True,
    "run": lambda value: _is_text(value) or _are_texts(value),
    "python": _is_filled,
    "args": lambda value: type(value) is dict and all(type(name) is str for name in value),
    "prompt": _is_text,
    "system": _is_text,
    "provider": _is_filled,
    "model": _is_filled,
    "needs": lambda value: _is_text(value) or _are_texts(value),
}
"""The same for a step."""
