"""The gate: a line of shell that waits until the reaper knows the group of its command.

It reads one line. At end of file, when the process that started it has died, it exits. A shell that
runs a text has the gate in front of it, in the same shell.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

_GATE = 'read -r _ && i=$1 && shift && exec "$@" <"$i"'
SHELL = ("/bin/sh", "-ec")
"""What runs a text; the text follows."""
_TEXT_CHARS_MAX = 32_000
"""How long a text may be to get the gate in front: Linux limits the length of each argument."""


def gated(argv: Sequence[str], stdin: str = "/dev/null") -> list[str]:
    """The command behind its gate. It reads its input from `stdin`."""
    if tuple(argv[:-1]) == SHELL and len(argv[-1]) <= _TEXT_CHARS_MAX:
        # In the same line, so that the shell's messages name the lines of the text.
        return [*SHELL, f"read -r _; exec <{shlex.quote(stdin)}; {argv[-1]}"]
    return ["/bin/sh", "-c", _GATE, "orc", stdin, *argv]
