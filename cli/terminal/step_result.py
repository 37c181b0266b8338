"""Prints the whole result of a step: a text as it is, anything else as JSON."""

from __future__ import annotations

import json

from orc.cli.errors import UsageProblem
from orc.cli.terminal.ledger_changes import check_step
from orc.cli.terminal.text import put, put_json
from orc.ledger import JobId, LedgerReader
from orc.ledger.command_lines import quoted_command
from orc.ledger.events import JobAmended, Payload, StepFailed, StepReused, StepSucceeded
from orc.ledger.file_owners import dropped_by
from orc.ledger.step_names import is_within


def put_result(
    ledger: LedgerReader, job_id: JobId, step: str, *, up_to: int | None, as_json: bool
) -> None:
    """Print the result of the step, as it was after event `up_to` if that is given.

    Raises UsageProblem if the job has no such step, or the step no result.
    """
    check_step(ledger, job_id, step)
    found: Payload | None = None
    for recorded in ledger.read_stream(job_id):
        if up_to is not None and recorded.version > up_to:
            break
        event = recorded.event
        if isinstance(event, JobAmended) and is_within(step, dropped_by(event)):
            found = None
        if getattr(event, "step", None) != step:
            continue
        if isinstance(event, StepSucceeded | StepReused):
            found = event.output
        elif isinstance(event, StepFailed):
            found = None
    if found is None:
        raise UsageProblem(f"{step} has no result; {quoted_command('why', job_id, step)} says why")
    value = ledger.read_payload(found)
    if as_json:
        put_json({"job_id": job_id, "step": step, "output": value})
    elif isinstance(value, str):
        put(value.removesuffix("\n"))
    else:
        put(json.dumps(value, indent=2, ensure_ascii=False))
