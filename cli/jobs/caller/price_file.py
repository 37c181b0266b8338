"""Parses the text of a price table, and finds all its problems."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from orc.projections.money.price import Price
from orc.projections.money.prices import PriceTable
from orc.providers import REGISTRY
from orc.providers.catalogue import facts_of
from orc.providers.servers.presets import PRESETS
from orc.scheduler.core.errors import Problem, SpecError, nearest
from orc.scheduler.core.source.yaml_source import Document, parse_yaml
from orc.scheduler.core.spec.misfits import WANTED, problem_in_file
from orc.scheduler.core.spec.prompt import SERVER_PATTERN

_DATE = dict.fromkeys(("date_type", "value_error"), "a date such as 2026-08-01")


def _parse_day(value: Any) -> Any:
    return dt.date.fromisoformat(value) if isinstance(value, str) else value


Rate = Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]
Day = Annotated[dt.date, BeforeValidator(_parse_day), Field(strict=True)]


class _Mapping(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class _PriceForm(_Mapping):
    """The form of a price; what its keys mean stands at `Price`."""

    input: Rate
    output: Rate
    cached_input: Rate | None = None
    cache_write: Rate | None = None
    input_tokens_max: Annotated[int, Field(gt=0, strict=True)] | None = None
    longer: _PriceForm | None = None
    batch: _PriceForm | None = None
    seen: Day | None = None

    def price(self, day: dt.date | None) -> Price:
        """The price, seen on the day if it does not say when."""
        parts = {
            name: None if part is None else part.price(None)
            for name, part in (("longer", self.longer), ("batch", self.batch))
        }
        return Price(**{**dict(self), **parts, "seen": self.seen or day})


class _TableForm(_Mapping):
    """The form of a table. `date` is the day on which prices without `seen` were seen."""

    date: Day | None = None
    currency: Literal["USD"] = "USD"
    unit: Literal["per million tokens"] = "per million tokens"
    sources: tuple[str, ...] = ()
    models: dict[str, dict[str, _PriceForm]]

    def table(self) -> PriceTable:
        """The prices in it."""
        return PriceTable(
            models={
                provider: {name: form.price(self.date) for name, form in of_provider.items()}
                for provider, of_provider in self.models.items()
            }
        )


def parse_prices(text: str, *, source_name: str) -> PriceTable:
    """The price table in a YAML text. Raises SpecError with every problem."""
    document = parse_yaml(text, source_name=source_name)
    if not isinstance(document.value, dict):
        raise SpecError(
            source_name, [Problem("the table must be a mapping with the key `models`", 1, 1)]
        )
    problems = list(_find_unknown_providers(document))
    try:
        form = _TableForm.model_validate(document.value)
    except ValidationError as error:
        problems += [_describe({**details}, document) for details in error.errors()]
    if problems:
        raise SpecError(source_name, problems)
    return form.table()


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
    known = (_TableForm if len(path) == 1 else _PriceForm).model_fields
    return problem_in_file(item, path, document, known=known, wanted={**WANTED, **_DATE})
