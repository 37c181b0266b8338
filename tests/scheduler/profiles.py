"""How many examples a property gets: few in every run, many under the marker `torture`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings

_COMMON: dict[str, Any] = {
    # An example opens a database and runs a job; its time says nothing of the property.
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
    "print_blob": True,
}


def bounded(examples: int) -> Callable[[Any], Any]:
    """For `make test`: that many examples."""
    return settings(max_examples=examples, **_COMMON)


long: Callable[[Any], Any] = settings(max_examples=1000, **_COMMON)
"""For `make torture`."""
