"""What an effect is given and what it gives back.

A request is a plain value with everything in it: an effect reads no state and
no ledger, and could run in another process.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ledger.digest import Digest
from providers import Request
from scheduler.core.commands import CallEvent, Failed
from scheduler.core.durations import format_duration

OUTPUT_BYTES_MAX = 1024 * 1024
LOG_BYTES_MAX = 64 * 1024 * 1024
CAPTURE_BYTES_MAX = 256 * 1024 * 1024


class Journal(Protocol):
    """How an effect puts a fact into the ledger before it goes on."""

    async def record(self, event: CallEvent, *blobs: bytes | None) -> None:
        """Returns when the event, and the blobs that it names, are committed."""


@dataclass(frozen=True, slots=True)
class Result:
    """What an effect ended in: a value, or a failure; `text` is what a file's content defaults to."""

    value: Any = None
    text: str = ""
    failed: Failed | None = None
    warning: str | None = None


@dataclass(frozen=True, slots=True)
class KnownReply:
    """A reply of this step that the ledger holds, ready to answer an equal request."""

    version: int
    request_sha256: Digest
    reply: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PromptRequest:
    """Ask a model. `call` is the number of the next call; `timeout_s` is the attempt's."""

    step: str
    attempt: int
    provider: str
    request: Request
    call: int
    known: tuple[KnownReply, ...]
    wants_json: bool
    timeout_s: float | None = None
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CommandRequest:
    """Run a command in `cwd`; what it prints goes to `log_path`, stdout to the output as well."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    log_path: Path
    wants_json: bool


@dataclass(frozen=True, slots=True)
class FunctionRequest:
    """Call a Python function with keyword arguments, in a worker process."""

    function: str
    args: Mapping[str, Any]
    env: Mapping[str, str]
    cwd: Path
    log_path: Path
    import_dir: str


@dataclass(frozen=True, slots=True)
class ValueRequest:
    """Nothing to do: the value is the result."""

    value: Any


EffectRequest = PromptRequest | CommandRequest | FunctionRequest | ValueRequest


def attempt_timeout_message(limit_s: float) -> str:
    """What is said of an attempt that took too long."""
    return f"the attempt took longer than its timeout of {format_duration(limit_s)}"


@dataclass(slots=True)
class Stopwatch:
    """Seconds since it was made, on the monotonic clock."""

    started: float = field(default_factory=time.monotonic)

    def elapsed(self) -> float:
        """Rounded to the microsecond, as events record it."""
        return round(time.monotonic() - self.started, 6)
