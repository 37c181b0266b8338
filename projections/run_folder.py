"""The run folder as a fold of a job's events: paths and bytes, nothing written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ledger import LedgerReader, Recorded
from ledger.digest import Digest, canonical_json, digest_bytes
from ledger.events import (
    FileRef,
    FileWritten,
    JobAmended,
    JobSubmitted,
    LlmRequested,
    LlmResponded,
    Payload,
    StepFailed,
    StepInterrupted,
    StepReused,
    StepStarted,
    StepSucceeded,
)
from ledger.step_names import folder_name
from projections.jsonl import event_line
from projections.manifest import Manifest
from projections.prices import NO_PRICES, PriceTable

FOLDERS = ("inputs", "outputs", "logs", "artifacts", ".cache")

File = tuple[str, bytes | None]
"""A path relative to the run folder, and the bytes that belong there; none: nothing does any more."""


class RunFolder:
    """What `runs/<job_id>/` holds after the events that it was given, in order."""

    def __init__(self, ledger: LedgerReader, *, prices: PriceTable = NO_PRICES) -> None:
        self._ledger = ledger
        self._manifest = Manifest(ledger.read_payload, prices=prices)
        self._lines = bytearray()
        self._requests: dict[tuple[str, int, int], Payload] = {}
        self._artifacts: dict[str, tuple[FileRef, ...]] = {}
        self._owners: dict[str, str] = {}
        self.version = 0

    def apply(self, recorded: Recorded) -> Iterator[File]:
        """Take in the next event; the files that it brings or replaces."""
        self.version = recorded.version
        self._manifest.apply(recorded)
        self._lines += event_line(recorded).encode() + b"\n"
        event = recorded.event
        match event:
            case JobSubmitted():
                yield "inputs/spec.yaml", self._ledger.read_payload_bytes(event.source)
                yield "inputs/inputs.json", _pretty(self._ledger.read_payload(event.inputs))
            case FileWritten():
                self._owners[event.path] = event.step
                yield f"outputs/{event.path}", self._ledger.read_blob(event.sha256)
            case StepReused():
                yield from self._reused(event)
            case JobAmended():
                yield from self._amended(event)
            case StepStarted():
                self._artifacts.pop(event.step, None)
            case StepSucceeded() | StepFailed() | StepInterrupted():
                if event.log is not None:
                    name = f"logs/{folder_name(event.step)}.{event.attempt}.log"
                    yield name, self._ledger.read_payload_bytes(event.log)
                if not isinstance(event, StepInterrupted) and event.artifacts:
                    self._artifacts[event.step] = event.artifacts
            case LlmRequested():
                self._requests[event.step, event.attempt, event.call] = event.request
            case LlmResponded():
                yield f".cache/{event.request_sha256}.json", self._cached_reply(event)
            case _:
                pass

    def _reused(self, event: StepReused) -> Iterator[File]:
        for file in event.files:
            self._owners[file.path] = event.step
            yield f"outputs/{file.path}", self._ledger.read_blob(file.sha256)
        if event.log is not None:
            yield f"logs/{event.step}.reused.log", self._ledger.read_payload_bytes(event.log)
        if event.artifacts:
            self._artifacts[event.step] = event.artifacts

    def _amended(self, event: JobAmended) -> Iterator[File]:
        """The new spec, and an end to all that steps left that run again, or are gone."""
        yield "inputs/spec.yaml", self._ledger.read_payload_bytes(event.source)
        yield "inputs/inputs.json", _pretty(self._ledger.read_payload(event.inputs))
        for step in (*event.reset, *event.removed):
            for file in self._artifacts.pop(step, ()):
                yield f"artifacts/{step}/{file.path}", None
            yield f"logs/{step}.reused.log", None
        dropped = {*event.reset, *event.removed}
        for path in [path for path, step in self._owners.items() if step in dropped]:
            del self._owners[path]
            yield f"outputs/{path}", None

    def artifacts(self) -> Iterator[File]:
        """What each step's last attempt left in $ORC_ARTIFACTS."""
        for step, files in self._artifacts.items():
            for file in files:
                yield (
                    f"artifacts/{folder_name(step)}/{file.path}",
                    self._ledger.read_blob(file.sha256),
                )

    def summaries(self) -> Iterator[File]:
        """The two files that are about all events so far."""
        yield "events.jsonl", bytes(self._lines)
        yield "manifest.json", self._manifest.render()

    def _cached_reply(self, event: LlmResponded) -> bytes:
        request = self._requests.pop((event.step, event.attempt, event.call), None)
        return _pretty(
            {
                "request": self._ledger.read_payload(request),
                "reply": self._ledger.read_payload(event.reply),
                "model": event.model,
                "finish_reason": event.finish_reason,
                "usage": event.usage.model_dump(),
            }
        )


def expected_files(
    ledger: LedgerReader, job_id: str, *, prices: PriceTable = NO_PRICES
) -> dict[str, Digest]:
    """The digest of every file of the job's run folder, by path."""
    folder = RunFolder(ledger, prices=prices)
    found: dict[str, Digest] = {}
    for recorded in ledger.read_stream(job_id):
        for relative, content in folder.apply(recorded):
            found.pop(relative, None)
            if content is not None:
                found[relative] = digest_bytes(content)
    for relative, content in (*folder.artifacts(), *folder.summaries()):
        assert content is not None
        found[relative] = digest_bytes(content)
    return found


def _pretty(value: Any) -> bytes:
    # Canonical first, so that equal values give equal bytes.
    text = json.dumps(json.loads(canonical_json(value)), indent=2, ensure_ascii=True)
    return text.encode() + b"\n"
