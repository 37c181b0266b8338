"""Replies that Ollama's provider refuses: malformed, cut off or endless."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from orc.ledger.wording import size_text
from orc.providers import PermanentError, Request, TransientError
from orc.providers.ollama import Ollama
from orc.providers.ollama_reply import BODY_MAX_BYTES, LINE_MAX_BYTES, read_reply
from tests.fault_server import Answer, FaultServer, Wait
from tests.providers.acts import CLOCK, USER
from tests.providers.ollama_script import (
    BIDI,
    ESCAPE,
    NDJSON,
    calls,
    end,
    fails,
    failure,
    line,
    stream,
)


@pytest.mark.parametrize(
    "chunks",
    [
        (),
        (line("Be"), line("cause.")),
        (line("Be"), b'{"model": "m", "mess'),
    ],
    ids=["nothing", "whole lines", "half a line"],
)
async def test_a_stream_without_its_end_mark_is_a_protocol_error(
    server: FaultServer, ollama: Ollama, chunks: tuple[bytes, ...]
) -> None:
    server.will(stream(*chunks))
    error = await failure(ollama)
    assert isinstance(error, TransientError)
    assert error.kind == "protocol"


@pytest.mark.parametrize(("ending", "kind"), [("cut", "protocol"), ("reset", "connection")])
async def test_a_broken_stream_is_a_transient_error(
    server: FaultServer, ollama: Ollama, ending: Any, kind: str
) -> None:
    server.will(stream(line("Be"), Wait(0.05), ending=ending))
    error = await failure(ollama)
    assert isinstance(error, TransientError)
    assert error.kind == kind
    assert "during its reply" in error.message


@pytest.mark.parametrize(
    "bad",
    [
        b"not json\n",
        b"[]\n",
        b"7\n",
        b"\xef\xbb\xbf{}\n",
        b'{"message": {"content": "\xff"}}\n',
        b'{"message": {"content": "a"}, "x": ' + b"9" * 5000 + b"}\n",
        b'{"message": {"content": "a"}, "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n",
        b'{"message": {"content": "a", "content": "b"}}\n',
        b"{}\n",
        b'{"message": "a"}\n',
        b'{"message": {"content": ["a"]}}\n',
        b'{"message": {"content": "a"}, "done": "yes"}\n',
    ],
    ids=lambda bad: repr(bad[:70]),
)
async def test_a_line_of_another_shape_is_a_protocol_error(
    server: FaultServer, ollama: Ollama, bad: bytes
) -> None:
    server.will(stream(bad, end()))
    error = await failure(ollama)
    assert isinstance(error, TransientError)
    assert error.kind == "protocol"


@pytest.mark.parametrize(
    "bad",
    [
        end(message={"content": 7}),
        end(done_reason={"type": "stop"}),
        end(done_reason="load"),
        end() + line("more"),
        end() + b"garbage",
    ],
    ids=lambda bad: repr(bad[-70:]),
)
async def test_an_end_of_another_shape_is_a_protocol_error(
    server: FaultServer, ollama: Ollama, bad: bytes
) -> None:
    server.will(stream(line("Be"), bad))
    error = await failure(ollama)
    assert isinstance(error, TransientError)
    assert error.kind == "protocol"


@pytest.mark.parametrize(
    "tool_calls",
    [
        7,
        ["read_clock"],
        [{}],
        [{"function": "read_clock"}],
        [{"function": {}}],
        [{"function": {"name": 7}}],
        [{"function": {"name": ""}}],
        [{"function": {"name": "\u202e"}}],
        [{"function": {"name": "read_clock"}}] * 1001,
    ],
    ids=lambda calls: repr(calls)[:70],
)
async def test_a_tool_call_of_another_shape_is_a_protocol_error(
    server: FaultServer, ollama: Ollama, tool_calls: Any
) -> None:
    server.will(stream(line(message={"content": "", "tool_calls": tool_calls}), end()))
    error = await failure(ollama, tools=(CLOCK,))
    assert isinstance(error, TransientError)
    assert error.kind == "protocol"


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"error": "out of memory"}, "out of memory"),
        ({"error": {"message": "out of memory", "code": 500}}, "out of memory"),
        ({"error": {"code": 7}}, '{"error": {"code": 7}}'),
        ({"error": f"out{ESCAPE} of\n{BIDI}memory"}, "out [31m of memory"),
    ],
)
async def test_an_error_in_the_stream_is_a_server_error_with_its_message(
    server: FaultServer, ollama: Ollama, document: Any, words: str
) -> None:
    server.will(stream(line("Be"), json.dumps(document).encode() + b"\n"))
    error = await failure(ollama)
    assert isinstance(error, TransientError)
    assert error.kind == "server_error"
    assert error.message.endswith(words)


async def test_an_error_in_the_stream_may_mean_a_too_long_prompt(
    server: FaultServer, ollama: Ollama
) -> None:
    words = "the request exceeds the available context size"
    server.will(stream(json.dumps({"error": words}).encode() + b"\n"))
    error = await failure(ollama)
    assert isinstance(error, PermanentError)
    assert error.kind == "context_length"
    assert error.message.endswith(words)


@pytest.mark.parametrize("content_type", ["text/html", "text/plain", ""])
async def test_a_page_in_place_of_a_reply_is_a_protocol_error(
    server: FaultServer, ollama: Ollama, content_type: str
) -> None:
    headers = (("content-type", content_type),) if content_type else ()
    server.will(Answer(headers=headers, chunks=(b"<html>Welcome</html>",)))
    error = await failure(ollama)
    assert isinstance(error, TransientError)
    assert error.kind == "protocol"
    assert ("is OLLAMA_BASE_URL the address" in error.message) == (content_type == "text/html")


async def test_a_success_without_a_body_is_a_protocol_error(
    server: FaultServer, ollama: Ollama
) -> None:
    server.will(fails(204))
    error = await failure(ollama)
    assert isinstance(error, TransientError)
    assert error.kind == "protocol"


async def test_compression_is_not_requested_and_not_decompressed(
    server: FaultServer, ollama: Ollama
) -> None:
    bomb = gzip.compress(b" " * 1_000_000)
    server.will(stream(bomb, headers=(*NDJSON, ("content-encoding", "gzip"))))
    error = await failure(ollama)
    assert error.kind == "protocol"
    assert "compressed" in error.message
    assert server.requests[0].headers["accept-encoding"] == "identity"


async def test_the_length_of_a_line_is_limited(server: FaultServer, ollama: Ollama) -> None:
    megabyte = b"x" * 1024 * 1024
    server.will(stream(*[megabyte] * (LINE_MAX_BYTES // len(megabyte)), b"x", Wait()))
    error = await failure(ollama)
    assert error.kind == "protocol"
    assert f"a line of more than {size_text(LINE_MAX_BYTES)}" in error.message


async def test_the_length_of_a_body_is_limited(server: FaultServer, ollama: Ollama) -> None:
    megabyte = b" " * (1024 * 1024 - 1) + b"\n"
    server.will(stream(*[megabyte] * (BODY_MAX_BYTES // len(megabyte)), b" ", Wait()))
    error = await failure(ollama)
    assert error.kind == "protocol"
    assert f"longer than {size_text(BODY_MAX_BYTES)}" in error.message


FRAGMENTS = [
    line("a"),
    end("b", eval_count=1),
    calls({"function": {"name": "read_clock", "arguments": '{"a": '}}),
    calls({"function": {"arguments": []}}),
    b'{"error": "x"}\n',
    b'{"done": true, "message": null}\n',
    b'{"message": {"content": "\\ud800"}}',
    b"\n",
    b"\xff",
    b"[[",
    b"\x00",
]


class Chunks(httpx.AsyncByteStream):
    def __init__(self, chunks: list[bytes]) -> None:
        self._chunks = chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk


@given(st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=20), max_size=6))
def test_any_bytes_give_a_complete_reply_or_a_transient_error(
    chunks: list[bytes],
) -> None:
    heard: list[str] = []

    async def read() -> None:
        response = httpx.Response(200, stream=Chunks(chunks))
        request = Request(model="m", messages=(USER,), tools=(CLOCK,))
        try:
            reply = await read_reply(response, request, heard.append, who="Ollama", secrets=())
        except TransientError:
            return
        assert reply.text == "".join(heard)
        assert (reply.finish_reason == "tool_calls") == bool(reply.tool_calls)
        assert b'"done": true' in b"".join(chunks)

    trio.run(read)
    "".join(heard).encode()
