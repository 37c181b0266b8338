"""The paths of the ledger and the run folders, the prices, and opening the ledger."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from orc.cli.errors import UsageProblem
from orc.cli.jobs.caller.prices import find_own_prices, read_prices
from orc.cli.jobs.caller.secrets import keys_mask
from orc.ledger import Ledger, LedgerReader, connect_reader, open_ledger
from orc.ledger.connection import storage_errors
from orc.ledger.errors import ExposedFiles, StorageError
from orc.ledger.files.exposure import trusting
from orc.ledger.files.way import ledger_path
from orc.projections import ReadModel
from orc.projections.money.prices import PriceTable
from orc.projections.tables.derived_tables import derive_all_tables
from orc.projections.tables.own_schema import check_own_tables
from orc.projections.tables.version import has_older_tables


class Places(Struct, frozen=True):
    """The absolute paths of the ledger and of the folder for run folders, and the prices."""

    database: Path
    runs_dir: Path
    prices: PriceTable

    @classmethod
    def find(
        cls,
        *,
        database: Path | None = None,
        runs_dir: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Places:
        """The options, else $ORC_DB, else `runs.db` in the current folder; `runs` beside the ledger.

        A ledger that is named by a link is known by its real path from here on. Raises what
        `read_prices` raises.
        """
        environment = os.environ if environment is None else environment
        path = ledger_path(database, environment)
        prices = read_prices(find_own_prices(path, environment))
        return cls(path, (runs_dir or path.parent / "runs").absolute(), prices)


def open_for_writing(
    places: Places,
    environment: Mapping[str, str],
    *,
    create: bool = False,
    checked: bool = True,
) -> Ledger:
    """The ledger, which keeps its tables up to date; without `checked`, to rebuild them.

    It stores no key of a provider in the environment; `hide_secrets` adds the secrets of a job.
    Raises LedgerError.
    """
    ledger = open_ledger(
        places.database,
        projector=ReadModel(places.prices),
        mask=keys_mask(environment),
        create=create,
    )
    if checked:
        try:
            _check_tables(ledger)
        except BaseException:
            ledger.close()
            raise
    return ledger


@contextmanager
def open_to_continue(
    places: Places, environment: Mapping[str, str], *, trust: bool
) -> Iterator[Ledger]:
    """The ledger, for a command that runs commands from it.

    Whether other users could change the ledger is decided before it is opened; `trust` allows it, for
    everything in the block. Raises UsageProblem, LedgerError.
    """
    try:
        with trusting(trust), open_for_writing(places, environment) as ledger:
            yield ledger
    except ExposedFiles as error:
        if trust or not error.is_trustable:
            raise
        raise UsageProblem(f"{error}, or add --trust") from error


@contextmanager
def open_for_reading(places: Places) -> Iterator[LedgerReader]:
    """The ledger, read-only, with tables of this version of orc. Raises LedgerError."""
    with LedgerReader.open(places.database) as ledger:
        if not has_older_tables(ledger.connection):
            _check_tables(ledger)
            yield ledger
            return
    with LedgerReader(places.database, connect_rebuilt(places)) as ledger:
        yield ledger


def connect_rebuilt(places: Places) -> sqlite3.Connection:
    """A connection to a ledger with tables of an older version, and to tables of this one.

    They are rebuilt in the ledger, or in a temporary database if this user may not write to the
    ledger. Raises LedgerError.
    """
    try:
        open_for_writing(places, os.environ).close()
    except (ExposedFiles, StorageError):
        return derive_all_tables(places.database, places.prices)
    return connect_reader(places.database)


def _check_tables(ledger: LedgerReader) -> None:
    with storage_errors(ledger.path):
        check_own_tables(ledger.connection)
