"""Workers of dask.distributed that do not answer: what they hold and have not taken goes elsewhere.

A worker that is frozen or cut off keeps its connection for a while, and its engine gives it tasks
that it never performs.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from orc.scheduler.drivers.dask_cluster import Cluster
from orc.scheduler.drivers.dask_copies import HeldCopy


class Avoided:
    """The workers that did not answer when the last census was taken."""

    def __init__(self) -> None:
        self.workers: frozenset[str] = frozenset()

    async def look(self, cluster: Cluster, copies: Iterable[HeldCopy]) -> list[HeldCopy]:
        """Learn which workers are silent; the copies that one of them, silent from now on, holds."""
        fresh, self.workers = cluster.silent - self.workers, frozenset(cluster.silent)
        held: set[str] = set()
        for worker in fresh:
            with suppress(OSError, TimeoutError):
                held |= await cluster.held_by(worker)
        return [copy for copy in copies if copy.key in held and not copy.worker]


def stranded(cluster: Cluster, copies: Iterable[HeldCopy]) -> list[HeldCopy]:
    """The copies that the engine may give to none of its workers, since those meant have left."""
    present = {*cluster.workers.values()}
    return [
        copy
        for copy in copies
        if copy.takers is not None and not copy.worker and present.isdisjoint(copy.takers)
    ]
