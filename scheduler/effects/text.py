"""Reads the text of models and commands: removes code fences, and parses JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from orc.scheduler.core.commands import Failed
from orc.scheduler.core.reply_warnings import REPAIRED
from orc.scheduler.core.strict_json import parse_json
from orc.scheduler.effects.contract import Result
from orc.scheduler.effects.schemas import find_misfits

MENDED_CHARS_MAX = 1_000_000

_FENCE = re.compile(r"(`{3,}|~{3,})[ \t]*([\w+#.-]*)[^\n`]*\Z")
_BLOCK = re.compile(
    r"^[ \t]*(`{3,}|~{3,})[^\n`]*\n(.*?)\n[ \t]*\1[ \t]*$", re.DOTALL | re.MULTILINE
)
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


def reply_result(
    text: str, *, duration_s: float, schema: Mapping[str, Any] | None, is_cut: bool
) -> Result:
    """The JSON value of a model's reply, or a failure of kind `schema`.

    If the reply is not JSON, a document in its one fenced block is taken, and then one that
    json-repair can mend, with a warning. A text that was cut off is not mended: values may be missing.
    """
    result = json_result(text, duration_s=duration_s, what="the reply", schema=schema)
    if result.failed is None or is_cut:
        return result
    blocks = [block[2] for block in _BLOCK.finditer(text)]
    for found in blocks if len(blocks) == 1 else ():
        inner = json_result(found, duration_s=duration_s, what="the reply", schema=schema)
        if inner.failed is None:
            return replace(inner, text=text)
    mended = _mend(blocks[0] if len(blocks) == 1 else without_fence(text), schema)
    if mended is None:
        return result
    return Result(value=mended, text=text, warning=REPAIRED)


def _mend(text: str, schema: Mapping[str, Any] | None) -> Any:
    """The object or list that json-repair finds in the text; None if it is not to be trusted.

    The text must be one that begins and ends as a document: prose with a bracket in it is none. One
    without an error in its syntax is refused for its values, such as NaN: others would be made up.
    """
    written = text.strip()
    if (written[:1], written[-1:]) not in (("{", "}"), ("[", "]")) or len(
        written
    ) > MENDED_CHARS_MAX:
        return None
    try:
        json.loads(written)
        return None
    except json.JSONDecodeError:
        pass
    except (ValueError, RecursionError):
        return None
    import json_repair

    try:
        value = json_repair.loads(written, skip_json_loads=True)
        value = parse_json(json.dumps(value, allow_nan=False))
    except (ValueError, TypeError, RecursionError):
        return None
    is_document = isinstance(value, dict | list) and bool(value)
    return value if is_document and not (schema and find_misfits(value, schema)) else None


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
