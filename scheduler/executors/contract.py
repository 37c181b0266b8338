"""The contract between the scheduler and an executor: work, outcomes, and the word before a start.

`Work` is a plain value that says all of what an attempt does. It holds no absolute path, no value
of a secret and nothing of the machine that wrote it, so that an executor can perform it here, in
another process or on another machine. `docs/decisions/0026-ask-before-act-and-a-lease.md` says why.

An `Executor` is what the scheduler sees. A remote one (`remote.py`) speaks with an `Engine`: a
cluster that may start work twice, lose it, or forget it. Nothing starts there before the scheduler
has committed `step.placed` for exactly that copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import trio
from msgspec import Struct, field

from orc.ledger import exit_codes
from orc.ledger.definition import Cwd
from orc.ledger.digest import Digest
from orc.ledger.kinds import FailureKind
from orc.scheduler.core.placing_commands import WorkerPlace
from orc.worker.declared import Declared

PROTOCOL = 2
"""The number of this contract. A worker with another number is refused."""

Placement = WorkerPlace
"""Where a copy of an attempt may start. `step.placed` records it.

`run` is one submission to the engine (8 hexadecimal digits); `engine` identifies the engine's
process and `worker` its worker, so that neither is mistaken for a later one.
"""

Place = Literal["work", "spec", "artifacts", "inputs"]
"""A folder that the performing side fills in: the working folder, the files of the spec's folder
that travel with the job, the folder for artifacts, and the files of inputs in the working folder."""
PLACES: Mapping[str, Place] = {
    "ORC_SPEC_DIR": "spec",
    "ORC_ARTIFACTS": "artifacts",
    "ORC_WORK_DIR": "work",
}
"""The variables whose values are places."""
INPUTS_PLACE: Mapping[str, Place] = {"ORC_INPUTS": "inputs"}
"""The variable of a job that has inputs which are files or tables."""
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR")
"""The variables that the performing side passes on from its own environment."""


class WorkFile(Struct, frozen=True):
    """A file by its path in a place, its content and its permission bits.

    `mode` has three octal digits, such as `755`; None for an ordinary file.
    """

    path: str
    sha256: Digest
    size_bytes: int
    mode: str | None = None


class WorkLimits(Struct, frozen=True):
    """Limits on what an attempt may leave, in bytes: one file, its output, its log."""

    file_bytes: int
    output_bytes: int
    log_bytes: int


class Work(Struct, frozen=True):
    """What one attempt does: a command (`argv`), or a call of a Python function.

    `env` has the variables of the spec and of orc; `places` names variables whose values are
    folders of the performing side; `inherited` are read from its surroundings. The values of
    `secrets` come with the permission to start, never with the work. `inputs` are the files that
    lie in the working folder at the start, with the empty `folders`; `shipped` are those in the
    spec's folder. Where they are laid out, `folder` is the part of the place `spec` to which the step
    belongs. The command starts in the place `cwd`. Files that match `globs` (see `capture_rules.py`)
    are the result, if the attempt made or changed them.
    `timeout_s` counts from the start of the command.
    """

    kind: Literal["command", "function"]
    argv: tuple[str, ...] = ()
    function: str = ""
    args: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, Place] = field(default_factory=dict)
    folder: str = ""
    cwd: Cwd = "work"
    inherited: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    inputs: tuple[WorkFile, ...] = ()
    shipped: tuple[WorkFile, ...] = ()
    globs: tuple[Declared, ...] = ()
    folders: tuple[str, ...] = ()
    limits: WorkLimits = WorkLimits(1 << 34, 1 << 20, 1 << 26)
    timeout_s: float | None = None
    grace_s: float = 10.0
    resources: Mapping[str, float] = field(default_factory=dict)
    labels: tuple[str, ...] = ()


class Ticket(Struct, frozen=True):
    """One attempt of one step of one job. The ledger makes it unique."""

    job_id: str
    step: str
    attempt: int

    def __str__(self) -> str:
        return f"{self.job_id}/{self.step}/{self.attempt}"

    @classmethod
    def parse(cls, text: str) -> Ticket | None:
        """The ticket in a text; None if the text is not a ticket."""
        front, _, number = text.rpartition("/")
        job_id, _, step = front.partition("/")
        if not (job_id and step and number.isascii() and number.isdecimal()):
            return None
        return cls(job_id, step, int(number))


class Broken(Struct, frozen=True):
    """Why an attempt ended without an exit status: a limit, a missing command, a full disk."""

    kind: FailureKind
    message: str


class WorkOutcome(Struct, frozen=True):
    """How an attempt ended.

    One of `exit_code`, `signal` and `broken` is set; a function that answered has `exit_code` 0 and
    its `answer`, one line of JSON. `stdout` is whole, `stderr_tail` the end of stderr. The contents
    of `files` and `artifacts` lie in the attempt's folder under `work/` and `artifacts/`. `log` is the
    whole log if it came with the outcome; otherwise it is in the file `log`. `folders` are declared
    folders that are empty. `away_s` is how long orc did not see the end of a local command. Nothing in
    an outcome is trusted: digests, sizes and paths are checked again.
    """

    exit_code: int | None = None
    signal: str | None = None
    broken: Broken | None = None
    stdout: bytes = b""
    stderr_tail: bytes = b""
    answer: bytes | None = None
    warning: str | None = None
    files: tuple[WorkFile, ...] = ()
    artifacts: tuple[WorkFile, ...] = ()
    folders: tuple[str, ...] = ()
    log_bytes: int = 0
    log: bytes | None = None
    duration_s: float = 0.0
    queued_s: float = 0.0
    away_s: float = 0.0

    @property
    def is_whole(self) -> bool:
        """Whether nothing more belongs to it that would have to be fetched."""
        return self.log is not None and not (self.files or self.artifacts or self.folders)


class Lost(Exception):
    """The attempt cannot have a result any more, and no copy of it runs.

    It is raised only when the executor's lease is over, so that another attempt may start.
    """


_SUPERSEDED = (
    "another process runs this job now, from a copy of this ledger, and workers follow only that "
    "one; go on with the other ledger"
)


class Superseded(Exception):
    """Another process owns the job now: this one may start nothing."""

    exit_code: ClassVar[int] = exit_codes.OWNED

    def __init__(self, message: str = _SUPERSEDED) -> None:
        super().__init__(message)


class LocalAttempt(Protocol):
    """One attempt, as an executor on this machine sees it.

    `places` are paths of folders of this machine; those for work and artifacts are private to the
    attempt.
    `log_path` is the file for the log, and `secrets` are the values of the work's secrets.
    """

    ticket: Ticket
    places: Mapping[Place, str]
    log_path: str
    secrets: Mapping[str, str]


class Inputs(Protocol):
    """Gives the contents of input and shipped files."""

    def read_input(self, file: WorkFile) -> Path:
        """A file with the content, to read from. Any thread may call it."""


class Attempt(LocalAttempt, Inputs, Protocol):
    """What an executor on another machine may ask of the scheduler for one attempt.

    `epoch` is the version of the job's last `job.started` or `job.resumed`. Fetched files are put
    into the folders for work and artifacts.
    """

    epoch: int

    async def place(self, placement: Placement) -> None:
        """Commit `step.placed`. Raises Superseded, and Lost if the attempt has ended already."""

    async def unplace(self, run: str, reason: str) -> None:
        """Commit `step.unplaced`: this copy was placed and never started."""

    async def reattach(self, run: str) -> None:
        """Commit `step.reattached`: a copy that an earlier process placed is still there."""

    def take_log(self, pieces: Iterable[bytes]) -> None:
        """Take the whole log of the attempt."""

    def printed(self, offset: int, content: bytes) -> None:
        """Show a piece of the log, which begins at `offset`. Pieces may be missing or come twice."""


class Executor(Protocol):
    """Performs the work of attempts."""

    name: str

    async def perform(
        self, attempt: Attempt, work: Work, *, placed: Placement | None = None
    ) -> WorkOutcome:
        """Perform the work to its end. With `placed`, first look for the copy that runs already.

        When it is cancelled, it ends the work before it returns. Raises Lost, Superseded.
        """

    async def forget(self, ticket: Ticket) -> None:
        """Drop what is kept of an attempt whose end is committed."""


class Copy(Struct, frozen=True):
    """A copy of an attempt that an engine's worker knows."""

    ticket: str
    run: str
    worker: str
    state: Literal["asking", "running", "ended", "refused"]


class Asked(Struct, frozen=True):
    """A copy waits for the permission to start."""

    ticket: str
    run: str
    worker: str
    host: str
    protocol: int


class Printed(Struct, frozen=True):
    """A piece of the log of a running copy."""

    ticket: str
    run: str
    worker: str
    offset: int
    content: bytes


class Ended(Struct, frozen=True):
    """A copy has ended; what is not part of its outcome can be fetched from that worker."""

    ticket: str
    run: str
    worker: str
    outcome: WorkOutcome


class Gone(Struct, frozen=True):
    """A worker left the engine. What it ran is dead, or dies when its lease is over.

    A copy that only asked there never asks again: submit the attempt anew.
    """

    worker: str


class EngineSeen(Struct, frozen=True):
    """The engine answers. `capacity` has the resources of each worker, by its name."""

    engine: str
    capacity: Mapping[str, Mapping[str, float]]


class EngineLost(Struct, frozen=True):
    """The engine does not answer. The driver tries to reach it again, unless this is `final`.

    It is no proof that commands have ended: the workers may still reach their engine.
    """

    reason: str
    final: bool = False


class Dropped(Struct, frozen=True):
    """The engine has no such copy any more, and it has no result; no command of it runs.

    `worker` is empty if the copy never asked.
    """

    ticket: str
    run: str
    worker: str
    reason: str


EngineEvent = Asked | Printed | Ended | Gone | EngineSeen | EngineLost | Dropped


class Census(Struct, frozen=True):
    """Copies of a job's attempts; which workers have answered, and which are there and have not."""

    copies: tuple[Copy, ...]
    answered: frozenset[str]
    silent: frozenset[str]


class Engine(Protocol):
    """What a driver does for the scheduler. Calls may be repeated; events may be lost or repeated.

    An order to a worker has the `epoch` of the process that gives it: a worker does nothing for one
    that owns the job no more.

    The calls raise EngineProblem (`errors.py`): WorkerLeft if the worker is no longer part of the
    engine, EngineUnreachable if the engine does not answer.
    """

    lease_s: float

    @property
    def events(self) -> trio.MemoryReceiveChannel[EngineEvent]:
        """The events of the engine, in the order in which they came."""

    async def submit(self, ticket: Ticket, run: str, work: Work, attempt: Inputs) -> None:
        """Give the work to the engine. A worker that takes it asks before it starts anything."""

    async def withdraw(self, ticket: Ticket, run: str) -> None:
        """Take back a copy that has not asked. If it asks nevertheless, it is refused."""

    async def allow(
        self, ticket: Ticket, run: str, worker: str, *, epoch: int, secrets: Mapping[str, str]
    ) -> None:
        """Let that copy start, once `step.placed` is committed. Repeating it changes nothing.

        Raises Superseded. Kinds of an EngineProblem: `refused` (it ended without starting),
        `unknown` (so does the worker), `missing` (contents of inputs are not there).
        """

    async def refuse(self, ticket: Ticket, run: str, worker: str, *, epoch: int) -> None:
        """Let that copy end without starting. Raises Superseded."""

    async def cancel(
        self, ticket: Ticket, run: str, worker: str, *, epoch: int, grace_s: float
    ) -> None:
        """End a running copy: SIGTERM, and SIGKILL after the grace. Raises Superseded."""

    async def count(self, job_id: str) -> Census | None:
        """The copies of the job's attempts on all workers that answer; None without an engine."""

    async def fetch(self, ticket: Ticket, run: str, worker: str, folder: Path) -> WorkOutcome:
        """Copy the files of an ended copy into `folder`; its outcome. Raises Lost."""

    async def forget(self, ticket: Ticket, run: str, worker: str, *, epoch: int) -> None:
        """Drop all that the worker keeps of that copy. Nothing is raised."""
