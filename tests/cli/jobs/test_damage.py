"""Errors that a command did not expect: damage of the ledger, a failing disk, or a bug."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from orc.cli.jobs.damage import explain
from orc.ledger.errors import StorageError
from tests.cli.command_line import submit

SPEC = "project: plain\nsteps: {only: {value: 1}}\n"


def error_of(statement: str) -> sqlite3.Error:
    """The error of SQLite for a statement in a database that has no space for it."""
    connection = sqlite3.connect(":memory:")
    connection.execute("PRAGMA max_page_count = 1")
    with pytest.raises(sqlite3.Error) as raised:
        connection.execute(statement)
    connection.close()
    return raised.value


def test_an_error_of_the_disk_is_no_bug(here: Path) -> None:
    submit(SPEC)
    with pytest.raises(StorageError, match="the disk is full"):
        explain(error_of("CREATE TABLE a (b)"), here / "runs.db")


def test_an_error_of_the_code_stays_one(here: Path) -> None:
    submit(SPEC)
    explain(error_of("SELECT * FROM nothing"), here / "runs.db")
