"""Shared by the tests of Anthropic's provider: responses of its server, and requests."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterable
from typing import Any

import pytest
import trio

from orc.providers import Provider, ProviderError, Reply, Request
from tests.fault_server import Answer, FaultServer, Wait
from tests.providers.acts import USER, ignore

KEY = "sk-ant-canary-0123456789"
SSE = (("content-type", "text/event-stream; charset=utf-8"), ("request-id", "req_1"))
JSON = (("content-type", "application/json"), ("request-id", "req_1"))

Fields = dict[str, Any]


def event(type_: str, **fields: Any) -> bytes:
    """A server-sent event."""
    return f"event: {type_}\ndata: {json.dumps({'type': type_, **fields})}\n\n".encode()


def start(**usage: Any) -> bytes:
    """The first event of a reply; `usage` are its counts."""
    counts = {"input_tokens": 0, "output_tokens": 1, **usage}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "content": []}
    return event("message_start", message={**message, "model": "claude-m-1", "usage": counts})


def block(started: Fields, *deltas: Fields, index: int = 0) -> bytes:
    """The events of a block of content."""
    parts = [event("content_block_delta", index=index, delta=delta) for delta in deltas]
    begun = event("content_block_start", index=index, content_block=started)
    return b"".join([begun, *parts, event("content_block_stop", index=index)])


def text_deltas(pieces: Iterable[str]) -> list[Fields]:
    """The pieces of a text."""
    return [{"type": "text_delta", "text": piece} for piece in pieces]


def text(*pieces: str, index: int = 0) -> bytes:
    """The events of a block of text."""
    return block({"type": "text", "text": ""}, *text_deltas(pieces), index=index)


def call(*pieces: str, index: int = 0, id_: str = "toolu_1", name: str = "read_clock") -> bytes:
    """The events of a block that calls a tool; its input comes in pieces of JSON."""
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    started = {"type": "tool_use", "id": id_, "name": name, "input": {}}
    return block(started, *deltas, index=index)


def thought(*pieces: str, signature: str = "c2ln", index: int = 0) -> bytes:
    """The events of a block of thinking."""
    deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces]
    signed = [{"type": "signature_delta", "signature": signature}] if signature else []
    started = {"type": "thinking", "thinking": "", "signature": ""}
    return block(started, *deltas, *signed, index=index)


def end(stop_reason: str | None = "end_turn", *, details: Any = None, **usage: Any) -> bytes:
    """The last events of a reply."""
    stop = {"stop_reason": stop_reason, "stop_sequence": None, "stop_details": details}
    last = event("message_delta", delta=stop, usage={"output_tokens": 0, **usage})
    return last + event("message_stop")


def stream(*chunks: bytes | Wait, **more: Any) -> Answer:
    """A reply as the server streams it."""
    return Answer(**{"headers": SSE, "chunks": chunks, **more})


def fails(
    status: int, type_: str = "api_error", words: str = "no", *headers: tuple[str, str]
) -> Answer:
    """An answer with another status than 200."""
    body = json.dumps({"type": "error", "error": {"type": type_, "message": words}}).encode()
    return Answer(status=status, headers=(*JSON, *headers), chunks=(body,))


def lists(*names: str, **more: Any) -> Answer:
    """A page of models."""
    models = [{"type": "model", "id": name, "display_name": name} for name in names]
    page = {"data": models, "has_more": False, **more}
    return Answer(headers=JSON, chunks=(json.dumps(page).encode(),))


async def ask(provider: Provider, **changes: Any) -> Reply:
    """The reply to a request with these changes."""
    request = Request(**{"model": "m", "messages": (USER,), "timeout_s": 20.0, **changes})
    with trio.fail_after(600):
        return await provider.send(request, on_delta=ignore)


async def failure(provider: Provider, **changes: Any) -> ProviderError:
    """The error of a request; it must be safe to show and contain no key."""
    with pytest.raises(ProviderError) as caught:
        await ask(provider, **changes)
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert KEY not in caught.value.message + told
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 700
    return caught.value


async def sent(server: FaultServer, provider: Provider, **changes: Any) -> Any:
    """The body that the provider sends for a request."""
    server.will(stream(start(), end()))
    await ask(provider, **changes)
    return server.requests[-1].json()
