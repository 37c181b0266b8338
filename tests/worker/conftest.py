from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worker.engine import FakeEngine


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[FakeEngine]:
    """An engine with one worker; at the end nothing of it is left."""
    engine = FakeEngine(tmp_path / "worker")
    yield engine
    engine.close()
    assert engine.spools() == []
