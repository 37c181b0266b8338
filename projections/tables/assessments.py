"""The tables of what was thought of jobs and results: scores, tags and notes."""

from typing import Annotated, NamedTuple

from orc.projections.tables.columns import column, table


@table(
    "scores",
    "Scores",
    "One row for each score of a step's present result, by each expression, judge or person; "
    "without a value if the expression is broken.",
)
class ScoreRow(NamedTuple):
    """A row of `scores`."""

    score_id: Annotated[str, column("`job/step/name/who/step or person`.", key=True)]
    name: Annotated[str, column("The name of the score.")]
    job_id: Annotated[str, column("The job.", refers="jobs.job_id", indexed=True)]
    step_id: Annotated[
        str, column("The step that the score is about.", refers="steps.step_id", indexed=True)
    ]
    attempt: Annotated[int, column("The attempt whose result it is about; 0 for a reused result.")]
    value: Annotated[
        float | None, column("The value; of a boolean 1 or 0. NULL if there is an error.")
    ]
    passed: Annotated[
        int | None, column("1 or 0 if the value is a boolean: whether the result passed.")
    ]
    error: Annotated[str | None, column("Why the expression gave no value.")]
    why: Annotated[
        str | None, column("The first 200 characters of the explanation, if it is at most 1 kB.")
    ]
    why_sha256: Annotated[
        str | None, column("The blob with the explanation, if it is larger.", refers="blobs.sha256")
    ]
    who: Annotated[
        str,
        column("expression (of the step itself), judge (an expression of another step) or human."),
    ]
    by_step: Annotated[str | None, column("The id of the step whose expression gave it.")]
    by_person: Annotated[str | None, column("The person who gave it.")]
    version: Annotated[int, column("The version of the event that records it.")]
    recorded_at: Annotated[str, column("When it was recorded.")]
    model: Annotated[str | None, column("The model of the step that the score is about.")]
    dimensions: Annotated[str | None, column("The dimensions of that step, as in `steps`.")]

    @property
    def by(self) -> str:
        """The step or the person who gave it."""
        return self.by_step or self.by_person or self.who


@table("tags", "Tags", "One row for each tag of a job.")
class TagRow(NamedTuple):
    """A row of `tags`."""

    tag_id: Annotated[str, column("`job/tag`.", key=True)]
    name: Annotated[str, column("The tag.", indexed=True)]
    job_id: Annotated[str, column("The job.", refers="jobs.job_id", indexed=True)]
    tagged_at: Annotated[str, column("When the job got it.")]
    by_person: Annotated[str | None, column("The person who added it; NULL if the spec has it.")]


@table("notes", "Notes", "One row for each note about a job.")
class NoteRow(NamedTuple):
    """A row of `notes`."""

    note_id: Annotated[str, column("`job/version`.", key=True)]
    name: Annotated[str, column("The id of the job, and the number of the note's event.")]
    job_id: Annotated[str, column("The job.", refers="jobs.job_id", indexed=True)]
    note: Annotated[
        str | None, column("The first 200 characters of the note, if it is at most 1 kB.")
    ]
    note_sha256: Annotated[
        str | None, column("The blob with the note, if it is larger.", refers="blobs.sha256")
    ]
    version: Annotated[int, column("The version of the event that records it.")]
    noted_at: Annotated[str, column("When it was written.")]
    by_person: Annotated[str | None, column("The person who wrote it.")]
