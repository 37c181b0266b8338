"""`orc chaos` with real processes: every verdict, the output, and cleaning up.

With `torture`, every commit of each example, and steps on executors.
"""

from __future__ import annotations

import json
import signal
from functools import partial
from pathlib import Path

import pytest
import trio

from orc.cli.chaos import trial as chaos
from orc.ledger.failpoints import VARIABLE
from orc.projections.money.prices import NO_PRICES
from tests.builders import job
from tests.cli.command_line import EXAMPLES, orc, write
from tests.executors.clusters import loopback_cluster, needs_dask
from tests.forkserver import run_forked
from tests.processes import (
    WAIT_S,
    end_process,
    needs_proc,
    new_marker,
    processes_with,
    read_events,
    start_orc,
    wait_until,
)

ASKING = """\
project: asking
output_dir: made
steps:
  name:
    prompt: Name a river.
    files: [{path: river.txt}]
  shout: {run: "echo ${{ steps.name.output }} | tr a-z A-Z"}
"""
REPLIES = "version: 1\nreplies: {name: [Rhine]}\n"
# The commits of ASKING: the tables, the submission, the start, the request, the reply, ...
REQUESTED, RESPONDED = 4, 5


@pytest.fixture
def temporary(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for temporary folders; whatever is in it after a test was left behind."""
    folder = here / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processes of the trial are forked; the other tests have new interpreters, as people do."""

    async def run(trial: chaos.Trial, folder: Path, *arguments: str, failpoints: str = "") -> int:
        environment = {**trial.environment, VARIABLE: failpoints}
        begin = partial(run_forked, arguments, cwd=folder, env=environment, timeout_s=WAIT_S)
        done = await trio.to_thread.run_sync(begin)
        with (folder / "output.txt").open("a") as output:
            output.write(done.stdout + done.stderr)
        return done.returncode

    monkeypatch.setattr(chaos, "_orc", run)


def write_asking() -> Path:
    write("asking.replay.yaml", REPLIES)
    return write("asking.yaml", ASKING)


def kill_after(monkeypatch: pytest.MonkeyPatch, *commits: int) -> None:
    """Kill only after these commits, since all of them would take too long."""
    monkeypatch.setattr(
        chaos, "_choose_commits", lambda trial, last: [c for c in commits if c <= last]
    )


def test_a_repeatable_spec_holds_all_promises_and_leaves_no_files(
    here: Path, temporary: Path, forked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill_after(monkeypatch, 1, REQUESTED)
    said = orc("chaos", write_asking())
    assert said.code == 0, said.out + said.err
    assert said.out.splitlines()[0] == "All promises held: asking, killed 2 times"
    assert "These commands and functions really run, once per commit: shout." in said.err
    assert "1/2  killed" in said.err
    assert "killed after event 4, llm.requested of name: resumed, with the same result" in said.err
    assert "killed before the job was submitted: resumed, with the same result" in said.err
    assert list(temporary.iterdir()) == []
    # The command writes neither a ledger nor to the spec's output_dir.
    assert {path.name for path in here.iterdir()} == {
        *("asking.yaml", "asking.replay.yaml", "temporary")
    }


_BREAK = """
import sys

if "resume" in sys.argv:
    import orc.scheduler.core.fold.calls

    # What was said before is lost on whoever folds it.
    orc.scheduler.core.fold.calls._keep_reply = lambda *told: None
"""


def test_a_repeated_call_breaks_a_promise_and_its_ledger_is_kept(
    here: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "broken").mkdir()
    write("broken/sitecustomize.py", _BREAK)
    monkeypatch.setenv("PYTHONPATH", str(here / "broken"))
    kill_after(monkeypatch, RESPONDED)
    said = orc("chaos", write_asking(), "--json", "--keep", "kept")
    assert said.code == 1, said.out + said.err
    found = said.json()
    assert (found["verdict"], found["kills"], found["events"]) == ("broken", 1, 10)
    repeated = next(one for one in found["findings"] if one["promise"] == "repeated")
    assert repeated["broken"] is True
    assert (repeated["step"], repeated["after"], repeated["seq"]) == ("name", "llm.responded", 5)
    assert "requests a reply that was already committed" in repeated["what"]
    assert (here / "kept/commit-0005/runs.db").exists()
    assert (here / "kept").stat().st_mode & 0o777 == 0o700
    assert list(temporary.iterdir()) == []


def test_an_unrepeatable_command_makes_results_differ_and_breaks_no_promise(
    here: Path, temporary: Path, forked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill_after(monkeypatch, 3)
    steps = 'steps: {when: {run: "date +%s%N"}, shown: {value: "${{ steps.when.output }}"}}\n'
    said = orc("chaos", write("dated.yaml", f"project: dated\n{steps}"), "--quiet")
    assert said.code == 5, said.out + said.err
    assert said.err == ""
    first, second, *_ = said.out.splitlines()
    assert first == "No promise is broken, but results differ: dated, killed once"
    assert second.startswith("  second run without a kill: different result: step when: ")


def test_a_bad_spec_is_refused_before_anything_runs(here: Path, temporary: Path) -> None:
    said = orc("chaos", write("bad.yaml", "project: bad\nsteps: {a: {rum: x}}\n"))
    assert said.code == 2
    assert "bad.yaml:2" in said.err
    assert list(temporary.iterdir()) == []


def test_missing_replies_are_said_before_anything_runs(here: Path, temporary: Path) -> None:
    said = orc("chaos", write("asking.yaml", ASKING))
    assert said.code == 2
    assert "there are no recorded replies at" in said.err
    assert list(temporary.iterdir()) == []


def test_a_folder_with_something_in_it_is_not_used(here: Path) -> None:
    (here / "full").mkdir()
    write("full/mine", "")
    said = orc("chaos", write_asking(), "--keep", "full")
    assert said.code == 2
    assert "not an empty folder" in said.err


@pytest.mark.torture
def test_what_a_killed_trial_left_is_removed_by_the_next_one(here: Path, temporary: Path) -> None:
    left = temporary / ".orc-chaos.7-7.orc-tmp"
    for folder in (left / "trial/reference", here / "kept/commit-0001"):
        folder.mkdir(parents=True)
    (left / "lock").touch()
    (here / "kept/.orc-unfinished").write_text('"trial of asking.yaml"')
    (here / "kept/notes").touch()
    orc("run", write("any.yaml", "project: any\nsteps: {a: {value: 1}}\n"))
    assert str(left) in orc("doctor").out
    assert str(here / "kept") in orc("doctor").out
    assert orc("chaos", write_asking(), "--sample", "1").code == 0
    assert list(temporary.iterdir()) == []
    assert orc("chaos", write_asking(), "--sample", "1", "--keep", "kept").code == 0
    assert (here / "kept/notes").exists()
    assert not (here / "kept/.orc-unfinished").exists()


def test_a_sample_depends_only_on_its_seed() -> None:
    def drawn(sample: int | None, seed: int) -> list[int]:
        trial = chaos.Trial(
            spec=Path("x"),
            arguments=(),
            definition=job(),
            environment={},
            prices=NO_PRICES,
            folder=Path("x"),
            sample=sample,
            seed=seed,
        )
        return chaos._choose_commits(trial, 50)

    assert drawn(None, 1) == list(range(1, 51))
    assert drawn(80, 1) == list(range(1, 51))
    assert len(set(drawn(10, 1))) == 10
    assert drawn(10, 1) == drawn(10, 1) != drawn(10, 2)


@needs_proc
@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.torture)]
)
def test_a_stop_ends_every_run_and_leaves_nothing(
    here: Path, temporary: Path, number: signal.Signals
) -> None:
    write(
        "slow.yaml", 'project: slow\nsteps: {slow: {run: ": > $ORC_SPEC_DIR/there; sleep 300"}}\n'
    )
    marker = new_marker()
    process = start_orc("chaos", "slow.yaml", cwd=here, ORC_MARK=marker, TMPDIR=str(temporary))
    try:
        wait_until((here / "there").exists, what="the command")
        process.send_signal(number)
        _, said = process.communicate(timeout=WAIT_S)
    finally:
        end_process(process)
    assert process.returncode == 128 + number
    assert f"stopped by {number.name}" in said
    assert "Traceback" not in said
    assert list(temporary.iterdir()) == []
    wait_until(lambda: not processes_with(marker), what="the end of its processes")


@pytest.mark.torture
@pytest.mark.parametrize("name", ["tiny_spec", "diamond", "python_map", "retry"])
def test_every_example_holds(name: str) -> None:
    said = orc("chaos", EXAMPLES / f"{name}.yaml", "--json")
    assert said.code == 0, said.out + said.err
    found = said.json()
    # Steps in parallel may share a commit in a later run, which then ends before its kill.
    assert 0 < found["kills"] <= found["runs"] == found["commits"]
    assert json.loads(said.out)["findings"] == []


ELSEWHERE = """\
project: elsewhere
ship: [words.txt]
steps:
  slow: {run: 'sleep 0.3; cat "$ORC_SPEC_DIR/words.txt" | tee made.txt', files: [made.txt]}
  after: {needs: [slow], run: "cat made.txt; test $ORC_ATTEMPT = 1"}
"""


@pytest.mark.torture
@needs_dask
def test_steps_on_an_executor_go_on_when_orc_is_killed(
    here: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("words.txt", "words\n")
    spec = write("elsewhere.yaml", ELSEWHERE)
    with loopback_cluster(temporary, workers=1) as cluster:
        scheduler = f"{{engine: dask, scheduler_file: {cluster.scheduler_file}, lease: 3s}}"
        write("executors.yaml", f"executors: {{cluster: {scheduler}}}\n")
        # The commits of ELSEWHERE: the tables, the submission, the start, the placement, ...
        kill_after(monkeypatch, 3, 4)
        said = orc("chaos", spec, "--executor", "cluster", "--keep", "kept")
        assert said.code == 0, said.out + said.err
        assert said.out.splitlines()[0] == "All promises held: elsewhere, killed 2 times"
        assert "goes on after the kill, and the resumed job takes its result" in said.err
        assert "runs twice" not in said.err
        assert (
            "killed after event 4, step.placed of slow: resumed, with the same result" in said.err
        )
        events = read_events(here / "kept/commit-0004/runs.db")
        assert [one["data"]["executor"] for one in events if one["type"] == "step.started"] == (
            ["cluster"] * 2
        )


@pytest.mark.torture
@needs_dask
def test_a_stopped_trial_leaves_no_command_on_an_executor(here: Path, temporary: Path) -> None:
    marker = new_marker()
    spec = write("long.yaml", f"project: long\nsteps: {{a: {{run: 'M={marker} sleep 100'}}}}\n")
    with loopback_cluster(temporary, workers=1) as cluster:
        scheduler = f"{{engine: dask, scheduler_file: {cluster.scheduler_file}}}"
        write("executors.yaml", f"executors: {{cluster: {scheduler}}}\n")
        trial = start_orc("chaos", str(spec), "--executor", "cluster", cwd=here)
        try:
            wait_until(lambda: processes_with(marker), within_s=WAIT_S)
            trial.send_signal(signal.SIGINT)
            assert trial.wait(WAIT_S) == 130
            wait_until(lambda: not processes_with(marker), within_s=10)
        finally:
            end_process(trial)


def test_an_unknown_executor_is_refused_before_anything_runs(here: Path, temporary: Path) -> None:
    said = orc("chaos", write_asking(), "--executor", "cluster")
    assert said.code == 2
    assert "cluster" in said.err
    assert list(temporary.iterdir()) == []
