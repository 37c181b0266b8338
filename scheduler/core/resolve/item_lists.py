"""The items of a fan-out: its list, the combinations of its matrix, or both together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from math import prod
from typing import Any

from orc.ledger.definition import ForEachDef
from orc.ledger.wording import count_text, number_text
from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.language.templates import render_value
from orc.scheduler.core.language.values import kind_of_value, to_plain

ITEMS_MAX = 100_000


def list_items(for_each: ForEachDef, scope: Mapping[str, Any]) -> list[Any]:
    """The values of the items, as they are recorded (`ForEachDef.variables`), with repetitions.

    Raises TemplateError.
    """
    items = _once(for_each, scope)
    if for_each.repeat is None:
        return items
    _check_count("repeat", [items, [None] * for_each.repeat])
    return [item for item in items for _ in range(for_each.repeat)]


def _once(for_each: ForEachDef, scope: Mapping[str, Any]) -> list[Any]:
    if for_each.matrix is None:
        items = _list("for_each", for_each.items, scope)
        _check_count("for_each", [items])
        return items
    names = list(for_each.matrix)
    columns = [_list(f"matrix.{name}", for_each.matrix[name], scope) for name in names]
    if for_each.items is None:
        _check_count("matrix", columns)
        return list(_rows(names, columns))
    items = _list("for_each", for_each.items, scope)
    _check_count("for_each and matrix", [items, *columns])
    rows = list(_rows(names, columns))
    return [{"item": item, "matrix": row} for item in items for row in rows]


def _list(where: str, template: Any, scope: Mapping[str, Any]) -> list[Any]:
    try:
        found = to_plain(render_value(template, scope))
    except TemplateError as error:
        raise TemplateError(f"{where}: {error}") from None
    if not isinstance(found, list):
        raise TemplateError(f"{where}: must be a list; got {kind_of_value(found)}")
    return found


def _rows(names: list[str], columns: Iterable[list[Any]]) -> Iterable[dict[str, Any]]:
    return (dict(zip(names, row, strict=True)) for row in product(*columns))


def _check_count(where: str, lists: list[list[Any]]) -> None:
    count = prod(map(len, lists))
    if count > ITEMS_MAX:
        raise TemplateError(
            f"{where}: has {count_text(count, 'item')}; the maximum is {number_text(ITEMS_MAX)}"
        )
