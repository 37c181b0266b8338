"""Settings for the number of examples of a property: few by default, many with `torture`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings

_COMMON: dict[str, Any] = {
    # No deadline: an example opens a database and runs a job, so its duration varies.
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
    "print_blob": True,
}


def bounded(examples: int) -> Callable[[Any], Any]:
    """Settings for `make test` with this number of examples."""
    return settings(max_examples=examples, **_COMMON)


long: Callable[[Any], Any] = settings(max_examples=1000, **_COMMON)
"""For `make torture`."""
