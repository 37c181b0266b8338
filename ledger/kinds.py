"""The facts about each kind of step, and the groups of statuses. Every package reads them here.

This module imports only the standard library, so that commands which only read tables start
fast. The behaviour of a kind is elsewhere: in the models of the spec (`scheduler/core/spec`),
in rendering (`scheduler/rendering.py`) and in the effects (`scheduler/effects`).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

StepKind = Literal["prompt", "embed", "run", "python", "value", "group", "approval"]
"""The kinds of steps in a definition."""

Shape = Literal["for_each", "loop", "group"]
"""The ways in which a step contains other steps."""

FailureKind = Literal[
    "rate_limit",
    "timeout",
    "connection",
    "server_error",
    "protocol",
    "auth",
    "bad_request",
    "refused",
    "context_length",
    "schema",
    "exit_code",
    "signal",
    "output_too_large",
    "path",
    "template",
    "budget",
    "rejected",
    "environment",
    "internal",
]

TRANSIENT: tuple[FailureKind, ...] = (
    "rate_limit",
    "timeout",
    "connection",
    "server_error",
    "protocol",
)
"""Failures of a call that a later attempt may not have."""

NEVER_RETRIED: tuple[FailureKind, ...] = ("template", "path", "environment", "internal")
"""Failures that every attempt would repeat. They are retried only if `retry_on` names them."""

FileOrigin = Literal["reply", "vectors", "tool", "command", "function", "value", "reused"]
"""What made a file: a model's reply, vectors that a model computed, a tool call, a command, a Python
function, or a value in the spec. `reused` means that the file was reused and this ledger does not
know its origin."""


class Kind(NamedTuple):
    """The facts about all steps of one kind or shape.

    `marks` are the spec keys that select this kind; a step has one of them. `takes` are the
    spec keys that this kind accepts and some other kind does not. `attempts`, `retry_on`
    (empty: any failure), `timeout_s` and `attempt_timeout_s` are defaults. `makes` is the origin of
    the step's files, `described` a sentence for exports, and `shown_by` a hint for steps without a log.
    """

    name: str
    marks: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    writes_text: bool = False
    """Whether a model writes an answer, of at most `max_tokens` tokens."""
    embeds: bool = False
    """Whether a model turns texts into vectors, whose number and size the texts decide."""
    runs_code: bool = False
    """Whether it runs a command or a function. Such a step has a result key and a log, may
    leave files, and is in doubt when it is interrupted."""
    is_immediate: bool = False
    """Whether the runner computes the result at once, without a task."""
    asks_person: bool = False
    holds: Literal["item", "round", "member"] | None = None
    """The name for a step inside this one; None if it contains no steps."""
    attempts: int = 1
    retry_on: tuple[FailureKind, ...] = ()
    timeout_s: float | None = None
    attempt_timeout_s: float | None = None
    makes: FileOrigin = "value"
    gives: Literal["text", "mapping"] | None = None
    """What the step's output is, unless its `output` says otherwise; None if it can be anything."""
    described: str | None = None
    shown_by: str | None = None

    @property
    def is_container(self) -> bool:
        """Whether the step contains other steps."""
        return self.holds is not None

    @property
    def calls_model(self) -> bool:
        """Whether an attempt calls a model, so that it has a target, calls and costs."""
        return self.writes_text or self.embeds

    @property
    def does_work(self) -> bool:
        """Whether an attempt acts outside of the runner, so that it can be in doubt."""
        return self.calls_model or self.runs_code

    @property
    def is_one_action(self) -> bool:
        """Whether an attempt records no events of its own: interrupted, all of it is in doubt."""
        return self.does_work and not self.calls_model

    @property
    def holds_slot(self) -> bool:
        """Whether a running step counts against `concurrency`."""
        return self.holds is None and not self.asks_person

    @property
    def has_own_output(self) -> bool:
        """Whether the step's output is recorded only in its own result."""
        return self.is_one_action or self.is_immediate


_WORKING = ("files", "retry", "retry_on", "timeout", "total_timeout", "limits")
_TALKING = ("tools", "max_turns", "cache_prompt", "batch")
_TARGET = ("provider", "model", "base_url", "attempt_timeout", "wait_for_server")
_ASKING = ("system", *_TARGET, "fallback", "params", *_TALKING)
_REACHING_OUT = ("secrets", "on_unknown", "cache", "workspace")
_PLACED = ("executor", "resources", "labels", "queue_timeout")
_CODE = ("env", "cwd", "idempotent", *_REACHING_OUT, *_WORKING, *_PLACED)

_STEP_KINDS = (
    Kind(
        name="prompt",
        marks=("prompt", "messages"),
        gives="text",
        takes=(*_ASKING, "output", *_REACHING_OUT, *_WORKING),
        writes_text=True,
        attempts=3,
        retry_on=TRANSIENT,
        timeout_s=120.0,
        attempt_timeout_s=7200.0,
        makes="reply",
        shown_by="`orc show JOB STEP` shows what was asked and answered",
    ),
    Kind(
        name="embed",
        marks=("embed",),
        gives="mapping",
        takes=(*_TARGET, "on_unknown", "cache", *_WORKING),
        embeds=True,
        attempts=3,
        retry_on=TRANSIENT,
        timeout_s=120.0,
        attempt_timeout_s=7200.0,
        makes="vectors",
        shown_by="`orc show JOB STEP` shows which texts were sent",
    ),
    Kind(
        name="run",
        marks=("run",),
        gives="text",
        takes=("output", *_CODE),
        runs_code=True,
        makes="command",
        described="A command, as the spec gives it.",
    ),
    Kind(
        name="python",
        marks=("python",),
        takes=("args", *_CODE),
        runs_code=True,
        makes="function",
        described="A Python function, as the spec names it.",
    ),
    Kind(
        name="value",
        marks=("value",),
        takes=_WORKING,
        is_immediate=True,
        described="Data that orc computes from other steps' results.",
        shown_by="`orc show JOB STEP --output` shows its result",
    ),
    Kind(
        name="approval",
        marks=("approval",),
        gives="mapping",
        asks_person=True,
        described="A decision that orc asks of a person.",
        shown_by="`orc why JOB STEP` says what was decided",
    ),
    Kind(
        name="group",
        marks=("steps", "workflow"),
        gives="mapping",
        takes=("workspace",),
        holds="member",
    ),
)
_SHAPES = (
    Kind(name="for_each", marks=("for_each", "matrix"), holds="item"),
    Kind(name="loop", marks=("loop",), holds="round"),
)

KINDS: dict[str, Kind] = {kind.name: kind for kind in (*_STEP_KINDS, *_SHAPES)}
"""The kinds and shapes by name; the column `steps.kind` holds these names."""

OUTER_SHAPES: tuple[str, ...] = tuple(kind.name for kind in _SHAPES)
"""The shapes that any step can have in addition to its kind, outermost first. Each name is
also a field of `StepDef`."""

KIND_OF_KEY: dict[str, str] = {key: kind.name for kind in _STEP_KINDS for key in kind.marks}
"""The kind by the spec key that selects it, in the order in which messages list the keys."""


def facts_of(name: str | None) -> Kind:
    """The facts of a kind or shape by name; an unknown name gets a `Kind` with the defaults."""
    return KINDS.get(name or "") or Kind(name=name or "")


@lru_cache(maxsize=1024)
def kind_with(keys: frozenset[str]) -> str | None:
    """The kind of a step with these keys; None if none of them marks one, or several do."""
    marks = KIND_OF_KEY.keys() & keys
    return KIND_OF_KEY[marks.pop()] if len(marks) == 1 else None


def names_where(fact: str) -> tuple[str, ...]:
    """The names of the kinds and shapes for which the attribute `fact` of `Kind` is true."""
    return tuple(name for name, kind in KINDS.items() if getattr(kind, fact))


def marks_taking(key: str) -> tuple[str, ...]:
    """The marks of the kinds that accept the spec key `key`."""
    return tuple(mark for kind in _STEP_KINDS if key in kind.takes for mark in kind.marks)


StepStatus = Literal["pending", "running", "waiting", "succeeded", "failed", "skipped", "cancelled"]
"""The status of a step in the folded state."""

JobStatus = Literal[
    "submitted", "running", "stopped", "waiting", "succeeded", "failed", "cancelled"
]
"""The status of a job in the folded state.

`stopped`: the job has not ended and has no owner; readers show it as interrupted. `waiting`:
the job has no owner and needs a person to continue.
"""

WaitsFor = Literal["retry", "approval", "in_doubt", "budget", "batch"]
"""What a waiting step waits for: its next attempt, a human review, an answer about an attempt
in doubt, a raised budget, or a server that works on the batch with its call."""

PersonNeeded = Literal["approval", "in_doubt", "budget"]
"""Why a job needs a person to continue."""

WaitReason = Literal[PersonNeeded, "batch"]
"""Why a job waits without an owner: for a person, or for a server that works on its batches."""

OPEN: tuple[StepStatus, ...] = ("pending", "running", "waiting")
"""Statuses of a step that has not ended."""

NOT_RUNNING: tuple[StepStatus, ...] = ("pending", "waiting")
"""Statuses of an open step without a running attempt."""

NOT_DONE: tuple[StepStatus, ...] = ("failed", "cancelled", "skipped")
"""Statuses of an ended step that a resume reopens."""

ENDED: tuple[StepStatus, ...] = ("succeeded", *NOT_DONE)
"""Statuses of a step that has ended."""

DONE: tuple[StepStatus, ...] = ("succeeded", "skipped")
"""Statuses of a step that ended and that a resume leaves as it is."""

JOB_ENDED: tuple[JobStatus, ...] = ("succeeded", "failed", "cancelled")
"""Statuses of a job that has ended."""

JOB_ENDED_BADLY: tuple[JobStatus, ...] = ("failed", "cancelled")

JOB_RESUMABLE: tuple[JobStatus, ...] = ("running", "stopped", "waiting", *JOB_ENDED_BADLY)
"""Statuses of a job that a resume continues; `running` if its last owner died."""

JOB_RUN_ENDED: tuple[JobStatus, ...] = ("succeeded", "failed", "waiting")
"""Statuses of a job after a run that was neither stopped nor cancelled."""

JOB_AT_REST: tuple[JobStatus, ...] = ("stopped", "waiting", *JOB_ENDED)
"""Statuses of a job that no owner runs."""

HookName = Literal["succeeded", "failed", "cancelled", "waiting"]
"""The hooks of a job, each named as the status with which a run of the job ended."""

JOB_OPEN: tuple[JobStatus, ...] = ("running", "waiting")
"""The tables' statuses of a job that has not ended. The tables cannot tell a stopped job from a
running one."""

INTERRUPTED = "interrupted"
"""The shown status of a job or step that was running and has no live owner. Attempts store it."""

QUEUED = "queued"
"""The shown status of a job of the queue that no process runs: a worker will run it. Also that of a
step whose attempt has started, and waits for a worker of its executor."""

STARTING = "starting"
"""The shown status of a job that a process in the background is about to run."""

NOT_LIVE = (INTERRUPTED, QUEUED, STARTING)
"""The shown statuses of a job that no process runs yet, and that neither waits nor has ended."""

CACHED = "cached"
"""The shown status of a step with a reused result."""

REMOVED = "removed"
"""The tables' status of a step that an amendment removed."""

SHOWN_JOB_STATUSES = (QUEUED, STARTING, *JOB_OPEN, INTERRUPTED, *JOB_ENDED)
"""The statuses of jobs that commands show."""

SHOWN_RESUMABLE = (INTERRUPTED, "waiting", *JOB_ENDED_BADLY)
"""The shown statuses of a job that `orc resume` continues."""

SHOWN_PASSED = ("succeeded", CACHED)
"""The shown statuses of a step that has a result."""

NOTABLE = ("failed", "waiting", "running", QUEUED, INTERRUPTED)
"""The shown statuses of steps that are named even if there are many steps; failed steps first."""

UNTIL_STILL_FALSE = "`until` was still false after "
"""The beginning of the warning of a loop that ended with its last round, and not by its condition."""

IN_DOUBT = "in doubt"
"""The tables' status of an attempt or call that was interrupted and may have taken effect."""

CUT_SHORT = (INTERRUPTED, IN_DOUBT)
"""Statuses of an interrupted attempt."""

ATTEMPT_STATUSES = ("running", "succeeded", "failed", *CUT_SHORT)

FROM_LEDGER = "from ledger"
"""The status of a call that a recorded reply answered; no request was sent."""

ANSWERED = ("answered", FROM_LEDGER)
"""Statuses of a call that has a reply."""

CALL_STATUSES = ("sent", *ANSWERED, "failed", IN_DOUBT)
"""Statuses of calls to models."""

TOOL_STATUSES = ("called", "returned", "error", IN_DOUBT)
"""Statuses of tool calls."""

CIRCUIT_STATUSES = ("open", "closed")

BATCH_OPEN = ("submitted", "accepted")
"""Statuses of a batch that has not ended."""

BatchOutcome = Literal[
    "completed", "expired", "cancelled", "failed", "refused", "lost", "abandoned"
]
"""How a batch ended."""

BATCH_STATUSES: tuple[str, ...] = (*BATCH_OPEN, *get_args(BatchOutcome))
"""Statuses of batches."""


def sql_list(names: Iterable[str]) -> str:
    """The names as the right side of SQL's IN. Raises ValueError for a name that needs quoting."""
    found = tuple(names)
    for name in found:
        if not name.replace("_", "").replace(" ", "").isalnum():
            raise ValueError(f"{name!r} is not the name of a kind or a status")
    return f"({', '.join(repr(name) for name in found)})"
