"""`orc cancel`: cancels a job through its owner; a job without an owner is cancelled here."""

from __future__ import annotations

import os

import trio
from msgspec import Struct

from orc.cli.errors import EnvironmentProblem, OwnerSilent
from orc.cli.jobs.caller.left_running import left_running
from orc.cli.jobs.caller.secrets import hide_secrets
from orc.cli.jobs.owned_job import Caller, OwnedJob, own, owner_here
from orc.cli.jobs.owner_request import OwnerRequest, ask_owner
from orc.cli.jobs.places import Places, open_for_writing
from orc.cli.jobs.state import load_state
from orc.ledger import JobId, failpoints
from orc.ledger.command_lines import quoted_command
from orc.ledger.digest import clean_text
from orc.ledger.errors import OwnedElsewhere
from orc.ledger.files.runner_log import withdraw_start
from orc.ledger.kinds import JOB_ENDED
from orc.ledger.wording import duration_text
from orc.projections.tables.status import is_starting
from orc.scheduler.clock import Clock
from orc.scheduler.core.commands import CancelJob, ResumeJob, shorten_message
from orc.scheduler.core.fold.batches import open_batched
from orc.scheduler.folders.workspace import sweep_attempts

_START_WAIT_S = 20.0
"""The time in which a process in the background that has taken its job starts to run it."""


class Cancelled(Struct, frozen=True):
    """How the job ended. `had_ended` is whether it had ended before it was to be cancelled.

    `is_withdrawn`: a process in the background was starting, and will not run the job.
    """

    job_id: JobId
    status: str
    had_ended: bool
    is_withdrawn: bool = False


async def cancel(
    name: str, *, places: Places, reason: str | None = None, force: bool = False
) -> Cancelled:
    """Cancel a job and wait until it has ended.

    The owner of the job gets a signal. A job without an owner is cancelled by this process; what
    executors still run of it is ended first, unless `force` is set and they cannot be reached, and
    servers end its batches. A
    job that has ended stays as it is; if it was cancelled, its run folder is published. A process
    in the background that is starting does not run the job any more. Raises NoSuchJob, LedgerError,
    EnvironmentProblem for an executor that cannot be reached, and OwnerSilent if the owner has not
    ended the job within 30 seconds.
    """
    with open_for_writing(places, os.environ) as ledger:
        job_id = ledger.find_job(name)
        request = OwnerRequest(ledger, job_id, Caller(places, os.environ), "ended it")
        is_withdrawn = await _withdraw(request)
        state = load_state(ledger, job_id)
        had_ended = state.status in JOB_ENDED
        if had_ended and state.status != "cancelled":
            return Cancelled(job_id, state.status, had_ended, is_withdrawn)
        hide_secrets(ledger, state.definition, os.environ, steps=())
        reason = reason and shorten_message(ledger.mask.text(clean_text(reason)))
        signal_id = None
        if not had_ended:
            signal_id = ledger.send_signal(
                job_id,
                kind="cancel",
                data={"reason": reason} if reason else {},
                created_at=Clock().recorded_at(),
            )
            failpoints.hit("signal.sent")

        async def cancel_here(owned: OwnedJob) -> None:
            if owned.state.status not in JOB_ENDED:
                await owned.end_elsewhere(left_running(owned.state), force=force)
                sweep_attempts(owned.folder, owned.state)
                command = CancelJob(signal_id, reason, at_once=True)
                if not await _end_batches(owned, command, force=force):
                    owned.append(command)

        def ended(has_owner: bool) -> Cancelled | None:
            status = load_state(ledger, job_id).status
            if (has_owner and not had_ended) or status not in JOB_ENDED:
                return None
            return Cancelled(job_id, status, had_ended, is_withdrawn)

        return await ask_owner(request, cancel_here, ended)


async def _withdraw(request: OwnerRequest) -> bool:
    """Keep a process in the background that is starting from running the job; whether there was one.

    One that has taken the job already is waited for until it runs it, and then gets the signal. Raises
    LedgerError, OwnerSilent.
    """
    ledger, job_id = request.ledger, request.job_id
    deadline = trio.current_time() + _START_WAIT_S
    while is_starting(ledger.connection, ledger.path, job_id):
        try:
            with own(ledger, job_id, request.caller, wait_s=0):
                return withdraw_start(ledger.path, job_id)
        except OwnedElsewhere:
            if load_state(ledger, job_id).status not in JOB_ENDED:
                return False
        if trio.current_time() > deadline:
            raise OwnerSilent(
                f"{job_id}: the process that is to run it has not started within "
                f"{duration_text(_START_WAIT_S)}; when it has, {quoted_command('cancel', job_id)}"
            )
        await trio.sleep(0.05)
    return False


async def _end_batches(owned: OwnedJob, command: CancelJob, *, force: bool) -> bool:
    """Cancel a job whose calls wait in batches, and keep what the servers answered until then.

    Returns whether there were any. Raises EnvironmentProblem if a server cannot be asked here.
    """
    if not open_batched(owned.state):
        return False
    try:
        owned.build_providers(replies=None)
    except EnvironmentProblem as error:
        if force:
            return False
        raise EnvironmentProblem(
            f"{owned.job_id}: servers work on its batches, and cannot be asked to stop: {error}. "
            f"{quoted_command('cancel', '--force', owned.job_id)} ends the job only"
        ) from error
    await owned.run(ResumeJob(owner_here()), [], command)
    return True
