"""Jobs that are stopped by a signal while they wait for nothing but a server's batches."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.batch_server import BatchServer
from tests.batches.jobs import echo, events, fan_out, lead_to, output_of, query, write_spec
from tests.cli.command_line import orc
from tests.processes import end_process, has_event, start_orc, wait_until


@pytest.mark.parametrize(
    ("command", "stop", "code"),
    [
        (("run", "spec.yaml"), signal.SIGTERM, 3),
        (("run", "spec.yaml"), signal.SIGINT, 3),
        (("resume", "latest"), signal.SIGTERM, 3),
        (("work",), signal.SIGTERM, 0),
    ],
)
def test_a_stop_leaves_the_batch_at_the_server_and_a_resume_takes_its_answers(
    folder: Path,
    command: tuple[str, ...],
    stop: signal.Signals,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    is_worker = command == ("work",)
    write_spec(fan_out("openai"))
    with BatchServer(echo, looks=None) as server:
        lead_to(server, monkeypatch)
        if command[0] == "resume":
            assert orc("run", "spec.yaml", "-q", "--no-wait").code == 3
        elif is_worker:
            assert orc("submit", "spec.yaml", "-q").code == 0
        looked = len(server.seen)
        process = start_orc(*command, cwd=folder, **server.environment())
        try:
            # It waits for nothing else when it looks at the batch again.
            wait_until(
                lambda: (
                    (folder / "runs.db").exists()
                    and has_event(folder / "runs.db", "batch.accepted")
                    and sum(method == "GET" for method, *_ in server.seen[looked:]) >= 1
                ),
                within_s=60.0,
            )
            process.send_signal(stop)
            assert process.wait(30) == code
        finally:
            end_process(process)
        (batch,) = server.batches.values()
        assert not batch.is_cancelled
        assert query("SELECT status FROM batches") == [("accepted",)]
        assert events("step.failed") == events("llm.failed") == []
        job = json.loads(orc("show", "latest", "--json").out)
        # The job is left as by --no-wait; a worker gives it back to the queue.
        assert job["status"] == ("queued" if is_worker else "waiting")
        server.finish()
        given = ("work", "--stop-when-empty") if is_worker else ("resume", "latest")
        assert orc(*given).code == 0
    assert len(server.batches) == 1
    assert len(events("llm.requested")) == 3
    assert output_of("all") == "A B C"
    assert query("SELECT calls_in_doubt FROM jobs") == [(0,)]
    assert orc("verify").code == 0
