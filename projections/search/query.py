"""Turns what a person types into a search box into an expression of SQLite's full-text search.

The box takes words, "phrases", prefix* and -unwanted. Every term is quoted, so that no input is a
syntax error.
"""

from __future__ import annotations

import re
import unicodedata

TOKENIZER = "unicode61 remove_diacritics 2"

QUERY_CHARS_MAX = 500
TERMS_MAX = 32

JOINT = "\x01"
"""Surrounds characters of scripts without spaces. `plain_text` replaces it in texts."""
BEGIN, END = "\x02", "\x03"
"""Surround a match in a snippet. `plain_text` replaces them in texts."""

_TERM = re.compile(r'-?"[^"]*"?\*?|\S+')
_UNSPACED = re.compile(
    "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003134f]"
)


def match_expression(text: str) -> str | None:
    """The expression; None if the text has no word, or only unwanted ones."""
    wanted: list[str] = []
    unwanted: list[str] = []
    for term in _TERM.findall(text[:QUERY_CHARS_MAX])[:TERMS_MAX]:
        is_unwanted = term.startswith("-")
        is_prefix = term.endswith("*")
        words = term[is_unwanted : len(term) - is_prefix].replace('"', " ")
        words = spaced(plain_text(words)).strip()
        if not any(map(_is_of_a_word, words)):
            continue
        (unwanted if is_unwanted else wanted).append(f'"{words}"{" *" if is_prefix else ""}')
    if not wanted:
        return None
    expression = " AND ".join(wanted)
    if unwanted:
        # The brackets are needed: NOT binds more strongly than AND.
        expression = f"({expression}) NOT ({' OR '.join(unwanted)})"
    return expression


def plain_text(text: str) -> str:
    """The text as valid UTF-8, with U+FFFD for NUL and the characters that this module reserves."""
    for character in ("\0", JOINT, BEGIN, END):
        if character in text:
            text = text.replace(character, "\ufffd")
    return text.encode("utf-8", "replace").decode()


def spaced(text: str) -> str:
    """The text with each character of a script without spaces as a word, so that parts are found."""
    return text if text.isascii() else _UNSPACED.sub(rf"{JOINT}\g<0>{JOINT}", text)


def _is_of_a_word(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] in "LN" or category == "Co"
