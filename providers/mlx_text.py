"""What a local model writes, taken apart: text, thoughts, calls of tools, and the stop texts.

A hosted API does this before it answers; mlx-lm gives the raw text, token by token.
"""

from __future__ import annotations

from typing import Literal

Marks = tuple[str, str]
"""The texts before and after a section; without the second, it lasts to the end."""


class Splitter:
    """Takes pieces of raw text and gives the pieces of the answer's own text.

    What could be the beginning of a mark is held back until it is known. Thoughts
    are dropped; `calls` has the text of each call; `text` is the answer. After a
    stop text, which is no part of the answer, `stopped` is true.
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
        self.calls: list[str] = []
        self.stopped = False
        self._stops = tuple(filter(None, stops))
        self._thought = thought
        self._call = call
        self._inside: Literal["text", "thought", "call"] = "thought" if thinking else "text"
        self._held = ""
        self._wanted = ""

    @property
    def is_thinking(self) -> bool:
        """Whether what comes next is part of a thought."""
        return self._inside == "thought"

    def feed(self, piece: str) -> str:
        """The text that is certain now."""
        self._held += piece
        given = ""
        while not self.stopped:
            at, mark = self._next_mark()
            if mark is None:
                certain = len(self._held) - self._doubtful()
                return given + self._take(certain)
            given += self._take(at)
            self._held = self._held[len(mark) :]
            self._pass(mark)
        return given

    def finish(self) -> str:
        """The rest of the text: what was held back is no mark after all."""
        if self.stopped:
            return ""
        rest = self._take(len(self._held))
        if self._inside == "call":
            self._end_call()
        return rest

    def _marks(self) -> tuple[str, ...]:
        """The marks that mean something where we are."""
        if self._inside == "text":
            begins = [marks[0] for marks in (self._thought, self._call) if marks is not None]
            return (*begins, *self._stops)
        marks = self._thought if self._inside == "thought" else self._call
        assert marks is not None
        return (marks[1],) if marks[1] else ()

    def _next_mark(self) -> tuple[int, str | None]:
        """The first mark in what is held; of two at one place the longer."""
        found = [(self._held.find(mark), -len(mark), mark) for mark in self._marks()]
        found = [one for one in found if one[0] >= 0]
        if not found:
            return 0, None
        at, _, mark = min(found)
        return at, mark

    def _doubtful(self) -> int:
        """How many characters at the end may be the beginning of a mark."""
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
            self._wanted += taken
        if self._inside != "text":
            return ""
        self.text += taken
        return taken

    def _pass(self, mark: str) -> None:
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
        self.calls.append(self._wanted)
        self._wanted = ""
        self._inside = "text"
