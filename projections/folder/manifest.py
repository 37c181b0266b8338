"""`manifest.json`: the summary of a job, as a fold of its events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct, ValidationError, field

from orc.ledger.errors import RemovedBlob
from orc.ledger.events import (
    JobAmended,
    JobCancelled,
    JobFailed,
    JobResumed,
    JobSubmitted,
    JobSucceeded,
    Payload,
    Recorded,
    StepFailed,
    StepInterrupted,
    StepReused,
    StepSucceeded,
    TokenUsage,
)
from orc.ledger.file_owners import dropped_by
from orc.ledger.inputs.read_inputs import inputs_in
from orc.ledger.kinds import INTERRUPTED, NOT_DONE, OPEN
from orc.ledger.step_names import container_of, is_within
from orc.ledger.stored import parse_time
from orc.ledger.stored_struct import dump, dump_set
from orc.projections.folder.pretty_json import render_pretty
from orc.projections.folds.doubt_finder import DoubtFinder, worst_cost
from orc.projections.folds.doubts import Doubts
from orc.projections.folds.owned_files import OwnedFiles
from orc.projections.folds.tolerance_fold import ToleranceFold
from orc.projections.money.prices import NO_PRICES, CallPricer, PricedCall, PriceTable, Spending

MONEY_KEYS = ("cost_usd", "cost_known_usd", "calls_unpriced", "prices_sha256")
"""The keys whose values depend on the table of prices, besides the events."""

TOLERATED_KEY = "tolerated_failures"
"""The key that manifests of older versions of orc do not have."""

PLACED_KEY = "placed"
"""The key of a step that older versions did not write, either."""

INPUTS_KEY = "inputs"
"""The files of the inputs, which older versions did not write, either."""

UNKNOWN_SPEC: dict[str, Any] = {"provider": None, "model": None, "steps": []}
"""Takes the place of a spec whose bytes were removed from the ledger."""


class _Step(Struct):
    status: str = "pending"
    attempts: int = 0
    duration_s: float = 0.0
    provider_calls: int = 0
    usage: dict[str, int] = field(default_factory=dict)
    failure: dict[str, str] | None = None
    tolerated: bool = False
    has_expanded: bool = False
    reused_from: dict[str, str] | None = None
    placed: dict[str, str] | None = None
    doubts: Doubts = field(default_factory=Doubts)


class _Steps(dict[str, _Step]):
    """The steps by id. If the spec's bytes were removed, an event that names a step adds the step."""

    def __missing__(self, step_id: str) -> _Step:
        self[step_id] = _Step()
        return self[step_id]

    def by_level(self) -> dict[str, _Step]:
        """The steps of the spec, then the children of each in their order, and so on.

        Steps expand in the order in which they happen to begin; this order is always the same.
        """
        inside: dict[str | None, list[str]] = {}
        for name in self:
            parent = container_of(name)
            inside.setdefault(parent if parent in self else None, []).append(name)
        names = inside.get(None, [])
        for name in names:
            # Grows while it is read: each container adds its children behind it.
            names.extend(inside.get(name, ()))
        return {name: self[name] for name in names}


class Manifest:
    """The manifest of one job: apply the events in order, and render it at any time.

    `read_payload` returns the value of a payload, which may be in a blob. `owned` are the job's
    files, if the caller applies each event to them itself.
    """

    def __init__(
        self,
        read_payload: Callable[[Payload], Any],
        *,
        prices: PriceTable = NO_PRICES,
        owned: OwnedFiles | None = None,
    ) -> None:
        self._read_payload = read_payload
        self._prices = prices
        self._pricer = CallPricer(prices)
        self._spent = Spending()
        self._finder, self._doubts = DoubtFinder(), Doubts()
        self._tolerated = ToleranceFold()
        self._head: dict[str, Any] = {}
        self._job: dict[str, Any] = {}
        self._inputs: list[dict[str, Any]] = []
        self._status = "running"
        self._started_at: str | None = None
        self._finished_at: str | None = None
        self._steps = _Steps()
        self._owned = OwnedFiles() if owned is None else owned
        self._folds_owned = owned is None
        self._job_failure: dict[str, str] | None = None
        self._removed: dict[str, _Step] = {}

    def apply(self, recorded: Recorded) -> None:
        """Apply the next event of the job."""
        self._head = {"version": recorded.version, "hash": recorded.hash}
        if self._folds_owned:
            self._owned.apply(recorded)
        self._tolerated.apply(recorded)
        event = recorded.event
        priced = self._pricer.take(recorded)
        if priced is not None:
            self._count(priced)
        if (in_doubt := self._finder.take(event)) is not None:
            for doubts in (self._steps[in_doubt.step].doubts, self._doubts):
                doubts.add(worst_cost(in_doubt))
        match event.type:
            case "job.submitted":
                self._submitted(recorded, event)
            case "job.started":
                self._started_at = recorded.recorded_at
            case "job.resumed":
                self._resumed(event)
            case "job.interrupted":
                self._status = INTERRUPTED
            case "job.cancelling":
                for name, step in self._steps.items():
                    if step.status in OPEN and name not in event.steps:
                        step.status = "cancelled"
            case "job.waiting":
                self._status = "waiting"
            case "step.expanded":
                self._steps[event.step].has_expanded = True
                for child in event.children:
                    self._steps[child] = self._removed.pop(child, _Step())
            case "approval.requested" | "budget.exceeded":
                self._steps[event.step].status = "waiting"
            case "job.succeeded" | "job.failed" | "job.cancelled":
                self._ended(recorded, event)
            case "step.started":
                step = self._steps[event.step]
                step.status, step.attempts, step.placed = "running", event.attempt, None
            case "step.placed":
                self._steps[event.step].placed = {
                    "executor": event.executor,
                    "worker": event.worker,
                    "host": event.host,
                }
            case "step.unplaced":
                self._steps[event.step].placed = None
            case "step.succeeded" | "step.failed" | "step.interrupted":
                self._attempt_ended(event)
            case "step.skipped":
                self._steps[event.step].status = "skipped"
            case "llm.responded" | "llm.failed":
                self._steps[event.step].provider_calls += 1
            case "step.reused":
                self._reused(event)
            case "job.amended":
                self._amended(event)
            case _:
                pass

    def value(self, *, as_recorded: bool = False) -> dict[str, Any]:
        """The manifest as a JSON value.

        Its order depends on the outcome alone: the steps of the spec, then the items, rounds and
        members of each, level by level; files by path. With `as_recorded`, inner steps are in the
        order in which they were recorded, as earlier versions of orc wrote them.
        """
        steps = self._steps if as_recorded else self._steps.by_level()
        tolerated = self._tolerated.of_job()
        done = [name for name, step in steps.items() if step.status == "succeeded"]
        pending = [name for name, step in steps.items() if step.status in OPEN]
        return {
            **self._job,
            "status": self._status,
            "started_at": self._started_at,
            "finished_at": self._finished_at,
            "duration_s": _duration(self._started_at, self._finished_at),
            "steps": {
                name: {
                    "status": step.status,
                    "attempts": step.attempts,
                    "duration_s": round(step.duration_s, 6),
                    "provider_calls": step.provider_calls,
                    "usage": step.usage,
                    **({"reused_from": step.reused_from} if step.reused_from else {}),
                    **({PLACED_KEY: step.placed} if step.placed else {}),
                    **({"in_doubt": step.doubts.value()} if step.doubts.calls else {}),
                }
                for name, step in steps.items()
            },
            **({INPUTS_KEY: self._inputs} if self._inputs else {}),
            "files": self._files(),
            "failures": self._failures(steps),
            **({TOLERATED_KEY: tolerated.value()} if tolerated.total else {}),
            "completed_steps": done,
            "pending_steps": pending,
            "usage": self._usage(),
            **self._spent.value(),
            **({"in_doubt": self._doubts.value()} if self._doubts.calls else {}),
            "prices_sha256": self._prices.digest,
            "ledger_head": self._head,
        }

    def render(self) -> bytes:
        """The bytes of `manifest.json`."""
        return render_manifest(self.value())

    def _submitted(self, recorded: Recorded, event: JobSubmitted) -> None:
        spec = self._read_spec(event)
        self._job = {
            "job_id": recorded.job_id,
            "project": event.project,
            **_about(spec),
            **({"forked_from": event.forked_from} if event.forked_from else {}),
        }
        self._inputs = _input_files(spec)
        self._steps = _Steps({step["id"]: _Step() for step in spec["steps"]})

    def _read_spec(self, event: JobSubmitted | JobAmended) -> Any:
        try:
            return self._read_payload(event.spec)
        except RemovedBlob:
            return UNKNOWN_SPEC

    def _reused(self, event: StepReused) -> None:
        step = self._steps[event.step]
        step.status, step.failure, step.placed = "succeeded", None, None
        step.reused_from = {
            "job_id": event.from_job,
            "step": event.from_step,
            "reason": event.reason,
        }

    def _amended(self, event: JobAmended) -> None:
        spec = self._read_spec(event)
        self._job |= _about(spec)
        self._inputs = _input_files(spec)
        self._resumed(event)
        self._status = INTERRUPTED
        named = dropped_by(event)
        dropped = {name for name in self._steps if is_within(name, named)}
        for name in dropped:
            # Attempts, time and usage stay: they were spent.
            step = self._steps[name]
            step.status, step.failure, step.reused_from = "pending", None, None
            step.tolerated, step.has_expanded, step.placed = False, False, None
        before = self._removed | self._steps
        self._steps = _Steps(
            {step["id"]: before.pop(step["id"], _Step()) for step in spec["steps"]}
        )
        inside = [name for name in before if name not in dropped and name not in self._removed]
        self._steps.update((name, before.pop(name)) for name in inside)
        self._removed = before

    def _files(self) -> list[dict[str, Any]]:
        return [
            {**dump_set(owned.file), "step": owned.step}
            for owned in sorted(self._owned.outputs, key=lambda owned: owned.file.path)
        ]

    def _resumed(self, event: JobResumed | JobAmended) -> None:
        self._status, self._finished_at, self._job_failure = "running", None, None
        kept = set(event.kept or ())
        for name, step in self._steps.items():
            is_reopened = step.status in NOT_DONE and not step.tolerated and name not in kept
            if is_reopened:
                step.status, step.failure = "running" if step.has_expanded else "pending", None

    def _ended(self, recorded: Recorded, event: JobSucceeded | JobFailed | JobCancelled) -> None:
        self._status = event.type.removeprefix("job.")
        self._finished_at = recorded.recorded_at
        if isinstance(event, JobFailed):
            of_job = [failure for failure in event.failures if failure.step is None]
            for failure in of_job:
                self._job_failure = {"kind": failure.kind, "message": failure.message}
        if isinstance(event, JobCancelled):
            for step in self._steps.values():
                if step.status in OPEN:
                    step.status = "cancelled"

    def _attempt_ended(self, event: StepSucceeded | StepFailed | StepInterrupted) -> None:
        step = self._steps[event.step]
        step.duration_s += event.duration_s or 0.0
        if isinstance(event, StepSucceeded):
            step.status, step.failure = "succeeded", None
        elif isinstance(event, StepInterrupted):
            step.status = "pending"
        else:
            step.status = "failed" if event.retry_at is None else "waiting"
            step.failure = {"kind": event.kind, "message": event.message}
            step.tolerated = bool(event.tolerated)

    def _count(self, call: PricedCall) -> None:
        used = self._steps[call.step].usage
        for name, count in dump(call.usage).items():
            used[name] = used.get(name, 0) + count
        self._spent.add(call.cost_nano_usd)

    def _failures(self, steps: Mapping[str, _Step]) -> list[dict[str, Any]]:
        of_job = [{**self._job_failure, "step": None}] if self._job_failure else []
        return of_job + [
            {"kind": step.failure["kind"], "step": name, "message": step.failure["message"]}
            for name, step in steps.items()
            if step.status == "failed" and step.failure is not None
        ]

    def _usage(self) -> dict[str, int]:
        total: dict[str, int] = dump(TokenUsage())
        for step in (*self._steps.values(), *self._removed.values()):
            for name, count in step.usage.items():
                total[name] += count
        return total


def _about(spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "task_description": spec.get("task_description"),
        "provider": spec["provider"],
        "model": spec["model"],
    }


def _input_files(spec: Any) -> list[dict[str, Any]]:
    """The files of the inputs; `path` is that in `inputs/<name>/` of the run folder."""
    try:
        return [
            {
                "name": name,
                "path": file.path,
                "sha256": file.sha256,
                "size_bytes": file.size_bytes,
            }
            for name, read in inputs_in(spec)
            for file in read.files
        ]
    except ValidationError:
        # A spec that this version cannot read; its other facts are in the manifest all the same.
        return []


def render_manifest(value: dict[str, Any]) -> bytes:
    """The bytes of `manifest.json` for its JSON value."""
    text = render_pretty(value).replace("\x7f", "\\u007f")
    return text.encode() + b"\n"


def _duration(started_at: str | None, finished_at: str | None) -> float | None:
    if started_at is None or finished_at is None:
        return None
    between = parse_time(finished_at) - parse_time(started_at)
    return max(0.0, round(between.total_seconds(), 6))
