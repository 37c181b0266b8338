"""The commands that record what is thought of a job: scores, tags and notes."""

from __future__ import annotations

from msgspec import Struct

from orc.ledger.events import Payload


class Score(Struct, frozen=True):
    """A score of the result of the step `about`; without a value, `error` says why."""

    name: str
    about: str
    value: bool | float | None
    error: str | None = None
    why: Payload | None = None


class RecordScores(Struct, frozen=True):
    """Record what the `score` key of the step gave for its result."""

    step: str
    scores: tuple[Score, ...]


class ScoreByPerson(Struct, frozen=True):
    """Record scores that a person (`by`) gives to results, also of a job that has ended."""

    scores: tuple[Score, ...]
    by: str | None = None
    signal_id: int | None = None


class TagJob(Struct, frozen=True):
    """Add tags to the job, and remove others. Without a change there is no event."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    by: str | None = None
    signal_id: int | None = None


class NoteJob(Struct, frozen=True):
    """Add a person's note to the job."""

    text: Payload
    by: str | None = None
    signal_id: int | None = None
