"""Contents to and from workers of dask.distributed, in pieces: memory does not grow with a file.

A piece is a call to one worker. A result of a task would be kept by the cluster, and a large one costs
twice its size in the process that gets it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orc.scheduler.drivers.dask_cluster import Cluster
from orc.scheduler.drivers.lines import Message, Refused

PIECE_BYTES = 2 << 20
"""The size of a piece. A larger one is not faster, and takes its size in memory several times."""
READS_MAX = 3
"""How many pieces of a file are on their way: the worker reads one while another is written here."""

_PIECE_S = 60.0
_TRIES = 3
_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


async def put_content(cluster: Cluster, request: Message) -> Message:
    """Send a file's content to the cache of one worker."""
    size, sha256 = int(request["size_bytes"]), request["sha256"]
    offset = 0
    with open(request["path"], "rb") as file:  # noqa: ASYNC230  # a piece is read in a moment
        while True:
            data = file.read(PIECE_BYTES)
            piece = {
                "op": "put",
                "sha256": sha256,
                "offset": offset,
                "size": size,
                "data": data,
            }
            answer = await _call_again(cluster, request["worker"], piece)
            offset += len(data)
            if answer.get("complete"):
                return {}
            if not data:
                raise Refused("changed", "the file is shorter than it was")


async def fetch_copy(cluster: Cluster, request: Message, outcome: Any = None) -> Message:
    """Write the files of an ended copy into a folder, by number; the outcome as the worker gives it.

    Number 0 is the log, unless the outcome has it; then come the files, then the artifacts, in the
    outcome's order. Nothing is checked here: orc reads what is written, and trusts neither the worker
    nor this process. `outcome` is what the worker has given already, if it has.
    """
    place = {"ticket": request["ticket"], "run": request["run"]}
    worker, folder = request["worker"], Path(request["folder"])
    if outcome is None:
        reply = await _call_again(cluster, worker, {"op": "outcome", **place})
        outcome = reply["outcome"]
    items = list(_items(outcome))
    # A worker may claim any size.
    if sum(size for _, _, size in items) > shutil.disk_usage(folder).free:
        raise Refused(
            "environment", "the disk has no room for the files of the step; free some space"
        )
    for number, item, size in items:
        await _fetch(cluster, worker, {**place, **item}, size, folder / str(number))
    return {"outcome": outcome}


async def read_log(cluster: Cluster, worker: str, ticket: str, run: str, offset: int) -> bytes:
    """A piece of the log from that offset; empty at its end."""
    request = {"op": "read", "ticket": ticket, "run": run, "place": "log"}
    answer = await cluster.call(worker, {**request, "offset": offset, "length": 1 << 18})
    return bytes(answer["data"])


def must_be_fetched(outcome: Any) -> bool:
    """Whether anything belongs to an outcome that is not in it. It may be no outcome at all."""
    try:
        return any(True for _ in _items(outcome)) or bool(outcome.get("folders"))
    except (AttributeError, KeyError, TypeError, ValueError):
        return True


def _items(outcome: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any], int]]:
    if not isinstance(outcome, dict) or outcome.get("lost") is not None:
        return
    if outcome.get("log") is None:
        yield 0, {"place": "log", "path": "log"}, int(outcome["log_bytes"])
    files = [("work", file) for file in outcome["files"]]
    files += [("artifacts", file) for file in outcome["artifacts"]]
    for number, (place, file) in enumerate(files, 1):
        yield number, {"place": place, "path": file["path"]}, int(file["size_bytes"])


async def _fetch(
    cluster: Cluster, worker: str, item: dict[str, Any], size: int, target: Path
) -> None:
    offsets = iter(range(0, size, PIECE_BYTES))
    fd = os.open(target, _NEW, 0o600)
    try:
        async with asyncio.TaskGroup() as readers:
            for _ in range(READS_MAX):
                readers.create_task(_read_pieces(cluster, worker, item, size, fd, offsets))
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
    finally:
        os.close(fd)


async def _read_pieces(
    cluster: Cluster,
    worker: str,
    item: dict[str, Any],
    size: int,
    fd: int,
    offsets: Iterator[int],
) -> None:
    """Fetch pieces that no other reader has taken; none any more after one that is not there."""
    for start in offsets:
        offset, end = start, min(start + PIECE_BYTES, size)
        while offset < end:
            request = {"op": "read", **item, "offset": offset, "length": end - offset}
            answer = await _call_again(cluster, worker, request)
            data = bytes(answer["data"])[: end - offset]
            if not data:
                return
            await asyncio.to_thread(_write_all, fd, data, offset)
            offset += len(data)


async def _call_again(cluster: Cluster, worker: str, request: Message) -> Message:
    for tries_left in reversed(range(_TRIES)):
        try:
            return await cluster.call(worker, request, timeout_s=_PIECE_S)
        except Refused as refused:
            if refused.kind not in ("timeout", "unreachable") or not tries_left:
                raise
            await asyncio.sleep(0.2)
    raise AssertionError


def _write_all(fd: int, content: bytes, offset: int) -> None:
    view = memoryview(content)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written


async def clean_workers(cluster: Cluster) -> Message:
    """Remove what ended copies left on the workers; what each of them says."""
    done: dict[str, Any] = {}
    for worker in list(cluster.workers):
        try:
            done[worker] = await cluster.call(worker, {"op": "clean"})
        except Refused as refused:
            done[worker] = {"error": refused.kind, "message": str(refused)}
    return {"cleaned": done}
