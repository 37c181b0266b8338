"""The paths of the ledger and the run folders, the prices, and opening the ledger."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orc.cli.jobs.caller.prices import find_own_prices, read_prices
from orc.cli.jobs.caller.secrets import keys_mask
from orc.ledger import Ledger, LedgerReader, open_ledger
from orc.projections import ReadModel
from orc.projections.money.prices import PriceTable
from orc.projections.tables.version import has_older_tables


@dataclass(frozen=True, slots=True)
class Places:
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

        Raises what `read_prices` raises.
        """
        environment = os.environ if environment is None else environment
        path = (database or Path(environment.get("ORC_DB") or "runs.db")).absolute()
        prices = read_prices(find_own_prices(path, environment))
        return cls(path, (runs_dir or path.parent / "runs").absolute(), prices)


def open_for_writing(
    places: Places, environment: Mapping[str, str], *, create: bool = False
) -> Ledger:
    """The ledger, which keeps its tables up to date. Raises LedgerError.

    It stores no key of a provider in the environment; `hide_secrets` adds the secrets of a job.
    """
    return open_ledger(
        places.database,
        projector=ReadModel(places.prices),
        mask=keys_mask(environment),
        create=create,
    )


@contextmanager
def open_for_reading(places: Places) -> Iterator[LedgerReader]:
    """The ledger, read-only, with tables of this version of orc. Raises LedgerError."""
    with LedgerReader.open(places.database) as ledger:
        is_old = has_older_tables(ledger.connection)
    if is_old:
        # Opening a ledger for writing rebuilds tables of an older version.
        open_for_writing(places, os.environ).close()
    with LedgerReader.open(places.database) as ledger:
        yield ledger
