"""What a person types into a search box, as an expression of SQLite's full-text search.

Words, "phrases", prefix* and -not. Every term is quoted, so that nothing that is
typed can be a mistake of grammar.
"""

from __future__ import annotations

import re
import unicodedata

TOKENIZER = "unicode61 remove_diacritics 2"

QUERY_CHARS_MAX = 500
TERMS_MAX = 32

JOINT = "\x01"
"""Stands around signs of scripts that write no spaces; `plain_text` leaves none of it in a text."""
BEGIN, END = "\x02", "\x03"
"""Stand around a hit in a snippet; as above."""

_TERM = re.compile(r'-?"[^"]*"?\*?|\S+')
_UNSPACED = re.compile(
    "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003134f]"
)


def match_expression(text: str) -> str | None:
    """The expression; none where nothing is asked for: no word, or only what is not wanted."""
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
        # In brackets: NOT binds more strongly than AND.
        expression = f"({expression}) NOT ({' OR '.join(unwanted)})"
    return expression


def plain_text(text: str) -> str:
    """The text as SQLite takes it, without the signs that this module gives a meaning."""
    for sign in ("\0", JOINT, BEGIN, END):
        if sign in text:
            text = text.replace(sign, "\ufffd")
    return text.encode("utf-8", "replace").decode()


def spaced(text: str) -> str:
    """The text with each sign of an unspaced script a word of its own, so that parts are found."""
    return text if text.isascii() else _UNSPACED.sub(rf"{JOINT}\g<0>{JOINT}", text)


def _is_of_a_word(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] in "LN" or category == "Co"
