"""`python -m benchmarks.peak FILE ARGUMENT...` runs orc, and writes its largest resident memory to FILE.

The parent of a process cannot ask for it: the system counts what the parent had when it forked.
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

from benchmarks import processes


def peak_bytes() -> int:
    """The largest resident memory of this program so far."""
    # In bytes on macOS, which has no /proc.
    return processes.peak_bytes(os.getpid()) or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    from orc.cli.main import main

    target = sys.argv[1]
    sys.argv = ["orc", *sys.argv[2:]]
    try:
        main()
    finally:
        Path(target).write_text(str(peak_bytes()), "ascii")
