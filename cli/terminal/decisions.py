"""`orc approve` and `orc reject`: records the decision and prints it."""

from __future__ import annotations

import sys
from itertools import chain, repeat
from pathlib import Path

import trio

from orc.cli.errors import UsageProblem
from orc.cli.jobs.decide import Decision, decide
from orc.cli.jobs.state import load_state
from orc.cli.ledger_access import find_places, read_ledger_and_tables
from orc.cli.terminal.foreground import resume_in_foreground
from orc.cli.terminal.next_commands import command_to_continue
from orc.cli.terminal.paragraphs import paragraph
from orc.cli.terminal.text import put, put_json, safe, say
from orc.ledger.command_lines import command_line, decision_commands, is_in_decision
from orc.ledger.exit_codes import FAILED, SUCCEEDED
from orc.ledger.wording import count_text, decision_text
from orc.projections.tables.questions import read_questions

_NAMED_MAX = 5


def decide_step(
    job: str,
    step: str | None,
    option: str,
    comment: str | None,
    database: Path | None,
    *,
    then_resume: bool = False,
    as_json: bool,
) -> int:
    """Record the decision; print it, and the next command; the exit code.

    With `then_resume`, the job goes on in this process, unless another one runs it. Without a step,
    the open questions are printed. Raises UsageProblem then, since none is decided.
    """
    if step is None:
        raise _step_missing(job, database, as_json=as_json)
    chosen = step

    async def call() -> Decision:
        places = find_places(database)
        return await decide(job, chosen, option=option, comment=comment, places=places)

    decision = trio.run(call)
    if as_json:
        put_json(
            {
                "job_id": decision.job_id,
                "step": decision.step,
                "option": decision.option,
                "by": decision.by,
                "is_ours": decision.is_ours,
                "question": decision.question,
            }
        )
    elif not decision.is_ours:
        said = safe(decision_text(decision.option, decision.by))
        say(f"{safe(step)} has just been decided: {said}")
    else:
        say(paragraph(f"{safe(step)} asked:", decision.question, stream=sys.stderr))
        say(f"{safe(step)}: {decision.option}")
        if not then_resume:
            _say_next(decision, database)
    if then_resume and decision.is_ours:
        if not decision.has_owner:
            return resume_in_foreground(
                decision.job_id, database, amend=False, quiet=False, strict=False, as_json=as_json
            )
        say(f"{decision.job_id} goes on in the process that runs it")
    return SUCCEEDED if decision.is_ours else FAILED


def _say_next(decision: Decision, database: Path | None) -> None:
    """Print the questions that are still open with their commands, and how the job goes on."""
    with read_ledger_and_tables(database) as ledger:
        questions = read_questions(ledger, decision.job_id)
        then = command_to_continue(ledger, decision.job_id, load_state(ledger, decision.job_id))
    for asked in questions[:_NAMED_MAX]:
        say(paragraph(f"{safe(asked.step)} asks:", asked.message, stream=sys.stderr))
        after = "" if decision.has_owner else then
        answers = decision_commands(decision.job_id, asked.step, asked.options, then=after)
        for word, answer in zip(chain(("next",), repeat("  or")), answers, strict=False):
            say(f"{word}: {answer}")
    left = len(questions) - _NAMED_MAX
    if left > 0:
        say(f"and {count_text(left, 'more question')}: {command_line('approve', decision.job_id)}")
    if not questions and not decision.has_owner:
        say(f"next: {then}")
    elif not decision.has_owner and not is_in_decision(then, decision.job_id):
        say(f"then: {then}")


def _step_missing(job: str, database: Path | None, *, as_json: bool) -> UsageProblem:
    """Print the open questions of the job in full; the problem that no step was named."""
    with read_ledger_and_tables(database) as ledger:
        job_id = ledger.find_job(job)
        questions = read_questions(ledger, job_id)
    for asked in questions:
        if as_json:
            put_json({"job_id": job_id, "step": asked.step, "question": asked.message,
                      "options": list(asked.options)})  # fmt: skip
            continue
        put(paragraph(f"{safe(asked.step)} asks:", asked.message))
        put(f"  options: {safe(', '.join(asked.options))}")
    if not questions:
        return UsageProblem(f"{job_id} asks for no decision")
    names = " or ".join(f"'{asked.step}'" for asked in questions[:_NAMED_MAX])
    return UsageProblem(f"nothing was decided: name the step ({names}) after the job")
