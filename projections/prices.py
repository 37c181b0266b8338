"""Money from tokens. Tokens are facts; a cost is derived, and an unknown price stays unknown."""

from __future__ import annotations

LOCAL_PROVIDERS = frozenset({"ollama", "mlx"})
"""Providers that run on the caller's own machine and bill nothing a token."""


def cost_usd(provider: str) -> float | None:
    """The cost of a call in US dollars; none where the price is not known."""
    return 0.0 if provider in LOCAL_PROVIDERS else None
