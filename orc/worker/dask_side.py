"""What `scheduler/drivers/dask.py` calls on workers of dask.distributed, by reference.

The functions of this module are sent by name, so that orc must be installed on the workers and on
the scheduler; a function that is sent by value would be loaded a second time there, with a second
table of running commands. `distributed` is imported by whoever calls: a worker of it.

Only short notices travel by the scheduler's topics, since it keeps their history: who asks, that
something was printed, that something ended. Texts, outcomes, files and secrets are read from the
worker by direct calls, or come by a stream of the driver (`dask_streams.py`).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import socket
import sys
import threading
import time
from importlib import metadata
from typing import Any

import orc.worker
from orc.worker.dask_slots import Slot, Slots
from orc.worker.dask_streams import Stream, Streams
from orc.worker.wire import PROTOCOL

TOPICS = 16
"""How many topics all jobs share: the scheduler never drops a topic, nor its last 1,000 notices."""

OPERATION = "orc_control"
"""The name of `control` among the operations of a worker, after the first call."""

STREAM = "orc_stream"
"""The name of the operation that makes a connection a stream, after the first call."""

_DISTRIBUTION = "orc-ledger"
_NOTICE_KEYS = ("ticket", "run", "host", "protocol", "missing", "offset", "problem")
_BEATS = 4
_slots = Slots()
_streams = Streams()
_STALE_S_MAX = 4.0
"""A coordinator waits for the lease and 5 s, so this must be less than that."""


def topic_of(job_id: str) -> str:
    """The topic for notices on this job's attempts."""
    number = int(hashlib.sha256(job_id.encode()).hexdigest()[:8], 16) % TOPICS
    return f"orc-{number:x}"


def job_of(ticket: str) -> str:
    """The id of the job to which the ticket belongs."""
    return ticket.partition("/")[0]


def perform(payload: bytes) -> None:
    """Perform a copy of an attempt, and then those that are offered: the task of the engine."""
    from distributed import get_worker

    worker = get_worker()
    slot = _slots.add(str(worker.get_current_task()))
    try:
        following: bytes | None = payload
        while following is not None:
            _perform_copy(worker, slot, following)
            following = slot.next()
    finally:
        _slots.remove(slot)


def _perform_copy(worker: Any, slot: Slot, payload: bytes) -> None:
    request = json.loads(payload)
    _Pulse.of(worker).within(float(request.get("lease_s") or 0))
    job_id = job_of(request["ticket"])
    topic = topic_of(job_id)

    def emit(event: dict[str, Any]) -> None:
        streams = _streams.of_job(job_id)
        if not streams:
            worker.log_event(topic, _notice(event))
            return
        message = _stream_message(event)
        if event["event"] == "ended" and worker.status.name == "running" and slot.open():
            message["slot"] = slot.key
        for stream in streams:
            worker.loop.add_callback(stream.send_event, message)

    orc.worker.perform(payload, emit=emit, worker=identity(worker), host=host_name(), task=slot.key)


async def control(request: dict[str, Any], dask_worker: Any = None) -> dict[str, Any]:
    """Answer a request of the driver; in a thread, if it may have to wait for a disk.

    Nothing is raised: the engine would log the arguments of a call that fails, and they may contain
    secrets.
    """
    try:
        _Pulse.of(dask_worker)
        _offer(dask_worker)
        if request["op"] == "hello":
            return _hello(dask_worker)
        if request["op"] == "echo":
            return {"worker": identity(dask_worker)}
        if request.get("worker") not in (None, identity(dask_worker)):
            # Another process took over the address.
            return {"error": "gone", "message": "the worker's process has been replaced"}
        if request["op"] == "many":
            return {"answers": [await _answer(one) for one in request["requests"]]}
        return await _answer(request)
    except Exception as error:
        return _failed(request, error)


def _offer(worker: Any) -> None:
    """Let the driver call `control` without the engine's `run`, which packs and logs each call."""
    if OPERATION in worker.handlers:
        return

    async def answer(request: dict[str, Any]) -> dict[str, Any]:
        return await control(request, worker)

    # The engine gives a connection to a function whose first argument has this name.
    async def serve(comm: Any) -> Any:
        from distributed.core import Status

        stream = Stream(comm, _answer, _answer_at_once)
        _streams.add(stream)
        try:
            await stream.serve()
        finally:
            _streams.remove(stream)
        return Status.dont_reply

    worker.handlers[OPERATION] = answer
    worker.handlers[STREAM] = serve


async def _answer(request: dict[str, Any]) -> dict[str, Any]:
    try:
        answer = _answer_at_once(request)
        if answer is None:
            answer = await asyncio.to_thread(orc.worker.control, request)
        return answer
    except Exception as error:
        return _failed(request, error)


def _answer_at_once(request: dict[str, Any]) -> dict[str, Any] | None:
    """The answer to a request that waits for nothing; None for another one."""
    try:
        if request.get("op") == "offer":
            if _slots.offer(str(request["slot"]), bytes(request["payload"])):
                return {"ok": True}
            return {"error": "closed", "message": "the slot waits for nothing"}
        return orc.worker.control_at_once(request)
    except Exception as error:
        return _failed(request, error)


def _failed(request: dict[str, Any], error: Exception) -> dict[str, Any]:
    # Without its text, which may contain what the request did.
    return {"error": "failed", "message": f"{type(error).__name__} in {request.get('op')}"}


def scheduler_settings(dask_scheduler: Any = None) -> dict[str, Any]:
    """Settings of the scheduler's process that a client cannot change."""
    import dask

    return {
        "allowed_failures": dask.config.get("distributed.scheduler.allowed-failures"),
        "worker_ttl": dask.config.get("distributed.scheduler.worker-ttl"),
        "tasks": len(dask_scheduler.tasks),
        "prefixes": sorted(dask_scheduler.task_prefixes),
        "orc": orc_version(),
    }


def identity(worker: Any) -> str:
    """A name of this worker's process: no later one has it, and it says nothing of an address."""
    return hashlib.sha256(str(worker.id).encode()).hexdigest()[:12]


def host_name() -> str:
    """The name of this machine."""
    return socket.gethostname()


def orc_version() -> str:
    """The version of orc that is installed here; empty if its metadata are not."""
    try:
        return metadata.version(_DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return ""


def _hello(worker: Any) -> dict[str, Any]:
    return {
        "worker": identity(worker),
        "host": host_name(),
        "protocol": PROTOCOL,
        "orc": orc_version(),
        "python": ".".join(map(str, sys.version_info[:3])),
    }


def _notice(event: dict[str, Any]) -> dict[str, Any]:
    """What may travel by a topic: no text that a command printed, and no outcome."""
    # The engine puts the worker's address under `worker`.
    notice = {"event": event["event"], "by": event["worker"]}
    notice |= {name: event[name] for name in _NOTICE_KEYS if name in event}
    if "content" in event:
        notice["until"] = event["offset"] + len(base64.b64decode(event["content"]))
    return notice


def _stream_message(event: dict[str, Any]) -> dict[str, Any]:
    """What goes by a stream: a notice, with the outcome if it is small."""
    if event["event"] == "ended":
        names = {name: event[name] for name in ("event", "ticket", "run")}
        return {**names, "by": event["worker"], "outcome": event["outcome"]}
    return _notice(event)


class _Pulse:
    """Whether this process is still a worker of its engine: the answer that the agent's lease needs.

    A retired or closing worker is not one, and neither is one whose scheduler has not answered for
    some seconds. The engine's own heartbeats cannot tell: they have no time-out. A command then
    lives for these seconds and the lease, and the coordinator waits for longer than that.
    """

    _lock = threading.Lock()
    _one: _Pulse | None = None

    def __init__(self, worker: Any) -> None:
        self._worker = worker
        self._answered = time.monotonic()
        self._stale_s = _STALE_S_MAX
        worker.loop.add_callback(self._beat)
        orc.worker.set_alive(self.is_alive)

    @classmethod
    def of(cls, worker: Any) -> _Pulse:
        with cls._lock:
            if cls._one is None or cls._one._worker is not worker:
                cls._one = cls(worker)
            return cls._one

    def within(self, lease_s: float) -> None:
        """Notice the scheduler's silence within a third of this lease; the shortest one counts."""
        if lease_s > 0:
            self._stale_s = min(self._stale_s, lease_s / 3)

    def is_alive(self) -> bool:
        is_fresh = time.monotonic() - self._answered < self._stale_s
        return is_fresh and self._worker.status.name in ("running", "paused")

    async def _beat(self) -> None:
        while self._worker.status.name not in ("closed", "failed"):
            asked = time.monotonic()
            try:
                await asyncio.wait_for(self._worker.scheduler.echo(data=1), self._stale_s)
                self._answered = asked
            except (OSError, TimeoutError):
                pass
            await asyncio.sleep(self._stale_s / _BEATS)
