"""Compares the results of two jobs, and finds committed work that was lost or repeated.

It reads a ledger and a run folder; `trial.py` runs, kills and resumes the jobs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct, field

from orc.ledger import LedgerReader
from orc.ledger.definition import JobDef, StepDef, walk_steps
from orc.ledger.digest import digest_json
from orc.ledger.events import (
    CacheHit,
    LlmRequested,
    LlmResponded,
    Recorded,
    StepFailed,
    StepStarted,
    StepSucceeded,
    StepSwitched,
    ToolCalled,
    ToolReturned,
)
from orc.ledger.files.folder import Folder
from orc.ledger.gathered import comparable
from orc.ledger.step_names import lineage

Promise = Literal["repeated", "lost", "result", "intact", "resumable"]


class Deviation(Struct, frozen=True):
    """A deviation from a promise of orc. `is_broken` is False if a command or function can be why."""

    promise: Promise
    what: str
    step: str | None = None
    is_broken: bool = True


class End(Struct, frozen=True):
    """The result of a job, as far as two runs from the same replies must agree.

    All fields but `status` are by step or by path; outputs and files are given by their digests.
    """

    status: str
    steps: Mapping[str, str]
    outputs: Mapping[str, str]
    files: Mapping[str, tuple[str, str | None]]
    """The digest and the step of each file, by path."""
    failures: Mapping[str, str]
    delivered: Mapping[str, str]


def read_end(ledger: LedgerReader, job_id: str, *, folder: Path, delivered: Path) -> End:
    """The result of a job that has ended, from its manifest, its events and its delivered files.

    Raises OSError, ValueError, LedgerError.
    """
    manifest = json.loads((folder / "manifest.json").read_bytes())
    outputs = {
        recorded.event.step: digest_json(comparable(recorded.event.output, ledger.read_payload))
        for recorded in ledger.read_stream(job_id)
        if isinstance(recorded.event, StepSucceeded)
    }
    copies = Folder(delivered)
    return End(
        status=manifest["status"],
        steps={step: shown["status"] for step, shown in manifest["steps"].items()},
        outputs=outputs,
        files={file["path"]: (file["sha256"], file["step"]) for file in manifest["files"]},
        failures={shown["step"] or "": shown["kind"] for shown in manifest["failures"]},
        delivered={path: copies.digest(path) or "" for path in copies.files()},
    )


class _Step(Struct):
    """What a step has committed, and the part of it that its current attempt can still use."""

    has_succeeded: bool = False
    replies: list[str] = field(default_factory=list)
    results: set[str] = field(default_factory=set)
    replies_left: list[str] = field(default_factory=list)
    results_left: frozenset[str] = frozenset()


def find_repeated(events: Iterable[Recorded]) -> Iterator[Deviation]:
    """Each step, model call and tool call that started again after its end was committed."""
    steps: dict[str, _Step] = {}
    for recorded in events:
        event = recorded.event
        name = getattr(event, "step", None)
        if name is None:
            continue
        step = steps.setdefault(name, _Step())
        match event:
            case StepStarted() | StepSucceeded() if step.has_succeeded:
                what = f"it had succeeded, but event {recorded.version} is {event.type} again"
                yield Deviation("repeated", what, name)
            case StepStarted():
                step.replies_left = list(step.replies)
                step.results_left = frozenset(step.results)
            case StepSucceeded():
                step.has_succeeded = True
            case StepFailed() if event.on_content:
                # The reply was not usable, so that it must be requested again.
                steps[name] = _Step()
            case StepSwitched():
                steps[name] = _Step()
            case LlmResponded():
                step.replies.append(event.request_sha256)
            case CacheHit() if event.reply is not None:
                step.replies.append(event.request_sha256)
            case CacheHit():
                del step.replies_left[:1]
            case LlmRequested() if step.replies_left[:1] == [event.request_sha256]:
                what = f"event {recorded.version} requests a reply that was already committed"
                yield Deviation("repeated", what, name)
            case LlmRequested():
                # The conversation differs from the recorded one from here on, so that the remaining
                # recorded replies cannot be used.
                step.replies_left.clear()
            case ToolReturned():
                step.results.add(event.key)
            case ToolCalled() if event.key in step.results_left:
                what = (
                    f"event {recorded.version} calls {event.tool} again, although it had returned"
                )
                yield Deviation("repeated", what, name)
            case _:
                pass


def find_lost(before: Iterable[Recorded], after: Iterable[Recorded]) -> Iterator[Deviation]:
    """The first event that was committed before the kill and is missing or changed afterwards."""
    hashes = {recorded.version: recorded.hash for recorded in after}
    for recorded in before:
        if hashes.get(recorded.version) != recorded.hash:
            what = f"event {recorded.version}, {recorded.event.type}, was committed and is missing"
            yield Deviation("lost", what, getattr(recorded.event, "step", None))
            return


def find_differences(wanted: End, found: End, definition: JobDef) -> list[Deviation]:
    """The differences between two results, step by step.

    The results of commands and functions, and of their dependents, may differ without a fault of
    orc, since a command or function need not be repeatable.
    """
    differs = {
        **_difference("it ended as", wanted.steps, found.steps),
        **_difference("it failed with", wanted.failures, found.failures),
    }
    for step in sorted(set(wanted.outputs) & set(found.outputs)):
        if wanted.outputs[step] != found.outputs[step]:
            differs.setdefault(step, "its output differs")
    for path in sorted({*wanted.files, *found.files}):
        if wanted.files.get(path) != found.files.get(path):
            _, writer = found.files.get(path) or wanted.files[path]
            differs.setdefault(writer or "", f"its file {path} differs or is missing")
    spec = {step.id: step for step in definition.steps}
    roots = {step: [*lineage(step)][-1] if step else "" for step in differs}
    places = {name: place for place, name in enumerate(spec)}
    findings = []
    for step in sorted(differs, key=lambda step: (places.get(roots[step], -1), step)):
        own = roots[step]
        before = {own, *_needed_by(own, spec)} if own in spec else set(spec)
        causes = before & set(roots.values())
        is_excused = any(has_code(spec[name]) for name in causes if name in spec)
        findings.append(Deviation("result", differs[step], step or None, is_broken=not is_excused))
    if wanted.status != found.status:
        what = f"the job is {found.status}, not {wanted.status}"
        excused = bool(findings) and not any(finding.is_broken for finding in findings)
        findings.append(Deviation("result", what, is_broken=not excused))
    if not findings and wanted.delivered != found.delivered:
        findings.append(Deviation("result", "the files in output_dir differ"))
    return findings


def _difference(verb: str, wanted: Mapping[str, str], found: Mapping[str, str]) -> dict[str, str]:
    return {
        step: f"{verb} {found.get(step, 'nothing')}, not {wanted.get(step, 'nothing')}"
        for step in sorted({*wanted, *found})
        if wanted.get(step) != found.get(step)
    }


def _needed_by(step_id: str, spec: Mapping[str, StepDef]) -> set[str]:
    """All steps that the step needs, directly or indirectly."""
    found: set[str] = set()
    pending = list(spec[step_id].needs)
    while pending:
        name = pending.pop()
        if name not in found and name in spec:
            found.add(name)
            pending += spec[name].needs
    return found


def has_code(step: StepDef) -> bool:
    """Whether the step, or a step inside it, runs a command or a function, also as a model's tool."""
    return any(inner.facts.runs_code or inner.tools for inner in walk_steps((step,)))


def describe(recorded: Recorded | None) -> str:
    """The time of a kill, by the last event before it."""
    if recorded is None:
        return "before the job was submitted"
    step: Any = getattr(recorded.event, "step", None)
    return f"after event {recorded.version}, {recorded.event.type}{f' of {step}' if step else ''}"
