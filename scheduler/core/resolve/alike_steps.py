"""Defines a step like an earlier one with the same keys, if they differ in their work only.

A large spec has thousands of steps with the same few keys. All that the job, its defaults and the
environment add to them is the same for each.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sized
from typing import Any

from msgspec.structs import replace

from orc.ledger.definition import StepDef
from orc.ledger.stored_struct import fields_in_order
from orc.scheduler.core.spec.model import StepSpec

_KEYS = frozenset("needs value run python args".split())
"""Keys of which each changes only its own fields of a definition."""
_FIELDS = ("needs", "value", "run", "function", "args")


class AlikeSteps:
    """The definitions of one spec's steps by their keys; `apart` are the ids of steps unlike others.

    `problems` are those that were found in the steps so far.
    """

    def __init__(self, apart: Container[str], problems: Sized) -> None:
        self._apart = apart
        self._problems = problems
        self._shared: dict[tuple[frozenset[str], str | None], StepDef] = {}

    def define(
        self,
        step_id: str,
        step: StepSpec,
        needs: tuple[str, ...],
        workspace: str | None,
        make: Callable[[], StepDef],
    ) -> StepDef:
        """The definition of the step, which `make` makes of steps that are like no other."""
        if not step.model_fields_set <= _KEYS or step_id in self._apart:
            return make()
        keys = frozenset(step.model_fields_set), workspace
        shared = self._shared.get(keys)
        if shared is not None:
            return replace(shared, id=step_id, **_own(step, needs))
        count = len(self._problems)
        made = make()
        # A problem is reported for each step that has it.
        if len(self._problems) == count:
            defaults = dict(fields_in_order(StepDef))
            self._shared[keys] = replace(made, **{name: defaults[name] for name in _FIELDS})
        return made


def _own(step: StepSpec, needs: tuple[str, ...]) -> dict[str, Any]:
    """The fields of the step that other steps with the same keys do not have."""
    fields: dict[str, Any] = {}
    if needs:
        fields["needs"] = needs
    if step.value is not None:
        fields["value"] = step.value
    if step.run is not None:
        fields["run"] = tuple(step.run) if isinstance(step.run, list) else step.run
    if step.python is not None:
        fields["function"] = step.python
    if step.args:
        fields["args"] = step.args
    return fields
