"""Events of calls: to models, to tools, and to the replies that the ledger has."""

from __future__ import annotations

from typing import Literal

from orc.ledger.digest import Digest
from orc.ledger.event_base import StepEvent
from orc.ledger.values import CallRef, FailureKind, Payload, Reserved, TokenUsage, WorstCase

_PERHAPS_ANSWERED: frozenset[FailureKind] = frozenset(("timeout", "connection", "protocol"))


class LlmRequested(StepEvent):
    """A request is about to be sent; `request_sha256` names all of it, `prompt_sha256` what is asked.

    `endpoint` is the server's address, `identity` what tells the model from a later
    one of its name. `dropped` are parameters that the provider cannot honour.
    `changed` says what kept the reply cache from answering: the parts of the
    request that differ from the one it was compared to. `worst_case` is the most that
    it can cost, should nobody hear how it ended; `reserved` what a budget holds back for it.
    """

    type: Literal["llm.requested"] = "llm.requested"
    attempt: int
    call: int
    provider: str
    model: str
    request: Payload
    request_sha256: Digest
    prompt_sha256: Digest
    dropped: tuple[str, ...] | None = None
    endpoint: str | None = None
    identity: str | None = None
    changed: tuple[str, ...] | None = None
    reserved: Reserved | None = None
    worst_case: WorstCase | None = None


class LlmResponded(StepEvent):
    """A reply arrived and is kept: it is never paid for again.

    `charged_usd` is what a budget was charged, where it has a limit in money.
    """

    type: Literal["llm.responded"] = "llm.responded"
    attempt: int
    call: int
    provider: str
    model: str
    reply: Payload
    request_sha256: Digest
    finish_reason: str
    usage: TokenUsage
    duration_s: float
    request_id: str | None = None
    charged_usd: float | None = None


class LlmFailed(StepEvent):
    """A call ended without a reply that can be used; `usage` is what it cost nevertheless.

    `unsent` marks one whose request cannot have reached the model.
    """

    type: Literal["llm.failed"] = "llm.failed"
    attempt: int
    call: int
    provider: str
    model: str
    kind: FailureKind
    message: str
    duration_s: float
    retry_after_s: float | None = None
    usage: TokenUsage | None = None
    charged_usd: float | None = None
    unsent: bool | None = None

    @property
    def is_in_doubt(self) -> bool:
        """Whether the model may have answered, and be paid for it, although nothing came of it."""
        return self.usage is None and not self.unsent and self.kind in _PERHAPS_ANSWERED


class CacheHit(StepEvent):
    """A call was answered by a reply that the ledger already holds; nothing was sent.

    `version` is that of the `llm.responded` in this stream, or in that of `paid_by`:
    the job and the step that asked first, where it was another one. Then `reply` and
    what follows are copied from there, so that this stream stands by itself.
    """

    type: Literal["cache.hit"] = "cache.hit"
    attempt: int
    call: int
    request_sha256: Digest
    version: int
    paid_by: CallRef | None = None
    prompt_sha256: Digest | None = None
    provider: str | None = None
    model: str | None = None
    reply: Payload | None = None
    finish_reason: str | None = None
    usage: TokenUsage | None = None


class ToolCalled(StepEvent):
    """A tool is about to be called for a model; `key` tells this call from every other of the step.

    `call` is the model call that asked for it.
    """

    type: Literal["tool.called"] = "tool.called"
    attempt: int
    call: int
    tool: str
    key: Digest
    arguments: Payload


class ToolReturned(StepEvent):
    """A tool has answered; the model is told `result`, and never again is the tool called for it."""

    type: Literal["tool.returned"] = "tool.returned"
    attempt: int
    call: int
    tool: str
    key: Digest
    result: Payload
    is_error: bool | None = None
    duration_s: float
