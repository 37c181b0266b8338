"""A separate script that kills the process groups of a runner that died, and notes when each ended.

It reads lines `+<group>` and `-<group>` from a pipe. When the runner ends for any reason, the
pipe reaches end of file, and the reaper kills the remaining groups. The parent-death signal of
Linux is no alternative: it depends on the thread that started the child, not on the process.

When the leader of a group ends, the reaper writes `<group> <time>` to stdout, with the time of the
monotonic clock. The runner may learn of the end much later: it may be suspended, or busy. Only Linux
tells the end of another's child; elsewhere nothing is written.
"""

import os
import selectors
import signal
import sys
import time

_CHUNK = 65536


def main() -> None:
    """Read groups until the runner ends; then kill the remaining ones."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    os.set_blocking(1, False)
    groups: set[int] = set()
    with selectors.DefaultSelector() as selector:
        selector.register(0, selectors.EVENT_READ)
        _follow(groups, selector)
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except OSError:
            continue


def _follow(groups: set[int], selector: selectors.BaseSelector) -> None:
    rest = b""
    while True:
        for key, _ in selector.select():
            if key.data is not None:
                _note_end(key.data)
                selector.unregister(key.fd)
                os.close(key.fd)
                continue
            chunk = os.read(0, _CHUNK)
            if not chunk:
                return
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                group = int(line[1:])
                if line[:1] == b"+":
                    groups.add(group)
                    _watch(group, selector)
                else:
                    groups.discard(group)


def _watch(group: int, selector: selectors.BaseSelector) -> None:
    if sys.platform != "linux":
        return
    try:
        fd = os.pidfd_open(group)
    except OSError:
        # It has ended, and the runner knows; or there are no free descriptors.
        return
    selector.register(fd, selectors.EVENT_READ, group)


def _note_end(group: int) -> None:
    try:
        os.write(1, f"{group} {time.monotonic()!r}\n".encode())
    except OSError:
        # Nobody has read for long. The runner then counts until it sees the end itself.
        return


if __name__ == "__main__":
    main()
