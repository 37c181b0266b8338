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


def step_rows(job_id: str, spec: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows of a job's steps, before anything has happened to them."""
    for position, step in enumerate(spec["steps"]):
        yield {
            "step_id": f"{job_id}/{step['id']}",
            "name": step["id"],
            "job_id": job_id,
            "position": position,
            "kind": shape_of(step),
            "needs": ", ".join(step.get("needs", ())),
            "provider": step.get("provider"),
            "model": step.get("model"),
        }


def job_amended(writer: Writer, recorded: Recorded, event: JobAmended) -> None:
    """The job's rows as the new spec has them. A removed step's row stays: its calls were made."""
    job_id = recorded.job_id
    spec = writer.spec(event.spec, job_id)
    # Alone in its batch: what it clears must not be in front of what it follows.
    writer.flush()
    writer.add(
        "job_amended",
        job_id=job_id,
        task_description=spec.get("task_description"),
        provider=spec["provider"],
        model=spec["model"],
        steps_total=len(spec["steps"]),
        spec_file=event.source_name,
    )
    for step_id in event.reset:
        writer.add("step_cleared", step_id=f"{job_id}/{step_id}", status="pending")
    for step_id in event.removed:
        writer.add("step_cleared", step_id=f"{job_id}/{step_id}", status="removed")
    for step_id in (*event.reset, *event.removed):
        writer.add("inside_removed", job_id=job_id, **_inside(step_id))
    named = dropped_by(event)
    owners = writer.connection.execute(
        "SELECT file_id, step_id FROM files WHERE job_id = ?", (job_id,)
    )
    for file_id, step_key in owners.fetchall():
        if is_within(step_key.removeprefix(f"{job_id}/"), named):
            writer.add("file_dropped", file_id=file_id)
    for row in step_rows(job_id, spec):
        writer.add("step_moved", **row)
    writer.add("reopened", job_id=job_id, kept=json.dumps(event.kept or ()))
    writer.flush()
    writer.add("steps_recounted", job_id=job_id)
    writer.flush()


def _inside(name: str) -> dict[str, Any]:
    """How the names of the items, rounds and members of a step begin, and how long that is."""
    return {
        "length": len(name) + 1,
        "items": f"{name}[",
        "rounds": f"{name}#",
        "members": f"{name}/",
    }


def file_written(writer: Writer, recorded: Recorded, event: FileWritten) -> None:
    """The row of the file, at its path: `FileOwners` has the same."""
    _add_file(writer, recorded, event.step, file_of(event), event.attempt)


def _add_file(
    writer: Writer, recorded: Recorded, step: str, file: FileRef, attempt: int | None
) -> None:
    writer.add(
        "file",
        file_id=f"{recorded.job_id}/{file.path}",
        name=file.path,
        job_id=recorded.job_id,
        step_id=f"{recorded.job_id}/{step}",
        path=file.path,
        sha256=file.sha256,
        size_bytes=file.size_bytes,
        media_type=file.media_type,
        written_at=recorded.recorded_at,
        attempt=attempt,
    )


def step_reused(writer: Writer, recorded: Recorded, event: StepReused) -> None:
    """The step's row with the result from elsewhere, and its files."""
    job_id, step_key = recorded.job_id, f"{recorded.job_id}/{event.step}"
    for file in event.files:
        _add_file(writer, recorded, event.step, file, None)
    output, blob = preview(event.output)
    writer.add(
        "step_reused",
        step_id=step_key,
        finished_at=recorded.recorded_at,
        reused=event.reason,
        reused_from=f"{event.from_job}/{event.from_step}",
        output=output,
        output_sha256=blob,
    )
    writer.count(job_id, 0)
