"""Asking a model: each call is in the ledger before it is sent, and after it is answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import trio

from ledger import pack
from ledger.digest import clean_text, digest_json
from ledger.events import CacheHit, LlmFailed, LlmRequested, LlmResponded, TokenUsage
from providers import Provider, ProviderError, Reply, TransientError
from scheduler.core.commands import Failed
from scheduler.effects.contract import (
    Journal,
    PromptRequest,
    Result,
    Stopwatch,
    attempt_timeout_message,
)
from scheduler.effects.text import json_result

OnDelta = Callable[[str, str], None]


async def perform_prompt(
    request: PromptRequest, *, provider: Provider, journal: Journal, on_delta: OnDelta
) -> Result:
    """The model's answer, from the ledger where an equal request was answered before."""
    watch = Stopwatch()
    canonical = request.request.canonical(request.provider)
    request_sha256 = digest_json(canonical)
    known = request.known[0] if request.known else None
    if known is not None and known.request_sha256 == request_sha256:
        await journal.record(
            CacheHit(
                step=request.step,
                attempt=request.attempt,
                call=request.call,
                request_sha256=request_sha256,
                version=known.version,
            )
        )
        return _result(request, str(known.reply["text"]), watch)
    payload, blob = pack(canonical)
    await journal.record(
        LlmRequested(
            step=request.step,
            attempt=request.attempt,
            call=request.call,
            provider=request.provider,
            model=request.request.model,
            request=payload,
            request_sha256=request_sha256,
            prompt_sha256=digest_json(request.request.asked()),
            dropped=request.dropped or None,
        ),
        blob,
    )
    call_watch = Stopwatch()
    reply: Reply | None = None
    limit_s = float("inf") if request.timeout_s is None else request.timeout_s
    try:
        with trio.move_on_after(limit_s):
            reply = await provider.send(
                request.request, on_delta=lambda text: on_delta(request.step, text)
            )
        if reply is None:
            raise TransientError("timeout", attempt_timeout_message(limit_s))
    except ProviderError as error:
        return await _record_failure(request, error, journal, call_watch.elapsed())
    except Exception as error:
        # A provider that breaks its contract fails the step; it does not end the job.
        broken = TransientError("protocol", f"{request.provider}: {type(error).__name__}: {error}")
        return await _record_failure(request, broken, journal, call_watch.elapsed())
    text = clean_text(reply.text)
    await _record_reply(request, reply, text, request_sha256, journal, call_watch.elapsed())
    return _result(request, text, watch)


def _result(request: PromptRequest, text: str, watch: Stopwatch) -> Result:
    if request.wants_json:
        return json_result(text, duration_s=watch.elapsed(), what="the reply")
    return Result(value=text, text=text)


async def _record_reply(
    request: PromptRequest,
    reply: Reply,
    text: str,
    request_sha256: Any,
    journal: Journal,
    duration_s: float,
) -> None:
    payload, blob = pack({"text": text})
    await journal.record(
        LlmResponded(
            step=request.step,
            attempt=request.attempt,
            call=request.call,
            provider=request.provider,
            model=clean_text(reply.model),
            reply=payload,
            request_sha256=request_sha256,
            finish_reason=clean_text(reply.finish_reason),
            usage=TokenUsage(**asdict(reply.usage)),
            duration_s=duration_s,
            request_id=reply.request_id,
        ),
        blob,
    )


async def _record_failure(
    request: PromptRequest, error: ProviderError, journal: Journal, duration_s: float
) -> Result:
    retry_after_s = error.retry_after_s if isinstance(error, TransientError) else None
    message = clean_text(error.message)
    await journal.record(
        LlmFailed(
            step=request.step,
            attempt=request.attempt,
            call=request.call,
            provider=request.provider,
            model=request.request.model,
            kind=error.kind,
            message=message,
            duration_s=duration_s,
            retry_after_s=retry_after_s,
        )
    )
    return Result(
        failed=Failed(
            kind=error.kind,
            message=message,
            duration_s=duration_s,
            retry_after_s=retry_after_s,
        )
    )
