"""The spec as it runs: every default filled in, every template expanded, nothing left to look up.

This is what `job.submitted` records and what a resumed job reads; a field may
be added with a default, and none is renamed or given another meaning.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from ledger.events import FailureKind

REPLAY = "replay"
"""The provider that answers from recorded replies; it can stand in for every other."""

StepKind = Literal["prompt", "run", "python", "value"]


class Resolved(BaseModel):
    """Base: frozen, and strict about names, so that a newer spec is refused rather than misread."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RetryDef(Resolved):
    """`max_attempts` in all; waits in seconds; `jitter` the random part of each, from 0 to 1."""

    max_attempts: int = 1
    backoff: Literal["exponential", "linear", "fixed"] = "exponential"
    initial_s: float = 1.0
    max_s: float = 60.0
    jitter: float = 0.1


class MessageDef(Resolved):
    """One turn; `content` is a template."""

    role: Literal["system", "user", "assistant"]
    content: str


class FileDef(Resolved):
    """Either `glob`, or `path` with `content`, both templates; no content means the step's text."""

    path: str | None = None
    content: str | None = None
    glob: str | None = None


class StepDef(Resolved):
    """One step. `retry_on` empty means any failure."""

    id: str
    kind: StepKind
    needs: tuple[str, ...] = ()
    provider: str | None = None
    model: str | None = None
    params: dict[str, Any] = {}
    system: str | None = None
    messages: tuple[MessageDef, ...] = ()
    run: str | tuple[str, ...] | None = None
    function: str | None = None
    args: dict[str, Any] = {}
    value: Any = None
    format: Literal["text", "json"] = "text"
    files: tuple[FileDef, ...] = ()
    env: dict[str, str | None] = {}
    retry: RetryDef = RetryDef()
    retry_on: tuple[FailureKind, ...] = ()
    timeout_s: float | None = None
    total_timeout_s: float | None = None
    continue_on_error: bool = False


class JobDef(Resolved):
    """A whole job. `concurrency` has `total` and provider names; `output_dir` is absolute."""

    project: str
    task_description: str | None = None
    provider: str
    model: str
    concurrency: dict[str, int]
    timeout_s: float | None = None
    output_dir: str | None = None
    env: dict[str, str | None] = {}
    inputs: dict[str, Any] = {}
    steps: tuple[StepDef, ...]


def dump_job(definition: JobDef) -> dict[str, Any]:
    """The job as JSON values, defaults left out."""
    return definition.model_dump(mode="json", exclude_defaults=True)


def load_job(document: Any) -> JobDef:
    """The job that `dump_job` gave. Raises pydantic's ValidationError for anything else."""
    return JobDef.model_validate(document)
