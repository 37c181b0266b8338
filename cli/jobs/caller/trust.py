"""Refuses to run the commands of jobs that another user made or could have changed.

Resuming a job runs the commands in its ledger. An imported job, and a ledger that another user can
write to, are therefore refused unless the caller trusts them. Reading them needs no trust.
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
    """Raise UsageProblem if another user made the job or can write to the ledger, unless trusted."""
    if trust:
        return
    for path, what, fix in find_writable_places(ledger.path):
        raise UsageProblem(
            f"{path} {what}: to continue a job would run commands from it, as you; "
            f"{fix}, or add --trust"
        )
    note = imported(ledger.connection, job_id)
    if note is not None and not note["trusted"]:
        raise UsageProblem(
            f"{job_id} was imported from {note['from']}: to continue it would run its author's "
            f"commands, as you. If you trust the author, add --trust (once), or run "
            f"orc import {note['from']} --trust (for good)"
        )


def find_writable_places(database: Path) -> Iterator[tuple[Path, str, str]]:
    """The paths by which another user can change the ledger: each with the reason and the remedy."""
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
        # A sticky folder such as /tmp: a user cannot replace the files of another user.
        return False
    if found.st_mode & stat.S_IWOTH:
        return True
    return bool(found.st_mode & stat.S_IWGRP) and not _is_own_group(found.st_gid)


def _is_own_group(group: int) -> bool:
    """Whether this is the user's private group, with no other member.

    Many systems give each user such a group, with a umask of 002: new folders are then writable
    by the group.
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
