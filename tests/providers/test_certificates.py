"""Which clients read the certificates of this machine: all but those of plain HTTP on it."""

from __future__ import annotations

import ssl

import pytest

from orc.providers.http import verifier_of
from orc.providers.ollama_server import OllamaServer
from orc.providers.openai_api import API
from orc.providers.sdk import Peer
from tests.each_case import each_case


class Reads(Exception):
    """Certificates were read."""


@pytest.fixture(autouse=True)
def _reading_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: object, **__: object) -> None:
        raise Reads

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", read)


async def test_plain_http_on_this_machine_reads_no_certificates() -> None:
    peer = Peer(API, "http://127.0.0.1:1/v1")
    peer.open_http()
    await peer.aclose()
    server = OllamaServer("http://localhost:1")
    server._open_client()
    await server.aclose()


@each_case("url", ["https://127.0.0.1:1/v1", "http://models.example/v1"])
def test_every_other_address_is_verified_by_the_certificates(url: str) -> None:
    with pytest.raises(Reads):
        Peer(API, url).open_http()
    with pytest.raises(Reads):
        OllamaServer(url)._open_client()


def test_without_certificates_every_server_is_refused() -> None:
    context = verifier_of("http", "127.0.0.1")
    assert isinstance(context, ssl.SSLContext)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.cert_store_stats()["x509"] == 0
