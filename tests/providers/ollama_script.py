"""Shared by the tests of Ollama's provider: responses of its server, and requests."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio

from orc.providers import ProviderError, Reply, Request
from orc.providers.ollama import Ollama
from tests.fault_server import Answer, FaultServer, Wait
from tests.providers.acts import USER, ignore

NDJSON = (("content-type", "application/x-ndjson"),)
JSON = (("content-type", "application/json; charset=utf-8"),)
ESCAPE = "\x1b[31m"
BIDI = "\u202e"


def line(content: str = "", **more: Any) -> bytes:
    """A line of a reply; `more` are its fields beside the message."""
    shape = {"model": "m", "message": {"role": "assistant", "content": content}, "done": False}
    return json.dumps({**shape, **more}).encode() + b"\n"


def calls(*tool_calls: Any, content: str = "", **more: Any) -> bytes:
    """A line that calls tools; `more` are the fields of its message."""
    message = {"role": "assistant", "content": content, "tool_calls": tool_calls, **more}
    return line(message=message)


def end(content: str = "", **more: Any) -> bytes:
    """The last line of a reply."""
    return line(content, **{"done": True, "done_reason": "stop", **more})


def stream(*chunks: bytes | Wait, **more: Any) -> Answer:
    """A reply as the server streams it."""
    return Answer(**{"headers": NDJSON, "chunks": chunks, **more})


def fails(status: int, body: bytes = b"", *headers: tuple[str, str]) -> Answer:
    """An answer with another status than 200."""
    return Answer(status=status, headers=headers, chunks=(body,) if body else ())


async def ask(ollama: Ollama, **changes: Any) -> Reply:
    """The reply to a request with these changes."""
    request = Request(**{"model": "m", "messages": (USER,), "timeout_s": 20.0, **changes})
    with trio.fail_after(600):
        return await ollama.send(request, on_delta=ignore)


async def failure(ollama: Ollama, **changes: Any) -> ProviderError:
    """The error of a request; it must be safe to show."""
    with pytest.raises(ProviderError) as caught:
        await ask(ollama, **changes)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 700
    return caught.value


async def sent(server: FaultServer, ollama: Ollama, **changes: Any) -> Any:
    """The body that the provider sends for a request."""
    server.will(stream(end()))
    await ask(ollama, **changes)
    return server.requests[-1].json()
