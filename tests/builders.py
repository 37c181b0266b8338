"""Terse makers of definitions, events and states: what a test does not care about is filled in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from orc.ledger import JobId, Payload, Recorded, pack
from orc.ledger.definition import JobDef, MessageDef, StepDef, TargetDef, dump_job
from orc.ledger.digest import Digest, digest_bytes, digest_json
from orc.ledger.events import (
    AnyEvent,
    CacheHit,
    CircuitClosed,
    CircuitOpened,
    FailureKind,
    FileRef,
    FileWritten,
    JobAmended,
    JobResumed,
    JobStarted,
    JobSubmitted,
    LlmFailed,
    LlmRequested,
    LlmResponded,
    Owner,
    StepFailed,
    StepInterrupted,
    StepPlaced,
    StepReattached,
    StepReused,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    StepSwitched,
    StepUnplaced,
    TokenUsage,
    ToolCalled,
    ToolReturned,
)
from orc.ledger.stored_struct import load
from orc.scheduler.clock import format_time
from orc.scheduler.core.fold.evolve import JobState, evolve, initial_state
from orc.scheduler.core.fold.graph import build_graph
from orc.scheduler.core.fold.queues import WorkQueues
from orc.scheduler.core.resolve.prompt import Settings
from orc.scheduler.core.resolve.targets import ProviderFacts

JOB = JobId("job_000000000001")
OTHER = JobId("job_000000000002")
EPOCH_S = float(2**30)
"""When time begins in tests: eighths of a second after it are exact in binary."""

OWNER = Owner(pid=1, host="here")


def step(step_id: str, *, needs: str | Sequence[str] = (), **fields: Any) -> StepDef:
    """A step; of kind `value` unless `kind` says otherwise. `prompt` makes it a prompt."""
    prompt = fields.pop("prompt", None)
    if prompt is not None:
        fields = {
            "kind": "prompt",
            "provider": "fake",
            "model": "m",
            "messages": (MessageDef(role="user", content=prompt),),
            **fields,
        }
    fields.setdefault("kind", "value")
    names = (needs,) if isinstance(needs, str) else tuple(needs)
    return load(StepDef, {"id": step_id, "needs": names, **fields})


def job(*steps: StepDef, total: int = 4, **fields: Any) -> JobDef:
    """A job of these steps; `lanes` are the limits of its providers."""
    concurrency = {"total": total, **fields.pop("lanes", {})}
    fields = {"project": "demo", "provider": "fake", "model": "m", **fields}
    return JobDef(steps=steps, concurrency=concurrency, **fields)


def facts(*names: str, **models: str) -> dict[str, ProviderFacts]:
    """What `Settings` knows of providers: these there are, with their models' variables."""
    return {
        name: ProviderFacts(models.get(name, f"{name}-default"), (f"{name.upper()}_MODEL",))
        for name in names
    }


def settings(**fields: Any) -> Settings:
    """The surroundings of a spec: providers ollama, openai (neither of them asked) and replay."""
    fields.setdefault("providers", facts("ollama", "openai", "replay"))
    fields.setdefault("submit_dir", "/home/me")
    return Settings(**fields)


def at(seconds: float = 0.0) -> str:
    """A recorded time, in seconds after the tests' beginning of time."""
    return format_time(EPOCH_S + seconds)


def record(
    events: Iterable[AnyEvent], *, job_id: JobId = JOB, after: int = 0, seconds: float = 0.0
) -> list[Recorded]:
    """The events with their places in a stream, all at one time."""
    return [
        Recorded(job_id, version, at(seconds), event)
        for version, event in enumerate(events, start=after + 1)
    ]


def new_state(definition: JobDef) -> JobState:
    """The state before the first event."""
    return initial_state(definition, build_graph(definition.steps))


def fold(definition: JobDef, *events: AnyEvent, seconds: float = 0.0) -> JobState:
    """The state after the events, the submission before them included."""
    return fold_recorded(definition, record([submitted(definition), *events], seconds=seconds))


def fold_recorded(definition: JobDef, stream: Iterable[Recorded]) -> JobState:
    """The state after a stream."""
    state = new_state(definition)
    for recorded in stream:
        evolve(state, recorded)
    return state


def running(definition: JobDef, *events: AnyEvent) -> JobState:
    """The state of a job that has been started, after the events."""
    return fold(definition, JobStarted(owner=OWNER), *events)


def ready_steps(state: JobState, now: float = EPOCH_S) -> list[str]:
    """The steps that may start at a time in seconds since 1970, in order."""
    queues = WorkQueues(state)
    queues.wake(now)
    return list(queues.ready(now))


def due_steps(state: JobState) -> list[str]:
    """The steps whose conditions, items or results have to be evaluated."""
    return WorkQueues(state).take_due()


def submitted(definition: JobDef, **fields: Any) -> JobSubmitted:
    """The submission of a job, with its definition inline."""
    fields = {"spec_dir": "/specs", "submit_dir": "/work", "runs_dir": "/runs", **fields}
    return JobSubmitted(
        project=definition.project,
        spec=Payload(value=dump_job(definition)),
        source=Payload(value="(none)"),
        source_name="spec.yaml",
        inputs=Payload(value=definition.inputs),
        orc_version="test",
        **fields,
    )


def resumed(**fields: Any) -> JobResumed:
    """A process took the job over."""
    return JobResumed(owner=OWNER, **fields)


def amended(definition: JobDef, *reset: str, **fields: Any) -> JobAmended:
    """The job goes on with this definition, inline; these steps run again."""
    return JobAmended(
        spec=Payload(value=dump_job(definition)),
        source=Payload(value="(another)"),
        source_name="spec.yaml",
        spec_dir="/specs",
        inputs=Payload(value=definition.inputs),
        reset=reset,
        **fields,
    )


def reused(step_id: str, *files: FileRef, output: Any = None, **fields: Any) -> StepReused:
    """The step has a result from another job."""
    fields = {"from_job": OTHER, "from_step": step_id, "version": 5, "reason": "fork", **fields}
    return StepReused(step=step_id, output=pack(output)[0], files=files, **fields)


def started(step_id: str, attempt: int = 1, **fields: Any) -> StepStarted:
    """An attempt is about to begin."""
    fields = {"kind": "value", "needs": (), **fields}
    return StepStarted(step=step_id, attempt=attempt, **fields)


def succeeded(step_id: str, attempt: int = 1, output: Any = None, **fields: Any) -> StepSucceeded:
    """An attempt gave its step a result."""
    fields = {"duration_s": 1.0, **fields}
    return StepSucceeded(step=step_id, attempt=attempt, output=pack(output)[0], **fields)


def failed(
    step_id: str, attempt: int = 1, kind: FailureKind = "timeout", **fields: Any
) -> StepFailed:
    """An attempt failed; for good unless `retry_at` (seconds after the beginning) is given."""
    if "retry_at" in fields:
        fields["retry_at"] += EPOCH_S
        fields.setdefault("delay_s", 1.0)
    fields = {"message": "it failed", "duration_s": 1.0, **fields}
    return StepFailed(step=step_id, attempt=attempt, kind=kind, **fields)


def skipped(step_id: str, *because: str, **fields: Any) -> StepSkipped:
    """The step will not run."""
    return StepSkipped(step=step_id, **{"reason": "dependency_failed", **fields}, because=because)


def interrupted(step_id: str, attempt: int = 1, **fields: Any) -> StepInterrupted:
    """An attempt was cut short."""
    return StepInterrupted(step=step_id, attempt=attempt, **{"reason": "signal", **fields})


def placed(step_id: str, attempt: int = 1, run: str = "run1", **fields: Any) -> StepPlaced:
    """A worker took the attempt."""
    fields = {"executor": "cluster", "engine": "e1", "worker": "w1", "host": "node1", **fields}
    return StepPlaced(step=step_id, attempt=attempt, run=run, **fields)


def unplaced(step_id: str, attempt: int = 1, run: str = "run1", **fields: Any) -> StepUnplaced:
    """The worker never let the attempt start."""
    fields = {"reason": "the worker refused it", **fields}
    return StepUnplaced(step=step_id, attempt=attempt, run=run, **fields)


def reattached(step_id: str, attempt: int = 1, run: str = "run1") -> StepReattached:
    """The attempt was found on its worker."""
    return StepReattached(step=step_id, attempt=attempt, run=run)


def targets(*names: str) -> tuple[TargetDef, ...]:
    """Targets by their names, `provider/model`."""
    parts = (name.split("/") for name in names)
    return tuple(TargetDef(provider=provider, model=model) for provider, model in parts)


def switched(step_id: str, attempt: int = 1, fallback: int = 1, **fields: Any) -> StepSwitched:
    """The step asks its next target from now on."""
    fields = {"from_target": "fake/m", "to_target": "b/n", "provider": "b", "model": "n", **fields}
    return StepSwitched(
        step=step_id, attempt=attempt, fallback=fallback, **{"message": "why", **fields}
    )


def requested(
    step_id: str, attempt: int = 1, call: int = 1, asked: Any = "?", **fields: Any
) -> LlmRequested:
    """A request is about to be sent."""
    return LlmRequested(
        step=step_id,
        attempt=attempt,
        call=call,
        **{"provider": "fake", "model": "m", **fields},
        request=Payload(value=asked),
        request_sha256=digest_json(asked),
        prompt_sha256=digest_json(asked),
    )


def responded(
    step_id: str, attempt: int = 1, call: int = 1, text: str = "yes", asked: Any = "?"
) -> LlmResponded:
    """A reply arrived."""
    return LlmResponded(
        step=step_id,
        attempt=attempt,
        call=call,
        provider="fake",
        model="m",
        reply=Payload(value={"text": text}),
        request_sha256=digest_json(asked),
        finish_reason="stop",
        usage=TokenUsage(input_tokens=1, output_tokens=2),
        duration_s=0.5,
    )


def call_failed(
    step_id: str, attempt: int = 1, call: int = 1, kind: FailureKind = "timeout", **fields: Any
) -> LlmFailed:
    """A call ended without a reply."""
    return LlmFailed(
        step=step_id,
        attempt=attempt,
        call=call,
        **{"provider": "fake", "model": "m", "message": "too late", **fields},
        kind=kind,
        duration_s=0.5,
    )


def opened(target: str = "fake/m", *, retry_at: float = 60.0, **fields: Any) -> CircuitOpened:
    """Calls to a target stop until `retry_at`, in seconds after the beginning."""
    fields = {"failures": 5, "cooldown_s": 60.0, "kind": "timeout", "message": "too late", **fields}
    return CircuitOpened(target=target, retry_at=EPOCH_S + retry_at, **fields)


def closed(target: str = "fake/m") -> CircuitClosed:
    """The target has answered again."""
    return CircuitClosed(target=target)


def tool_called(step_id: str, attempt: int = 1, call: int = 1, key: str = "k") -> ToolCalled:
    """A tool is about to be called."""
    return ToolCalled(
        step=step_id,
        attempt=attempt,
        call=call,
        tool="search",
        key=digest_json(key),
        arguments=Payload(value={}),
    )


def tool_returned(step_id: str, attempt: int = 1, call: int = 1, key: str = "k") -> ToolReturned:
    """A tool has answered."""
    return ToolReturned(
        step=step_id,
        attempt=attempt,
        call=call,
        tool="search",
        key=digest_json(key),
        result=Payload(value="found"),
        duration_s=0.5,
    )


def cache_hit(step_id: str, attempt: int = 2, call: int = 2, version: int = 5) -> CacheHit:
    """A call was answered by a reply of the ledger."""
    return CacheHit(
        step=step_id, attempt=attempt, call=call, request_sha256=digest_json("?"), version=version
    )


def written(step_id: str, path: str, content: bytes = b"x", **fields: Any) -> FileWritten:
    """A step wrote a file."""
    return FileWritten(step=step_id, **{"attempt": 1, **file_fields(path, content), **fields})


def file(path: str, content: bytes = b"x") -> FileRef:
    """A file by its path and content."""
    return FileRef(**file_fields(path, content))


def file_fields(path: str, content: bytes) -> dict[str, Any]:
    """What names a file in events."""
    digest: Digest = digest_bytes(content)
    return {
        "path": path,
        "sha256": digest,
        "size_bytes": len(content),
        "media_type": "text/plain",
    }
