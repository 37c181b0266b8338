"""`orc tail`: prints the events of one job or of all jobs, also while they are recorded."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Annotated

from msgspec import Struct

from orc.cli.errors import UsageProblem
from orc.cli.ledger_access import read_ledger, read_ledger_and_tables
from orc.cli.options import NUMBER_MAX, Database, Follow, Json, StepFilter
from orc.cli.parameters import Argument, Option
from orc.cli.terminal.text import say
from orc.ledger import Recorded
from orc.ledger.command_lines import quoted_command
from orc.projections.tables.status import may_go_on

if TYPE_CHECKING:
    from orc.ledger import LedgerReader

_PAGE = 1_000
ENDINGS = ("job.succeeded", "job.failed", "job.cancelled", "job.interrupted")


def command(
    job: Annotated[
        str | None,
        Argument(
            help="The job. Default: the latest job; with -f, new events of all jobs.",
            metavar="JOB",
            complete="complete_jobs",
        ),
    ] = None,
    database: Database = None,
    follow: Follow = False,
    last: Annotated[
        int | None,
        Option(
            "-n",
            "--last",
            min=0,
            max=NUMBER_MAX,
            help="Start with the last N events only.",
            metavar="N",
        ),
    ] = None,
    type_: Annotated[
        str | None,
        Option(
            "--type",
            help="Only events of this type, such as step.failed, or of this group, such as step.",
            metavar="TYPE",
        ),
    ] = None,
    step: StepFilter = None,
    as_json: Json = False,
) -> int:
    """Print a job's events; with -f, follow it until it stops."""
    # Imported here: completion, help and an error of the line need only the options.
    from orc.cli.terminal.ledger_changes import check_step

    with (read_ledger_and_tables if follow else read_ledger)(database) as ledger:
        wanted = EventFilter(_known_type(type_), step)
        if job is None and follow:
            if step is not None:
                raise UsageProblem(
                    f"--step needs a job: {quoted_command('tail', 'JOB', '-f', '--step', step)}"
                )
            follow_all(ledger, wanted, last=last or 0, as_json=as_json)
            return 0
        job_id = ledger.find_job(job or "latest")
        if job is None:
            say(f"{job_id}, the latest job")
        if step is not None:
            check_step(ledger, job_id, step)
        print_job(ledger, job_id, wanted, last=last, follow=follow, as_json=as_json)
    return 0


def _known_type(name: str | None) -> str | None:
    """The type or group of events. Raises UsageProblem if no event has it."""
    from orc.ledger.events import EVENT_TYPES
    from orc.scheduler.core.errors import nearest

    if name is None:
        return None
    groups = {found.partition(".")[0] for found in EVENT_TYPES}
    if name not in groups and name not in EVENT_TYPES:
        known = EVENT_TYPES if "." in name else groups
        raise UsageProblem(f"--type: there is no type of events {name!r}{nearest(name, known)}")
    return name


class EventFilter(Struct, frozen=True):
    """Selects events by type, or by the first part of their type, and by step."""

    type: str | None = None
    step: str | None = None

    def has(self, recorded: Recorded) -> bool:
        """Whether the event is selected."""
        event = recorded.event
        if self.step is not None and getattr(event, "step", None) != self.step:
            return False
        return (
            self.type is None or event.type == self.type or event.type.startswith(f"{self.type}.")
        )


def print_job(
    ledger: LedgerReader,
    job_id: str,
    wanted: EventFilter,
    *,
    last: int | None,
    follow: bool,
    as_json: bool,
) -> None:
    """Print a job's events, or the `last` of them.

    With `follow`, also print new events, until the job ends, or until it has no owner any more and is
    not in the queue.
    """
    from orc.cli.terminal.event_lines import EventLines
    from orc.cli.terminal.ledger_changes import LedgerChanges

    owned = follow and may_go_on(ledger.connection, ledger.path, job_id)
    changes, lines = LedgerChanges(ledger), EventLines(ledger, as_json=as_json)
    version, ended = 0, False
    found: deque[Recorded] = deque(maxlen=last)
    for recorded in ledger.read_stream(job_id):
        version, ended = recorded.version, _is_end(recorded)
        if wanted.has(recorded):
            found.append(recorded)
    for recorded in found:
        lines.put(recorded)
    while follow and owned and not ended:
        changes.wait()
        owned = may_go_on(ledger.connection, ledger.path, job_id)
        # The last events may be in a snapshot that was not taken yet.
        has_new = changes.has_new(at_once=not owned)
        if owned and not has_new:
            continue
        for recorded in ledger.read_stream(job_id, after=version):
            version, ended = recorded.version, _is_end(recorded)
            if wanted.has(recorded):
                lines.put(recorded)
    lines.finish()


def _is_end(recorded: Recorded) -> bool:
    from orc.ledger.events import JobInterrupted

    event = recorded.event
    is_back = isinstance(event, JobInterrupted) and event.queue == "back"
    return event.type in ENDINGS and not is_back


def follow_all(ledger: LedgerReader, wanted: EventFilter, *, last: int, as_json: bool) -> None:
    """Print the `last` events of all jobs, and then every new event, until Ctrl-C."""
    from orc.cli.terminal.event_lines import EventLines
    from orc.cli.terminal.ledger_changes import LedgerChanges

    changes = LedgerChanges(ledger)
    lines = EventLines(ledger, as_json=as_json, with_job=True)
    position = _end(ledger)
    for recorded in last_of_all(ledger, wanted, position=position, last=last):
        lines.put(recorded)
    while True:
        changes.wait()
        if not changes.has_new():
            continue
        for recorded in ledger.read_all(after=position):
            position = recorded.position
            if wanted.has(recorded):
                lines.put(recorded)


def last_of_all(
    ledger: LedgerReader, wanted: EventFilter, *, position: int, last: int, page: int = _PAGE
) -> list[Recorded]:
    """The `last` selected events of all jobs up to `position`; read backwards, page by page."""
    found: list[Recorded] = []
    while position > 0 and len(found) < last:
        before = max(0, position - page)
        within = islice(ledger.read_all(after=before), position - before)
        found = [one for one in within if one.position <= position and wanted.has(one)] + found
        position = before
    return found[max(0, len(found) - last) :]


def _end(ledger: LedgerReader) -> int:
    return int(ledger.connection.execute("SELECT max(position) FROM events").fetchone()[0] or 0)
