"""The open questions of a job to a person: the message and the options."""

from __future__ import annotations

from msgspec import Struct

from orc.ledger.command_lines import decision_commands
from orc.ledger.events import ApprovalRequested
from orc.ledger.files.locks import has_owner
from orc.ledger.reader import LedgerReader
from orc.ledger.transport.imported import resume_command
from orc.projections.tables.inner_waits import read_job_waits
from orc.projections.tables.job_view import read_rows
from orc.projections.tables.rows import StepRow
from orc.projections.tables.status import is_in_queue


class Question(Struct, frozen=True):
    """A question of a step; `expires_at` is in seconds since 1970, and `on_timeout` the option then."""

    step: str
    message: str
    options: tuple[str, ...]
    expires_at: float | None = None
    on_timeout: str | None = None


def read_questions(reader: LedgerReader, job_id: str) -> list[Question]:
    """The open questions of the job, in the order of its steps. Raises LedgerError."""
    waiting = read_rows(
        reader.connection,
        StepRow,
        "job_id = ? AND status = 'waiting' AND question IS NOT NULL AND decision IS NULL "
        "ORDER BY position",
        job_id,
    )
    found = (read_question(reader, job_id, step.name) for step in waiting)
    return [question for question in found if question is not None]


def answers_to(
    reader: LedgerReader, job_id: str, step: str, *, then: str | None = None
) -> list[str]:
    """The command for each option of the step's last question; see `decision_commands`.

    `then` is `continued_by` if it is not known better. Raises LedgerError.
    """
    question = read_question(reader, job_id, step)
    if question is None:
        return []
    then = continued_by(reader, job_id) if then is None else then
    return decision_commands(job_id, step, question.options, then=then)


def continued_by(reader: LedgerReader, job_id: str) -> str:
    """The command with which the job goes on after a decision.

    Empty if a process or a worker does that, or if a budget must be raised too.
    """
    if has_owner(reader.path, job_id) or is_in_queue(reader.connection, job_id):
        return ""
    if read_job_waits(reader.connection, job_id).over_budget:
        return ""
    return resume_command(reader.connection, job_id)


def read_question(reader: LedgerReader, job_id: str, step: str) -> Question | None:
    """The last question of the step, answered or not; None if it never asked. Raises LedgerError."""
    row = reader.connection.execute(
        "SELECT version FROM events WHERE job_id = ? AND type = 'approval.requested' AND step = ? "
        "ORDER BY version DESC LIMIT 1",
        (job_id, step),
    ).fetchone()
    event = None if row is None else reader.read_event(job_id, row[0]).event
    if not isinstance(event, ApprovalRequested):
        return None
    return Question(step, event.message, event.options, event.expires_at, event.on_timeout)
