"""The ways to workers of dask.distributed: a connection of our own, or calls that the scheduler relays.

A call of our own takes the time of two processes in place of three, and a stream even less. Both are
not possible everywhere: a firewall may let only the scheduler through.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from distributed import Client
from distributed.core import clean_exception
from distributed.protocol.pickle import dumps

from orc.scheduler.drivers.addresses import is_safe
from orc.scheduler.drivers.dask_streams import Stream, Take
from orc.worker import dask_side

_TRY_S = 1.0
"""How long the first call to a worker may take before the scheduler is asked to relay it."""

_CONTROL = dumps(dask_side.control)


class Links:
    """The ways to the workers of one cluster, by address."""

    def __init__(
        self, client: Client, take: Take, *, open_stream: Callable[..., Any] = Stream.open
    ) -> None:
        self._client = client
        self._take = take
        self._make_stream = open_stream
        self._direct: set[str] = set()
        self._streams: dict[str, Stream] = {}
        self._jobs: set[str] = set()

    async def greet(self, address: str, request: Mapping[str, Any]) -> Any:
        """The first call to a worker, which finds out how to reach it. See `call`."""
        self._direct.discard(address)
        # Without TLS, only this machine may hear what is said, whatever the scheduler's address is.
        if is_safe(address, is_insecure=False):
            try:
                answer = await asyncio.wait_for(self._call_directly(address, request), _TRY_S)
            except (OSError, TimeoutError):
                pass
            else:
                self._direct.add(address)
                await self._open_stream(address)
                return answer
        return await self._call_by_scheduler(address, request)

    async def call(self, address: str, request: Mapping[str, Any]) -> Any:
        """What `dask_side.control` returns on that worker, or an exception that came in its place.

        A call may arrive twice. Raises OSError if the scheduler cannot be reached.
        """
        if address in self._direct:
            try:
                return await self._call_directly(address, request)
            except OSError:
                # The scheduler knows whether the worker is still there.
                self._direct.discard(address)
        return await self._call_by_scheduler(address, request)

    def drop(self, address: str) -> None:
        """Forget a worker that has left."""
        self._direct.discard(address)
        stream = self._streams.pop(address, None)
        if stream is not None:
            stream.close()

    def stream(self, address: str) -> Stream | None:
        """The stream to a worker; None if there is none."""
        stream = self._streams.get(address)
        return stream if stream is not None and stream.is_open else None

    def listen(self, job_id: str) -> None:
        """Hear by streams of the attempts of a job."""
        if job_id not in self._jobs:
            self._jobs.add(job_id)
            for stream in self._streams.values():
                stream.listen([job_id])

    async def empty(self) -> None:
        """Send what was posted."""
        await asyncio.gather(*(stream.empty() for stream in self._streams.values()))

    def close(self) -> None:
        """End the streams."""
        for stream in self._streams.values():
            stream.close()
        self._streams.clear()

    async def _open_stream(self, address: str) -> None:
        try:
            async with asyncio.timeout(_TRY_S):
                stream = await self._make_stream(self._client, address, self._jobs, self._take)
        except (OSError, TimeoutError):
            # Calls do, too.
            return
        before, self._streams[address] = self._streams.get(address), stream
        if before is not None:
            before.close()

    async def _call_directly(self, address: str, request: Mapping[str, Any]) -> Any:
        worker = self._client.rpc(address)
        try:
            if address in self._direct:
                answer = await getattr(worker, dask_side.OPERATION)(request=dict(request))
                # A process that took over the address has no such operation yet.
                if answer is not None:
                    return answer
            reply = await worker.run(
                function=_CONTROL, args=dumps((dict(request),)), kwargs={}, wait=True
            )
        except OSError:
            raise
        except Exception as error:
            return error
        if reply["status"] == "OK":
            return reply["result"]
        return clean_exception(**reply)[1]

    async def _call_by_scheduler(self, address: str, request: Mapping[str, Any]) -> Any:
        answers = await self._client.run(
            dask_side.control, dict(request), workers=[address], on_error="return"
        )
        return answers.get(address)
