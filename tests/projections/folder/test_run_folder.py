"""The run folder is a function of the events: published again, it has the same bytes."""

from __future__ import annotations

import json
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings

from orc.ledger import Ledger, Payload
from orc.ledger.definition import RetryDef
from orc.ledger.events import (
    JobFailed,
    StepSucceeded,
)
from orc.projections import Manifest, Publisher, event_line
from orc.projections.folder.run_folder import RunFolder
from orc.scheduler.core.commands import CancelJob, InterruptJob, ResumeJob, Settle, TimeOutJob
from tests.builders import JOB, OWNER, step, submitted
from tests.processes import run_orc
from tests.projections.support import Story, begun, ledger_of, states, stories

MANIFEST_KEYS = {
    "job_id",
    "project",
    "task_description",
    "provider",
    "model",
    "status",
    "started_at",
    "finished_at",
    "duration_s",
    "steps",
    "files",
    "failures",
    "completed_steps",
    "pending_steps",
    "usage",
    "cost_usd",
    "cost_known_usd",
    "calls_unpriced",
    "prices_sha256",
    "ledger_head",
}


def _tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _publish(ledger: Ledger, name: str) -> dict[str, bytes]:
    folder = ledger.path.parent / name
    Publisher(ledger, JOB, folder).publish()
    return _tree(folder)


def _manifest(story: Story) -> dict[str, Any]:
    with ledger_of(story) as ledger:
        manifest: dict[str, Any] = json.loads(_publish(ledger, "out")["manifest.json"])
        return manifest


def _full_story() -> Story:
    story = begun(
        step("a", prompt="?", retry=RetryDef(max_attempts=2)),
        step("b", needs="a"),
        step("c", needs="b"),
        task_description="Do it",
    )
    story.start("a").call("a", number=1, ends="replied", text="long " * 300).fail("a")
    story.start("a").call("a", number=1, ends="replied")
    story.succeed("a", "done", files={"demo/deep/a.md": b"text\n"}, log=Payload(value="said\n"))
    return story.start("b").fail("b", message="no way").tell(Settle())


def test_the_folder_published_again_has_the_same_bytes() -> None:
    with ledger_of(_full_story()) as ledger:
        first = _publish(ledger, "runs")
        shutil.rmtree(ledger.path.parent / "runs")
        assert _publish(ledger, "runs") == first
    assert set(first) >= {
        "manifest.json",
        "events.jsonl",
        "inputs/spec.yaml",
        "inputs/inputs.json",
        "outputs/demo/deep/a.md",
        "logs/a.2.log",
    }
    assert sum(name.startswith(".cache/") for name in first) == 2


def test_export_gives_the_bytes_that_the_run_published(tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        "project: demo\nsteps:\n"
        "  a: {run: 'echo hi; echo x > $ORC_ARTIFACTS/x; echo y > y.txt', files: ['y.txt']}\n"
        "  b: {needs: a, run: 'echo bad; exit 3'}\n"
        "  c:\n    retry: {max_attempts: 2, initial: 0.1s}\n    run: |\n"
        "      if [ $ORC_ATTEMPT = 2 ]; then touch $ORC_ARTIFACTS/new; exit; fi\n"
        "      touch scratch $ORC_ARTIFACTS/old; exit 1\n"
    )
    assert run_orc("run", "spec.yaml", "--quiet", cwd=tmp_path).returncode == 1
    (published,) = (tmp_path / "runs").iterdir()
    before = _tree(published)
    assert {"outputs/demo/y.txt", "artifacts/a/x", "logs/a.1.log", "logs/b.1.log"} <= set(before)
    assert [name for name in before if name.startswith("artifacts/c/")] == ["artifacts/c/new"]
    shutil.rmtree(tmp_path / "runs")
    assert run_orc("export", "latest", cwd=tmp_path).returncode == 0
    assert run_orc("export", "latest", "--to", "copy", cwd=tmp_path).returncode == 0
    assert _tree(published) == before
    assert _tree(tmp_path / "copy") == before


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(stories())
def test_a_folder_published_during_the_job_equals_one_published_at_the_end(story: Story) -> None:
    half = len(story.stream) // 2
    with ledger_of(story, batches=[story.stream[:half]]) as ledger:
        grown = ledger.path.parent / "grown"
        publisher = Publisher(ledger, JOB, grown)
        publisher.publish(final=False)
        ledger.append(story.stream[half:])
        publisher.publish()
        whole = _publish(ledger, "whole")
        assert _tree(grown) == whole
        lines = (grown / "events.jsonl").read_text().splitlines()
        manifest = json.loads((grown / "manifest.json").read_text())
        head = ledger.head(JOB)
    assert [json.loads(line)["seq"] for line in lines] == list(range(1, len(story.stream) + 1))
    assert manifest["ledger_head"] == {"version": head.version, "hash": head.hash}
    shown = {
        name: (found["status"], found["attempts"]) for name, found in manifest["steps"].items()
    }
    assert shown == states(story)
    assert manifest["status"] == {"stopped": "interrupted"}.get(
        story.state.status, story.state.status
    )


def test_the_manifest_has_every_key_and_no_other() -> None:
    manifest = _manifest(_full_story())
    assert set(manifest) == MANIFEST_KEYS
    assert manifest["status"] == "failed"
    assert manifest["task_description"] == "Do it"
    assert manifest["completed_steps"] == ["a"]
    assert manifest["pending_steps"] == []
    assert manifest["failures"] == [{"kind": "exit_code", "step": "b", "message": "no way"}]
    assert set(manifest["files"][0]) == {"path", "sha256", "size_bytes", "media_type", "step"}
    for found in manifest["steps"].values():
        assert set(found) == {"status", "attempts", "duration_s", "provider_calls", "usage"}
    started, finished = (
        datetime.fromisoformat(manifest[f"{end}_at"]) for end in ("started", "finished")
    )
    assert manifest["duration_s"] == (finished - started).total_seconds()


def test_the_manifest_adds_up_the_calls_of_all_attempts() -> None:
    manifest = _manifest(_full_story())
    assert manifest["steps"]["a"]["attempts"] == 2
    assert manifest["steps"]["a"]["provider_calls"] == 2
    assert manifest["usage"]["input_tokens"] == 6
    assert manifest["usage"]["output_tokens"] == len("long " * 300) + len("yes")
    assert manifest["cost_usd"] == 0.0


def test_one_call_of_unknown_price_makes_the_cost_unknown() -> None:
    story = begun(step("a", prompt="?")).start("a")
    story.call("a", number=1, ends="replied").call("a", number=2, ends="replied")
    assert _manifest(story)["cost_usd"] is None


def test_a_job_that_timed_out_lists_the_reason_among_its_failures() -> None:
    story = begun(step("a"), timeout_s=5.0).tell(TimeOutJob())
    assert isinstance(story.stream[-1].event, JobFailed)
    (failure,) = _manifest(story)["failures"]
    assert (failure["kind"], failure["step"]) == ("timeout", None)


def test_a_resumed_job_has_no_failures_left_over() -> None:
    story = _full_story().tell(ResumeJob(OWNER))
    manifest = _manifest(story)
    assert manifest["status"] == "running"
    assert manifest["failures"] == []
    assert manifest["finished_at"] is None
    assert manifest["pending_steps"] == ["b", "c"]


def test_the_manifest_of_an_interrupted_job_has_that_status() -> None:
    story = begun(step("a")).start("a").interrupt("a").tell(InterruptJob("SIGTERM"))
    manifest = _manifest(story)
    assert manifest["status"] == "interrupted"
    assert manifest["pending_steps"] == ["a"]


def test_artifacts_of_an_earlier_attempt_are_not_published() -> None:
    story = begun(step("a", retry=RetryDef(max_attempts=3)))
    old, new = story.file("old.txt", b"old"), story.file("new.txt", b"new")
    story.start("a").fail("a", artifacts=(old,))
    assert _artifacts(story) == ["artifacts/a/old.txt"]
    story.start("a").fail("a")
    assert _artifacts(story) == []
    story.start("a").succeed("a", artifacts=(new,)).tell(Settle())
    assert _artifacts(story) == ["artifacts/a/new.txt"]


def _artifacts(story: Story) -> list[str]:
    with ledger_of(story) as ledger:
        return [name for name in _publish(ledger, "out") if name.startswith("artifacts/")]


def test_empty_folders_are_those_of_the_last_success() -> None:
    story = begun(step("a"))
    output = Payload(value=1)
    with ledger_of(story) as ledger:
        folder = RunFolder(ledger)
        folder.read(JOB)
        for attempt, folders in enumerate((("b",), None), start=1):
            event = StepSucceeded(
                step="a", attempt=attempt, output=output, duration_s=0.5, folders=folders
            )
            last = story.stream[-1]._replace(version=folder.version + 1, event=event)
            folder.apply_stored([(last, "{}")])
            assert folder.folders() == [f"outputs/{name}" for name in folders or ()]


def test_a_cancelled_job_has_no_pending_steps() -> None:
    story = begun(step("a"), step("b", needs="a")).start("a").succeed("a").tell(CancelJob())
    manifest = _manifest(story)
    assert manifest["status"] == "cancelled"
    assert manifest["steps"]["b"]["status"] == "cancelled"
    assert manifest["pending_steps"] == []


def test_event_lines_are_ascii_and_begin_with_type_job_time_and_version() -> None:
    story = begun(step("a")).start("a").succeed("a", "\x1b[31m\x7f\u2028é")
    for recorded in story.stream:
        line = event_line(recorded)
        assert line.isascii()
        assert line.isprintable()
        keys = list(json.loads(line))
        assert keys[:4] == ["type", "job_id", "timestamp", "seq"]
    assert json.loads(event_line(story.stream[-1]))["output"] == {"value": "\x1b[31m\x7f\u2028é"}
    assert "step" not in json.loads(event_line(story.stream[0]))


def test_a_manifest_reads_a_spec_that_is_in_a_blob() -> None:
    story = begun(step("a"))
    asked = []

    def read(payload: Payload) -> Any:
        asked.append(payload)
        return submitted(story.definition).spec.value

    manifest = Manifest(read)
    manifest.apply(story.stream[0])
    assert manifest.value()["provider"] == "fake"
    assert len(asked) == 1
