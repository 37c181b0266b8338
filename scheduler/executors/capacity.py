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
    if any(_fits(needs, amounts) for amounts in capacity.values()):
        return None
    workers = count_text(len(capacity), "worker")
    for name, amount in needs.items():
        if not any(amounts.get(name, 0.0) >= amount for amounts in capacity.values()):
            has = "has" if len(capacity) == 1 else "have"
            return f"0 of {workers} {has} {_wanted(name, amount)}"
    wanted = ", ".join(_wanted(name, amount) for name, amount in needs.items())
    return f"no single one of {workers} has {wanted} together"


def _fits(needs: Mapping[str, float], has: Mapping[str, float]) -> bool:
    return all(has.get(name, 0.0) >= amount for name, amount in needs.items())


def _wanted(name: str, amount: float) -> str:
    return name if amount == LABEL_AMOUNT else f"{name}: {amount:g}"
