"""JSON with indentation: the text of `json.dumps(value, indent=2)`, in a fraction of its time.

Python has a fast encoder, but uses it only for JSON without indentation.
"""

from __future__ import annotations

import json
from json.encoder import encode_basestring_ascii
from math import isfinite
from typing import Any


def render_pretty(value: Any) -> str:
    """The value as ASCII, with two spaces for each level."""
    return _render(value, "\n")


def _render(value: Any, line: str) -> str:
    """`line` is the line break with the indentation of the line in which the value begins."""
    kind = type(value)
    if kind is str:
        return encode_basestring_ascii(value)
    if kind is int:
        return repr(value)
    if kind is float and isfinite(value):
        return repr(value)
    if not value and kind in (dict, list):
        return "{}" if kind is dict else "[]"
    if kind is dict and value and all(type(key) is str for key in value):
        inner = f"{line}  "
        pairs = [
            f"{inner}{encode_basestring_ascii(key)}: {_render(item, inner)}"
            for key, item in value.items()
        ]
        return f"{{{','.join(pairs)}{line}}}"
    if kind is list and value:
        inner = f"{line}  "
        return f"[{','.join([f'{inner}{_render(item, inner)}' for item in value])}{line}]"
    # A text in JSON has no line breaks.
    return json.dumps(value, indent=2, ensure_ascii=True).replace("\n", line)
