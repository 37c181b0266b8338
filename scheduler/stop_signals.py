"""The signals by which a person or a system asks a runner to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@asynccontextmanager
async def open_stop_signals() -> AsyncIterator[AsyncIterator[int]]:
    """The stopping signals, where this thread may receive them; else none, for ever."""
    if threading.current_thread() is not threading.main_thread():
        yield _never()
        return
    with trio.open_signal_receiver(*STOPPING) as received:
        yield received


async def _never() -> AsyncIterator[int]:
    await trio.sleep_forever()
    yield 0
