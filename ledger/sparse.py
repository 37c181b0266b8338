"""Models that hold only the fields which they were given: a large job has thousands of them.

A pydantic model has an entry for each of its fields, also for defaults. That is most of the memory of
a step, and of the time of its dump. The class has the defaults of such a model instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Self

from pydantic import BaseModel

_KEY_SETS_MAX = 1000

_set = object.__setattr__


class Defaulted(BaseModel):
    """Base of models that may lack fields with their defaults: those that `of_checked` makes.

    `model_dump` of these has the given fields only. Two models are equal if all their fields are.
    """

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Give the class the defaults of its fields."""
        super().__pydantic_init_subclass__(**kwargs)
        for name, field in cls.model_fields.items():
            if not field.is_required():
                setattr(cls, name, field.default)

    @classmethod
    def of_checked(cls, fields: dict[str, Any]) -> Self:
        """The model with these fields, whose values another model has checked already."""
        made = cls.__new__(cls)
        _set(made, "__dict__", fields)
        _set(made, "__pydantic_fields_set__", _key_set(fields))
        _set(made, "__pydantic_extra__", None)
        _set(made, "__pydantic_private__", None)
        return made

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Defaulted) or type(self) is not type(other):
            return NotImplemented
        own, others = self.__dict__, other.__dict__
        return own == others or all(
            getattr(self, name) == getattr(other, name) for name in {**own, **others}
        )

    def __hash__(self) -> int:
        defaults = type(self)
        given = self.__dict__.items()
        return hash(frozenset(one for one in given if getattr(defaults, one[0], ...) != one[1]))


class Sparse(Defaulted):
    """Base of models with many fields of which most have their defaults, however they are made."""

    def model_post_init(self, context: Any) -> None:
        """Drop the fields that were not given."""
        given, values = self.__pydantic_fields_set__, self.__dict__
        names = _in_order(type(self), frozenset(given))
        _set(self, "__dict__", {name: values[name] for name in names})
        _set(self, "__pydantic_fields_set__", _key_set(given))


@lru_cache(maxsize=_KEY_SETS_MAX)
def _in_order(model: type[Sparse], given: frozenset[str]) -> tuple[str, ...]:
    """The given fields in the order of the model, which has many more of them."""
    return tuple(name for name in model.model_fields if name in given)


_key_sets: dict[frozenset[str], set[str]] = {}


def _key_set(names: Iterable[str]) -> set[str]:
    """The names as a set that models with the same fields share; no model changes it."""
    found = frozenset(names)
    if len(_key_sets) >= _KEY_SETS_MAX:
        return set(found)
    return _key_sets.setdefault(found, set(found))
