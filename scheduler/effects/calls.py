"""One call to a model: the reply comes from the ledger if it is there, else from the provider.

Each call is recorded. Conversations of several calls are left to `prompt.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import trio
from msgspec.structs import asdict, replace

from orc.ledger import failpoints, pack
from orc.ledger.bounds import INNER_LEVELS_MAX, check_value
from orc.ledger.digest import clean_text, digest_json
from orc.ledger.events import (
    CacheHit,
    LlmFailed,
    LlmRequested,
    LlmResponded,
    TokenUsage,
)
from orc.ledger.scarcity import find_shortage
from orc.ledger.secrets.masking import Mask
from orc.ledger.values import CachedReply
from orc.providers import (
    Embedder,
    PermanentError,
    Provider,
    ProviderError,
    Reply,
    Request,
    TransientError,
    Usage,
)
from orc.providers.reply_bounds import check_reply, known_usage
from orc.providers.request_key import attached_bytes, prompt_values, request_values
from orc.scheduler.core.commands import Failed, shorten_message
from orc.scheduler.effects.answers import Answer, answer_of, name_of, reply_content
from orc.scheduler.effects.contract import (
    BatchedResult,
    Batcher,
    BatchLost,
    Journal,
    PromptRequest,
    ReplyCache,
    Stopwatch,
)
from orc.scheduler.effects.time_limit import CallFailed, TimeLimit

IDENTIFY_S = 10.0

OnDelta = Callable[[str, str], None]


class Caller:
    """Makes the calls of one attempt, and numbers them as the ledger does."""

    def __init__(
        self,
        request: PromptRequest,
        *,
        provider: Provider,
        journal: Journal,
        cache: ReplyCache | None,
        on_delta: OnDelta,
        time_limit: TimeLimit,
        mask: Mask,
        batcher: Batcher | None = None,
    ) -> None:
        self._batcher = batcher
        self._request = request
        self._mask = mask
        self._provider = provider
        self._journal = journal
        self._cache = cache
        self._on_delta = on_delta
        self._time_limit = time_limit
        self._known = list(request.known)
        self._call = request.call
        self._ordinal = request.request.ordinal
        self._identity: str | None = None

    async def ask(self, asked: Request, *, corrects: str | None = None) -> Answer:
        """The reply to the request. Raises CallFailed.

        `corrects` is what was wrong with the reply before, if the request asks for a better one.
        """
        canonical = request_values(asked, self._request.target.provider)
        try:
            check_value(canonical)
            request_sha256 = digest_json(canonical)
        except ValueError as error:
            raise _cannot_store("request", error) from None
        if self._known and self._known[0].request_sha256 == request_sha256:
            return await self._from_stream(request_sha256)
        if self._request.batched is not None and self._batcher is not None:
            return await self._rejoin(asked, request_sha256)
        # The conversation differs from the recorded one: its later replies do not apply.
        self._known.clear()
        changed: tuple[str, ...] | None = None
        if self._cache is not None:
            await self._identify(asked.model)
            found = self._cache.find(
                request_sha256,
                canonical,
                step=self._request.step,
                endpoint=self._provider.endpoint,
                identity=self._identity,
                scope=self._request.cache,
            )
            if isinstance(found, CachedReply):
                return await self._from_cache(asked, request_sha256, found, corrects)
            changed = found or None
        return await self._send(asked, canonical, request_sha256, changed, corrects)

    async def _identify(self, model: str) -> None:
        if self._identity is None:
            with trio.move_on_after(IDENTIFY_S):
                self._identity = await self._provider.identify(model)

    async def _from_stream(self, request_sha256: Any) -> Answer:
        known = self._known.pop(0)
        if known.attempt == self._request.attempt:
            # An earlier owner of the job had it in this attempt, which goes on.
            return answer_of(known.call, request_sha256, known.reply, known.finish_reason)
        await self._journal.record(
            CacheHit(
                step=self._request.step,
                attempt=self._request.attempt,
                call=known.call,
                request_sha256=request_sha256,
                version=known.version,
            )
        )
        return answer_of(known.call, request_sha256, known.reply, known.finish_reason)

    async def _from_cache(
        self, asked: Request, request_sha256: Any, found: CachedReply, corrects: str | None
    ) -> Answer:
        call = self._next_call()
        kept = self._mask.value(found.reply)
        try:
            payload, blob = pack(kept)
        except ValueError as error:
            raise _cannot_store("recorded reply", error) from None
        await self._journal.record(
            CacheHit(
                step=self._request.step,
                attempt=self._request.attempt,
                call=call,
                request_sha256=request_sha256,
                version=found.version,
                paid_by=found.paid_by,
                prompt_sha256=digest_json(prompt_values(asked)),
                provider=found.provider,
                model=found.model,
                reply=payload,
                finish_reason=found.finish_reason,
                usage=found.usage,
                corrects=corrects,
                price=self._request.price,
            ),
            blob,
        )
        self._on_delta(self._request.step, str(kept["text"]))
        return answer_of(call, request_sha256, kept, found.finish_reason)

    async def _send(
        self,
        asked: Request,
        canonical: Mapping[str, Any],
        request_sha256: Any,
        changed: tuple[str, ...] | None,
        corrects: str | None,
    ) -> Answer:
        request = self._request
        call = self._next_call()
        try:
            payload, blob = pack(canonical)
        except ValueError as error:
            raise _cannot_store("request", error) from None
        event = LlmRequested(
            step=request.step,
            attempt=request.attempt,
            call=call,
            provider=request.target.provider,
            model=asked.model,
            request=payload,
            request_sha256=request_sha256,
            prompt_sha256=digest_json(prompt_values(asked)),
            dropped=request.dropped or None,
            endpoint=self._provider.endpoint or None,
            identity=self._identity,
            changed=changed,
            corrects=corrects,
            operation=None if asked.operation == "chat" else asked.operation,
            attached_bytes=attached_bytes(asked) or None,
        )
        if self._batcher is not None:
            try:
                found = await self._batcher.submit(event, blob, self._numbered(asked))
            except ProviderError as error:
                raise CallFailed(self._failure(error, 0.0)) from None
            return await self._keep_batched(asked, call, request_sha256, found)
        await self._journal.record(event, blob)
        watch = Stopwatch()
        failpoints.hit("call.before_send")
        reply = await self._receive(asked, call, watch)
        failpoints.hit("call.after_reply")
        return await self._keep(asked, call, request_sha256, reply, watch.elapsed())

    async def _rejoin(self, asked: Request, request_sha256: str) -> Answer:
        """The reply to the call of this attempt that waits in a batch."""
        assert self._batcher is not None
        if self._request.batched != request_sha256:
            raise BatchLost
        call = self._next_call()
        self._request = replace(self._request, batched=None)
        found = await self._batcher.rejoin(self._request.step, self._numbered(asked))
        return await self._keep_batched(asked, call, request_sha256, found)

    async def _keep_batched(
        self, asked: Request, call: int, request_sha256: Any, found: BatchedResult
    ) -> Answer:
        """Record what became of a call in a batch."""
        reply, duration_s = found.result, found.duration_s
        if isinstance(reply, ProviderError):
            raise await self._failed(asked, call, reply, duration_s, found.batch)
        answer = await self._keep(asked, call, request_sha256, reply, duration_s, found.batch)
        self._on_delta(self._request.step, answer.text)
        return answer

    async def _keep(
        self,
        asked: Request,
        call: int,
        request_sha256: Any,
        reply: Reply,
        duration_s: float,
        batch: int | None = None,
    ) -> Answer:
        """Record the reply, masked; the answer. Raises CallFailed if it cannot be stored."""
        try:
            check_reply(reply)
            content = reply_content(reply)
            check_value(content, levels_max=INNER_LEVELS_MAX)
            content = self._mask.value(content)
            payload, blob = pack(content)
        except ProviderError as error:
            raise await self._failed(asked, call, error, duration_s, batch) from None
        except (ValueError, TypeError, RecursionError) as error:
            message = f"the reply cannot be stored as JSON: {error}"
            broken = TransientError("protocol", message, usage=known_usage(reply))
            raise await self._failed(asked, call, broken, duration_s, batch) from None
        await self._journal.record(
            LlmResponded(
                step=self._request.step,
                attempt=self._request.attempt,
                call=call,
                provider=self._request.target.provider,
                model=name_of(reply.model),
                reply=payload,
                request_sha256=request_sha256,
                finish_reason=name_of(reply.finish_reason),
                usage=_token_usage(known_usage(reply)),
                duration_s=duration_s,
                request_id=None if reply.request_id is None else name_of(reply.request_id),
                price=self._request.price,
                reported_nano_usd=reply.cost_nano_usd,
                batch=batch,
            ),
            blob,
        )
        return answer_of(call, request_sha256, content, reply.finish_reason)

    async def _receive(self, asked: Request, call: int, watch: Stopwatch) -> Reply:
        step, name = self._request.step, self._request.target.provider
        sent = self._numbered(asked)
        masked = self._mask.text_stream()

        def show(text: str) -> None:
            if text:
                self._on_delta(step, text)

        async def send() -> Reply:
            if sent.operation == "embeddings":
                return await _embed(self._provider, sent)
            reply = await self._provider.send(sent, on_delta=lambda text: show(masked.feed(text)))
            show(masked.close())
            return reply

        try:
            reply: Reply = await self._time_limit.run(send)
        except CallFailed as timed_out:
            error: ProviderError = TransientError("timeout", timed_out.failed.message)
        except ProviderError as raised:
            error = raised
        except Exception as raised:
            # An unexpected exception of a provider fails the step, not the whole job.
            shortage = find_shortage(raised)
            if shortage is not None:
                error = TransientError("connection", f"{name}: {shortage}")
            else:
                error = TransientError("protocol", f"{name}: {type(raised).__name__}: {raised}")
        else:
            return reply
        raise await self._failed(asked, call, error, watch.elapsed()) from error

    async def _failed(
        self,
        asked: Request,
        call: int,
        error: ProviderError,
        duration_s: float,
        batch: int | None = None,
    ) -> CallFailed:
        failed = self._failure(error, duration_s)
        await self._journal.record(
            LlmFailed(
                step=self._request.step,
                attempt=self._request.attempt,
                call=call,
                provider=self._request.target.provider,
                model=asked.model,
                kind=failed.kind,
                message=failed.message,
                duration_s=duration_s,
                retry_after_s=failed.retry_after_s,
                usage=_token_usage(error.usage),
                unsent=error.unsent or None,
                absent=error.absent or None,
                not_ready=error.not_ready or None,
                price=self._request.price,
                partial=error.is_partial or None,
                batch=batch,
            )
        )
        return CallFailed(failed)

    def _failure(self, error: ProviderError, duration_s: float) -> Failed:
        return Failed(
            kind=error.kind,
            message=shorten_message(self._mask.text(clean_text(error.message))),
            duration_s=duration_s,
            retry_after_s=error.retry_after_s if isinstance(error, TransientError) else None,
            absent=error.absent,
            not_ready=error.not_ready,
        )

    def _numbered(self, asked: Request) -> Request:
        """The request with the number of its call, which has been taken."""
        return replace(asked, ordinal=self._ordinal - 1)

    def _next_call(self) -> int:
        call = self._call
        self._call += 1
        self._ordinal += 1
        return call


def _token_usage(usage: Usage | None) -> TokenUsage | None:
    return None if usage is None else TokenUsage(**asdict(usage))


def _cannot_store(what: str, error: ValueError) -> CallFailed:
    message = f"the {what} cannot be stored: {error}"
    return CallFailed(Failed(kind="bad_request", message=message, duration_s=0.0, final=True))


async def _embed(provider: Provider, request: Request) -> Reply:
    if isinstance(provider, Embedder):
        return await provider.embed(request)
    raise PermanentError(
        "environment",
        f"{provider.name} has no embeddings; give the step another `provider`",
    )
