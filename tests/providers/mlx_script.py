"""A fake store with one fake model that writes the test's script."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orc.providers import PermanentError, Tool, ToolCall, Usage
from orc.providers.mlx_store import Store
from orc.providers.mlx_text import Marks


@dataclass(slots=True)
class Written:
    """The result of mlx-lm for one token."""

    text: str
    prompt_tokens: int = 7
    generation_tokens: int = 1
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """The outcome of one call: its pieces (a token each) and finish reason, or an error."""

    pieces: tuple[str, ...]
    finish_reason: str = "stop"
    usage: Usage | None = None
    error: Exception | None = None
    before_each: Callable[[], None] = lambda: None


@dataclass
class FakeModel:
    """Answers its n-th call with the n-th script, and records its requests."""

    scripts: tuple[Script, ...] = ()
    thought: Marks | None = ("<think>", "</think>")
    call: Marks | None = ("<tool_call>", "</tool_call>")
    context_max: int | None = None
    thinks_at_once: bool = False
    asked: list[dict[str, Any]] = field(default_factory=list)
    at_work: int = 0
    most_at_work: int = 0
    given: int = 0

    def render(
        self, messages: list[dict[str, Any]], tools: list[Any], options: Mapping[str, Any]
    ) -> list[int]:
        """Seven tokens for every conversation."""
        self.asked.append({"messages": messages, "tools": tools, "options": options})
        return list(range(7))

    def begins_with_thought(self, prompt: Sequence[int]) -> bool:
        """The value that the test has set."""
        return self.thinks_at_once

    def generate(
        self,
        prompt: list[int],
        params: Mapping[str, Any],
        options: Mapping[str, Any],
        checkpoint: Callable[[], None],
    ) -> Generator[Written, None, None]:
        """The next script, token by token."""
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        try:
            self.asked[-1] |= {"params": params, "thread": threading.get_ident()}
            checkpoint()
            script = self.scripts[len(self.asked) - 1]
            used = script.usage or Usage(len(prompt), len(script.pieces))
            for count, piece in enumerate(script.pieces, start=1):
                script.before_each()
                self.given += 1
                yield Written(piece, used.input_tokens, count)
            if script.error is not None:
                raise script.error
            yield Written("", used.input_tokens, used.output_tokens, script.finish_reason)
        finally:
            self.at_work -= 1

    def parse_call(self, text: str, tools: Sequence[Tool]) -> Any:
        """The call, which is JSON. Raises ValueError."""
        return json.loads(text)


@dataclass
class FakeStore:
    """A store with one model, under every name except `absent`."""

    model: FakeModel
    listed: tuple[str, ...] = ()
    loaded: list[str] = field(default_factory=list)

    def load(self, name: str) -> FakeModel:
        """The model. Raises PermanentError for `absent`."""
        if name == "absent":
            raise PermanentError("environment", "absent is not on this machine")
        self.loaded.append(name)
        return self.model

    def names(self) -> list[str]:
        """The value that the test has set."""
        return list(self.listed)

    def identify(self, name: str) -> str | None:
        """A fake digest."""
        return f"digest of {name}"


def write_call(call: ToolCall) -> str:
    """The call between the model's marks."""
    return f"<tool_call>{json.dumps(call)}</tool_call>"


_: type[Store] = FakeStore
