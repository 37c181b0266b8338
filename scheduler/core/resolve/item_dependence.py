"""Whether a template has the same values for each item of a step, as far as its names tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from orc.ledger.definition import StepDef
from orc.ledger.step_names import lineage
from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.language.expressions import Reference
from orc.scheduler.core.language.names import EACH, ROUND
from orc.scheduler.core.language.templates import parse_template, texts_in

_OF_THE_JOB = ("job", "project", "task_description")


class ItemDependence(Struct, frozen=True):
    """The items of one step, `fan_out`, which is a `for_each` or `matrix` among these steps."""

    steps: Mapping[str, StepDef]
    fan_out: str

    def is_same_for_all(self, value: Any, step_id: str, *, is_list: bool = False) -> bool:
        """Whether a text, list or mapping of a step has one value, or the same ones, for each item.

        `step_id` is the step with the items, or one inside it; with `is_list`, its own items are not
        in scope. False if it is not certain.
        """
        try:
            parts = [parse_template(text).expressions for text in texts_in(value)]
        except TemplateError:
            return False
        return all(
            not expression.calls
            and all(
                self._is_outside(reference, step_id, is_list=is_list)
                for reference in expression.references
            )
            for expressions in parts
            for expression in expressions
        )

    def _is_outside(self, reference: Reference, step_id: str, *, is_list: bool) -> bool:
        """Whether what the reference names is the same for each item."""
        name = reference.path[0]
        holder = self._holder_of(name, step_id, is_list=is_list)
        if holder is not None:
            return self._holds_the_same(holder, reference)
        if name in _OF_THE_JOB:
            return True
        inner = list(self._inside(step_id))
        if name == ROUND:
            # The first round of each item has the same number.
            is_number = reference.path[1:] == ("index",)
            return is_number or all(self.steps[one].loop is None for one in inner)
        match reference.path:
            case ("inputs", *_):
                # Those of the innermost workflow.
                return all(
                    one == step_id
                    or self.steps[one].inputs is None
                    or self.is_same_for_all(self.steps[one].inputs, one)
                    for one in inner
                )
            case ("env", *_):
                return not any(self.steps[one].env for one in inner)
            case ("steps", local, *_):
                return not any(f"{one}/{local}" in self.steps for one in inner) and (
                    local != self.fan_out.rpartition("/")[2]
                )
        return False

    def _holder_of(self, name: str, step_id: str, *, is_list: bool) -> str | None:
        """The innermost step around whose item has the variable; None if no item has it."""
        for one in lineage(step_id):
            if one == step_id and is_list:
                continue
            if one != step_id and self.steps[one].inputs is not None:
                return None
            for_each = self.steps[one].for_each
            if for_each is not None and (
                name in (EACH, for_each.name)
                or (name == "matrix" and for_each.matrix is not None)
                or (name == "repetition" and for_each.repeat is not None)
            ):
                return one
        return None

    def _holds_the_same(self, holder: str, reference: Reference) -> bool:
        """Whether the items of that step are the same for each item of the fan-out."""
        if holder == self.fan_out:
            return False
        if holder not in self._inside(holder):
            return True
        for_each = self.steps[holder].for_each
        assert for_each is not None
        if for_each.count == 0 or reference.path[:1] == (EACH,):
            return False
        lists = [for_each.items, for_each.matrix]
        return self.is_same_for_all(lists, holder, is_list=True)

    def _inside(self, step_id: str) -> Iterator[str]:
        """The step and the steps around it, up to that with the items; empty if it is outside."""
        around = list(lineage(step_id))
        if self.fan_out in around:
            yield from around[: around.index(self.fan_out) + 1]
