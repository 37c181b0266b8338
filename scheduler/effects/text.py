"""Reads the text of models and commands: removes code fences, and parses JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from orc.scheduler.core.commands import Failed
from orc.scheduler.core.strict_json import parse_json
from orc.scheduler.effects.contract import Result
from orc.scheduler.effects.schemas import find_misfits

_FENCE = re.compile(r"(`{3,}|~{3,})[ \t]*([\w+#.-]*)[^\n`]*\Z")
_PROSE = ("markdown", "md", "text", "txt")


def without_fence(text: str) -> str:
    """The text without a code fence around all of it; a text without such a fence is unchanged.

    A Markdown fence may contain other fences. A fence inside any other fence means that the text
    has several code blocks; the text is then unchanged.
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
    """The parsed text, or a failure of kind `schema`.

    `what` names the text in the message. `schema` is a JSON Schema (draft 2020-12) for the value.
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
