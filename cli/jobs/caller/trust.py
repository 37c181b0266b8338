"""Whose commands run: to go on with a job is to run the commands that its ledger holds.

A job of somebody else's, and a ledger that somebody else can write to, are refused
unless the caller trusts them; to look at them needs no trust.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from orc.cli.errors import UsageProblem
from orc.ledger import LedgerReader
from orc.ledger.transport.imported import imported

_BESIDE = ("-wal", "-shm", "-journal")


def refuse_untrusted(ledger: LedgerReader, job_id: str, *, trust: bool) -> None:
    """Refuse to run the commands of others, unless they are trusted. Raises UsageProblem."""
    if trust:
        return
    for path, what, mend in find_open_places(ledger.path):
        raise UsageProblem(
            f"{path} {what}: to go on with its jobs is to run the commands that are in it, as you; "
            f"{mend}, or say --trust"
        )
    note = imported(ledger.connection, job_id)
    if note is not None and not note["trusted"]:
        raise UsageProblem(
            f"{job_id} was imported from {note['from']}: to run it is to run its author's commands, "
            f"as you. If you trust it: --trust for this time, or orc import {note['from']} --trust"
        )


def find_open_places(database: Path) -> Iterator[tuple[Path, str, str]]:
    """Where somebody else can change what a ledger's jobs run: the place, how, and what mends it."""
    real = database.resolve()
    files = [real, *(real.with_name(real.name + suffix) for suffix in _BESIDE)]
    for path in dict.fromkeys((*files, real.parent, database.absolute().parent)):
        try:
            found = path.stat()
        except FileNotFoundError:
            continue
        if found.st_uid not in (os.geteuid(), 0):
            yield path, f"belongs to {_user(found.st_uid)}", "take a copy (orc backup)"
        elif _others_may_write(found):
            yield path, "can be written by others", f"chmod go-w {path}"


def _others_may_write(found: os.stat_result) -> bool:
    if stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX:
        # As in /tmp: nobody can replace another one's files there.
        return False
    if found.st_mode & stat.S_IWOTH:
        return True
    return bool(found.st_mode & stat.S_IWGRP) and not _is_own_group(found.st_gid)


def _is_own_group(group: int) -> bool:
    """Whether it is the group that many systems give each user, and has nobody else in it.

    There new folders are writable by it, since the umask is 002.
    """
    try:
        user = pwd.getpwuid(os.geteuid())
        entry = grp.getgrgid(group)
    except KeyError:
        return False
    is_private = group == user.pw_gid and entry.gr_name == user.pw_name
    return is_private and set(entry.gr_mem) <= {user.pw_name}


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
