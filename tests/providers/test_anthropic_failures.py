"""How Anthropic's provider translates failures: statuses, error events, timeouts and cuts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from orc.providers import PermanentError, Provider, TransientError
from orc.providers.anthropic import build
from tests.fault_server import Answer, FaultServer, Wait
from tests.providers.acts import STALL_S
from tests.providers.anthropic_script import (
    KEY,
    SSE,
    ask,
    end,
    event,
    fails,
    failure,
    start,
    stream,
    text,
)

BE = text("Be")


@pytest.fixture
async def provider(server: FaultServer) -> AsyncIterator[Provider]:
    """Anthropic's provider, connected to the scripted server."""
    provider = build({"ANTHROPIC_API_KEY": KEY}, server.url)
    yield provider
    await provider.aclose()


@pytest.mark.parametrize(
    ("status", "type_", "kind"),
    [
        (400, "invalid_request_error", "bad_request"),
        (401, "authentication_error", "auth"),
        (402, "billing_error", "auth"),
        (403, "permission_error", "auth"),
        (404, "not_found_error", "bad_request"),
        (408, "timeout_error", "timeout"),
        (409, "conflict_error", "server_error"),
        (413, "request_too_large", "context_length"),
        (413, "", "bad_request"),
        (422, "invalid_request_error", "bad_request"),
        (429, "rate_limit_error", "rate_limit"),
        (500, "api_error", "server_error"),
        (503, "api_error", "server_error"),
        (504, "timeout_error", "server_error"),
        (529, "overloaded_error", "server_error"),
    ],
)
async def test_a_status_determines_the_kind_of_the_failure(
    server: FaultServer, provider: Provider, status: int, type_: str, kind: str
) -> None:
    server.will(fails(status, type_, "the \x1b[31mreason"))
    error = await failure(provider)
    assert error.kind == kind
    assert f"Anthropic at {server.url} answered {status}: the [31mreason" in error.message
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        ("overloaded_error", "server_error"),
        ("api_error", "server_error"),
        ("timeout_error", "server_error"),
        ("rate_limit_error", "rate_limit"),
        ("authentication_error", "auth"),
        ("permission_error", "auth"),
        ("billing_error", "auth"),
        ("invalid_request_error", "bad_request"),
        ("request_too_large", "context_length"),
        ("not_found_error", "bad_request"),
        ("novel_error", "server_error"),
        (7, "server_error"),
    ],
)
@pytest.mark.parametrize("name", ["error", "message"])
async def test_the_kind_of_an_error_event_depends_on_its_type(
    server: FaultServer, provider: Provider, name: str, type_: Any, kind: str
) -> None:
    told = event("error", error={"type": type_, "message": f"the \x1b[31mreason, {KEY}"})
    server.will(stream(start(), BE, told.replace(b"event: error", f"event: {name}".encode())))
    error = await failure(provider)
    assert error.kind == kind
    assert error.message.endswith("failed during its reply: the [31mreason, ***")


@pytest.mark.parametrize("data", [b"out of order", b'"words"', b"[]", b"{}", b"\\x1b"])
async def test_an_error_event_may_have_any_shape(
    server: FaultServer, provider: Provider, data: bytes
) -> None:
    server.will(stream(start(), b"event: error\ndata: " + data + b"\n\n"))
    assert (await failure(provider)).kind == "server_error"


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("prompt is too long: 210000 tokens > 200000 maximum", "context_length"),
        ("input length and `max_tokens` exceed context limit: 9 + 8 > 10", "context_length"),
        ("Output blocked by content filtering policy", "refused"),
        ("temperature: Extra inputs are not permitted", "bad_request"),
    ],
)
async def test_the_kind_of_a_bad_request_depends_on_its_message(
    server: FaultServer, provider: Provider, words: str, kind: str
) -> None:
    told = event("error", error={"type": "invalid_request_error", "message": words})
    server.will(fails(400, "invalid_request_error", words), stream(start(), told))
    for _ in range(2):
        error = await failure(provider)
        assert isinstance(error, PermanentError)
        assert error.kind == kind


@pytest.mark.parametrize("status", [429, 529])
@pytest.mark.parametrize(
    ("headers", "retry_after_s"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-5"}, 0),
        ({"retry-after": "1e9"}, 3600),
        ({"retry-after": "soon"}, None),
        ({"retry-after-ms": "1500", "retry-after": "7"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7),
        ({"retry-after": "Sun, 22 Nov 1970 10:00:00 GMT"}, 0),
        ({"retry-after": "Fri, 22 Nov 2999 10:00:00 GMT"}, 3600),
        (
            {
                "retry-after": "Fri, 22 Nov 2999 10:00:30 GMT",
                "date": "Fri, 22 Nov 2999 10:00:00 GMT",
            },
            30,
        ),
    ],
    ids=str,
)
async def test_the_delay_of_a_busy_server_is_used(
    server: FaultServer,
    provider: Provider,
    status: int,
    headers: dict[str, str],
    retry_after_s: float | None,
) -> None:
    server.will(fails(status, "overloaded_error", "busy", *headers.items()))
    error = await failure(provider)
    assert isinstance(error, TransientError)
    assert error.retry_after_s == retry_after_s


@pytest.mark.parametrize(("ending", "kind"), [("cut", "protocol"), ("reset", "connection")])
async def test_a_broken_stream_is_a_transient_error(
    server: FaultServer, provider: Provider, ending: Any, kind: str
) -> None:
    server.will(stream(start(), BE, Wait(0.05), ending=ending))
    error = await failure(provider)
    assert isinstance(error, TransientError)
    assert error.kind == kind


@pytest.mark.parametrize("ending", ["cut", "reset"])
async def test_no_response_is_a_connection_error(
    server: FaultServer, provider: Provider, ending: Any
) -> None:
    server.will(Answer(raw=b"", ending=ending))
    assert (await failure(provider)).kind == "connection"


@pytest.mark.parametrize(
    "answer",
    [Answer(delay_s=STALL_S), stream(Wait(STALL_S)), stream(start(), BE, Wait(STALL_S))],
    ids=["before the status", "before the first event", "in mid-reply"],
)
async def test_a_silent_server_causes_a_timeout(
    server: FaultServer, provider: Provider, answer: Answer, autojump_clock: MockClock
) -> None:
    server.will(answer)
    begun_s = trio.current_time()
    assert (await failure(provider, timeout_s=20.0)).kind == "timeout"
    assert trio.current_time() - begun_s == pytest.approx(20, abs=1)


async def test_a_slow_stream_does_not_time_out(
    server: FaultServer, provider: Provider, autojump_clock: MockClock
) -> None:
    whole = start() + BE + end()
    pieces = [whole[at : at + 40] for at in range(0, len(whole), 40)]
    server.will(stream(*(part for piece in pieces for part in (Wait(15.0), piece))))
    assert (await ask(provider, timeout_s=20.0)).text == "Be"


@pytest.mark.parametrize("location", ["http://evil.example/v1/messages", "/elsewhere", "http://["])
async def test_a_redirect_is_refused_and_the_key_does_not_follow(
    server: FaultServer, provider: Provider, location: str
) -> None:
    server.will(Answer(status=307, headers=(("location", location),)))
    error = await failure(provider)
    assert isinstance(error, PermanentError)
    assert error.kind == "bad_request"
    assert ("evil.example" in error.message) == ("evil.example" in location)
    assert "ANTHROPIC_BASE_URL" in error.message
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [401, 404])
async def test_a_failure_caused_by_settings_names_the_variable(
    server: FaultServer, provider: Provider, status: int
) -> None:
    server.will(fails(status))
    named = {401: "ANTHROPIC_API_KEY", 404: "ANTHROPIC_BASE_URL"}
    assert named[status] in (await failure(provider)).message


@pytest.mark.parametrize(
    "answer",
    [
        fails(400, words=f"no entry with {KEY}"),
        fails(401, KEY, KEY),
        fails(500, words=KEY[:-1] + "\x00" + KEY),
        fails(429, words=KEY),
        Answer(status=403, chunks=(f"<html>{KEY}".encode(),)),
        Answer(status=307, headers=(("location", f"http://{KEY}.example/{KEY}"),)),
        Answer(headers=(("content-type", f"text/{KEY}"),), chunks=(KEY.encode(),)),
        stream(event("error", error={"type": KEY, "message": KEY})),
        stream(f"event: error\ndata: {KEY}\n\n".encode()),
        stream(f"event: x\ndata: {KEY}\n\n".encode()),
        stream(start(), end("refusal", details={"category": KEY, "explanation": KEY})),
        stream(event("message_start", message={"usage": {KEY: KEY, "input_tokens": KEY}})),
        Answer(raw=KEY.encode() + b"\r\n\r\n", ending="cut"),
    ],
    ids=lambda answer: repr(answer)[:60],
)
async def test_a_key_that_the_server_repeats_is_masked_in_failures(
    server: FaultServer, provider: Provider, answer: Answer
) -> None:
    server.will(answer)
    await failure(provider)


async def test_a_key_that_the_server_repeats_is_masked_in_names_of_a_reply(
    server: FaultServer, provider: Provider
) -> None:
    begun = event("message_start", message={"model": f"m {KEY}"})
    headers = (SSE[0], ("request-id", KEY))
    server.will(stream(begun, text("Because."), end(KEY), headers=headers))
    reply = await ask(provider)
    assert (reply.model, reply.request_id, reply.finish_reason) == ("m ***", "***", "***")
