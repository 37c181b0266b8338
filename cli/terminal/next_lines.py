"""What `orc show` says last: the questions of a job, and the commands with which it goes on."""

from __future__ import annotations

from collections.abc import Sequence

from orc.cli.ledger_access import JobTables
from orc.cli.terminal.paragraphs import paragraph
from orc.cli.terminal.text import put, safe
from orc.ledger.command_lines import command_line, is_in_decision
from orc.ledger.kinds import SHOWN_RESUMABLE
from orc.ledger.transport.imported import resume_command
from orc.projections.tables.inner_waits import is_asking
from orc.projections.tables.job_view import JobView
from orc.projections.tables.rows import StepRow
from orc.projections.tables.status import NEXT_TEXTS, is_in_queue

_ASKED_MAX = 20


def put_next(tables: JobTables, view: JobView, status: str) -> None:
    """Print what the job asks, and the commands with which it goes on."""
    job_id = tables.job_id
    then = _continue_command(tables, view) if status in SHOWN_RESUMABLE else ""
    if status == "waiting":
        # Imported here, since a plain `orc show` starts fast.
        from orc.ledger import LedgerReader
        from orc.projections.tables.questions import answers_to

        for step in _asking(view.steps):
            put()
            put(paragraph(f"{safe(step.name)} asks:", step.question or ""))
            reader = LedgerReader(tables.path, tables.connection)
            answers = answers_to(reader, job_id, step.name, then=then)
            for word, answer in zip(("next", *["  or"] * len(answers)), answers, strict=False):
                put(f"{word}: {answer}")
    if status in NEXT_TEXTS:
        put()
        put(NEXT_TEXTS[status]())
    elif then and not _asking(view.steps):
        put()
        put(f"next: {then}")
    elif then and not is_in_decision(then, job_id):
        put()
        put(f"then: {then}")


def _continue_command(tables: JobTables, view: JobView) -> str:
    """The command that continues the job, with a larger budget or more time if it needs that."""
    if is_in_queue(tables.connection, tables.job_id):
        return command_line("work")
    if not any(step.failure_kind in ("budget", "timeout") for step in view.steps):
        return resume_command(tables.connection, tables.job_id)
    from orc.cli.jobs.state import load_state
    from orc.cli.terminal.next_commands import command_to_continue
    from orc.ledger import LedgerReader

    reader = LedgerReader(tables.path, tables.connection)
    return command_to_continue(reader, tables.job_id, load_state(reader, tables.job_id))


def _asking(steps: Sequence[StepRow]) -> list[StepRow]:
    return [step for step in steps if is_asking(step)][:_ASKED_MAX]
