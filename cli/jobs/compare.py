"""`orc diff`: compares two jobs of one ledger."""

from __future__ import annotations

from orc.cli.errors import UsageProblem
from orc.ledger import LedgerReader
from orc.projections.history.job_diff import JobDiff, read_diff
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
    return read_diff(ledger, *jobs, step=step)
