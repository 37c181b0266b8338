"""Shared by the tests of the SDK providers: requests to OpenAI's provider, and failures."""

from __future__ import annotations

import json
import traceback
from typing import Any

import pytest
import trio

from orc.providers import Provider, ProviderError, Reply
from tests.fault_server import Answer
from tests.providers.acts import ask, ignore
from tests.providers.stands.openai import chunk

KEY = "sk-canary-0123456789"
SAID = chunk({"content": "Because."})
END = chunk({}, "stop")


async def send(provider: Provider, **changes: Any) -> Reply:
    """The reply to a request with these changes."""
    with trio.fail_after(3600):
        return await provider.send(ask(**{"timeout_s": 20.0, **changes}), on_delta=ignore)


async def failure(provider: Provider, **changes: Any) -> ProviderError:
    """The error of a request; it must be safe to show and contain no key."""
    with pytest.raises(ProviderError) as caught:
        await send(provider, **changes)
    assert caught.value.message.isprintable()
    assert KEY not in caught.value.message
    assert KEY not in "".join(traceback.format_exception(caught.value))
    assert KEY not in repr(caught.value)
    return caught.value


def fails(status: int, body: bytes = b"", *headers: tuple[str, str]) -> Answer:
    """An answer with another status than 200."""
    return Answer(status=status, headers=headers, chunks=(body,) if body else ())


def said(words: str, **fields: Any) -> bytes:
    """The body of a failure."""
    return json.dumps({"error": {"message": words, "type": "t", **fields}}).encode()
