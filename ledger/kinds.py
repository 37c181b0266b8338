"""The facts about kinds of steps, and the groups of statuses: one table that every package reads.

Plain data from the standard library, so that commands which only read tables start fast. What
a kind does stands elsewhere: the models of the spec (`scheduler/core/spec`), rendering
(`scheduler/rendering.py`) and the effects (`scheduler/effects`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

StepKind = Literal["prompt", "run", "python", "value", "group", "approval"]
"""What a step of a recorded spec is."""

Shape = Literal["for_each", "loop", "group"]
"""How a step holds other steps."""

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
]

TRANSIENT: tuple[FailureKind, ...] = (
    "rate_limit",
    "timeout",
    "connection",
    "server_error",
    "protocol",
)
"""Failures of a call that may pass with time."""

NEVER_RETRIED: tuple[FailureKind, ...] = ("template", "path", "environment")
"""Failures that another attempt cannot heal; only a `retry_on` that names one retries it."""

Making = Literal["reply", "tool", "command", "function", "value", "reused"]
"""What made a file: a model's reply, a model's call of a tool, a command, a Python
function, the spec's own text; or it was used again, and this ledger has not who made it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What is true of all steps of one kind, or of one shape.

    `marks` are the keys of the spec of which one makes a step one of this kind; `takes` are
    keys that not every kind takes. `attempts`, `retry_on` (empty: any failure) and
    `timeout_s` are the defaults. `makes` is what its files come from, `described` a sentence
    for exports, and `shown_by` says where to look in place of a log.
    """

    name: str
    marks: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    calls_model: bool = False
    runs_code: bool = False
    """Runs a command or a function of the spec's author: its result is looked up by a key
    of its work, it may leave files, it has a log, and when it is cut short its work is in doubt."""
    is_immediate: bool = False
    """The runner computes it at once, without a task."""
    asks_person: bool = False
    holds: Literal["item", "round", "member"] | None = None
    """What each step inside is called, where it holds other steps and does nothing itself."""
    attempts: int = 1
    retry_on: tuple[FailureKind, ...] = ()
    timeout_s: float | None = None
    makes: Making = "value"
    described: str | None = None
    shown_by: str | None = None

    @property
    def is_container(self) -> bool:
        """Whether it holds other steps."""
        return self.holds is not None

    @property
    def does_work(self) -> bool:
        """Whether its attempts do something outside of the runner: it can be in doubt."""
        return self.calls_model or self.runs_code

    @property
    def holds_slot(self) -> bool:
        """Whether a running step counts against `concurrency`."""
        return not (self.is_container or self.asks_person)

    @property
    def has_own_output(self) -> bool:
        """Whether its output stands in no reply, no decision and no other step."""
        return self.runs_code or self.is_immediate


_WORKING = ("files", "retry", "retry_on", "timeout", "total_timeout")
_ASKING = ("system", "provider", "model", "base_url", "fallback", "params", "tools", "max_turns")
_REACHING_OUT = ("secrets", "on_unknown", "cache")
_CODE = ("env", "idempotent", *_REACHING_OUT, *_WORKING)

_STEP_KINDS = (
    Kind(
        name="prompt",
        marks=("prompt", "messages"),
        takes=(*_ASKING, "output", *_REACHING_OUT, *_WORKING),
        calls_model=True,
        attempts=3,
        retry_on=TRANSIENT,
        timeout_s=120.0,
        makes="reply",
        shown_by="`orc blame`, `orc browse` and `orc search` show what was asked and answered",
    ),
    Kind(
        name="run",
        marks=("run",),
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
        shown_by="`orc tail JOB --step STEP` shows its result",
    ),
    Kind(
        name="approval",
        marks=("approval",),
        asks_person=True,
        described="A decision that orc asks of a person.",
        shown_by="`orc why JOB STEP` says what was decided",
    ),
    Kind(name="group", marks=("steps", "workflow"), holds="member"),
)
_SHAPES = (
    Kind(name="for_each", marks=("for_each", "matrix"), holds="item"),
    Kind(name="loop", marks=("loop",), holds="round"),
)

KINDS: dict[str, Kind] = {kind.name: kind for kind in (*_STEP_KINDS, *_SHAPES)}
"""The kinds and the shapes by name; the tables' column `steps.kind` has one of these names."""

OUTER_SHAPES: tuple[str, ...] = tuple(kind.name for kind in _SHAPES)
"""The shapes that a key of any step gives, outermost first: each is a field of its definition."""

KIND_OF_KEY: dict[str, str] = {key: kind.name for kind in _STEP_KINDS for key in kind.marks}
"""The kind by the key of the spec that makes it, in the order in which people are told of them."""


def facts_of(name: str | None) -> Kind:
    """The facts of a kind or shape by name; of an unknown one, none is true."""
    return KINDS.get(name or "") or Kind(name=name or "")


def names_where(fact: str) -> tuple[str, ...]:
    """The names of the kinds of which a fact, an attribute of `Kind`, is true."""
    return tuple(name for name, kind in KINDS.items() if getattr(kind, fact))


def marks_taking(key: str) -> tuple[str, ...]:
    """The keys of the spec that make a step which takes `key`."""
    return tuple(mark for kind in _STEP_KINDS if key in kind.takes for mark in kind.marks)


StepStatus = Literal["pending", "running", "waiting", "succeeded", "failed", "skipped", "cancelled"]
"""The status of a step while its job is folded."""

JobStatus = Literal[
    "submitted", "running", "stopped", "waiting", "succeeded", "failed", "cancelled"
]
"""`stopped` is not ended and no owner has said that it runs it; readers show it as interrupted.

`waiting` is stopped because only a person can say how it goes on.
"""

WaitsFor = Literal["retry", "approval", "in_doubt", "budget"]
"""What a waiting step waits for: its next attempt, a person's decision or answer, money."""

PersonNeeded = Literal["approval", "in_doubt", "budget"]
"""Why a job waits for a person."""

OPEN: tuple[StepStatus, ...] = ("pending", "running", "waiting")
"""Statuses of a step that has not ended."""

NOT_RUNNING: tuple[StepStatus, ...] = ("pending", "waiting")
"""Statuses of an open step without an attempt under way."""

STEP_ENDED: tuple[StepStatus, ...] = ("succeeded", "failed", "skipped", "cancelled")
"""Statuses of a step that has ended."""

NOT_DONE: tuple[StepStatus, ...] = ("failed", "cancelled", "skipped")
"""Statuses of an ended step that a resume opens again."""

DONE: tuple[StepStatus, ...] = ("succeeded", "skipped")
"""Statuses of a step that ended as its spec says."""

JOB_ENDED: tuple[JobStatus, ...] = ("succeeded", "failed", "cancelled")
"""Statuses of a job that has ended."""

JOB_ENDED_BADLY: tuple[JobStatus, ...] = ("failed", "cancelled")

JOB_AT_REST: tuple[JobStatus, ...] = ("stopped", "waiting", *JOB_ENDED)
"""Statuses of a job whose owner is done with it for now."""

JOB_OPEN: tuple[JobStatus, ...] = ("running", "waiting")
"""The tables' statuses of a job that has not ended; they do not know that one was stopped."""

INTERRUPTED = "interrupted"
"""How a job or step is shown that was running, and that no live process runs; stored of attempts."""

CACHED = "cached"
"""How a step is shown whose result is from elsewhere."""

REMOVED = "removed"
"""The tables' status of a step that an amendment took out."""

SHOWN_JOB_STATUSES = (*JOB_OPEN, INTERRUPTED, *JOB_ENDED)
"""The statuses of jobs as people see them."""

IN_DOUBT = "in doubt"
"""The tables' status of what was cut short and may have been done."""

CUT_SHORT = (INTERRUPTED, IN_DOUBT)
"""Statuses of an attempt that was cut short."""

ATTEMPT_STATUSES = ("running", "succeeded", "failed", *CUT_SHORT)

FROM_LEDGER = "from ledger"
"""The status of a call that a recorded reply answered: nothing was sent."""

ANSWERED = ("answered", FROM_LEDGER)
"""Statuses of a call that has a reply."""

CALL_STATUSES = ("sent", *ANSWERED, "failed", IN_DOUBT)
"""Statuses of calls to models."""

TOOL_STATUSES = ("called", "returned", "error", IN_DOUBT)
"""Statuses of a model's calls of tools."""

CIRCUIT_STATUSES = ("open", "closed")


def sql_list(names: Iterable[str]) -> str:
    """Names of ours as the right side of SQL's IN. Raises ValueError for what needs quoting."""
    found = tuple(names)
    for name in found:
        if not name.replace("_", "").replace(" ", "").isalnum():
            raise ValueError(f"{name!r} is no name of a kind or a status")
    return f"({', '.join(repr(name) for name in found)})"
