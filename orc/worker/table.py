"""The copies that one agent knows: each asks, and then runs or is refused, and ends once.

The table is in memory. An agent that is started again knows nothing, and the coordinator sees that
by its `boot`.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from orc.worker.clocks import lease_clock
from orc.worker.lease import Watch
from orc.worker.problems import RequestProblem
from orc.worker.shared_files import SharedFiles
from orc.worker.wire import Assignment, Outcome, read_names

REMEMBERED_MAX = 10_000
"""How many forgotten copies, and how many epochs of jobs, are remembered."""

State = Literal["asking", "running", "ended", "refused"]


class Copy:
    """One copy of an attempt. Its fields are changed under the lock of the table."""

    def __init__(
        self,
        work: Assignment,
        *,
        worker: str,
        host: str,
        emit: Callable[[dict[str, Any]], None],
        watch: Watch,
        task: str = "",
    ) -> None:
        self.work = work
        self.task = task
        self.worker = worker
        self.host = host
        self.state: State = "asking"
        self.reason = ""
        self.epoch: int | None = None
        self.secrets: Mapping[str, str] = {}
        self.outcome: Outcome | None = None
        self.is_stored = False
        self.spool: Path | None = None
        self.shared: SharedFiles | None = None
        self.shared_problem = ""
        self.watch = watch
        self.stop_grace_s: float | None = None
        self.expects_heartbeats = False
        self.is_abandoned = False
        self.began = self.touched = lease_clock()
        self.ended_at: float | None = None
        self.done = threading.Event()
        self._emit = emit
        self._wake: int | None = None
        self._wake_lock = threading.Lock()

    def say(self, event: str, **fields: Any) -> None:
        """Emit an event. It may be lost: the census heals that."""
        names = {"ticket": self.work.ticket, "run": self.work.run, "worker": self.worker}
        # What the engine's part raises must not end a command.
        with suppress(Exception):
            self._emit({"event": event, **names, **fields})

    def wake_by(self, fd: int | None) -> None:
        """The descriptor that tells the thread of this copy that something changed."""
        with self._wake_lock:
            self._wake = fd

    def wake(self) -> None:
        """Let the thread of this copy look at its fields."""
        # The lock keeps the descriptor from being closed, and used for something else, meanwhile.
        with self._wake_lock, suppress(OSError):
            if self._wake is not None:
                os.write(self._wake, b"\n")

    def to_json(self) -> dict[str, Any]:
        """The copy in a census."""
        return {
            "ticket": self.work.ticket,
            "run": self.work.run,
            "worker": self.worker,
            "state": self.state,
            "epoch": self.epoch,
            "task": self.task,
        }


class Table:
    """The copies of one agent, and the highest epoch of each job. `lock` guards all of it."""

    def __init__(self) -> None:
        self.lock = threading.Condition()
        self._copies: dict[tuple[str, str], Copy] = {}
        self._forgotten: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._epochs: OrderedDict[str, int] = OrderedDict()

    def add(self, copy: Copy) -> Copy | None:
        """Take a new copy; the known one if there is one, None if it was forgotten already."""
        key = (copy.work.ticket, copy.work.run)
        with self.lock:
            if key in self._forgotten:
                return None
            return self._copies.setdefault(key, copy)

    def find(self, ticket: str, run: str) -> Copy:
        """A known copy. Raises RequestProblem."""
        with self.lock:
            copy = self._copies.get((ticket, run))
        if copy is None:
            raise RequestProblem("unknown", "this worker does not know that copy")
        return copy

    def of_job(self, job_id: str) -> list[Copy]:
        """The copies of a job; of all jobs for an empty id."""
        with self.lock:
            return [
                copy for copy in self._copies.values() if not job_id or copy.work.job_id == job_id
            ]

    def forget(self, ticket: str, run: str) -> Copy | None:
        """Drop a copy; it can never start here again. None if it is not known."""
        key = (ticket, run)
        with self.lock:
            self._forgotten[key] = None
            self._forgotten.move_to_end(key)
            while len(self._forgotten) > REMEMBERED_MAX:
                self._forgotten.popitem(last=False)
            return self._copies.pop(key, None)

    def check_epoch(self, job_id: str, epoch: object) -> int | None:
        """Remember the highest epoch of a job. Raises RequestProblem for a lower one."""
        if epoch is None:
            return None
        if isinstance(epoch, bool) or not isinstance(epoch, int):
            raise RequestProblem("request", "the epoch of the request is not a number")
        with self.lock:
            highest = max(epoch, self._epochs.get(job_id, epoch))
            self._epochs[job_id] = highest
            self._epochs.move_to_end(job_id)
            while len(self._epochs) > REMEMBERED_MAX:
                self._epochs.popitem(last=False)
        if epoch < highest:
            raise RequestProblem("superseded", "a later process owns this job", epoch=highest)
        return epoch

    def needs_disk(self, request: Mapping[str, Any]) -> bool:
        """Whether the answer to a request may have to wait for a disk."""
        try:
            copy = self.find(*read_names(request))
        except RequestProblem:
            # A copy that is not known has nothing on the disk.
            return request.get("op") not in ("allow", "refuse", "cancel", "outcome", "forget")
        match request.get("op"):
            case "refuse" | "cancel" | "forget":
                return False
            case "allow":
                return bool(copy.work.inputs or copy.work.shipped)
            case "outcome":
                return copy.is_stored
            case _:
                return True

    def refuse(self, copy: Copy, reason: str) -> bool:
        """Refuse a copy that still asks; False if it asks no more."""
        with self.lock:
            if copy.state != "asking":
                return copy.state == "refused"
            self._end(copy, "refused")
            copy.reason = reason
            return True

    def finish(self, copy: Copy, outcome: Outcome) -> None:
        """Record how a copy ended."""
        with self.lock:
            copy.outcome = outcome
            copy.secrets = {}
            self._end(copy, "ended")

    def expired(self) -> list[Copy]:
        """The copies whose outcome nobody fetched within their `keep_s`."""
        now = lease_clock()
        with self.lock:
            return [
                copy
                for copy in self._copies.values()
                if copy.ended_at is not None
                and now >= max(copy.ended_at, copy.touched) + copy.work.keep_s
            ]

    def touch(self, job_id: str, *, by_heartbeat: bool = False) -> None:
        """The coordinator of a job was here: its copies go on.

        A heartbeat also keeps outcomes for longer, and promises further ones.
        """
        now = lease_clock()
        with self.lock:
            for copy in self.of_job(job_id):
                copy.expects_heartbeats |= by_heartbeat
                if by_heartbeat or copy.ended_at is None:
                    copy.touched = now

    def abandoned(self) -> list[Copy]:
        """The running copies whose coordinator sent heartbeats, and was not here for `keep_s`."""
        now = lease_clock()
        with self.lock:
            return [
                copy
                for copy in self._copies.values()
                if copy.state == "running"
                and copy.expects_heartbeats
                and now >= copy.touched + copy.work.keep_s
            ]

    def stop(self, copy: Copy, grace_s: float, *, abandoned: bool = False) -> None:
        """End a running copy; a later call may shorten the grace."""
        with self.lock:
            copy.is_abandoned = abandoned
            if copy.stop_grace_s is None or grace_s < copy.stop_grace_s:
                copy.stop_grace_s = grace_s
            copy.wake()

    def next_expiry_s(self) -> float | None:
        """The seconds until a copy expires; None if none does."""
        now = lease_clock()
        with self.lock:
            left = [
                max(copy.ended_at, copy.touched) + copy.work.keep_s - now
                for copy in self._copies.values()
                if copy.ended_at is not None
            ]
        return max(0.0, min(left)) if left else None

    def needed(self) -> set[str]:
        """The contents that copies need which have not ended."""
        with self.lock:
            return {
                file.sha256
                for copy in self._copies.values()
                if copy.ended_at is None
                for file in (*copy.work.inputs, *copy.work.shipped)
            }

    def _end(self, copy: Copy, state: State) -> None:
        copy.state = state
        copy.work = replace(copy.work, contents={})
        copy.ended_at = lease_clock()
        copy.done.set()
        copy.wake()
        self.lock.notify_all()
