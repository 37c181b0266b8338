"""A command ends with its worker, and with its worker's place in the cluster."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orc.worker.clocks import lease_clock
from orc.worker.lease import LeaseOver, Leases
from tests.worker.engine import FakeEngine, payload, wait_until
from tests.worker.test_commands import lives, numbers

LEASE_S = 2.0
_HOST = Path(__file__).with_name("host.py")


class Host:
    """A worker process; its lines are kept as they come."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, str(_HOST)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "ORC_WORKER_DIR": str(folder)},
        )
        self.events: list[dict[str, Any]] = []
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        wait_until(lambda: self.said("ready"))

    def send(self, **message: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def control(self, op: str, **fields: Any) -> dict[str, Any]:
        names = {"ticket": "job_a/step/1", "run": "00000001"}
        self.send(control={"op": op, **names, **fields})
        return self._answers.get(timeout=20)

    def start(self, script: str, *, lease_s: float = LEASE_S, **options: Any) -> None:
        """Submit a command and let it start."""
        self.ask(script, lease_s=lease_s, **options)
        answer = self.control("allow", epoch=1, secrets={})
        assert answer["ok"], answer

    def ask(self, script: str, *, lease_s: float = LEASE_S, **options: Any) -> None:
        message = payload(["/bin/sh", "-c", script], run="00000001", lease_s=lease_s, **options)
        self.send(perform=message)
        wait_until(lambda: self.said("asked"))

    def said(self, event: str) -> list[dict[str, Any]]:
        return [one for one in list(self.events) if one.get("event") == event]

    def outcome(self) -> dict[str, Any]:
        wait_until(lambda: self.said("ended"))
        return dict(self.said("ended")[0]["outcome"])

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(10)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            value = json.loads(line)
            if "answer" in value:
                self._answers.put(value["answer"])
            else:
                self.events.append(value)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path / "worker")
    yield host
    host.close()


def family(path: Path) -> str:
    """A command that ignores what it can, has a child, and writes both numbers to a file."""
    return f"trap '' TERM HUP INT; sleep 300 & echo $$ $! > {path}; while :; do sleep 0.05; done"


def test_a_killed_worker_takes_its_command_with_it(host: Host, tmp_path: Path) -> None:
    host.start(family(tmp_path / "pids"), lease_s=60)
    pids = numbers(tmp_path / "pids", 2)
    assert all(map(lives, pids))
    host.process.kill()
    wait_until(lambda: not any(map(lives, pids)))


def test_a_frozen_worker_loses_its_command_within_the_lease(host: Host, tmp_path: Path) -> None:
    host.start(family(tmp_path / "pids"))
    pids = numbers(tmp_path / "pids", 2)
    # Longer than a lease: the beats keep it.
    time.sleep(LEASE_S * 1.2)
    assert all(map(lives, pids))
    host.signal(signal.SIGSTOP)
    try:
        took_s = wait_until(lambda: not any(map(lives, pids)), limit_s=LEASE_S * 3)
        # The last beat was up to a fifth of the lease before the freeze.
        assert LEASE_S * 0.7 < took_s < LEASE_S * 2
    finally:
        host.signal(signal.SIGCONT)
    outcome = host.outcome()
    assert "longer than its lease" in outcome["lost"]
    assert outcome["exit_code"] is outcome["signal"] is outcome["broken"] is None
    assert outcome["files"] == []


def test_a_command_that_ended_while_its_worker_was_frozen_for_too_long_is_lost(
    host: Host, tmp_path: Path
) -> None:
    host.start(f"echo $$ > {tmp_path / 'pids'}; sleep 0.3; echo x > a.txt", globs=["*.txt"])
    (pid,) = numbers(tmp_path / "pids", 1)
    host.signal(signal.SIGSTOP)
    try:
        time.sleep(LEASE_S + 0.3)
        assert not lives(pid)
    finally:
        host.signal(signal.SIGCONT)
    outcome = host.outcome()
    assert outcome["lost"]
    assert outcome["exit_code"] is None


def test_a_short_freeze_changes_nothing(host: Host, tmp_path: Path) -> None:
    host.start("sleep 1; echo done > a.txt", globs=["*.txt"])
    host.signal(signal.SIGSTOP)
    time.sleep(LEASE_S / 2)
    host.signal(signal.SIGCONT)
    outcome = host.outcome()
    assert (outcome["exit_code"], outcome["lost"]) == (0, None)
    assert [file["path"] for file in outcome["files"]] == ["a.txt"]


def test_a_worker_that_left_the_cluster_loses_its_command(host: Host, tmp_path: Path) -> None:
    host.start(family(tmp_path / "pids"))
    pids = numbers(tmp_path / "pids", 2)
    host.send(alive=False)
    took_s = wait_until(lambda: not any(map(lives, pids)), limit_s=LEASE_S * 3)
    assert took_s < LEASE_S * 2
    assert host.outcome()["lost"]
    host.send(alive=True)
    assert host.control("outcome")["outcome"]["lost"]


def test_an_old_permission_starts_nothing_on_a_worker_that_was_frozen(
    host: Host, tmp_path: Path
) -> None:
    host.ask(f"touch {tmp_path / 'started'}")
    host.signal(signal.SIGSTOP)
    try:
        # It waits in the pipe, as it would in a connection.
        names = {"ticket": "job_a/step/1", "run": "00000001"}
        host.send(control={"op": "allow", **names, "epoch": 1, "secrets": {}})
        time.sleep(LEASE_S + 0.3)
    finally:
        host.signal(signal.SIGCONT)
    assert host._answers.get(timeout=20)["error"] == "refused"
    wait_until(lambda: host.said("returned"))
    assert host.said("ended") == []
    assert not (tmp_path / "started").exists()


def test_a_permission_after_the_lease_is_refused_at_once(engine: FakeEngine) -> None:
    copy = engine.submit(lease_s=10)
    copy.wait_asked()
    engine.agent._table.find(copy.ticket, copy.run).watch.deadline = 0.0
    answer = copy.control("allow", epoch=1, secrets={})
    assert (answer["error"], "stood still" in answer["message"]) == ("refused", True)
    copy.wait()
    assert copy.said("ended") == []


def test_no_command_is_put_under_a_lease_that_is_over() -> None:
    leases = Leases()
    watch = leases.begin(10)
    watch.deadline = 0.0
    with pytest.raises(LeaseOver):
        leases.guard(watch, 1 << 30)
    watch.deadline = lease_clock() + 10
    assert leases.is_over(watch), "a lease never begins again"
    leases.close()


def test_a_reaper_that_does_not_read_is_replaced() -> None:
    leases = Leases()
    watch = leases.begin(30)
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as command:
        leases.guard(watch, command.pid)
        first = leases._reaper
        assert first is not None
        os.kill(first.pid, signal.SIGSTOP)
        for _ in range(20_000):
            assert leases.beat() is not None
            if leases._reaper is not first:
                break
        assert first.poll() == -signal.SIGKILL
        assert leases._reaper is not None
        assert leases._reaper.poll() is None
        assert lives(command.pid)
        # Nothing of this test ends the command but the new reaper, at the end of its input.
        reaper = leases._reaper
        assert reaper.stdin is not None
        reaper.stdin.close()
        assert command.wait(5) == -signal.SIGKILL
        reaper.wait(5)
        leases._reaper = None
    leases.end(watch)
    leases.close()


def test_a_copy_on_a_worker_that_left_the_cluster_gives_up(host: Host) -> None:
    host.ask("true", lease_s=0.6)
    host.send(alive=False)
    wait_until(lambda: host.said("returned"))
    assert host.control("allow", epoch=1, secrets={})["error"] == "refused"


def test_the_spool_of_a_killed_worker_is_removed_by_the_next_one(
    host: Host, tmp_path: Path
) -> None:
    host.start(family(tmp_path / "pids"), lease_s=60)
    pids = numbers(tmp_path / "pids", 2)
    living = FakeEngine(host.folder)
    kept = living.shell("echo x", ticket="job_b/step/1")
    kept.result()
    assert living.control("clean")["removed"] == 0
    host.process.kill()
    host.process.wait()
    assert len(living.spools()) == 2
    assert living.control("clean")["removed"] == 1
    assert len(living.spools()) == 1
    wait_until(lambda: len([path for path in living.files() if path.name == "log"]) == 1)
    living.close()
    wait_until(lambda: not any(map(lives, pids)))


def reaper_of(pid: int) -> int:
    """The reaper's process among the children of an agent."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = path.read_text().rpartition(")")[2].split()
            command = path.with_name("cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(words[1]) == pid and b"reaper.py" in command:
            return int(path.parent.name)
    raise AssertionError("there is no reaper")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the reaper by /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_reaper_that_is_killed_is_replaced(
    host: Host, tmp_path: Path, number: signal.Signals
) -> None:
    host.start(family(tmp_path / "pids"))
    pids = numbers(tmp_path / "pids", 2)
    first = reaper_of(host.process.pid)
    wait_until(lambda: ignores(first, signal.SIGTERM))
    os.kill(first, number)
    if number == signal.SIGKILL:
        wait_until(lambda: new_reaper(host, first))
    assert all(map(lives, pids))
    host.process.kill()
    wait_until(lambda: not any(map(lives, pids)))


def ignores(pid: int, number: signal.Signals) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    ignored = next(line for line in status.splitlines() if line.startswith("SigIgn:"))
    return bool(int(ignored.split()[1], 16) >> (number - 1) & 1)


def new_reaper(host: Host, first: int) -> bool:
    try:
        return reaper_of(host.process.pid) != first
    except AssertionError:
        return False


def test_what_cannot_tell_that_it_is_alive_is_not(engine: FakeEngine, tmp_path: Path) -> None:
    def fail() -> bool:
        raise RuntimeError("the engine's part is broken")

    copy = engine.shell(family(tmp_path / "pids"), lease_s=0.8)
    copy.allow()
    pids = numbers(tmp_path / "pids", 2)
    engine.agent.leases.set_alive(fail)
    assert copy.outcome()["lost"]
    wait_until(lambda: not any(map(lives, pids)))


def test_a_question_about_life_without_an_answer_is_no_sign_of_it(
    engine: FakeEngine, tmp_path: Path
) -> None:
    answer = threading.Event()
    copy = engine.shell(family(tmp_path / "pids"), lease_s=0.8)
    copy.allow()
    pids = numbers(tmp_path / "pids", 2)
    engine.agent.leases.set_alive(lambda: answer.wait(30))
    try:
        assert copy.outcome()["lost"]
        wait_until(lambda: not any(map(lives, pids)))
    finally:
        answer.set()


def test_the_end_of_an_agent_ends_its_commands(tmp_path: Path) -> None:
    engine = FakeEngine(tmp_path / "worker")
    running = engine.shell(family(tmp_path / "pids"))
    running.allow()
    pids = numbers(tmp_path / "pids", 2)
    engine.submit(ticket="job_a/other/1").wait_asked()
    engine.close()
    wait_until(lambda: not any(map(lives, pids)))
    assert running.said("ended")[0]["outcome"]["lost"]
    assert engine.spools() == []
