"""Costs as people read them: what was spent, with what is not known of it."""

from __future__ import annotations

from math import floor, log10

UNKNOWN = "unknown"


def cost_text(known_usd: float | None, calls_unpriced: int, *, brief: bool = False) -> str:
    """What was spent, so that a part of it never looks like the whole.

    `known_usd` is the sum of the known costs, `calls_unpriced` how many calls are
    not in it. The brief form does not say how many those are.
    """
    if not calls_unpriced:
        return usd_text(known_usd or 0.0)
    if not known_usd:
        return UNKNOWN
    calls = "1 call with an" if calls_unpriced == 1 else f"{calls_unpriced} calls with"
    prices = "price" if calls_unpriced == 1 else "prices"
    missing = "" if brief else f" ({calls} unknown {prices})"
    return f"at least {usd_text(known_usd)}{missing}"


def usd_text(amount: float) -> str:
    """Four decimals, and as many more as two digits of a smaller amount need."""
    decimals = 4 if amount <= 0 else max(4, 1 - floor(log10(amount)))
    return f"${amount:.{decimals}f}"
