"""Streams that Anthropic's provider refuses: events that are malformed, out of order or endless."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orc.providers import Provider, ProviderError, Request, TransientError
from orc.providers.anthropic import API, build
from orc.providers.anthropic_reply import BLOCKS_MAX, Arriving
from orc.providers.sdk_errors import Failures
from orc.providers.sdk_wire import BODY_MAX_BYTES, EVENT_MAX_LINES, LINE_MAX_BYTES
from tests.fault_server import Answer, FaultServer, Wait
from tests.providers.acts import CLOCK, USER
from tests.providers.anthropic_script import (
    KEY,
    SSE,
    block,
    call,
    end,
    event,
    failure,
    start,
    stream,
    text,
    thought,
)

BE = text("Be")


@pytest.fixture
async def provider(server: FaultServer) -> AsyncIterator[Provider]:
    """Anthropic's provider, connected to the scripted server."""
    provider = build({"ANTHROPIC_API_KEY": KEY}, server.url)
    yield provider
    await provider.aclose()


@pytest.mark.parametrize(
    "chunks",
    [
        (),
        (start(), BE),
        (start(), BE, end().partition(b"event: message_stop")[0]),
        (start(), BE, event("message_stop")),
        (start(), BE, end(None)),
        (start(), BE, end("")),
        (start(), BE, end("\u202e")),
        (start(), BE, b"event: message_stop\ndata: {"),
        (b'{"type": "message", "content": [{"type": "text", "text": "Because."}]}',),
    ],
    ids=[
        "nothing",
        "half",
        "no stop",
        "no delta",
        "no reason",
        "empty",
        "bidi",
        "cut",
        "no stream",
    ],
)
async def test_a_stream_without_its_end_is_no_reply(
    server: FaultServer, provider: Provider, chunks: tuple[bytes, ...]
) -> None:
    server.will(stream(*chunks))
    error = await failure(provider)
    assert isinstance(error, TransientError)
    assert error.kind == "protocol"


def started(**block_: Any) -> bytes:
    return event("content_block_start", index=0, content_block=block_)


def delta(index: Any, **fields: Any) -> bytes:
    return event("content_block_delta", index=index, delta=fields)


@pytest.mark.parametrize(
    "bad",
    [
        b"event: message_start\ndata: not json\n\n",
        b"event: x\ndata: []\n\n",
        b"event: x\ndata: 7\n\n",
        b"event: x\ndata: {}\n\n",
        b'event: x\ndata: {"type": ["ping"]}\n\n',
        b'event: x\ndata: {"type": "\xff"}\n\n',
        b"event: x\ndata: " + b"[" * 100_000 + b"\n\n",
        b"event: x\ndata: " + b"9" * 5000 + b"\n\n",
        start(),
        event("message_start", message=7),
        event("content_block_start", index=0),
        started(),
        started(type=7),
        started(type="text", text=7),
        delta(0, type="text_delta", text="a"),
        delta(-1, type="text_delta", text="a"),
        BE + delta(0, type="text_delta"),
        BE + delta(0, type="text_delta", text=["a"]),
        BE + delta(0, type="input_json_delta", partial_json="{}"),
        BE + delta(0, type="citations_delta"),
        call() + delta(0, type="text_delta", text="a"),
        BE + event("message_delta", delta=7),
        BE + event("message_delta", delta={"stop_reason": 7}),
        call(name=""),
        end("tool_use"),
        end() + BE,
        end() + end(),
    ],
    ids=lambda bad: repr(bad[-70:]),
)
async def test_an_invalid_stream_is_a_protocol_error(
    server: FaultServer, provider: Provider, bad: bytes
) -> None:
    last = () if b"message_stop" in bad else (end(),)
    server.will(stream(start(), bad, *last))
    error = await failure(provider, tools=(CLOCK,))
    assert isinstance(error, TransientError)
    assert error.kind == "protocol"


async def test_the_number_of_blocks_is_limited(server: FaultServer, provider: Provider) -> None:
    begun = (
        event("content_block_start", index=index, content_block={"type": "novel"})
        for index in range(BLOCKS_MAX + 1)
    )
    server.will(stream(start(), b"".join(begun), end()))
    assert (await failure(provider)).kind == "protocol"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ((("content-type", "text/html"),), b"<html>Welcome</html>"),
        ((("content-type", "text/plain"),), b"Welcome"),
        ((), b""),
        ((*SSE, ("content-encoding", "gzip")), gzip.compress(start() + BE + end())),
    ],
    ids=["page", "text", "nothing", "gzip"],
)
async def test_a_success_status_without_an_event_stream_is_a_protocol_error(
    server: FaultServer, provider: Provider, headers: Any, body: bytes
) -> None:
    server.will(Answer(headers=headers, chunks=(body,) if body else ()))
    error = await failure(provider)
    assert isinstance(error, TransientError)
    assert error.kind == "protocol"


@pytest.mark.parametrize(
    ("unit", "size_bytes"),
    [
        (b"x" * 65536, LINE_MAX_BYTES),
        ((b":" + b"x" * 65533 + b"\n\n"), BODY_MAX_BYTES),
        (b":\n" * EVENT_MAX_LINES, 2 * EVENT_MAX_LINES),
    ],
    ids=["line", "body", "event"],
)
async def test_an_endless_reply_is_a_protocol_error(
    server: FaultServer, provider: Provider, unit: bytes, size_bytes: int
) -> None:
    server.will(stream(start(), *[unit] * (size_bytes // len(unit) + 1), Wait()))
    error = await failure(provider)
    assert error.kind == "protocol"
    assert "more than" in error.message or "longer than" in error.message


def parts(whole: bytes) -> list[Any]:
    """The values of the events."""
    return [json.loads(line[6:]) for line in whole.splitlines() if line.startswith(b"data: ")]


FRAGMENTS = [
    *parts(start(input_tokens=3)),
    *parts(BE),
    *parts(call('{"a": ')),
    *parts(thought("Hm.", signature="")),
    *parts(block({"type": "novel", "text": 7}, {"type": "novel_delta"}, index=1)),
    *parts(end()),
    *parts(end("tool_use")),
    *parts(end("refusal", details={"explanation": "\ud800"})),
    {"type": "error", "error": "\ud800"},
    {"type": "ping"},
    [],
]


@given(
    st.lists(st.sampled_from(FRAGMENTS), max_size=20).map(lambda events: [FRAGMENTS[0], *events])
)
def test_any_events_give_a_complete_reply_or_an_error_of_the_contract(
    events: list[Any],
) -> None:
    heard: list[str] = []
    request = Request(model="m", messages=(USER,), tools=(CLOCK,))
    arriving = Arriving(request, heard.append, Failures(API, "http://m"), by_tool=False)
    try:
        whole = [arriving.take(event) for event in events]
        reply = arriving.build_reply({}) if whole[-1] else None
    except ProviderError as error:
        told = error.message
    else:
        told = ""
        assert (reply is None) == ({"type": "message_stop"} not in events)
    assert told.isprintable()
    if told or reply is None:
        return
    assert reply.text == "".join(heard)
    assert (reply.finish_reason == "tool_calls") == bool(reply.tool_calls)
    json.dumps(reply.native, allow_nan=False)
