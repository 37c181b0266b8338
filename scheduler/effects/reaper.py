"""A script of its own: ends the process groups of a runner that died.

It reads `+<group>` and `-<group>`, one a line, and at end of file - the
runner's end of the pipe is gone, however it died - kills the groups that are
left. A pipe is used, and not the parent-death signal, because that one follows
the thread that spawned the child.
"""

import os
import signal
import sys


def main() -> None:
    """Follow the runner until it is gone."""
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
