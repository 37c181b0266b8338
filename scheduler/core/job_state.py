"""The state of a job as data: its steps, and the indexes that keep each question cheap.

What changes it is `state.py`; what the indexes are for is `queues.py`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from ledger.digest import Digest
from ledger.events import Failure, FileRef, JobSubmitted, Payload, SkipReason
from scheduler.core.file_names import FileNames
from scheduler.core.graph import Graph
from scheduler.core.resolved import JobDef

StepStatus = Literal["pending", "running", "waiting", "succeeded", "failed", "skipped", "cancelled"]


JobStatus = Literal["submitted", "running", "stopped", "succeeded", "failed", "cancelled"]
"""`stopped` is not ended and no owner has said that it runs it; readers show it as interrupted."""


@dataclass(frozen=True, slots=True)
class CommittedReply:
    """A reply that the ledger holds, which a later attempt may be answered from."""

    version: int
    request_sha256: Digest
    reply: Payload
    provider: str


@dataclass(slots=True)
class StepState:
    """One step, now.

    `needs_left` counts the needs that have not yet ended well enough for it,
    `ticket` is its place in the queue of ready steps, 0 outside of it;
    `calls_recorded` the calls that recorded replies would have answered so far.
    """

    index: int
    needs_left: int
    status: StepStatus = "pending"
    attempts: int = 0
    failures: int = 0
    output: Payload | None = None
    failure: Failure | None = None
    tolerated: bool = False
    skipped: SkipReason | None = None
    retry_at: float | None = None
    delay_s: float | None = None
    deadline_at: float | None = None
    calls_ended: int = 0
    calls_recorded: int = 0
    ticket: int = 0
    replies: list[CommittedReply] = field(default_factory=list)
    files: dict[str, FileRef] = field(default_factory=dict)


@dataclass(slots=True)
class JobState:
    """A job, now: what its events say, and the indexes that keep each question cheap."""

    definition: JobDef
    graph: Graph
    steps: dict[str, StepState]
    lanes: dict[str, deque[tuple[int, str]]]
    version: int = 0
    status: JobStatus = "submitted"
    project: str = ""
    submitted: JobSubmitted | None = None
    timeout_s: float | None = None
    provider_override: str | None = None
    replies: Payload | None = None
    file_owners: dict[str, str] = field(default_factory=dict)
    file_names: FileNames = field(default_factory=FileNames)
    running: dict[str, int] = field(default_factory=dict)
    running_total: int = 0
    unfinished: int = 0
    failed: dict[str, Failure] = field(default_factory=dict)
    job_failure: Failure | None = None
    owned_s: float = 0.0
    owned_since: str | None = None
    last_at: str = ""
    signal_seen: int = 0
    stopped_by: str | None = None
    _retries: list[tuple[float, str]] = field(default_factory=list)
    _deadlines: list[tuple[float, str]] = field(default_factory=list)
    _ticket: int = 0

    def lane_of(self, step_id: str) -> str:
        """The limit that the step counts against besides the total: its provider, or none."""
        provider = self.graph.steps[step_id].provider
        if provider is None:
            return ""
        return self.provider_override or provider

    def files(self) -> Iterator[FileRef]:
        """Every file that steps have written, as it is now."""
        for path, step_id in self.file_owners.items():
            yield self.steps[step_id].files[path]

    def summary(self) -> dict[str, Any]:
        """All that decides what happens next, as plain values: equal states have equal summaries."""
        return {
            "status": self.status,
            "version": self.version,
            "unfinished": self.unfinished,
            "running": {lane: count for lane, count in sorted(self.running.items()) if count},
            "failed": sorted(self.failed),
            "file_owners": dict(sorted(self.file_owners.items())),
            "steps": {
                step_id: (
                    step.status,
                    step.attempts,
                    step.failures,
                    step.needs_left,
                    step.output,
                    step.failure,
                    step.calls_ended,
                    step.calls_recorded,
                    len(step.replies),
                    step.retry_at,
                    step.deadline_at,
                )
                for step_id, step in self.steps.items()
            },
        }
