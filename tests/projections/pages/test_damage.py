"""The damage of a ledger is looked for once in each state of its files, its log included."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from orc.projections.pages import views
from tests.builders import step
from tests.projections.support import begun, open_in, write


def test_damage_that_is_repaired_in_the_log_is_not_shown_any_more(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    database = tmp_path / "runs.db"
    with open_in(tmp_path) as ledger:
        write(ledger, begun(step("a")))
    damage = ["broken", None]
    monkeypatch.setattr(views, "find_damage", lambda path: damage.pop(0))
    with closing(sqlite3.connect(database, isolation_level=None)) as writer:
        before = database.stat()
        assert [views._damage_of(database) for _ in range(2)] == ["broken"] * 2
        writer.execute("INSERT INTO orc_meta VALUES ('repaired', 'yes')")
        after = database.stat()
        assert (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size)
        assert [views._damage_of(database) for _ in range(2)] == [None] * 2
