"""Checks values that models and commands wrote against JSON Schemas (draft 2020-12).

The package `jsonschema` compares each item of an array with every other one where they cannot be
sorted, and a reply can hold many thousands of objects. `uniqueItems` is therefore checked here,
in time that grows with the size of the array.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import islice
from typing import Any

from orc.ledger.digest import clean_text

MISFITS_MAX = 5
_MISFIT_CHARS = 300


def find_misfits(value: Any, schema: Mapping[str, Any]) -> list[str]:
    """The first few places where the value does not fit, with reasons. A `$ref` is never fetched."""
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    # With `$schema`, a reference to the whole schema would get jsonschema's own class again.
    keywords = {key: shape for key, shape in schema.items() if key != "$schema"}
    validator = _validator_class()(keywords, registry=Registry())
    try:
        errors = sorted(
            islice(validator.iter_errors(value), MISFITS_MAX), key=lambda error: error.json_path
        )
    except Unresolvable as error:
        reason = clean_text(str(error))[:_MISFIT_CHARS]
        return [f"a reference in the schema cannot be resolved: {reason}"]
    except RecursionError:
        return ["the schema or the value is nested too deeply"]
    except (ArithmeticError, ValueError) as error:
        # For instance, a large integer is no multiple of a fraction: Python cannot divide them.
        return [f"a number cannot be compared with the schema: {error}"]
    return [f"{error.json_path}: {clean_text(error.message)[:_MISFIT_CHARS]}" for error in errors]


def first_equal_items(items: Iterable[Any]) -> tuple[int, int] | None:
    """The places of the first two items that JSON Schema takes for equal; None without such items.

    The items are compared by a text, because Python hashes texts with a secret of the process:
    a model could choose numbers that all have the same hash.
    """
    places: dict[str, int] = {}
    for place, item in enumerate(items):
        earlier = places.setdefault(_comparable_text(item), place)
        if earlier != place:
            return earlier, place
    return None


def _comparable_text(value: Any) -> str:
    """A text that two JSON values share if and only if they are equal: 1 is 1.0, but not true."""
    if isinstance(value, dict):
        members = (f"{json.dumps(key)}:{_comparable_text(value[key])}" for key in sorted(value))
        return f"{{{','.join(members)}}}"
    if isinstance(value, list):
        return f"[{','.join(map(_comparable_text, value))}]"
    if isinstance(value, float):
        # Exact in both cases; in hexadecimal digits, of which Python limits no number.
        return hex(int(value)) if value.is_integer() else value.hex()
    if isinstance(value, int) and not isinstance(value, bool):
        return hex(value)
    return json.dumps(value)


@cache
def _validator_class() -> Any:
    from jsonschema import Draft202012Validator, validators

    extend: Any = validators.extend  # jsonschema does not declare its types
    return extend(Draft202012Validator, {"uniqueItems": _check_unique_items})


def _check_unique_items(
    validator: Any, is_wanted: Any, instance: Any, _schema: object
) -> Iterator[Exception]:
    from jsonschema import ValidationError

    if not is_wanted or not validator.is_type(instance, "array"):
        return
    equal = first_equal_items(instance)
    if equal is not None:
        yield ValidationError(f"the items {equal[0]} and {equal[1]} (from 0) are equal")
