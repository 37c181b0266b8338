"""Reading what models and commands print: code fences and JSON."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from ledger.digest import clean_json
from scheduler.core.commands import Failed
from scheduler.effects.contract import Result

_FENCE = re.compile(r"(`{3,}|~{3,})[ \t]*([\w+#.-]*)[^\n`]*\Z")
_PROSE = ("markdown", "md", "text", "txt")
JSON_DEPTH_MAX = 200


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


def json_result(text: str, *, duration_s: float, what: str) -> Result:
    """The result of a step with `format: json`: the parsed text, or a failure of kind `schema`."""
    try:
        return Result(value=parse_json(without_fence(text)), text=text)
    except ValueError as error:
        shown = " ".join(text.split())[:80]
        return Result(
            failed=Failed(
                kind="schema",
                message=f"{what} is not JSON: {error}; it begins {shown!a}",
                duration_s=duration_s,
                on_content=True,
            )
        )


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
