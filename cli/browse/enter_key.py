"""Calls a function each time that the person presses Enter in the terminal."""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from collections.abc import Callable

_BACKGROUND_S = 0.5
_BYTES = 1024


def on_enter(do: Callable[[], None]) -> bool:
    """Call `do` in a thread for each line of the terminal; False without a terminal or a thread."""
    try:
        descriptor = sys.stdin.fileno()
        if not os.isatty(descriptor):
            return False
    except (AttributeError, OSError, ValueError):
        return False
    try:
        threading.Thread(target=_wait, args=(descriptor, do), daemon=True).start()
    except RuntimeError:
        return False
    return True


def _wait(descriptor: int, do: Callable[[], None]) -> None:
    try:
        while True:
            select.select([descriptor], [], [])
            if os.tcgetpgrp(descriptor) != os.getpgrp():
                # In the background: the line is for the shell, and reading would stop this process.
                time.sleep(_BACKGROUND_S)
            elif not os.read(descriptor, _BYTES):
                return
            else:
                do()
    except OSError:
        return
