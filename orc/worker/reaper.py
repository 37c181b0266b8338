"""A separate script that kills the process groups of an agent that died, or that lost its lease.

It reads lines `+<group> <deadline>` and `-<group>` from a pipe; a deadline is a time of the clock
of leases, and a later line `+` moves it. A group whose deadline passes is killed. When the agent
ends for any reason, the pipe reaches end of file, and all groups are killed. So a stopped agent, a
machine that slept and a worker that the engine gave up do not leave a command running.
"""

import os
import select
import signal
import time

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
# A wait ends later than asked if the machine sleeps meanwhile.
_WAIT_S_MAX = 0.5


def main() -> None:
    """Keep the deadlines until the agent ends; then kill the remaining groups."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    deadlines: dict[int, float] = {}
    unread = b""
    while True:
        # Before reading: a line that waited in the pipe does not save a group that is too late.
        now = time.clock_gettime(_CLOCK)
        for group in [one for one, deadline in deadlines.items() if deadline <= now]:
            del deadlines[group]
            _kill(group)
        wait_s = None
        if deadlines:
            wait_s = min(_WAIT_S_MAX, max(0.0, min(deadlines.values()) - now))
        if not select.select([0], [], [], wait_s)[0]:
            continue
        chunk = os.read(0, 1 << 16)
        if not chunk:
            break
        *lines, unread = (unread + chunk).split(b"\n")
        for line in lines:
            group_text, _, deadline = line[1:].partition(b" ")
            if line[:1] == b"+":
                deadlines[int(group_text)] = float(deadline)
            else:
                deadlines.pop(int(group_text), None)
    for group in deadlines:
        _kill(group)


def _kill(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        return


if __name__ == "__main__":
    main()
