"""A power cut: acknowledged data is kept, no other data is half written, and the job resumes."""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from orc.cli.jobs.places import Places, open_for_writing
from orc.cli.jobs.resume import resume
from orc.cli.jobs.sync import run_sync
from orc.ledger import LedgerReader
from orc.ledger.digest import digest_bytes
from orc.projections import Publisher, Verifier
from tests.crash.power_cut import Disk, Op, record

STEPS = 24
CUTS = 150
CUTS_LONG = 2000
RESUMED_EACH = 30
"""Of so many cuts one is resumed to its end; all of them are read and verified."""

_SPEC = """
project: lasting
steps:
"""
_WRITER = """
import os, sys
from pathlib import Path
import orc.cli.jobs.folders, orc.ledger.files.folder, orc.ledger.store
from orc.cli.jobs.owned_job import Listener
from orc.cli.jobs.places import Places
from orc.cli.jobs.prepare import Submission
from orc.cli.jobs.run import run
from orc.cli.jobs.sync import run_sync
from orc.ledger.digest import digest_bytes

folder, weakened = Path(sys.argv[1]), sys.argv[2]
orc.cli.jobs.folders.REFRESH_S = 0.02

def say(*words):
    # One write each: what stands in the trace before it has been done.
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

connect = orc.ledger.store.connect_writer
def connect_differently(path):
    connection = connect(path)
    # A short job then has several checkpoints, and a log that begins anew.
    connection.execute("PRAGMA wal_autocheckpoint = 60")
    if weakened == "NORMAL":
        connection.execute("PRAGMA synchronous = NORMAL")
    return connection
orc.ledger.store.connect_writer = connect_differently
if weakened == "no fsync":
    os.fsync = lambda fd: None

write = orc.ledger.files.folder.Folder.write_parts
def write_and_say(self, relative, parts, *, mode=None):
    content = b"".join(parts)
    path = (self.path / relative).relative_to(folder)
    say("BEGIN", path, digest_bytes(content))
    write(self, relative, (content,), mode=mode)
    say("FILE", path, digest_bytes(content))
orc.ledger.files.folder.Folder.write_parts = write_and_say

ended = run_sync(
    run,
    Submission(folder.with_name("spec.yaml")),
    places=Places.find(database=folder / "runs.db", environment={}),
    environment=dict(os.environ),
    version="0",
    listener=Listener(on_events=lambda batch: say("ACK", batch[-1].version)),
)
assert ended.status == "succeeded"
say("DONE")
"""


_IS_BEHIND = re.compile(r"is missing from the run folder$|^the run folder has event \d+ of \d+;")


@dataclass(frozen=True)
class Recording:
    """A recorded run of a job: its calls on the disk, and the events of its ledger."""

    folder: Path
    ops: list[Op]
    job_id: str
    hashes: tuple[str, ...]
    """The chain's hash at each version, from the first."""
    files: dict[str, str]


def record_job(folder: Path, *, steps: int, weakened: str = "") -> Recording:
    """Run a chain of steps that each write a file, and record it with strace."""
    chance = random.Random(7)
    lines = [
        f"  s{n}: {{needs: {[f's{n - 1}'] if n else []}, "
        f"value: '{chance.randbytes(700).hex()}', files: [{{path: deep/s{n}.txt}}]}}"
        for n in range(steps)
    ]
    target = folder / "job"
    target.mkdir()
    (folder / "spec.yaml").write_text(_SPEC + "\n".join(lines) + "\n")
    ops = record(_WRITER, str(target), weakened, folder=target)
    with LedgerReader.open(target / "runs.db") as ledger:
        rows = ledger.connection.execute("SELECT job_id, hash FROM events ORDER BY version")
        found = rows.fetchall()
    files = files_under(target)
    # The recorded run folder; a ledger that is laid out elsewhere must not find it.
    shutil.rmtree(target)
    return Recording(target, ops, found[0][0], tuple(link for _, link in found), files)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return record_job(tmp_path_factory.mktemp("recorded"), steps=STEPS)


@dataclass
class Said:
    """What the process had acknowledged by then."""

    version: int = 0
    is_done: bool = False

    def __post_init__(self) -> None:
        self.files: dict[str, str] = {}
        self.ever: dict[str, set[str]] = {}

    def hear(self, op: Op) -> None:
        match op.content.decode().split():
            case ["ACK", version]:
                self.version = int(version)
            case ["BEGIN", path, digest]:
                self.ever.setdefault(path, set()).add(digest)
            case ["FILE", path, digest]:
                self.files[path] = digest
            case ["DONE"]:
                self.is_done = True


def cuts_of(recording: Recording, count: int) -> Iterator[tuple[int, Said, Path]]:
    """This many moments of the recording: the seed, the acknowledgements before, and the disk."""
    moments = sorted(random.Random(count).choices(range(len(recording.ops) + 1), k=count))
    disk, said = Disk(recording.folder), Said()
    done = 0
    for seed, moment in enumerate(moments):
        for op in recording.ops[done:moment]:
            disk.apply(op)
            if op.kind == "say":
                said.hear(op)
        done = moment
        with tempfile.TemporaryDirectory() as place:
            target = Path(place) / "job"
            disk.cut(target, seed=seed)
            yield seed, said, target


def version_after(recording: Recording, folder: Path) -> int:
    """The number of events in the ledger, opened by orc; their chain must be the recorded one."""
    places = Places.find(database=folder / "runs.db", environment={})
    with open_for_writing(places, {}, create=True) as ledger:
        rows = ledger.connection.execute("SELECT hash FROM events ORDER BY version").fetchall()
    assert [link for (link,) in rows] == list(recording.hashes[: len(rows)])
    return len(rows)


def lost_files(said: Said, folder: Path) -> list[str]:
    """Files that were published before the cut and are missing or incomplete."""
    lost = []
    for path in said.files:
        file = folder / path
        if not file.exists() or digest_bytes(file.read_bytes()) not in said.ever[path]:
            lost.append(path)
    return lost


def check_cut(recording: Recording, seed: int, said: Said, folder: Path) -> None:
    # First: a ledger on another disk is a copy, which notes its own identity when it is opened.
    lost = lost_files(said, folder)
    version = version_after(recording, folder)
    assert version >= said.version, f"cut {seed}: {version} events of {said.version} acknowledged"
    assert lost == [], f"cut {seed}"
    runs = folder / "runs" / recording.job_id
    for path in runs.rglob("*"):
        if path.is_file() and not path.name.endswith(".orc-tmp"):
            relative = str(path.relative_to(folder))
            assert digest_bytes(path.read_bytes()) in said.ever[relative], f"cut {seed}: {relative}"
    if version == 0:
        return
    with LedgerReader.open(folder / "runs.db") as ledger:
        # The tables are not compared: they take long, and are written in the transaction of the events.
        verifier = Verifier(ledger, tables=seed % 4 == 0)
        # A run folder may be older than its ledger, but never newer or different.
        problems = verifier.check_job(recording.job_id, folder=runs).problems
        assert [problem for problem in problems if not _IS_BEHIND.search(problem)] == []
        Publisher(ledger, recording.job_id, runs).publish()
        problems = verifier.check_job(recording.job_id, folder=runs).problems
        assert [*problems, *verifier.check_file()] == [], f"cut {seed}"
    if seed % RESUMED_EACH == 0:
        check_resumes(recording, folder)


def check_resumes(recording: Recording, folder: Path) -> None:
    places = Places.find(database=folder / "runs.db", environment={})
    ended = run_sync(resume, recording.job_id, places=places, environment=dict(os.environ))
    assert ended.status == "succeeded"
    assert files_under(folder) == recording.files
    with LedgerReader.open(folder / "runs.db") as ledger:
        assert Verifier(ledger).check_job(recording.job_id, folder=ended.folder).problems == ()


def files_under(folder: Path) -> dict[str, str]:
    """The digests of all output files of the folder's only job."""
    [outputs] = folder.glob("runs/*/outputs")
    return {
        str(path.relative_to(outputs)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in outputs.rglob("*")
        if path.is_file()
    }


def test_a_power_cut_loses_nothing_that_was_acknowledged(recording: Recording) -> None:
    for seed, said, folder in cuts_of(recording, CUTS):
        check_cut(recording, seed, said, folder)


@pytest.mark.torture
def test_two_thousand_power_cuts_lose_nothing_that_was_acknowledged(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    longer = record_job(tmp_path_factory.mktemp("recorded"), steps=2 * STEPS)
    for seed, said, folder in cuts_of(longer, CUTS_LONG):
        check_cut(longer, seed, said, folder)


def test_with_synchronous_normal_the_same_cuts_lose_acknowledged_events(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """This shows that the model can find a loss: only the setting differs."""
    weak = record_job(tmp_path_factory.mktemp("weak"), steps=STEPS // 2, weakened="NORMAL")
    lost = [
        said.version - version
        for _, said, folder in cuts_of(weak, CUTS // 3)
        if (version := version_after(weak, folder)) < said.version
    ]
    assert len(lost) > CUTS // 15
    assert max(lost) > 1


def test_without_fsync_the_same_cuts_lose_published_files(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    weak = record_job(tmp_path_factory.mktemp("weak"), steps=STEPS // 2, weakened="no fsync")
    cuts = cuts_of(weak, CUTS // 3)
    assert sum(bool(lost_files(said, folder)) for _, said, folder in cuts) > CUTS // 15
