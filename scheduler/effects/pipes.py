"""Reads what commands print, until they close their pipes or have ended for a moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio

from orc.scheduler.effects.deadlines import cut_at

DRAIN_S = 1.0
"""How long background processes may keep a pipe open after the command has ended."""
_CHUNK = 64 * 1024


async def read_pipe(
    pipe: trio.abc.ReceiveStream | None, keep: Callable[[bytes], None], closed: trio.Event
) -> None:
    """Give what comes to `keep`, and set `closed` at its end."""
    assert pipe is not None
    while chunk := await pipe.receive_some(_CHUNK):
        keep(bytes(chunk))
    closed.set()


async def are_closed(pipes: Sequence[trio.Event]) -> bool:
    """Whether the pipes of a command that has ended are closed within `DRAIN_S`.

    If orc was away meanwhile, what lies ready in them is read first.
    """
    with cut_at(trio.current_time() + DRAIN_S) as cut:
        for closed in pipes:
            await closed.wait()
    return not cut.is_over
