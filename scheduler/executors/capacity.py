"""Whether any worker of an engine can ever perform a step, by what it asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from orc.ledger.wording import count_text
from orc.scheduler.drivers.rooms import LABEL_AMOUNT, needs_of
from orc.scheduler.executors.contract import Ticket, Work


class Misfits:
    """Says once of each step that no worker of the executor can ever perform it, and why."""

    def __init__(self, name: str, on_notice: Callable[[str], None]) -> None:
        self._name = name
        self._on_notice = on_notice
        self._capacity: Mapping[str, Mapping[str, float]] | None = None
        self._open: dict[Ticket, Mapping[str, float]] = {}
        self._said: set[str] = set()

    def set_capacity(self, capacity: Mapping[str, Mapping[str, float]]) -> None:
        """The workers have changed."""
        self._capacity = capacity
        for ticket, needs in self._open.items():
            self._look(ticket, needs)

    @contextmanager
    def watched(self, ticket: Ticket, work: Work) -> Iterator[None]:
        """Look at the attempt as long as it is open."""
        needs = self._open[ticket] = needs_of(work.resources, work.labels)
        try:
            self._look(ticket, needs)
            yield
        finally:
            del self._open[ticket]

    def missing(self, resources: Mapping[str, float], labels: tuple[str, ...]) -> str:
        """Why no worker can ever perform such a step; empty if one can, or nothing is known."""
        if self._capacity is None:
            return ""
        return find_misfit(needs_of(resources, labels), self._capacity) or ""

    def _look(self, ticket: Ticket, needs: Mapping[str, float]) -> None:
        if self._capacity is None:
            return
        why = find_misfit(needs, self._capacity)
        # Without workers, each step would say the same.
        topic = ticket.step if self._capacity else ""
        if why is None or topic in self._said:
            return
        self._said.add(topic)
        command = f"`orc cluster worker {self._name}`"
        if topic:
            self._on_notice(
                f"step {ticket.step!r} stays queued on the executor {self._name!r}: {why}; start a "
                f"worker that has it ({command}), or change the step"
            )
        else:
            self._on_notice(f"the executor {self._name!r} has no workers; start one: {command}")


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
