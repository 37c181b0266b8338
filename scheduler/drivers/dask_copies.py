"""What the driver of dask.distributed knows of a copy, and how it shows what the copy prints."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from distributed import Client, Future

from orc.scheduler.drivers.dask_cluster import Cluster
from orc.scheduler.drivers.dask_files import read_log
from orc.scheduler.drivers.lines import Message, Refused


@dataclass(slots=True)
class HeldCopy:
    """One submission of an attempt: waiting here, or held by the engine."""

    ticket: str
    run: str
    needs: Mapping[str, float]
    payload: bytes | None
    worker: str = ""
    future: Future | None = None
    is_withdrawn: bool = False
    printed: int | None = None
    """How many bytes of the log have been shown; None before the first."""
    printed_until: int = 0
    reader: asyncio.Task[None] | None = None

    @property
    def key(self) -> str:
        """The engine's name of the task: all have one prefix, which the engine never forgets."""
        return f"orc-{hashlib.sha256(f'{self.ticket} {self.run}'.encode()).hexdigest()[:32]}"


def release(client: Client, copy: HeldCopy) -> None:
    """Let the engine drop a task that waits for a worker."""
    for name in ("fire-and-forget", client.id):
        message = {"op": "client-releases-keys", "keys": [copy.key], "client": name}
        client._send_to_scheduler(message)


async def show_log(
    cluster: Cluster, copy: HeldCopy, send: Callable[[Message], Awaitable[None]]
) -> None:
    """Send what was printed since the last time. A notice only says that there is more."""
    try:
        while (copy.printed or 0) < copy.printed_until:
            offset = copy.printed or 0
            content = await read_log(cluster, copy.worker, copy.ticket, copy.run, offset)
            if not content:
                return
            copy.printed = offset + len(content)
            await send(
                {
                    "event": "printed",
                    "ticket": copy.ticket,
                    "run": copy.run,
                    "worker": copy.worker,
                    "offset": offset,
                    "content": base64.b64encode(content).decode(),
                }
            )
    except Refused:
        # The whole log comes with the result.
        return
