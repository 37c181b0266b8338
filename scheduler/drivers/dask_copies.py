"""What the driver of dask.distributed knows of a copy, and how it shows what the copy prints."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence

from distributed import Client, Future
from msgspec import Struct

from orc.scheduler.drivers.dask_cluster import Cluster
from orc.scheduler.drivers.dask_files import read_log
from orc.scheduler.drivers.lines import Message, Refused


class HeldCopy(Struct):
    """One submission of an attempt: waiting here, or held by the engine."""

    ticket: str
    run: str
    needs: Mapping[str, float]
    payload: bytes | None
    worker: str = ""
    future: Future | None = None
    takers: Sequence[str] | None = None
    """The addresses of the workers that the engine may give it to; None for each one."""
    is_withdrawn: bool = False
    is_offered: bool = False
    """Whether it goes to a task that has performed another copy."""
    offer: asyncio.Task[None] | None = None
    printed: int | None = None
    """How many bytes of the log have been shown; None before the first."""
    printed_until: int = 0
    reader: asyncio.Task[None] | None = None
    key: str = ""
    """The engine's name of the task that performs it."""
    own_key: str = ""
    """The name of a task of its own: all have one prefix, which the engine never forgets."""

    def __post_init__(self) -> None:
        digest = hashlib.sha256(f"{self.ticket} {self.run}".encode()).hexdigest()
        self.key = self.own_key = f"orc-{digest[:32]}"


def adopt(client: Client, key: str) -> Future:
    """The future of a task that another client submitted, or this one before an outage.

    If there is no such task any more, it stays pending: what the worker says ends it then.
    """
    future = Future(key, client)
    client._send_to_scheduler({"op": "client-desires-keys", "keys": [key], "client": client.id})
    return future


def release(client: Client, key: str) -> None:
    """Let the engine drop a task that waits for a worker."""
    for name in ("fire-and-forget", client.id):
        message = {"op": "client-releases-keys", "keys": [key], "client": name}
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


async def count_copies(
    cluster: Cluster, job: str, workers: Sequence[str], timeout_s: float
) -> tuple[list[Message], list[str]]:
    """The copies of the job's attempts on these workers, and the workers that did not answer."""
    copies: list[Message] = []
    silent: list[str] = []

    async def ask(worker: str) -> None:
        request = {"op": "census", "job_id": job}
        try:
            found = await cluster.call(worker, request, timeout_s=timeout_s)
        except Refused:
            silent.append(worker)
        else:
            copies.extend({**copy, "worker": worker} for copy in found["copies"])

    await asyncio.gather(*(ask(worker) for worker in workers))
    return copies, silent
