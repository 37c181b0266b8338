"""A headless Chromium and a real server for it; the tests are skipped without Chromium."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, sync_playwright

from tests.processes import orc_environment, wait_until

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
_QUIET = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
_WAIT_MS = 15_000


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser, for one module: while it is open, no other event loop can run in this thread."""
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
    started: list[subprocess.Popen[bytes]] = []

    def start(database: Path) -> str:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", "datasette", "serve", str(database), "--port", str(port)]
        started.append(
            subprocess.Popen(
                command,
                env=orc_environment(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: _answers(f"{url}/-/versions.json"))
        return url

    yield start
    for process in started:
        process.terminate()
        process.wait(timeout=30)


def _answers(address: str) -> bool:
    try:
        urllib.request.urlopen(address, timeout=5).close()
    except (urllib.error.URLError, OSError):
        return False
    return True
