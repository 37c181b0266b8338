"""Keys of a step that become fields of its definition without further settings."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from orc.ledger.definition import DEFAULT_LIMITS, LimitsDef, Required, StepDef
from orc.ledger.kinds import Kind
from orc.scheduler.core.spec.model import DefaultsSpec, StepSpec
from orc.scheduler.core.spec.resources import FileSpec

_FIELDS = frozenset(StepDef.__struct_fields__)
_SCALARS = (str, int, float, bool, type(None))
"""Values that need no dump."""


def has_files(step: StepSpec) -> bool:
    """Whether a message of the step has an image or another file."""
    if step.messages is None:
        return False
    contents = [message.content for message in step.messages]
    parts = (part for parts in contents if isinstance(parts, list) for part in parts)
    return any(part.image or part.file for part in parts)


def required_of(file: FileSpec, *, is_strict: bool) -> Required:
    """What must be there for the file; `is_strict` requires it for patterns, too."""
    if file.glob is None or file.required is False:
        return "no"
    return "yes" if file.required or is_strict else "name"


def limits_of(step: StepSpec, defaults: DefaultsSpec) -> LimitsDef:
    """The limits of the step, each of it or of the defaults."""
    if step.limits is None and defaults.limits is None:
        return DEFAULT_LIMITS
    given: dict[str, int] = {}
    for limits in (defaults.limits, step.limits):
        if limits is not None:
            given |= limits.model_dump(exclude_none=True)
    return LimitsDef(**given)


def own_keys(step: StepSpec, facts: Kind, *, known: Collection[str]) -> dict[str, Any]:
    """The keys of the step's kind that its definition has under the same name, as they are."""
    given = step.model_fields_set
    own = [
        key
        for key in (*facts.marks, *facts.takes)
        if key in given and key in _FIELDS and key not in known
    ]
    found = {key: getattr(step, key) for key in own}
    if not all(type(value) in _SCALARS for value in found.values()):
        dumped = step.model_dump(include=set(own))
        return {key: dumped[key] for key in own}
    return found
