"""Reads the mappings of a job and of its steps as models, in the shortest way.

What has a few keys of simple types is read without validators: a large spec has thousands of such
steps. Otherwise validators are built for those keys that a spec has. pydantic builds those of a
model at its first use, and for all keys of a step this takes longer than a small job takes to run.
Each way gives what `model_validate` would give, and raises the same ValidationError.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

from pydantic import create_model

from orc.scheduler.core.spec.base import Sparse, Strict, without_anchors
from orc.scheduler.core.spec.model import PROJECT_LENGTH_MAX, PROJECT_PATTERN, JobSpec, StepSpec

Model = TypeVar("Model", bound=Strict)


class PartOfModel(Strict):
    """Base of models that have some fields of another one."""


_parts: dict[type[Strict], type[Strict]] = {}
"""For each model, the one part of it that was built."""


def read_job(raw: dict[str, Any]) -> JobSpec:
    """The job without its steps. Raises ValidationError."""
    return _plain_job(raw) or _reader_of(JobSpec, [raw])(without_anchors(raw))


def step_reader(mappings: Sequence[Any]) -> Callable[[Any], StepSpec]:
    """A function that reads each of these as a step. It raises ValidationError."""

    @cache
    def validating() -> Callable[[Any], StepSpec]:
        return _reader_of(StepSpec, mappings)

    return lambda raw: _plain_step(raw) or validating()(raw)


def _plain_job(raw: dict[str, Any]) -> JobSpec | None:
    """The job without its steps; None if it has other keys or types, so that it must be validated."""
    if "project" not in raw or not _is_plain(raw, _IN_JOB):
        return None
    return JobSpec.of_checked(raw)


def _plain_step(raw: Any) -> StepSpec | None:
    """The step; None if it has other keys or other types, so that it must be validated."""
    if type(raw) is not dict or not raw or not _is_plain(raw, _IN_STEP):
        return None
    fields = dict(raw)
    if type(raw.get("needs")) is str:
        fields["needs"] = [raw["needs"]]
    return StepSpec.of_checked(fields)


def _reader_of(model: type[Model], mappings: Iterable[Any]) -> Callable[[Any], Model]:
    """A function that validates each of these mappings, and refuses anything else."""
    # A process that reads many specs builds the whole model once, not a part for each of them.
    if not model.__pydantic_complete__:
        given = {key for mapping in mappings if isinstance(mapping, dict) for key in mapping}
        needed = {
            name
            for name, field in model.model_fields.items()
            if field.is_required() or (field.alias or name) in given
        }
        part = _parts.get(model) or _parts.setdefault(model, _part(model, needed))
        if needed <= part.model_fields.keys():
            return lambda raw: _whole(model, part.model_validate(raw))
    return model.model_validate


def _part(model: type[Strict], needed: set[str]) -> type[Strict]:
    fields: dict[str, Any] = {
        name: (field.annotation, field)
        for name, field in model.model_fields.items()
        if name in needed
    }
    base = (Sparse, PartOfModel) if issubclass(model, Sparse) else PartOfModel
    return create_model(model.__name__, __base__=base, **fields)


def _whole(model: type[Model], part: Strict) -> Model:
    """The model with the fields of a part, which are valid."""
    given = part.model_fields_set
    return model.of_checked({name: value for name, value in vars(part).items() if name in given})


def _is_plain(raw: dict[Any, Any], known: Mapping[str, Callable[[Any], bool]]) -> bool:
    return raw.keys() <= known.keys() and all(known[key](value) for key, value in raw.items())


def _is_text(value: Any) -> bool:
    return type(value) is str


def _is_filled(value: Any) -> bool:
    return type(value) is str and value != ""


def _is_model(value: Any) -> bool:
    return _is_filled(value) and value == value.strip()


def _are_texts(value: Any) -> bool:
    return type(value) is list and all(type(text) is str for text in value)


def _is_project(value: Any) -> bool:
    return _is_text(value) and len(value) <= PROJECT_LENGTH_MAX and bool(_PROJECT.fullmatch(value))


_PROJECT = re.compile(PROJECT_PATTERN.removesuffix("$"))
_IN_JOB: dict[str, Callable[[Any], bool]] = {
    "project": _is_project,
    "task_description": _is_text,
    "provider": _is_filled,
    "model": _is_model,
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
    "model": _is_model,
    "needs": lambda value: _is_text(value) or _are_texts(value),
}
"""The same for a step."""
