"""Reads one job from the ledger: status, steps, outputs, files, failures, tokens and cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from orc.cli.errors import UsageProblem
from orc.cli.jobs.own_folder import folder_of
from orc.cli.jobs.owned_job import Ended
from orc.cli.jobs.places import Places, open_for_reading
from orc.cli.jobs.state import failures_of, load_state
from orc.ledger import LedgerReader
from orc.ledger.errors import FileTooLarge, RemovedBlob
from orc.ledger.events import Failure
from orc.ledger.money import usd_number
from orc.ledger.wording import visible
from orc.projections.folds.owned_files import OwnedFiles, artifact_path, read_owned
from orc.projections.scores.groups import SEED, ScoreGroup, group_scores, known_names
from orc.projections.scores.rows import read_scores
from orc.projections.tables.job_view import read_view
from orc.projections.tables.rows import StepRow
from orc.projections.tables.status import shown_status
from orc.projections.tables.tags import read_tags
from orc.scheduler.core.fold.evolve import JobState

_HTML_STEPS_MAX = 100


class Step(Struct, frozen=True):
    """A step of a job. Costs are US dollars.

    `cost_usd` is None if calls have no known price; `cost_known_usd` has the known part.
    `question` is the text that a waiting step shows for human review. `reused_from` is the
    `JOB/STEP` whose result the step reuses. `parent` is the step that contains it. `duration_s` is
    None until the step has ended. `tolerated`: it failed, and the job continued. `warning` is what
    is to be known about a result.
    """

    step: str
    status: str
    kind: str
    needs: tuple[str, ...]
    attempts: int
    duration_s: float | None
    tokens: int
    cost_usd: float | None
    cost_known_usd: float
    calls_unpriced: int
    failure_kind: str | None
    failure: str | None
    skip_reason: str | None
    question: str | None
    reused_from: str | None
    parent: str | None
    tolerated: bool = False
    warning: str | None = None


class Job(Struct, frozen=True):
    """A job as it is now. Times are UTC text, costs US dollars.

    `status` is succeeded, failed, cancelled, waiting, running, starting (a process in
    the background is about to run it), queued (a worker will run it) or interrupted (not ended, and no
    process runs it). `outputs` has the output of each succeeded step
    by step id, and `outputs_removed` the steps whose outputs were pruned or redacted. `files` has
    the paths of the job's files in the run folder, by their path under `outputs/`; `artifacts` has
    those of the files that commands left in $ORC_ARTIFACTS, by `step/path`. `failures` have `step`,
    `kind` and `message`. `cost_usd` is None if calls have no known price; `cost_known_usd` has the
    known part. `not_delivered` are files that were not copied to `output_dir`, since it has files of
    these names that orc did not write. `tolerated_failures` has the `total` of the failures after
    which the job went on, and `by_setting` with the number of each kind (docs/spec.md). `database` is
    the ledger's file.
    """

    job_id: str
    project: str
    status: str
    outputs: Mapping[str, Any]
    outputs_removed: tuple[str, ...]
    files: Mapping[str, Path]
    artifacts: Mapping[str, Path]
    failures: tuple[Failure, ...]
    steps: tuple[Step, ...]
    folder: Path
    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    cost_known_usd: float
    calls_unpriced: int
    submitted_at: str
    started_at: str | None
    finished_at: str | None
    duration_s: float | None
    forked_from: str | None
    not_delivered: tuple[str, ...] = ()
    tolerated_failures: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    database: Path = Path()

    def scores(self, *, by: str | Sequence[str] = (), seed: int = SEED) -> tuple[ScoreGroup, ...]:
        """The means and intervals of the job's scores now, as `orc scores --by` shows them.

        Without `by`, there is one group for each score; a text is one dimension. Raises
        UsageProblem for a dimension that the job does not have, and LedgerError.
        """
        with LedgerReader.open(self.database) as ledger:
            found = read_scores(ledger.connection, self.job_id)
        names = (by,) if isinstance(by, str) else tuple(by)
        unknown = [name for name in names if name not in known_names(found)]
        if unknown:
            known = ", ".join(known_names(found))
            raise UsageProblem(
                f"by: the scores have no dimension {unknown[0]!r}; they have {known}"
            )
        return tuple(group_scores(found, by=names, seed=seed))

    @property
    def tokens(self) -> int:
        """The sum of input and output tokens."""
        return self.input_tokens + self.output_tokens

    def steps_df(self) -> Any:
        """The steps as a data frame of pandas, else of polars. Raises NoDataFrames."""
        from orc.ledger.tables import data_frame

        names = Step.__struct_fields__
        return data_frame(names, ([getattr(step, name) for name in names] for step in self.steps))

    def _repr_html_(self) -> str:
        """The job as a small table, for notebooks. Every text is escaped."""
        columns = ("step", "status", "kind", "attempts", "duration_s", "tokens", "cost_usd")
        head = "".join(f"<th>{name}</th>" for name in columns)
        rows = "".join(
            "<tr>" + "".join(_cell(getattr(step, name)) for name in columns) + "</tr>"
            for step in self.steps[:_HTML_STEPS_MAX]
        )
        left = len(self.steps) - _HTML_STEPS_MAX
        more = f"<p>and {left} more steps: <code>steps_df()</code></p>" if left > 0 else ""
        title = escape(visible(f"{self.project} {self.job_id}: {self.status}"))
        return f"<p><b>{title}</b></p><table><tr>{head}</tr>{rows}</table>{more}"


def read_job(places: Places, name: str, *, ended: Ended | None = None) -> Job:
    """The job of this id, unique part of an id, or `latest`.

    `ended` is the end of a run in this process; with it the state is not folded again. Raises
    NoSuchJob, LedgerError.
    """
    with open_for_reading(places) as ledger:
        job_id = ledger.find_job(name)
        view = read_view(ledger.connection, job_id)
        row = view.job
        state = _state(ledger, job_id) if ended is None else ended.state
        folder = folder_of(ledger, job_id, use="read") if ended is None else ended.folder
        outputs, removed = _outputs(ledger, state)
        owned = read_owned(ledger.read_stream(job_id))
        tags = read_tags(ledger.connection, job_id)
        status = shown_status(ledger.connection, places.database, job_id, row.status)
    known = usd_number(row.cost_nano_usd or 0)
    return Job(
        job_id=job_id,
        project=row.name,
        status=status if ended is None else ended.status,
        outputs=outputs,
        outputs_removed=removed,
        files=_files(folder, state),
        artifacts=_artifacts(folder, owned),
        failures=() if state is None else tuple(failures_of(state)),
        steps=tuple(map(_step, view.steps)),
        folder=folder,
        calls=row.calls,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        cost_usd=None if row.calls_unpriced else known,
        cost_known_usd=known,
        calls_unpriced=row.calls_unpriced,
        submitted_at=row.submitted_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        duration_s=row.duration_s,
        forked_from=row.forked_from,
        not_delivered=() if ended is None else ended.left_alone,
        tolerated_failures=view.all_tolerated.value(),
        tags=tags,
        database=places.database,
    )


def _state(ledger: LedgerReader, job_id: str) -> JobState | None:
    """The job's state; None if its spec was removed from the ledger."""
    try:
        return load_state(ledger, job_id)
    except RemovedBlob:
        return None


def _outputs(
    ledger: LedgerReader, state: JobState | None
) -> tuple[dict[str, Any], tuple[str, ...]]:
    found: dict[str, Any] = {}
    removed: list[str] = []
    for step_id, step in state.steps.items() if state is not None else ():
        if step.status != "succeeded":
            continue
        try:
            found[step_id] = ledger.read_payload(step.output)
        except RemovedBlob:
            removed.append(step_id)
        except FileTooLarge:
            # The results of the steps inside it are there one by one.
            continue
    return found, tuple(removed)


def _files(folder: Path, state: JobState | None) -> dict[str, Path]:
    files = () if state is None else state.files()
    return {file.path: folder / "outputs" / file.path for file in files}


def _artifacts(folder: Path, owned: OwnedFiles) -> dict[str, Path]:
    """The artifacts that steps own; the folder may also have files that orc did not put there."""
    paths = sorted(
        artifact_path(step, file) for step, files in owned.artifacts.items() for file in files
    )
    return {path.removeprefix("artifacts/"): folder / path for path in paths}


def _step(row: StepRow) -> Step:
    known = usd_number(row.cost_nano_usd or 0)
    return Step(
        step=row.name,
        status=row.status,
        kind=row.kind,
        needs=row.needed,
        attempts=row.attempts,
        duration_s=row.duration_s,
        tokens=row.tokens,
        cost_usd=None if row.calls_unpriced else known,
        cost_known_usd=known,
        calls_unpriced=row.calls_unpriced,
        failure_kind=row.failure_kind,
        failure=row.failure,
        skip_reason=row.skip_reason,
        question=row.question if row.status == "waiting" and row.decision is None else None,
        reused_from=row.reused_from,
        parent=row.parent,
        tolerated=bool(row.tolerated),
        warning=row.warning,
    )


def _cell(value: Any) -> str:
    return f"<td>{escape(visible('' if value is None else str(value)))}</td>"
