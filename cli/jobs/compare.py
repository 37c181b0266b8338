"""`orc diff`: compares two jobs of one ledger."""

from __future__ import annotations

from msgspec.structs import replace

from orc.cli.errors import UsageProblem
from orc.ledger import LedgerReader
from orc.ledger.kinds import NOT_LIVE
from orc.projections.history.job_diff import JobDiff, read_diff
from orc.projections.tables.rows import JobRow, StepRow
from orc.projections.tables.status import shown_status, step_as_shown
from orc.scheduler.core.errors import nearest


def compare_jobs(
    ledger: LedgerReader, before: str, after: str, *, step: str | None = None
) -> JobDiff:
    """The differences between two jobs; with `step`, only those of the step and the steps inside it.

    Raises NoSuchJob, and UsageProblem if neither job has the step.
    """
    jobs = ledger.find_job(before), ledger.find_job(after)
    if step is not None:
        rows = ledger.connection.execute("SELECT name FROM steps WHERE job_id IN (?, ?)", jobs)
        names = {row[0] for row in rows}
        if step not in names:
            raise UsageProblem(f"neither job has a step {step!r}{nearest(step, names)}")
    return _as_shown(ledger, read_diff(ledger, *jobs, step=step))


def _as_shown(ledger: LedgerReader, found: JobDiff) -> JobDiff:
    """The differences with statuses as other commands show them: `interrupted`, not `running`."""
    before, after = (_with_status(ledger, job) for job in (found.before, found.after))
    steps = (
        replace(
            step,
            before=_with_step_status(step.before, before),
            after=_with_step_status(step.after, after),
        )
        for step in found.steps
    )
    return replace(found, before=before, after=after, steps=tuple(steps))


def _with_status(ledger: LedgerReader, job: JobRow) -> JobRow:
    status = shown_status(ledger.connection, ledger.path, job.job_id, job.status)
    return job._replace(status=status)


def _with_step_status(step: StepRow | None, job: JobRow) -> StepRow | None:
    """The row of a step of the job, whose status is the one to show."""
    return step and step_as_shown(step, is_live=job.status not in NOT_LIVE)
