"""What an engine and its parts can do to an attempt: each is seen, and no command outlives its lease."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
import trio

from orc.scheduler.executors import driver_process
from orc.scheduler.executors.contract import (
    Asked,
    Dropped,
    Ended,
    EngineLost,
    EngineSeen,
    Gone,
)
from orc.scheduler.executors.driver import DriverEngine, open_engine
from orc.worker.declared import Declared
from tests.executors.clusters import (
    JOB,
    LEASE_S,
    WAIT_S,
    FolderAttempt,
    Listener,
    LoopbackCluster,
    attempt,
    command,
    loopback_cluster,
    needs_dask,
    wait_for_workers,
)
from tests.processes import (
    end_process,
    needs_proc,
    new_marker,
    processes_with,
    start_python,
    wait_for,
)

pytestmark = [needs_dask, needs_proc]
RUN, AGAIN = "0123abcd", "4567abcd"
# A command may live for its lease after the last sign of life, and the agent notices a silent
# scheduler within a third of it.
DEAD_WITHIN_S = LEASE_S * 4 / 3 + 1
COORDINATOR = """
import sys, trio
from orc.scheduler.executors.driver import open_engine
async def main():
    site = {"scheduler_file": sys.argv[1], "tls": None, "insecure": False}
    async with open_engine("dask", site, lease_s=3) as engine:
        print(engine.pid, flush=True)
        await trio.sleep(600)
trio.run(main)
"""


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[LoopbackCluster]:
    """A scheduler alone, for a test that harms it."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    with loopback_cluster(folder, workers=0) as cluster:
        yield cluster


@asynccontextmanager
async def running(
    cluster: LoopbackCluster, one: FolderAttempt, *, label: str, marker: str
) -> AsyncIterator[tuple[DriverEngine, Listener, str]]:
    """A command that sleeps on the worker with the label, and the worker."""
    async with open_engine("dask", cluster.site(), lease_s=LEASE_S) as engine:
        listener = Listener(engine)
        await wait_for_workers(engine, 1, label=label)
        work = command("sleep 300 & wait", env={"MARKER": marker}, labels=(label,))
        await engine.submit(one.ticket, RUN, work, one)
        asked = await listener.wait(Asked, ticket=str(one.ticket))
        await engine.allow(one.ticket, RUN, asked.worker, epoch=3, secrets={})
        await wait_for(lambda: len(processes_with(marker)) >= 2)
        yield engine, listener, asked.worker


async def test_a_killed_worker_is_gone_and_so_is_its_command(
    shared_cluster: LoopbackCluster, tmp_path: Path
) -> None:
    marker, one = new_marker(), attempt(tmp_path, "killed")
    victim = shared_cluster.start_worker(label="killed")
    async with running(shared_cluster, one, label="killed", marker=marker) as (_, listener, worker):
        victim.kill()
        await listener.wait(Gone, worker=worker)
        await wait_for(lambda: not processes_with(marker), within_s=LEASE_S)


async def test_a_retired_worker_is_gone_and_its_command_ends_with_the_lease(
    shared_cluster: LoopbackCluster, tmp_path: Path
) -> None:
    shared_cluster.wait_until_empty()
    marker, one = new_marker(), attempt(tmp_path, "retired")
    shared_cluster.start_worker(label="retired")
    async with running(shared_cluster, one, label="retired", marker=marker) as parts:
        _, listener, worker = parts
        await trio.to_thread.run_sync(shared_cluster.retire, "retired")
        await listener.wait(Gone, worker=worker)
        await wait_for(lambda: not processes_with(marker), within_s=DEAD_WITHIN_S)
        # The engine does not keep a second copy for a worker that may come.
        assert shared_cluster.inspect()["tasks"] == 0


async def test_a_frozen_worker_is_silent_in_a_census_and_its_command_ends_with_the_lease(
    shared_cluster: LoopbackCluster, tmp_path: Path
) -> None:
    marker, one = new_marker(), attempt(tmp_path, "frozen")
    victim = shared_cluster.start_worker(label="frozen")
    async with running(shared_cluster, one, label="frozen", marker=marker) as parts:
        engine, listener, worker = parts
        os.kill(victim.pid, signal.SIGSTOP)
        try:
            with trio.fail_after(WAIT_S):
                counted = await engine.count(JOB)
            assert counted is not None
            assert counted.silent == {worker}
            assert worker not in counted.answered
            await wait_for(lambda: not processes_with(marker), within_s=DEAD_WITHIN_S)
        finally:
            os.kill(victim.pid, signal.SIGCONT)
        # It wakes, and knows that its lease was over.
        dropped = await listener.wait(Dropped, ticket=str(one.ticket))
        assert dropped.worker == worker
        assert "lease" in dropped.reason
        victim.kill()


async def test_what_a_frozen_worker_has_not_taken_goes_to_another_one(
    own_cluster: LoopbackCluster, tmp_path: Path
) -> None:
    frozen, other = (own_cluster.start_worker(label=name, slots=1) for name in ("frozen", "other"))
    async with open_engine("dask", own_cluster.site(), lease_s=LEASE_S) as engine:
        listener = Listener(engine)
        await wait_for_workers(engine, 2)
        silent = await wait_for_workers(engine, 2, label="frozen")
        os.kill(frozen.pid, signal.SIGSTOP)
        ones = [attempt(tmp_path, f"s{number}") for number in range(4)]
        waiting = {str(one.ticket): one for one in ones}
        for one in ones:
            await engine.submit(one.ticket, RUN, command("true"), one)
        counted = await engine.count(JOB)
        assert counted is not None
        assert counted.silent == {silent}
        # The engine has given half of them to the worker that it does not know to be frozen.
        while waiting:
            event = await listener.wait((Asked, Dropped))
            assert isinstance(event, Asked | Dropped)
            if event.ticket not in waiting:
                # It asked again, before the answer reached it.
                continue
            one = waiting[event.ticket]
            if isinstance(event, Dropped):
                assert "does not answer" in event.reason
                await engine.submit(one.ticket, AGAIN, command("true"), one)
            else:
                assert event.worker != silent
                await engine.refuse(one.ticket, event.run, event.worker, epoch=one.epoch)
                del waiting[event.ticket]
        assert any(isinstance(event, Dropped) for event in listener.seen)
        os.kill(frozen.pid, signal.SIGCONT)
        # It wakes, and takes part again; what it asks for late is refused.
        counted = await engine.count(JOB)
        assert counted is not None
        assert not counted.silent
        late = attempt(tmp_path, "late")
        await engine.submit(late.ticket, RUN, command("true", labels=("frozen",)), late)
        asked = await listener.wait(Asked, worker=silent)
        while asked.ticket != str(late.ticket):
            [one] = [one for one in ones if str(one.ticket) == asked.ticket]
            await engine.refuse(one.ticket, asked.run, silent, epoch=one.epoch)
            asked = await listener.wait(Asked, worker=silent)
    assert other.poll() is None


async def test_a_killed_driver_is_started_again_and_finds_what_runs(
    shared_cluster: LoopbackCluster, tmp_path: Path
) -> None:
    shared_cluster.wait_until_empty()
    one, waiting = attempt(tmp_path, "adopted"), attempt(tmp_path, "waiting")
    release = tmp_path / "release"
    async with open_engine("dask", shared_cluster.site(), lease_s=LEASE_S) as engine:
        listener = Listener(engine)
        await wait_for_workers(engine, 2)
        script = f"until test -e {release}; do sleep 0.05; done; echo done > out.txt"
        work = command(script, globs=(Declared("out.txt"),))
        await engine.submit(one.ticket, RUN, work, one)
        asked = await listener.wait(Asked, ticket=str(one.ticket))
        await engine.allow(one.ticket, RUN, asked.worker, epoch=3, secrets={})
        await engine.submit(waiting.ticket, RUN, command("true", labels=("later",)), waiting)

        first = engine.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await listener.wait(EngineLost)
        await listener.wait(EngineSeen)
        assert engine.pid != first
        # The engine still counts the room that the command takes.
        assert shared_cluster.inspect()["tasks"] == 1
        counted = await engine.count(JOB)
        assert counted is not None
        assert [(copy.run, copy.worker, copy.state) for copy in counted.copies] == [
            (RUN, asked.worker, "running")
        ]
        release.touch()
        ended = await listener.wait(Ended, ticket=str(one.ticket))
        await engine.fetch(one.ticket, RUN, ended.worker, one.folder)
        assert (one.folder / "work" / "out.txt").read_text() == "done\n"
        await engine.forget(one.ticket, RUN, ended.worker, epoch=one.epoch)

        # What had not asked is submitted again.
        later = shared_cluster.start_worker(label="later")
        asked = await listener.wait(Asked, ticket=str(waiting.ticket))
        await engine.refuse(waiting.ticket, RUN, asked.worker, epoch=waiting.epoch)
        await engine.forget(waiting.ticket, RUN, asked.worker, epoch=waiting.epoch)
        later.kill()


async def test_a_hung_driver_is_killed_and_another_one_started(
    shared_cluster: LoopbackCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver_process, "_PING_EVERY_S", 0.2)
    monkeypatch.setattr(driver_process, "_END_S", 0.5)
    async with open_engine("dask", shared_cluster.site(), lease_s=LEASE_S) as engine:
        listener = Listener(engine)
        first = engine.pid
        assert first is not None
        # It is patient while a driver starts, which takes long on a busy machine.
        with monkeypatch.context() as impatient:
            impatient.setattr(driver_process, "_PING_S", 1.0)
            await engine.capacity()  # the pings before have been answered
            os.kill(first, signal.SIGSTOP)
            await listener.wait(EngineLost)
        await listener.wait(EngineSeen)
        assert engine.pid not in (None, first)


async def test_a_hung_driver_does_not_keep_its_owner_from_ending(
    shared_cluster: LoopbackCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver_process, "_END_S", 0.5)
    with trio.fail_after(15):
        async with open_engine("dask", shared_cluster.site(), lease_s=LEASE_S) as engine:
            pid = engine.pid
            assert pid is not None
            os.kill(pid, signal.SIGSTOP)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_driver_ends_when_its_owner_is_killed(shared_cluster: LoopbackCluster) -> None:
    owner = start_python(COORDINATOR, str(shared_cluster.scheduler_file))
    try:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        owner.kill()
        await wait_for(lambda: not Path(f"/proc/{pid}").exists() or _is_dead(pid))
    finally:
        end_process(owner)


def _is_dead(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


async def test_another_scheduler_is_another_engine(
    own_cluster: LoopbackCluster, tmp_path: Path
) -> None:
    marker, one = new_marker(), attempt(tmp_path, "orphan")
    own_cluster.start_worker(label="first")
    async with running(own_cluster, one, label="first", marker=marker) as (engine, listener, _):
        before = str(engine.facts["engine"])
        own_cluster.processes[0].kill()
        lost = await listener.wait(EngineLost)
        assert not lost.final
        await wait_for(lambda: not processes_with(marker), within_s=DEAD_WITHIN_S)
        await trio.to_thread.run_sync(own_cluster.start_scheduler)
        own_cluster.start_worker(label="second")
        seen = await listener.wait(EngineSeen)
        assert seen.engine != before
        with trio.fail_after(WAIT_S):
            while not any("second" in has for has in seen.capacity.values()):
                seen = await listener.wait(EngineSeen)


async def test_a_scheduler_that_stays_away_is_lost_for_good(own_cluster: LoopbackCluster) -> None:
    site = own_cluster.site()
    async with open_engine("dask", site, lease_s=LEASE_S, give_up_s=1) as engine:
        listener = Listener(engine)
        own_cluster.processes[0].kill()
        await listener.wait(EngineLost, final=True)
        assert await engine.count(JOB) is None


class Proxy:
    """Passes connections on to a scheduler, and can break them."""

    def __init__(self, address: str) -> None:
        host, _, port = address.removeprefix("tcp://").partition(":")
        self._target = host, int(port)
        self._scopes: list[trio.CancelScope] = []
        self.address = ""

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery() as nursery:
            serve = partial(trio.serve_tcp, self._pass, 0, host="127.0.0.1")
            (listener,) = await nursery.start(serve)
            self.address = f"tcp://127.0.0.1:{listener.socket.getsockname()[1]}"
            task_status.started()

    def break_connections(self) -> None:
        for scope in self._scopes:
            scope.cancel()
        self._scopes.clear()

    async def _pass(self, near: trio.SocketStream) -> None:
        far = await trio.open_tcp_stream(*self._target)
        with trio.CancelScope() as scope:
            self._scopes.append(scope)
            async with far, trio.open_nursery() as nursery:
                nursery.start_soon(self._copy, near, far, scope)
                nursery.start_soon(self._copy, far, near, scope)

    async def _copy(
        self, source: trio.SocketStream, target: trio.SocketStream, scope: trio.CancelScope
    ) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while chunk := await source.receive_some(65536):
                await target.send_all(chunk)
        scope.cancel()


async def test_a_broken_connection_is_made_again_and_nothing_is_lost(
    shared_cluster: LoopbackCluster, tmp_path: Path
) -> None:
    shared_cluster.wait_until_empty()
    one, next_one = attempt(tmp_path, "cut"), attempt(tmp_path, "next")
    release = tmp_path / "release"
    proxy = Proxy(shared_cluster.address)
    async with trio.open_nursery() as nursery:
        await nursery.start(proxy.run)
        site = shared_cluster.site(scheduler_file=None, address=proxy.address)
        async with open_engine("dask", site, lease_s=LEASE_S) as engine:
            listener = Listener(engine)
            await wait_for_workers(engine, 2)
            script = f"until test -e {release}; do sleep 0.05; done; echo done"
            await engine.submit(one.ticket, RUN, command(script, resources={"cpu": 2}), one)
            asked = await listener.wait(Asked, ticket=str(one.ticket))
            await engine.allow(one.ticket, RUN, asked.worker, epoch=3, secrets={})
            pid = engine.pid
            proxy.break_connections()
            await listener.wait(EngineLost, final=False)
            seen = await listener.wait(EngineSeen)
            assert seen.engine == engine.facts["engine"]
            assert engine.pid == pid
            # The engine and the driver still count the room that the command takes.
            assert shared_cluster.inspect()["tasks"] == 1
            for number in range(2):
                work = command("true", resources={"cpu": 2})
                await engine.submit(next_one.ticket, f"0000000{number}", work, next_one)
            other = await listener.wait(Asked, ticket=str(next_one.ticket))
            assert other.worker != asked.worker
            assert (await engine.capacity())["waiting"] == 1
            release.touch()
            ended = await listener.wait(Ended, ticket=str(one.ticket))
            assert ended.outcome.stdout == b"done\n"
            await engine.forget(one.ticket, RUN, ended.worker, epoch=one.epoch)
            for number in range(2):
                run = f"0000000{number}"
                if run != other.run:
                    other = await listener.wait(Asked, run=run)
                await engine.refuse(next_one.ticket, run, other.worker, epoch=next_one.epoch)
                await engine.forget(next_one.ticket, run, other.worker, epoch=next_one.epoch)
        nursery.cancel_scope.cancel()
