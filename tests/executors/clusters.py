"""Real clusters on loopback: a scheduler and workers as processes, and attempts to submit to them."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trio

from orc.cli.cluster.engine_commands import ENGINE_SETTINGS
from orc.ledger.digest import Digest
from orc.scheduler.executors.contract import (
    Asked,
    EngineEvent,
    Placement,
    Printed,
    Ticket,
    Work,
    WorkFile,
)
from orc.scheduler.executors.driver import DriverEngine
from tests.processes import ROOT, orc_environment, wait_until

needs_dask = pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None,
    reason="distributed is not installed: pip install 'orc-ledger[dask]'",
)
LEASE_S = 3.0
WAIT_S = 40.0
JOB = "20261130-120000-abcdef"
_Event = TypeVar("_Event")

# With the engine's own time to live, to see what orc says of it.
_SETTINGS = {name: to for name, to in ENGINE_SETTINGS.items() if not name.endswith("WORKER_TTL")}
_INSPECT = """
import json, sys
from distributed import Client
with Client(sys.argv[1], timeout=20, set_as_default=False) as client:
    def look(dask_scheduler):
        topics = dask_scheduler._broker._topics
        return {
            "tasks": len(dask_scheduler.tasks),
            "prefixes": sorted(dask_scheduler.task_prefixes),
            "performed": sorted({str(one[0]) for one in dask_scheduler.transition_log}),
            "topics": sorted(name for name in topics if name.startswith("orc")),
            "told": repr([list(topic.events) for topic in topics.values()]),
        }
    print(json.dumps({**client.run_on_scheduler(look), "datasets": list(client.list_datasets())}))
"""
_RETIRE = """
import sys
from distributed import Client
with Client(sys.argv[1], timeout=20, set_as_default=False) as client:
    info = client.scheduler_info(n_workers=-1)["workers"]
    (address,) = [at for at, worker in info.items() if worker["name"] == sys.argv[2]]
    client.retire_workers([address])
"""


@dataclass
class LoopbackCluster:
    """A scheduler on a port of its own, and workers with slots, resources and labels."""

    folder: Path
    tls: Mapping[str, str] | None = None
    settings: Mapping[str, str] = field(default_factory=lambda: _SETTINGS)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def scheduler_file(self) -> Path:
        return self.folder / "scheduler.json"

    @property
    def address(self) -> str:
        return str(json.loads(self.scheduler_file.read_text())["address"])

    def site(self, **changes: Any) -> dict[str, Any]:
        """What a driver connects by."""
        site = {"scheduler_file": str(self.scheduler_file), "address": None, "insecure": False}
        return {**site, "tls": None if self.tls is None else dict(self.tls), **changes}

    def start_scheduler(self) -> subprocess.Popen[bytes]:
        self.scheduler_file.unlink(missing_ok=True)
        started = self._start(
            "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
            "--dashboard-address", "127.0.0.1:0", "--scheduler-file", str(self.scheduler_file),
        )  # fmt: skip
        wait_until(self._is_written, within_s=WAIT_S, what="the scheduler file")
        return started

    def start_worker(
        self, *, label: str = "", cpu: int = 2, slots: int = 2, path: Path = ROOT
    ) -> subprocess.Popen[bytes]:
        """A worker without a nanny: its process is the one that can be killed."""
        resources = f"CPU={cpu}" + (f" {label}=1" if label else "")
        return self._start(
            "worker", "--scheduler-file", str(self.scheduler_file), "--host", "127.0.0.1",
            "--no-nanny", "--no-dashboard", "--dashboard-address", "127.0.0.1:0",
            "--nthreads", str(slots), "--memory-limit", "0", "--resources", resources,
            "--name", label or f"worker-{len(self.processes)}",
            "--local-directory", str(self.folder / f"local-{len(self.processes)}"),
            path=path,
        )  # fmt: skip

    def inspect(self) -> dict[str, Any]:
        """What the scheduler keeps."""
        return dict(json.loads(self._python(_INSPECT, self.address)))

    def wait_until_empty(self) -> None:
        """Wait until nothing of earlier tests is left; a forgotten attempt goes a little later."""
        # Each look is a process of its own.
        wait_until(lambda: not self.inspect()["tasks"], within_s=30, every_s=0.3)

    def retire(self, label: str) -> None:
        """Retire a worker, as an adaptive cluster does."""
        self._python(_RETIRE, self.address, label)

    def close(self) -> None:
        for process in reversed(self.processes):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(WAIT_S)

    def _is_written(self) -> bool:
        try:
            return bool(self.address)
        except (OSError, ValueError):
            return False

    def _start(self, *arguments: str, path: Path = ROOT) -> subprocess.Popen[bytes]:
        tls: list[str] = []
        if self.tls is not None:
            tls = ["--protocol", "tls", "--tls-ca-file", self.tls["ca"]]
            tls += ["--tls-cert", self.tls["cert"], "--tls-key", self.tls["key"]]
        log = self.folder / f"{arguments[0]}-{len(self.processes)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *arguments, *tls],
                cwd=self.folder,
                env=orc_environment(
                    **self.settings, PYTHONPATH=str(path), ORC_WORKER_DIR=str(self.folder)
                ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def _python(self, code: str, *arguments: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=WAIT_S,
            env=orc_environment(),
        ).stdout


@contextmanager
def loopback_cluster(
    folder: Path, *, workers: int = 2, tls: Mapping[str, str] | None = None
) -> Iterator[LoopbackCluster]:
    """A cluster with this many workers, until the block ends."""
    cluster = LoopbackCluster(folder, tls)
    try:
        cluster.start_scheduler()
        for _ in range(workers):
            cluster.start_worker()
        yield cluster
    finally:
        cluster.close()


@dataclass
class FolderAttempt:
    """An attempt whose inputs are contents in memory, by digest."""

    ticket: Ticket
    folder: Path
    contents: dict[str, bytes] = field(default_factory=dict)
    epoch: int = 3

    def add(self, path: str, content: bytes) -> WorkFile:
        digest = Digest(hashlib.sha256(content).hexdigest())
        self.contents[digest] = content
        return WorkFile(path, digest, len(content))

    def read_input(self, file: WorkFile) -> Path:
        path = self.folder / f"input-{file.sha256}"
        path.write_bytes(self.contents[file.sha256])
        return path

    async def place(self, placement: Placement) -> Mapping[str, str]:
        raise NotImplementedError

    async def unplace(self, run: str, reason: str) -> None:
        raise NotImplementedError

    async def reattach(self, run: str) -> None:
        raise NotImplementedError

    def printed(self, offset: int, content: bytes) -> None:
        raise NotImplementedError


def attempt(folder: Path, step: str, number: int = 1, *, job: str = JOB) -> FolderAttempt:
    """An attempt of a step, with a folder of its own."""
    own = folder / f"{step}-{number}"
    own.mkdir(parents=True)
    return FolderAttempt(Ticket(job, step, number), own)


def command(script: str, **fields: Any) -> Work:
    """The work of a shell script."""
    return Work("command", argv=("/bin/sh", "-c", script), inherited=("PATH",), **fields)


class Listener:
    """Reads an engine's events, and keeps them."""

    def __init__(self, engine: DriverEngine) -> None:
        self._engine = engine
        self.seen: list[EngineEvent] = []

    async def wait(
        self,
        kind: type[_Event] | tuple[type[_Event], ...],
        *,
        within_s: float = WAIT_S,
        **fields: Any,
    ) -> _Event:
        """The next event of this type, or of one of these, with these fields."""
        with trio.fail_after(within_s):
            async for event in self._engine.events:
                self.seen.append(event)
                if isinstance(event, kind) and all(
                    getattr(event, name) == value for name, value in fields.items()
                ):
                    return event
        raise AssertionError("the engine has no more events")

    def log_of(self, run: str) -> bytes:
        """What was printed, as far as it was shown."""
        content = bytearray()
        for event in self.seen:
            if isinstance(event, Printed) and event.run == run and event.offset == len(content):
                content += event.content
        return bytes(content)

    def asked_by(self, ticket: Ticket) -> list[Asked]:
        """Each time that a copy of the attempt has asked."""
        asked = [event for event in self.seen if isinstance(event, Asked)]
        return [event for event in asked if event.ticket == str(ticket)]


async def wait_for_workers(engine: DriverEngine, number: int, *, label: str = "") -> str:
    """Wait until the engine has this many workers; the last one with the label."""
    with trio.fail_after(WAIT_S):
        while True:
            found = (await engine.capacity())["capacity"]
            fitting = [worker for worker, has in found.items() if not label or label in has]
            if len(found) >= number and fitting:
                return str(fitting[-1])
            await trio.sleep(0.1)
