"""The replies of a run as recorded replies: what `replay` answers from, and how two runs differ."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from orc.ledger.events import (
    CacheHit,
    JobAmended,
    LlmFailed,
    LlmRequested,
    LlmResponded,
    Payload,
    Recorded,
    StepFailed,
    StepReused,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    StepSwitched,
    TokenUsage,
)
from orc.ledger.step_names import is_within
from orc.projections.folds.owned_files import OwnedFiles, dropped_by

ReadPayload = Callable[[Payload | None], Any]


def build_recording(events: Iterable[Recorded], read: ReadPayload) -> dict[str, Any]:
    """The document that `replay` answers from: each step's replies, in the order of its calls.

    Failed calls are left out, since a replay is to go as the run went in the end;
    but for the last one of a step that failed by it.
    """
    takes: dict[str, _Take] = {}
    for recorded in events:
        event = recorded.event
        step = getattr(event, "step", None)
        if step is not None:
            takes.setdefault(step, _Take()).hear(event, read)
        elif isinstance(event, JobAmended):
            # What they were told before is no part of how the job went in the end.
            named = dropped_by(event)
            takes = {name: take for name, take in takes.items() if not is_within(name, named)}
    return {
        "version": 1,
        "replies": {step: take.replies() for step, take in takes.items() if take.replies()},
    }


@dataclass(slots=True)
class _Take:
    """One step as it is recorded."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    asked: str | None = None
    failure: dict[str, Any] | None = None
    is_spoilt: bool = False

    def hear(self, event: Any, read: ReadPayload) -> None:
        match event:
            case StepSwitched():
                # Who is asked next is asked from the beginning.
                self.entries.clear()
            case StepStarted():
                if self.is_spoilt:
                    self.entries.clear()
                self.failure, self.is_spoilt = None, False
            case LlmRequested():
                self.asked = event.prompt_sha256
                self.failure = None
            case LlmResponded():
                entry = _entry(event, event.usage, read(event.reply))
                self.entries.append(entry | {"request": self.asked})
            case CacheHit() if event.reply is not None:
                entry = _entry(event, event.usage, read(event.reply))
                self.entries.append(entry | {"request": event.prompt_sha256})
            case LlmFailed():
                self.failure = {"error": {"kind": event.kind, "message": event.message}}
            case StepFailed():
                # A resumed step asks anew after an answer that was of no use.
                self.is_spoilt = bool(event.on_content) and event.retry_at is None

    def replies(self) -> list[dict[str, Any]]:
        return self.entries if self.failure is None else [*self.entries, self.failure]


def _entry(event: LlmResponded | CacheHit, usage: TokenUsage | None, reply: Any) -> dict[str, Any]:
    entry = dict(reply)
    if event.provider:
        entry["provider"] = event.provider
    if event.model:
        entry["model"] = event.model
    if event.finish_reason:
        entry["finish_reason"] = event.finish_reason
    if usage is not None:
        counts = {name: count for name, count in usage.model_dump().items() if count}
        entry |= {"usage": counts} if counts else {}
    return entry


@dataclass(frozen=True, slots=True)
class Difference:
    """Where one run of a job is not like another."""

    step: str
    what: str
    recorded: Any
    found: Any

    def as_json(self) -> dict[str, Any]:
        """As a JSON value."""
        return {
            "step": self.step,
            "what": self.what,
            "recorded": self.recorded,
            "found": self.found,
        }


@dataclass(slots=True)
class _Course:
    """What a step did, as far as it should be the same in every run."""

    requests: list[str] = field(default_factory=list)
    is_over: bool = False
    end: tuple[str, Any] = ("unfinished", None)

    def follow(self, event: Any, read: ReadPayload) -> bool:
        """Take the step's next event; whether it ends the step."""
        match event:
            case StepStarted() if self.is_over:
                self.requests.clear()
                self.is_over = False
            case StepSwitched():
                self.requests.clear()
            case LlmRequested() | CacheHit(prompt_sha256=str()):
                # One that is sent again, after a failure or a crash, is the same one.
                if event.prompt_sha256 not in self.requests:
                    self.requests.append(str(event.prompt_sha256))
            case StepSucceeded():
                self.end = ("succeeded", read(event.output))
            case StepReused():
                self.end = ("succeeded", read(event.output))
            case StepFailed() if event.retry_at is None:
                self.end = ("failed", event.kind)
                self.is_over = bool(event.on_content)
            case StepSkipped():
                self.end = ("skipped", None)
            case _:
                return False
        return isinstance(event, StepSucceeded | StepReused | StepFailed | StepSkipped)


def find_differences(
    recorded: Iterable[Recorded], found: Iterable[Recorded], read: ReadPayload
) -> Iterator[Difference]:
    """Where the second run differs from the first, in the order in which its steps ended."""
    (before, old_owned), (after, new_owned) = _courses(recorded, read), _courses(found, read)
    for step in [*before, *(step for step in after if step not in before)]:
        old, new = before.get(step, _Course()), after.get(step, _Course())
        for place, (one, other) in enumerate(_pairs(old.requests, new.requests), start=1):
            if one != other:
                yield Difference(step, f"request {place}", one, other)
        old_files, new_files = _digests(old_owned, step), _digests(new_owned, step)
        for path in sorted(set(old_files) | set(new_files)):
            if old_files.get(path) != new_files.get(path):
                yield Difference(step, f"file {path}", old_files.get(path), new_files.get(path))
        for what, one, other in zip(("status", "output"), old.end, new.end, strict=True):
            if one != other:
                yield Difference(step, what, one, other)


def _pairs(one: list[str], other: list[str]) -> Iterator[tuple[str | None, str | None]]:
    for place in range(max(len(one), len(other))):
        yield (
            one[place] if place < len(one) else None,
            other[place] if place < len(other) else None,
        )


def _digests(owned: OwnedFiles, step: str) -> dict[str, str]:
    return {path: found.file.sha256 for path, found in owned.outputs.of_step(step).items()}


def _courses(
    events: Iterable[Recorded], read: ReadPayload
) -> tuple[dict[str, _Course], OwnedFiles]:
    """Each step's course by its id, in the order in which they ended; and the files of all."""
    owned = OwnedFiles()
    courses: dict[str, _Course] = {}
    ended: dict[str, None] = {}
    for recorded in events:
        owned.apply(recorded)
        event = recorded.event
        step = getattr(event, "step", None)
        if isinstance(event, JobAmended):
            named = dropped_by(event)
            for name in [name for name in courses if is_within(name, named)]:
                del courses[name]
                ended.pop(name, None)
        if step is None:
            continue
        if courses.setdefault(step, _Course()).follow(event, read):
            ended.pop(step, None)
            ended[step] = None
    order = [*ended, *(step for step in courses if step not in ended)]
    return {step: courses[step] for step in order}, owned
