"""Ownership of a job: one live process at a time, which errors name by its process id and host."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orc.ledger import OwnerLock, has_owner
from orc.ledger.errors import OwnedElsewhere, StorageError, VersionConflict
from orc.ledger.files import locks
from orc.ledger.files.lock_paths import locks_dir
from orc.ledger.files.locks import OWNER_WAIT_S, FileLock, WriteLock
from tests.ledger.support import JOB, OTHER, open_at, skipped, started, submitted
from tests.processes import end_process, start_python

_OWNER = """
import sys
from pathlib import Path
from orc.ledger import OwnerLock
from orc.ledger.errors import OwnedElsewhere

lock = OwnerLock(Path(sys.argv[1]), sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
try:
    lock.acquire(wait_s=float(sys.argv[3]))
except OwnedElsewhere as error:
    print(error, flush=True)
else:
    print("owner", flush=True)
    sys.stdin.readline()
"""


_OWNER_THAT_FORKED = """
import os, sys, time
from pathlib import Path
from orc.ledger import OwnerLock

OwnerLock(Path(sys.argv[1]), sys.argv[2]).acquire()
owner = os.getpid()
if os.fork() == 0:
    # As long as it has not called `exec`, a forked process holds what its parent held.
    until = time.monotonic() + 20
    while os.getppid() == owner and time.monotonic() < until:
        time.sleep(0.001)
    time.sleep(float(sys.argv[3]))
    os._exit(0)
print("owner", flush=True)
sys.stdin.readline()
"""


@contextmanager
def candidates(
    database: Path, count: int, *, wait_s: float
) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that wait for a line of input and then try to become the job's owner."""
    processes = [start_python(_OWNER, str(database), JOB, str(wait_s)) for _ in range(count)]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        yield processes
    finally:
        for process in processes:
            end_process(process)


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    open_at(tmp_path / "runs.db").close()
    return tmp_path / "runs.db"


def test_of_many_racing_processes_one_wins_and_the_errors_name_its_pid_and_host(
    database: Path,
) -> None:
    with candidates(database, 8, wait_s=0.3) as processes:
        for process in processes:
            go(process)
        answers = {process.pid: answer(process) for process in processes}
        winners = [pid for pid, said in answers.items() if said == "owner"]
        assert len(winners) == 1
        told = f"{JOB} is being run by process {winners[0]} on {socket.gethostname()}"
        assert {said for pid, said in answers.items() if pid != winners[0]} == {told}


def test_a_job_has_no_owner_after_its_owner_was_killed(database: Path) -> None:
    with candidates(database, 1, wait_s=1) as [owner]:
        go(owner)
        assert answer(owner) == "owner"
        assert has_owner(database, JOB)
        with pytest.raises(OwnedElsewhere, match=f"process {owner.pid} on"):
            OwnerLock(database, JOB).acquire(wait_s=0)
        owner.send_signal(signal.SIGKILL)
        owner.wait(10)
        assert not has_owner(database, JOB)
        lock = OwnerLock(database, JOB)
        lock.acquire(wait_s=0)
        lock.release()


@pytest.mark.parametrize("is_reaped", [True, False], ids=["reaped", "zombie"])
def test_an_owner_killed_while_it_starts_a_command_is_no_owner(
    is_reaped: bool, database: Path
) -> None:
    owner = start_python(_OWNER_THAT_FORKED, str(database), JOB, "0.1")
    try:
        assert answer(owner) == "owner"
        owner.kill()
        os.waitid(os.P_PID, owner.pid, os.WEXITED | os.WNOWAIT)
        if is_reaped:
            owner.wait(10)
        assert not FileLock(locks_dir(database) / JOB).try_acquire(), "the forked process has it"
        assert not has_owner(database, JOB)
        lock = OwnerLock(database, JOB)
        lock.acquire(wait_s=0)
        lock.release()
    finally:
        end_process(owner)


def test_a_lock_that_stays_has_an_owner_whose_process_cannot_be_seen(database: Path) -> None:
    owner = start_python(_OWNER_THAT_FORKED, str(database), JOB, "2")
    try:
        assert answer(owner) == "owner"
        owner.kill()
        owner.wait(10)
        assert has_owner(database, JOB)
    finally:
        end_process(owner)


@pytest.mark.parametrize("namespace", [{"pid_namespace": 1}, {}], ids=["another", "old note"])
def test_a_process_id_of_another_namespace_says_nothing(
    namespace: dict[str, int], database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = start_python(_OWNER_THAT_FORKED, str(database), JOB, "2")
    try:
        assert answer(owner) == "owner"
        owner.kill()
        owner.wait(10)
        path = locks_dir(database) / JOB
        note = json.loads(path.read_text())
        del note["pid_namespace"]
        path.write_text(json.dumps({**note, **namespace}))
        with monkeypatch.context() as patch:
            patch.setattr(time, "sleep", None)
            assert has_owner(database, JOB), "without a wait"
    finally:
        end_process(owner)


def test_a_stopped_owner_still_owns_the_job(database: Path) -> None:
    with candidates(database, 1, wait_s=1) as [owner]:
        go(owner)
        assert answer(owner) == "owner"
        owner.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(OwnedElsewhere):
                OwnerLock(database, JOB).acquire(wait_s=0.05)
        finally:
            owner.send_signal(signal.SIGCONT)


def test_a_second_owner_gives_up_after_about_a_second(database: Path) -> None:
    first = OwnerLock(database, JOB)
    first.acquire()
    begun_s = time.monotonic()
    with pytest.raises(OwnedElsewhere):
        OwnerLock(database, JOB).acquire()
    assert OWNER_WAIT_S <= time.monotonic() - begun_s < OWNER_WAIT_S + 2
    first.release()


def test_each_job_has_its_own_owner(database: Path) -> None:
    one, two = OwnerLock(database, JOB), OwnerLock(database, OTHER)
    one.acquire(wait_s=0)
    two.acquire(wait_s=0)
    one.release()
    assert not has_owner(database, JOB)
    assert has_owner(database, OTHER)
    two.release()


def test_a_lock_file_names_its_owner_until_the_release_and_stays(database: Path) -> None:
    lock = OwnerLock(database, JOB)
    lock.acquire()
    note = json.loads((locks_dir(database) / JOB).read_text())
    assert (note["pid"], note["host"]) == (os.getpid(), socket.gethostname())
    lock.release()
    assert "pid" not in json.loads((locks_dir(database) / JOB).read_text())
    assert not has_owner(database, JOB)


def test_a_lock_file_with_invalid_content_still_locks(database: Path) -> None:
    lock = OwnerLock(database, JOB)
    lock.acquire()
    (locks_dir(database) / JOB).write_text("\x1b[31mnonsense")
    with pytest.raises(OwnedElsewhere, match="being run by another process"):
        OwnerLock(database, JOB).acquire(wait_s=0)
    lock.release()


def test_the_probe_of_readers_never_prevents_ownership(database: Path) -> None:
    done = threading.Event()

    def probe() -> None:
        while not done.is_set():
            has_owner(database, JOB)

    probes = [threading.Thread(target=probe) for _ in range(3)]
    for thread in probes:
        thread.start()
    try:
        for _ in range(100):
            lock = OwnerLock(database, JOB)
            lock.acquire()
            assert has_owner(database, JOB)
            lock.release()
    finally:
        done.set()
        for thread in probes:
            thread.join()


_PROBE = """
import sys
from pathlib import Path
from orc.ledger import has_owner

print("ready", flush=True)
while True:
    has_owner(Path(sys.argv[1]), sys.argv[2])
"""


@contextmanager
def probing(database: Path) -> Iterator[None]:
    """Another process asks all the time whether the job has an owner."""
    process = start_python(_PROBE, str(database), JOB)
    try:
        assert answer(process) == "ready"
        yield
    finally:
        end_process(process)


@pytest.mark.skipif(not hasattr(fcntl, "F_OFD_GETLK"), reason="this system has no such locks")
def test_a_probe_takes_no_lock_that_an_owner_wants(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(fd: int, operation: int) -> None:
        raise AssertionError("a probe takes a lock")

    lock = OwnerLock(database, JOB)
    for is_owned in (True, False):
        lock.acquire(wait_s=0) if is_owned else lock.release()
        with monkeypatch.context() as patch:
            patch.setattr(fcntl, "flock", refuse)
            assert has_owner(database, JOB) == is_owned


def test_while_another_process_probes_an_owner_gets_its_lock_at_once(database: Path) -> None:
    lock = OwnerLock(database, JOB)
    with probing(database):
        for _ in range(1000):
            lock.acquire(wait_s=0)
            assert has_owner(database, JOB)
            lock.release()
            assert not has_owner(database, JOB)


def test_where_a_probe_has_to_take_the_lock_an_owner_tries_again(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "take_byte_lock", lambda fd: False)
    lock = OwnerLock(database, JOB)
    with probing(database):
        for _ in range(300):
            lock.acquire(wait_s=0)
            assert has_owner(database, JOB)
            lock.release()
            assert not has_owner(database, JOB)


def test_a_dead_owner_is_not_named(database: Path) -> None:
    with candidates(database, 1, wait_s=0) as [owner]:
        go(owner)
        assert answer(owner) == "owner"
        owner.kill()
        owner.wait(10)
        held = FileLock(locks_dir(database) / JOB)
        assert held.try_acquire()
        with pytest.raises(OwnedElsewhere, match="being run by another process"):
            OwnerLock(database, JOB).acquire(wait_s=0)
        held.release()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_filesystem_without_locks_is_named_with_the_remedy(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(fd: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(StorageError) as refused:
        open_at(tmp_path / "runs.db")
    assert str(tmp_path / "runs.db.locks" / "writer") in str(refused.value)
    with pytest.raises(StorageError) as refused:
        OwnerLock(tmp_path / "runs.db", JOB).acquire()
    assert str(tmp_path / "runs.db.locks" / JOB) in str(refused.value)
    assert "local disk" in str(refused.value)
    assert not has_owner(tmp_path / "runs.db", JOB)


def test_a_link_in_place_of_a_lock_file_is_not_followed(database: Path) -> None:
    victim = database.with_name("victim")
    victim.write_text("precious")
    path = locks_dir(database) / JOB
    path.symlink_to(victim)
    with pytest.raises(StorageError, match=f"{JOB}: it is a link; remove it"):
        OwnerLock(database, JOB).acquire()
    assert victim.read_text() == "precious"
    held = FileLock(victim)
    assert held.try_acquire()
    assert not has_owner(database, JOB)
    held.release()
    (locks_dir(database) / "writer").unlink()
    (locks_dir(database) / "writer").symlink_to(victim)
    with pytest.raises(StorageError, match="writer: it is a link"):
        WriteLock(database)


def test_a_pipe_in_place_of_a_lock_file_is_named(database: Path) -> None:
    os.mkfifo(locks_dir(database) / JOB)
    with pytest.raises(StorageError, match=f"{JOB}: it is not a regular file; remove it"):
        OwnerLock(database, JOB).acquire()
    assert not has_owner(database, JOB)


def test_a_dangling_link_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    folder = locks_dir(tmp_path / "runs.db")
    folder.symlink_to(tmp_path / "nowhere")
    with pytest.raises(StorageError, match=r"runs\.db\.locks: it is a link; remove it"):
        OwnerLock(tmp_path / "runs.db", JOB).acquire()


def test_the_locks_are_those_of_the_file_whatever_its_name(database: Path) -> None:
    link = database.with_name("link.db")
    link.symlink_to(database)
    assert locks_dir(link) == locks_dir(database.parent / "x" / ".." / database.name)
    lock = OwnerLock(link, JOB)
    lock.acquire()
    assert has_owner(database, JOB)
    with pytest.raises(OwnedElsewhere):
        OwnerLock(database, JOB).acquire(wait_s=0)
    lock.release()


def test_a_job_that_never_ran_has_no_owner_and_the_probe_makes_no_file(database: Path) -> None:
    assert not has_owner(database, JOB)
    assert not (locks_dir(database) / JOB).exists()


def test_a_lock_on_a_file_that_was_deleted_in_the_meantime_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    opened = locks._open_lock_file

    def open_and_lose(path: Path) -> int:
        fd = opened(path)
        path.unlink()
        return fd

    with monkeypatch.context() as patch:
        patch.setattr(locks, "_open_lock_file", open_and_lose)
        assert not FileLock(path).try_acquire()
    held = FileLock(path)
    assert held.try_acquire()
    assert not FileLock(path).try_acquire()
    held.release()


def test_after_the_lock_file_was_deleted_versions_stop_the_second_owner(database: Path) -> None:
    first, second = OwnerLock(database, JOB), OwnerLock(database, JOB)
    with open_at(database) as one, open_at(database) as two:
        first.acquire()
        one.append([submitted()])
        (locks_dir(database) / JOB).unlink()
        second.acquire()
        two.append([started(2)])
        with pytest.raises(VersionConflict):
            one.append([skipped(2)])
    first.release()
    second.release()


def test_a_command_that_an_owner_starts_does_not_inherit_the_lock(database: Path) -> None:
    lock = OwnerLock(database, JOB)
    lock.acquire()
    child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        lock.release()
        assert not has_owner(database, JOB)
    finally:
        end_process(child)
