"""Does work in proportion to data beside the event loop, so that other steps and signals go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import trio

LARGE_BYTES = 1024 * 1024
"""Work on less data takes no longer than the change to a thread and back is worth."""

_Value = TypeVar("_Value")


async def aside(work: Callable[[], _Value], size_bytes: int) -> _Value:
    """The value of a function that changes nothing and reads this many bytes.

    When the caller is cancelled, nobody waits for the function.
    """
    if size_bytes < LARGE_BYTES:
        return work()
    return await trio.to_thread.run_sync(work, abandon_on_cancel=True)
