"""One suite for every executor: the same work, and the same end wherever it is performed.

`Stand` performs work on one executor; `CASES` are the work and what has to come of it. Differences
that are meant are in `MEANT`, and others that are known in `FAULTS`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orc.ledger.digest import Digest
from orc.scheduler.executors.contract import (
    INHERITED,
    PLACES,
    Place,
    Placement,
    Ticket,
    Work,
    WorkFile,
    WorkLimits,
    WorkOutcome,
)
from orc.worker.declared import Declared

SECRET = "canary-51c7e2"
LIMITS = WorkLimits(file_bytes=4 << 20, output_bytes=1 << 16, log_bytes=1 << 20)
GRACE_S = 0.5
MODULE = """
import os, sys, time
def double(number): return 2 * number
def fail(): raise ValueError("not today")
def talk(): print("said"); return "done"
def odd(): return {1, 2}
def many(count): return "x" * count
def env(name): return os.environ.get(name)
def leave(): os._exit(5)
def save(): open("made.txt", "w").write("by function")
def wait(): time.sleep(60)
"""
MEANT: Mapping[str, Mapping[str, str]] = {
    # A local command's stdout is masked by the scheduler, which reads values out of it first; what
    # comes from another machine is masked there already.
    "local": {"a secret is in the environment and is masked in the log": "stdout"},
    # The agent sends what was printed up to the limit. The scheduler does not read it.
    "loopback": {"an output over its limit": "stdout"},
    "shared": {"an output over its limit": "stdout"},
    "dask": {"an output over its limit": "stdout"},
}
"""Differences that are meant: what is not compared, by executor and case."""
FAULTS: Mapping[tuple[str, str], str] = {}
"""Differences that are not meant, and not mended yet."""


@dataclass
class Given:
    """One attempt, as any executor sees it."""

    ticket: Ticket
    folder: Path
    contents: dict[str, bytes]
    secrets: Mapping[str, str]
    epoch: int = 3
    commits: list[str] = field(default_factory=list)
    shown: bytearray = field(default_factory=bytearray)

    @property
    def places(self) -> Mapping[Place, str]:
        return {place: str(self.folder / place) for place in ("work", "spec", "artifacts")}

    @property
    def log_path(self) -> str:
        return f"{self.folder}/log"

    def read_input(self, file: WorkFile) -> Path:
        path = self.folder / f"input-{file.sha256}"
        path.write_bytes(self.contents[file.sha256])
        return path

    async def place(self, placement: Placement) -> None:
        self.commits.append("placed")

    async def unplace(self, run: str, reason: str) -> None:
        self.commits.append("unplaced")

    async def reattach(self, run: str) -> None:
        self.commits.append("reattached")

    def take_log(self, pieces: Iterable[bytes]) -> None:
        Path(self.log_path).write_bytes(b"".join(pieces))

    def printed(self, offset: int, content: bytes) -> None:
        if offset == len(self.shown):
            self.shown += content


@dataclass(frozen=True)
class Case:
    """Work, and what comes of it. Only what is named is compared; None as a mode is any."""

    name: str
    script: str = ""
    argv: tuple[str, ...] = ()
    function: str = ""
    args: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    modes: Mapping[str, str] = field(default_factory=dict)
    work: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    end: str = "exit 0"
    stdout: bytes | None = None
    stderr: bytes | None = None
    answer: Any = None
    answer_has: str = ""
    message: str = ""
    made: Mapping[str, bytes] | None = None
    made_modes: Mapping[str, str | None] = field(default_factory=dict)
    artifacts: Mapping[str, bytes] | None = None
    log_has: bytes = b""
    log_lacks: bytes = b""
    check: Callable[[Seen], None] | None = None

    def __str__(self) -> str:
        return self.name

    def given(self, folder: Path, step: str) -> tuple[Given, Work]:
        contents = {hashlib.sha256(one).hexdigest(): one for one in self.files.values()}
        inputs = tuple(_item(path, one, self.modes.get(path)) for path, one in self.files.items())
        shipped: tuple[WorkFile, ...] = ()
        if self.function:
            shipped = (_item("steps.py", MODULE.encode(), None),)
            contents[shipped[0].sha256] = MODULE.encode()
        fields: dict[str, Any] = {
            "argv": self.argv or (("/bin/sh", "-c", self.script) if not self.function else ()),
            "function": self.function,
            "args": self.args,
            "places": PLACES,
            "inherited": INHERITED,
            "secrets": tuple(self.secrets),
            "inputs": inputs,
            "shipped": shipped,
            "limits": LIMITS,
            "grace_s": GRACE_S,
            **self.work,
            "globs": tuple(map(Declared, self.work.get("globs", ()))),
        }
        work = Work("function" if self.function else "command", **fields)
        return Given(Ticket("job-1", step, 1), folder, contents, self.secrets), work


@dataclass(frozen=True)
class Seen:
    """What an executor made of a case."""

    outcome: WorkOutcome
    made: Mapping[str, bytes]
    artifacts: Mapping[str, bytes]
    log: bytes

    @property
    def end(self) -> str:
        one = self.outcome
        if one.broken is not None:
            return f"broken {one.broken.kind}"
        return f"signal {one.signal}" if one.signal else f"exit {one.exit_code}"


def check_case(case: Case, seen: Seen, *, stand: str) -> None:
    """Compare what came of a case with what has to."""
    outcome = seen.outcome
    skipped = MEANT.get(stand, {}).get(case.name, "")
    assert seen.end == case.end, outcome
    if case.stdout is not None and skipped != "stdout":
        assert outcome.stdout == case.stdout
    if case.stderr is not None:
        assert outcome.stderr_tail == case.stderr
    if case.message:
        assert outcome.broken is not None
        assert case.message in outcome.broken.message
    if case.function and outcome.answer is not None:
        assert case.answer_has in outcome.answer.decode()
        if case.answer is not None:
            assert json.loads(outcome.answer) == {"value": case.answer}
    if case.made is not None:
        assert seen.made == case.made
        modes = {file.path: file.mode for file in outcome.files}
        for path, mode in case.made_modes.items():
            assert modes[path] == mode
    if case.artifacts is not None:
        assert seen.artifacts == case.artifacts
    assert case.log_has in seen.log
    assert not case.log_lacks or case.log_lacks not in seen.log
    if case.check is not None:
        case.check(seen)


def _item(path: str, content: bytes, mode: str | None) -> WorkFile:
    return WorkFile(path, Digest(hashlib.sha256(content).hexdigest()), len(content), mode)


def _is_whole_log(seen: Seen) -> None:
    assert seen.log == b"line\n" * 2000
    assert seen.outcome.stdout == seen.log


def _is_quick(seen: Seen) -> None:
    assert seen.outcome.duration_s < 10


def _has_left_children(seen: Seen) -> None:
    assert "background process" in (seen.outcome.warning or "")


_BIG = b"0123456789abcdef" * 65536
CASES = (
    Case("a command that succeeds", "true", stdout=b"", made={}, artifacts={}),
    Case("a command that fails", "exit 3", end="exit 3"),
    Case("a high exit status", "exit 255", end="exit 255"),
    Case("a command that kills itself", "kill -KILL $$", end="signal SIGKILL"),
    Case("a command that is terminated", "kill -TERM $$", end="signal SIGTERM"),
    Case("stdout is the output", "printf 'a b\\n\\nc'", stdout=b"a b\n\nc", log_has=b"a b\n\nc"),
    Case("stdout is bytes", "printf '\\377\\000x'", stdout=b"\xff\x00x"),
    Case("stdout in any language", "printf 'é漢🙂'", stdout="é漢🙂".encode()),
    Case("stderr is talk", "echo oops >&2", stdout=b"", stderr=b"oops\n", log_has=b"oops"),
    Case("both are kept apart", "echo a; echo b >&2", stdout=b"a\n", stderr=b"b\n"),
    Case("the output of a failure is kept", "echo a; echo b >&2; exit 1", end="exit 1",
         stdout=b"a\n", stderr=b"b\n"),
    Case("much output", "yes line | head -n 2000", check=_is_whole_log),
    Case("an output over its limit", "yes", end="broken output_too_large", stdout=b""),
    Case("an output at its limit", "head -c 65536 /dev/zero | tr '\\0' x", stdout=b"x" * 65536),
    Case("a log over its limit", "head -c 2000000 /dev/zero | tr '\\0' x >&2"),
    Case("stdin is empty", "cat; echo end", stdout=b"end\n"),
    Case("a timeout", "sleep 60", work={"timeout_s": 0.5}, end="broken timeout", check=_is_quick),
    Case("a timeout of a command that ignores it", "trap '' TERM; sleep 60 & wait; sleep 60",
         work={"timeout_s": 0.5}, end="broken timeout", check=_is_quick),
    Case("a background process ends with its command", "sleep 60 & echo a", stdout=b"a\n",
         check=_has_left_children),
    Case("a missing command", argv=("no-such-command-here",), end="broken environment",
         message="was not found on"),
    Case("a file that is no command", argv=("./plain",), files={"plain": b"x"},
         end="broken environment", message="is not executable"),
    Case("a script among the inputs", argv=("./go",), files={"go": b"#!/bin/sh\necho went\n"},
         modes={"go": "755"}, stdout=b"went\n"),
    Case("arguments are not split", argv=("printf", "%s|", "a b", "", "$HOME"), stdout=b"a b||$HOME|"),
    Case("inputs are there", "cat a/b.txt c.txt", files={"a/b.txt": b"1", "c.txt": b"2"},
         stdout=b"12", made={}),
    Case("an empty input", "wc -c < e | tr -d ' '", files={"e": b""}, stdout=b"0\n"),
    Case("a large input", "wc -c < big | tr -d ' '", files={"big": _BIG}, stdout=b"1048576\n"),
    Case("a file that is made", "mkdir out; printf x > out/a.txt", work={"globs": ("out/*.txt",)},
         made={"out/a.txt": b"x"}, made_modes={"out/a.txt": None}),
    Case("a file that is changed", "printf y > in.txt", files={"in.txt": b"x"},
         work={"globs": ("*.txt",)}, made={"in.txt": b"y"}),
    Case("a file that is not changed", "touch in.txt; printf x > in.txt", files={"in.txt": b"x"},
         work={"globs": ("*.txt",)}, made={}),
    Case("a file of the same size is changed", "printf z > in.txt", files={"in.txt": b"x"},
         work={"globs": ("*.txt",)}, made={"in.txt": b"z"}),
    Case("a file beside the globs", "touch a.txt b.log", work={"globs": ("*.txt",)},
         made={"a.txt": b""}),
    Case("globs of any depth", "mkdir -p a/b; touch a/b/c.x d.x", work={"globs": ("**/*.x",)},
         made={"a/b/c.x": b"", "d.x": b""}),
    Case("names in any language", "touch 'é 漢.txt'", work={"globs": ("*.txt",)},
         made={"é 漢.txt": b""}),
    Case("an executable file", "printf x > go; chmod 755 go", work={"globs": ("go",)},
         made={"go": b"x"}, made_modes={"go": "755"}),
    Case("a private file", "printf x > key; chmod 600 key", work={"globs": ("key",)},
         made={"key": b"x"}, made_modes={"key": "600"}),
    Case("a large file", "cp big copy", files={"big": _BIG}, work={"globs": ("copy",)},
         made={"copy": _BIG}),
    Case("artifacts", "mkdir $ORC_ARTIFACTS/d; printf p > $ORC_ARTIFACTS/d/plot",
         artifacts={"d/plot": b"p"}, made={}),
    Case("artifacts of a failure", "printf p > $ORC_ARTIFACTS/plot; exit 1", end="exit 1",
         artifacts={"plot": b"p"}),
    Case("variables of the spec", "printf \"$A|$B\"", work={"env": {"A": "1 2", "B": "é"}},
         stdout="1 2|é".encode()),
    Case("what a command asked for", 'printf "$ORC_CPU $OMP_NUM_THREADS ${ORC_GPU-none}"',
         work={"resources": {"cpu": 1}}, stdout=b"1 1 none"),
    Case("what a function asked for", function="steps:env", args={"name": "ORC_CPU"},
         work={"resources": {"cpu": 0.5}}, answer="0.5"),
    Case("the working folder is the place for work", '[ "$(pwd -P)" = "$(cd . && pwd -P)" ]; ls -a',
         stdout=b".\n..\n"),
    Case("places are variables", '[ -d "$ORC_SPEC_DIR" ] && [ -d "$ORC_ARTIFACTS" ]'),
    Case("other variables do not come along", 'printf "${TEST_STRAY-none}"', stdout=b"none"),
    Case("a secret is in the environment and is masked in the log", 'echo "${#KEY} $KEY"',
         secrets={"KEY": SECRET}, stdout=b"13 [secret KEY]\n", log_has=b"[secret KEY]",
         log_lacks=SECRET.encode()),
    Case("a secret on stderr", 'echo "$KEY" >&2', secrets={"KEY": SECRET},
         stderr=b"[secret KEY]\n", log_lacks=SECRET.encode()),
    Case("the value of a function", function="steps:double", args={"number": 21}, answer=42),
    Case("a text in any language", function="steps:double", args={"number": "é漢"}, answer="é漢é漢"),
    Case("what a function raises", function="steps:fail", answer_has="not today"),
    Case("what a function prints", function="steps:talk", answer="done", log_has=b"said"),
    Case("a value that is not JSON", function="steps:odd", answer_has="JSON"),
    Case("a large value", function="steps:many", args={"count": 200_000}, answer="x" * 200_000),
    Case("a function that is not there", function="steps:nothing", answer_has="nothing"),
    Case("a secret of a function", function="steps:env", args={"name": "KEY"},
         secrets={"KEY": SECRET}, log_lacks=SECRET.encode()),
    Case("a function that ends its process", function="steps:leave", end="exit 5"),
    Case("a function that makes a file", function="steps:save", work={"globs": ("*.txt",)},
         made={"made.txt": b"by function"}),
    Case("a timeout of a function", function="steps:wait", work={"timeout_s": 1.0},
         end="broken timeout", check=_is_quick),
)  # fmt: skip
