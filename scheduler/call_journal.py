"""Records the calls of attempts: each request waits for its budgets and its rate."""

from __future__ import annotations

import trio

from orc.ledger.events import LlmFailed, LlmRequested, LlmResponded
from orc.scheduler.budget_gate import BudgetGate
from orc.scheduler.core.commands import CallEvent, RecordCall
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.rates import Rates
from orc.scheduler.turn import Message


class CallJournal:
    """The journal of one job's calls; see `effects/contract.py`. `send` leads to the runner."""

    def __init__(
        self,
        state: JobState,
        send: trio.MemorySendChannel[Message],
        *,
        budgets: BudgetGate,
        rates: Rates,
    ) -> None:
        self._state = state
        self._send = send
        self._budgets = budgets
        self._rates = rates

    async def record(self, event: CallEvent, *blobs: bytes | None) -> None:
        """See `Journal.record`. A request waits here until its budgets and rate have room.

        Raises OverBudget.
        """
        worst: int | None = None
        if isinstance(event, LlmResponded | LlmFailed):
            worst = self._budgets.worst_tokens(event.step)
            event = self._budgets.charge(event)
        committed = trio.Event()
        kept = tuple(blob for blob in blobs if blob is not None)
        try:
            if isinstance(event, LlmRequested):
                event = await self._budgets.admit(event)
                await self._rates.admit(self._state.provider_of(event.step), event.step)
            await self._send.send(Message(RecordCall(event), kept, committed=committed))
            await committed.wait()
        finally:
            self._budgets.release(event.step)
        if isinstance(event, LlmResponded | LlmFailed):
            self._rates.settle(event.step, _tokens_of(event, worst))


def _tokens_of(event: LlmResponded | LlmFailed, worst: int | None) -> int | None:
    """The tokens of a call for the rate: the worst case if they are unknown.

    None for a call that the server refused.
    """
    used = event.usage
    tokens = None if used is None else used.input_tokens + used.output_tokens
    if isinstance(event, LlmResponded):
        return event.charged_tokens if tokens is None else tokens
    if not event.is_in_doubt:
        return tokens
    return max(tokens or 0, worst or 0) or None
