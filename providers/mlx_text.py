"""Splits the raw output of a local model into text, thoughts and tool calls, up to a stop text.

A hosted API does this on the server; mlx-lm returns the raw text, token by token.
"""

from __future__ import annotations

from typing import Literal

Marks = tuple[str, str]
"""The texts before and after a section; if the second is empty, the section ends with the text."""


class Splitter:
    """Receives pieces of raw text and returns the pieces of the answer.

    A piece that could be the start of a mark is held back until that is decided. `text` is the answer
    so far, `reasoning` has the thoughts, and `calls` has the text of each tool call. `stopped` is true
    after a stop text, which is not part of the answer.
    """

    def __init__(
        self,
        *,
        stops: tuple[str, ...] = (),
        thought: Marks | None = None,
        call: Marks | None = None,
        thinking: bool = False,
    ) -> None:
        self.text = ""
        self.reasoning = ""
        self.calls: list[str] = []
        self.stopped = False
        self._stops = tuple(filter(None, stops))
        self._thought = thought
        self._call = call
        self._inside: Literal["text", "thought", "call"] = "thought" if thinking else "text"
        self._held = ""
        self._call_text = ""

    @property
    def is_thinking(self) -> bool:
        """Whether the next piece is part of a thought."""
        return self._inside == "thought"

    def feed(self, piece: str) -> str:
        """Add a piece of raw text; returns the new text of the answer."""
        self._held += piece
        text = ""
        while not self.stopped:
            at, mark = self._next_mark()
            if mark is None:
                certain = len(self._held) - self._mark_prefix_length()
                return text + self._take(certain)
            text += self._take(at)
            self._held = self._held[len(mark) :]
            self._pass_mark(mark)
        return text

    def finish(self) -> str:
        """End the raw text; returns the text that was held back."""
        if self.stopped:
            return ""
        rest = self._take(len(self._held))
        if self._inside == "call":
            self._end_call()
        return rest

    def _marks(self) -> tuple[str, ...]:
        """The marks that can follow in the current section."""
        if self._inside == "text":
            begins = [marks[0] for marks in (self._thought, self._call) if marks is not None]
            return (*begins, *self._stops)
        marks = self._thought if self._inside == "thought" else self._call
        assert marks is not None
        return (marks[1],) if marks[1] else ()

    def _next_mark(self) -> tuple[int, str | None]:
        """The first mark in the held text, and its index; of two at one index, the longer."""
        found = [(self._held.find(mark), -len(mark), mark) for mark in self._marks()]
        found = [one for one in found if one[0] >= 0]
        if not found:
            return 0, None
        at, _, mark = min(found)
        return at, mark

    def _mark_prefix_length(self) -> int:
        """The number of characters at the end that may be the start of a mark."""
        longest = 0
        for mark in self._marks():
            for size in range(min(len(mark) - 1, len(self._held)), longest, -1):
                if self._held.endswith(mark[:size]):
                    longest = size
                    break
        return longest

    def _take(self, size: int) -> str:
        taken, self._held = self._held[:size], self._held[size:]
        if self._inside == "call":
            self._call_text += taken
        elif self._inside == "thought":
            self.reasoning += taken
        if self._inside != "text":
            return ""
        self.text += taken
        return taken

    def _pass_mark(self, mark: str) -> None:
        if self._inside == "call":
            self._end_call()
        elif self._inside == "thought":
            self._inside = "text"
        elif mark in self._stops:
            self.stopped = True
        else:
            is_thought = self._thought is not None and mark == self._thought[0]
            self._inside = "thought" if is_thought else "call"

    def _end_call(self) -> None:
        self.calls.append(self._call_text)
        self._call_text = ""
        self._inside = "text"
