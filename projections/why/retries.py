"""By which rule of the spec a failed attempt was tried again, or was not."""

from __future__ import annotations

from orc.ledger.definition import RetryDef, StepDef
from orc.ledger.events import StepFailed
from orc.ledger.kinds import NEVER_RETRIED
from orc.ledger.wording import count_text


def retry_rule(definition: StepDef | None, event: StepFailed, failures: int) -> str:
    """The rule in words; `failures` in a row, with this one. Without the spec `definition` is None."""
    most = (RetryDef() if definition is None else definition.retry).max_attempts
    retry_on = () if definition is None else definition.retry_on
    listed = ", ".join(retry_on)
    if event.retry_at is not None:
        if failures >= most or (retry_on and event.kind not in retry_on):
            return "another model of its fallback list is asked"
        why = (
            f"{event.kind} is in its retry_on ({listed})"
            if retry_on
            else "its retry takes any failure"
        )
        return f"{why}, {count_text(most, 'attempt')} in a row at most"
    if definition is None:
        return "the spec is gone that would say why"
    if most == 1:
        return "its retry allows one attempt"
    if failures >= most:
        return f"that was attempt {failures} of the {most} that its retry allows in a row"
    if retry_on and event.kind not in retry_on:
        return f"{event.kind} is not in its retry_on ({listed})"
    if event.kind in NEVER_RETRIED:
        return f"trying again cannot heal a failure of kind {event.kind}"
    return "its time was over, or it was told to end"
