"""Ends what an engine runs of a job that nobody runs any more."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import trio

from orc.scheduler.executors.contract import Engine, Placement, Superseded, Ticket
from orc.scheduler.executors.errors import EngineProblem
from orc.scheduler.executors.lease_wait import MARGIN_S
from orc.scheduler.executors.orders import Orders

_LOOK_AGAIN_S = 0.2


async def end_commands(
    engine: Engine,
    placed: Sequence[tuple[Ticket, Placement]],
    *,
    job_id: str,
    epoch: int,
    grace_s: float,
) -> None:
    """End the commands of placed attempts, and refuse copies of the job that ask.

    It waits until a census shows that nothing of the job runs, or until the lease is over. `epoch` is
    that of the job's last owner; what a later one runs, such as that of a copied ledger, goes on.
    """
    orders = Orders(engine, epoch)
    grace_end = trio.current_time() + grace_s
    with suppress(Superseded):
        with trio.move_on_after(grace_s + engine.lease_s + 2 * MARGIN_S):
            while True:
                left_s = max(0.0, grace_end - trio.current_time())
                for ticket, place in placed:
                    await orders.cancel(ticket, place.run, place.worker, grace_s=left_s)
                if await _is_quiet(engine, orders, job_id):
                    break
                await trio.sleep(_LOOK_AGAIN_S)
        with trio.move_on_after(MARGIN_S):
            for ticket, place in placed:
                await orders.forget(ticket, place.run, place.worker)


async def _is_quiet(engine: Engine, orders: Orders, job_id: str) -> bool:
    census = None
    with suppress(EngineProblem):
        census = await engine.count(job_id)
    if census is None:
        return False
    for copy in census.copies:
        ticket = Ticket.parse(copy.ticket)
        if copy.state == "asking" and ticket is not None:
            await orders.refuse(ticket, copy.run, copy.worker)
    return not census.silent and all(copy.state != "running" for copy in census.copies)
