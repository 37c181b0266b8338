"""The filters and tests that are orc's own, by their names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orc.scheduler.core.language import list_filters, text_filters
from orc.scheduler.core.language.list_filters import Apply, Get, ListFilters
from orc.scheduler.core.language.number_filters import NumberFilters
from orc.scheduler.core.language.values import to_text

OWN_TESTS: dict[str, Callable[..., bool]] = {
    "contains": text_filters.contains,
    "startswith": text_filters.starts_with,
    "endswith": text_filters.ends_with,
    "matches": text_filters.matches,
}


def own_filters(apply_filter: Apply, apply_test: Apply, get: Get) -> dict[str, Callable[..., Any]]:
    """The filters; some apply other filters and tests to the items of a list."""
    lists = ListFilters(apply_filter=apply_filter, apply_test=apply_test, get=get)
    numbers = NumberFilters(lists)
    return {
        **OWN_TESTS,
        "bool": text_filters.to_bool,
        "map": lists.map,
        "select": lists.select,
        "reject": lists.reject,
        "selectattr": lists.selectattr,
        "rejectattr": lists.rejectattr,
        "groupby": lists.groupby,
        "unique": lists.unique,
        "join": lists.join,
        "zip": list_filters.zip_lists,
        "batch": list_filters.batch,
        "range": list_filters.number_range,
        "shuffle": list_filters.shuffle,
        "sample": list_filters.sample,
        "mean": numbers.mean,
        "median": numbers.median,
        "stdev": numbers.stdev,
        "quantile": numbers.quantile,
        "replace": text_filters.replace,
        "split": text_filters.split,
        "lines": text_filters.lines,
        "slug": text_filters.slug,
        "string": to_text,
        "fromjson": text_filters.from_json,
        "fromcsv": text_filters.from_csv,
        "tocsv": text_filters.to_csv,
        "tomarkdown": text_filters.to_markdown,
        "similarity": text_filters.similarity,
        "date": text_filters.date,
    }
