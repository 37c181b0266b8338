"""A headless Chromium and a real server for it; the tests are skipped without Chromium."""

from __future__ import annotations

import shutil
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    expect,
    sync_playwright,
)

from tests.forkserver import ForkedProcess
from tests.processes import end_process, orc_environment, wait_until

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
_QUIET = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
_WAIT_MS = 15_000
expect.set_options(timeout=_WAIT_MS)


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """The browser, for this folder: while it is open, no other event loop can run in this thread."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_QUIET)
        yield browser
        browser.close()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A new browser context; a dialog, a script error or a policy violation fails the test."""
    context = chromium.new_context(viewport={"width": 1024, "height": 900})
    context.set_default_timeout(_WAIT_MS)
    wrong: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        wrong.append(dialog.message)
        dialog.dismiss()

    def listen(said: ConsoleMessage) -> None:
        if "Content Security" in said.text:
            wrong.append(said.text)

    context.on("dialog", dismiss)
    context.on("weberror", lambda error: wrong.append(str(error.error)))
    context.on("console", listen)
    yield context
    context.close()
    assert wrong == []


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[[Path], str]]:
    """A function that starts `datasette LEDGER` and returns its address."""
    started: list[ForkedProcess] = []

    def start(database: Path) -> str:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        arguments = ["serve", str(database), "--port", str(port)]
        started.append(
            ForkedProcess(
                arguments, cwd=database.parent, env=orc_environment(), program="datasette"
            )
        )
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: _answers(f"{url}/-/versions.json"))
        return url

    yield start
    for process in started:
        end_process(process)


def _answers(address: str) -> bool:
    try:
        urllib.request.urlopen(address, timeout=5).close()
    except (urllib.error.URLError, OSError):
        return False
    return True
