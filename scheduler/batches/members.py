"""Calls on their way through a batch: those that gather for one, and those that wait for results."""

from __future__ import annotations

from collections.abc import Iterator

import trio
from msgspec import Struct, field

from orc.ledger.events import LlmRequested
from orc.providers import ProviderError, Reply, Request
from orc.providers.batches.contract import BatchApi
from orc.scheduler.budget_gate import OverBudget
from orc.scheduler.effects.contract import BatchedResult, BatchLost

REQUESTS_MAX = 1000
"""The most requests of one batch. Servers take more; a batch of this size can still be held in
memory, and one commit records it."""
BYTES_MAX = 64 * 1000 * 1000
"""The most bytes of one batch."""

Outcome = Reply | ProviderError | BatchLost | OverBudget


class Member(Struct, eq=False):
    """A call in a batch, or on its way into one. `entry` is its request as the server gets it.

    One that an earlier owner of the job submitted has neither event nor entry.
    """

    step: str
    custom_id: str
    request: Request
    event: LlmRequested | None = None
    blob: bytes | None = None
    entry: bytes = b""
    joined_at: float = field(default_factory=trio.current_time)
    outcome: Outcome | None = None
    batch: int = 0
    submitted_at: float = 0.0
    done: trio.Event = field(default_factory=trio.Event)

    def end(self, outcome: Outcome) -> None:
        """Let the attempt go on with this outcome; the first counts."""
        if self.outcome is None:
            self.outcome = outcome
            self.done.set()

    def result(self, now: float) -> BatchedResult:
        """What became of the call. Raises BatchLost, OverBudget."""
        outcome = self.outcome
        assert outcome is not None
        if isinstance(outcome, BatchLost | OverBudget):
            raise outcome
        duration_s = round(max(0.0, now - self.submitted_at), 6)
        return BatchedResult(self.batch, duration_s, outcome)


class Gathering(Struct, eq=False):
    """The calls to one model of one server that gather for a batch, by step."""

    api: BatchApi
    members: dict[str, Member] = field(default_factory=dict)

    @property
    def first_at(self) -> float:
        """When the first of them came, on trio's clock."""
        return min(
            (member.joined_at for member in self.members.values()), default=trio.current_time()
        )

    @property
    def is_full(self) -> bool:
        """Whether they fill a batch."""
        limits = self.api.limits
        if len(self.members) >= min(limits.requests_max, REQUESTS_MAX):
            return True
        return self.size_bytes >= min(limits.bytes_max, BYTES_MAX)

    @property
    def size_bytes(self) -> int:
        """The size of their requests, with what a server needs between them."""
        return sum(len(member.entry) + 2 for member in self.members.values())

    def next_batch(self) -> Iterator[Member]:
        """The first of them that fit one batch; at least one."""
        limits = self.api.limits
        left, left_bytes = min(limits.requests_max, REQUESTS_MAX), min(limits.bytes_max, BYTES_MAX)
        for number, member in enumerate(list(self.members.values())):
            left_bytes -= len(member.entry) + 2
            if number and (number >= left or left_bytes < 0):
                return
            yield member
