"""The commands that record what is thought of a job: scores, tags and notes."""

from __future__ import annotations

from dataclasses import dataclass

from orc.ledger.events import Payload


@dataclass(frozen=True, slots=True)
class Score:
    """A score of the result of the step `about`; without a value, `error` says why."""

    name: str
    about: str
    value: bool | float | None
    error: str | None = None
    why: Payload | None = None


@dataclass(frozen=True, slots=True)
class RecordScores:
    """Record what the `score` key of the step gave for its result."""

    step: str
    scores: tuple[Score, ...]


@dataclass(frozen=True, slots=True)
class ScoreByPerson:
    """Record scores that a person (`by`) gives to results, also of a job that has ended."""

    scores: tuple[Score, ...]
    by: str | None = None
    signal_id: int | None = None


@dataclass(frozen=True, slots=True)
class TagJob:
    """Add tags to the job, and remove others. Without a change there is no event."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    by: str | None = None
    signal_id: int | None = None


@dataclass(frozen=True, slots=True)
class NoteJob:
    """Add a person's note to the job."""

    text: Payload
    by: str | None = None
    signal_id: int | None = None
