"""The shipped examples run offline and give what their comments say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from tests.cli.command_line import EXAMPLES, TINY_SPEC, orc, work_in, write
from tests.processes import end_process, start_orc, wait_until

FOLDER = {
    "manifest.json", "events.jsonl", "inputs", "outputs", "logs", "artifacts", ".cache",
}  # fmt: skip
# What two runs of the same replies may differ in, by the names that files and events use.
VOLATILE = {
    "job_id", "timestamp", "started_at", "finished_at", "duration_s", "seq", "hash", "ledger_head",
    "owner",
}  # fmt: skip


class Run(Struct, frozen=True):
    """A run of the tiny spec: its folder, and the events in it."""

    folder: Path

    @property
    def events(self) -> list[dict[str, Any]]:
        """The lines of events.jsonl."""
        lines = (self.folder / "events.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    @property
    def manifest(self) -> dict[str, Any]:
        """What manifest.json says."""
        found: dict[str, Any] = json.loads((self.folder / "manifest.json").read_text())
        return found

    def one(self, type_name: str, step: str) -> dict[str, Any]:
        """The only event of that type and step."""
        (found,) = [e for e in self.events if (e["type"], e.get("step")) == (type_name, step)]
        return found

    def seconds(self, type_name: str, step: str) -> float:
        """When that event happened."""
        return datetime.fromisoformat(self.one(type_name, step)["timestamp"]).timestamp()

    def files(self, below: str = "") -> dict[str, bytes]:
        """The bytes of each file in the folder, by path."""
        root = self.folder / below
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in root.rglob("*")
            if path.is_file()
        }


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Run, Run]]:
    """Two runs from the same folder, so that recorded paths are equal, into two ledgers."""
    with pytest.MonkeyPatch.context() as patches:
        folder = work_in(tmp_path_factory.mktemp("tiny"), patches)
        yield run_tiny(folder, "--db", "one.db"), run_tiny(folder, "--db", "two.db")


@pytest.fixture
def tiny(runs: tuple[Run, Run]) -> Run:
    """One run of the tiny spec."""
    return runs[0]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, empty."""
    return work_in(tmp_path, monkeypatch)


def test_the_tiny_spec_is_the_six_fields_that_it_promises() -> None:
    assert TINY_SPEC.read_text().splitlines() == [
        "project: tiny_notes_api",
        "task_description: Create a FastAPI notes app with 2 endpoints "
        "(POST /notes, GET /notes) using SQLite database",
        "provider: ollama",
        "concurrency: 4",
        "timeout_s: 900",
        "output_dir: src/generated",
    ]


def test_each_step_begins_when_what_it_needs_has_ended(tiny: Run) -> None:
    def place(type_name: str, step: str) -> int:
        return int(tiny.one(type_name, step)["seq"])

    for step in ("builder", "docs"):
        assert place("step.succeeded", "architect") < place("step.started", step)
        assert place("step.succeeded", step) < place("step.started", "qa")
    assert tiny.one("step.started", "qa")["needs"] == ["builder", "docs"]
    assert tiny.events[-1]["type"] == "job.succeeded"


def test_builder_and_docs_are_asked_at_the_same_time(tiny: Run) -> None:
    began = {step: tiny.seconds("llm.requested", step) for step in ("builder", "docs")}
    ended = {step: tiny.seconds("llm.responded", step) for step in ("builder", "docs")}

    assert max(began.values()) < min(ended.values())
    longer = max(ended[step] - began[step] for step in began)
    assert max(ended.values()) - min(began.values()) < 1.6 * longer


def test_qa_reviews_the_very_bytes_that_the_builder_wrote(tiny: Run) -> None:
    written = (tiny.folder / "outputs" / "tiny_notes_api" / "main.py").read_bytes()
    digest = tiny.one("llm.requested", "qa")["request_sha256"]
    recorded = json.loads((tiny.folder / ".cache" / f"{digest}.json").read_text())
    asked = recorded["request"]["messages"][0]["content"]

    assert len(written) > 1500
    assert written in asked.encode()


def test_a_changed_program_is_refused_by_the_recorded_review(here: Path) -> None:
    replies = TINY_SPEC.with_suffix(".replay.yaml").read_text()
    assert replies.count('title="Tiny Notes API"') == 1
    write("other.yaml", replies.replace('title="Tiny Notes API"', 'title="Other Notes API"'))
    said = orc("run", TINY_SPEC, "-p", "replay", "--replies", "other.yaml", "--json")
    job = Run(here / "runs" / said.lines()[0]["job_id"])

    failed = job.one("step.failed", "qa")
    assert said.code == 1
    assert failed["kind"] == "bad_request"
    assert job.one("llm.requested", "qa")["prompt_sha256"][:12] in failed["message"]
    assert recorded_digest()[:12] in failed["message"]
    assert job.manifest["completed_steps"] == ["architect", "builder", "docs"]


def test_the_recorded_review_names_the_prompt_that_it_answers(tiny: Run) -> None:
    assert tiny.one("llm.requested", "qa")["prompt_sha256"] == recorded_digest()


def test_two_runs_give_the_same_files_byte_for_byte(runs: tuple[Run, Run]) -> None:
    one, two = runs

    for below in ("inputs", "outputs", "logs", "artifacts", ".cache"):
        assert one.files(below) == two.files(below)
    assert sorted(one.files("outputs")) == [
        "outputs/tiny_notes_api/README.md",
        "outputs/tiny_notes_api/main.py",
    ]


def test_two_runs_give_the_same_manifest_but_for_what_is_volatile(runs: tuple[Run, Run]) -> None:
    one, two = runs

    assert one.manifest != two.manifest
    assert without_volatile(one.manifest) == without_volatile(two.manifest)


def test_two_runs_give_the_same_events_step_by_step_but_for_what_is_volatile(
    runs: tuple[Run, Run],
) -> None:
    one, two = (by_step(run.events) for run in runs)

    assert list(one) == ["", "architect", "builder", "docs", "qa"]
    for step in one:
        assert without_volatile(one[step]) == without_volatile(two[step])
        for event, twin in zip(one[step], two[step], strict=True):
            assert {key for key in event if event[key] != twin[key]} <= VOLATILE


def test_the_output_dir_gets_the_files_of_the_run_folder(tiny: Run) -> None:
    copied = tiny.folder.parents[1] / "src" / "generated"

    assert {path.name: path.read_bytes() for path in copied.iterdir()} == {
        path.rpartition("/")[2]: content for path, content in tiny.files("outputs").items()
    }


def test_the_run_folder_is_whole_from_the_launch_on_and_is_refreshed(here: Path) -> None:
    write(
        "slow.yaml",
        "project: slow\nsteps:\n  first: {value: 1}\n"
        '  wait: {needs: first, run: "exec sleep 60"}\n',
    )
    process = start_orc("run", "slow.yaml", "--json", cwd=here)
    try:
        assert process.stdout is not None
        launch = json.loads(process.stdout.readline())
        job = Run(Path(launch["folder"]))
        at_launch = {path.name for path in job.folder.iterdir()}
        assert launch["event"] == "launch"
        assert at_launch == FOLDER
        assert (job.folder / "inputs" / "spec.yaml").read_text().startswith("project: slow")
        wait_until(
            lambda: job.manifest["completed_steps"] == ["first"], what="a refreshed manifest"
        )
        assert job.manifest["status"] == "running"
        assert job.manifest["steps"]["wait"]["status"] == "running"
        wait_until(lambda: len(job.events) >= 5, what="refreshed events")
        assert process.poll() is None
    finally:
        end_process(process)


def test_the_diamond_sums_and_finds_primes_at_the_same_time_and_joins_them(here: Path) -> None:
    job = run_example("diamond", here)
    output = job.folder / "outputs" / "diamond"

    assert (output / "report.md").read_text() == (
        "# Numbers from 1 to 100\n\nSum: 5050\n"
        "Primes: 2 3 5 7 11 13 17 19 23 29 31 37 41 43 47 53 59 61 67 71 73 79 83 89 97\n"
    )
    assert job.one("step.succeeded", "primes")["output"] == {"value": "25"}
    started = [int(job.one("step.started", step)["seq"]) for step in ("total", "primes")]
    ended = [int(job.one("step.succeeded", step)["seq"]) for step in ("total", "primes")]
    assert max(started) < min(ended)


def test_the_map_counts_three_texts_at_the_same_time_and_merges_the_counts(here: Path) -> None:
    job = run_example("python_map", here)

    assert job.one("step.succeeded", "result")["output"] == {
        "value": {
            "words": 33,
            "most_frequent": ["the", "rain", "river"],
            "of_each_text": [14, 10, 9],
        }
    }
    counts = ("count_a", "count_b", "count_c")
    assert max(int(job.one("step.started", step)["seq"]) for step in counts) < min(
        int(job.one("step.succeeded", step)["seq"]) for step in counts
    )
    assert (job.folder / "logs" / "count_a.1.log").read_text() == "counted 14 words\n"


def test_the_retry_fails_twice_waits_longer_each_time_and_then_succeeds(here: Path) -> None:
    job = run_example("retry", here)
    failures = [event for event in job.events if event["type"] == "step.failed"]

    assert [event["kind"] for event in failures] == ["exit_code", "exit_code"]
    assert 0 < failures[0]["delay_s"] < failures[1]["delay_s"]
    assert job.manifest["steps"]["flaky"]["attempts"] == 3
    assert job.one("step.succeeded", "result")["output"] == {"value": {"message": "it worked"}}


def run_tiny(folder: Path, *options: str) -> Run:
    said = orc("run", TINY_SPEC, "--provider", "replay", "--json", *options)
    assert said.code == 0, said.err
    return Run(folder / "runs" / said.lines()[0]["job_id"])


def run_example(name: str, folder: Path) -> Run:
    said = orc("run", EXAMPLES / f"{name}.yaml", "--json")
    assert said.code == 0, said
    return Run(folder / "runs" / said.lines()[0]["job_id"])


def recorded_digest() -> str:
    """The digest that the recorded review is tied to."""
    import yaml

    replies = yaml.safe_load(TINY_SPEC.with_suffix(".replay.yaml").read_text())["replies"]
    (review,) = replies["qa"]
    return str(review["request"])


def by_step(events: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The events of each step, in order; those of the job under the empty name."""
    found: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        found.setdefault(event.get("step", ""), []).append(event)
    return dict(sorted(found.items()))


def without_volatile(value: Any) -> Any:
    """The value without volatile keys, however deep."""
    if isinstance(value, dict):
        return {key: without_volatile(item) for key, item in value.items() if key not in VOLATILE}
    if isinstance(value, list):
        return [without_volatile(item) for item in value]
    return value
