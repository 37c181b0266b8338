"""Which user's process made a connection, as far as the system tells it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

_GONE = -1
_TCP = Path("/proc/net/tcp")


def is_own_user(scope: dict[str, Any]) -> bool:
    """Whether the connection was made by a process of this user or of root.

    True also where the system does not tell it: not on Linux, through a Unix socket (its mode
    decides), and from another network namespace. Under sudo, the user who called it counts too.
    """
    client, server = scope.get("client"), scope.get("server")
    if sys.platform != "linux" or client is None or server is None or server[1] is None:
        return True
    try:
        table = _TCP.read_text("ascii")
    except OSError:
        return True
    user = find_user(table, _end(*client), _end(*server[:2]))
    return user is None or user in _own_users()


def _own_users() -> set[int]:
    own = {os.geteuid(), 0}
    caller = os.environ.get("SUDO_UID", "")
    if os.geteuid() == 0 and caller.isdecimal():
        own.add(int(caller))
    return own


def find_user(table: str, local: str, remote: str) -> int | None:
    """The id of the user who made a connection, from the text of `/proc/net/tcp`.

    `local` and `remote` are its ends, as the user's process sees them. None if it is not there.
    """
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[1:3] == [local, remote]:
            # A connection that its process has closed has no inode, and names root.
            return int(fields[7]) if fields[9] != "0" else _GONE
    return None


def _end(address: str, port: int) -> str:
    """An address as `/proc/net/tcp` writes it: four bytes in the order of the machine, and a port."""
    parts = [int(part) for part in address.split(".")] if address.count(".") == 3 else []
    number = int.from_bytes(bytes(parts), sys.byteorder)
    return f"{number:08X}:{port:04X}"
