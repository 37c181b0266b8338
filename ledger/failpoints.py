"""Failpoints: named places in the code where a test can kill the process or simulate an I/O error.

The variable `ORC_FAILPOINTS` holds entries like these, separated by `;`:

    trace:/tmp/hits             append each hit, as `name@count`, to that file
    ledger.after_commit=kill    SIGKILL at the first hit of that place
    file.after_write@3=kill     SIGKILL at the third hit
    *@17=kill                   SIGKILL at the 17th hit of any place
    file.after_fsync@*=errno:EIO   raise OSError(EIO) at each hit
    call.after_reply=stop       SIGSTOP
    call.before_send=sleep:0.5  sleep for 0.5 seconds

Without the variable, a hit costs one comparison. Processes that orc starts do not inherit the
variable, because their environment is built from a list of allowed names.
"""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple, Protocol

from orc.ledger.errors import BadFailpoint

VARIABLE = "ORC_FAILPOINTS"
PLACES = {
    "ledger.before_begin": "an append was requested; no transaction has begun",
    "ledger.after_insert": "the rows are inserted but not committed",
    "ledger.after_commit": "the events are committed but not yet folded by the runner",
    "ledger.after_apply": "the runner has folded and published the commit",
    "ledger.before_create": "the ledger's file does not exist yet",
    "ledger.after_create": "the file exists but has no tables",
    "checkpoint.before": "a connection is about to close; the last one also checkpoints",
    "checkpoint.after": "the connection has closed",
    "file.after_write": "a file's bytes are written to its temporary file",
    "file.after_fsync": "the temporary file is synced",
    "file.after_rename": "the file is renamed but the folder is not synced",
    "publish.before_rename": "a file of the run folder is about to be renamed",
    "process.after_spawn": "a command's process has started; its process group is not known yet",
    "process.after_exit": "the process has ended; its outcome is not recorded",
    "call.before_send": "llm.requested is committed; the request is not sent",
    "call.after_reply": "the reply has arrived but is not recorded",
}
"""Every place that a run reaches, with the state of the program at that place."""

BATCH_PLACES = {
    "batch.before_submit": "batch.submitted is committed with its requests; nothing is sent",
    "batch.after_submit": "the server has answered that it has the batch; that is not recorded",
    "batch.accepted": "batch.accepted is committed; the server works",
    "batch.ended": "batch.ended is committed; no result is read",
    "batch.before_read": "the results are about to be read",
    "batch.after_read": "the results are read, and none of them is recorded",
}
"""Places that only steps whose calls are submitted in batches reach."""

EXECUTOR_PLACES = {
    "placed.before_commit": "a copy asks and is about to be placed; step.placed is not committed",
    "placed.after_commit": "step.placed is committed; the worker has no permission to start",
    "allow.before_send": "the permission to start is about to be sent to the worker",
    "fetch.midway": "the files of an ended step are fetched; they have not their places yet",
    "ended.before_commit": "a step elsewhere has ended and is fetched; its end is not committed",
}
"""Places that only steps on other machines reach."""

COMMAND_PLACES = {
    "new_file.before_make": "the temporary folder beside a new file exists; the file is empty",
    "new_file.made": "the new file is whole and synced, but has only its temporary name",
    "new_file.noted": "the target will be taken over, or reserved on a filesystem without links",
    "new_file.reserved": "without hard links: an empty file reserves the name",
    "new_file.placed": "the new file has its name; the temporary folder is there",
    "store.file_placed": "a large file is in the store beside the ledger; no event names it yet",
    "export.marked": "the folder of an export has only the mark of an unfinished one",
    "export.written": "the folder of an export is complete, but still marked as unfinished",
    "signal.sent": "a job is asked to cancel or to decide; nobody has done it",
    "acting.recorded": "a page has changed a job or made one; no process runs it yet",
    "removal.before_unlink": "bytes are removed from the ledger; large files are still beside it",
    "removal.before_index": "bytes are removed from the ledger; the search index is there",
    "removal.before_files": "the search index is removed; no run folder is changed",
    "removal.after_file": "a file is removed from a run folder",
    "removal.before_compact": "the run folders are published; free pages may have removed bytes",
    "removal.after_vacuum": "the file is rewritten; its write-ahead log may have removed bytes",
    "index.before_commit": "words are added to the search index, but not committed",
}
"""Places that only other commands reach."""

_KNOWN = {**PLACES, **BATCH_PLACES, **EXECUTOR_PLACES, **COMMAND_PLACES}


class _Entry(NamedTuple):
    place: str
    hit: int | None
    action: str
    argument: str


class _Plan:
    """The entries of the variable, and the number of hits of each place."""

    def __init__(self, text: str) -> None:
        self._entries: list[_Entry] = []
        self._trace: Path | None = None
        self._counts: Counter[str] = Counter()
        self._total = 0
        self._lock = threading.Lock()
        for part in filter(None, (part.strip() for part in text.split(";"))):
            if part.startswith("trace:"):
                self._trace = Path(part.removeprefix("trace:"))
            else:
                self._entries.append(_parse(part))

    def hit(self, place: str) -> None:
        assert place in _KNOWN, place
        with self._lock:
            self._counts[place] += 1
            self._total += 1
            count, total = self._counts[place], self._total
            if self._trace is not None:
                with self._trace.open("a") as file:
                    file.write(f"{place}@{count}\n")
        for entry in self._entries:
            reached = total if entry.place == "*" else count
            if entry.place in (place, "*") and entry.hit in (None, reached):
                _act(entry)


def hit(place: str) -> None:
    """Mark that the code has reached this place, and run the matching entries.

    Raises OSError for an `errno` entry.
    """
    if _plan is not None:
        _plan.hit(place)


class Follower(Protocol):
    """Receives each hit of a place; it may raise there."""

    def hit(self, place: str) -> None:
        """The code has reached this place."""


def follow(follower: Follower | None) -> None:
    """Send each hit to the follower in place of the variable's entries; None disables hits."""
    global _plan
    _plan = follower


def arm(text: str | None) -> None:
    """Use the entries of this text in place of the variable's; None or "" disables all.

    Raises BadFailpoint, which names the invalid entry.
    """
    global _plan
    _plan = _Plan(text) if text else None


def _parse(text: str) -> _Entry:
    target, _, command = text.partition("=")
    place, _, count = target.partition("@")
    action, _, argument = command.partition(":")
    if place != "*" and place not in _KNOWN:
        raise BadFailpoint(f"{text}: unknown place {place}; the places are {', '.join(_KNOWN)}")
    if count not in ("", "*") and not (count.isascii() and count.isdigit() and int(count)):
        raise BadFailpoint(f"{text}: the count after @ must be a positive integer or *")
    known = {
        "kill": not argument,
        "stop": not argument,
        "errno": isinstance(getattr(errno, argument, None), int),
        "sleep": argument.isascii() and argument.replace(".", "", 1).isdigit(),
    }
    if not known.get(action, False):
        raise BadFailpoint(f"{text}: the action must be kill, stop, errno:NAME or sleep:SECONDS")
    return _Entry(place, None if count == "*" else int(count or 1), action, argument)


def _act(entry: _Entry) -> None:
    match entry.action:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "sleep":
            time.sleep(float(entry.argument))
        case _:
            number = getattr(errno, entry.argument)
            raise OSError(number, os.strerror(number))


_plan: Follower | None = None


def arm_from_environment() -> None:
    """Use the entries of the environment variable, if it is set. Raises BadFailpoint."""
    arm(os.environ.get(VARIABLE))
