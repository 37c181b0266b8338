"""Which user's process made a connection, as far as the system tells it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

_GONE = -1
_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_MAPPED = "0" * 16 + ("FFFF0000" if sys.byteorder == "little" else "0000FFFF")
"""What an IPv6 socket has before an IPv4 address: `::ffff:` (RFC 4291), as the tables write it."""


def is_own_user(scope: dict[str, Any]) -> bool:
    """Whether the connection was made by a process of this user or of root.

    True also where the system does not tell it: not on Linux, through a Unix socket (its mode
    decides), and where the tables do not show this server. Under sudo, the user who called it counts
    too. False for a connection that has been closed: nobody waits for an answer, and its user is not
    known any more.
    """
    client, server = scope.get("client"), scope.get("server")
    if sys.platform != "linux" or server is None or server[1] is None:
        return True
    try:
        tables = "".join(path.read_text("ascii") for path in _TABLES if path.exists())
    except OSError:
        return True
    here = _end(*server[:2])
    # The address of a client that has closed its connection can be unknown.
    user = _GONE if client is None else find_user(tables, _end(*client), here)
    if user is None:
        return here not in tables
    return user in _own_users()


def _own_users() -> set[int]:
    own = {os.geteuid(), 0}
    caller = os.environ.get("SUDO_UID", "")
    if os.geteuid() == 0 and caller.isdecimal():
        own.add(int(caller))
    return own


def find_user(tables: str, local: str, remote: str) -> int | None:
    """The id of the user who made a connection, from the texts of `/proc/net/tcp` and `tcp6`.

    `local` and `remote` are its ends, as the user's process sees them. None if it is not there.
    """
    wanted = [local, remote], [_MAPPED + local, _MAPPED + remote]
    for line in tables.splitlines():
        fields = line.split()
        if len(fields) > 9 and fields[1:3] in wanted:
            # A connection that its process has closed has no inode, and names root.
            return int(fields[7]) if fields[9] != "0" else _GONE
    return None


def _end(address: str, port: int) -> str:
    """An address as `/proc/net/tcp` writes it: four bytes in the order of the machine, and a port."""
    parts = [int(part) for part in address.split(".")] if address.count(".") == 3 else []
    number = int.from_bytes(bytes(parts), sys.byteorder)
    return f"{number:08X}:{port:04X}"
