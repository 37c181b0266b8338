"""A folder in memory, where no sync of a disk counts as processor time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_IN_MEMORY = Path("/dev/shm")


@contextmanager
def in_memory(folder: Path) -> Iterator[Path]:
    """A temporary folder in memory; where the system has no `/dev/shm`, in `folder`."""
    with tempfile.TemporaryDirectory(dir=_IN_MEMORY if _IN_MEMORY.is_dir() else folder) as name:
        yield Path(name)
