"""How Ollama's provider translates failed responses: kind, delay and a safe message."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from orc.providers import PermanentError, ProviderError, TransientError
from orc.providers.ollama import Ollama
from tests.fault_server import Answer, FaultServer, Wait
from tests.providers.ollama_script import BIDI, fails, failure, stream


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
async def test_a_status_determines_the_kind_of_the_failure(
    server: FaultServer, ollama: Ollama, status: int, of: type[ProviderError], kind: str
) -> None:
    server.will(fails(status, b'{"error": "the reason"}'))
    error = await failure(ollama)
    assert isinstance(error, of)
    assert error.kind == kind
    assert error.message == f"Ollama at {server.url} answered {status}: the reason"
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [400, 500])
@pytest.mark.parametrize(
    "words",
    [
        "the input length exceeds the context length",
        "input length (9 tokens) exceeds the model's maximum context length (8 tokens)",
        "the request exceeds the available context size. try increasing it",
    ],
)
async def test_a_too_long_prompt_is_recognised_by_the_message(
    server: FaultServer, ollama: Ollama, status: int, words: str
) -> None:
    server.will(fails(status, json.dumps({"error": words}).encode()))
    error = await failure(ollama)
    assert isinstance(error, PermanentError)
    assert error.kind == "context_length"
    assert error.message.endswith(words)


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


async def test_the_error_for_a_missing_model_has_the_pull_command(
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
async def test_a_redirect_is_refused_and_only_its_host_is_named(
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
async def test_the_message_of_a_failure_is_short_and_safe_to_show(
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
