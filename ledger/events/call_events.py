"""The events of what a step calls: models and their budgets, replies from the cache, and tools."""

from __future__ import annotations

from typing import ClassVar, Literal

from orc.ledger.digest import Digest
from orc.ledger.events.base import StepEvent
from orc.ledger.servers.server_def import PriceDef
from orc.ledger.values import CallRef, FailureKind, Limit, Payload, Reserved, TokenUsage, WorstCase

_IN_DOUBT_KINDS: frozenset[FailureKind] = frozenset(("timeout", "connection", "protocol"))


class LlmRequested(StepEvent, frozen=True, kw_only=True, tag_field="v", tag=2):
    """A request is about to be sent.

    `request_sha256` is the digest of the whole request, `prompt_sha256` that of the prompt alone.
    `endpoint` is the server's address. `identity` distinguishes the model from a later one with
    the same name. `dropped` are parameters that the provider does not support. `changed` are the
    parts of the request that differ from the cached request it was compared to. `worst_case` is
    the most that the call can cost, and is charged if its outcome stays unknown. `reserved` is
    what a budget reserves for it. `corrects` is what was wrong with the reply before, which the
    call asks the model to correct. `operation` is what it asks for, if that is not an answer.
    `attached_bytes` is the size in base64 of the documents that are sent with it, of which the request
    has only the digests. `batch` is the number of
    the batch that the request is submitted with, and `custom_id` its name there.
    """

    type: ClassVar[Literal["llm.requested"]] = "llm.requested"
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
    corrects: str | None = None
    operation: Literal["embeddings"] | None = None
    attached_bytes: int | None = None
    batch: int | None = None
    custom_id: str | None = None


class LlmResponded(StepEvent, frozen=True, kw_only=True, tag_field="v", tag=2):
    """A reply arrived. It is recorded, so the same call is never paid for again.

    `usage` is absent if the server did not report it: then it is unknown and not zero, and
    `charged_tokens` is the worst case that budgets and rates count. `charged_nano_usd` is the amount
    charged to the budgets, if one of them limits the cost. `reported_nano_usd` is the cost of the
    call as the server itself reports it. `price` is the model's price at a named server, if its
    definition has one. `batch` is as in `llm.requested`: then the price of batches holds.
    """

    type: ClassVar[Literal["llm.responded"]] = "llm.responded"
    attempt: int
    call: int
    provider: str
    model: str
    reply: Payload
    request_sha256: Digest
    finish_reason: str
    usage: TokenUsage | None = None
    duration_s: float
    request_id: str | None = None
    charged_nano_usd: int | None = None
    price: PriceDef | None = None
    charged_tokens: int | None = None
    reported_nano_usd: int | None = None
    batch: int | None = None


class LlmFailed(StepEvent, frozen=True, kw_only=True, tag_field="v", tag=2):
    """A call ended without a usable reply; `usage` is what it used nevertheless.

    With `partial`, the reply had begun: `usage` is what was counted until it broke off.
    `unsent` marks a call whose request cannot have reached the model, and `absent` one for which no
    server was running on this machine. `not_ready` marks a failure of a server that may only have to be
    waited for: it does not answer, or it is loading. `price` and `batch` are as in `llm.responded`.
    """

    type: ClassVar[Literal["llm.failed"]] = "llm.failed"
    attempt: int
    call: int
    provider: str
    model: str
    kind: FailureKind
    message: str
    duration_s: float
    retry_after_s: float | None = None
    usage: TokenUsage | None = None
    charged_nano_usd: int | None = None
    unsent: bool | None = None
    absent: bool | None = None
    not_ready: bool | None = None
    price: PriceDef | None = None
    partial: bool | None = None
    batch: int | None = None

    @property
    def is_in_doubt(self) -> bool:
        """Whether the model may have answered, at a cost, although no reply arrived."""
        if self.unsent:
            return False
        return bool(self.partial) or (self.usage is None and self.kind in _IN_DOUBT_KINDS)


class CacheHit(StepEvent, frozen=True, kw_only=True):
    """A recorded reply answered a call; no request was sent.

    `version` is the version of the `llm.responded` event, in this stream or, with `paid_by`, in
    the stream of that call's job. In the second case `reply` and the fields after it are
    copies, so that this stream is complete without the other one, and `corrects` is as in
    `llm.requested` and `price` as in `llm.responded`.
    """

    type: ClassVar[Literal["cache.hit"]] = "cache.hit"
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
    corrects: str | None = None
    price: PriceDef | None = None


class ToolCalled(StepEvent, frozen=True, kw_only=True):
    """A tool is about to be called for a model.

    `key` identifies the tool call within the step. `call` is the model call that requested it.
    """

    type: ClassVar[Literal["tool.called"]] = "tool.called"
    attempt: int
    call: int
    tool: str
    key: Digest
    arguments: Payload


class ToolReturned(StepEvent, frozen=True, kw_only=True):
    """A tool returned `result`, which is sent to the model. This tool call is never repeated."""

    type: ClassVar[Literal["tool.returned"]] = "tool.returned"
    attempt: int
    call: int
    tool: str
    key: Digest
    result: Payload
    is_error: bool | None = None
    duration_s: float


class BudgetExceeded(StepEvent, frozen=True, kw_only=True, tag_field="v", tag=2):
    """A call would exceed a limit and is not sent; its step waits until the budget is raised.

    `account` is the step that has the budget; without it, it is the job's budget. `limit` gives
    the unit of the amounts: tokens, calls or nano-dollars.
    """

    type: ClassVar[Literal["budget.exceeded"]] = "budget.exceeded"
    attempt: int
    account: str | None = None
    limit: Limit
    maximum: int
    spent: int
    needed: int
    duration_s: float | None = None
