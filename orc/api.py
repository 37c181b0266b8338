"""The Python API: the commands of the command line, as functions.

Functions that run or wait (`run`, `work`, `resume`, `rerun`, `fork`, `replay`, `approve`, `reject`,
`cancel`) have asynchronous versions for trio in `asynchronous.py`. In all functions, `db` is the
path of the ledger: by default $ORC_DB, else `runs.db` in the current folder. A job is named by its
id, a unique part of it, `latest`, or `latest~1`. A job that fails is returned; no error is raised.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from orc.arguments import checked
from orc.asynchronous import (
    Replay,
    approve_async,
    cancel_async,
    fork_async,
    names_of,
    places_of,
    reject_async,
    replay_async,
    rerun_async,
    resume_async,
    run_async,
    submission_of,
    wait,
)
from orc.cli.jobs.caller.spec_files import SpecFiles, folder_beside, read_spec_file
from orc.cli.jobs.compare import compare_jobs
from orc.cli.jobs.damage import names_damage
from orc.cli.jobs.decide import Decision
from orc.cli.jobs.listing import JobSummary, list_jobs
from orc.cli.jobs.places import open_for_reading, open_for_writing
from orc.cli.jobs.plan import Plan, plan_run
from orc.cli.jobs.read import Job, read_job
from orc.cli.jobs.validate import find_problems
from orc.cli.jobs.verify import Verification, verify_ledger
from orc.ledger import Ledger
from orc.ledger.files.written_paths import written_path
from orc.projections.history.job_diff import JobDiff
from orc.projections.tables.status import shown_status
from orc.scheduler.core.errors import Problem
from orc.scheduler.core.spec.model import JobSpec
from orc.scheduler.core.spec.parse import parse_spec

Value = TypeVar("Value")


@checked
def load_spec(path: str | Path) -> JobSpec:
    """Read and check the spec in a file.

    Raises SpecError with every problem, and UsageProblem if the file cannot be read.
    """
    path = written_path(path)
    text, name = read_spec_file(path)
    files = SpecFiles(folder_beside(path))
    return parse_spec(text, source_name=name, read_text=files.read_text).job_with_steps()


@checked
def validate(
    spec: JobSpec | str | Path,
    *,
    provider: str | None = None,
    inputs: Mapping[str, Any] | None = None,
) -> tuple[Problem, ...]:
    """Every problem of a spec, with line and column; empty for a valid spec. Nothing is raised."""
    return find_problems(submission_of(spec, provider=provider, inputs=inputs), os.environ)


@checked
@names_damage
def plan(
    spec: JobSpec | str | Path,
    *,
    db: str | Path | None = None,
    provider: str | None = None,
    model: str | None = None,
    inputs: Mapping[str, Any] | None = None,
    until: str | Iterable[str] = (),
) -> Plan:
    """What a run of the spec would do, why, and what it would cost. Nothing is written.

    The spec is compared with the latest job of its project. The ledger need not exist. With `until`,
    the plan has only these steps and the steps that they need. Raises SpecError, UsageProblem,
    LedgerError.
    """
    places = places_of(db, None)
    submission = submission_of(
        spec,
        provider=provider,
        model=model,
        inputs=inputs,
        prices=places.prices,
        until=until,
    )
    return plan_run(submission, os.environ, places)


def run(
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
    record: str | Path | None = None,
    force: bool = False,
    keep_work: bool = False,
) -> Job:
    """Submit a spec (the path of a file, or a model) and run the job to its end.

    `replies` is a file of recorded replies for the provider `replay`; `record` is a file to which
    the replies of this run are written. `until` names steps: only these and the steps that they
    need run, and other steps stay pending. `strict` refuses parameters that a provider does not
    support. `force` overwrites files in `output_dir` that orc did not write. `keep_work` keeps the
    working folders of attempts. Raises SpecError, UsageProblem, EnvironmentProblem, LedgerError.
    """
    return wait(
        run_async,
        spec,
        db=db,
        runs_dir=runs_dir,
        provider=provider,
        model=model,
        inputs=inputs,
        replies=replies,
        strict=strict,
        until=until,
        output_dir=output_dir,
        record=record,
        force=force,
        keep_work=keep_work,
    )


def resume(
    job: str = "latest",
    *,
    db: str | Path | None = None,
    provider: str | None = None,
    replies: str | Path | None = None,
    timeout_s: float | None = None,
    budget: str | Iterable[str] | None = None,
    spec: JobSpec | str | Path | None = None,
    inputs: Mapping[str, Any] | None = None,
    only: str | Iterable[str] = (),
    force: bool = False,
    keep_work: bool = False,
    trust: bool = False,
    spec_dir: str | Path | None = None,
) -> Job:
    """Continue a job from its last event; with `spec`, amend it first.

    An edited `spec`, with `inputs`, amends the job: the steps that it changes run again with all
    their dependents, and other steps keep their results. `budget` raises a limit: `+1.00`
    (dollars), `+5000tokens`, `+10calls`, or `STEP=+1.00`. `only` names steps: only these and the
    steps that they need run. `timeout_s` is a new time limit for the whole job. `provider` can only
    be `replay`. `trust` allows the commands of a job or ledger that another user made or can write
    to. `spec_dir` is where the folder of the job's spec is now, if it was moved without the ledger.
    Raises NoSuchJob, OwnedElsewhere if another process runs the job, SpecError, UsageProblem,
    EnvironmentProblem, LedgerError.
    """
    return wait(
        resume_async,
        job,
        db=db,
        provider=provider,
        replies=replies,
        timeout_s=timeout_s,
        budget=budget,
        spec=spec,
        inputs=inputs,
        only=only,
        force=force,
        keep_work=keep_work,
        trust=trust,
        spec_dir=spec_dir,
    )


def rerun(
    job: str,
    steps: str | Iterable[str],
    *,
    db: str | Path | None = None,
    replies: str | Path | None = None,
    only: str | Iterable[str] = (),
    force: bool = False,
    keep_work: bool = False,
    trust: bool = False,
    spec_dir: str | Path | None = None,
) -> Job:
    """Run steps of a job again, with all their dependents. The named steps use no cache.

    Raises what `resume` raises.
    """
    return wait(
        rerun_async,
        job,
        steps,
        db=db,
        replies=replies,
        only=only,
        force=force,
        keep_work=keep_work,
        trust=trust,
        spec_dir=spec_dir,
    )


def fork(
    job: str,
    *,
    start: str | None = None,
    changes: Mapping[str, Any] | None = None,
    spec: JobSpec | str | Path | None = None,
    run: bool = True,
    db: str | Path | None = None,
    runs_dir: str | Path | None = None,
    replies: str | Path | None = None,
    force: bool = False,
    keep_work: bool = False,
    trust: bool = False,
    spec_dir: str | Path | None = None,
) -> Job:
    """Submit a new job that reuses the results of another job, and run it.

    These steps run again, with all their dependents: the step `start`, and the steps that `changes`
    or another `spec` of the same project change. `changes` has values by path in the spec, such as
    `steps.x.model` or `inputs.k`. With `run=False` the job is only submitted. The other job may be
    in any state. Raises NoSuchJob, SpecError, UsageProblem, EnvironmentProblem, LedgerError.
    """
    return wait(
        fork_async,
        job,
        start=start,
        changes=changes,
        spec=spec,
        run=run,
        db=db,
        runs_dir=runs_dir,
        replies=replies,
        force=force,
        keep_work=keep_work,
        trust=trust,
        spec_dir=spec_dir,
    )


def replay(
    job: str = "latest",
    *,
    db: str | Path | None = None,
    runs_dir: str | Path | None = None,
    trust: bool = False,
    spec_dir: str | Path | None = None,
) -> Replay:
    """Run a job again as a new job, from its recorded replies, and compare the two.

    No model is called. Commands and functions run again. Raises NoSuchJob, UsageProblem for a
    job that has not ended, EnvironmentProblem, LedgerError.
    """
    return wait(replay_async, job, db=db, runs_dir=runs_dir, trust=trust, spec_dir=spec_dir)


def approve(
    job: str,
    step: str,
    *,
    option: str = "approve",
    comment: str | None = None,
    db: str | Path | None = None,
) -> Decision:
    """Approve a step that waits for human review, or choose another `option` that it offers.

    If no process runs the job, `resume` continues it. Raises NoSuchJob, LedgerError, and
    UsageProblem if the step does not wait, or does not offer the option.
    """
    return wait(approve_async, job, step, option=option, comment=comment, db=db)


def reject(
    job: str, step: str, *, comment: str | None = None, db: str | Path | None = None
) -> Decision:
    """Reject a step that waits for human review; the step fails. Raises what `approve` raises."""
    return wait(reject_async, job, step, comment=comment, db=db)


def cancel(
    job: str, *, reason: str | None = None, db: str | Path | None = None, force: bool = False
) -> Job:
    """Cancel a job and wait until it has ended; a job that has ended stays as it is.

    `force` cancels it although executors that may still run its steps cannot be reached; without it,
    EnvironmentProblem is raised then. Raises NoSuchJob, LedgerError, and UsageProblem if the process
    that runs the job has not ended it within 30 seconds.
    """
    return wait(cancel_async, job, reason=reason, db=db, force=force)


@checked
@names_damage
def job(name: str = "latest", *, db: str | Path | None = None) -> Job:
    """One job as it is now. Raises NoSuchJob, LedgerError."""
    return read_job(places_of(db, None), name)


@checked
@names_damage
def jobs(
    *,
    db: str | Path | None = None,
    statuses: str | Iterable[str] = (),
    project: str | None = None,
    since: datetime | None = None,
    limit: int | None = None,
    tag: str | None = None,
) -> tuple[JobSummary, ...]:
    """The jobs of the ledger, newest first; `since` without a time zone is UTC.

    Raises UsageProblem for an unknown status, and LedgerError.
    """
    places = places_of(db, None)
    after = None
    if since is not None:
        moment = since.replace(tzinfo=since.tzinfo or UTC).astimezone(UTC)
        after = moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    with open_for_reading(places) as ledger:
        found = list_jobs(
            ledger.connection,
            shown_status=partial(shown_status, ledger.connection, places.database),
            statuses=names_of(statuses),
            project=project,
            since=after,
            tag=tag,
        )
        return tuple(islice(found, limit))


@checked
@names_damage
def verify(
    job: str | None = None, *, db: str | Path | None = None, heads: Iterable[str] = ()
) -> Verification:
    """Verify one job or, for None, the whole ledger: chain, blobs, tables and published files.

    `heads` are head hashes that jobs are known to have had, as `JOB=HASH`, or `HASH` with a `job`.
    Raises NoSuchJob, UsageProblem, and LedgerError if the file cannot be read.
    """
    places = places_of(db, None)
    return verify_ledger(places.database, job, heads, prices=places.prices)


@checked
@names_damage
def diff(
    before: str, after: str, *, step: str | None = None, db: str | Path | None = None
) -> JobDiff:
    """The differences between two jobs; with `step`, only those of the step and the steps inside it.

    Raises NoSuchJob, LedgerError, and UsageProblem if neither job has the step.
    """
    with open_for_reading(places_of(db, None)) as ledger:
        return compare_jobs(ledger, before, after, step=step)


@checked
def open_ledger(db: str | Path | None = None) -> Ledger:
    """Open the ledger to read streams and blobs. Close it, or use it in a `with` statement.

    Raises NoLedger if there is no ledger at the path, and ExposedFiles if another user could change it.
    """
    return open_for_writing(places_of(db, None), os.environ)
