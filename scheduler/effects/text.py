"""Reading what models and commands print: code fences and JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import islice
from typing import Any, NoReturn

from ledger.digest import clean_json, clean_text
from scheduler.core.commands import Failed
from scheduler.effects.contract import Result

_FENCE = re.compile(r"(`{3,}|~{3,})[ \t]*([\w+#.-]*)[^\n`]*\Z")
_PROSE = ("markdown", "md", "text", "txt")
JSON_DEPTH_MAX = 200
MISFITS_MAX = 5
_MISFIT_CHARS = 300


def without_fence(text: str) -> str:
    """The text inside a code fence around all of it; any other text as it is.

    A fence of Markdown may hold fences of its own; in a fence of code an
    inner fence means that these are several blocks, and the text is kept.
    """
    lines = text.strip().split("\n")
    opening = _FENCE.match(lines[0].strip())
    if opening is None or len(lines) < 2:
        return text
    fence, language = opening[1], opening[2].lower()
    closing = lines[-1].strip()
    if set(closing) != {fence[0]} or len(closing) < len(fence):
        return text
    inner = lines[1:-1]
    if language not in _PROSE and any(line.startswith(fence) for line in inner):
        return text
    return "\n".join([*inner, ""])


def json_result(
    text: str, *, duration_s: float, what: str, schema: Mapping[str, Any] | None = None
) -> Result:
    """The result of a step with `format: json`: the parsed text, or a failure of kind `schema`.

    With `schema`, a JSON Schema (draft 2020-12), the value must fit it.
    """
    try:
        value = parse_json(without_fence(text))
    except ValueError as error:
        shown = " ".join(text.split())[:80]
        problem = f"{what} is not JSON: {error}; it begins {shown!a}"
    else:
        misfits = [] if schema is None else find_misfits(value, schema)
        if not misfits:
            return Result(value=value, text=text)
        problem = f"{what} does not fit the schema: {'; '.join(misfits)}"
    failed = Failed(kind="schema", message=problem, duration_s=duration_s, on_content=True)
    return Result(failed=failed)


def find_misfits(value: Any, schema: Mapping[str, Any]) -> list[str]:
    """Where and why the value does not fit, the first few; nothing is fetched for a `$ref`."""
    from jsonschema import Draft202012Validator
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    validator = Draft202012Validator(schema, registry=Registry())
    try:
        errors = sorted(
            islice(validator.iter_errors(value), MISFITS_MAX), key=lambda error: error.json_path
        )
    except Unresolvable as error:
        return [f"the schema cannot be followed: {clean_text(str(error))[:_MISFIT_CHARS]}"]
    except RecursionError:
        return ["the schema or the value is nested too deeply"]
    return [f"{error.json_path}: {clean_text(error.message)[:_MISFIT_CHARS]}" for error in errors]


def parse_json(text: str) -> Any:
    """The one JSON value in the text, with nothing that JSON does not have.

    Raises ValueError, also for duplicate keys, NaN, and more than 200 levels.
    """
    try:
        value = json.loads(
            text, parse_constant=_refuse_constant, object_pairs_hook=_object, parse_float=_float
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None
    check_depth(value)
    return clean_json(value)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _float(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"the number {text[:20]} is too large")
    return number


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key appears twice in one object")
    return found


def check_depth(value: Any) -> None:
    """Refuse a value that is nested more than 200 levels deep. Raises ValueError."""
    level = [value]
    for _ in range(JSON_DEPTH_MAX):
        level = [
            item
            for parent in level
            if isinstance(parent, dict | list)
            for item in (parent.values() if isinstance(parent, dict) else parent)
        ]
        if not level:
            return
    raise ValueError(f"nested more than {JSON_DEPTH_MAX} levels deep")
