"""A disk that fails at any call: exit code 74, one message with what to do, and a job that resumes."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orc.ledger import connection, failpoints
from orc.ledger.exit_codes import ENVIRONMENT, STORAGE
from tests.cli.command_line import Said, orc, work_in
from tests.crash.power_cut import why_not
from tests.processes import (
    ORC,
    WAIT_S,
    end_process,
    event_types,
    has_event,
    new_marker,
    orc_environment,
    processes_with,
    start_orc,
    wait_until,
)

_SPEC = """
project: places
steps:
  first: {value: "one", files: [{path: deep/one.txt}]}
  second: {needs: first, run: "cat deep/one.txt; echo two > two.txt; echo said", files: [two.txt]}
  third: {needs: second, value: "${{ steps.second.output }}", files: [{path: three.txt}]}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    work_in(tmp_path, monkeypatch)
    (tmp_path / "spec.yaml").write_text(_SPEC)
    yield tmp_path
    failpoints.arm(None)


def files_of(folder: Path) -> dict[str, bytes]:
    """The files in the outputs of the folder's only job, also unexpected ones."""
    [outputs] = folder.glob("runs/*/outputs")
    return {
        str(path.relative_to(outputs)): path.read_bytes()
        for path in outputs.rglob("*")
        if path.is_file()
    }


_WHOLE = {
    "places/deep/one.txt": b"one",
    "places/two.txt": b"two\n",
    "places/three.txt": b"onesaid",
}


def clear(folder: Path) -> None:
    """Remove the ledger and the run folders."""
    for path in folder.glob("runs*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def check_said(code: int, err: str) -> None:
    """Check that there is one message about the disk, and no traceback."""
    assert code in (0, STORAGE, ENVIRONMENT), err
    assert "Traceback" not in err
    if code == STORAGE:
        complaints = [line for line in err.splitlines() if line.startswith("orc: ")]
        assert len(complaints) == 1, err
        assert "resume" in complaints[0] or "cannot create" in complaints[0], err


def check_goes_on(folder: Path) -> None:
    """Check that no file is half written, that the ledger verifies, and that a resume ends the job."""
    for path in folder.glob("runs/*/outputs/**/*"):
        relative = str(path).partition("/outputs/")[2]
        if path.is_file() and not path.name.endswith(".orc-tmp"):
            assert path.read_bytes() == _WHOLE[relative]
    resumed = orc("resume", "latest")
    if resumed.code == 6:
        resumed = orc("run", "spec.yaml")
    assert resumed.code == 0, resumed.err
    assert event_types(folder / "runs.db")[-1] == "job.succeeded"
    assert files_of(folder) == _WHOLE
    verified = orc("verify")
    assert verified.code == 0, verified.out + verified.err


_NO_DISK = ("ledger.after_apply", "process.", "call.")


def hits_of_a_run(folder: Path) -> list[str]:
    """Each failpoint of a whole run at which it uses the disk, as `name@count`."""
    trace = folder / "trace"
    failpoints.arm(f"trace:{trace}")
    assert orc("run", "spec.yaml").code == 0
    failpoints.arm(None)
    clear(folder)
    return [hit for hit in trace.read_text().split() if not hit.startswith(_NO_DISK)]


def fail_at(hit: str, name: str, folder: Path) -> Said:
    failpoints.arm(f"{hit}=errno:{name}")
    said = orc("run", "spec.yaml")
    failpoints.arm(None)
    check_said(said.code, said.err)
    check_goes_on(folder)
    clear(folder)
    return said


def test_a_disk_that_fails_at_a_failpoint_loses_nothing(here: Path) -> None:
    hits = hits_of_a_run(here)
    assert len(hits) > 30
    first = {hit.partition("@")[0]: hit for hit in reversed(hits)}
    last = {hit.partition("@")[0]: hit for hit in hits}
    failing = [(hit, "ENOSPC") for hit in first.values()]
    failing += [(last[place], "EIO") for place in ("ledger.after_insert", "file.after_fsync")]
    codes = [fail_at(hit, name, here).code for hit, name in failing]
    assert codes.count(STORAGE) > len(codes) // 2


@pytest.mark.torture
@pytest.mark.parametrize("name", ["ENOSPC", "EIO", "EDQUOT", "EROFS"])
def test_a_disk_that_fails_at_any_hit_of_a_failpoint_loses_nothing(here: Path, name: str) -> None:
    for hit in hits_of_a_run(here):
        fail_at(hit, name, here)


TRACED_S = 5 * WAIT_S
"""A traced process stops at each system call, which takes long on a busy machine."""


def run_traced(call: str, folder: Path, *, inject: str = "") -> tuple[int, str, str]:
    """`orc run` under strace, and the trace with each such call on the ledger."""
    if why_not():
        pytest.skip(why_not())
    trace = folder / "trace"
    ledger = [word for name in ("runs.db", "runs.db-wal") for word in ("-P", str(folder / name))]
    options = ["-f", "-qq", "-o", str(trace), "-e", f"trace={call}"]
    options += ["-e", inject] if inject else []
    ended = subprocess.run(
        ["strace", *options, *ledger, ORC, "run", "spec.yaml"],
        cwd=folder,
        env=orc_environment(),
        capture_output=True,
        text=True,
        timeout=TRACED_S,
        check=False,
    )
    return ended.returncode, ended.stderr, trace.read_text()


def calls_of_a_run(call: str, folder: Path) -> list[int]:
    """Numbers of such calls on the ledger in a whole run: the first and last, and one between them,
    before each sync of the disk. The writes between two syncs are of one transaction.
    """
    code, err, trace = run_traced(f"{call},fdatasync", folder)
    assert code == 0, err
    clear(folder)
    found = []
    number = first = 0
    for name in re.findall(r"\b(\w+)\(", trace):
        number += name == call
        if name == "fdatasync":
            found += [first + 1, (first + 1 + number) // 2, number] if number > first else []
            first = number
    return sorted(set(found))


def run_with_failing(call: str, error: str, nth: str, folder: Path) -> tuple[int, str, bool]:
    """`orc run` in which the n-th such call on the ledger fails; whether there was one."""
    inject = f"inject={call}:error={error}:when={nth}"
    code, err, trace = run_traced(call, folder, inject=inject)
    return code, err, "(INJECTED)" in trace


@pytest.mark.parametrize(
    ("call", "error", "nth"),
    [("pwrite64", "ENOSPC", "9"), ("fdatasync", "EIO", "6+")],
)
def test_a_system_call_on_the_ledger_that_fails_stops_the_run(
    here: Path, call: str, error: str, nth: str
) -> None:
    code, err, failed = run_with_failing(call, error, nth, here)
    assert failed
    assert code == STORAGE, err
    check_said(code, err)
    check_goes_on(here)


@pytest.mark.torture
@pytest.mark.parametrize(
    ("call", "error"), [("pwrite64", "ENOSPC"), ("pwrite64", "EIO"), ("fdatasync", "EIO")]
)
def test_each_kind_of_system_call_on_the_ledger_may_fail(here: Path, call: str, error: str) -> None:
    numbers = calls_of_a_run(call, here)
    assert len(numbers) > 5
    missed = 0
    for nth in numbers:
        code, err, failed = run_with_failing(call, error, str(nth), here)
        check_said(code, err)
        # How many events a commit has depends on timing, so a run may make a few calls fewer.
        missed += not failed
        assert failed or code == 0, err
        check_goes_on(here)
        clear(here)
    assert missed < len(numbers) / 4


_SLOW = """
project: places
steps:
  before: {value: before}
  slow:
    needs: before
    run: |
      : > "$ORC_SPEC_DIR/there"
      until [ -e "$ORC_SPEC_DIR/go" ]; do sleep 0.02; done
  after: {needs: slow, value: after}
"""


def damage_while_running(folder: Path, harm: str) -> tuple[int, str]:
    """Run a job, damage its ledger during a step, and let the step end."""
    (folder / "spec.yaml").write_text(_SLOW)
    marker = new_marker()
    process = start_orc("run", "spec.yaml", cwd=folder, ORC_MARK=marker)
    database = folder / "runs.db"
    try:
        wait_until((folder / "there").exists, what="the slow step")
        wait_until(lambda: has_event(database, "step.started", step="slow"))
        match harm:
            case "deleted":
                database.rename(folder / "aside.db")
            case "replaced":
                other = sqlite3.connect(folder / "other.db")
                other.execute("CREATE TABLE somebody_elses (x)")
                other.close()
                database.rename(folder / "aside.db")
                (folder / "other.db").rename(database)
            case _:
                (folder / "runs.db-wal").unlink()
        (folder / "go").touch()
        _, said = process.communicate(timeout=WAIT_S)
        if Path("/proc/self/environ").exists():
            assert processes_with(marker) == []
    finally:
        end_process(process)
    return process.returncode, said


@pytest.mark.parametrize("harm", ["deleted", "replaced", "log deleted"])
def test_a_ledger_that_is_removed_or_replaced_stops_the_run_before_its_next_event(
    here: Path, harm: str
) -> None:
    code, said = damage_while_running(here, harm)
    assert code == STORAGE, said
    name = "runs.db-wal" if harm == "log deleted" else "runs.db"
    assert f"{here / name} was deleted or replaced while it was in use" in said
    assert "Traceback" not in said
    if harm == "replaced":
        assert b"somebody_elses" in (here / "runs.db").read_bytes()
    if harm != "log deleted":
        (here / "aside.db").rename(here / "runs.db")
    resumed = orc("resume", "latest")
    assert resumed.code == 0, resumed.err
    types = event_types(here / "runs.db")
    assert types[-1] == "job.succeeded"
    assert orc("verify").code == 0


def test_a_program_that_keeps_the_ledger_locked_is_reported_and_the_job_can_be_resumed(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert orc("run", "spec.yaml").code == 0
    monkeypatch.setattr(connection, "_BUSY_TIMEOUT_S", 0.2)
    foreign = sqlite3.connect(here / "runs.db", isolation_level=None)
    foreign.execute("BEGIN IMMEDIATE")
    begun_s = time.monotonic()
    refused = orc("run", "spec.yaml")
    assert time.monotonic() - begun_s < 10
    foreign.execute("ROLLBACK")
    foreign.close()
    assert refused.code == STORAGE
    assert "another program has kept the file busy for 200 ms; close that program" in refused.err
    assert "Traceback" not in refused.err
    assert "locked" not in refused.err
    assert orc("run", "spec.yaml").code == 0
    assert orc("verify").code == 0


def test_without_a_write_ahead_log_the_ledger_is_durable_and_a_notice_is_printed(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's dot-file locking has no shared memory, like network filesystems."""
    connect: Callable[..., sqlite3.Connection] = sqlite3.connect

    def connect_by_dotfile(path: Any, **options: Any) -> sqlite3.Connection:
        if options.pop("uri", False):
            return connect(path + "&vfs=unix-dotfile", uri=True, **options)
        return connect(f"file:{path}?vfs=unix-dotfile", uri=True, **options)

    monkeypatch.setattr(sqlite3, "connect", connect_by_dotfile)
    ended = orc("run", "spec.yaml")
    doctor = orc("doctor").out
    verified = orc("verify")
    monkeypatch.undo()
    os.chdir(here)
    assert ended.code == 0, ended.err
    assert "the filesystem does not support a write-ahead log" in ended.err
    assert "journal mode delete" in doctor
    assert verified.code == 0, verified.err
    assert not (here / "runs.db-wal").exists()
    assert event_types(here / "runs.db")[-1] == "job.succeeded"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of one megabyte in memory; the test is skipped if it cannot be mounted."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(place)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("a filesystem may not be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_filesystem_ends_the_run_and_the_job_resumes_when_it_has_grown(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work_in(small_disk, monkeypatch)
    chain = "".join(
        f"  s{n}: {{needs: {[f's{n - 1}'] if n else []}, run: 'head -c 20000 /dev/zero | "
        f'tr "\\\\0" {n % 10}; cp "$ORC_SPEC_DIR/spec.yaml" s{n}.txt\', files: [s{n}.txt]}}\n'
        for n in range(30)
    )
    (small_disk / "spec.yaml").write_text(f"project: full\nsteps:\n{chain}")
    stopped = orc("run", "spec.yaml")
    assert stopped.code == STORAGE, stopped.err
    check_said(stopped.code, stopped.err)
    assert "ree some space, then" in stopped.err
    assert 3 < event_types(small_disk / "runs.db").count("step.succeeded") < 30
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    resumed = orc("resume", "latest")
    assert resumed.code == 0, resumed.err
    assert orc("verify").code == 0
    assert len(files_of(small_disk)) == 30
    monkeypatch.chdir("/")
