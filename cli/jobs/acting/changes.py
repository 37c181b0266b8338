"""Continues a job, runs its steps again or forks it; a process of its own then runs the job.

The checks are those of the commands `resume`, `rerun` and `fork`, and come before anything is
recorded or started. What can only fail in the process itself is in its log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from orc.about import version
from orc.cli.errors import UsageProblem
from orc.cli.jobs.acting.runner import StartRunner, start_runner
from orc.cli.jobs.amend import Amendment
from orc.cli.jobs.caller.secrets import steps_to_run
from orc.cli.jobs.caller.trust import refuse_untrusted
from orc.cli.jobs.fork import Fork, fork
from orc.cli.jobs.owned_job import Caller, OwnedJob, own
from orc.cli.jobs.places import Places, open_to_continue
from orc.cli.jobs.removed_blobs import refuse_removed
from orc.cli.jobs.resume import check_continued
from orc.cli.jobs.sync import run_sync
from orc.ledger import JobId, failpoints
from orc.ledger.command_lines import quoted_command


@contextmanager
def _owned(name: str, places: Places, environment: Mapping[str, str]) -> Iterator[OwnedJob]:
    """A job that this process owns for a moment, if the user may run its commands."""
    with open_to_continue(places, environment, trust=False) as ledger:
        job_id = ledger.find_job(name)
        refuse_untrusted(ledger, job_id, trust=False)
        with own(ledger, job_id, Caller(places, environment)) as owned:
            yield owned


def resume_in_background(
    name: str,
    places: Places,
    environment: Mapping[str, str],
    *,
    start_runner: StartRunner = start_runner,
) -> JobId:
    """Continue a job in a process of its own.

    Raises UsageProblem, EnvironmentProblem, OwnedElsewhere, LedgerError.
    """
    with _owned(name, places, environment) as owned:
        ledger, job_id, state = owned.ledger, owned.job_id, owned.fold()
        if state.status == "succeeded":
            raise UsageProblem(
                f"{job_id} has succeeded: there is nothing to continue. Run one of its steps "
                f"again, or fork it: {quoted_command('rerun', job_id, 'STEP')}, "
                f"{quoted_command('fork', job_id)}"
            )
        refuse_removed(ledger, job_id, state)
        check_continued(owned, steps_to_run(state, ()))
    _start(start_runner, places, job_id, environment)
    return job_id


def rerun_in_background(
    name: str,
    steps: tuple[str, ...],
    places: Places,
    environment: Mapping[str, str],
    *,
    start_runner: StartRunner = start_runner,
) -> JobId:
    """Amend a job so that the steps run again with their dependents, in a process of its own.

    Raises UsageProblem, EnvironmentProblem, OwnedElsewhere, LedgerError.
    """
    with _owned(name, places, environment) as owned:
        ledger, job_id, state = owned.ledger, owned.job_id, owned.fold()
        prepared = Amendment(environment, again=steps).prepare(ledger, job_id, state)
        check_continued(owned, prepared.plan.runs)
        owned.state = prepared.record()
        failpoints.hit("acting.recorded")
        owned.publish()
    _start(start_runner, places, job_id, environment)
    return job_id


def fork_in_background(
    name: str,
    places: Places,
    environment: Mapping[str, str],
    *,
    start: str | None,
    sets: tuple[str, ...],
    inputs: Mapping[str, Any],
    on_job: Callable[[JobId], None],
    start_runner: StartRunner = start_runner,
) -> JobId:
    """Submit a fork of a job, with other inputs, and run it in a process of its own; its id.

    `on_job` gets the id as soon as the new job exists.

    Raises SpecError, UsageProblem, EnvironmentProblem, LedgerError.
    """
    changes = {f"inputs.{key}": value for key, value in inputs.items()}
    forked = run_sync(
        fork,
        name,
        Fork(start, sets, changes=changes),
        places=places,
        environment=environment,
        version=version(),
        run=False,
    )
    on_job(forked.job_id)
    failpoints.hit("acting.recorded")
    _start(start_runner, places, forked.job_id, environment)
    return forked.job_id


def _start(
    start_runner: StartRunner, places: Places, job_id: JobId, environment: Mapping[str, str]
) -> None:
    if not start_runner(places, job_id, environment):
        raise UsageProblem(
            f"{job_id} is already being run by a process in the background: wait for it, or cancel "
            f"the job: {quoted_command('cancel', job_id)}"
        )
