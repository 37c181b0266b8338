"""Running a spec and resuming its job from a Python program."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
import trio

import orc
from orc.ledger.errors import NoLedger, NoSuchJob
from orc.scheduler.core.errors import SpecError
from tests.cli.command_line import EXAMPLES, TINY_SPEC, write

SPEC = """\
project: api
inputs: {name: {default: nobody}}
steps:
  greet:
    run: |
      echo "hello ${{ inputs.name }}" > greeting.txt
      echo draft > "$ORC_ARTIFACTS/draft.txt"
      cat greeting.txt
    files: [greeting.txt]
  shout: {value: {text: "${{ steps.greet.output }}!", count: 1}}
"""


def test_run_of_a_path_gives_outputs_files_and_artifacts(here: Path) -> None:
    job = orc.run(write("spec.yaml", SPEC), inputs={"name": "you"})

    assert job.status == "succeeded"
    assert job.outputs == {"greet": "hello you", "shout": {"text": "hello you!", "count": 1}}
    assert job.folder == here / "runs" / job.job_id
    assert list(job.files) == ["api/greeting.txt"]
    assert job.files["api/greeting.txt"].read_text() == "hello you\n"
    assert {name: path.read_text() for name, path in job.artifacts.items()} == {
        "greet/draft.txt": "draft\n"
    }
    assert job.failures == ()


def test_a_file_that_no_step_left_is_not_an_artifact() -> None:
    job = orc.run(write("spec.yaml", SPEC))
    (job.folder / "artifacts" / "greet" / "foreign.txt").write_text("mine")
    (job.folder / "artifacts" / "foreign.txt").write_text("mine")

    assert orc.job().artifacts == job.artifacts
    assert list(job.artifacts) == ["greet/draft.txt"]


def test_run_takes_a_path_as_text_and_recorded_replies() -> None:
    job = orc.run(str(TINY_SPEC), provider="replay")

    assert job.outputs["qa"]["score"] == 86
    assert set(job.files) == {"tiny_notes_api/main.py", "tiny_notes_api/README.md"}


def test_run_of_a_spec_made_in_python_does_what_its_yaml_does() -> None:
    made = orc.JobSpec.model_validate(
        {
            "project": "api",
            "concurrency": 2,
            "steps": {
                "first": {"value": ["a", 1, None, True]},
                "second": {"run": ["printf", "%s", "${{ steps.first.output }}"], "retry": 2},
            },
        }
    )
    job = orc.run(made)

    assert job.outputs["first"] == ["a", 1, None, True]
    assert json.loads(job.outputs["second"]) == ["a", 1, None, True]


def test_a_loaded_spec_can_be_looked_at_and_run() -> None:
    loaded = orc.load_spec(write("spec.yaml", SPEC))

    assert isinstance(loaded, orc.JobSpec)
    assert loaded.steps is not None
    assert list(loaded.steps) == ["greet", "shout"]
    assert orc.run(loaded).outputs["greet"] == "hello nobody"


@pytest.mark.parametrize("name", ["tiny_spec", "diamond", "python_map", "retry"])
def test_every_example_can_be_loaded(name: str) -> None:
    assert orc.load_spec(EXAMPLES / f"{name}.yaml").project


def test_a_bad_spec_raises_every_problem_with_its_place() -> None:
    bad = write("bad.yaml", "project: x\nsteps:\n  a: {run: {}}\n  b: {nedes: a}\n")

    for call in (orc.load_spec, orc.run):
        with pytest.raises(SpecError) as raised:
            call(bad)
        assert {(problem.line, problem.column) for problem in raised.value.problems} >= {
            (3, 12),
            (4, 7),
        }
    assert not Path("runs.db").exists()


def test_a_failed_job_is_returned_and_can_be_resumed() -> None:
    spec = (
        "project: x\nsteps:\n  a: {value: 1}\n  b: {needs: a, run: 'test -e $ORC_SPEC_DIR/open'}\n"
    )
    failed = orc.run(write("spec.yaml", spec), db="mine.db")
    write("open", "")
    resumed = orc.resume(failed.job_id, db="mine.db")

    assert failed.status == "failed"
    assert [(f.step, f.kind) for f in failed.failures] == [("b", "exit_code")]
    assert failed.outputs == {"a": 1}
    assert (resumed.job_id, resumed.status) == (failed.job_id, "succeeded")
    assert orc.resume(db="mine.db").status == "succeeded"


def test_a_missing_job_and_a_missing_ledger_have_an_error_each() -> None:
    with pytest.raises(NoLedger):
        orc.resume("latest")
    with pytest.raises(NoLedger):
        orc.open_ledger()
    orc.run(write("spec.yaml", "project: x\nsteps: {a: {value: 1}}\n"))
    with pytest.raises(NoSuchJob):
        orc.resume("job_nobody")


def test_an_open_ledger_reads_streams_and_blobs(here: Path) -> None:
    job = orc.run(write("spec.yaml", SPEC), db=here / "mine.db", runs_dir=here / "folders")

    with orc.open_ledger(here / "mine.db") as ledger:
        events = list(ledger.read_stream(ledger.find_job("latest")))
        written = [e.event for e in events if e.event.type == "file.written"]
        contents = [ledger.read_blob(getattr(event, "sha256")) for event in written]  # noqa: B009
    assert [event.version for event in events] == list(range(1, len(events) + 1))
    assert contents == [b"hello nobody\n"]
    assert job.folder == here / "folders" / job.job_id


async def test_the_asynchronous_versions_run_beside_other_tasks() -> None:
    spec = write("spec.yaml", "project: x\nsteps: {a: {run: 'test -e $ORC_SPEC_DIR/open'}}\n")
    jobs: list[orc.Job] = []
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:

            async def run_one() -> None:
                jobs.append(await orc.run_async(spec))

            nursery.start_soon(run_one)
            nursery.start_soon(run_one)
        write("open", "")
        resumed = await orc.resume_async(jobs[0].job_id)

    assert [job.status for job in jobs] == ["failed", "failed"]
    assert len({job.job_id for job in jobs}) == 2
    assert resumed.status == "succeeded"


def test_a_job_runs_in_a_thread_that_gets_no_signals() -> None:
    jobs: list[orc.Job] = []
    spec = write("spec.yaml", SPEC)
    thread = threading.Thread(target=lambda: jobs.append(orc.run(spec)))
    thread.start()
    thread.join(30)

    assert [job.status for job in jobs] == ["succeeded"]
