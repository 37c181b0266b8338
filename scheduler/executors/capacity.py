"""Whether any worker of an engine can ever perform a step, by what it asks for."""

from __future__ import annotations

from collections.abc import Mapping

from orc.ledger.wording import count_text
from orc.scheduler.drivers.rooms import LABEL_AMOUNT


def find_misfit(
    needs: Mapping[str, float], capacity: Mapping[str, Mapping[str, float]]
) -> str | None:
    """Why no worker can ever perform a step with these needs: a sentence; None if one can."""
    if not capacity:
        return "there are no workers"
    if any(_fits(needs, has) for has in capacity.values()):
        return None
    workers = count_text(len(capacity), "worker")
    for name, amount in needs.items():
        if not any(has.get(name, 0.0) >= amount for has in capacity.values()):
            wanted = name if amount == LABEL_AMOUNT else f"{name}: {amount:g}"
            return f"0 of {workers} {'has' if len(capacity) == 1 else 'have'} {wanted}"
    wanted = ", ".join(f"{name}: {amount:g}" for name, amount in needs.items())
    return f"no single one of {workers} has {wanted} together"


def _fits(needs: Mapping[str, float], has: Mapping[str, float]) -> bool:
    return all(has.get(name, 0.0) >= amount for name, amount in needs.items())
