"""How a step runs more than once, waits for a person, or is scored."""

from __future__ import annotations

from math import prod
from typing import Any, Literal

from orc.ledger.stored_struct import Stored


class ForEachDef(Stored, frozen=True, kw_only=True):
    """A fan-out: `items` is a template or a list that may contain templates.

    `name` is the variable that holds an item. `key` is a template for the item's id; without
    it, the id is the item's index from 0. With a `matrix` of lists, or of templates of lists, each
    combination of their values is an item, with each of the `items` if there are any. With `repeat`,
    each item is created that many times.
    """

    items: Any = None
    matrix: dict[str, Any] | None = None
    name: str = "item"
    key: str | None = None
    max_parallel: int | None = None
    repeat: int | None = None

    def repetition_of(self, number: int) -> int:
        """The repetition, from 1, of the child with that number, from 0."""
        return number % (self.repeat or 1) + 1

    def variables(self, value: Any) -> dict[str, Any]:
        """The variables of an item, by its recorded value."""
        if self.matrix is not None and self.items is not None:
            return {self.name: value["item"], "matrix": value["matrix"]}
        return {self.name: value}

    def parts(self, value: Any) -> dict[str, Any]:
        """The item and its combination of the matrix, under these names, by the recorded value."""
        if self.matrix is not None and self.items is not None:
            return dict(value)
        return {"matrix" if self.name == "matrix" else "item": value}

    @property
    def count(self) -> int | None:
        """The number of items, if the definition lists them; otherwise None."""
        lists = [*(self.matrix or {}).values(), *([] if self.items is None else [self.items])]
        if any(isinstance(found, str) for found in lists):
            return None
        return prod(map(len, lists)) * (self.repeat or 1)


class LoopDef(Stored, frozen=True, kw_only=True):
    """A loop: rounds run until the condition `until` holds, at most `max_iterations` times.

    `on_exhausted` says whether the step succeeds or fails if the condition never held.
    """

    until: str | None = None
    max_iterations: int
    on_exhausted: Literal["continue", "fail"] = "continue"


class ApprovalDef(Stored, frozen=True, kw_only=True):
    """A human review: `message` is a template; after `timeout_s`, the runner picks `on_timeout`."""

    message: str
    options: tuple[str, ...] = ("approve", "reject")
    timeout_s: float | None = None
    on_timeout: str = "reject"


class ScoreDef(Stored, frozen=True, kw_only=True):
    """A score of the step's result: templates that give its value, its explanation `why`, and the id
    of another step that it is about (`of`)."""

    value: str
    why: str | None = None
    of: str | None = None
