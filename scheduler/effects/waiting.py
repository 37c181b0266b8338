"""Tries work again for some seconds while the machine has no free descriptors, processes or memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from orc.ledger.scarcity import may_pass

PAUSES_S = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""The waits between tries."""

_Value = TypeVar("_Value")


async def retry_while_scarce(work: Callable[[], Awaitable[_Value]]) -> _Value:
    """The value of `work`, which must do nothing when it fails. Raises what its last try raises."""
    for pause_s in PAUSES_S:
        try:
            return await work()
        except (OSError, RuntimeError, MemoryError) as error:
            if not may_pass(error):
                raise
        await trio.sleep(pause_s)
    return await work()
