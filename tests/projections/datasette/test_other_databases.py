"""A database that is no ledger is examined once in each state of its files."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from datasette.app import Datasette

from orc.ledger.files.snapshot import copy_database
from orc.projections.datasette import plugin
from tests.builders import step
from tests.other_users import shared_folder
from tests.projections.support import begun, open_in, write


def test_a_database_of_others_is_not_copied_at_each_request(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    copied: list[Path] = []

    def copy(database: Path) -> object:
        copied.append(database)
        return copy_database(database)

    monkeypatch.setattr("orc.ledger.files.snapshot.copy_database", copy)
    with shared_folder() as folder:
        other = folder / "other.db"
        with closing(sqlite3.connect(other, isolation_level=None)) as writer:
            writer.execute("PRAGMA journal_mode = WAL")
            writer.execute("CREATE TABLE words (word TEXT)")
            folder.chmod(0o777)
            datasette = Datasette([str(other)])

            def copies_no_more() -> bool:
                # Datasette's own connections may change the log when they begin.
                for _ in range(5):
                    copied.clear()
                    ask(datasette)
                    if not copied:
                        return True
                return False

            assert copies_no_more()
            writer.execute("INSERT INTO words VALUES ('new')")
            ask(datasette)
            assert set(copied) == {other}
            assert copies_no_more()
        # What takes its place is examined, too.
        folder.chmod(0o755)
        with open_in(tmp_path) as ledger:
            write(ledger, begun(step("a")))
        for name in folder.glob("other.db*"):
            name.unlink()
        shutil.copy(tmp_path / "runs.db", other)
        assert plugin._is_ledger(datasette, "other")


def test_the_memory_of_other_databases_is_bounded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(plugin, "_OTHERS_MAX", 3)
    paths = [tmp_path / f"{number}.db" for number in range(10)]
    for path in paths:
        with closing(sqlite3.connect(path)) as made:
            made.execute("CREATE TABLE words (word TEXT)")
    datasette = Datasette(list(map(str, paths)))
    for path in paths:
        assert not plugin._is_ledger(datasette, path.stem)
        assert len(plugin._others) <= 3


def ask(datasette: Datasette) -> None:
    async def get() -> None:
        for address in ("/other", "/other/words.json", "/other/words"):
            answer = await datasette.client.get(address)
            assert answer.status_code == 200, answer.text

    asyncio.run(get())
