"""A measured figure with its ratio to a yardstick: as a JSON object, and as a line."""

from __future__ import annotations

import statistics
from typing import Any

_QUARTERS_FROM = 5


def figure_of(
    name: str, values: list[float], beside: str, yards: list[float], *, target: str = ""
) -> dict[str, Any]:
    """The medians of the values, of those of the yardstick, and of their ratios.

    The values and those of the yardstick were measured in turns. `middle` is the range of the ratios
    without the lowest and the highest quarter, where there are enough of them.
    """
    ratios = [value / yard for value, yard in zip(values, yards, strict=bool(yards))]
    lower, _, upper = statistics.quantiles(ratios) if len(ratios) >= _QUARTERS_FROM else [0, 0, 0]
    return {
        "name": name,
        "value": statistics.median(values),
        "beside": beside,
        "beside_value": statistics.median(yards) if yards else None,
        "ratio": statistics.median(ratios) if ratios else None,
        "middle": [lower, upper] if upper else None,
        "target": target,
    }


def line_of(figure: dict[str, Any]) -> str:
    """The figure as a line for people."""
    line = f"{figure['name']:<46} {_number(figure['value']):>9}"
    if figure["ratio"] is not None:
        line += (
            f"  = {figure['ratio']:.2f} of {figure['beside']} ({_number(figure['beside_value'])})"
        )
    return line + (f"   target {figure['target']}" if figure["target"] else "")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3f}"
