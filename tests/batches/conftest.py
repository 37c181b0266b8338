"""Every test of this folder has a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command_line import work_in


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The test's folder."""
    return work_in(tmp_path, monkeypatch)
