"""Commands, on this machine and on a worker: the gate before one, the reaper behind it, its end.

A reaper kills the process groups that it knows when the process that started it has ended. The gate
is a line of shell that waits until the reaper knows the group of its command: it reads one line. At
end of file, when the process that started it has died, it exits. A shell that runs a text has the
gate in front of it, in the same shell.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_GATE = 'read -r _ && i=$1 && shift && exec "$@" <"$i"'
SHELL = ("/bin/sh", "-ec")
"""What runs a text; the text follows."""
LEFT_CHILDREN = "a background process kept the output open after the command ended; it was killed"
_TEXT_CHARS_MAX = 32_000
"""How long a text may be to get the gate in front: Linux limits the length of each argument."""


def gated(argv: Sequence[str], stdin: str = "/dev/null") -> list[str]:
    """The command behind its gate. It reads its input from `stdin`."""
    if tuple(argv[:-1]) == SHELL and len(argv[-1]) <= _TEXT_CHARS_MAX:
        # In the same line, so that the shell's messages name the lines of the text.
        return [*SHELL, f"read -r _; exec <{shlex.quote(stdin)}; {argv[-1]}"]
    return ["/bin/sh", "-c", _GATE, "orc", stdin, *argv]


def start_reaper(
    script: Path, groups: bytes, *, stdout: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """Start the script with the lines of `groups` in its pipe, which `stdin` goes on to write.

    The lines are there before the reaper is: a caller that is killed at any moment after the start
    leaves no group of them without a reaper. (The pipe takes 64 kB, some thousand groups; what is
    longer is written after the start.) Raises OSError if no process can be started.
    """
    read_fd, write_fd = os.pipe()
    try:
        os.set_blocking(write_fd, False)
        written = os.write(write_fd, groups) if groups else 0
        os.set_blocking(write_fd, True)
        reaper = subprocess.Popen(
            [sys.executable, "-I", "-S", str(script)],
            stdin=read_fd,
            stdout=stdout,
            start_new_session=True,
            cwd="/",
            env={},
            bufsize=0,
        )
    except BaseException:
        os.close(write_fd)
        raise
    finally:
        os.close(read_fd)
    reaper.stdin = os.fdopen(write_fd, "wb", buffering=0)
    # A reaper that is killed already is found out at the next line.
    with suppress(BrokenPipeError):
        while groups := groups[written:]:
            written = os.write(write_fd, groups)
    return reaper


def missing_command(
    name: str, folder: str | Path, env: Mapping[str, str], *, where: str = "PATH"
) -> str:
    """Why a command with this name cannot start in the folder; empty if it can.

    `where` is what its PATH is called.
    """
    if "/" not in name:
        if shutil.which(name, path=env.get("PATH", os.defpath)) is not None:
            return ""
        return f"the command {name!a} was not found on {where}; install it or correct its name"
    # Such a name is relative to the folder in which the command starts.
    path = os.path.join(folder, name)
    if os.path.isfile(path) and os.access(path, os.X_OK):
        return ""
    if not os.path.exists(path):
        return f"there is no {name!a} in the folder where the command starts; correct its path"
    return f"the command {name!a} is not executable; run `chmod +x` on it"


def signal_group(group: int, number: signal.Signals) -> None:
    """Send a signal to a process group. A group that has ended is not an error."""
    # macOS raises PermissionError for a group whose only member is a zombie.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def signal_name(number: int) -> str:
    """The signal's name, such as `SIGTERM`."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
