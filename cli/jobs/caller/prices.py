"""Reads the user's own price table, which comes before the published prices.

What a call costs by a table is computed by `projections/money/prices.py`, and the text of a table is
parsed by `price_file.py`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from orc.cli.errors import UsageProblem
from orc.cli.jobs.caller.spec_files import read_yaml_bytes
from orc.ledger.files.written_paths import written_path
from orc.projections.money import published
from orc.projections.money.prices import PriceTable, PublishedPrices
from orc.providers.catalogue import facts_of

PRICES_VARIABLE = "ORC_PRICES"
FILE_NAME = "prices.yaml"


def find_own_prices(database: Path, environment: Mapping[str, str]) -> Path | None:
    """The user's own table: the file in $ORC_PRICES, else `prices.yaml` beside the ledger, else None."""
    named = environment.get(PRICES_VARIABLE)
    if named:
        return written_path(named, of=PRICES_VARIABLE).absolute()
    # Another user may have put a pipe or a device beside a ledger that is only read.
    beside = database.parent / FILE_NAME
    return beside if beside.is_file() else None


def read_prices(own: Path | None) -> PriceTable:
    """The published prices; for each model in the file `own`, the price there replaces them.

    Raises UsageProblem if the file cannot be read, SpecError if it is not a valid table.
    """
    table = PublishedPrices(models={})
    if own is None:
        return table
    try:
        text = read_yaml_bytes(own).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageProblem(f"the price table {own} is not UTF-8 text; save it as UTF-8") from error
    except OSError as error:
        raise UsageProblem(
            f"cannot read the price table {own}: {error.strerror}; correct this, "
            f"or name another file in {PRICES_VARIABLE}"
        ) from error
    from orc.cli.jobs.caller.price_file import parse_prices

    return table.merged(parse_prices(text, source_name=str(own)))


class PriceData(Struct, frozen=True):
    """The published prices that are installed: their release, and since when the newest one holds."""

    release: str
    newest: dt.date | None


def describe_published(today: dt.date) -> PriceData:
    """What is installed; this loads all of the data."""
    release = f"{published.PACKAGE} {published.package_version()}"
    return PriceData(release, published.newest_change(today))


def models_with_prices(table: PriceTable, provider: str) -> list[str]:
    """The names of a provider's models whose prices are known, sorted."""
    listed = facts_of(provider).billed_as or provider
    return sorted({*table.models.get(listed, ()), *published.published_models(listed)})
