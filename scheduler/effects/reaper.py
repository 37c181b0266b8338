"""A separate script that kills the process groups of a runner that died, and notes when each ended.

It reads lines `+<group>` and `-<group>` from a pipe. When the runner ends for any reason, the
pipe reaches end of file, and the reaper kills the remaining groups. The parent-death signal of
Linux is no alternative: it depends on the thread that started the child, not on the process.

When the leader of a group ends, the reaper writes `<group> <time>` to stdout, with the time of the
monotonic clock. The runner may learn of the end much later: it may be suspended, or busy. Only Linux
tells the end of another's child; elsewhere nothing is written.

It imports the modules in C behind `os` and `signal`: it is started in each run with a command, and
the others would be half of its processor time there.
"""

import _signal as signal  # type: ignore[import-not-found]
import posix as os
import select
import sys
import time

_CHUNK = 65536
_PAUSE_S = 0.05
"""How long the pipe is left alone after a look: a command that ends meanwhile costs nothing here."""


def main() -> None:
    """Read groups until the runner ends; then kill the remaining ones."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    os.set_blocking(1, False)
    groups: set[int] = set()
    _follow(groups)
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except OSError:
            continue


def _follow(groups: set[int]) -> None:
    watched: dict[int, int] = {}
    poll = select.poll()
    rest = b""
    look_at = time.monotonic()
    while True:
        pause_s = look_at - time.monotonic()
        # Without POLLIN, the pipe only reports that the runner has closed it.
        poll.register(0, 0 if pause_s > 0 else select.POLLIN)
        ready = poll.poll(max(1, pause_s * 1000) if pause_s > 0 else None)
        for fd, _ in ready:
            if fd != 0:
                _note_end(watched.pop(fd))
                poll.unregister(fd)
                os.close(fd)
        if any(fd == 0 for fd, _ in ready):
            chunk = os.read(0, _CHUNK)
            if not chunk:
                return
            *lines, rest = (rest + chunk).split(b"\n")
            for group in _take(lines, groups):
                _watch(group, watched, poll)
            look_at = time.monotonic() + _PAUSE_S


def _take(lines: list[bytes], groups: set[int]) -> list[int]:
    """Those of the new groups that have not ended already."""
    added = []
    for line in lines:
        group = int(line[1:])
        if line[:1] == b"+":
            groups.add(group)
            added.append(group)
        else:
            groups.discard(group)
    return [group for group in added if group in groups]


def _watch(group: int, watched: dict[int, int], poll: select.poll) -> None:
    if sys.platform != "linux":
        return
    try:
        fd = os.pidfd_open(group)
    except OSError:
        # It has ended, and the runner knows; or there are no free descriptors.
        return
    watched[fd] = group
    poll.register(fd, select.POLLIN)


def _note_end(group: int) -> None:
    try:
        os.write(1, f"{group} {time.monotonic()!r}\n".encode())
    except OSError:
        # Nobody has read for long. The runner then counts until it sees the end itself.
        return


if __name__ == "__main__":
    main()
    # Nothing is left to clean up, which takes a sixth of the time of such a process.
    os._exit(0)
