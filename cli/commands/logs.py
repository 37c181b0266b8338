"""`orc logs`: prints the logs of a step's attempts, also of an attempt that is running."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated, Any

from orc.cli.errors import UsageProblem
from orc.cli.jobs.own_folder import folder_of
from orc.cli.ledger_access import read_ledger_and_tables
from orc.cli.options import NUMBER_MAX, Database, Follow, Job, Json
from orc.cli.parameters import Argument, Option
from orc.cli.terminal.text import output_errors, put_json, put_piece, safe, safe_lines, say
from orc.ledger import LedgerReader, Payload
from orc.ledger.command_lines import quoted_command
from orc.ledger.errors import LedgerError, describe_unreadable
from orc.ledger.files.folder import Folder
from orc.ledger.kinds import OPEN, facts_of, names_where, sql_list
from orc.projections.folder.logs import AttemptLog
from orc.projections.tables.job_view import read_rows
from orc.projections.tables.rows import StepRow
from orc.projections.tables.status import may_go_on

_LOG_BYTES_MAX = 64 * 2**20
_NAMED_MAX = 10
_OF_STEP = re.compile(r"`orc (\w+) JOB STEP((?: --\w+)*)`")
"""A command in the hint of a kind."""
# A running step may get a log later, so it is listed too.
_HAS_LOGS = f"""job_id = ? AND (
    status = 'running' AND kind IN {sql_list(names_where("runs_code"))} OR step_id IN (
        SELECT step_id FROM attempts WHERE log IS NOT NULL OR log_sha256 IS NOT NULL)
) ORDER BY position"""


def command(
    job: Job,
    step: Annotated[str, Argument(help="A step's id.", metavar="STEP", complete="complete_steps")],
    attempt: Annotated[
        int | None,
        Option("--attempt", min=1, max=NUMBER_MAX, help="Only this attempt.", metavar="N"),
    ] = None,
    follow: Follow = False,
    raw: Annotated[
        bool, Option("--raw", help="Print the bytes unchanged; refused on a terminal.")
    ] = False,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Print the output of a step's commands and functions."""
    # Imported here: completion, help and an error of the line need only the options.
    from orc.cli.terminal.ledger_changes import check_step

    if raw and sys.stdout.isatty():
        raise UsageProblem(
            "--raw: the output of a command can control a terminal; redirect it to a file or a pipe"
        )
    if raw and as_json:
        raise UsageProblem("--raw and --json cannot be combined; choose one")
    with read_ledger_and_tables(database) as ledger:
        job_id = ledger.find_job(job)
        check_step(ledger, job_id, step)
        return _print_logs(
            ledger, job_id, step, only=attempt, follow=follow, raw=raw, as_json=as_json
        )


def _print_logs(
    ledger: LedgerReader,
    job_id: str,
    step: str,
    *,
    only: int | None,
    follow: bool,
    raw: bool,
    as_json: bool,
) -> int:
    """Print the logs of all attempts, or of attempt `only`; with `follow`, also what comes later."""
    from orc.cli.terminal.ledger_changes import LedgerChanges
    from orc.ledger import has_owner
    from orc.projections.folder.logs import read_attempt_logs

    printer = _Printer(ledger, job_id, step, raw=raw, as_json=as_json)
    changes = LedgerChanges(ledger)
    attempts = read_attempt_logs(ledger, job_id, step)
    while True:
        # Both are read before the attempts: if they say that no attempt can follow, the attempts
        # that are read afterwards are complete.
        has_process = has_owner(ledger.path, job_id)
        owned = has_process or may_go_on(ledger.connection, ledger.path, job_id)
        has_more = owned and _has_more(ledger, job_id, step)
        if changes.has_new(at_once=not owned):
            attempts = read_attempt_logs(ledger, job_id, step)
        chosen = [one for one in attempts if only in (None, one.attempt)]
        if only is not None and not chosen and not (follow and has_more):
            raise UsageProblem(f"{step} has no attempt {only}: {_counted(attempts)}; name another")
        printer.print_new(chosen, is_live=has_process, follow=follow and owned)
        if only is not None and chosen:
            has_more = False
        if not follow or not owned or (not has_more and all(one.is_over for one in chosen)):
            break
        changes.wait()
    if not printer.has_printed:
        say(_explain_nothing(ledger, job_id, step, attempts))
    return 0


def _has_more(ledger: LedgerReader, job_id: str, step: str) -> bool:
    """Whether the step is in an attempt, or may start another one."""
    (row,) = read_rows(ledger.connection, StepRow, "step_id = ?", f"{job_id}/{step}")
    return row.status in OPEN


class _Printer:
    """Prints each log once; of a log that grows, it prints the new part each time."""

    def __init__(
        self, ledger: LedgerReader, job_id: str, step: str, *, raw: bool, as_json: bool
    ) -> None:
        self.ledger = ledger
        self.job_id = job_id
        self.step = step
        self.has_printed = False
        self._raw = raw
        self._as_json = as_json
        self._folder: Path = folder_of(ledger, job_id, use="read")
        self._printed: dict[int, int] = {}
        self._done: set[int] = set()
        self._is_live = False

    def print_new(self, attempts: list[AttemptLog], *, is_live: bool, follow: bool) -> None:
        """Print what was not printed yet. With `follow`, an incomplete last line is printed later."""
        self._is_live = is_live
        for one in attempts:
            if one.attempt in self._done:
                continue
            content, lost = self._content(one)
            if lost is not None:
                self._say_lost(one, lost)
            elif self._as_json:
                if one.is_over or not follow:
                    self._put_json(one, content)
            else:
                self._put(one, content, is_partial=follow and not one.is_over)
            if one.is_over or not is_live:
                self._done.add(one.attempt)

    def _content(self, one: AttemptLog) -> tuple[bytes, str | None]:
        """The bytes that were not printed yet, and None; or why the log is lost."""
        before = self._printed.get(one.attempt, 0)
        if one.log is not None:
            content, lost = self._read(one.log)
            return content[before:], lost
        if one.is_over and not one.was_cut:
            return b"", None
        # The job's owner writes the masked log to the run folder during the attempt. `Folder`
        # follows no links.
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

    def _put(self, one: AttemptLog, fresh: bytes, *, is_partial: bool) -> None:
        before = self._printed.get(one.attempt, 0)
        if is_partial and not self._raw:
            # The bytes after the last line feed may end within a character.
            fresh = fresh[: fresh.rfind(b"\n") + 1]
        if not fresh:
            return
        if before == 0:
            self._head(one)
        self._printed[one.attempt] = before + len(fresh)
        self.has_printed = True
        if self._raw:
            with output_errors():
                sys.stdout.buffer.write(fresh)
                sys.stdout.buffer.flush()
            return
        text = safe_lines(fresh.decode("utf-8", "replace"))
        put_piece(text if text.endswith("\n") else f"{text}\n")

    def _put_json(self, one: AttemptLog, content: bytes) -> None:
        self.has_printed = True
        value: dict[str, Any] = {"job_id": self.job_id, "step": self.step, "attempt": one.attempt}
        text = content.decode("utf-8", "replace")
        value["running"] = self._is_live and not one.is_over
        put_json({**value, "log": text if content or one.log is not None else None})

    def _say_lost(self, one: AttemptLog, lost: str) -> None:
        self.has_printed = True
        self._head(one)
        say(f"  {safe(lost)}")

    def _head(self, one: AttemptLog) -> None:
        if one.attempt == 0:
            say(f"== {safe(self.step)}, a reused result")
        else:
            died = one.log is None and (one.was_cut or not self._is_live)
            more = ", cut short: read from the run folder, not from the ledger" if died else ""
            say(f"== {safe(self.step)}, attempt {one.attempt}{more}")


def _counted(attempts: list[AttemptLog]) -> str:
    if not attempts:
        return "it has not started"
    return f"it has {attempts[-1].attempt}"


def _explain_nothing(
    ledger: LedgerReader, job_id: str, step: str, attempts: list[AttemptLog]
) -> str:
    """Why the step has no log, and where to look instead."""
    (row,) = read_rows(ledger.connection, StepRow, "step_id = ?", f"{job_id}/{step}")
    inside = _inside(ledger, job_id, step)
    if inside:
        more = ", and more" if len(inside) > _NAMED_MAX else ""
        names = ", ".join(safe(name) for name in inside[:_NAMED_MAX])
        return f"{safe(step)} has no log; the steps inside it have logs: {names}{more}"
    shown_by = facts_of(row.kind).shown_by
    if shown_by is not None:
        hint = _OF_STEP.sub(
            lambda found: quoted_command(found[1], job_id, step, *found[2].split()), shown_by
        )
        return f"{safe(step)} is of kind {row.kind} and has no log; {hint}"
    if not attempts:
        return f"{safe(step)} has not started: it is {row.status}"
    return f"{safe(step)} has printed nothing"


def _inside(ledger: LedgerReader, job_id: str, step: str) -> list[str]:
    """The steps inside this one, at any depth, that have logs."""
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
