from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.worker.engine import FakeEngine, wait_until


def survivors(folder: Path) -> list[int]:
    """Processes that work in a folder below this one; Linux only."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            if os.readlink(path).startswith(str(folder)):
                found.append(int(path.parent.name))
    return found


@pytest.fixture(autouse=True)
def no_survivors(tmp_path: Path) -> Iterator[None]:
    """After each test, no command of it runs any more."""
    yield
    wait_until(lambda: not survivors(tmp_path))


@pytest.fixture
def engine(tmp_path: Path, no_survivors: None) -> Iterator[FakeEngine]:
    """An engine with one worker; at the end nothing of it is left."""
    engine = FakeEngine(tmp_path / "worker")
    yield engine
    engine.close()
    assert engine.spools() == []
