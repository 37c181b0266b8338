"""The projector's handlers for files, for reused results and for amended jobs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from orc.ledger.events import FileRef, FileWritten, JobAmended, Recorded, StepReused
from orc.ledger.file_owners import dropped_by, file_of
from orc.ledger.step_names import is_within
from orc.projections.tables.assessment_events import drop_scores
from orc.projections.tables.flow import shape_of
from orc.projections.tables.writer import Writer, preview


def step_rows(job_id: str, spec: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows of a spec's steps, with the columns that the spec determines."""
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
    """Change the rows of the job to those of the new spec.

    The row of a removed step stays: its calls were made and paid for.
    """
    job_id = recorded.job_id
    spec = writer.spec(event.spec, job_id)
    # Rows of earlier events are written first: otherwise they would come after the changes below.
    writer.flush()
    writer.add(
        "job_amended",
        job_id=job_id,
        task_description=spec.get("task_description"),
        provider=spec["provider"],
        model=spec["model"],
        spec_file=event.source_name,
    )
    for step_id in event.reset:
        writer.add("step_cleared", step_id=f"{job_id}/{step_id}", status="pending")
        writer.add("tolerated_dropped", step_id=f"{job_id}/{step_id}")
    for step_id in event.removed:
        writer.add("step_cleared", step_id=f"{job_id}/{step_id}", status="removed")
        writer.add("tolerated_dropped", step_id=f"{job_id}/{step_id}")
    drop_scores(writer, recorded, event)
    named = dropped_by(event)
    # One pass over the children, since a job can have thousands of named steps.
    children = writer.connection.execute(
        "SELECT step_id, parent FROM steps WHERE job_id = ? AND parent IS NOT NULL", (job_id,)
    )
    for step_key, parent in children.fetchall():
        if is_within(parent, named):
            writer.add("inside_removed", step_id=step_key)
            writer.add("tolerated_dropped", step_id=step_key)
    owners = writer.connection.execute(
        "SELECT file_id, step_id FROM files WHERE job_id = ?", (job_id,)
    )
    for file_id, step_key in owners.fetchall():
        if is_within(step_key.removeprefix(f"{job_id}/"), named):
            writer.add("file_dropped", file_id=file_id)
    for row in step_rows(job_id, spec):
        writer.add("step_moved", **row)
    writer.add("reopened", job_id=job_id, kept=json.dumps(event.kept or ()))
    writer.add("recounted", job_id=job_id)
    writer.flush()


def file_written(writer: Writer, recorded: Recorded, event: FileWritten) -> None:
    """Add or update the row of the path, as `FileOwners` does."""
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
        mode=file.mode,
    )


def step_reused(writer: Writer, recorded: Recorded, event: StepReused) -> None:
    """Record the result that was copied from another step, with its files."""
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
        warning=event.warning,
    )
    writer.count(job_id, 0)
