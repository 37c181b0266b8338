"""Code as HTML, coloured by Pygments: each part gets a class, and no style of its own."""

from __future__ import annotations

import time
from functools import cache
from html import escape
from typing import Any

from markupsafe import Markup

from orc.ledger.wording import visible

CLASS_PREFIX = "hl-"
_CPU_S = 0.4


def cpu_deadline() -> float:
    """The time of this thread (`time.thread_time`) until which code is coloured on one page."""
    return time.thread_time() + _CPU_S


def code_html(text: str, language: str, *, until: float) -> Markup | None:
    """The text with spans for its parts; None if Pygments has no such language.

    `until` is a `cpu_deadline`: what follows then is plain. The time of some languages grows with
    the square of the text; 20,000 empty lines of C would take 20 seconds.
    """
    lexer = _lexer(language)
    if lexer is None:
        return None
    # What Pygments does first; the rest of the text is found by its length.
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    parts: list[str] = []
    done = 0
    for kind, value in lexer.get_tokens(text):
        css_class = _class_of(kind)
        shown = escape(value)
        parts.append(f'<span class="{css_class}">{shown}</span>' if css_class else shown)
        done += len(value)
        if time.thread_time() > until:
            break
    parts.append(escape(text[done:]))
    return Markup(visible("".join(parts), kept="\n\t"))  # noqa: S704  # each part is escaped above


@cache
def _class_of(kind: Any) -> str:
    """The class of a kind of token, or of the kind that contains it; empty for plain text."""
    from pygments.token import STANDARD_TYPES

    while kind not in STANDARD_TYPES:
        kind = kind.parent
    name = STANDARD_TYPES[kind]
    return f"{CLASS_PREFIX}{name}" if name not in ("", "w") else ""


@cache
def _lexer(language: str) -> Any:
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        return get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None
