"""Has something done to a job by its owner, or here if no process owns the job.

`orc cancel`, `orc approve` and `orc reject` use it: the owner gets a signal in the ledger.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio
from msgspec import Struct

from orc.cli.errors import OwnerSilent
from orc.cli.jobs.owned_job import Caller, OwnedJob, own
from orc.ledger import JobId, Ledger
from orc.ledger.command_lines import quoted_command
from orc.ledger.errors import OwnedElsewhere
from orc.ledger.wording import duration_text

Value = TypeVar("Value")

ANSWER_WAIT_S = 30.0
"""The time in which an owner has to do what a signal asks."""

_POLL_S = 0.1


class OwnerRequest(Struct, frozen=True):
    """What is asked of a job's owner: `what` completes the sentence "its owner has not ..."."""

    ledger: Ledger
    job_id: JobId
    caller: Caller
    what: str


async def ask_owner(
    request: OwnerRequest,
    act: Callable[[OwnedJob], Awaitable[None]],
    answer: Callable[[bool], Value | None],
) -> Value:
    """Wait until it is done; the first answer that is not None.

    Without an owner, `act` does it in the folded job that this process then owns, and the run folder
    is published, also if `act` finds nothing to do: a killed process may have done only this half.
    `answer` gets whether the job has another owner. Raises OwnerSilent after 30 seconds, LedgerError.
    """
    deadline = trio.current_time() + ANSWER_WAIT_S
    while True:
        has_owner = False
        try:
            with own(request.ledger, request.job_id, request.caller, wait_s=0) as owned:
                owned.fold()
                await act(owned)
                owned.publish()
        except OwnedElsewhere:
            has_owner = True
        found = answer(has_owner)
        if found is not None:
            return found
        if trio.current_time() >= deadline:
            break
        await trio.sleep(_POLL_S)
    raise OwnerSilent(
        f"{request.job_id}: its owner has not {request.what} within {duration_text(ANSWER_WAIT_S)}; "
        f"it may still do so: {quoted_command('show', request.job_id)} shows the state of the job"
    )
