"""The agent: performs copies of attempts in threads of the engine, and answers the coordinator.

Nothing starts before the coordinator allowed exactly this copy. Calls of `control` come in the
engine's own thread: they work on memory or on one piece of a file, and never wait for a command.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Mapping
from typing import Any

from orc.worker.clocks import lease_clock
from orc.worker.confined import read_piece
from orc.worker.content_cache import PIECE_BYTES_MAX, ContentCache, limit_from
from orc.worker.lease import BEAT_S_MAX, BEATS_A_LEASE, Leases
from orc.worker.outcomes import (
    keep_outcome,
    open_shared,
    say_ended,
    store_outcome,
    whole_outcome,
)
from orc.worker.performing import Performance
from orc.worker.problems import RequestProblem, describe_shortage, host_name
from orc.worker.spool import Spools, worker_folder
from orc.worker.table import Copy, Table
from orc.worker.wire import (
    DIGEST,
    PROTOCOL,
    FileItem,
    Outcome,
    check_protocol,
    decode,
    names_of,
    read_count,
    read_names,
    read_payload,
)

ASK_AGAIN_S = 5.0
SILENCE_S = 60.0
"""A copy asks for this long and two leases without an answer; then it frees its slot."""
_IDLE_S = 5.0
_SWEEP_S = 0.2

Emit = Callable[[dict[str, Any]], None]


class Agent:
    """The agent of one process. `environ` has its settings."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        limit_bytes = limit_from(environ.get("ORC_WORKER_CACHE"))
        self.pid = os.getpid()
        self.boot = secrets.token_hex(8)
        self.leases = Leases()
        self._host = host_name()
        self._folder = worker_folder(environ)
        self._table = Table()
        self._spools = Spools(self._folder, self.boot)
        self._cache = ContentCache(
            self._folder / "cache", limit_bytes=limit_bytes, needed=self._table.needed
        )
        self._changed = threading.Event()
        self._beats_at = float("inf")
        self._discarded = threading.Event()
        self._closing = threading.Event()
        # Removing many files takes long: the thread that beats does not do it.
        self._threads = [
            threading.Thread(target=work, name=f"orc-worker-{name}", daemon=True)
            for name, work in (("beat", self._beat), ("sweep", self._sweep))
        ]
        self._clean({})
        for thread in self._threads:
            thread.start()
        self._operations: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "allow": self._allow,
            "refuse": self._refuse,
            "cancel": self._cancel,
            "census": self._census,
            "put": self._put,
            "outcome": self._outcome,
            "read": self._read,
            "forget": self._forget,
            "heartbeat": self._heartbeat,
            "clean": self._clean,
        }

    def perform(
        self, payload: bytes, *, emit: Emit, worker: str, host: str, task: str = ""
    ) -> None:
        """Perform one copy; see `orc.worker.perform`."""
        try:
            work = read_payload(payload)
        except RequestProblem as problem:
            ticket, run = names_of(payload)
            event = {"event": "asked", "ticket": ticket, "run": run, "worker": worker}
            emit(
                {
                    **event,
                    "host": host,
                    "protocol": PROTOCOL,
                    "missing": [],
                    "problem": str(problem),
                }
            )
            return
        watch = self.leases.begin(work.lease_s)
        copy = Copy(work, worker=worker, host=host, emit=emit, watch=watch, task=task)
        open_shared(copy)
        known = self._table.add(copy)
        if known is not copy:
            # The engine gave us a copy twice. It never starts twice.
            self.leases.end(watch)
            if known is not None:
                known.done.wait()
                say_ended(copy, known)
            return
        self._beat_within(work.lease_s / BEATS_A_LEASE)
        outcome = _failed("the agent could not go on")
        try:
            self._wait_for_permission(copy)
            if copy.state == "running":
                outcome = self._run(copy)
        finally:
            self.leases.end(watch)
            if not self._table.refuse(copy, "the agent could not go on"):
                self._table.finish(copy, outcome)
            self._beat_within(work.keep_s)
        say_ended(copy, copy)

    def control_at_once(self, request: Mapping[str, Any]) -> dict[str, Any] | None:
        """See `orc.worker.control_at_once`."""
        return None if self._table.needs_disk(request) else self.control(request)

    def control(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a request of the coordinator; see `orc.worker.control`."""
        try:
            check_protocol(request.get("protocol", PROTOCOL))
            operation = self._operations.get(str(request.get("op")))
            if operation is None:
                raise RequestProblem("request", f"there is no operation {request.get('op')!r:.40}")
            return {"ok": True, "protocol": PROTOCOL, **operation(request)}
        except RequestProblem as problem:
            answer: dict[str, Any] = {"error": problem.code, "message": str(problem)}
            return {"ok": False, "protocol": PROTOCOL, **answer, **problem.more}
        except OSError as error:
            message = describe_shortage(error, self._host)
            return {"ok": False, "protocol": PROTOCOL, "error": "environment", "message": message}

    def close(self) -> None:
        """Refuse what asks, end the reaper and with it all commands, and remove the spools."""
        for copy in self._table.of_job(""):
            self._table.refuse(copy, "the worker ends")
        self._closing.set()
        self._changed.set()
        self._discarded.set()
        for thread in self._threads:
            # The engine's part may hang in the question whether the worker is alive.
            thread.join(_IDLE_S)
        self.leases.close()
        for copy in self._table.of_job(""):
            copy.done.wait()
        self._cache.close()
        self._spools.close()

    def _wait_for_permission(self, copy: Copy) -> None:
        """Ask until the copy is allowed or refused, or its coordinator has been silent for too long.

        A coordinator that comes later learns that from the census, and submits the attempt again.
        """
        work = copy.work
        step_s = min(ASK_AGAIN_S, work.lease_s / 2)
        silence_s = SILENCE_S + 2 * work.lease_s
        asked_at = float("-inf")
        while copy.state == "asking":
            if self.leases.is_over(copy.watch):
                # The coordinator may have given this copy up: an old permission must not start it.
                self._table.refuse(copy, "the worker stood still for longer than its lease")
            elif lease_clock() >= copy.touched + silence_s:
                self._table.refuse(copy, "no coordinator has answered for too long")
            elif lease_clock() >= copy.began + work.keep_s:
                self._table.refuse(copy, "nobody allowed this copy for too long")
            elif lease_clock() >= asked_at + step_s:
                asked_at = lease_clock()
                copy.say("asked", host=copy.host, protocol=PROTOCOL, missing=self._missing(copy))
            with self._table.lock:
                self._table.lock.wait_for(lambda: copy.state != "asking", timeout=step_s / 2)

    def _run(self, copy: Copy) -> Outcome:
        began = lease_clock()
        if copy.shared_problem:
            return _failed(f"{copy.host}: {copy.shared_problem}")
        try:
            copy.spool = self._spools.create(copy.work.run)
        except OSError as error:
            return _failed(describe_shortage(error, copy.host))
        performance = Performance(
            copy,
            copy.spool,
            leases=self.leases,
            fill=lambda file, fd: self._fill(copy, file, fd),
            locks=self._folder,
        )
        outcome = performance.run()
        outcome.queued_s = round(began - copy.began, 6)
        keep_outcome(copy, copy.spool, outcome)
        return store_outcome(copy, copy.spool, outcome)

    def _fill(self, copy: Copy, file: FileItem, fd: int) -> bool:
        content = copy.work.contents.get(file.sha256)
        if content is None:
            job, shared = copy.work.job_id, copy.shared
            if shared is not None and shared.copy_to(job, file.sha256, fd):
                return True
            return self._cache.copy_to(file.sha256, fd)
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view) :]
        return True

    def _missing(self, copy: Copy) -> list[str]:
        """The digests of inputs that are neither in the cache nor in the payload."""
        files = (*copy.work.inputs, *copy.work.shipped)
        wanted = {file.sha256 for file in files} - copy.work.contents.keys()
        if copy.shared is not None:
            job, shared = copy.work.job_id, copy.shared
            wanted = {sha256 for sha256 in wanted if not shared.has(job, sha256)}
        return self._cache.missing(wanted)

    def _allow(self, request: Mapping[str, Any]) -> dict[str, Any]:
        copy = self._find(request)
        epoch = self._table.check_epoch(copy.work.job_id, request.get("epoch"))
        if epoch is None:
            raise RequestProblem("request", "a permission needs an epoch")
        values = request.get("secrets") or {}
        if not isinstance(values, dict):
            raise RequestProblem("request", "the secrets of the request are not valid")
        absent = [name for name in copy.work.secrets if not isinstance(values.get(name), str)]
        if absent and copy.state == "asking":
            raise RequestProblem("secrets", f"the values of {', '.join(absent)} are missing")
        missing = self._missing(copy) if copy.state == "asking" else []
        if missing:
            raise RequestProblem("missing", "contents of inputs are missing", missing=missing)
        if copy.state == "asking" and self.leases.is_over(copy.watch):
            self._table.refuse(copy, "the worker stood still for longer than its lease")
        with self._table.lock:
            if copy.state == "asking":
                copy.epoch = epoch
                copy.secrets = {name: values[name] for name in copy.work.secrets}
                copy.state = "running"
                self._table.lock.notify_all()
            if copy.state == "refused":
                raise RequestProblem("refused", copy.reason)
            copy.epoch = epoch
            return {"state": copy.state}

    def _refuse(self, request: Mapping[str, Any]) -> dict[str, Any]:
        copy = self._find(request)
        self._table.check_epoch(copy.work.job_id, request.get("epoch"))
        if not self._table.refuse(copy, "the coordinator refused this copy"):
            raise RequestProblem(copy.state, "the copy does not ask any more")
        return {"state": copy.state}

    def _cancel(self, request: Mapping[str, Any]) -> dict[str, Any]:
        copy = self._find(request)
        self._table.check_epoch(copy.work.job_id, request.get("epoch"))
        grace_s = request.get("grace_s", copy.work.grace_s)
        if isinstance(grace_s, bool) or not isinstance(grace_s, int | float) or not grace_s >= 0:
            raise RequestProblem("request", "the grace of the request is not a number")
        if self._table.refuse(copy, "the attempt was cancelled"):
            return {"state": copy.state}
        self._table.stop(copy, grace_s)
        return {"state": copy.state}

    def _census(self, request: Mapping[str, Any]) -> dict[str, Any]:
        job_id = str(request.get("job_id") or "")
        copies = self._table.of_job(job_id)
        self._table.touch(job_id)
        return {
            "copies": [copy.to_json() for copy in copies],
            "host": self._host,
            "pid": self.pid,
            "boot": self.boot,
        }

    def _put(self, request: Mapping[str, Any]) -> dict[str, Any]:
        sha256 = request.get("sha256")
        if not isinstance(sha256, str) or not DIGEST.fullmatch(sha256):
            raise RequestProblem("request", "the digest of the request is not valid")
        return self._cache.put(
            sha256,
            offset=read_count(request, "offset"),
            size=read_count(request, "size"),
            data=decode(request.get("data")),
        )

    def _outcome(self, request: Mapping[str, Any]) -> dict[str, Any]:
        copy = self._find(request)
        return {"state": copy.state, "outcome": whole_outcome(copy)}

    def _read(self, request: Mapping[str, Any]) -> dict[str, Any]:
        copy = self._find(request)
        place, path = request.get("place"), request.get("path")
        if copy.spool is None:
            raise RequestProblem(copy.state, "the copy has no files")
        if place == "log":
            root, path = copy.spool, "log"
        elif place in ("work", "artifacts"):
            outcome = copy.outcome or Outcome()
            files = outcome.files if place == "work" else outcome.artifacts
            if path not in [file.path for file in files]:
                raise RequestProblem("path", "the copy has captured no such file")
            root = copy.spool / place
        else:
            raise RequestProblem("request", "there is no such place")
        length = min(read_count(request, "length"), PIECE_BYTES_MAX)
        data = read_piece(root, str(path), read_count(request, "offset"), length)
        if data is None:
            raise RequestProblem("path", "the file is not there any more")
        return {"data": data}

    def _forget(self, request: Mapping[str, Any]) -> dict[str, Any]:
        ticket, run = read_names(request)
        try:
            copy = self._table.find(ticket, run)
        except RequestProblem:
            return self._drop(ticket, run)
        self._table.check_epoch(copy.work.job_id, request.get("epoch"))
        self._table.refuse(copy, "the coordinator forgot this copy")
        if copy.state == "running":
            raise RequestProblem("running", "the copy still runs; cancel it first")
        return self._drop(ticket, run)

    def _heartbeat(self, request: Mapping[str, Any]) -> dict[str, Any]:
        job_id = str(request.get("job_id") or "")
        if job_id:
            self._table.check_epoch(job_id, request.get("epoch"))
            self._table.touch(job_id, by_heartbeat=True)
        return {"host": self._host, "pid": self.pid, "boot": self.boot}

    def _clean(self, request: Mapping[str, Any]) -> dict[str, Any]:
        found = self._spools.leftovers()
        self._discarded.set()
        return {"removed": len(found)}

    def _find(self, request: Mapping[str, Any]) -> Copy:
        copy = self._table.find(*read_names(request))
        self._table.touch(copy.work.job_id)
        return copy

    def _drop(self, ticket: str, run: str) -> dict[str, Any]:
        copy = self._table.forget(ticket, run)
        if copy is not None and copy.spool is not None:
            self._spools.discard(copy.spool)
            self._discarded.set()
        return {"known": copy is not None}

    def _beat_within(self, wait_s: float) -> None:
        """Let the thread that beats wake up within this time, unless it does so anyway."""
        if lease_clock() + wait_s < self._beats_at:
            self._changed.set()

    def _beat(self) -> None:
        """Renew the leases, and drop what nobody fetched, until the agent closes."""
        while not self._closing.is_set():
            # What comes from here on may need an earlier beat than is found now.
            self._beats_at = float("inf")
            try:
                beat_s = self.leases.beat()
            except OSError:
                # No reaper can be started just now. The agent itself still ends what is too late.
                beat_s = BEAT_S_MAX
            for copy in self._table.expired():
                self._drop(copy.work.ticket, copy.work.run)
            for copy in self._table.abandoned():
                # Nobody would ever fetch what it makes.
                self._table.stop(copy, copy.work.grace_s, abandoned=True)
            expiry_s = self._table.next_expiry_s()
            waits_s = [one for one in (beat_s, expiry_s, _IDLE_S) if one is not None]
            wait_s = max(0.01, min(waits_s))
            self._beats_at = lease_clock() + wait_s
            self._changed.wait(wait_s)
            self._changed.clear()

    def _sweep(self) -> None:
        """Remove the files of what was dropped, until the agent closes."""
        while not self._closing.is_set():
            self._discarded.wait()
            # What is discarded meanwhile goes with it: this thread shall wake up for many at once.
            self._closing.wait(_SWEEP_S)
            self._discarded.clear()
            self._spools.sweep()


def _failed(message: str) -> Outcome:
    return Outcome(broken={"kind": "environment", "message": message})
