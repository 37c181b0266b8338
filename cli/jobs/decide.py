"""`orc approve` and `orc reject`: a decision is recorded by the job's owner, or here without one."""

from __future__ import annotations

import os

from msgspec import Struct
from msgspec.structs import replace

from orc.cli.errors import UsageProblem
from orc.cli.jobs.caller.person import user_name
from orc.cli.jobs.caller.secrets import hide_secrets
from orc.cli.jobs.owned_job import Caller, OwnedJob
from orc.cli.jobs.owner_request import OwnerRequest, ask_owner
from orc.cli.jobs.places import Places, open_for_writing
from orc.cli.jobs.state import load_state, wait_text
from orc.ledger import JobId, Ledger, failpoints
from orc.ledger.command_lines import decision_commands, quoted_command
from orc.ledger.digest import clean_text
from orc.ledger.events import ApprovalDecided
from orc.ledger.step_names import is_within
from orc.ledger.wording import count_text, decision_text, number_text
from orc.projections.tables.questions import read_question
from orc.scheduler.clock import Clock
from orc.scheduler.core.commands import DecideApproval
from orc.scheduler.core.errors import nearest
from orc.scheduler.core.fold.evolve import JobState

COMMENT_CHARS_MAX = 10_000
_NAMED_MAX = 5


class Decision(Struct, frozen=True):
    """The decision of a step. `is_ours` is False if another one was recorded before.

    `by` is the user who decided; None if the step's timeout did. `has_owner` is whether a process
    runs the job. `question` is the whole text on which was decided.
    """

    job_id: JobId
    step: str
    option: str
    by: str | None
    is_ours: bool
    has_owner: bool
    question: str = ""


async def decide(
    name: str,
    step: str,
    *,
    option: str,
    comment: str | None,
    places: Places,
) -> Decision:
    """Decide for a step that waits for human review, and wait until the decision is an event.

    If this user has made the same decision before, the run folder is published. Raises NoSuchJob,
    LedgerError, OwnerSilent, and UsageProblem if the step does not wait, or has no such option.
    """
    if comment is not None and len(comment) > COMMENT_CHARS_MAX:
        raise UsageProblem(
            f"--comment: it may have {count_text(COMMENT_CHARS_MAX, 'character')} at most; shorten it"
        )
    by = user_name()
    with open_for_writing(places, os.environ) as ledger:
        job_id = ledger.find_job(name)
        request = OwnerRequest(ledger, job_id, Caller(places, os.environ), "recorded the decision")
        state = load_state(ledger, job_id)
        # The comment is stored, and it may contain a secret.
        mask = hide_secrets(ledger, state.definition, os.environ, steps=())
        wanted = DecideApproval(step, option, comment and mask.text(clean_text(comment)), by)
        known = _same_decision(ledger, job_id, state, wanted)
        if known is None:
            _check(ledger, job_id, state, step, option)
            wanted = replace(wanted, signal_id=_send(ledger, job_id, wanted))

        async def decide_here(owned: OwnedJob) -> None:
            if known is not None:
                return
            if _find(ledger, job_id, step) is None:
                # The job may have ended in the meantime.
                _check(ledger, job_id, owned.state, step, option)
            owned.append(wanted)

        def decided(has_owner: bool) -> Decision | None:
            found = _find(ledger, job_id, step)
            if found is None:
                return None
            is_ours = known is not None or found.signal_id == wanted.signal_id
            asked = read_question(ledger, job_id, step)
            return Decision(
                job_id,
                step,
                found.option,
                found.by,
                is_ours,
                has_owner,
                "" if asked is None else asked.message,
            )

        return await ask_owner(request, decide_here, decided)


def _send(ledger: Ledger, job_id: JobId, wanted: DecideApproval) -> int:
    data = {
        "step": wanted.step,
        "option": wanted.option,
        "comment": wanted.comment,
        "by": wanted.by,
    }
    signal_id = ledger.send_signal(
        job_id, kind="decide", data=data, created_at=Clock().recorded_at()
    )
    failpoints.hit("signal.sent")
    return signal_id


def _same_decision(
    ledger: Ledger, job_id: JobId, state: JobState, wanted: DecideApproval
) -> ApprovalDecided | None:
    """The same decision by the same user, which a killed process may have recorded."""
    if wanted.step not in state.steps or state.steps[wanted.step].question is not None:
        return None
    found = _find(ledger, job_id, wanted.step)
    if found is None or found.by is None:
        return None
    is_same = (found.option, found.comment, found.by) == (wanted.option, wanted.comment, wanted.by)
    return found if is_same else None


def _check(ledger: Ledger, job_id: JobId, state: JobState, step: str, option: str) -> None:
    if step not in state.steps:
        asked = sorted(state.questions)
        raise UsageProblem(f"{job_id} has no step {step!r}{nearest(step, asked or state.steps)}")
    question = state.steps[step].question
    if question is None:
        before = _find(ledger, job_id, step)
        if before is not None:
            raise UsageProblem(
                f"{step} has already been decided: {decision_text(before.option, before.by)}; "
                f"{quoted_command('show', job_id)} shows how the job stands"
            )
        raise UsageProblem(_asks_nothing(job_id, state, step))
    if option not in question.options:
        answers = " or ".join(decision_commands(job_id, step, question.options))
        raise UsageProblem(
            f"{step} has no option {option!r}{nearest(option, question.options)}; use {answers}"
        )


def _asks_nothing(job_id: JobId, state: JobState, step: str) -> str:
    """That a step asks nothing itself, and which steps inside it do."""
    inside = sorted(name for name in state.questions if is_within(name, {step}))
    if not inside:
        return f"{step} does not wait for a decision: {wait_text(state, step)}"
    shown = [quoted_command("approve", job_id, name) for name in inside[:_NAMED_MAX]]
    left = len(inside) - _NAMED_MAX
    more = f", and {number_text(left)} more" if left > 0 else ""
    return (
        f"{step} does not ask itself: {wait_text(state, step)}; name the step that asks: "
        f"{' or '.join(shown)}{more}"
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
