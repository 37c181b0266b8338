"""How Ollama's provider handles lost, silent, untrusted and closed connections, and bad URLs."""

from __future__ import annotations

import math
import shutil
import socket
import ssl
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from orc.providers import PermanentError, Request, TransientError
from orc.providers.ollama import Ollama, build
from tests.fault_server import Answer, FaultServer, Wait
from tests.providers.acts import USER, ignore
from tests.providers.ollama_script import ask, end, failure, line, sent, stream


async def test_the_error_for_a_refused_connection_says_what_to_do() -> None:
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
        "`ollama serve`"
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
async def test_no_response_is_a_transient_error(
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
async def test_a_silent_server_causes_a_timeout(
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


async def test_a_slow_stream_does_not_time_out(
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


async def test_an_error_of_the_callback_passes_unchanged(
    server: FaultServer, ollama: Ollama
) -> None:
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
async def test_the_default_url_is_ollamas_own(
    environment: dict[str, str],
) -> None:
    provider = build(environment)
    await provider.aclose()
    with pytest.raises(PermanentError, match="http://localhost:11434 is closed"):
        await provider.send(Request(model="m", messages=(USER,)), on_delta=ignore)
