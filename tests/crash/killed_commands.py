"""Kills a command at a failpoint, gives it again, and compares the end with an undisturbed command.

Every trial has the same path and begins with the same bytes, so that the ids of jobs are the same.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from orc.ledger.digest import digest_bytes
from tests.processes import read_events, run_orc

_NOT_COMPARED = ("-wal", "-shm", ".jsonl", "manifest.json", "trace")
"""Files whose bytes depend on the time, or that SQLite may leave or not."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command that is killed. `{name}` in its arguments is a value of the stand's `names`.

    `again` are the exit codes that the same command may have after a kill. A command that `runs`
    steps may leave a new job unfinished, which a resume ends, and records its interruption.
    """

    name: str
    arguments: tuple[str, ...]
    again: tuple[int, ...] = (0,)
    runs: bool = False
    first: tuple[tuple[str, ...], ...] = ()
    """Commands before it, which are not killed."""

    removes: tuple[str, ...] = ()
    """Files and folders that are removed before it."""


@dataclass
class Stand:
    """A folder with a prepared ledger, and its copy from which each trial begins."""

    folder: Path
    origin: Path
    names: dict[str, str]
    _ends: dict[str, tuple[list[str], dict[str, Any]]] = field(default_factory=dict)

    def orc(self, *arguments: str, failpoints: str = "") -> CompletedProcess[str]:
        given = [argument.format(**self.names) for argument in arguments]
        return run_orc(*given, cwd=self.folder, ORC_FAILPOINTS=failpoints, USER="somebody")

    def begin(self, command: Command) -> None:
        """Bring the folder back to its beginning, and prepare it for the command."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.origin, self.folder, symlinks=True)
        for before in command.first:
            done = self.orc(*before)
            assert done.returncode == 0, done.stderr
        for name in command.removes:
            path = self.folder / name.format(**self.names)
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def undisturbed(self, command: Command) -> tuple[list[str], dict[str, Any]]:
        """The hits of the command, and its end, without a kill."""
        if command.name not in self._ends:
            self.begin(command)
            trace = self.folder / "trace"
            done = self.orc(*command.arguments, failpoints=f"trace:{trace}")
            assert done.returncode == 0, (command.name, done.stderr)
            hits = trace.read_text().split() if trace.exists() else []
            self.finish(command)
            self._ends[command.name] = hits, self.end(command)
        return self._ends[command.name]

    def check_killed_at(self, command: Command, *points: str) -> int:
        """Kill the command at each of the points in turn, then give it again; the number of kills."""
        _, expected = self.undisturbed(command)
        self.begin(command)
        kills = 0
        for point in (*points, ""):
            failpoints = f"{point}=kill" if point else ""
            done = self.orc(*command.arguments, failpoints=failpoints)
            if done.returncode != -signal.SIGKILL:
                assert done.returncode in command.again, (command.name, points, done.stderr)
                break
            kills += 1
        self.finish(command)
        found = self.end(command)
        different = {key for key in {*found, *expected} if found.get(key) != expected.get(key)}
        assert not different, (command.name, points, different)
        left = [path for path in self.folder.rglob("*") if is_temporary(path)]
        assert left == [], (command.name, points)
        verified = self.orc("verify")
        assert verified.returncode == 0, (command.name, points, verified)
        return kills

    def finish(self, command: Command) -> None:
        """Resume the jobs that the command submitted: a killed one may have left them unfinished."""
        for job_id in _last_types(self.folder / "runs.db") if command.runs else ():
            if job_id not in self.names.values():
                done = self.orc("resume", job_id, "-q")
                assert done.returncode == 0, done.stderr

    def end(self, command: Command) -> dict[str, Any]:
        """What the command has left in the folder, without what depends on the time."""
        if not command.runs:
            return dict(_contents(self.folder))
        jobs = _last_types(self.folder / "runs.db")
        known = {job: jobs[job] for job in self.names.values()}
        places = ("out", *(f"runs/{job}" for job in known))
        files = dict(_contents(self.folder))
        return known | {name: found for name, found in files.items() if name.startswith(places)}


def is_temporary(path: Path) -> bool:
    """Whether the path is of a temporary file, or marks an unfinished folder."""
    return path.name.endswith((".orc-tmp", "-journal")) or path.name == ".orc-unfinished"


def _contents(folder: Path) -> Iterator[tuple[str, Any]]:
    for path in sorted(folder.rglob("*")):
        relative = str(path.relative_to(folder))
        if path.is_dir() or ".locks/" in relative or relative.endswith(("-wal", "-shm", "trace")):
            continue
        yield relative, _content(path)


def _content(path: Path) -> Any:
    if path.name.endswith(_NOT_COMPARED) or path.name.endswith(".search"):
        return None
    content = path.read_bytes()
    if not content.startswith(b"SQLite format 3"):
        return digest_bytes(content)
    rows = [(event["job_id"], event["version"], event["type"]) for event in read_events(path)]
    return rows, _removed_blobs(path)


def _removed_blobs(database: Path) -> list[tuple[str, str]]:
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)
    try:
        query = "SELECT sha256, typeof(content) FROM blobs ORDER BY sha256"
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def _last_types(database: Path) -> dict[str, str]:
    return {event["job_id"]: event["type"] for event in read_events(database)}


def counts(hits: list[str]) -> Counter[str]:
    """How often each place was hit."""
    return Counter(hit.partition("@")[0] for hit in hits)


def folder_of_stand(root: Path) -> tuple[Path, Path]:
    """The paths of a stand's folder and of the copy from which it begins."""
    folder, origin = root / "work", root / "origin"
    os.makedirs(folder)
    return folder, origin
