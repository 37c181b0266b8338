"""`orc browse`: its address, the hosts that it accepts, and human review in a real browser."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from tests.processes import end_process, run_orc, start_orc

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
    page.get_by_role("link", name="Decide").click()
    expect(page.locator(".question")).to_contain_text("May <b>I</b>?")
    page.get_by_label("Comment").fill("fine <i>by me</i>")
    page.get_by_role("button", name="approve").click()
    expect(page.locator("[role=status].callout")).to_contain_text("gate was decided: approve, by")
    expect(page.locator("main")).to_contain_text("orc resume")

    assert run_orc("resume", "latest", cwd=folder).returncode == 0
    events = run_orc("tail", "latest", "--type", "approval.decided", "--json", cwd=folder).stdout
    (decided,) = map(json.loads, events.splitlines())
    assert (decided["option"], decided["comment"]) == ("approve", "fine <i>by me</i>")


def test_only_host_names_of_this_machine_are_accepted(browse: tuple[str, object]) -> None:
    place = urlsplit(browse[0])
    for host, status in (
        ("127.0.0.1", 200),
        (f"localhost:{place.port}", 200),
        ("evil.example", 421),
        (f"evil.example:{place.port}", 421),
    ):
        connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=20)
        connection.request("GET", "/", headers={"Host": host})
        answer = connection.getresponse()
        assert answer.status == status, host
        connection.close()
    assert place.hostname == "127.0.0.1"


def test_a_form_of_another_site_decides_nothing(browse: tuple[str, object]) -> None:
    place = urlsplit(browse[0])
    job = place.path.rpartition("/")[2]
    connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=20)
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Origin": "http://evil.example",
        "Host": f"127.0.0.1:{place.port}",
    }
    # Without a cookie: a browser sends none with a form of another site.
    path = place.path.replace(job, f"decide/{job}")
    connection.request("POST", path, body="step=gate&option=reject", headers=headers)
    assert connection.getresponse().status == 403
    connection.close()


def test_a_port_in_use_is_an_error_with_advice(browse: tuple[str, object], folder: Path) -> None:
    port = str(urlsplit(browse[0]).port)
    said = run_orc("browse", "--no-open", "--port", port, cwd=folder)
    assert said.returncode == 2
    assert f"port {port}" in said.stderr
    assert "leave out --port" in said.stderr


def test_ctrl_c_ends_it_quietly(folder: Path) -> None:
    process = start_orc("browse", "--no-open", "--port", "0", "--json", cwd=folder)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["url"].endswith("/")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode in (-signal.SIGINT, 130)
    assert "Traceback" not in said
