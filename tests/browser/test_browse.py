"""`orc browse` with a real browser: one-time links, sessions, and human review."""

from __future__ import annotations

import http.server
import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from tests.processes import end_process, run_orc, start_orc, wait_until

SPEC = """\
project: asks
steps:
  gate: {approval: {message: "May <b>I</b>?", options: [approve, reject]}}
  after: {value: "${{ steps.gate.output.decision }}"}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a job that waits for human review."""
    folder = tmp_path_factory.mktemp("browse")
    (folder / "spec.yaml").write_text(SPEC)
    assert run_orc("run", "spec.yaml", cwd=folder).returncode == 3
    return folder


@pytest.fixture(scope="module")
def browse(folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`orc browse latest --allow-decisions`: its address and its process."""
    options = ("--no-open", "--allow-decisions", "--port", "0", "--json")
    process = start_orc("browse", "latest", *options, cwd=folder)
    assert process.stdout is not None
    started = json.loads(process.stdout.readline())
    assert started["pid"] == process.pid
    yield started["url"], process
    end_process(process)


def test_a_person_decides_on_the_page(
    chromium: Browser, context: BrowserContext, browse: tuple[str, object], folder: Path
) -> None:
    page = context.new_page()
    page.goto(browse[0])
    page.wait_for_url(lambda address: "orc_token" not in address)
    (cookie,) = context.cookies()
    assert cookie["name"] == f"orc_session_{urlsplit(browse[0]).port}"
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert page.evaluate("document.cookie") == ""
    page.get_by_role("link", name="Decide").click()
    expect(page.locator(".question")).to_contain_text("May <b>I</b>?")
    page.get_by_label("Comment").fill("fine <i>by me</i>")
    page.get_by_role("button", name="approve").click()
    expect(page.locator("[role=status].callout")).to_contain_text("gate was decided: approve, by")
    expect(page.locator("main")).to_contain_text("orc resume")
    page.reload()
    expect(page.locator("main")).to_contain_text("gate was decided")

    # A second tab has the session, and the used link leads it to its page.
    second = context.new_page()
    second.goto(browse[0])
    expect(second.locator("h1")).to_contain_text("asks")
    assert "orc_token" not in second.url
    # A private window does not.
    private = chromium.new_context()
    stranger = private.new_page()
    answer = stranger.goto(browse[0])
    assert answer is not None
    assert answer.status == 403
    expect(stranger.locator("main")).to_contain_text("A link works once")
    expect(stranger.locator("main")).to_contain_text("press Enter in the terminal")
    private.close()

    assert run_orc("resume", "latest", cwd=folder).returncode == 0
    events = run_orc("tail", "latest", "--type", "approval.decided", "--json", cwd=folder).stdout
    (decided,) = map(json.loads, events.splitlines())
    assert (decided["option"], decided["comment"]) == ("approve", "fine <i>by me</i>")


def test_the_file_that_opens_a_browser_leads_to_the_pages(
    context: BrowserContext, folder: Path, tmp_path: Path
) -> None:
    process = start_orc(
        "browse", "--port", "0", "--json", cwd=folder, BROWSER="true", TMPDIR=str(tmp_path)
    )
    try:
        assert process.stdout is not None
        json.loads(process.stdout.readline())
        wait_until(lambda: [*tmp_path.glob(".orc-browse.*/files/open.html")])
        (file,) = tmp_path.glob(".orc-browse.*/files/open.html")
        wait_until(lambda: file.read_text("utf-8").endswith("</p>\n"))
        page = context.new_page()
        page.goto(file.as_uri())
        expect(page.locator("h1")).to_contain_text("Jobs")
        assert "orc_token" not in page.url
        process.terminate()
        process.wait(30)
        assert list(tmp_path.glob(".orc-browse.*")) == []
    finally:
        end_process(process)


class _OtherSite(http.server.BaseHTTPRequestHandler):
    """A page on another port, which keeps the cookies that the browser sends to it."""

    cookies: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.cookies.append(self.headers.get("Cookie", ""))
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<h1>other</h1>")

    def log_message(self, *_: object) -> None:
        pass


def test_a_page_of_another_port_reads_nothing_although_it_has_the_cookie(
    chromium: Browser, folder: Path
) -> None:
    """The ports of a host are one site for a browser, and share their cookies."""
    process = start_orc("browse", "--no-open", "--port", "0", "--json", cwd=folder)
    other = http.server.HTTPServer(("127.0.0.1", 0), _OtherSite)
    threading.Thread(target=other.serve_forever, daemon=True).start()
    context = chromium.new_context()
    try:
        assert process.stdout is not None
        link = json.loads(process.stdout.readline())["url"]
        base = link.partition("/#")[0]
        page = context.new_page()
        page.goto(link)
        page.wait_for_url(f"{base}/")
        seen: list[int] = []
        blocked: list[str] = []
        page.on("response", lambda said: seen.append(said.status) if base in said.url else None)
        page.on("requestfailed", lambda asked: blocked.append(asked.url))
        page.goto(f"http://127.0.0.1:{other.server_port}/")
        assert any("orc_session_" in cookie for cookie in _OtherSite.cookies)
        for kind in ("img", "script", "iframe"):
            page.evaluate(
                "([kind, url]) => new Promise(done => { const one = document.createElement(kind);"
                "one.onload = one.onerror = done; one.src = url; document.body.append(one) })",
                [kind, f"{base}/runs.json?{kind}"],
            )
        page.evaluate(
            "url => fetch(url, {mode: 'no-cors', credentials: 'include'}).catch(() => 0)",
            f"{base}/runs.json?fetch",
        )
        assert set(seen) == {403}
        # The headers of the refusal keep the page even from knowing its status.
        assert len([url for url in blocked if base in url]) >= 3
    finally:
        context.close()
        other.shutdown()
        other.server_close()
        end_process(process)


def test_a_port_in_use_is_an_error_with_advice(browse: tuple[str, object], folder: Path) -> None:
    port = str(urlsplit(browse[0]).port)
    said = run_orc("browse", "--no-open", "--port", port, cwd=folder)
    assert said.returncode == 2
    assert f"port {port}" in said.stderr
    assert "leave out --port" in said.stderr


def test_ctrl_c_ends_it_quietly(folder: Path) -> None:
    process = start_orc("browse", "--no-open", "--port", "0", "--json", cwd=folder)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["url"].partition("#")[0].endswith("/")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode in (-signal.SIGINT, 130)
    assert "Traceback" not in said
