"""Reads the user's own price table, which comes before the published prices.

What a call costs by a table is computed by `projections/money/prices.py`.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct
from pydantic import ValidationError

from orc.cli.errors import UsageProblem
from orc.cli.jobs.caller.spec_files import read_yaml_bytes
from orc.ledger.files.written import written_path
from orc.projections.money import published
from orc.projections.money.price import Price
from orc.projections.money.prices import PriceTable, PublishedPrices
from orc.providers import REGISTRY
from orc.providers.catalogue import facts_of
from orc.providers.servers.presets import PRESETS
from orc.scheduler.core.errors import Problem, SpecError, nearest
from orc.scheduler.core.source.yaml_source import Document, dotted, parse_yaml
from orc.scheduler.core.spec.base import shown_value
from orc.scheduler.core.spec.misfits import explain
from orc.scheduler.core.spec.prompt import SERVER_PATTERN

PRICES_VARIABLE = "ORC_PRICES"
FILE_NAME = "prices.yaml"
_WANTED = {
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "float_type": "a number",
    "int_type": "a whole number",
    "date_type": "a date such as 2026-08-01",
    "value_error": "a date such as 2026-08-01",
}


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


def parse_prices(text: str, *, source_name: str) -> PriceTable:
    """The price table in a YAML text. Raises SpecError with every problem."""
    document = parse_yaml(text, source_name=source_name)
    if not isinstance(document.value, dict):
        raise SpecError(
            source_name, [Problem("the table must be a mapping with the key `models`", 1, 1)]
        )
    problems = list(_find_unknown_providers(document))
    try:
        table = PriceTable.model_validate(document.value)
    except ValidationError as error:
        problems += [_describe({**details}, document) for details in error.errors()]
    if problems:
        raise SpecError(source_name, problems)
    return table.dated()


def _find_unknown_providers(document: Document) -> Iterator[Problem]:
    models = document.value.get("models")
    known = sorted(
        name
        for name, entry in REGISTRY.items()
        if entry.billed_as is None and not entry.is_recorded
    )
    known += PRESETS
    for name in models if isinstance(models, dict) else ():
        if name in known:
            continue
        hint = nearest(str(name), known)
        billed_as = facts_of(str(name)).billed_as
        is_known_here = billed_as is not None or str(name) in REGISTRY or "did you mean" in hint
        if not is_known_here and re.fullmatch(SERVER_PATTERN, str(name)):
            # A server that a spec, or a file of servers, may define.
            continue
        if billed_as is not None:
            hint = f"; it uses the prices of {billed_as!r}"
        place = document.place(("models", name), key=True)
        yield Problem(f"models.{name}: not a provider that has prices{hint}", *place)


def _describe(item: dict[str, Any], document: Document) -> Problem:
    path = item["loc"]
    where = dotted(path)
    if item["type"] == "extra_forbidden":
        known = PriceTable.model_fields if len(path) == 1 else Price.model_fields
        message = f"{where}: unknown key{nearest(str(path[-1]), known)}"
        return Problem(message, *document.place(path, key=True))
    if item["type"] == "missing":
        return Problem(f"{where}: this key is required", *document.place(path[:-1]))
    wanted = _WANTED.get(item["type"])
    said = f"must be {wanted}; got {shown_value(item['input'])}" if wanted else explain(item)
    return Problem(f"{where}: {said}", *document.place(path))
