"""Builds recorded replies from a job's events, and compares two runs of a job."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from msgspec import Struct, field

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
from orc.ledger.file_owners import dropped_by
from orc.ledger.gathered import comparable
from orc.ledger.step_names import is_within
from orc.ledger.stored_struct import dump
from orc.projections.folds.owned_files import OwnedFiles

ReadPayload = Callable[[Payload | None], Any]


def build_recording(events: Iterable[Recorded], read: ReadPayload) -> dict[str, Any]:
    """The recorded replies of a job, for the provider `replay`: by step, in the order of the calls.

    A failed call is left out if the step called again, so that a replay takes the same course
    without the failures. A failed call that ended the step is kept.
    """
    recordings: dict[str, _StepRecording] = {}
    results: dict[int, _StepRecording] = {}
    for recorded in events:
        event = recorded.event
        step = getattr(event, "step", None)
        if isinstance(event, StepReused) and event.version in results and _is_kept(recorded):
            # An amendment kept the result of an item, with its replies.
            assert step is not None
            recordings[step] = results[recorded.version] = results[event.version]
        elif step is not None:
            recordings.setdefault(step, _StepRecording()).apply(event, read)
            if isinstance(event, StepSucceeded):
                results[recorded.version] = recordings[step]
        elif isinstance(event, JobAmended):
            # The steps run again: their earlier replies are not part of the result.
            named = dropped_by(event)
            recordings = {
                name: one for name, one in recordings.items() if not is_within(name, named)
            }
    return {
        "version": 1,
        "replies": {step: one.replies() for step, one in recordings.items() if one.replies()},
    }


def _is_kept(recorded: Recorded) -> bool:
    """Whether the event says that an amendment did not change the work of a step in an item."""
    event = recorded.event
    return (
        isinstance(event, StepReused)
        and event.reason == "amend"
        and event.from_job == recorded.job_id
    )


class _StepRecording(Struct):
    """The recorded replies of one step."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    request: str | None = None
    failure: dict[str, Any] | None = None
    is_rejected: bool = False

    def apply(self, event: Any, read: ReadPayload) -> None:
        match event:
            case StepSwitched():
                # The next target gets the conversation from its beginning.
                self.entries.clear()
            case StepStarted():
                if self.is_rejected:
                    self.entries.clear()
                self.failure, self.is_rejected = None, False
            case LlmRequested():
                self.request = event.prompt_sha256
                self.failure = None
            case LlmResponded():
                entry = _entry(event, event.usage, read(event.reply))
                self.entries.append(entry | {"request": self.request})
            case CacheHit() if event.reply is not None:
                entry = _entry(event, event.usage, read(event.reply))
                self.entries.append(entry | {"request": event.prompt_sha256})
            case LlmFailed():
                self.failure = {"error": {"kind": event.kind, "message": event.message}}
            case StepFailed():
                # The step rejected a reply: after a resume it begins the conversation again.
                self.is_rejected = bool(event.on_content) and event.retry_at is None

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
        counts = {name: count for name, count in dump(usage).items() if count}
        entry |= {"usage": counts} if counts else {}
    return entry


class ReplayDifference(Struct, frozen=True):
    """One difference between two runs of a job: `recorded` in the first, `found` in the second."""

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


class _StepCourse(Struct):
    """The requests and the end of a step, which must be the same in every run."""

    requests: list[str] = field(default_factory=list)
    is_rejected: bool = False
    end: tuple[str, Any] = ("unfinished", None)

    def apply(self, event: Any, read: ReadPayload) -> bool:
        """Apply the step's next event; returns whether it ends the step."""
        match event:
            case StepStarted() if self.is_rejected:
                self.requests.clear()
                self.is_rejected = False
            case StepSwitched():
                self.requests.clear()
            case LlmRequested() | CacheHit(prompt_sha256=str()):
                # A request that is sent again after a failure or a crash counts once.
                if event.prompt_sha256 not in self.requests:
                    self.requests.append(str(event.prompt_sha256))
            case StepSucceeded():
                self.end = ("succeeded", comparable(event.output, read))
            case StepReused():
                self.end = ("succeeded", comparable(event.output, read))
            case StepFailed() if event.retry_at is None:
                self.end = ("failed", event.kind)
                self.is_rejected = bool(event.on_content)
            case StepSkipped():
                self.end = ("skipped", None)
            case _:
                return False
        return isinstance(event, StepSucceeded | StepReused | StepFailed | StepSkipped)


def find_differences(
    recorded: Iterable[Recorded], found: Iterable[Recorded], read: ReadPayload
) -> Iterator[ReplayDifference]:
    """The differences between two runs of a job, in the order in which the steps of the first ended."""
    (before, old_owned), (after, new_owned) = _courses(recorded, read), _courses(found, read)
    for step in [*before, *(step for step in after if step not in before)]:
        old, new = before.get(step, _StepCourse()), after.get(step, _StepCourse())
        for place, (one, other) in enumerate(_pairs(old.requests, new.requests), start=1):
            if one != other:
                yield ReplayDifference(step, f"request {place}", one, other)
        old_files, new_files = _digests(old_owned, step), _digests(new_owned, step)
        for path in sorted(set(old_files) | set(new_files)):
            if old_files.get(path) != new_files.get(path):
                yield ReplayDifference(
                    step, f"file {path}", old_files.get(path), new_files.get(path)
                )
        for what, one, other in zip(("status", "output"), old.end, new.end, strict=True):
            if one != other:
                yield ReplayDifference(step, what, one, other)


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
) -> tuple[dict[str, _StepCourse], OwnedFiles]:
    """The course of each step by id, in the order in which the steps ended; and the job's files."""
    owned = OwnedFiles()
    courses: dict[str, _StepCourse] = {}
    ended: dict[str, None] = {}
    results: dict[int, _StepCourse] = {}
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
        if isinstance(event, StepReused) and event.version in results and _is_kept(recorded):
            # The calls of an item that an amendment kept are those of the result.
            courses[step] = results[event.version]
        if courses.setdefault(step, _StepCourse()).apply(event, read):
            ended.pop(step, None)
            ended[step] = None
            results[recorded.version] = courses[step]
    order = [*ended, *(step for step in courses if step not in ended)]
    return {step: courses[step] for step in order}, owned
