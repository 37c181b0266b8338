"""The projector's handlers for scores, tags and notes, and what sets items apart."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from orc.ledger.digest import canonical_json, digest_json
from orc.ledger.errors import CorruptLedger
from orc.ledger.events import (
    JobAmended,
    JobNoted,
    JobTagged,
    Payload,
    Recorded,
    ScoreRecorded,
    StepExpanded,
)
from orc.ledger.file_owners import dropped_by
from orc.ledger.step_names import is_within
from orc.ledger.stored import parse_json
from orc.projections.tables.writer import Writer, preview

DIMENSION_CHARS_MAX = 500
"""Longer values of a dimension are known by their beginning and their digest."""
_BEGINNING_CHARS = 200
_DIGEST_CHARS = 16
# One encoder object, because json.dumps() with these arguments builds a new one in each call.
_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode


def score_recorded(writer: Writer, recorded: Recorded, event: ScoreRecorded) -> None:
    """Add the score, in the place of an earlier one of that name from the same step or person."""
    step_key = f"{recorded.job_id}/{event.step}"
    why, blob = (None, None) if event.why is None else preview(event.why)
    writer.add(
        "score",
        score_id=f"{step_key}/{event.name}/{event.who}/{event.by_step or event.by or ''}",
        name=event.name,
        job_id=recorded.job_id,
        step_id=step_key,
        attempt=event.attempt,
        value=None if event.value is None else float(event.value),
        passed=int(event.value) if isinstance(event.value, bool) else None,
        error=event.error,
        why=why,
        why_sha256=blob,
        who=event.who,
        by_step=event.by_step,
        by_person=event.by,
        version=recorded.version,
        recorded_at=recorded.recorded_at,
    )


def drop_scores(writer: Writer, recorded: Recorded, event: JobAmended) -> None:
    """Drop the scores of results that are dropped, and those that are computed again.

    An item may keep its result: what a person said of it stays until the item starts again, or the
    job ends without it.
    """
    dropped, kept = dropped_by(event), set(event.kept_items or ())
    again = dropped | set(event.rescored or ())
    rows = writer.connection.execute(
        "SELECT score_id, step_id, who, by_step FROM scores WHERE job_id = ?", (recorded.job_id,)
    )
    for score_id, step_key, who, by_step in rows.fetchall():
        about = step_key.removeprefix(f"{recorded.job_id}/")
        if who == "human" and about not in kept and is_within(about, kept):
            continue
        if is_within(about, dropped) or (by_step is not None and is_within(by_step, again)):
            writer.add("score_dropped", score_id=score_id)


def job_tagged(writer: Writer, recorded: Recorded, event: JobTagged) -> None:
    """Add and remove tags."""
    # The rows are written in the order of the events: a tag may come and go within a batch.
    writer.flush()
    for tag in event.removed:
        writer.add("tag_removed", tag_id=f"{recorded.job_id}/{tag}")
    writer.flush()
    for tag in event.added:
        add_tag(writer, recorded, tag, event.by)
    writer.flush()


def add_tag(writer: Writer, recorded: Recorded, tag: str, by: str | None) -> None:
    """Add the tag, if the job does not have it."""
    writer.add(
        "tag",
        tag_id=f"{recorded.job_id}/{tag}",
        name=tag,
        job_id=recorded.job_id,
        tagged_at=recorded.recorded_at,
        by_person=by,
    )


def job_noted(writer: Writer, recorded: Recorded, event: JobNoted) -> None:
    """Add the note."""
    note, blob = preview(event.text)
    writer.add(
        "note",
        note_id=f"{recorded.job_id}/{recorded.version}",
        name=f"{recorded.job_id} {recorded.version}",
        job_id=recorded.job_id,
        note=note,
        note_sha256=blob,
        version=recorded.version,
        noted_at=recorded.recorded_at,
        by_person=event.by,
    )


def dimensions_of(writer: Writer, event: StepExpanded) -> list[str | None]:
    """For each child, what sets it apart from its siblings: JSON, or None for rounds and members.

    None also for items whose values were removed.
    """
    nothing: list[str | None] = [None] * len(event.children)
    if not event.children or not event.children[0].startswith(f"{event.step}["):
        return nothing
    values = _values(writer, event.values)
    if values is None:
        return nothing
    variable = event.variable or "item"
    found: list[str | None] = []
    for place in range(len(event.children)):
        value = values[place] if place < len(values) else None
        own: dict[str, Any] = {}
        row = value
        if event.with_matrix and isinstance(value, Mapping):
            row, value = value.get("matrix"), value.get("item")
        if (event.with_matrix or variable == "matrix") and isinstance(row, Mapping):
            own = {name: _short(each) for name, each in row.items()}
            if event.with_matrix:
                own[variable] = _short(value)
        elif value is not None or event.repeat is None:
            own = {variable: _short(value)}
        if event.repeat is not None:
            own["repetition"] = (event.first + place) % event.repeat + 1
        found.append(_encode(own) if own else None)
    return found


def _values(writer: Writer, payload: Payload | None) -> list[Any] | None:
    """The values of the items; None if their bytes were removed."""
    if payload is None:
        return []
    value = payload.value
    if payload.sha256 is not None:
        row = writer.connection.execute(
            "SELECT content FROM blobs WHERE sha256 = ?", (payload.sha256,)
        ).fetchone()
        if row is None:
            raise CorruptLedger(f"the blob {payload.sha256} is missing")
        if isinstance(row[0], int):
            return None
        value = parse_json(row[0])
    return value if isinstance(value, list) else []


def _short(value: Any) -> Any:
    text = canonical_json(value)
    if len(text) <= DIMENSION_CHARS_MAX:
        return value
    beginning = value if isinstance(value, str) else text
    return {
        "begins": beginning[:_BEGINNING_CHARS],
        "sha256": digest_json(value)[:_DIGEST_CHARS],
    }
