"""The server of `orc browse`: its port, the host names that it answers, and opening a browser."""

from __future__ import annotations

import asyncio
import threading
import webbrowser
from typing import Any

import pytest

from orc.cli.commands.browse import address_of, listen, only_for_loopback, open_browser
from orc.cli.errors import UsageProblem
from tests.cli.command_line import orc


def test_a_port_that_was_named_and_is_taken_is_refused_and_another_one_is_found() -> None:
    with listen(0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageProblem, match=f"--port {port}: .*name another port"):
            listen(port)
        with listen(None) as first, listen(None) as second:
            assert address_of(first) != address_of(second)
            assert address_of(second).startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    ("hosts", "status"),
    [
        (["127.0.0.1:8001"], 200),
        (["LOCALHOST:9"], 200),
        (["localhost"], 200),
        (["[::1]:8001"], 200),
        (["[::1]"], 200),
        (["evil.example:8001"], 421),
        (["localhost.evil.example"], 421),
        (["127.0.0.1:8001@evil.example"], 421),
        (["localhost:8001", "evil.example"], 421),
        ([""], 421),
        ([], 421),
    ],
)
def test_only_names_of_this_machine_are_answered(hosts: list[str], status: int) -> None:
    sent: list[dict[str, Any]] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "headers": [(b"host", host.encode()) for host in hosts]}

    async def ask() -> None:
        await only_for_loopback(app)(scope, None, send)

    asyncio.run(ask())
    assert sent[0]["status"] == status


def test_a_browser_that_waits_for_the_server_does_not_block_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served, opened = threading.Event(), threading.Event()

    def wait(url: str) -> bool:
        if served.wait(20):
            opened.set()
        return True

    monkeypatch.setattr(webbrowser, "open", wait)
    monkeypatch.setenv("BROWSER", "any")
    open_browser("http://127.0.0.1:1/")
    served.set()
    assert opened.wait(20)


def test_browse_without_a_ledger_fails_before_it_listens() -> None:
    said = orc("browse", "--no-open")

    assert said.code == 6
    assert "there is no ledger" in said.err
