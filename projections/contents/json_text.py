"""JSON with one value on each line, exactly as it was written.

The text is only indented: numbers, escapes and keys that occur twice stay as they are. `json.dumps`
of what was read would change them.
"""

from __future__ import annotations

import json
import re

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+')
_INDENT = "  "
_DEPTH_MAX = 200


def indented(text: str) -> str | None:
    """The JSON text with indentation; None if it is no JSON, or is nested more than 200 deep."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return None
    parts: list[str] = []
    depth = 0
    before = ""
    for piece in _TOKEN.findall(text):
        if piece in ("}", "]"):
            depth -= 1
            if before not in ("{", "["):
                parts.append("\n" + _INDENT * depth)
        elif before in ("{", "[", ","):
            parts.append("\n" + _INDENT * depth)
        parts.append(f"{piece} " if piece == ":" else piece)
        if piece in ("{", "["):
            depth += 1
            if depth > _DEPTH_MAX:
                return None
        before = piece
    return "".join(parts)
