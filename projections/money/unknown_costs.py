"""Which calls to models cost something, and of which the cost is unknown. Imports nothing.

The rows of calls are declared with it, which every command reads at its start.
"""

from __future__ import annotations


def has_cost(status: object, input_tokens: object) -> bool:
    """Whether a call of the table `llm_calls` costs something: it was answered, or used tokens.

    What an answered call used may be unknown, and so is its cost then.
    """
    return status == "answered" or input_tokens is not None


def sql_unpriced(calls: str) -> str:
    """Whether the cost of a call of the table `llm_calls`, by this name in a query, is unknown."""
    costs = f"({calls}.status = 'answered' OR {calls}.input_tokens IS NOT NULL)"
    return f"({costs} AND {calls}.cost_nano_usd IS NULL)"
