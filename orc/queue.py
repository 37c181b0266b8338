"""The Python API of the queue: submitting jobs, and running them as a worker. See `api.py`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from orc.about import version
from orc.arguments import checked
from orc.asynchronous import places_of, submission_of, wait, work_async
from orc.cli.jobs.damage import names_damage
from orc.cli.jobs.queue.worker import Worked
from orc.cli.jobs.read import Job, read_job
from orc.cli.jobs.submit import submit as submit_job
from orc.scheduler.core.spec.model import JobSpec


@checked
@names_damage
def submit(
    spec: JobSpec | str | Path,
    *,
    db: str | Path | None = None,
    runs_dir: str | Path | None = None,
    provider: str | None = None,
    model: str | None = None,
    inputs: Mapping[str, Any] | None = None,
    replies: str | Path | None = None,
    strict: bool = False,
    until: str | Iterable[str] = (),
    output_dir: str | Path | None = None,
    force: bool = False,
) -> Job:
    """Submit a spec to the queue without running it; `work`, `orc work` or `resume` runs it.

    Secrets and keys of providers are read when the job runs; with `strict`, they are also required
    here. The other options are those of `run`. Raises SpecError, UsageProblem, EnvironmentProblem,
    LedgerError.
    """
    submission = submission_of(
        spec,
        provider=provider,
        model=model,
        inputs=inputs,
        replies=replies,
        strict=strict,
        until=until,
        output_dir=output_dir,
    )
    places = places_of(db, runs_dir)
    job_id = submit_job(
        submission, places=places, environment=os.environ, version=version(), force=force
    )
    return read_job(places, job_id)


def work(
    *,
    db: str | Path | None = None,
    jobs: int = 1,
    for_s: float | None = None,
    stop_when_empty: bool = False,
    trust: bool = False,
) -> Worked:
    """Run the jobs of the queue, the oldest first, at most `jobs` at the same time.

    It stops after `for_s` seconds, with `stop_when_empty` when no job is left that it can take, and
    at SIGINT or SIGTERM; jobs that still run then go back to the queue. Jobs that fail raise
    nothing: the result counts how the jobs ended. `trust` allows a ledger that another user can
    write to. Raises UsageProblem, LedgerError.
    """
    return wait(
        work_async, db=db, jobs=jobs, for_s=for_s, stop_when_empty=stop_when_empty, trust=trust
    )
