"""`python -m benchmarks.peak FILE ARGUMENT...` runs orc, and writes its largest resident memory to FILE.

The parent of a process cannot ask for it: the system counts what the parent had when it forked.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path


def peak_bytes() -> int:
    """The largest resident memory of this program so far."""
    try:
        status = Path("/proc/self/status").read_text("ascii")
    except OSError:
        # In bytes on macOS, which has no /proc.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    from orc.cli.main import main

    target = sys.argv[1]
    sys.argv = ["orc", *sys.argv[2:]]
    try:
        main()
    finally:
        Path(target).write_text(str(peak_bytes()), "ascii")
