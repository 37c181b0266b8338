"""`manifest.json`: the summary of a job, as a fold of its events."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import UNSET, Raw
from msgspec.json import Encoder

from orc.ledger.errors import RemovedBlob
from orc.ledger.events import (
    JobAmended,
    JobCancelled,
    JobFailed,
    JobResumed,
    JobSubmitted,
    JobSucceeded,
    LlmRequested,
    Payload,
    Recorded,
    StepFailed,
    StepInterrupted,
    StepReused,
    StepSucceeded,
    TokenUsage,
)
from orc.ledger.file_owners import dropped_by
from orc.ledger.kinds import INTERRUPTED, NOT_DONE, OPEN
from orc.ledger.step_names import is_within
from orc.ledger.stored import parse_time
from orc.ledger.stored_struct import dump, dump_set
from orc.projections.folder.manifest_steps import ManifestStep, ManifestSteps
from orc.projections.folder.pretty_json import indent_json, render_pretty
from orc.projections.folds.doubt_finder import DoubtFinder, worst_cost
from orc.projections.folds.doubts import Doubts
from orc.projections.folds.input_files import InputFiles
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

WRITTEN_KEY = "cache_write_tokens"
"""The count of a usage that older versions did not have, either."""

UNKNOWN_SPEC: dict[str, Any] = {"provider": None, "model": None, "steps": []}
"""Takes the place of a spec whose bytes were removed from the ledger."""


_encode = Encoder().encode


class Manifest:
    """The manifest of one job: apply the events in order, and render it at any time.

    `read_payload` returns the value of a payload, which may be in a blob. `owned` are the job's
    files, if the caller applies each event to them itself. `inputs` are the files of its inputs, and
    `last` is the last event.
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
        self.last: Recorded | None = None
        self._job: dict[str, Any] = {}
        self.inputs = InputFiles()
        self._status = "running"
        self._started_at: str | None = None
        self._finished_at: str | None = None
        self._steps = ManifestSteps()
        self._owned = OwnedFiles() if owned is None else owned
        self._folds_owned = owned is None
        self._job_failure: dict[str, str] | None = None
        self._removed: dict[str, ManifestStep] = {}

    def apply(self, recorded: Recorded) -> None:
        """Apply the next event of the job."""
        self.last = recorded
        if self._folds_owned:
            self._owned.apply(recorded)
        event = recorded.event
        # Most events of a large job are of these two types, which the other folds do not read.
        if event.type == "step.started":
            shown = self._steps[event.step].shown
            shown.status, shown.attempts, shown.placed = "running", event.attempt, UNSET
            return
        if event.type == "step.succeeded" and event.warning is None:
            self._succeeded(event)
            return
        self._tolerated.apply(recorded)
        priced = self._pricer.take(recorded)
        if priced is not None:
            self._count(priced)
        if (in_doubt := self._finder.take(event)) is not None:
            self._doubt(in_doubt)
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
                    if step.shown.status in OPEN and name not in event.steps:
                        step.shown.status = "cancelled"
            case "job.waiting":
                self._status = "waiting"
            case "step.expanded":
                self._steps[event.step].has_expanded = True
                for child in event.children:
                    self._steps[child] = self._removed.pop(child, ManifestStep())
            case "approval.requested" | "budget.exceeded":
                self._steps[event.step].shown.status = "waiting"
            case "job.succeeded" | "job.failed" | "job.cancelled":
                self._ended(recorded, event)
            case "step.placed":
                self._steps[event.step].shown.placed = {
                    "executor": event.executor,
                    "worker": event.worker,
                    "host": event.host,
                }
            case "step.unplaced":
                self._steps[event.step].shown.placed = UNSET
            case "step.succeeded":
                self._succeeded(event)
            case "step.failed" | "step.interrupted":
                self._attempt_ended(event)
            case "step.skipped":
                self._steps[event.step].shown.status = "skipped"
            case "llm.responded" | "llm.failed":
                self._steps[event.step].shown.provider_calls += 1
            case "step.reused":
                self._reused(event)
            case "job.amended":
                self._amended(event)
            case _:
                pass

    def value(self, *, as_recorded: bool = False) -> dict[str, Any]:
        """The manifest as a JSON value; the argument is that of `render`."""
        value: dict[str, Any] = json.loads(self._text(as_recorded=as_recorded))
        return value

    def render(self, *, as_recorded: bool = False) -> bytes:
        """The bytes of `manifest.json`.

        Its order depends on the outcome alone: the steps of the spec, then the items, rounds and
        members of each, level by level; files by path. With `as_recorded`, inner steps are in the
        order in which they were recorded, as earlier versions of orc wrote them.
        """
        return _bytes_of(indent_json(self._text(as_recorded=as_recorded)))

    def tail(self) -> bytes:
        """The end of `manifest.json`, which names the last event: no other version has it."""
        return render_manifest({"ledger_head": self._head()}).removeprefix(b"{\n")

    def _text(self, *, as_recorded: bool) -> str:
        steps = self._steps if as_recorded else self._steps.by_level()
        tolerated = self._tolerated.of_job()
        statuses = [(name, step.shown.status) for name, step in steps.items()]
        before = {
            **self._job,
            "status": self._status,
            "started_at": self._started_at,
            "finished_at": self._finished_at,
            "duration_s": _duration(self._started_at, self._finished_at),
        }
        after = {
            **({INPUTS_KEY: inputs} if (inputs := self._input_files()) else {}),
            "files": self._files(),
            "failures": self._failures(steps),
            **({TOLERATED_KEY: tolerated.value()} if tolerated.total else {}),
            "completed_steps": [name for name, status in statuses if status == "succeeded"],
            "pending_steps": [name for name, status in statuses if status in OPEN],
            "usage": self._usage(),
            **self._spent.value(),
            **({"in_doubt": self._doubts.value()} if self._doubts.calls else {}),
            "prices_sha256": self._prices.digest,
            "ledger_head": self._head(),
        }
        shown = _encode({name: step.shown for name, step in steps.items()}).decode()
        if not shown.isascii():
            shown = json.dumps(json.loads(shown))
        return f'{json.dumps(before)[:-1]}, "steps": {shown}, {json.dumps(after)[1:]}'

    def _head(self) -> dict[str, Any]:
        last = self.last
        return {} if last is None else {"version": last.version, "hash": last.hash}

    def _submitted(self, recorded: Recorded, event: JobSubmitted) -> None:
        spec = self._read_spec(event)
        self._job = {
            "job_id": recorded.job_id,
            "project": event.project,
            **_about(spec),
            **({"forked_from": event.forked_from} if event.forked_from else {}),
        }
        self._steps = ManifestSteps({step["id"]: ManifestStep() for step in spec["steps"]})

    def _read_spec(self, event: JobSubmitted | JobAmended) -> Any:
        try:
            spec = self._read_payload(event.spec)
        except RemovedBlob:
            spec = UNKNOWN_SPEC
        self.inputs.apply(spec)
        return spec

    def _reused(self, event: StepReused) -> None:
        step = self._steps[event.step]
        step.shown.status, step.failure, step.shown.placed = "succeeded", None, UNSET
        step.shown.reused_from = {
            "job_id": event.from_job,
            "step": event.from_step,
            "reason": event.reason,
        }

    def _amended(self, event: JobAmended) -> None:
        spec = self._read_spec(event)
        self._job |= _about(spec)
        self._resumed(event)
        self._status = INTERRUPTED
        named = dropped_by(event)
        dropped = {name for name in self._steps if is_within(name, named)}
        for name in dropped:
            # Attempts, time and usage stay: they were spent.
            step = self._steps[name]
            step.failure, step.tolerated, step.has_expanded = None, False, False
            step.shown.status, step.shown.reused_from, step.shown.placed = "pending", UNSET, UNSET
        before = self._removed | self._steps
        self._steps = ManifestSteps(
            {step["id"]: before.pop(step["id"], ManifestStep()) for step in spec["steps"]}
        )
        inside = [name for name in before if name not in dropped and name not in self._removed]
        self._steps.update((name, before.pop(name)) for name in inside)
        self._removed = before

    def _input_files(self) -> list[dict[str, Any]]:
        """The files of the inputs; `path` is that in `inputs/<name>/` of the run folder."""
        return [
            {
                "name": name,
                "path": file.path,
                "sha256": file.sha256,
                "size_bytes": file.size_bytes,
            }
            for name, read in self.inputs.read.items()
            for file in read.files
        ]

    def _files(self) -> list[dict[str, Any]]:
        return [
            {**dump_set(owned.file), "step": owned.step}
            for owned in sorted(self._owned.outputs, key=lambda owned: owned.file.path)
        ]

    def _resumed(self, event: JobResumed | JobAmended) -> None:
        self._status, self._finished_at, self._job_failure = "running", None, None
        kept = set(event.kept or ())
        for name, step in self._steps.items():
            shown = step.shown
            is_reopened = shown.status in NOT_DONE and not step.tolerated and name not in kept
            if is_reopened:
                shown.status, step.failure = "running" if step.has_expanded else "pending", None

    def _ended(self, recorded: Recorded, event: JobSucceeded | JobFailed | JobCancelled) -> None:
        self._status = event.type.removeprefix("job.")
        self._finished_at = recorded.recorded_at
        if isinstance(event, JobFailed):
            of_job = [failure for failure in event.failures if failure.step is None]
            for failure in of_job:
                self._job_failure = {"kind": failure.kind, "message": failure.message}
        if isinstance(event, JobCancelled):
            for step in self._steps.values():
                if step.shown.status in OPEN:
                    step.shown.status = "cancelled"

    def _succeeded(self, event: StepSucceeded) -> None:
        step = self._steps[event.step]
        step.add_time(event.duration_s)
        step.shown.status, step.failure = "succeeded", None

    def _attempt_ended(self, event: StepFailed | StepInterrupted) -> None:
        step = self._steps[event.step]
        step.add_time(event.duration_s)
        if isinstance(event, StepInterrupted):
            step.shown.status = "pending"
        else:
            step.shown.status = "failed" if event.retry_at is None else "waiting"
            step.failure = {"kind": event.kind, "message": event.message}
            step.tolerated = bool(event.tolerated)

    def _count(self, call: PricedCall) -> None:
        shown = self._steps[call.step].shown
        before = shown.usage
        shown.usage = before | {
            name: before.get(name, 0) + count for name, count in dump(call.usage).items()
        }
        self._spent.add(call.cost_nano_usd)

    def _doubt(self, request: LlmRequested) -> None:
        step = self._steps[request.step]
        step.doubts = step.doubts or Doubts()
        for doubts in (step.doubts, self._doubts):
            doubts.add(worst_cost(request))
        step.shown.in_doubt = Raw(json.dumps(step.doubts.value()).encode())

    def _failures(self, steps: Mapping[str, ManifestStep]) -> list[dict[str, Any]]:
        of_job = [{**self._job_failure, "step": None}] if self._job_failure else []
        return of_job + [
            {"kind": step.failure["kind"], "step": name, "message": step.failure["message"]}
            for name, step in steps.items()
            if step.shown.status == "failed" and step.failure is not None
        ]

    def _usage(self) -> dict[str, int]:
        total: dict[str, int] = dump(TokenUsage())
        for step in (*self._steps.values(), *self._removed.values()):
            # Most steps of a large job have none.
            if step.shown.usage:
                for name, count in step.shown.usage.items():
                    total[name] += count
        return total


def _about(spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "task_description": spec.get("task_description"),
        "provider": spec["provider"],
        "model": spec["model"],
    }


def render_manifest(value: dict[str, Any]) -> bytes:
    """The bytes of `manifest.json` for its JSON value."""
    return _bytes_of(render_pretty(value))


def _bytes_of(text: str) -> bytes:
    return text.replace("\x7f", "\\u007f").encode() + b"\n"


def _duration(started_at: str | None, finished_at: str | None) -> float | None:
    if started_at is None or finished_at is None:
        return None
    between = parse_time(finished_at) - parse_time(started_at)
    return max(0.0, round(between.total_seconds(), 6))
