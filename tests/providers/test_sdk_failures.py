"""How failures of a vendor's API are translated: kind, delay, and a message without secrets.

OpenAI's chat completions represent every SDK provider.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from orc.providers import PermanentError, Provider, ProviderError, TransientError
from orc.providers.openai import build
from orc.providers.openai_api import API
from orc.providers.sdk import ERROR_BODY_WAIT_S
from orc.providers.sdk_errors import Failures
from tests.fault_server import Answer, FaultServer, Wait
from tests.providers.acts import ask, ignore
from tests.providers.openai_script import END, KEY, fails, failure, said, send
from tests.providers.stands.openai import JSON, chunk, event, stream

ESCAPE = "\x1b[31m"
BIDI = "\u202e"


@pytest.fixture
async def provider(server: FaultServer) -> AsyncIterator[Provider]:
    """A provider that speaks to the server."""
    provider = build({"OPENAI_API_KEY": KEY}, server.url)
    yield provider
    await provider.aclose()


@pytest.mark.parametrize(
    ("status", "of", "kind"),
    [
        (400, PermanentError, "bad_request"),
        (401, PermanentError, "auth"),
        (402, PermanentError, "auth"),
        (403, PermanentError, "auth"),
        (404, PermanentError, "bad_request"),
        (408, TransientError, "timeout"),
        (409, TransientError, "server_error"),
        (413, PermanentError, "bad_request"),
        (422, PermanentError, "bad_request"),
        (429, TransientError, "rate_limit"),
        (500, TransientError, "server_error"),
        (503, TransientError, "server_error"),
        (504, TransientError, "server_error"),
        (529, TransientError, "server_error"),
    ],
)
async def test_a_status_determines_the_kind_of_the_failure(
    server: FaultServer, provider: Provider, status: int, of: type[ProviderError], kind: str
) -> None:
    server.will(fails(status, said("the reason"), *JSON))
    error = await failure(provider)
    assert isinstance(error, of)
    assert error.kind == kind
    assert error.message.startswith(f"OpenAI at {server.url} answered {status}: the reason")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "variable"), [(401, "OPENAI_API_KEY"), (404, "OPENAI_BASE_URL")]
)
async def test_a_failure_caused_by_settings_names_the_setting(
    server: FaultServer, provider: Provider, status: int, variable: str
) -> None:
    server.will(fails(status))
    assert variable in (await failure(provider)).message


@pytest.mark.parametrize("status", [408, 409, 429, 503])
@pytest.mark.parametrize(
    ("headers", "retry_after_s"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-5"}, 0),
        ({"retry-after": "1e9"}, 3600),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Sun, 22 Nov 1970 10:00:00 GMT"}, 0),
        (
            {
                "date": "Sun, 22 Nov 2026 10:00:00 GMT",
                "retry-after": "Sun, 22 Nov 2026 10:00:30 GMT",
            },
            30,
        ),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2),
        ({"retry-after-ms": "9" * 5000}, None),
    ],
)
async def test_a_failure_has_the_servers_retry_delay(
    server: FaultServer,
    provider: Provider,
    status: int,
    headers: dict[str, str],
    retry_after_s: float | None,
) -> None:
    server.will(fails(status, said("no"), *headers.items()))
    error = await failure(provider)
    assert isinstance(error, TransientError)
    assert error.retry_after_s == retry_after_s


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", ""),
        (b"no", "no"),
        (b'{"error": "no"}', "no"),
        (b'{"message": "no"}', "no"),
        (b"<html><body>no</body></html>", "an HTML page"),
        (b"[" * 100_000, "[[[["),
        (b"\xff\xfe no", "no"),
        (said(f"{ESCAPE}no{BIDI}\n\tway"), "[31mno way"),
        (said("x" * 100_000), "xxx..."),
        (said(f"no entry with {KEY}", code=KEY), "no entry with ***"),
    ],
)
async def test_the_message_of_a_failure_is_safe_to_show(
    server: FaultServer, provider: Provider, body: bytes, words: str
) -> None:
    server.will(fails(500, body))
    message = (await failure(provider)).message
    assert words in message
    assert len(message) < 500


@pytest.mark.parametrize(
    ("chunks", "ending", "waited_s"),
    [
        ((b"so ", Wait()), "end", ERROR_BODY_WAIT_S),
        ((b"x" * 1_000_000, Wait()), "end", 0),
        ((b"so",), "cut", 0),
    ],
    ids=["late", "endless", "cut off"],
)
async def test_the_body_of_a_failure_is_not_waited_for(
    server: FaultServer,
    provider: Provider,
    chunks: tuple[bytes | Wait, ...],
    ending: Any,
    waited_s: float,
    autojump_clock: MockClock,
) -> None:
    server.will(Answer(status=429, headers=(("retry-after", "7"),), chunks=chunks, ending=ending))
    begun_s = trio.current_time()
    error = await failure(provider, timeout_s=600.0)
    assert isinstance(error, TransientError)
    assert (error.kind, error.retry_after_s) == ("rate_limit", 7)
    assert trio.current_time() - begun_s == pytest.approx(waited_s, abs=0.01)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("elsewhere", ["http://elsewhere.invalid/v1", "/v2", "http://[", "\x7f"])
async def test_a_redirect_is_refused_and_nothing_is_sent_after_it(
    server: FaultServer, provider: Provider, status: int, elsewhere: str
) -> None:
    head = f"HTTP/1.1 {status} Moved\r\nlocation: {elsewhere}\r\ncontent-length: 0\r\n\r\n"
    server.will(Answer(raw=head.encode()))
    error = await failure(provider)
    assert isinstance(error, PermanentError)
    assert error.kind == "bad_request"
    assert "OPENAI_BASE_URL" in error.message
    assert ("elsewhere.invalid" in error.message) == ("elsewhere" in elsewhere)
    assert len(server.requests) == 1


async def test_a_failure_is_not_confused_with_an_earlier_exception(
    server: FaultServer, provider: Provider
) -> None:
    server.will(fails(429), stream(b"data: no JSON\n\n"))
    try:
        await provider.send(ask(), on_delta=ignore)
    except TransientError:
        assert (await failure(provider)).kind == "protocol"


@pytest.mark.parametrize(
    "answer",
    [
        fails(401, said(f"wrong key {KEY}"), *JSON),
        fails(500, f"<{KEY}>".encode()),
        Answer(status=307, headers=(("location", f"http://{KEY}/"),)),
        Answer(raw=f"HTTP/1.1 {KEY}\r\n\r\n".encode(), ending="cut"),
        Answer(raw=f"HTTP/1.1 200 OK\r\n{KEY}\r\n\r\n".encode(), ending="cut"),
        stream(f"data: {KEY}\n\n".encode()),
        stream(event({"error": {"message": KEY, "code": KEY, "type": KEY}})),
        stream(event({"error": KEY})),
        stream(event({"choices": KEY})),
        stream(event({"choices": [{"index": 0, "delta": {"tool_calls": [{KEY: KEY}]}}]}), END),
        stream(chunk({"refusal": KEY}), END),
        Answer(raw=b"", ending="reset"),
    ],
)
async def test_a_key_that_the_server_repeats_is_masked_in_failures(
    server: FaultServer, provider: Provider, answer: Answer
) -> None:
    server.will(answer)
    await failure(provider)
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


async def test_a_key_that_the_server_repeats_is_masked_in_names_of_a_reply(
    server: FaultServer, provider: Provider
) -> None:
    head = {"model": KEY, "id": KEY}
    choice = {"index": 0, "delta": {"content": "Because."}, "finish_reason": KEY}
    server.will(stream(event({**head, "choices": [choice]})))
    assert KEY not in repr(await send(provider))


async def test_credentials_in_the_url_are_sent_in_place_of_the_key_and_shown_nowhere(
    server: FaultServer,
) -> None:
    provider = build({}, f"http://me:{KEY}@127.0.0.1:{server.port}/v1")
    pair = base64.b64encode(f"me:{KEY}".encode()).decode()
    server.will(fails(500, said(f"{KEY} {pair}")))
    error = await failure(provider)
    await provider.aclose()
    assert server.requests[0].headers["authorization"] == f"Basic {pair}"
    assert server.requests[0].target == "/v1/chat/completions"
    assert pair not in error.message
    assert provider.endpoint == f"http://127.0.0.1:{server.port}/v1"


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "ftp://host",
        "http://",
        "http://host:99999",
        f"http://{'a' * 70}.example",
        "http://host/?key=1",
        "http://host/#part",
        "http://[::1",
        "http://host\x00",
    ],
)
def test_an_invalid_base_url_is_refused_and_not_quoted(url: str) -> None:
    with pytest.raises(PermanentError) as caught:
        build({"OPENAI_API_KEY": KEY}, url)
    assert caught.value.kind == "environment"
    assert caught.value.message.startswith("OPENAI_BASE_URL must look like https://api.openai.com")


async def test_the_error_for_an_unusable_proxy_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALL_PROXY", "gopher://me:secret@127.0.0.1")
    provider = build({}, "http://model.invalid")
    error = await failure(provider)
    await provider.aclose()
    assert error.kind == "environment"
    assert "ALL_PROXY" in error.message
    assert "secret" not in error.message


def test_a_too_deeply_nested_error_is_still_an_error() -> None:
    document: Any = {}
    for _ in range(100_000):
        document = {"error": document}
    assert Failures(API, "").build_event_error(document).kind == "server_error"
