"""Commands and functions on a worker: how they end, what they see, and what they may leave."""

from __future__ import annotations

import base64
import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from orc.worker import surroundings
from orc.worker.guarding import signal_name
from orc.worker.wire import PROTOCOL
from tests.worker.engine import LIMITS, FakeEngine, file_item, text, wait_until


def lives(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    try:
        return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def numbers(path: Path, count: int) -> list[int]:
    """Process ids that a command writes into a file."""
    wait_until(lambda: path.exists() and len(path.read_text().split()) == count)
    return [int(word) for word in path.read_text().split()]


def test_the_outcome_of_a_command(engine: FakeEngine) -> None:
    outcome = engine.shell("echo out; echo said >&2; exit 3").result()
    assert (outcome["exit_code"], outcome["signal"], outcome["broken"]) == (3, None, None)
    assert text(outcome) == "out\n"
    assert text(outcome, "stderr_tail") == "said\n"
    assert outcome["log_bytes"] == 9
    assert 0 < outcome["duration_s"] < 10
    assert 0 < outcome["queued_s"] < 10
    assert outcome["lost"] is None


def test_a_command_that_a_signal_ended(engine: FakeEngine) -> None:
    outcome = engine.shell("kill -SEGV $$").result()
    assert (outcome["exit_code"], outcome["signal"]) == (None, "SIGSEGV")


def test_a_timeout_kills_a_command_that_ignores_sigterm(engine: FakeEngine, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    copy = engine.shell(
        f"trap '' TERM; sleep 60 & echo $$ $! > {pids}; while :; do sleep 0.1; done",
        timeout_s=0.5,
        grace_s=0.4,
    )
    outcome = copy.result()
    assert outcome["broken"]["kind"] == "timeout"
    assert outcome["exit_code"] is outcome["signal"] is None
    assert 0.9 <= outcome["duration_s"] < 5
    wait_until(lambda: not any(lives(pid) for pid in numbers(pids, 2)))


def test_a_timeout_lets_a_command_end_in_its_grace(engine: FakeEngine) -> None:
    copy = engine.shell(
        "trap 'echo bye > \"$OUT/bye\"; exit 0' TERM; while :; do sleep 0.05; done",
        timeout_s=0.3,
        grace_s=10,
        places={"OUT": "artifacts"},
    )
    outcome = copy.result()
    assert outcome["broken"]["kind"] == "timeout"
    assert outcome["duration_s"] < 5
    assert [file["path"] for file in outcome["artifacts"]] == ["bye"]


def test_children_in_the_background_die_with_the_command(
    engine: FakeEngine, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    outcome = engine.shell(f"sleep 60 & echo $! > {pids}; echo done").result()
    assert outcome["exit_code"] == 0
    assert "background process" in outcome["warning"]
    assert text(outcome) == "done\n"
    wait_until(lambda: not lives(numbers(pids, 1)[0]))


def test_cancel_ends_the_group_after_the_grace(engine: FakeEngine, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    copy = engine.shell(f"trap '' TERM; echo $$ > {pids}; while :; do sleep 0.05; done")
    copy.allow()
    (pid,) = numbers(pids, 1)
    started = time.monotonic()
    assert copy.control("cancel", grace_s=60) == {
        "ok": True,
        "protocol": PROTOCOL,
        "state": "running",
    }
    time.sleep(0.2)
    assert lives(pid)
    # A second cancellation does not wait.
    copy.control("cancel", grace_s=0)
    outcome = copy.outcome()
    assert time.monotonic() - started < 5
    assert (outcome["cancelled"], outcome["signal"]) == (True, "SIGKILL")
    assert not lives(pid)
    assert copy.control("cancel", grace_s=0)["state"] == "ended"


def test_cancel_of_a_copy_that_asks_refuses_it(engine: FakeEngine) -> None:
    copy = engine.submit()
    copy.wait_asked()
    assert copy.control("cancel", grace_s=0)["state"] == "refused"
    copy.wait()
    assert copy.allow()["error"] == "refused"


def test_a_copy_that_is_cancelled_before_its_command_starts_does_not_start_it(
    engine: FakeEngine, tmp_path: Path
) -> None:
    copy = engine.submit(["touch", str(tmp_path / "started")])
    copy.wait_asked()
    engine.agent._table.find(copy.ticket, copy.run).stop_grace_s = 60
    outcome = copy.result()
    assert (outcome["cancelled"], outcome["signal"], outcome["duration_s"]) == (True, "SIGTERM", 0)
    assert not (tmp_path / "started").exists()


def test_too_much_output_ends_the_command(engine: FakeEngine) -> None:
    outcome = engine.shell("yes").result()
    assert outcome["broken"]["kind"] == "output_too_large"
    exactly = engine.shell(f"head -c {LIMITS['output_bytes']} /dev/zero; echo").result()
    assert exactly["exit_code"] == 0


def test_a_log_is_cut_at_its_limit(engine: FakeEngine) -> None:
    copy = engine.shell("head -c 1000 /dev/zero >&2", limits={**LIMITS, "log_bytes": 600})
    outcome = copy.result()
    assert (outcome["exit_code"], outcome["log_bytes"]) == (0, 600)
    assert "the log was cut" in outcome["warning"]
    assert len(copy.log()) == 600


def test_pieces_of_the_log_are_shown_while_it_runs(engine: FakeEngine) -> None:
    copy = engine.shell("echo one; read x < /dev/null; sleep 0.3; echo two; sleep 60")
    copy.allow()
    wait_until(lambda: len(copy.said("printed")) == 2)
    pieces = [(one["offset"], base64.b64decode(one["content"])) for one in copy.said("printed")]
    assert pieces == [(0, b"one\n"), (4, b"two\n")]
    assert copy.log() == b"one\ntwo\n"
    copy.control("cancel", grace_s=0)
    copy.wait()


def test_a_flood_is_shown_in_few_pieces(engine: FakeEngine) -> None:
    copy = engine.shell("head -c 200000 /dev/zero | tr '\\0' x >&2; sleep 0.5; echo end >&2")
    outcome = copy.result()
    shown = copy.said("printed")
    assert len(shown) <= 12 * (outcome["duration_s"] + 1)
    log = copy.log()
    for one in shown:
        piece = base64.b64decode(one["content"])
        assert len(piece) <= 16_000
        assert log[one["offset"] :][: len(piece)] == piece
    assert outcome["log_bytes"] == 200_004


def test_a_command_sees_only_named_variables(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("SOME_KEY", "of the worker")
    monkeypatch.setenv("HOME", "/home/of/the/worker")
    copy = engine.submit(
        ["env"],
        env={"A": "1", "ORC_STEP": "x"},
        inherited=["PATH", "HOME", "OMP_NUM_THREADS", "MKL_NUM_THREADS"],
        places={"ORC_SPEC_DIR": "spec", "ORC_ARTIFACTS": "artifacts", "W": "work"},
        resources={"cpu": 4, "gpu": 0.5, "memory": 1e9},
    )
    found = dict(line.split("=", 1) for line in text(copy.result()).splitlines())
    spool = engine.spools()[0]
    assert found.pop("PWD", str(spool / "work")) == str(spool / "work")
    found.pop("SHLVL", None)
    found.pop("_", None)
    found.pop("OLDPWD", None)
    assert found == {
        "PATH": os.environ["PATH"],
        "HOME": "/home/of/the/worker",
        "A": "1",
        "ORC_STEP": "x",
        "ORC_CPU": "4",
        "ORC_GPU": "0.5",
        "OMP_NUM_THREADS": "4",
        "ORC_SPEC_DIR": str(spool / "spec"),
        "ORC_ARTIFACTS": str(spool / "artifacts"),
        "W": str(spool / "work"),
    }


def test_commands_get_gpus_that_no_other_one_has(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,GPU-a/b")
    monkeypatch.setattr(surroundings, "GPU_WAIT_S", 0.2)
    show = 'echo "$CUDA_VISIBLE_DEVICES"; sleep 60'
    first = engine.shell(show, ticket="job_a/1/1", resources={"gpu": 2})
    first.allow()
    wait_until(lambda: first.said("printed"))
    second = engine.shell('echo "$CUDA_VISIBLE_DEVICES"', ticket="job_a/2/1", resources={"gpu": 1})
    assert text(second.result()) == "GPU-a/b\n"
    third = engine.shell(show, ticket="job_a/3/1", resources={"gpu": 2})
    broken = third.result()["broken"]
    assert (broken["kind"], "GPUs" in broken["message"]) == ("environment", True)
    first.control("cancel", grace_s=0)
    assert text(first.outcome()) == "3,5\n"
    fourth = engine.shell('echo "$CUDA_VISIBLE_DEVICES"', ticket="job_a/4/1", resources={"gpu": 3})
    assert text(fourth.result()) == "3,5,GPU-a/b\n"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["no-such-command-here"], "was not found on PATH of h1"),
        (["./plain.txt"], "is not executable"),
        (["./missing"], "there is no './missing' in the folder where the command starts"),
    ],
)
def test_a_missing_command_is_a_matter_of_the_environment(
    engine: FakeEngine, argv: list[str], said: str
) -> None:
    outcome = engine.submit(argv, contents={"plain.txt": b"x"}).result()
    assert outcome["broken"]["kind"] == "environment"
    assert said in outcome["broken"]["message"]


def test_a_command_has_no_input(engine: FakeEngine) -> None:
    assert text(engine.shell("cat; echo end").result()) == "end\n"


MODULE = b"""
import os, sys
print("imported")
def add(a, b):
    print("adding")
    print("to stderr", file=sys.stderr)
    open("made.txt", "w").write("x")
    return {"sum": a + b, "here": os.getcwd() == os.environ["W"], "x": os.environ["X"]}
def fail():
    raise ValueError("no good")
def leave():
    os._exit(4)
def flood():
    return "x" * (70 << 20)
"""


def function(engine: FakeEngine, name: str, **work: object) -> dict[str, object]:
    options: dict[str, object] = {
        "kind": "function",
        "function": f"mine:{name}",
        "shipped": [file_item("mine.py", MODULE)],
        "places": {"W": "work"},
        "env": {"X": "1"},
        "globs": ["*.txt"],
    }
    engine.put(MODULE)
    return engine.submit(**(options | work)).result()  # type: ignore[arg-type]


def test_a_function_of_a_shipped_module(engine: FakeEngine) -> None:
    outcome = function(engine, "add", args={"a": 1, "b": 2})
    assert outcome["exit_code"] == 0
    answer = json.loads(base64.b64decode(str(outcome["answer"])))
    assert answer == {"value": {"sum": 3, "here": True, "x": "1"}}
    assert text(outcome) == ""
    assert sorted(engine.copies[-1].log().split()) == sorted(b"imported adding to stderr".split())
    assert [file["path"] for file in outcome["files"]] == ["made.txt"]  # type: ignore[attr-defined]


def test_a_function_that_fails_answers_so(engine: FakeEngine) -> None:
    outcome = function(engine, "fail")
    answer = json.loads(base64.b64decode(str(outcome["answer"])))
    assert answer == {"kind": "exit_code", "message": "mine:fail raised ValueError: no good"}


def test_a_function_whose_process_ends(engine: FakeEngine) -> None:
    outcome = function(engine, "leave")
    assert (outcome["exit_code"], outcome["answer"]) == (4, None)


def test_a_function_with_large_arguments(engine: FakeEngine) -> None:
    outcome = function(engine, "add", args={"a": "x" * 300_000, "b": "y"})
    answer = json.loads(base64.b64decode(str(outcome["answer"])))
    assert len(answer["value"]["sum"]) == 300_001


def test_a_function_that_sleeps_times_out(engine: FakeEngine) -> None:
    outcome = engine.submit(
        kind="function", function="time:sleep", args={}, timeout_s=None
    ).result()
    assert b"takes exactly one argument" in base64.b64decode(outcome["answer"])
    slept = engine.submit(
        kind="function", function="signal:pause", ticket="job_a/pause/1", timeout_s=0.5
    ).result()
    assert slept["broken"]["kind"] == "timeout"


def test_the_engine_may_raise_in_emit(engine: FakeEngine, tmp_path: Path) -> None:
    def fail(event: object) -> None:
        raise ConnectionError(str(event))

    copy = engine.submit(["sleep", "60"])
    copy.wait_asked()
    copy.control("refuse")
    message = json.dumps({**copy.message, "run": "00000001"}).encode()
    thread = threading.Thread(
        target=engine.agent.perform,
        args=(message,),
        kwargs={"emit": fail, "worker": "w", "host": "h"},
    )
    thread.start()
    names = {"ticket": copy.ticket, "run": "00000001"}
    wait_until(lambda: engine.control("allow", **names, epoch=1, secrets={})["ok"])
    engine.control("cancel", **names, grace_s=0)
    thread.join(10)
    assert engine.control("outcome", **names)["outcome"]["cancelled"]


def test_a_system_without_descriptors_of_processes(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    assert text(engine.shell("echo x; exit 0").result()) == "x\n"
    late = engine.shell("trap '' TERM; sleep 60; sleep 60", timeout_s=0.3, ticket="job_a/2/1")
    assert late.result()["broken"]["kind"] == "timeout"
    left = engine.shell("sleep 60 & exit 4", ticket="job_a/3/1").result()
    assert (left["exit_code"], "background" in left["warning"]) == (4, True)
    closed = engine.shell("exec >&- 2>&-; sleep 0.3; exit 5", ticket="job_a/4/1").result()
    assert closed["exit_code"] == 5


def test_a_command_that_closes_its_output_goes_on(engine: FakeEngine) -> None:
    copy = engine.shell("echo x; exec >&- 2>&-; sleep 0.3; touch made", globs=["*"])
    outcome = copy.result()
    assert (outcome["exit_code"], text(outcome)) == (0, "x\n")
    assert [file["path"] for file in outcome["files"]] == ["made"]


def test_signals_that_ended_commands_have_names() -> None:
    assert signal_name(signal.SIGKILL) == "SIGKILL"
    assert signal_name(64 + 7) == "signal 71"
