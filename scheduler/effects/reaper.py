"""A separate script that kills the process groups of a runner that died.

It reads lines `+<group>` and `-<group>` from a pipe. When the runner ends for any reason, the
pipe reaches end of file, and the reaper kills the remaining groups. The parent-death signal of
Linux is no alternative: it depends on the thread that started the child, not on the process.
"""

import os
import signal
import sys


def main() -> None:
    """Read groups until the runner ends; then kill the remaining ones."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line[0] == "+":
            groups.add(group)
        else:
            groups.discard(group)
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except OSError:
            continue


if __name__ == "__main__":
    main()
