"""Jobs that are cancelled while servers work on their batches."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.batch_server import Batch, BatchServer
from tests.batches.jobs import both_apis, echo, events, fan_out, lead_to, query, write_spec
from tests.cli.command_line import orc
from tests.processes import end_process, has_event, start_orc, wait_until


def only_batch(server: BatchServer) -> Batch:
    """The batch of the job, of which the server will have answered one request when it is cancelled."""
    (batch,) = server.batches.values()
    batch.answered = 1
    return batch


def check_cancelled(batch: Batch) -> None:
    """The batch was ended at the server, and the reply that there was is kept."""
    assert batch.is_cancelled
    assert query("SELECT status FROM jobs") == [("cancelled",)]
    assert [event["outcome"] for event in events("batch.ended")] == ["cancelled"]
    assert [event["step"] for event in events("llm.responded")] == ["each[0]"]
    assert {event["unsent"] for event in events("llm.failed")} == {True}
    assert query("SELECT calls_in_doubt FROM jobs") == [(0,)]


@both_apis
def test_a_cancel_ends_the_batch_of_a_job_that_was_left(
    api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_spec(fan_out(api))
    with BatchServer(echo, looks=None) as server:
        lead_to(server, monkeypatch)
        assert orc("run", "spec.yaml", "-q", "--no-wait").code == 3
        batch = only_batch(server)
        found = orc("cancel", "latest")
        assert found.code == 0, found.err
    check_cancelled(batch)
    assert orc("verify").code == 0


def test_a_cancel_ends_the_batch_of_a_job_that_a_process_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_spec(fan_out("openai"))
    with BatchServer(echo, looks=None) as server:
        lead_to(server, monkeypatch)
        process = start_orc("run", "spec.yaml", "-q", cwd=folder, **server.environment())
        try:
            wait_until(
                lambda: (
                    (folder / "runs.db").exists()
                    and has_event(folder / "runs.db", "batch.accepted")
                ),
                within_s=60.0,
            )
            batch = only_batch(server)
            assert orc("cancel", "latest").code == 0
            assert process.wait(60) == 8
        finally:
            end_process(process)
    check_cancelled(batch)


def test_a_job_without_a_key_is_cancelled_by_force_only(monkeypatch: pytest.MonkeyPatch) -> None:
    write_spec(fan_out("openai"))
    with BatchServer(echo, looks=None) as server:
        lead_to(server, monkeypatch)
        assert orc("run", "spec.yaml", "-q", "--no-wait").code == 3
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("OPENAI_BASE_URL")
    refused = orc("cancel", "latest")
    assert refused.code == 7
    assert "OPENAI_API_KEY is not set" in refused.err
    assert orc("cancel", "latest", "--force").code == 0
    assert query("SELECT status, calls_in_doubt FROM jobs") == [("cancelled", 3)]
