"""The most memory that this process has held."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")


def peak_bytes() -> int:
    """The largest resident size of this process since its program began.

    On Linux, `ru_maxrss` also counts what the process was before `exec`: a copy of its parent.
    A program that is started by a large pytest process would inherit the peak of pytest, so the
    high-water mark of the present program is read instead.
    """
    if STATUS.exists():
        found = re.search(r"^VmHWM:\s*([0-9]+) kB$", STATUS.read_text("ascii", "replace"), re.M)
        if found is not None:
            return int(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
