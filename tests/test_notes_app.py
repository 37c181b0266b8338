"""The app that the example job generates is real: it starts, validates, stores, and survives.

The source is what a run of the example left in its `output_dir`; `serve` does not care.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

import orc
from tests.cli.command_line import TINY_SPEC, work_in

# A server lives at most LIFE_S, and then two waits of STOP_S: two servers fit into a minute.
LIFE_S = 25.0
STOP_S = 2.0
POLL_S = 0.02


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> orc.Job:
    """A run of the example on its recorded replies."""
    work_in(tmp_path, monkeypatch)
    return orc.run(TINY_SPEC, provider="replay")


def test_the_generated_app_stores_notes_and_keeps_them_over_a_restart(
    job: orc.Job, tmp_path: Path
) -> None:
    app = tmp_path / "src" / "generated"
    assert (app / "main.py").read_bytes() == job.files["tiny_notes_api/main.py"].read_bytes()

    with serve(app) as client:
        assert client.get("/notes").json() == []
        first = client.post("/notes", json={"title": " Shopping ", "content": "Milk"})
        second = client.post("/notes", json={"title": "x" * 200, "content": ""})
        assert (first.status_code, second.status_code) == (201, 201)
        assert set(first.json()) == {"id", "title", "content", "created_at"}
        assert (first.json()["title"], first.json()["content"]) == ("Shopping", "Milk")

        newest_first = [second.json(), first.json()]
        assert client.get("/notes").json() == newest_first

        refused: list[dict[str, str]] = [
            {"title": "", "content": "no title"},
            {"title": "   ", "content": "no title"},
            {"title": "x" * 201, "content": "title too long"},
            {"content": "title missing"},
            {"title": "content missing"},
        ]
        for body in refused:
            assert client.post("/notes", json=body).status_code == 422, body
        assert client.get("/notes").json() == newest_first

    with serve(app) as client:
        assert client.get("/notes").json() == newest_first


def test_the_review_is_a_json_object_with_a_score(job: orc.Job) -> None:
    review = job.outputs["qa"]

    assert set(review) == {"score", "issues", "summary"}
    assert isinstance(review["score"], int)
    assert 0 <= review["score"] <= 100
    assert all(set(issue) == {"severity", "file", "message"} for issue in review["issues"])


@contextmanager
def serve(folder: Path) -> Iterator[httpx.Client]:
    """Run `main:app` of a folder on a free loopback port; give a client; end the process.

    Warnings are errors in the server too. The watchdog ends a server that hangs, which ends
    every request to it with an error.
    """
    log = folder / "server.log"
    command = [sys.executable, "-W", "error", "-m", "uvicorn", "main:app"]
    options = ["--host", "127.0.0.1", "--port", "0", "--no-use-colors", "--log-level", "info"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, *options],
            cwd=folder,
            env=_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    watchdog = threading.Timer(LIFE_S, process.kill)
    watchdog.daemon = True
    watchdog.start()
    try:
        url = _wait_for_url(process, log)
        with httpx.Client(base_url=url, timeout=LIFE_S, trust_env=False) as client:
            yield client
    finally:
        watchdog.cancel()
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_S)


def _environment(folder: Path) -> dict[str, str]:
    """The caller's environment less what would steer uvicorn, and the app's own setting."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("UVICORN_", "WEB_CONCURRENCY"))
    }
    return {**kept, "NOTES_DB": str(folder / "notes.db"), "PYTHONDONTWRITEBYTECODE": "1"}


def _wait_for_url(process: subprocess.Popen[bytes], log: Path) -> str:
    """Wait until the server says where it listens; the watchdog bounds the wait."""
    deadline = time.monotonic() + LIFE_S
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(r"running on (http://127\.0\.0\.1:\d+) ", log.read_text("utf-8"))
        if found is not None:
            return found[1]
        time.sleep(POLL_S)
    raise AssertionError(f"the server did not start:\n{log.read_text('utf-8')}")
