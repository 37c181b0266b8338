"""Private folders for the time of one process, where the system keeps temporary files.

Their process holds a lock in them, as in each temporary folder of orc. What killed processes left
is removed when the next private folder of the same kind is made.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from pathlib import Path

from orc.ledger.files.temporary import discard, make_locked, sweep

COPY = "orc-copy"
"""The copy of a ledger that is not read in place."""
BROWSER_PAGE = "orc-browse"
"""The page by which `orc browse` tells its link to a browser."""
TRIAL = "orc-chaos"
"""The jobs of `orc chaos`."""
HOOK = "orc-hook"
"""The facts for a hook, and what it prints."""
PLAN = "orc-plan"
"""The empty ledger for the forecast of a job if there is no ledger yet."""
KINDS = {
    COPY: ("read a copy of a ledger", "the next command that reads such a copy removes it"),
    BROWSER_PAGE: ("ran `orc browse`", "the next `orc browse` that opens a browser removes it"),
    TRIAL: ("ran `orc chaos`", "`orc chaos` removes it"),
    HOOK: ("ran a hook of a job", "the next hook removes it"),
    PLAN: ("ran `orc plan`", "`orc plan` removes it"),
}
"""For each kind, what its process did, and who removes what it left."""


def temporary_place() -> Path:
    """The folder in which the system keeps temporary files; TMPDIR names it."""
    return Path(tempfile.gettempdir()).absolute()


class PrivateFolder:
    """A folder of this kind with mode 0700, removed by `cleanup`, or when the process ends.

    `path` is the place for files in it; `with` gives it, and removes the folder. Raises OSError.
    """

    def __init__(self, kind: str) -> None:
        place = temporary_place()
        sweep(place, [kind])
        folder, lock = make_locked(place / kind)
        self.path = folder / "files"
        self._end = weakref.finalize(self, _remove, folder, lock)
        self.path.mkdir(mode=0o700)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.cleanup()

    def cleanup(self) -> None:
        """Remove the folder and what is in it."""
        self._end()


def _remove(folder: Path, lock: int) -> None:
    discard(folder)
    os.close(lock)
