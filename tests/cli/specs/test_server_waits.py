"""`wait_for_server`, as a user sees it: a server that starts late, kills while a job waits, an end."""

from __future__ import annotations

import signal
import socket
from itertools import count
from pathlib import Path

import pytest

from orc.ledger.stored import parse_time
from tests.cli.command_line import orc, submit, write
from tests.model_server import Asked, Fails, ModelServer, Says
from tests.processes import end_process, run_orc, start_orc, wait_until

SPEC = """\
project: patient
servers:
  lab: {{api: {api}, base_url: "{url}", key: null, wait_for_server: {wait}}}
steps:
  draft: {{provider: lab/any, prompt: hi, retry: 1}}
  after: {{value: "${{{{ steps.draft.output }}}}"}}
"""
LOADING = '{"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}}'


def spec_of(url: str, *, wait: str = "1m", api: str = "openai") -> str:
    base = f"{url}/v1" if api.startswith("openai") else url
    return SPEC.format(url=base, wait=wait, api=api)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def has_waited(folder: Path, *, after: str) -> bool:
    """Whether a job has begun to wait for a server after its last event of this type."""
    found = [path.read_text("utf-8") for path in folder.rglob("events.jsonl")]
    return any("circuit.opened" in "".join(text.split(f'"{after}"')[1:]) for text in found)


@pytest.mark.parametrize("api", ["openai", "openai-responses", "anthropic", "ollama"])
def test_a_server_that_loads_its_model_is_waited_for(api: str) -> None:
    calls = count()

    def answer(asked: Asked) -> Says | Fails:
        return Fails(503, LOADING) if next(calls) < 1 else Says("ready")

    with ModelServer(answer) as server:
        job_id = submit(spec_of(server.url, api=api))
    assert orc("show", job_id, "draft", "--output").out.strip() == "ready"
    why = orc("why", job_id, "draft").out
    assert "its server was not ready, and the step waited for it" in why
    shown = orc("show", job_id, "--json").json()
    assert [step["status"] for step in shown["steps"]] == ["succeeded", "succeeded"]


def test_why_counts_each_wait_for_a_server_from_the_attempt_before() -> None:
    calls = count()

    def answer(asked: Asked) -> Says | Fails:
        return Fails(503, LOADING) if next(calls) < 2 else Says("ready")

    with ModelServer(answer) as server:
        job_id = submit(spec_of(server.url))
    statements = orc("why", job_id, "draft", "--json").json()["statements"]
    waits = [said["facts"]["waited_s"] for said in statements if said["kind"] == "waited"]
    starts = [parse_time(said["at"]) for said in statements if said["kind"] == "started"]
    assert len(waits) == 2
    assert sum(waits) <= (starts[-1] - starts[0]).total_seconds()


def test_the_time_ends_the_wait_and_the_step_fails_with_what_the_server_said() -> None:
    with ModelServer(lambda asked: Fails(503, LOADING)) as server:
        path = write("spec.yaml", spec_of(server.url, wait="1.5s"))
        done = orc("run", path)
    assert "Loading model" in done.err
    assert done.code == 1
    assert "waiting for server lab/any, 0" in done.err


def test_a_job_that_waits_is_killed_and_interrupted_and_goes_on_when_it_is_resumed(
    tmp_path: Path,
) -> None:
    port = free_port()
    (tmp_path / "spec.yaml").write_text(spec_of(f"http://127.0.0.1:{port}", wait="10m"))
    first = start_orc("run", "spec.yaml", cwd=tmp_path)
    try:
        wait_until(lambda: has_waited(tmp_path, after="job.started"))
        first.kill()
        first.wait()
    finally:
        end_process(first)
    second = start_orc("resume", "latest", cwd=tmp_path)
    try:
        wait_until(lambda: has_waited(tmp_path, after="job.resumed"))
        second.send_signal(signal.SIGINT)
        second.communicate(timeout=30)
        assert second.returncode in (130, -signal.SIGINT)
    finally:
        end_process(second)
    with ModelServer(lambda asked: Says("there"), port=port):
        done = run_orc("resume", "latest", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    shown = run_orc("show", "latest", "after", "--output", cwd=tmp_path)
    assert shown.stdout.strip() == "there"
