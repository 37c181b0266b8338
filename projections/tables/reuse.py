"""The projector's handlers for files, for results that are used again, and for amended jobs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from orc.ledger.events import FileRef, FileWritten, JobAmended, Recorded, StepReused
from orc.ledger.file_owners import file_of
from orc.ledger.step_names import is_within
from orc.projections.folds.owned_files import dropped_by
from orc.projections.tables.flow import shape_of
from orc.projections.tables.writer import Writer, preview


def step_rows(job_id: str, spec: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    """The rows of a job's steps, before anything has happened to them."""
    for position, step in enumerate(spec["steps"]):
        yield (
            f"{job_id}/{step['id']}",
            step["id"],
            job_id,
            position,
            shape_of(step),
            ", ".join(step.get("needs", ())),
            step.get("provider"),
            step.get("model"),
        )


def job_amended(writer: Writer, recorded: Recorded, event: JobAmended) -> None:
    """The job's rows as the new spec has them. A removed step's row stays: its calls were made."""
    job_id = recorded.job_id
    spec = writer.spec(event.spec, job_id)
    # Alone in its batch: what it clears must not be in front of what it follows.
    writer.flush()
    writer.add(
        "job_amended",
        spec.get("task_description"),
        spec["provider"],
        spec["model"],
        len(spec["steps"]),
        event.source_name,
        job_id,
    )
    for step_id in event.reset:
        writer.add("step_cleared", "pending", f"{job_id}/{step_id}")
    for step_id in event.removed:
        writer.add("step_cleared", "removed", f"{job_id}/{step_id}")
    for step_id in (*event.reset, *event.removed):
        writer.add("inside_removed", job_id, *_inside(step_id))
    named = dropped_by(event)
    owners = writer.connection.execute(
        "SELECT file_id, step_id FROM files WHERE job_id = ?", (job_id,)
    )
    for file_id, step_key in owners.fetchall():
        if is_within(step_key.removeprefix(f"{job_id}/"), named):
            writer.add("file_dropped", file_id)
    for row in step_rows(job_id, spec):
        writer.add("step_moved", *row)
    writer.add("reopened", job_id, json.dumps(event.kept or ()))
    writer.flush()
    writer.add("steps_recounted", job_id)
    writer.flush()


def _inside(name: str) -> tuple[int, str, str, str]:
    """What tells the names of all that is inside a step from every other name."""
    return len(name) + 1, f"{name}[", f"{name}#", f"{name}/"


def file_written(writer: Writer, recorded: Recorded, event: FileWritten) -> None:
    """The row of the file, at its path: `FileOwners` has the same."""
    _add_file(writer, recorded, event.step, file_of(event), event.attempt)


def _add_file(
    writer: Writer, recorded: Recorded, step: str, file: FileRef, attempt: int | None
) -> None:
    writer.add(
        "file",
        f"{recorded.job_id}/{file.path}",
        file.path,
        recorded.job_id,
        f"{recorded.job_id}/{step}",
        file.path,
        file.sha256,
        file.size_bytes,
        file.media_type,
        recorded.recorded_at,
        attempt,
    )


def step_reused(writer: Writer, recorded: Recorded, event: StepReused) -> None:
    """The step's row with the result from elsewhere, and its files."""
    job_id, step_key = recorded.job_id, f"{recorded.job_id}/{event.step}"
    for file in event.files:
        _add_file(writer, recorded, event.step, file, None)
    output, blob = preview(event.output)
    origin = f"{event.from_job}/{event.from_step}"
    writer.add("step_reused", recorded.recorded_at, event.reason, origin, output, blob, step_key)
    writer.count(job_id, 0)
