"""How a stream is read through a vendor's SDK: timeouts, cuts, limits, invalid data, normal ends.

OpenAI's chat completions represent every SDK provider; the tests of a provider cover the
details of its API.
"""

from __future__ import annotations

import math
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from orc.providers import PermanentError, Provider, TransientError
from orc.providers.openai import build
from orc.providers.sdk import AFTER_END_WAIT_S
from tests.fault_server import Answer, FaultServer, Wait
from tests.providers.acts import ask, ignore
from tests.providers.openai_script import END, KEY, SAID, failure, send
from tests.providers.stands.openai import DONE, EVENTS, stream


@pytest.fixture
async def provider(server: FaultServer) -> AsyncIterator[Provider]:
    """A provider that speaks to the server."""
    provider = build({"OPENAI_API_KEY": KEY}, server.url)
    yield provider
    await provider.aclose()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(raw=b"", ending="cut"), "connection"),
        (Answer(raw=b"", ending="reset"), "connection"),
        (Answer(raw=b"SSH-2.0-OpenSSH_9.6\r\n\r\n", ending="cut"), "protocol"),
        (Answer(raw=b"HTTP/1.1 200 OK\r\nx" + b"x" * 200_000, ending="cut"), "protocol"),
        (Answer(headers=EVENTS, chunks=(SAID,), ending="cut"), "protocol"),
        (Answer(headers=EVENTS, chunks=(SAID,), ending="reset"), "connection"),
        (Answer(headers=EVENTS, chunks=(SAID, b"data: {"), ending="end"), "protocol"),
        (Answer(headers=EVENTS, chunks=(SAID,)), "protocol"),
        (Answer(headers=EVENTS, chunks=(SAID, DONE)), "protocol"),
        (Answer(headers=EVENTS), "protocol"),
        (Answer(status=204), "protocol"),
    ],
)
async def test_an_incomplete_answer_is_a_transient_error(
    server: FaultServer, provider: Provider, answer: Answer, kind: str
) -> None:
    server.will(answer)
    error = await failure(provider)
    assert isinstance(error, TransientError)
    assert error.kind == kind


async def test_an_unreachable_server_is_a_connection_error() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    provider = build({}, f"http://127.0.0.1:{port}")
    error = await failure(provider)
    await provider.aclose()
    assert error.kind == "connection"
    assert f"http://127.0.0.1:{port} does not answer (connection refused)" in error.message


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
    provider = build({}, f"https://127.0.0.1:{port}")
    error = await failure(provider)
    await provider.aclose()
    assert isinstance(error, PermanentError)
    assert error.kind == "environment"
    assert "certificate" in error.message


async def test_tls_towards_a_plain_server_is_a_transient_error(server: FaultServer) -> None:
    provider = build({}, f"https://127.0.0.1:{server.port}")
    assert isinstance(await failure(provider), TransientError)
    await provider.aclose()


@pytest.mark.parametrize(
    "answer",
    [Answer(delay_s=math.inf), stream(Wait()), stream(SAID, Wait())],
    ids=["before the status", "before the first event", "in mid-reply"],
)
async def test_a_silent_server_causes_a_timeout(
    server: FaultServer, provider: Provider, answer: Answer, autojump_clock: MockClock
) -> None:
    server.will(answer)
    begun_s = trio.current_time()
    error = await failure(provider, timeout_s=20.0)
    assert isinstance(error, TransientError)
    assert error.kind == "timeout"
    assert "20 s" in error.message
    assert trio.current_time() - begun_s == pytest.approx(20)
    await server.wait_disconnected()


async def test_a_slow_stream_does_not_time_out(
    server: FaultServer, provider: Provider, autojump_clock: MockClock
) -> None:
    slowly: list[bytes | Wait] = [part for byte in SAID for part in (Wait(15), bytes([byte]))]
    server.will(stream(*slowly, Wait(15), b": still here\n\n", Wait(15), END, DONE))
    with trio.fail_after(1e6):
        reply = await provider.send(ask(timeout_s=20.0), on_delta=ignore)
    assert reply.text == "Because."


@pytest.mark.parametrize("ending", ["end", "cut", "reset"])
async def test_a_complete_reply_does_not_depend_on_the_end_of_the_stream(
    server: FaultServer, provider: Provider, ending: Any
) -> None:
    server.will(Answer(headers=EVENTS, chunks=(SAID, END), ending=ending))
    assert (await send(provider)).text == "Because."


async def test_a_complete_reply_does_not_wait_long_for_the_end_of_the_stream(
    server: FaultServer, provider: Provider, autojump_clock: MockClock
) -> None:
    server.will(stream(SAID, END, Wait()))
    begun_s = trio.current_time()
    assert (await send(provider, timeout_s=600.0)).text == "Because."
    assert trio.current_time() - begun_s == pytest.approx(AFTER_END_WAIT_S)


async def test_a_connection_is_used_again(server: FaultServer, provider: Provider) -> None:
    server.will(*[stream(SAID, END, DONE)] * 3)
    for _ in range(3):
        await send(provider)
    assert server.connections == 1


async def test_more_calls_at_once_than_a_pool_would_hold_do_not_wait_for_each_other(
    server: FaultServer, provider: Provider, autojump_clock: MockClock
) -> None:
    slow = Answer(headers=EVENTS, chunks=(SAID, Wait(5), END, DONE))
    server.will(*[slow] * 150)
    begun_s = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(150):
            nursery.start_soon(send, provider)
    assert trio.current_time() - begun_s == pytest.approx(5)


@pytest.mark.parametrize(
    "body",
    [
        b"data: no JSON\n\n",
        b"data: {\n\n",
        b'data: {"choices": [NaN]}\n\n',
        b'data: {"x": ' + b"9" * 10_000 + b"}\n\n",
        b"data: " + b"[" * 100_000 + b"\n\n",
        b'data: {"error": ' + b'{"x":' * 500 + b"1" + b"}" * 501 + b"\n\n",
        b"data: \xff\xfe\n\n",
        b"data: null\n\n",
        b"data: 7\n\n",
        b"data: []\n\n",
        b'data: "text"\n\n',
        b"no event at all",
        b'{"choices": []}',
    ],
)
async def test_a_stream_without_events_is_a_protocol_error(
    server: FaultServer, provider: Provider, body: bytes
) -> None:
    server.will(stream(SAID, body))
    error = await failure(provider)
    assert isinstance(error, TransientError)
    assert error.kind in ("protocol", "server_error")


async def test_an_html_page_is_a_protocol_error(server: FaultServer, provider: Provider) -> None:
    html = (("content-type", "text/html; charset=utf-8"),)
    server.will(Answer(headers=html, chunks=(b"<html>" + SAID + END,)))
    error = await failure(provider)
    assert error.kind == "protocol"
    assert "is OPENAI_BASE_URL the address" in error.message


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/json"])
async def test_events_are_read_whatever_the_content_type(
    server: FaultServer, provider: Provider, content_type: str | None
) -> None:
    headers = (("content-type", content_type),) if content_type else ()
    server.will(Answer(headers=headers, chunks=(SAID, END, DONE)))
    assert (await send(provider)).text == "Because."


async def test_an_error_of_the_callback_passes_unchanged(
    server: FaultServer, provider: Provider
) -> None:
    server.will(stream(SAID, END))

    def hear(_piece: str) -> None:
        raise ValueError("of the hearer's")

    with trio.fail_after(60), pytest.raises(ValueError, match="of the hearer's"):
        await provider.send(ask(), on_delta=hear)


async def test_a_closed_provider_sends_nothing(server: FaultServer, provider: Provider) -> None:
    await provider.aclose()
    assert (await failure(provider)).kind == "environment"
    assert server.requests == []


async def test_no_proxy_is_used_for_this_machine(
    server: FaultServer, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    server.will(stream(SAID, END, DONE))
    assert (await send(provider)).text == "Because."


@pytest.mark.parametrize("text", ["\ud800", math.nan, {1, 2}])
async def test_a_request_that_json_cannot_hold_is_not_sent(
    server: FaultServer, provider: Provider, text: Any
) -> None:
    error = await failure(provider, options={"extra": text})
    assert isinstance(error, PermanentError)
    assert error.kind == "bad_request"
    assert server.requests == []
