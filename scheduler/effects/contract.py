"""What an effect is given and what it gives back.

A request is a plain value with everything in it: an effect reads no state and
no ledger, and could run in another process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import trio

from orc.ledger.definition import CacheScope, TargetDef
from orc.ledger.digest import Digest
from orc.ledger.values import CachedReply
from orc.ledger.wording import duration_text
from orc.providers import Request, Tool
from orc.scheduler.core.commands import CallEvent, Failed

OUTPUT_BYTES_MAX = 1024 * 1024
LOG_BYTES_MAX = 64 * 1024 * 1024
CAPTURE_BYTES_MAX = 256 * 1024 * 1024


class Journal(Protocol):
    """How an effect puts a fact into the ledger before it goes on."""

    async def record(self, event: CallEvent, *blobs: bytes | None) -> None:
        """Returns when the event, and the blobs that it names, are committed."""


@dataclass(frozen=True, slots=True)
class Result:
    """What an effect ended in: a value, or a failure.

    `text` is what a file's content defaults to; `written` has the files that a
    model wrote by its tools, by path under the project's folder.
    """

    value: Any = None
    text: str = ""
    failed: Failed | None = None
    warning: str | None = None
    written: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KnownReply:
    """A reply of this step that the ledger holds, ready to answer an equal request."""

    version: int
    call: int
    request_sha256: Digest
    reply: Mapping[str, Any]
    finish_reason: str = "stop"


class ReplyCache(Protocol):
    """The replies of the ledger, by the whole request."""

    def find(
        self,
        request_sha256: str,
        request: Mapping[str, Any],
        *,
        step: str,
        endpoint: str,
        identity: str | None,
        scope: CacheScope,
    ) -> CachedReply | tuple[str, ...]:
        """The reply; else the parts in which the nearest earlier request differs, if there is one."""


@dataclass(frozen=True, slots=True)
class KnownResult:
    """What a tool has answered in an earlier attempt of the step."""

    result: Any
    is_error: bool


@dataclass(frozen=True, slots=True)
class PromptRequest:
    """Ask a model. `call` is the number of the next call; `timeout_s` is the attempt's.

    `known` are the step's replies in the ledger, in order, and `known_results` what
    its tools have answered, by the keys of the calls.
    """

    step: str
    attempt: int
    target: TargetDef
    request: Request
    call: int
    known: tuple[KnownReply, ...]
    wants_json: bool
    known_results: Mapping[str, KnownResult] = field(default_factory=dict)
    repair: int = 0
    max_turns: int = 1
    cache: CacheScope = "off"
    timeout_s: float | None = None
    dropped: tuple[str, ...] = ()


class ToolProblem(Exception):
    """A tool of the spec cannot be offered to a model; the message says what to do."""


class Toolbox(Protocol):
    """The tools of one attempt. What `write_file` writes is kept here until the step succeeds."""

    async def open(self) -> tuple[Tool, ...]:
        """The tools as a model is shown them. Raises ToolProblem."""

    async def call(self, name: str, arguments: Mapping[str, Any] | str) -> KnownResult:
        """Call a tool. What a model got wrong is a result that tells it so, never an exception."""

    def recall(self, name: str, arguments: Mapping[str, Any] | str, known: KnownResult) -> None:
        """Take a call as made: its result is in the ledger, and only what it wrote is missing."""

    def written(self) -> Mapping[str, bytes]:
        """The files that the model has written, by path under the project's folder."""


@dataclass(frozen=True, slots=True)
class CommandRequest:
    """Run a command in `cwd`; what it prints goes to `log_path`, stdout to the output as well."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    log_path: Path
    wants_json: bool
    output_schema: Mapping[str, Any] | None = None


FunctionUse = Literal["call", "tool", "describe"]


@dataclass(frozen=True, slots=True)
class FunctionRequest:
    """Call a Python function with keyword arguments, in a worker process.

    As a `tool`, its arguments are checked and converted by its annotations;
    `describe` asks for its docstring and the JSON Schema of its arguments.
    `secrets` names those of its variables that no other function may see.
    """

    function: str
    args: Mapping[str, Any]
    env: Mapping[str, str]
    cwd: Path
    log_path: Path
    import_dir: str
    use: FunctionUse = "call"
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ValueRequest:
    """Nothing to do: the value is the result."""

    value: Any


EffectRequest = PromptRequest | CommandRequest | FunctionRequest | ValueRequest


def attempt_timeout_message(limit_s: float) -> str:
    """What is said of an attempt that took too long."""
    return f"the attempt took longer than its timeout of {duration_text(limit_s)}"


@dataclass(slots=True)
class Stopwatch:
    """Seconds since it was made, on trio's clock, which is monotonic, and which tests own."""

    started: float = field(default_factory=trio.current_time)

    def elapsed(self) -> float:
        """Rounded to the microsecond, as events record it."""
        return round(trio.current_time() - self.started, 6)
