"""Events as they come, whoever writes them: one job's, or those of all."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from itertools import islice

from orc.cli.errors import UsageProblem
from orc.cli.terminal.event_lines import put_event
from orc.ledger import LedgerReader, Recorded, has_owner
from orc.scheduler.core.errors import nearest

POLL_S = 0.25
_PAGE = 1_000
ENDINGS = ("job.succeeded", "job.failed", "job.cancelled", "job.interrupted")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events are: of a type, or of types that begin so, and of a step."""

    type: str | None = None
    step: str | None = None

    def has(self, recorded: Recorded) -> bool:
        """Whether the event is one of them."""
        event = recorded.event
        if self.step is not None and getattr(event, "step", None) != self.step:
            return False
        return (
            self.type is None or event.type == self.type or event.type.startswith(f"{self.type}.")
        )


class Changes:
    """Tells when somebody has written to the ledger; asking costs next to nothing."""

    def __init__(self, ledger: LedgerReader) -> None:
        self._ledger = ledger
        self._seen = self._version()

    def wait(self) -> None:
        """Sleep a little; and no longer than that, for an owner may also go without a word."""
        time.sleep(POLL_S)

    def are_there(self) -> bool:
        """Whether there are any since this was asked last."""
        before, self._seen = self._seen, self._version()
        return before != self._seen

    def _version(self) -> int:
        return int(self._ledger.connection.execute("PRAGMA data_version").fetchone()[0])


def follow_job(
    ledger: LedgerReader,
    job_id: str,
    wanted: Wanted,
    *,
    last: int | None,
    goes_on: bool,
    as_json: bool,
) -> None:
    """Print a job's events, or the `last` of them; go on until it ends or nobody runs it."""
    owned = has_owner(ledger.path, job_id)
    changes = Changes(ledger)
    version, ended = 0, False
    found: deque[Recorded] = deque(maxlen=last)
    for recorded in ledger.read_stream(job_id):
        version, ended = recorded.version, recorded.event.type in ENDINGS
        if wanted.has(recorded):
            found.append(recorded)
    for recorded in found:
        put_event(recorded, as_json=as_json)
    while goes_on and owned and not ended:
        changes.wait()
        owned = has_owner(ledger.path, job_id)
        if owned and not changes.are_there():
            continue
        for recorded in ledger.read_stream(job_id, after=version):
            version, ended = recorded.version, recorded.event.type in ENDINGS
            if wanted.has(recorded):
                put_event(recorded, as_json=as_json)


def follow_all(ledger: LedgerReader, wanted: Wanted, *, last: int, as_json: bool) -> None:
    """Print the `last` events of all jobs, and then each that comes, until Ctrl-C."""
    changes = Changes(ledger)
    position = _end(ledger)
    for recorded in last_of_all(ledger, wanted, position=position, last=last):
        put_event(recorded, as_json=as_json, with_job=True)
    while True:
        changes.wait()
        if not changes.are_there():
            continue
        for recorded in ledger.read_all(after=position):
            position = recorded.position
            if wanted.has(recorded):
                put_event(recorded, as_json=as_json, with_job=True)


def last_of_all(
    ledger: LedgerReader, wanted: Wanted, *, position: int, last: int, page: int = _PAGE
) -> list[Recorded]:
    """The last that are wanted, of all jobs, up to a position; read backwards, page by page."""
    found: list[Recorded] = []
    while position > 0 and len(found) < last:
        before = max(0, position - page)
        within = islice(ledger.read_all(after=before), position - before)
        found = [one for one in within if one.position <= position and wanted.has(one)] + found
        position = before
    return found[max(0, len(found) - last) :]


def check_step(ledger: LedgerReader, job_id: str, step: str) -> None:
    """Raise UsageProblem where the job has no such step."""
    rows = ledger.connection.execute("SELECT name FROM steps WHERE job_id = ?", (job_id,))
    names = {row[0] for row in rows.fetchall()}
    if step not in names:
        raise UsageProblem(f"{job_id} has no step {step!r}{nearest(step, names)}")


def _end(ledger: LedgerReader) -> int:
    return int(ledger.connection.execute("SELECT max(position) FROM events").fetchone()[0] or 0)
