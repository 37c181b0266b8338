"""Separates a model's reasoning in `<think>` tags from its answer, while the text arrives.

Only a section at the beginning is reasoning: an answer may speak about the tag. A template can write
the first tag into the prompt; then only the closing one is in the reply, and `split_unopened` finds it
when the reply is complete.
"""

from __future__ import annotations

from collections.abc import Callable

TAGS = ("think", "thinking", "thought", "reasoning")

_OPENINGS = tuple(f"<{tag}>" for tag in TAGS)


class ThinkSplitter:
    """Takes the pieces of a text; passes those of the answer to `on_text` and keeps the reasoning."""

    def __init__(self, on_text: Callable[[str], None]) -> None:
        self._on_text = on_text
        self._held = ""
        self._closing = ""
        self._is_decided = False
        self._skips_space = False
        self._texts: list[str] = []
        self._thoughts: list[str] = []

    def feed(self, piece: str) -> None:
        """Add a piece."""
        if self._is_decided and not self._closing:
            self._say(piece)
            return
        self._held += piece
        if not self._is_decided:
            self._decide()
        if self._closing:
            self._think()

    def finish(self) -> tuple[str, str]:
        """End the text; returns the answer and the reasoning, each without space around the cut."""
        if self._closing:
            self._thoughts.append(self._held)
        elif self._held:
            self._say(self._held)
        self._held = ""
        text, thought = "".join(self._texts), "".join(self._thoughts).strip()
        return (text, thought) if thought or self._closing else split_unopened(text)

    def _decide(self) -> None:
        begun = self._held.lstrip().lower()
        for opening in _OPENINGS:
            if begun.startswith(opening):
                self._is_decided = True
                self._closing = f"</{opening[1:]}"
                self._held = self._held.lstrip()[len(opening) :]
                return
        if any(opening.startswith(begun) for opening in _OPENINGS) and len(self._held) < 1000:
            return
        self._is_decided = True
        held, self._held = self._held, ""
        self._say(held)

    def _think(self) -> None:
        at = self._held.lower().find(self._closing)
        if at < 0:
            safe = max(0, len(self._held) - len(self._closing))
            self._thoughts.append(self._held[:safe])
            self._held = self._held[safe:]
            return
        self._thoughts.append(self._held[:at])
        rest = self._held[at + len(self._closing) :]
        self._held = self._closing = ""
        self._skips_space = True
        self._say(rest)

    def _say(self, piece: str) -> None:
        if self._skips_space:
            piece = piece.lstrip()
            self._skips_space = not piece
        if piece:
            self._texts.append(piece)
            self._on_text(piece)


def split_unopened(text: str) -> tuple[str, str]:
    """The answer and the reasoning of a text whose only tag is a `</think>` on a line's end."""
    before, tag, after = text.partition("</think>")
    is_mark = tag and "</think>" not in after and "<think>" not in text
    if is_mark and (not after or after[0].isspace()) and not before.endswith("`"):
        return after.lstrip(), before.strip()
    return text, ""
