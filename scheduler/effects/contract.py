"""The requests and results of effects.

A request is a plain value that contains all inputs. An effect reads neither the job's state nor
the ledger, and could run in another process.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

import trio
from msgspec import Struct, field

from orc.ledger.definition import DEFAULT_LIMITS, CacheScope, LimitsDef, TargetDef
from orc.ledger.digest import Digest
from orc.ledger.events import LlmRequested
from orc.ledger.servers.server_def import PriceDef
from orc.ledger.values import CachedReply
from orc.ledger.wording import duration_text
from orc.providers import ProviderError, Reply, Request, Tool
from orc.scheduler.core.commands import CallEvent, Failed

NO_STDIN = Path("/dev/null")
OUTPUT_BYTES_MAX = 1024 * 1024
"""How much a command may print to stdout, if its step has no limit of its own."""


class Journal(Protocol):
    """Records events of calls while an effect runs."""

    async def record(self, event: CallEvent, *blobs: bytes | None) -> None:
        """Return when the event and its blobs are committed."""


class Result(Struct, frozen=True):
    """The result of an effect: a value, or `failed`.

    `text` is the default content of the step's files; a path in `contents`, relative to the
    project's folder, has its content there. `written` has the files that a model wrote
    with its tools, by path in the project's folder. `complaint` is the end of what a failed command
    printed to stderr. `duration_s`, `queued_s` and `modes` are what an executor says of work that it
    performed elsewhere: how long it ran, how long it waited for a worker, and the recorded modes of
    its files by their paths, under `work` and `artifacts`. `away_s` is how long
    orc did not see that the work had ended.
    """

    value: Any = None
    text: str = ""
    contents: Mapping[str, bytes] = field(default_factory=dict)
    failed: Failed | None = None
    warning: str | None = None
    written: Mapping[str, bytes] = field(default_factory=dict)
    complaint: str = ""
    duration_s: float | None = None
    queued_s: float | None = None
    modes: Mapping[str, Mapping[str, str | None]] | None = None
    away_s: float = 0.0


class KnownReply(Struct, frozen=True):
    """A reply to an earlier call of this step, from the job's stream."""

    version: int
    call: int
    request_sha256: Digest
    reply: Mapping[str, Any]
    finish_reason: str = "stop"
    attempt: int = 0


class BatchedResult(Struct, frozen=True):
    """What became of a call in a batch, which was submitted `duration_s` ago."""

    batch: int
    duration_s: float
    result: Reply | ProviderError


class BatchLost(Exception):
    """It is unknown whether the batch with the call was submitted: the server does not have it now.

    Its text says more, if more is known.
    """


class Batcher(Protocol):
    """Submits calls in batches, and waits for their results. Both methods raise BatchLost."""

    async def submit(
        self, event: LlmRequested, blob: bytes | None, request: Request
    ) -> BatchedResult:
        """Gather the call with others, record it with its batch, and wait for its result.

        Raises ProviderError for a call that cannot be in a batch, which is then not recorded.
        """

    async def rejoin(self, step: str, request: Request) -> BatchedResult:
        """Wait for the result of the step's call that was submitted before."""


class ReplyCache(Protocol):
    """The replies in the ledger, by the digest of the whole request."""

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
        """The reply; if there is none, the parts in which the most similar request differs."""


class KnownResult(Struct, frozen=True):
    """The result of a tool call."""

    result: Any
    is_error: bool


class PromptRequest(Struct, frozen=True):
    """Call a model. `call` is the number of the next call.

    `known` are the step's replies in the ledger, in order. `known_results` are the results of its
    tool calls, by their keys. `dropped` are parameters that the provider does not support. `price` is
    that of a named server, if its definition has one. `attempt_timeout_s` limits all calls and tools
    together; the request's own limit holds for each wait for the server, and for each tool. `batched` is
    the digest of the call that waits in a batch, if one does.
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
    attempt_timeout_s: float | None = None
    dropped: tuple[str, ...] = ()
    price: PriceDef | None = None
    batched: Digest | None = None


class ToolProblem(Exception):
    """A tool of the spec cannot be offered to the model; the message says what to do."""


class Toolbox(Protocol):
    """The tools of one attempt. It keeps the files of `write_file` until the step succeeds."""

    async def open(self) -> tuple[Tool, ...]:
        """Prepare the tools; return their descriptions for the model. Raises ToolProblem."""

    async def call(self, name: str, arguments: Mapping[str, Any] | str) -> KnownResult:
        """Call a tool. A mistake of the model becomes an error result. Raises ToolProblem."""

    def recall(self, name: str, arguments: Mapping[str, Any] | str, known: KnownResult) -> None:
        """Apply a recorded call without calling the tool: restore the file that it wrote."""

    def written(self) -> Mapping[str, bytes]:
        """The files that the model wrote, by path in the project's folder."""


class CommandRequest(Struct, frozen=True):
    """Run a command in `cwd`. Its stdout is the output; stdout and stderr go to the log.

    `stdin` is a file that it reads as its stdin.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    log_path: str
    limits: LimitsDef = DEFAULT_LIMITS
    stdin: Path = NO_STDIN


FunctionUse = Literal["call", "tool", "describe"]


class FunctionRequest(Struct, frozen=True):
    """Call a Python function with keyword arguments, in a worker process.

    With `use="tool"`, the arguments are checked and converted by the annotations. With
    `use="describe"`, the result is the docstring and the JSON Schema of the arguments.
    `secrets` names the variables in `env` that functions of other steps must not see.
    """

    function: str
    args: Mapping[str, Any]
    env: Mapping[str, str]
    cwd: str
    log_path: str
    import_dir: str
    use: FunctionUse = "call"
    secrets: tuple[str, ...] = ()
    limits: LimitsDef = DEFAULT_LIMITS


class ValueRequest(Struct, frozen=True):
    """The value itself is the result."""

    value: Any


def attempt_timeout_message(limit_s: float) -> str:
    """The message of the failure of an attempt that took too long."""
    return f"the attempt took longer than its timeout of {duration_text(limit_s)}"


class Stopwatch(Struct):
    """Measures the seconds since its creation, on trio's monotonic clock."""

    started: float = field(default_factory=trio.current_time)

    def leave_out(self, seconds: float) -> None:
        """Leave out this many of the seconds that have passed."""
        self.started += seconds

    def elapsed(self) -> float:
        """The seconds, rounded to microseconds as in events."""
        return round(trio.current_time() - self.started, 6)
