"""Values of inputs as Python programs give them: paths, and tables of pandas or polars."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any


def plain_inputs(given: Mapping[str, Any]) -> dict[str, Any]:
    """The values as those of JSON: a path is a text, and a data frame a list of rows.

    Data frames are known by their method, so that neither package is needed: `to_dicts` of polars,
    `to_dict` of pandas. A missing value (NaN) is null.
    """
    return {name: _plain(value) for name, value in given.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, list | tuple):
        return [os.fspath(item) if isinstance(item, os.PathLike) else item for item in value]
    if callable(getattr(value, "to_dicts", None)):
        return [_row(row) for row in value.to_dicts()]
    if hasattr(value, "columns") and callable(getattr(value, "to_dict", None)):
        return [_row(row) for row in value.to_dict("records")]
    return value


def _row(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): _cell(value) for name, value in row.items()}


def _cell(value: Any) -> Any:
    # A number of numpy is none of JSON.
    item = value.item() if hasattr(value, "item") and hasattr(value, "dtype") else value
    if item is None or (isinstance(item, float) and math.isnan(item)):
        return None
    return item.isoformat() if hasattr(item, "isoformat") else item
