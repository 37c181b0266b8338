"""The questions of a job, and the commands with which it goes on: for `orc show` and `orc list`."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import NamedTuple

from orc.cli.terminal.paragraphs import paragraph
from orc.cli.terminal.text import put, safe
from orc.ledger.command_lines import command_line, is_in_decision
from orc.ledger.errors import LedgerError
from orc.ledger.kinds import QUEUED, SHOWN_RESUMABLE
from orc.ledger.transport.imported import resume_command
from orc.projections.tables.status import NEXT_TEXTS, is_in_queue

_ASKED_MAX = 20


class Asked(NamedTuple):
    """An open question of a step, with the command for each of its options."""

    step: str
    question: str
    answers: list[str]


class NextSteps(NamedTuple):
    """What a job asks, at most 20 questions, and the command with which it goes on.

    `then` is empty if the job does not go on by a command of its own.
    """

    job_id: str
    status: str
    asked: list[Asked]
    then: str

    def command(self) -> str | None:
        """The one command to give next: the answer that comes first, or the one that continues."""
        answers = [answer for asked in self.asked for answer in asked.answers]
        return next(iter(answers), self.then) or None

    def put(self, *, waits: str = "") -> None:
        """Print it after an empty line.

        With `waits`, the lines name the job, and say that it waits for that if it asks nothing.
        """
        for asked in self.asked:
            put()
            lead = f"{self.job_id} {safe(asked.step)}" if waits else safe(asked.step)
            put(paragraph(f"{lead} asks:", asked.question))
            words = ("next", *["  or"] * len(asked.answers))
            for word, answer in zip(words, asked.answers, strict=False):
                put(f"{word}: {answer}")
        if self.status in NEXT_TEXTS:
            put()
            put(NEXT_TEXTS[self.status]())
        elif self.then and not self.asked:
            put()
            if waits:
                put(f"{self.job_id} waits {waits}")
            put(f"next: {self.then}")
        elif self.then and not is_in_decision(self.then, self.job_id):
            put()
            put(f"then: {self.then}")


def next_steps(
    connection: sqlite3.Connection, path: Path, job_id: str, status: str, *, is_brief: bool = False
) -> NextSteps:
    """What a job with this shown status asks, and how it goes on.

    If its events cannot be read, the next command is the one that finds out why. With `is_brief`, only
    the events of waiting jobs are read: the command for a job that has failed for its limits then
    lacks higher ones.
    """
    then = command_line("work") if status == QUEUED else ""
    try:
        if status in SHOWN_RESUMABLE:
            reads = status == "waiting" or not is_brief
            then = _continue_command(connection, path, job_id, reads_events=reads)
        asked = _asked(connection, path, job_id, then) if status == "waiting" else []
    except LedgerError:
        return NextSteps(job_id, status, [], command_line("verify", job_id))
    return NextSteps(job_id, status, asked, then)


def _asked(connection: sqlite3.Connection, path: Path, job_id: str, then: str) -> list[Asked]:
    """The open questions of a job that waits."""
    query = (
        "SELECT name, question FROM steps WHERE job_id = ? AND status = 'waiting' AND question "
        "IS NOT NULL AND decision IS NULL ORDER BY position LIMIT ?"
    )
    rows = connection.execute(query, (job_id, _ASKED_MAX)).fetchall()
    if not rows:
        return []
    # Imported here, since a plain `orc show` or `orc list` starts fast.
    from orc.ledger import LedgerReader
    from orc.projections.tables.questions import answers_to

    reader = LedgerReader(path, connection)
    return [
        Asked(step, question or "", answers_to(reader, job_id, step, then=then))
        for step, question in rows
    ]


def _continue_command(
    connection: sqlite3.Connection, path: Path, job_id: str, *, reads_events: bool
) -> str:
    """The command that continues the job, with a larger budget or more time if it needs that."""
    if is_in_queue(connection, job_id):
        return command_line("work")
    query = "SELECT 1 FROM steps WHERE job_id = ? AND failure_kind IN ('budget', 'timeout') LIMIT 1"
    if not reads_events or connection.execute(query, (job_id,)).fetchone() is None:
        return resume_command(connection, job_id)
    from orc.cli.jobs.state import load_state
    from orc.cli.terminal.next_commands import command_to_continue
    from orc.ledger import LedgerReader

    reader = LedgerReader(path, connection)
    return command_to_continue(reader, job_id, load_state(reader, job_id))
