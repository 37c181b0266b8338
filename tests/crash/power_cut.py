"""A model of a disk after a power cut, applied to the recorded writes of a real process.

`strace` records the system calls of a process. At a power cut, all data that was not synced is
dropped, kept or torn at 512 bytes, at random. A name that was created, moved or removed is certain
once its folder was synced; before that it is kept or lost at random, in the order of the calls.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

from tests.processes import ROOT, WAIT_S, orc_environment

SECTOR_BYTES = 512
_CALLS = (
    "pwrite64,write,ftruncate,fsync,fdatasync,openat,mkdir,mkdirat,"
    "rename,renameat,renameat2,unlink,unlinkat"
)
_LINE = re.compile(r"(\d+) +(.*)")
_CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+)")
_TEXT = r'"((?:\\x[0-9a-f]{2})*)"'
_FD = r"(?:AT_FDCWD|\d+)<((?:\\x[0-9a-f]{2})*)>(?:\(deleted\))?"


@dataclass(frozen=True, slots=True)
class Op:
    """One call that changes the disk, or, as `say`, an acknowledgement on stdout."""

    kind: str
    path: str = ""
    content: bytes = b""
    offset: int = 0
    to: str = ""


@cache
def why_not() -> str:
    """Why nothing can be recorded on this machine; empty if it can."""
    strace = shutil.which("strace")
    if strace is None:
        return "records system calls with strace, which is not installed"
    tried = subprocess.run([strace, "-f", "-y", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "strace may not trace processes here"


def record(code: str, *arguments: str, folder: Path) -> list[Op]:
    """Run a Python program; its calls on files under `folder`, and its output on stdout."""
    if why_not():
        pytest.skip(why_not())
    trace = folder.with_name(folder.name + ".strace")
    command = ["strace", "-f", "-y", "-xx", "-s", "100000000", "-e", f"trace={_CALLS}"]
    ended = subprocess.run(
        [*command, "-o", str(trace), sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env=orc_environment(),
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    ops = list(parse(trace.read_text().splitlines(), under=str(folder)))
    trace.unlink()
    return ops


def parse(lines: Iterable[str], *, under: str) -> Iterator[Op]:
    """The successful calls that concern the folder, in the order in which they ended."""
    begun: dict[str, str] = {}
    places: dict[int, int] = {}
    for line in lines:
        found = _LINE.fullmatch(line)
        if found is None:
            continue
        thread, text = found.groups()
        if text.endswith("<unfinished ...>"):
            begun[thread] = text.removesuffix("<unfinished ...>")
            continue
        if text.startswith("<... "):
            text = begun.pop(thread) + text.partition("resumed>")[2]
        call = _CALL.match(text)
        if call is None or int(call[3]) < 0:
            continue
        for op in _ops(call[1], call[2], int(call[3]), places):
            if op.kind == "say" or (op.path + "/").startswith(under + "/"):
                yield op


def _ops(name: str, arguments: str, result: int, places: dict[int, int]) -> Iterator[Op]:
    match name:
        case "openat":
            place, path = _match(rf"{_FD}, {_TEXT}", arguments)
            places[result] = 0
            full = os.path.join(place, path)
            if "O_CREAT" in arguments:
                yield Op("create", full)
            if "O_TRUNC" in arguments:
                yield Op("truncate", full)
        case "write":
            path, content = _match(rf"{_FD}, {_TEXT}", arguments)
            fd = int(arguments.partition("<")[0])
            raw = content.encode("latin-1")[:result]
            if fd == 1:
                yield Op("say", content=raw)
                return
            yield Op("write", path, raw, places.get(fd, 0))
            places[fd] = places.get(fd, 0) + result
        case "pwrite64":
            path, content = _match(rf"{_FD}, {_TEXT}", arguments)
            offset = int(arguments.rpartition(", ")[2])
            yield Op("write", path, content.encode("latin-1")[:result], offset)
        case "ftruncate":
            [path] = _match(_FD, arguments)
            yield Op("truncate", path, offset=int(arguments.rpartition(", ")[2]))
        case "fsync" | "fdatasync":
            [path] = _match(_FD, arguments)
            yield Op("sync", path)
        case "mkdir" | "mkdirat" | "unlink" | "unlinkat":
            [path] = _paths(arguments)
            yield Op("mkdir" if name.startswith("mkdir") else "unlink", path)
        case _:
            path, to = _paths(arguments)
            yield Op("rename", path, to=to)


def _match(pattern: str, text: str) -> list[str]:
    found = re.match(pattern, text)
    assert found is not None, text[:200]
    return [_unhex(group) for group in found.groups()]


def _paths(arguments: str) -> list[str]:
    found = re.findall(rf"(?:{_FD}, )?{_TEXT}", arguments)
    return [os.path.join(_unhex(place), _unhex(path)) for place, path in found]


def _unhex(text: str) -> str:
    return bytes.fromhex(text.replace("\\x", "")).decode("latin-1")


@dataclass
class _File:
    durable: bytearray = field(default_factory=bytearray)
    waiting: list[Op] = field(default_factory=list)

    def sync(self) -> None:
        for op in self.waiting:
            _apply(self.durable, op)
        self.waiting.clear()

    def after_cut(self, chance: random.Random, fate: str) -> bytes:
        content = bytearray(self.durable)
        for op in self.waiting:
            happens = chance.choice(("drop", "keep", "tear")) if fate == "mixed" else fate
            if happens == "keep":
                _apply(content, op)
            elif happens == "tear" and op.kind == "write":
                for part in _sectors(op):
                    if chance.random() < 0.5:
                        _apply(content, part)
        return bytes(content)


@dataclass
class _Folder:
    durable: dict[str, _File | _Folder] = field(default_factory=dict)
    now: dict[str, _File | _Folder] = field(default_factory=dict)
    waiting: list[tuple[str, str, _File | _Folder | None]] = field(default_factory=list)
    """Old name, new name, and what has it then; an empty name for none."""

    def change(self, old: str, new: str, entry: _File | _Folder | None) -> None:
        _move(self.now, old, new, entry)
        self.waiting.append((old, new, entry))

    def sync(self) -> None:
        for change in self.waiting:
            _move(self.durable, *change)
        self.waiting.clear()


class Disk:
    """The state of one folder: what was written, and what of it is synced."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._top = _Folder()

    def apply(self, op: Op) -> None:
        """Apply one call."""
        if op.kind == "say" or op.path.endswith("-shm"):
            # The shared-memory file is mapped, and need not survive.
            return
        if op.path == self._root:
            if op.kind == "sync":
                self._top.sync()
            return
        parent, name = self._parent(op.path)
        there = parent.now.get(name)
        match op.kind:
            case "create" if there is None:
                parent.change("", name, _File())
            case "mkdir":
                parent.change("", name, _Folder())
            case "unlink":
                parent.change(name, "", None)
            case "rename":
                target, to = self._parent(op.to)
                assert target is parent, "moves between folders are not modelled"
                parent.change(name, to, there)
            case "sync":
                assert there is not None
                there.sync()
            case "write" | "truncate":
                assert isinstance(there, _File)
                there.waiting.append(op)

    def cut(self, target: Path, *, seed: int) -> None:
        """Write to disk what a power cut at this moment may leave."""
        chance = random.Random(seed)
        fate = chance.choice(("drop", "keep", "mixed", "mixed"))
        target.mkdir()
        _lay_out(self._top, target, chance, fate)

    def _parent(self, path: str) -> tuple[_Folder, str]:
        *parts, name = path.removeprefix(self._root + "/").split("/")
        folder = self._top
        for part in parts:
            entry = folder.now[part]
            assert isinstance(entry, _Folder)
            folder = entry
        return folder, name


def _lay_out(folder: _Folder, target: Path, chance: random.Random, fate: str) -> None:
    entries = dict(folder.durable)
    count = len(folder.waiting)
    kept = {"drop": 0, "keep": count}.get(fate, chance.randint(0, count))
    for change in folder.waiting[:kept]:
        _move(entries, *change)
    for name, entry in entries.items():
        if isinstance(entry, _Folder):
            (target / name).mkdir()
            _lay_out(entry, target / name, chance, fate)
        else:
            (target / name).write_bytes(entry.after_cut(chance, fate))


def _move(
    entries: dict[str, _File | _Folder], old: str, new: str, entry: _File | _Folder | None
) -> None:
    entries.pop(old, None)
    if new and entry is not None:
        entries[new] = entry


def _apply(content: bytearray, op: Op) -> None:
    if op.kind == "truncate":
        del content[op.offset :]
        content.extend(bytes(op.offset - len(content)))
        return
    if len(content) < op.offset:
        content.extend(bytes(op.offset - len(content)))
    content[op.offset : op.offset + len(op.content)] = op.content


def _sectors(op: Op) -> Iterator[Op]:
    """The parts of a write by sector."""
    start = 0
    while start < len(op.content):
        end = start + SECTOR_BYTES - (op.offset + start) % SECTOR_BYTES
        yield Op("write", op.path, op.content[start:end], op.offset + start)
        start = end
