"""The rule of the spec by which a failed attempt was retried, or was not."""

from __future__ import annotations

from orc.ledger.definition import RetryDef, StepDef
from orc.ledger.events import StepFailed
from orc.ledger.kinds import NEVER_RETRIED
from orc.ledger.wording import count_text


def retry_rule(
    definition: StepDef | None, event: StepFailed, failures: int, *, was_absent: bool = False
) -> str:
    """The rule in words.

    `definition` is None if the spec was removed. `failures` is the number of failures in a
    row, including this one. `was_absent`: the server of the last call did not run.
    """
    most = (RetryDef() if definition is None else definition.retry).max_attempts
    retry_on = () if definition is None else definition.retry_on
    listed = ", ".join(retry_on)
    is_default = definition is None or retry_on == definition.facts.retry_on
    if event.retry_at is not None:
        is_switched = was_absent and is_default and not event.delay_s
        if is_switched or failures >= most or (retry_on and event.kind not in retry_on):
            return "the next model of its fallback list is asked"
        why = (
            f"{event.kind} is in its retry_on ({listed})"
            if retry_on
            else "its retry applies to any failure"
        )
        return f"{why}, with at most {count_text(most, 'attempt')} in a row"
    if definition is None:
        return "the rule is unknown, because the spec was removed"
    if most == 1:
        return "its retry allows one attempt"
    if failures >= most:
        return f"this was attempt {failures} of the {most} that its retry allows in a row"
    if retry_on and event.kind not in retry_on:
        return f"{event.kind} is not in its retry_on ({listed})"
    if was_absent and is_default:
        return "no server was running there, and the step has no retry_on of its own"
    if event.kind in NEVER_RETRIED:
        return f"another attempt cannot correct a failure of kind {event.kind}"
    return "its time limit was reached, its work must not be repeated, or the failure was final"
