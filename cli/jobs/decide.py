"""`orc approve` and `orc reject`: a decision is recorded by the job's owner, or here without one."""

from __future__ import annotations

import getpass
import os
from dataclasses import dataclass

import trio

from orc.cli.errors import UsageProblem
from orc.cli.jobs.caller.secrets import hide_secrets
from orc.cli.jobs.folders import folder_for
from orc.cli.jobs.places import Places, open_for_writing
from orc.cli.jobs.state import append_command, load_state
from orc.ledger import JobId, Ledger, OwnerLock
from orc.ledger.digest import clean_text
from orc.ledger.errors import LedgerError
from orc.ledger.events import ApprovalDecided
from orc.ledger.wording import count_text
from orc.projections import Publisher
from orc.scheduler.clock import Clock
from orc.scheduler.core.commands import DecideApproval
from orc.scheduler.core.errors import nearest
from orc.scheduler.core.fold.evolve import JobState

_WAIT_S = 30.0
_POLL_S = 0.1
COMMENT_CHARS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision of a step. `is_ours` is False if another one was recorded before.

    `by` is the user who decided; None if the step's timeout did. `has_owner` is whether a process
    runs the job.
    """

    job_id: JobId
    step: str
    option: str
    by: str | None
    is_ours: bool
    has_owner: bool


async def decide(
    name: str,
    step: str,
    *,
    option: str,
    comment: str | None,
    places: Places,
) -> Decision:
    """Decide for a step that waits for human review, and wait until the decision is an event.

    Raises NoSuchJob, LedgerError, and UsageProblem if the step does not wait, or has no such option.
    """
    if comment is not None and len(comment) > COMMENT_CHARS_MAX:
        raise UsageProblem(
            f"--comment: it may have {count_text(COMMENT_CHARS_MAX, 'character')} at most; shorten it"
        )
    by = _user_name()
    with open_for_writing(places, os.environ) as ledger:
        job_id = ledger.find_job(name)
        state = load_state(ledger, job_id)
        _check(ledger, job_id, state, step, option)
        # The comment is stored, and it may contain a secret.
        mask = hide_secrets(ledger, state.definition, os.environ, steps=())
        data = {
            "step": step,
            "option": option,
            "comment": comment and mask.text(clean_text(comment)),
            "by": by,
        }
        signal_id = ledger.send_signal(
            job_id, kind="decide", data=data, created_at=Clock().recorded_at()
        )
        command = DecideApproval(step, option, data["comment"], by, signal_id)
        deadline = trio.current_time() + _WAIT_S
        while trio.current_time() < deadline:
            lock = OwnerLock(places.database, job_id)
            has_owner = False
            try:
                lock.acquire(wait_s=0)
            except LedgerError:
                has_owner = True
            else:
                try:
                    _decide_unowned(ledger, job_id, command, places)
                finally:
                    lock.release()
            found = _find(ledger, job_id, step)
            if found is not None:
                is_ours = found.signal_id == signal_id
                return Decision(job_id, step, found.option, found.by, is_ours, has_owner)
            await trio.sleep(_POLL_S)
    raise UsageProblem(
        f"{job_id}: its owner has not recorded the decision within 30 s; it may still do so: "
        f"`orc show {job_id}` shows whether the step waits"
    )


def _decide_unowned(ledger: Ledger, job_id: JobId, command: DecideApproval, places: Places) -> None:
    state = load_state(ledger, job_id)
    append_command(ledger, job_id, state, command, blobs=[])
    folder = folder_for(ledger, state, job_id, places.runs_dir)
    Publisher(ledger, job_id, folder, prices=places.prices).publish()


def _check(ledger: Ledger, job_id: JobId, state: JobState, step: str, option: str) -> None:
    if step not in state.steps:
        asked = sorted(state.questions)
        raise UsageProblem(f"{job_id} has no step {step!r}{nearest(step, asked or state.steps)}")
    question = state.steps[step].question
    if question is None:
        before = _find(ledger, job_id, step)
        if before is not None:
            who = f"by {before.by}" if before.by else "by its timeout"
            raise UsageProblem(f"{step} has already been decided: {before.option}, {who}")
        status = state.steps[step].status
        raise UsageProblem(f"{step} does not wait for a decision: it is {status}")
    if option not in question.options:
        raise UsageProblem(
            f"{step} has no option {option!r}{nearest(option, question.options)}; use "
            f"--option {' | '.join(question.options)}"
        )


def _find(ledger: Ledger, job_id: JobId, step: str) -> ApprovalDecided | None:
    """The decision of the step's latest attempt; None if that has none."""
    attempt = load_state(ledger, job_id).steps[step].attempts
    found = None
    for recorded in ledger.read_stream(job_id):
        event = recorded.event
        if isinstance(event, ApprovalDecided) and event.step == step and event.attempt == attempt:
            found = event
    return found


def _user_name() -> str | None:
    try:
        return clean_text(getpass.getuser())[:100]
    except (KeyError, OSError):
        return None
