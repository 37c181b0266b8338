"""The tables of what was thought of jobs and results: scores, tags and notes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from orc.projections.tables.columns import TableInfo, column


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """A row of `scores`."""

    TABLE: ClassVar = TableInfo(
        "scores",
        "Scores",
        "One row for each score of a step's present result, by each expression, judge or person; "
        "without a value if the expression is broken.",
    )

    score_id: str = column("`job/step/name/who/step or person`.", key=True)
    name: str = column("The name of the score.")
    job_id: str = column("The job.", refers="jobs.job_id", indexed=True)
    step_id: str = column("The step that the score is about.", refers="steps.step_id", indexed=True)
    attempt: int = column("The attempt whose result it is about; 0 for a reused result.")
    value: float | None = column("The value; of a boolean 1 or 0. NULL if there is an error.")
    passed: int | None = column("1 or 0 if the value is a boolean: whether the result passed.")
    error: str | None = column("Why the expression gave no value.")
    why: str | None = column("The first 200 characters of the explanation, if it is at most 1 kB.")
    why_sha256: str | None = column(
        "The blob with the explanation, if it is larger.", refers="blobs.sha256"
    )
    who: str = column(
        "expression (of the step itself), judge (an expression of another step) or human."
    )
    by_step: str | None = column("The id of the step whose expression gave it.")
    by_person: str | None = column("The person who gave it.")
    version: int = column("The version of the event that records it.")
    recorded_at: str = column("When it was recorded.")
    model: str | None = column("The model of the step that the score is about.")
    dimensions: str | None = column("The dimensions of that step, as in `steps`.")

    @property
    def by(self) -> str:
        """The step or the person who gave it."""
        return self.by_step or self.by_person or self.who


@dataclass(frozen=True, slots=True)
class TagRow:
    """A row of `tags`."""

    TABLE: ClassVar = TableInfo("tags", "Tags", "One row for each tag of a job.")

    tag_id: str = column("`job/tag`.", key=True)
    name: str = column("The tag.", indexed=True)
    job_id: str = column("The job.", refers="jobs.job_id", indexed=True)
    tagged_at: str = column("When the job got it.")
    by_person: str | None = column("The person who added it; NULL if the spec has it.")


@dataclass(frozen=True, slots=True)
class NoteRow:
    """A row of `notes`."""

    TABLE: ClassVar = TableInfo("notes", "Notes", "One row for each note about a job.")

    note_id: str = column("`job/version`.", key=True)
    name: str = column("The id of the job, and the number of the note's event.")
    job_id: str = column("The job.", refers="jobs.job_id", indexed=True)
    note: str | None = column("The first 200 characters of the note, if it is at most 1 kB.")
    note_sha256: str | None = column(
        "The blob with the note, if it is larger.", refers="blobs.sha256"
    )
    version: int = column("The version of the event that records it.")
    noted_at: str = column("When it was written.")
    by_person: str | None = column("The person who wrote it.")
