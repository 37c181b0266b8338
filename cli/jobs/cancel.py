"""`orc cancel`: cancels a job through its owner; a job without an owner is cancelled here."""

from __future__ import annotations

import os

import trio

from orc.cli.errors import UsageProblem
from orc.cli.jobs.caller.secrets import hide_secrets
from orc.cli.jobs.folders import folder_for
from orc.cli.jobs.places import Places, open_for_writing
from orc.cli.jobs.state import append_command, load_state
from orc.ledger import JobId, Ledger, OwnerLock
from orc.ledger.errors import LedgerError
from orc.ledger.kinds import JOB_ENDED
from orc.projections import Publisher
from orc.scheduler.clock import Clock
from orc.scheduler.core.commands import CancelJob

_WAIT_S = 30.0


async def cancel(name: str, *, places: Places, reason: str | None = None) -> tuple[JobId, str]:
    """Cancel a job and wait until it has ended; the job's id and its status.

    The owner of the job gets a signal. A job without an owner is cancelled by this process. A job
    that has ended stays as it is. Raises NoSuchJob, LedgerError, and UsageProblem if the owner has
    not ended the job within 30 seconds.
    """
    with open_for_writing(places, os.environ) as ledger:
        job_id = ledger.find_job(name)
        state = load_state(ledger, job_id)
        if state.status in JOB_ENDED:
            return job_id, state.status
        hide_secrets(ledger, state.definition, os.environ, steps=())
        signal_id = ledger.send_signal(
            job_id,
            kind="cancel",
            data={"reason": reason} if reason else {},
            created_at=Clock().recorded_at(),
        )
        deadline = trio.current_time() + _WAIT_S
        while trio.current_time() < deadline:
            lock = OwnerLock(places.database, job_id)
            try:
                lock.acquire(wait_s=0)
            except LedgerError:
                await trio.sleep(0.1)
                continue
            try:
                reason = reason and ledger.mask.text(reason)
                return job_id, _cancel_unowned(ledger, job_id, signal_id, reason, places)
            finally:
                lock.release()
        raise UsageProblem(
            f"{job_id}: its owner has not ended it within 30 s; it may still do so: "
            f"`orc show {job_id}` shows its status"
        )


def _cancel_unowned(
    ledger: Ledger, job_id: JobId, signal_id: int, reason: str | None, places: Places
) -> str:
    state = load_state(ledger, job_id)
    if state.status in JOB_ENDED:
        return state.status
    append_command(ledger, job_id, state, CancelJob(signal_id, reason, at_once=True), blobs=[])
    folder = folder_for(ledger, state, job_id, places.runs_dir)
    Publisher(ledger, job_id, folder, prices=places.prices).publish()
    return state.status
