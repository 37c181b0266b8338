"""Named places of the code at which a process can be made to die, or a disk to fail.

What crashes do is only known where they happen. `ORC_FAILPOINTS` holds entries
like these, with `;` between them:

    trace:/tmp/hits             write each hit, `name@count`, into that file
    ledger.after_commit=kill    SIGKILL at the first hit of that place
    file.after_write@3=kill     at the third
    *@17=kill                   at the 17th hit of any place
    file.after_fsync@*=errno:EIO   each time, as if the disk said so
    call.after_reply=stop       SIGSTOP
    call.before_send=sleep:0.5  wait so many seconds

Without the variable a place costs one comparison. Nothing that orc starts
inherits the variable: the environment of commands is a list of what they may see.
"""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from orc.ledger.errors import BadFailpoint

VARIABLE = "ORC_FAILPOINTS"
PLACES = {
    "ledger.before_begin": "an append is asked for, and no transaction begun",
    "ledger.after_insert": "the rows are inserted, and not committed",
    "ledger.after_commit": "the events are committed, and nobody has been told",
    "ledger.after_apply": "the runner has told everybody of the commit",
    "ledger.before_create": "the ledger's file is not there yet",
    "ledger.after_create": "the file is there, and its tables are not",
    "checkpoint.before": "a connection is about to close, and to checkpoint if it is the last",
    "checkpoint.after": "it has closed",
    "file.after_write": "a file's bytes are in its temporary file",
    "file.after_fsync": "they are on the disk",
    "file.after_rename": "the file has its name, and the folder is not synced",
    "publish.before_rename": "a file of the run folder is about to get its name",
    "process.after_spawn": "a command's process is there, and nobody knows its group",
    "process.after_exit": "the process is gone, and its outcome not recorded",
    "call.before_send": "llm.requested is committed, and nothing sent",
    "call.after_reply": "the reply is there, and not recorded",
}
"""Every place, and what is true there."""


@dataclass(frozen=True, slots=True)
class _Entry:
    place: str
    count: int | None
    action: str
    argument: str


class _Plan:
    """What the variable asks for, and how often each place was hit."""

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
        assert place in PLACES, place
        with self._lock:
            self._counts[place] += 1
            self._total += 1
            count, total = self._counts[place], self._total
            if self._trace is not None:
                with self._trace.open("a") as file:
                    file.write(f"{place}@{count}\n")
        for entry in self._entries:
            reached = total if entry.place == "*" else count
            if entry.place in (place, "*") and entry.count in (None, reached):
                _act(entry)


def hit(place: str) -> None:
    """Say that the code is at this place; what `ORC_FAILPOINTS` asks for happens.

    Raises OSError where a failing disk is asked for.
    """
    if _plan is not None:
        _plan.hit(place)


class Follower(Protocol):
    """What is told of each place that the code comes to, and may raise there."""

    def hit(self, place: str) -> None:
        """The code is at this place."""


def follow(follower: Follower | None) -> None:
    """Tell this of each place from now on, in place of what the variable asks for; none for nobody."""
    global _plan
    _plan = follower


def arm(text: str | None) -> None:
    """Follow this text from now on, in place of the variable's; none for nothing.

    Raises BadFailpoint, naming the entry.
    """
    global _plan
    _plan = _Plan(text) if text else None


def _parse(text: str) -> _Entry:
    where, _, what = text.partition("=")
    place, _, count = where.partition("@")
    action, _, argument = what.partition(":")
    if place != "*" and place not in PLACES:
        raise BadFailpoint(f"{text}: there is no place {place}; the places are {', '.join(PLACES)}")
    if count not in ("", "*") and not (count.isascii() and count.isdigit() and int(count)):
        raise BadFailpoint(f"{text}: after @ stands a number from 1, or *")
    known = {
        "kill": not argument,
        "stop": not argument,
        "errno": isinstance(getattr(errno, argument, None), int),
        "sleep": argument.isascii() and argument.replace(".", "", 1).isdigit(),
    }
    if not known.get(action, False):
        raise BadFailpoint(f"{text}: must be kill, stop, errno:NAME or sleep:SECONDS")
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
    """Follow the environment's variable, if it is set. Raises BadFailpoint."""
    arm(os.environ.get(VARIABLE))
