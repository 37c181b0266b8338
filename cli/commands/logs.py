"""`orc logs`: what the attempts of a step printed, also while one runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from orc.cli.completion import complete_steps
from orc.cli.errors import UsageProblem
from orc.cli.jobs.folders import folder_of
from orc.cli.opening import read_ledger_and_tables
from orc.cli.options import Database, Follow, Job, Json
from orc.cli.terminal.following import Changes, check_step
from orc.cli.terminal.text import put_json, put_piece, safe, safe_lines, say
from orc.ledger import LedgerReader, Payload, has_owner
from orc.ledger.errors import LedgerError, describe_unreadable
from orc.ledger.folder import Folder
from orc.ledger.kinds import OPEN, facts_of, names_where, sql_list
from orc.projections.folder.logs import AttemptLog, read_attempt_logs
from orc.projections.tables.job_view import read_rows
from orc.projections.tables.rows import StepRow

_LOG_BYTES_MAX = 64 * 2**20
_NAMED_MAX = 10
# Of a step that runs it is not known yet whether it will have a log.
_HAS_LOGS = f"""job_id = ? AND (
    status = 'running' AND kind IN {sql_list(names_where("runs_code"))} OR step_id IN (
        SELECT step_id FROM attempts WHERE log IS NOT NULL OR log_sha256 IS NOT NULL)
) ORDER BY position"""


def command(
    job: Job,
    step: Annotated[
        str, typer.Argument(help="A step.", metavar="STEP", autocompletion=complete_steps)
    ],
    attempt: Annotated[
        int | None, typer.Option("--attempt", min=1, help="Only this attempt.", metavar="N")
    ] = None,
    follow: Follow = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="The bytes as they are; not for a terminal.")
    ] = False,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Print what a step's commands and functions printed."""
    if raw and sys.stdout.isatty():
        raise UsageProblem(
            "--raw: what a command printed can take over a terminal; lead it elsewhere"
        )
    if raw and as_json:
        raise UsageProblem("--raw and --json: choose one")
    with read_ledger_and_tables(database) as ledger:
        job_id = ledger.find_job(job)
        check_step(ledger, job_id, step)
        return _print_logs(
            ledger, job_id, step, only=attempt, goes_on=follow, raw=raw, as_json=as_json
        )


def _print_logs(
    ledger: LedgerReader,
    job_id: str,
    step: str,
    *,
    only: int | None,
    goes_on: bool,
    raw: bool,
    as_json: bool,
) -> int:
    """Print the logs of the attempts that there are, or of one; go on with one that runs."""
    printer = _Printer(ledger, job_id, step, raw=raw, as_json=as_json)
    changes = Changes(ledger)
    attempts = read_attempt_logs(ledger, job_id, step)
    while True:
        # Before the attempts are read: none of them comes after these say that there are no more.
        owned = has_owner(ledger.path, job_id)
        has_more = owned and _has_more(ledger, job_id, step)
        if changes.are_there():
            attempts = read_attempt_logs(ledger, job_id, step)
        chosen = [one for one in attempts if only in (None, one.attempt)]
        if only is not None and not chosen and not (goes_on and has_more):
            raise UsageProblem(f"{step} has no attempt {only}: {_counted(attempts)}")
        printer.show(chosen, is_live=owned, goes_on=goes_on and owned)
        if only is not None and chosen:
            has_more = False
        if not goes_on or not owned or (not has_more and all(one.is_over for one in chosen)):
            break
        changes.wait()
    if not printer.has_said:
        say(_nothing(ledger, job_id, step, attempts))
    return 0


def _has_more(ledger: LedgerReader, job_id: str, step: str) -> bool:
    """Whether the step may begin another attempt, or is in one."""
    (row,) = read_rows(ledger.connection, StepRow, "step_id = ?", f"{job_id}/{step}")
    return row.status in OPEN


class _Printer:
    """Prints each log once, and of one that grows what is new."""

    def __init__(
        self, ledger: LedgerReader, job_id: str, step: str, *, raw: bool, as_json: bool
    ) -> None:
        self.ledger = ledger
        self.job_id = job_id
        self.step = step
        self.has_said = False
        self._raw = raw
        self._as_json = as_json
        self._folder: Path = folder_of(ledger, job_id)
        self._printed: dict[int, int] = {}
        self._done: set[int] = set()
        self._is_live = False

    def show(self, attempts: list[AttemptLog], *, is_live: bool, goes_on: bool) -> None:
        """What these have that was not printed yet; what it `goes_on` with need not be whole yet."""
        self._is_live = is_live
        for one in attempts:
            if one.attempt in self._done:
                continue
            content, lost = self._content(one)
            if lost is not None:
                self._tell(one, lost)
            elif self._as_json:
                if one.is_over or not goes_on:
                    self._put_json(one, content)
            else:
                self._put(one, content, goes_on=goes_on and not one.is_over)
            if one.is_over or not is_live:
                self._done.add(one.attempt)

    def _content(self, one: AttemptLog) -> tuple[bytes, str | None]:
        """What was not printed yet, or why it is lost."""
        before = self._printed.get(one.attempt, 0)
        if one.log is not None:
            content, lost = self._read(one.log)
            return content[before:], lost
        if one.is_over and not one.was_cut:
            return b"", None
        # Its owner writes it there while it runs, without secrets; no link is followed.
        try:
            found = Folder(self._folder).read(one.path, size_max=_LOG_BYTES_MAX, offset=before)
        except OSError:
            found = None
        return found or b"", None

    def _read(self, log: Payload) -> tuple[bytes, str | None]:
        try:
            return self.ledger.read_payload_bytes(log), None
        except LedgerError as error:
            return b"", describe_unreadable(error)

    def _put(self, one: AttemptLog, fresh: bytes, *, goes_on: bool) -> None:
        before = self._printed.get(one.attempt, 0)
        if goes_on and not self._raw:
            # What is not a whole line yet may not be a whole character either.
            fresh = fresh[: fresh.rfind(b"\n") + 1]
        if not fresh:
            return
        if before == 0:
            self._head(one)
        self._printed[one.attempt] = before + len(fresh)
        self.has_said = True
        if self._raw:
            sys.stdout.buffer.write(fresh)
            sys.stdout.buffer.flush()
            return
        text = safe_lines(fresh.decode("utf-8", "replace"))
        put_piece(text if text.endswith("\n") else f"{text}\n")

    def _put_json(self, one: AttemptLog, content: bytes) -> None:
        self.has_said = True
        value: dict[str, Any] = {"job_id": self.job_id, "step": self.step, "attempt": one.attempt}
        text = content.decode("utf-8", "replace")
        value["running"] = self._is_live and not one.is_over
        put_json({**value, "log": text if content or one.log is not None else None})

    def _tell(self, one: AttemptLog, lost: str) -> None:
        self.has_said = True
        self._head(one)
        say(f"  its bytes {safe(lost)}")

    def _head(self, one: AttemptLog) -> None:
        if one.attempt == 0:
            say(f"== {safe(self.step)}, a result that was used again")
        else:
            died = one.log is None and (one.was_cut or not self._is_live)
            more = ", cut short: from the run folder, the ledger has no log of it" if died else ""
            say(f"== {safe(self.step)}, attempt {one.attempt}{more}")


def _counted(attempts: list[AttemptLog]) -> str:
    if not attempts:
        return "it has not started"
    return f"it has {attempts[-1].attempt}"


def _nothing(ledger: LedgerReader, job_id: str, step: str, attempts: list[AttemptLog]) -> str:
    """Why there is nothing to print, and where to look instead."""
    (row,) = read_rows(ledger.connection, StepRow, "step_id = ?", f"{job_id}/{step}")
    inside = _inside(ledger, job_id, step)
    if inside:
        more = ", and more" if len(inside) > _NAMED_MAX else ""
        names = ", ".join(safe(name) for name in inside[:_NAMED_MAX])
        return f"{safe(step)} holds steps, which have logs: {names}{more}"
    shown_by = facts_of(row.kind).shown_by
    if shown_by is not None:
        return f"{safe(step)} is a {row.kind} step and has no log; {shown_by}"
    if not attempts:
        return f"{safe(step)} has not started: it is {row.status}"
    return f"{safe(step)} has printed nothing"


def _inside(ledger: LedgerReader, job_id: str, step: str) -> list[str]:
    """The steps in this one, however deep, that have logs."""
    parents = dict(
        ledger.connection.execute("SELECT name, parent FROM steps WHERE job_id = ?", (job_id,))
    )
    found = []
    for row in read_rows(ledger.connection, StepRow, _HAS_LOGS, job_id):
        above = parents[row.name]
        while above is not None and above != step:
            above = parents[above]
        if above is not None:
            found.append(row.name)
    return found
