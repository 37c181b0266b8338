"""The part of a text around a match, as pieces, each with whether it is a match.

Where a value was masked, a text has a label such as `[secret NAME]`. A label is shown whole: it is
neither cut nor marked in part, so that it cannot be taken for what a program wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from orc.projections.search.query import BEGIN, END, JOINT

ELLIPSIS = "…"

_PIECE_CHARS_MAX = 240
_UNMARKED_CHARS = 600
_SPACES = re.compile(r"\s+")
_LABEL = re.compile(r"\[secret \w{1,200}\]")
_MAYBE_LABEL = re.compile(rf"\[[\w {BEGIN}{END}]{{1,240}}\]")
_MAYBE_TAIL = re.compile(rf"\A{ELLIPSIS}([\w {BEGIN}{END}]{{1,240}}\])")
_MAYBE_HEAD = re.compile(rf"(\[[\w {BEGIN}{END}]{{0,240}}){ELLIPSIS}\Z")


def pieces_of(snippet: str | None, text: str) -> Iterator[tuple[str, bool]]:
    """The pieces of a snippet of the text; without one, those of the beginning of the text."""
    if snippet is None:
        snippet = _cut(text, _UNMARKED_CHARS)
    else:
        snippet = _with_whole_labels(snippet.replace(JOINT, ""), text)
    before, *marked = snippet.split(BEGIN)
    if before:
        yield _shortened(before), False
    for part in marked:
        hit, _, after = part.partition(END)
        yield _shortened(hit), True
        if after:
            yield _shortened(after), False


def _with_whole_labels(snippet: str, text: str) -> str:
    """The snippet with each label whole, marked as a whole if a part of it was marked."""
    if "[secret " not in text:
        return snippet
    labels = list(dict.fromkeys(_LABEL.findall(text)))
    rest = _LABEL.sub("", text)

    def completed(found: re.Match[str]) -> str:
        part = _unmarked(found[1])
        is_head = found.re is _MAYBE_HEAD
        whole = [one for one in labels if (one.startswith if is_head else one.endswith)(part)]
        if not whole or part in rest:
            return found[0]
        # Several labels may begin in the same way. Only one that is known is named.
        label = whole[0] if len(whole) == 1 else "[secret]"
        label = _marked(found[1], label)
        return f"{label}{ELLIPSIS}" if is_head else f"{ELLIPSIS}{label}"

    snippet = _MAYBE_HEAD.sub(completed, _MAYBE_TAIL.sub(completed, snippet))
    return _MAYBE_LABEL.sub(
        lambda found: (
            _marked(found[0], label) if (label := _unmarked(found[0])) in labels else found[0]
        ),
        snippet,
    )


def _unmarked(part: str) -> str:
    return part.replace(BEGIN, "").replace(END, "")


def _marked(part: str, label: str) -> str:
    """The label in place of the part, with the marks that the part has, around it."""
    marks = [character for character in part if character in (BEGIN, END)]
    begin = BEGIN if marks and marks[0] == BEGIN else ""
    end = END if marks and marks[-1] == END else ""
    return f"{begin}{label}{end}"


def _shortened(text: str) -> str:
    """The text on one line, shortened in the middle: a word can be a million characters long."""
    text = _SPACES.sub(" ", text)
    if len(text) <= _PIECE_CHARS_MAX:
        return text
    half = _PIECE_CHARS_MAX // 2
    begin = _cut(text, half)
    end = text[_end_of_label(text, len(text) - half) :]
    return f"{begin} {ELLIPSIS} {end}"


def _cut(text: str, chars: int) -> str:
    """About this many characters of the beginning of the text."""
    return text[: _end_of_label(text, chars)]


def _end_of_label(text: str, place: int) -> int:
    """The place, or the end of the label that it is in."""
    begin = text.rfind("[secret ", 0, place + len("[secret "))
    label = None if begin < 0 else _LABEL.match(text, begin)
    return place if label is None or begin == place else max(place, label.end())
