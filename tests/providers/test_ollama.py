"""Ollama's provider against a real socket: what it sends, takes for a reply, and refuses."""

from __future__ import annotations

import base64
import gzip
import json
import math
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from providers import Message, PermanentError, ProviderError, Reply, Request, TransientError, Usage
from providers.ollama import Ollama, build
from providers.ollama_reply import BODY_MAX_BYTES, LINE_MAX_BYTES, read_reply
from tests.fault_server import Answer, FaultServer, Wait

NDJSON = (("content-type", "application/x-ndjson"),)
USER: Message = {"role": "user", "content": "Why?"}
ESCAPE = "\x1b[31m"
BIDI = "\u202e"


@pytest.fixture
async def ollama(server: FaultServer) -> AsyncIterator[Ollama]:
    provider = Ollama(server.url)
    yield provider
    await provider.aclose()


def line(content: str = "", **more: Any) -> bytes:
    shape = {"model": "m", "message": {"role": "assistant", "content": content}, "done": False}
    return json.dumps({**shape, **more}).encode() + b"\n"


def end(content: str = "", **more: Any) -> bytes:
    return line(content, **{"done": True, "done_reason": "stop", **more})


def stream(*chunks: bytes | Wait, **more: Any) -> Answer:
    return Answer(**{"headers": NDJSON, "chunks": chunks, **more})


def fails(status: int, body: bytes = b"", *headers: tuple[str, str]) -> Answer:
    return Answer(status=status, headers=headers, chunks=(body,) if body else ())


def ignore(_piece: str) -> None:
    pass


async def ask(ollama: Ollama, **changes: Any) -> Reply:
    request = Request(**{"model": "m", "messages": (USER,), "timeout_s": 20.0, **changes})
    with trio.fail_after(600):
        return await ollama.send(request, on_delta=ignore)


async def failure(ollama: Ollama, **changes: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await ask(ollama, **changes)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 700
    return caught.value


async def sent(server: FaultServer, ollama: Ollama, **changes: Any) -> Any:
    server.will(stream(end()))
    await ask(ollama, **changes)
    return server.requests[-1].json()


async def test_a_request_is_one_streamed_post_to_the_chat_api(
    server: FaultServer, ollama: Ollama
) -> None:
    body = await sent(server, ollama, model="llama3.2")
    (seen,) = server.requests
    assert (seen.method, seen.target) == ("POST", "/api/chat")
    assert seen.headers["content-type"] == "application/json"
    assert body == {
        "model": "llama3.2",
        "messages": [{"role": "user", "content": "Why?"}],
        "stream": True,
    }


async def test_the_portable_parameters_travel_as_options(
    server: FaultServer, ollama: Ollama
) -> None:
    params = {"temperature": 0.1, "top_p": 0.9, "max_tokens": 64, "stop": ["END"], "seed": 7}
    assert set(params) == ollama.params
    body = await sent(server, ollama, params=params)
    assert body["options"] == {
        "temperature": 0.1,
        "top_p": 0.9,
        "num_predict": 64,
        "stop": ["END"],
        "seed": 7,
    }


async def test_a_single_stop_text_becomes_a_list(server: FaultServer, ollama: Ollama) -> None:
    assert (await sent(server, ollama, params={"stop": "END"}))["options"] == {"stop": ["END"]}


async def test_an_unknown_parameter_is_refused_before_anything_is_sent(
    server: FaultServer, ollama: Ollama
) -> None:
    error = await failure(ollama, params={"top_k": 3})
    assert error.kind == "bad_request"
    assert "'top_k'" in error.message
    assert server.connections == 0


async def test_the_system_text_is_the_first_message(server: FaultServer, ollama: Ollama) -> None:
    body = await sent(server, ollama, system="Be brief.")
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert body["messages"][1] == USER


async def test_json_output_asks_for_the_json_format(server: FaultServer, ollama: Ollama) -> None:
    assert (await sent(server, ollama, json_output=True))["format"] == "json"


async def test_parts_become_one_text_and_a_list_of_images(
    server: FaultServer, ollama: Ollama
) -> None:
    image = base64.b64encode(b"\x89PNG").decode()
    message: Message = {
        "role": "user",
        "content": [
            {"type": "text", "text": "Look:"},
            {"type": "image", "media_type": "image/png", "data": image},
            {"type": "text", "text": "What is it?"},
        ],
    }
    body = await sent(server, ollama, messages=(message,))
    assert body["messages"] == [
        {"role": "user", "content": "Look:\nWhat is it?", "images": [image]}
    ]


async def test_a_part_of_an_unknown_type_is_refused(ollama: Ollama) -> None:
    message: Any = {"role": "user", "content": [{"type": "video", "data": ""}]}
    assert "'video'" in (await failure(ollama, messages=(message,))).message


async def test_a_request_without_messages_is_refused(server: FaultServer, ollama: Ollama) -> None:
    assert (await failure(ollama, messages=())).kind == "bad_request"
    assert server.connections == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"messages": ({"role": "user", "content": "\ud800"},)},
        {"params": {"temperature": math.nan}},
        {"params": {"seed": object()}},
    ],
    ids=["lone surrogate", "NaN", "no JSON value"],
)
async def test_what_json_cannot_carry_is_refused(ollama: Ollama, changes: Any) -> None:
    error = await failure(ollama, **changes)
    assert isinstance(error, PermanentError)
    assert error.kind == "bad_request"


async def test_a_path_in_the_url_stands_before_the_api(server: FaultServer) -> None:
    ollama = Ollama(f"{server.url}/behind/a/proxy/")
    await sent(server, ollama)
    await ollama.aclose()
    assert server.requests[0].target == "/behind/a/proxy/api/chat"


async def test_a_proxy_never_stands_between_this_machine_and_itself(
    server: FaultServer, ollama: Ollama, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    await sent(server, ollama)
    assert len(server.requests) == 1


async def test_a_reply_is_its_pieces_its_counts_and_its_end(
    server: FaultServer, ollama: Ollama
) -> None:
    last = end("!", model="m:7b", done_reason="length", prompt_eval_count=11, eval_count=3)
    server.will(stream(line("Be"), line("cause"), last))
    assert await ask(ollama) == Reply(
        text="Because!",
        model="m:7b",
        finish_reason="length",
        usage=Usage(input_tokens=11, output_tokens=3),
    )


async def test_pieces_are_heard_as_they_come(
    server: FaultServer, ollama: Ollama, autojump_clock: MockClock
) -> None:
    server.will(stream(line("a"), Wait(10), line("b"), Wait(10), end()))
    heard: list[tuple[float, str]] = []
    begun_s = trio.current_time()
    with trio.fail_after(600):
        await ollama.send(
            Request(model="m", messages=(USER,)),
            on_delta=lambda piece: heard.append((trio.current_time() - begun_s, piece)),
        )
    assert [piece for _, piece in heard] == ["a", "b"]
    assert [at_s for at_s, _ in heard] == pytest.approx([0, 10])


async def test_a_reply_is_the_same_however_its_bytes_are_cut(
    server: FaultServer, ollama: Ollama
) -> None:
    whole = (
        json.dumps(json.loads(line("Größe 😀")), ensure_ascii=False).encode() + b"\r\n\n" + end()
    )
    server.will(stream(*(whole[i : i + 1] for i in range(len(whole)))), stream(whole))
    assert (await ask(ollama)).text == "Größe 😀"
    assert (await ask(ollama)).text == "Größe 😀"


async def test_a_reply_in_one_object_without_a_line_feed_is_a_reply(
    server: FaultServer, ollama: Ollama
) -> None:
    headers = (("content-type", "application/json; charset=utf-8"),)
    server.will(stream(end("Because.").strip(), headers=headers))
    assert (await ask(ollama)).text == "Because."


async def test_what_the_end_leaves_out_has_a_default(server: FaultServer, ollama: Ollama) -> None:
    server.will(stream(b'{"done": true}\n'))
    assert await ask(ollama, model="asked") == Reply(
        text="", model="asked", finish_reason="stop", usage=Usage()
    )


async def test_a_lone_surrogate_becomes_a_replacement_character(
    server: FaultServer, ollama: Ollama
) -> None:
    server.will(stream(line("a\ud800b"), line("\udc00"), line("\U0001f600"), end()))
    assert (await ask(ollama)).text == "a\ufffdb\ufffd\U0001f600"


async def test_thinking_is_no_part_of_the_text(server: FaultServer, ollama: Ollama) -> None:
    thought = {"role": "assistant", "content": "", "thinking": "Hm."}
    server.will(stream(line(message=thought), end("Because.")))
    assert (await ask(ollama)).text == "Because."


async def test_names_that_the_server_gives_hold_no_control_byte(
    server: FaultServer, ollama: Ollama
) -> None:
    server.will(stream(end(model=f"m{ESCAPE}{BIDI}x", done_reason=f"s{ESCAPE}top")))
    reply = await ask(ollama)
    assert (reply.model, reply.finish_reason) == ("m [31mx", "s [31mtop")


async def test_a_connection_serves_the_next_call(server: FaultServer, ollama: Ollama) -> None:
    for _ in range(3):
        await sent(server, ollama)
    assert (len(server.requests), server.connections) == (3, 1)


@pytest.mark.parametrize("ending", ["cut", "reset"])
async def test_a_cut_after_the_end_mark_takes_nothing_from_the_reply(
    server: FaultServer, ollama: Ollama, ending: Any
) -> None:
    server.will(stream(end("Because."), Wait(0.05), ending=ending))
    assert (await ask(ollama)).text == "Because."


async def test_a_silence_after_the_end_mark_is_not_waited_for(
    server: FaultServer, ollama: Ollama, autojump_clock: MockClock
) -> None:
    server.will(stream(end("Because."), Wait()))
    begun_s = trio.current_time()
    assert (await ask(ollama)).text == "Because."
    assert trio.current_time() - begun_s < 1
    await server.wait_disconnected()


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
async def test_a_stream_that_breaks_off_is_a_transient_error(
    server: FaultServer, ollama: Ollama, ending: Any, kind: str
) -> None:
    server.will(stream(line("Be"), Wait(0.05), ending=ending))
    error = await failure(ollama)
    assert isinstance(error, TransientError)
    assert error.kind == kind
    assert "in the middle of its reply" in error.message


@pytest.mark.parametrize(
    "bad",
    [
        b"not json\n",
        b"[]\n",
        b"7\n",
        b"\xef\xbb\xbf{}\n",
        b'{"message": {"content": "\xff"}}\n',
        b'{"message": {"content": "a"}, "x": NaN}\n',
        b'{"message": {"content": "a"}, "x": ' + b"9" * 5000 + b"}\n",
        b'{"message": {"content": "a"}, "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n",
        b'{"message": {"content": "a", "content": "b"}}\n',
        b"{}\n",
        b'{"message": "a"}\n',
        b'{"message": {}}\n',
        b'{"message": {"content": null}}\n',
        b'{"message": {"content": ["a"]}}\n',
        b'{"message": {"content": "a"}, "done": "yes"}\n',
        b'{"message": {"content": "", "tool_calls": [{"function": {"name": "rm"}}]}}\n',
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
        end(eval_count=-1),
        end(eval_count=True),
        end(eval_count=1.5),
        end(prompt_eval_count="3"),
        end(prompt_eval_count=10**30),
        end(model=["m"]),
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
    ("document", "words"),
    [
        ({"error": "out of memory"}, "out of memory"),
        ({"error": {"message": "out of memory", "code": 500}}, "out of memory"),
        ({"error": {"code": 7}}, '{"error": {"code": 7}}'),
        ({"error": f"out{ESCAPE} of\n{BIDI}memory"}, "out [31m of memory"),
    ],
)
async def test_an_error_in_mid_stream_is_a_server_error_with_its_words(
    server: FaultServer, ollama: Ollama, document: Any, words: str
) -> None:
    server.will(stream(line("Be"), json.dumps(document).encode() + b"\n"))
    error = await failure(ollama)
    assert isinstance(error, TransientError)
    assert error.kind == "server_error"
    assert error.message.endswith(words)


@pytest.mark.parametrize("content_type", ["text/html", "text/plain", "", f"x{BIDI}".encode().hex()])
async def test_a_200_of_another_content_type_is_a_protocol_error(
    server: FaultServer, ollama: Ollama, content_type: str
) -> None:
    headers = (("content-type", content_type),) if content_type else ()
    server.will(Answer(headers=headers, chunks=(b"<html>Welcome</html>",)))
    error = await failure(ollama)
    assert isinstance(error, TransientError)
    assert error.kind == "protocol"
    assert (content_type or "no content type") in error.message


async def test_a_success_without_a_body_is_a_protocol_error(
    server: FaultServer, ollama: Ollama
) -> None:
    server.will(fails(204))
    error = await failure(ollama)
    assert isinstance(error, TransientError)
    assert error.kind == "protocol"


async def test_compression_is_not_asked_for_and_not_unfolded(
    server: FaultServer, ollama: Ollama
) -> None:
    bomb = gzip.compress(b" " * 1_000_000)
    server.will(stream(bomb, headers=(*NDJSON, ("content-encoding", "gzip"))))
    error = await failure(ollama)
    assert error.kind == "protocol"
    assert "compressed" in error.message
    assert server.requests[0].headers["accept-encoding"] == "identity"


async def test_a_line_has_a_bound(server: FaultServer, ollama: Ollama) -> None:
    megabyte = b"x" * 1024 * 1024
    server.will(stream(*[megabyte] * (LINE_MAX_BYTES // len(megabyte)), b"x", Wait()))
    error = await failure(ollama)
    assert error.kind == "protocol"
    assert f"a line of more than {LINE_MAX_BYTES} bytes" in error.message


async def test_a_body_has_a_bound(server: FaultServer, ollama: Ollama) -> None:
    megabyte = b" " * (1024 * 1024 - 1) + b"\n"
    server.will(stream(*[megabyte] * (BODY_MAX_BYTES // len(megabyte)), b" ", Wait()))
    error = await failure(ollama)
    assert error.kind == "protocol"
    assert f"longer than {BODY_MAX_BYTES} bytes" in error.message


FRAGMENTS = [
    line("a"),
    end("b", eval_count=1),
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
def test_whatever_bytes_come_there_is_a_whole_reply_or_a_transient_error(
    chunks: list[bytes],
) -> None:
    heard: list[str] = []

    async def read() -> None:
        response = httpx.Response(200, stream=Chunks(chunks))
        request = Request(model="m", messages=(USER,))
        try:
            reply = await read_reply(response, request, heard.append, secrets=())
        except TransientError:
            return
        assert reply.text == "".join(heard)
        assert b'"done": true' in b"".join(chunks)

    trio.run(read)
    "".join(heard).encode()


@pytest.mark.parametrize(
    ("status", "of", "kind"),
    [
        (400, PermanentError, "bad_request"),
        (401, PermanentError, "auth"),
        (403, PermanentError, "auth"),
        (404, PermanentError, "bad_request"),
        (408, TransientError, "timeout"),
        (422, PermanentError, "bad_request"),
        (429, TransientError, "rate_limit"),
        (500, TransientError, "server_error"),
        (502, TransientError, "server_error"),
        (503, TransientError, "server_error"),
        (529, TransientError, "server_error"),
    ],
)
async def test_a_status_says_whether_to_try_again(
    server: FaultServer, ollama: Ollama, status: int, of: type[ProviderError], kind: str
) -> None:
    server.will(fails(status, b'{"error": "the reason"}'))
    error = await failure(ollama)
    assert isinstance(error, of)
    assert error.kind == kind
    assert error.message == f"Ollama at {server.url} answered {status}: the reason"
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("headers", "retry_after_s"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-5"}, 0),
        ({"retry-after": "1000000000"}, 3600),
        ({"retry-after": "1e9"}, 3600),
        ({"retry-after": "9" * 5000}, 3600),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "Wed, 99 Nov 2026 10:00:30 GMT"}, None),
        ({"retry-after": "Sun, 22 Nov 1970 10:00:00 GMT"}, 0),
        ({"retry-after": "Sun, 22 Nov 2999 10:00:00 GMT"}, 3600),
        (
            {
                "retry-after": "Fri, 22 Nov 2999 10:00:30 GMT",
                "date": "Fri, 22 Nov 2999 10:00:00 GMT",
            },
            30,
        ),
        (
            {
                "retry-after": "Sun, 22 Nov 1970 10:00:30 GMT",
                "date": "Sun, 22 Nov 1970 10:00:00 GMT",
            },
            30,
        ),
    ],
    ids=str,
)
async def test_retry_after_is_read_and_clamped(
    server: FaultServer, ollama: Ollama, headers: dict[str, str], retry_after_s: float | None
) -> None:
    server.will(fails(429, b"", *headers.items()))
    error = await failure(ollama)
    assert isinstance(error, TransientError)
    assert error.retry_after_s == retry_after_s


async def test_a_missing_model_is_answered_with_the_command_that_gets_it(
    server: FaultServer, ollama: Ollama
) -> None:
    server.will(fails(404, b'{"error": "model \'qwen3:4b\' not found"}'))
    error = await failure(ollama, model="qwen3:4b")
    assert error.kind == "bad_request"
    assert "`ollama pull qwen3:4b`" in error.message


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://evil.example/steal?key=abc", "a redirect to evil.example,"),
        ("/elsewhere?key=abc", "a redirect, which"),
        ("http://user:pw@evil.example/abc", "a redirect to evil.example,"),
        ("http://xn--a/abc", "a redirect to xn--a,"),
        ("http://[::1/abc", "a redirect, which"),
        ("http://localhost:port/abc", "a redirect, which"),
        ("", "a redirect, which"),
    ],
)
async def test_a_redirect_is_refused_and_names_no_more_than_its_host(
    server: FaultServer, ollama: Ollama, location: str, shown: str
) -> None:
    server.will(fails(307, b"abc", ("location", location)))
    error = await failure(ollama)
    assert isinstance(error, PermanentError)
    assert error.kind == "bad_request"
    assert shown in error.message
    assert "abc" not in error.message
    assert "pw" not in error.message
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"", "answered 500"),
        (b"  <!DOCTYPE html><html>", "answered 500: an HTML page"),
        (b"plain words", "answered 500: plain words"),
        (b'{"message": "words"}', "answered 500: words"),
        (b"[" * 100_000, "answered 500: " + "[" * 297 + "..."),
        (b"a\x1b[2Jb\x00\x7f\xc2\x9bc", "answered 500: a [2Jb c"),
        (f"a{BIDI}b\u200bc\ufeff\u2028d".encode(), "answered 500: abc d"),
        (b"\xff\xfe", "answered 500: \ufffd\ufffd"),
        (b'{"error": "\\ud800x"}', "answered 500: x"),
        (b"x" * 1000, "answered 500: " + "x" * 297 + "..."),
    ],
    ids=lambda value: repr(value[:30]),
)
async def test_the_words_of_a_failure_are_shown_short_and_harmless(
    server: FaultServer, ollama: Ollama, body: bytes, shown: str
) -> None:
    server.will(fails(500, body))
    assert (await failure(ollama)).message == f"Ollama at {server.url} {shown}"


@pytest.mark.parametrize("ending", ["cut", "reset"])
async def test_a_failure_whose_body_breaks_off_keeps_its_status(
    server: FaultServer, ollama: Ollama, ending: Any
) -> None:
    server.will(Answer(status=401, chunks=(b"no", Wait(0.05)), ending=ending))
    assert (await failure(ollama)).kind == "auth"


async def test_a_failure_whose_body_never_ends_keeps_its_status(
    server: FaultServer, ollama: Ollama, autojump_clock: MockClock
) -> None:
    server.will(
        Answer(status=401, chunks=(b"no", Wait())),
        Answer(status=403, chunks=(*[b"x" * 65536] * 10, Wait())),
    )
    begun_s = trio.current_time()
    assert (await failure(ollama)).message.endswith("answered 401: no")
    assert (await failure(ollama)).kind == "auth"
    assert trio.current_time() - begun_s < 10


async def test_credentials_of_the_url_are_sent_and_never_shown(server: FaultServer) -> None:
    secret = base64.b64encode(b"me:hunter2222").decode()
    ollama = Ollama(f"http://me:hunter2222@127.0.0.1:{server.port}")
    echo = json.dumps({"error": f"no entry with hunter2222 or Basic {secret}"}).encode()
    server.will(
        fails(401, echo),
        stream(echo + b"\n"),
        Answer(headers=(("content-type", "x/hunter2222"),)),
        Answer(raw=b"", ending="reset"),
    )
    errors = [await failure(ollama) for _ in range(4)]
    await ollama.aclose()
    assert server.requests[0].headers["authorization"] == f"Basic {secret}"
    assert errors[0].message.endswith("no entry with *** or Basic ***")
    for error in errors:
        assert "hunter2222" not in error.message
        assert secret not in error.message


async def test_a_refused_connection_says_how_to_go_on() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        ollama = Ollama(f"http://127.0.0.1:{port}")
        error = await failure(ollama)
        await ollama.aclose()
    assert isinstance(error, TransientError)
    assert error.kind == "connection"
    assert error.message == (
        f"Ollama does not answer at http://127.0.0.1:{port} (connection refused). Start it with "
        "`ollama serve`, or run the recorded replies: `orc run SPEC --provider replay`"
    )


@pytest.mark.parametrize(
    ("raw", "ending", "kind"),
    [
        (b"", "reset", "connection"),
        (b"", "cut", "connection"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "cut", "protocol"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n", "cut", "protocol"),
    ],
)
async def test_no_answer_at_all_is_a_transient_error(
    server: FaultServer, ollama: Ollama, raw: bytes, ending: Any, kind: str
) -> None:
    server.will(Answer(raw=raw, ending=ending))
    error = await failure(ollama)
    assert isinstance(error, TransientError)
    assert error.kind == kind


@pytest.mark.parametrize(
    "answer",
    [Answer(delay_s=math.inf), stream(Wait()), stream(line("Be"), Wait())],
    ids=["before the status", "before the first line", "in mid-reply"],
)
async def test_a_silence_ends_in_a_timeout(
    server: FaultServer, ollama: Ollama, answer: Answer, autojump_clock: MockClock
) -> None:
    server.will(answer)
    begun_s = trio.current_time()
    error = await failure(ollama, timeout_s=20.0)
    assert isinstance(error, TransientError)
    assert error.kind == "timeout"
    assert "20 s" in error.message
    assert trio.current_time() - begun_s == pytest.approx(20)
    await server.wait_disconnected()


async def test_a_slow_stream_is_no_silence(
    server: FaultServer, ollama: Ollama, autojump_clock: MockClock
) -> None:
    slowly: tuple[bytes | Wait, ...] = (Wait(15), line("a"))
    server.will(stream(*slowly * 10, end()))
    assert (await ask(ollama, timeout_s=20.0)).text == "a" * 10


async def test_an_untrusted_certificate_is_a_permanent_error(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    files = ["-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "cert")]
    await trio.run_process(["openssl", *made, *files], stderr=subprocess.DEVNULL)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")

    async def shake_hands(peer: trio.SSLStream[trio.SocketStream]) -> None:
        with pytest.raises(trio.BrokenResourceError):
            await peer.receive_some()

    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    tls = trio.SSLListener(listener, context, https_compatible=True)
    nursery.start_soon(partial(trio.serve_listeners, shake_hands, [tls]))
    ollama = Ollama(f"https://127.0.0.1:{port}")
    error = await failure(ollama)
    await ollama.aclose()
    assert isinstance(error, PermanentError)
    assert error.kind == "environment"
    assert "certificate" in error.message


async def test_tls_towards_a_plain_server_is_a_connection_error(server: FaultServer) -> None:
    ollama = Ollama(f"https://127.0.0.1:{server.port}")
    error = await failure(ollama)
    await ollama.aclose()
    assert isinstance(error, TransientError)
    assert "(TLS failed)" in error.message


async def test_a_callers_own_error_comes_out_as_it_is(server: FaultServer, ollama: Ollama) -> None:
    def reject(_piece: str) -> None:
        raise ValueError("mine")

    server.will(stream(line("Be"), end()))
    with trio.fail_after(600), pytest.raises(ValueError, match=r"^mine$"):
        await ollama.send(Request(model="m", messages=(USER,)), on_delta=reject)


async def test_a_closed_provider_refuses_to_send(server: FaultServer, ollama: Ollama) -> None:
    await sent(server, ollama)
    await ollama.aclose()
    assert (await failure(ollama)).kind == "environment"
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "url",
    [
        "localhost:11434",
        "11434",
        "ftp://localhost",
        "http://",
        "http://:11434",
        "http://a..b",
        "http://localhost:0",
        "http://localhost:65536",
        "http://localhost:-1",
        "http://xn--a",
        "http://local\x00host",
        "http://[::1",
        "http://localhost?x=hunter2222",
        "http://localhost#hunter2222",
        "me:hunter2222@localhost",
        "http://me:hunter2222@localhost:hunter2222",
    ],
)
def test_an_unusable_url_is_refused_at_once_and_not_quoted(url: str) -> None:
    with pytest.raises(PermanentError, match=r"^OLLAMA_BASE_URL must look like http://") as caught:
        build({"OLLAMA_BASE_URL": url})
    assert caught.value.kind == "environment"
    assert "hunter2222" not in caught.value.message


@pytest.mark.parametrize("environment", [{}, {"OLLAMA_BASE_URL": ""}, {"OLLAMA_BASE_URL": " "}])
async def test_without_a_url_it_is_the_one_that_ollama_serves_at(
    environment: dict[str, str],
) -> None:
    provider = build(environment)
    await provider.aclose()
    with pytest.raises(PermanentError, match="http://localhost:11434 is closed"):
        await provider.send(Request(model="m", messages=(USER,)), on_delta=ignore)
