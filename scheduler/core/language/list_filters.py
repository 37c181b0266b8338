"""Filters over lists: they select, group, pair, cut and order the items. All take values, no code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

from orc.ledger.digest import canonical_json
from orc.ledger.wording import number_text
from orc.scheduler.core.language.value_bounds import OPERAND_LENGTH_MAX
from orc.scheduler.core.language.values import kind_of_value, to_text

Apply = Callable[[str, Any, list[Any], dict[str, Any]], Any]
"""Applies the filter or the test with the name to a value."""
Get = Callable[[Any, Any], Any]
"""Looks up a key of a mapping or an index of a list; raises LookupError without it."""
_NO_DEFAULT = object()
_PRESENCE = {"defined": True, "undefined": False}


class ListFilters:
    """The filters that apply other filters and tests, or look up attributes, of the items."""

    def __init__(self, *, apply_filter: Apply, apply_test: Apply, get: Get) -> None:
        self._filter = apply_filter
        self._test = apply_test
        self._get = get

    def map(
        self,
        value: Any,
        name: str | None = None,
        *arguments: Any,
        attribute: Any = None,
        default: Any = _NO_DEFAULT,
        **keywords: Any,
    ) -> list[Any]:
        """The attribute of each item, or each item after the filter `name`."""
        items = items_of(value)
        if (name is None) == (attribute is None):
            raise ValueError("give either the name of a filter, or attribute=")
        if attribute is not None:
            return [self.attribute(item, attribute, default) for item in items]
        return [self._filter(str(name), item, list(arguments), keywords) for item in items]

    def select(self, value: Any, test: str | None = None, *arguments: Any) -> list[Any]:
        """The items that pass the test; without one, those that are not null, false, 0 or empty."""
        return [item for item in items_of(value) if self._passes(item, test, arguments)]

    def reject(self, value: Any, test: str | None = None, *arguments: Any) -> list[Any]:
        """The items that `select` leaves out."""
        return [item for item in items_of(value) if not self._passes(item, test, arguments)]

    def selectattr(
        self, value: Any, attribute: Any, test: str | None = None, *arguments: Any
    ) -> list[Any]:
        """The items whose attribute passes the test, or is not null, false, 0 or empty without one.

        A missing attribute is null. Raises ValueError for a text that only says true or false.
        """
        return [item for item in items_of(value) if self._has(item, attribute, test, arguments)]

    def rejectattr(
        self, value: Any, attribute: Any, test: str | None = None, *arguments: Any
    ) -> list[Any]:
        """The items that `selectattr` leaves out."""
        return [item for item in items_of(value) if not self._has(item, attribute, test, arguments)]

    def groupby(
        self, value: Any, attribute: Any, default: Any = _NO_DEFAULT
    ) -> list[dict[str, Any]]:
        """A mapping with `key` and `items` for each value of the attribute, in order of appearance."""
        groups: dict[str, dict[str, Any]] = {}
        for item in items_of(value):
            key = self.attribute(item, attribute, default)
            group = groups.setdefault(canonical_json(key), {"key": key, "items": []})
            group["items"].append(item)
        return list(groups.values())

    def unique(self, value: Any, case_sensitive: Any = False, attribute: Any = None) -> list[Any]:
        """The first of the items that are equal, or whose attributes are."""
        found: dict[Any, Any] = {}
        items = _iterated(value)
        for item, key in zip(items, self.values(items, attribute), strict=True):
            if isinstance(key, str) and not case_sensitive:
                found.setdefault(key.lower(), item)
            else:
                # A tuple is equal to no value of an expression.
                found.setdefault(
                    (canonical_json(key),) if isinstance(key, list | Mapping) else key, item
                )
        return list(found.values())

    def join(self, value: Any, d: Any = "", attribute: Any = None) -> str:
        """The items as one text, with `d` between them."""
        return to_text(d).join(map(to_text, self.values(_iterated(value), attribute)))

    def attribute(self, item: Any, attribute: Any, default: Any = _NO_DEFAULT) -> Any:
        """The value at a path such as `usage.tokens` or `parts.0`. Raises ValueError without it."""
        found = item
        for key in _path(attribute):
            try:
                found = self._get(found, key)
            except LookupError as error:
                if default is not _NO_DEFAULT:
                    return default
                raise ValueError(str(error)) from None
        return found

    def values(self, value: Any, attribute: Any) -> list[Any]:
        """The items, or the attribute of each."""
        items = items_of(value)
        return items if attribute is None else [self.attribute(it, attribute) for it in items]

    def _passes(self, item: Any, test: str | None, arguments: tuple[Any, ...]) -> bool:
        return bool(item) if test is None else bool(self._test(test, item, list(arguments), {}))

    def _has(self, item: Any, attribute: Any, test: str | None, arguments: tuple[Any, ...]) -> bool:
        if test in _PRESENCE:
            is_there = self.attribute(item, attribute, _PRESENCE) is not _PRESENCE
            return is_there is _PRESENCE[test]
        value = self.attribute(item, attribute, None)
        if test is None and isinstance(value, str) and value.lower() in ("true", "false"):
            # As a text that is not empty, "false" would pass: a column of a table, for example.
            raise ValueError(
                f"{attribute!r} is the text {value!r}, which is neither true nor false; name a test, "
                f"as in ({attribute!r}, 'eq', 'true')"
            )
        return self._passes(value, test, arguments)


def _iterated(value: Any) -> list[Any]:
    """The items of a list, the characters of a text, or the keys of a mapping."""
    return list(value) if isinstance(value, str | Mapping) else items_of(value)


def zip_lists(value: Any, *others: Any) -> list[list[Any]]:
    """Lists of the items at the same place of each list, which must have the same length."""
    lists = [items_of(value), *map(items_of, others)]
    lengths = [len(items) for items in lists]
    if len(set(lengths)) > 1:
        raise ValueError(f"the lists have different lengths: {', '.join(map(str, lengths))}")
    return [list(row) for row in zip(*lists, strict=True)]


def batch(value: Any, size: Any, fill: Any = None) -> list[list[Any]]:
    """Lists of `size` items; the last is filled up with `fill`, if that is given."""
    items, size = items_of(value), whole(size, "the size", least=1)
    found = [items[start : start + size] for start in range(0, len(items), size)]
    if fill is not None and found:
        missing = size - len(found[-1])
        if missing > OPERAND_LENGTH_MAX:
            raise ValueError(f"the last list would have {number_text(size)} items")
        found[-1] = found[-1] + [fill] * missing
    return found


def number_range(value: Any, stop: Any = None, step: Any = 1) -> list[int]:
    """The whole numbers below the value, or from the value to below `stop`, in steps."""
    first = whole(value, "the value")
    start, end = (0, first) if stop is None else (first, whole(stop, "the stop"))
    step = whole(step, "the step")
    if step == 0:
        raise ValueError("the step must not be 0")
    found = range(start, end, step)
    if len(found) > OPERAND_LENGTH_MAX:
        raise ValueError(f"the list would have more than {number_text(OPERAND_LENGTH_MAX)} items")
    return list(found)


def shuffle(value: Any, seed: Any) -> list[Any]:
    """The items in an order that follows from the seed, on every machine."""
    items = items_of(value)
    salt = canonical_json(seed)

    def place(number: int) -> bytes:
        return sha256(f"{salt}/{number}".encode()).digest()

    return [items[number] for number in sorted(range(len(items)), key=place)]


def sample(value: Any, count: Any, seed: Any) -> list[Any]:
    """That many items, chosen by the seed, in their order in the list; all if there are no more."""
    count = whole(count, "the number of items", least=0)
    numbers = sorted(shuffle(list(range(len(items_of(value)))), seed)[:count])
    return [value[number] for number in numbers]


def items_of(value: Any) -> list[Any]:
    """The list. Raises ValueError for anything else."""
    if isinstance(value, list):
        return value
    if value is None:
        raise ValueError(
            "needs a list; got null; write `... | default([], true)` where it may be null"
        )
    remedy = "; write `... | items`" if isinstance(value, Mapping) else ""
    raise ValueError(f"needs a list; got {kind_of_value(value)}{remedy}")


def whole(value: Any, what: str, *, least: int | None = None) -> int:
    """The whole number. Raises ValueError for anything else, and for one below `least`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{what} must be a whole number")
    if least is not None and value < least:
        raise ValueError(f"{what} must be at least {least}")
    return value


def _path(attribute: Any) -> list[Any]:
    if isinstance(attribute, int) and not isinstance(attribute, bool):
        return [attribute]
    if not isinstance(attribute, str) or not attribute:
        raise ValueError("the attribute must be a name, or a path such as usage.tokens")
    return [int(key) if key.isdecimal() else key for key in attribute.split(".")]
