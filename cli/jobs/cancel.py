"""`orc cancel`: cancels a job through its owner; a job without an owner is cancelled here."""

from __future__ import annotations

import os
from dataclasses import dataclass

from orc.cli.jobs.asked_job import Request, ask
from orc.cli.jobs.caller.secrets import hide_secrets
from orc.cli.jobs.owned_job import Caller, OwnedJob
from orc.cli.jobs.places import Places, open_for_writing
from orc.cli.jobs.state import load_state
from orc.ledger import JobId, failpoints
from orc.ledger.digest import clean_text
from orc.ledger.kinds import JOB_ENDED
from orc.scheduler.clock import Clock
from orc.scheduler.core.commands import CancelJob, shorten_message


@dataclass(frozen=True, slots=True)
class Cancelled:
    """How the job ended. `had_ended` is whether it had ended before it was to be cancelled."""

    job_id: JobId
    status: str
    had_ended: bool


async def cancel(name: str, *, places: Places, reason: str | None = None) -> Cancelled:
    """Cancel a job and wait until it has ended.

    The owner of the job gets a signal. A job without an owner is cancelled by this process. A job
    that has ended stays as it is; if it was cancelled, its run folder is published. Raises
    NoSuchJob, LedgerError, and OwnerSilent if the owner has not ended the job within 30 seconds.
    """
    with open_for_writing(places, os.environ) as ledger:
        job_id = ledger.find_job(name)
        request = Request(ledger, job_id, Caller(places, os.environ), "ended it")
        state = load_state(ledger, job_id)
        had_ended = state.status in JOB_ENDED
        if had_ended and state.status != "cancelled":
            return Cancelled(job_id, state.status, had_ended)
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

        def cancel_here(owned: OwnedJob) -> None:
            if owned.state.status not in JOB_ENDED:
                owned.append(CancelJob(signal_id, reason, at_once=True))

        def ended(has_owner: bool) -> Cancelled | None:
            status = load_state(ledger, job_id).status
            if (has_owner and not had_ended) or status not in JOB_ENDED:
                return None
            return Cancelled(job_id, status, had_ended)

        return await ask(request, cancel_here, ended)
