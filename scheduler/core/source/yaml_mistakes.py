"""Says where a text is not valid YAML, and what to do.

The problems are worded by libyaml, or by PyYAML where libyaml is not installed. What helps follows
from the words that both have, and from the character at the place.
"""

from __future__ import annotations

import yaml

from orc.scheduler.core.errors import Problem

_BY_CHARACTER = {
    "\t": "indent with spaces, not with tabs",
    "@": "put a text that begins with @ in quotes",
    "`": "put a text that begins with ` in quotes",
    "%": "put a text that begins with % in quotes",
}
_BY_WORDS = (
    (
        "mapping values",
        "put a text that has `: ` in quotes, or correct the indentation or the colons",
    ),
    ("sequence entries", "begin a list on a line of its own, or put a text in quotes"),
    ("',' or", "close the brackets, or put a text that has `: `, commas or brackets in quotes"),
    ("end of stream", "the quote that begins here has no end; add it"),
    ("escape character", r"write \\ for a backslash in double quotes, or use single quotes"),
    ("alphabetic or numeric", "put a text that begins with * or & in quotes"),
    ("unexpected ':'", "write a space after the colon of a key, or put a text in quotes"),
    ("expected ':'", "write `: ` after a key, and indent a text of several lines under its key"),
)
_OTHERWISE = "correct the indentation or the quotes; the keys of a mapping begin in one column"
_AT_THE_BEGINNING = ("',' or", "end of stream", "expected ':'")
"""Problems that are found after the text that has them, often at the end of the file."""


def mistake_in(text: str, error: yaml.YAMLError) -> Problem:
    """The problem of a text that is not valid YAML."""
    if isinstance(error, yaml.MarkedYAMLError):
        return _marked(text, error)
    code = getattr(error, "character", None)
    if not isinstance(code, int):
        return Problem(f"not valid YAML: {' '.join(str(error).split())}")
    before = text.partition(chr(code))[0]
    line = before.count("\n") + 1
    column = len(before) - before.rfind("\n")
    message = f"not valid YAML: it has the control character U+{code:04X}; remove it"
    return Problem(message, line, column)


def _marked(text: str, error: yaml.MarkedYAMLError) -> Problem:
    words = error.problem or error.context or ""
    mark = error.problem_mark or error.context_mark
    at_end = mark is None or not text[mark.index :].strip()
    if at_end and error.context_mark is not None and _has_any(words, _AT_THE_BEGINNING):
        mark = error.context_mark
    remedy = next((remedy for piece, remedy in _BY_WORDS if piece in words), _OTHERWISE)
    if mark is not None and "cannot start any token" in words:
        remedy = _BY_CHARACTER.get(text[mark.index : mark.index + 1], remedy)
    line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    return Problem(f"not valid YAML: {words}; {remedy}", line, column)


def _has_any(words: str, pieces: tuple[str, ...]) -> bool:
    return any(piece in words for piece in pieces)
