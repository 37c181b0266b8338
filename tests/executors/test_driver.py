"""A driver of dask.distributed with a real scheduler and two workers."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import pytest
import trio

from orc.scheduler.executors import driver_process
from orc.scheduler.executors.contract import (
    PROTOCOL,
    Asked,
    Copy,
    Dropped,
    Ended,
    EngineLost,
    Superseded,
    WorkLimits,
)
from orc.scheduler.executors.driver import DriverEngine, open_engine
from orc.scheduler.executors.driver_process import driver_environment
from orc.scheduler.executors.errors import EngineProblem, EngineUnreachable
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
from tests.processes import ROOT, wait_until

pytestmark = needs_dask
RUN = "0123abcd"
SECRET = "canary-7d1f0c52b9"


async def run_to_end(
    engine: DriverEngine, listener: Listener, one: FolderAttempt, *, secrets: dict[str, str]
) -> Ended:
    asked = await listener.wait(Asked, ticket=str(one.ticket))
    await engine.allow(one.ticket, asked.run, asked.worker, epoch=one.epoch, secrets=secrets)
    return await listener.wait(Ended, ticket=str(one.ticket))


async def copies_of(engine: DriverEngine) -> list[Copy]:
    """The copies of the job on all workers that answer."""
    found = await engine.count(JOB)
    assert found is not None
    return list(found.copies)


async def test_a_command_runs_on_a_worker_and_its_files_come_back(
    shared_cluster: LoopbackCluster, tmp_path: Path
) -> None:
    one = attempt(tmp_path, "build")
    large = os.urandom(9_000_000)
    work = command(
        'cat small.txt; echo "key of ${#KEY}"; mkdir out; cp large.bin out/copy.bin; printf end',
        inputs=(one.add("small.txt", b"hello\n"), one.add("large.bin", large)),
        globs=(Declared("out/*.bin"),),
        secrets=("KEY",),
        resources={"cpu": 1},
    )
    async with open_engine("dask", shared_cluster.site(), lease_s=LEASE_S) as engine:
        listener = Listener(engine)
        await wait_for_workers(engine, 2)
        await engine.submit(one.ticket, RUN, work, one)
        ended = await run_to_end(engine, listener, one, secrets={"KEY": SECRET})
        outcome = await engine.fetch(one.ticket, RUN, ended.worker, one.folder)
        printed = b"hello\nkey of 17\nend"
        assert (outcome.exit_code, outcome.stdout) == (0, printed)
        assert [file.path for file in outcome.files] == ["out/copy.bin"]
        assert (one.folder / "work" / "out" / "copy.bin").read_bytes() == large
        assert outcome.log == printed
        assert not list(one.folder.glob(".fetched*"))
        await engine.forget(one.ticket, RUN, ended.worker, epoch=one.epoch)
        # It goes to the worker with the next call, or soon.
        with trio.fail_after(WAIT_S):
            while await copies_of(engine):  # noqa: ASYNC110
                await trio.sleep(0.02)
    kept = shared_cluster.inspect()
    assert kept["tasks"] == 0
    assert kept["prefixes"] == ["orc"]
    assert kept["datasets"] == []
    # Neither what was printed nor a secret went through what the scheduler keeps.
    assert kept["topics"]
    in_base64 = base64.b64encode(b"hello\n").decode()
    for text in (SECRET, "hello", in_base64, "key of", "content", "outcome", "stdout"):
        assert text not in kept["told"]


async def test_a_task_of_the_engine_performs_several_short_copies(
    shared_cluster: LoopbackCluster, tmp_path: Path
) -> None:
    before = set(shared_cluster.inspect()["performed"])
    ones = [attempt(tmp_path, f"short{number}") for number in range(20)]
    async with open_engine("dask", shared_cluster.site(), lease_s=LEASE_S) as engine:
        listener = Listener(engine)
        for one in ones:
            await engine.submit(one.ticket, RUN, command("true"), one)
            ended = await run_to_end(engine, listener, one, secrets={})
            assert ended.outcome.exit_code == 0
            await engine.forget(one.ticket, RUN, ended.worker, epoch=one.epoch)
    kept = shared_cluster.inspect()
    assert kept["tasks"] == 0
    # Not all of them: a busy machine may be late with some offers.
    assert 0 < len({*kept["performed"]} - before) < len(ones)


async def test_nothing_starts_before_it_is_allowed_nor_after_it_was_refused(
    shared_cluster: LoopbackCluster, tmp_path: Path
) -> None:
    one = attempt(tmp_path, "waits")
    mark = tmp_path / "started"
    async with open_engine("dask", shared_cluster.site(), lease_s=LEASE_S) as engine:
        listener = Listener(engine)
        await engine.submit(one.ticket, RUN, command(f"touch {mark}"), one)
        asked = await listener.wait(Asked, ticket=str(one.ticket))
        counted = await engine.count(JOB)
        assert counted is not None
        assert [(copy.run, copy.worker, copy.state) for copy in counted.copies] == [
            (RUN, asked.worker, "asking")
        ]
        assert asked.worker in counted.answered
        assert asked.protocol == PROTOCOL
        await engine.refuse(one.ticket, RUN, asked.worker, epoch=one.epoch)
        with pytest.raises(EngineProblem) as refused:
            await engine.allow(one.ticket, RUN, asked.worker, epoch=3, secrets={})
        assert refused.value.kind == "refused"
        assert not mark.exists()
        await engine.forget(one.ticket, RUN, asked.worker, epoch=one.epoch)


async def test_a_superseded_owner_starts_nothing(
    shared_cluster: LoopbackCluster, tmp_path: Path
) -> None:
    job = "20261130-120000-00beef"
    first, second = (attempt(tmp_path, step, job=job) for step in ("first", "second"))
    async with open_engine("dask", shared_cluster.site(), lease_s=LEASE_S) as engine:
        listener = Listener(engine)
        await wait_for_workers(engine, 2)
        # Both need one worker, which alone knows the epochs.
        for one in (first, second):
            await engine.submit(one.ticket, RUN, command("true"), one)
        asked: dict[str, str] = {}
        while len(asked) < 2:
            event = await listener.wait(Asked)
            asked[event.ticket] = event.worker
        worker = asked[str(first.ticket)]
        await engine.allow(first.ticket, RUN, worker, epoch=9, secrets={})
        if asked[str(second.ticket)] == worker:
            with pytest.raises(Superseded):
                await engine.allow(second.ticket, RUN, worker, epoch=8, secrets={})
        for one in (first, second):
            at = asked[str(one.ticket)]
            if one is second:
                await engine.refuse(one.ticket, RUN, at, epoch=one.epoch)
            else:
                await listener.wait(Ended, ticket=str(one.ticket))
            await engine.forget(one.ticket, RUN, at, epoch=one.epoch)


async def test_the_log_of_a_running_command_is_shown_and_the_command_can_be_cancelled(
    shared_cluster: LoopbackCluster, tmp_path: Path
) -> None:
    one = attempt(tmp_path, "talks")
    async with open_engine("dask", shared_cluster.site(), lease_s=LEASE_S) as engine:
        listener = Listener(engine)
        work = command("echo one; sleep 0.3; echo two; sleep 60")
        await engine.submit(one.ticket, RUN, work, one)
        asked = await listener.wait(Asked, ticket=str(one.ticket))
        await engine.allow(one.ticket, RUN, asked.worker, epoch=3, secrets={})
        with trio.fail_after(WAIT_S):
            while listener.log_of(RUN) != b"one\ntwo\n":
                await listener.wait(object)
        await engine.cancel(one.ticket, RUN, asked.worker, epoch=one.epoch, grace_s=5)
        ended = await listener.wait(Ended, ticket=str(one.ticket))
        assert (ended.outcome.exit_code, ended.outcome.signal) == (None, "SIGTERM")
        await engine.forget(one.ticket, RUN, asked.worker, epoch=one.epoch)


async def test_the_engine_gets_only_what_a_worker_has_room_for(
    shared_cluster: LoopbackCluster, tmp_path: Path
) -> None:
    shared_cluster.wait_until_empty()
    ones = [attempt(tmp_path, f"busy{number}") for number in range(3)]
    async with open_engine("dask", shared_cluster.site(), lease_s=LEASE_S) as engine:
        listener = Listener(engine)
        await wait_for_workers(engine, 2)
        for one in ones:
            await engine.submit(one.ticket, RUN, command("true", resources={"cpu": 2}), one)
        asked = [await listener.wait(Asked) for _ in range(2)]
        assert (await engine.capacity())["waiting"] == 1
        assert shared_cluster.inspect()["tasks"] == 2
        # What waits can be withdrawn, and never asks.
        waiting = next(
            one for one in ones if str(one.ticket) not in {event.ticket for event in asked}
        )
        await engine.withdraw(waiting.ticket, RUN)
        assert (await engine.capacity())["waiting"] == 0
        for event in asked:
            one = next(one for one in ones if str(one.ticket) == event.ticket)
            await engine.refuse(one.ticket, RUN, event.worker, epoch=one.epoch)
            await engine.forget(one.ticket, RUN, event.worker, epoch=one.epoch)
        shared_cluster.wait_until_empty()
        assert not listener.asked_by(waiting.ticket)


async def test_an_output_over_its_limit_is_a_failure_that_says_so(
    shared_cluster: LoopbackCluster, tmp_path: Path
) -> None:
    one = attempt(tmp_path, "loud")
    async with open_engine("dask", shared_cluster.site(), lease_s=LEASE_S) as engine:
        listener = Listener(engine)
        limits = WorkLimits(1 << 20, 1000, 1 << 20)
        await engine.submit(one.ticket, RUN, command("yes", limits=limits), one)
        ended = await run_to_end(engine, listener, one, secrets={})
        assert ended.outcome.broken is not None
        assert ended.outcome.broken.kind == "output_too_large"
        await engine.forget(one.ticket, RUN, ended.worker, epoch=one.epoch)


async def test_a_scheduler_that_does_not_answer_is_said_at_once(tmp_path: Path) -> None:
    site = {"scheduler_file": None, "address": "tcp://127.0.0.1:1", "tls": None, "insecure": False}
    with trio.fail_after(WAIT_S), pytest.raises(EngineUnreachable, match="does not answer"):
        async with open_engine("dask", site, lease_s=LEASE_S):
            pass
    site |= {"scheduler_file": str(tmp_path / "none.json"), "address": None}
    with trio.fail_after(WAIT_S), pytest.raises(EngineUnreachable, match="is the scheduler runn"):
        async with open_engine("dask", site, lease_s=LEASE_S):
            pass


async def test_a_scheduler_file_with_an_open_address_of_another_machine_is_refused(
    tmp_path: Path,
) -> None:
    (tmp_path / "s.json").write_text('{"address": "tcp://192.0.2.1:8786"}')
    site = {"scheduler_file": str(tmp_path / "s.json"), "tls": None, "insecure": False}
    with trio.fail_after(WAIT_S), pytest.raises(EngineProblem, match="insecure: true"):
        async with open_engine("dask", site, lease_s=LEASE_S):
            pass


def test_the_driver_gets_no_key_of_a_provider() -> None:
    got = driver_environment({"OPENAI_API_KEY": "x", "PATH": "/bin", "DASK_X": "1", "ORC_DB": "d"})
    assert got.keys() == {"PATH", "PYTHONPATH", "PYTHONSAFEPATH"}


async def test_the_scheduler_logs_no_error_when_a_driver_ends(
    shared_cluster: LoopbackCluster,
) -> None:
    (log,) = shared_cluster.folder.glob("scheduler-*.log")
    before = log.stat().st_size
    async with open_engine("dask", shared_cluster.site(), lease_s=LEASE_S):
        pass

    def written() -> str:
        return log.read_bytes()[before:].decode()

    wait_until(lambda: "Close client connection" in written(), within_s=WAIT_S, what="the end")
    assert "CRITICAL" not in written()
    assert "Traceback" not in written()


async def test_no_event_says_that_the_engine_was_lost_when_it_was_not(
    shared_cluster: LoopbackCluster,
) -> None:
    async with open_engine("dask", shared_cluster.site(), lease_s=LEASE_S) as engine:
        listener = Listener(engine)
        await wait_for_workers(engine, 2)
        with trio.move_on_after(1):
            await listener.wait(EngineLost)
        assert not [event for event in listener.seen if isinstance(event, EngineLost)]


async def test_a_driver_that_ends_slowly_is_not_missed(
    shared_cluster: LoopbackCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = driver_process.DriverProcess._end

    async def end_slowly(process: driver_process.DriverProcess) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(0.2)
        await end(process)

    monkeypatch.setattr(driver_process.DriverProcess, "_end", end_slowly)
    async with open_engine("dask", shared_cluster.site(), lease_s=LEASE_S) as engine:
        pid = engine.pid
        assert pid is not None
        # Its pipes are closed when the block ends.
        os.kill(pid, 9)
        await trio.sleep(0.05)


async def test_a_worker_that_cannot_store_inputs_is_no_reason_to_wait(
    shared_cluster: LoopbackCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = attempt(tmp_path, "large")
    async with open_engine("dask", shared_cluster.site(), lease_s=LEASE_S) as engine:
        ask = engine._ask

        async def ask_with_full_disk(op: str, **fields: Any) -> dict[str, Any]:
            if op == "put":
                raise EngineProblem("environment", "node7: No space left on device")
            return await ask(op, **fields)

        monkeypatch.setattr(engine, "_ask", ask_with_full_disk)
        listener = Listener(engine)
        await wait_for_workers(engine, 2)
        work = command("true", inputs=(one.add("large.bin", bytes(200_000)),))
        await engine.submit(one.ticket, RUN, work, one)
        dropped = await listener.wait(Dropped, ticket=str(one.ticket))
        assert dropped.worker == ""
        assert "its inputs could not be sent to " in dropped.reason
        assert "No space left on device" in dropped.reason
        assert listener.asked_by(one.ticket) == []
        # Its slot is free again, since it is refused when it asks again.
        await engine.withdraw(one.ticket, RUN)
        with trio.fail_after(WAIT_S):
            while [copy.state for copy in await copies_of(engine)] != ["refused"]:  # noqa: ASYNC110
                await trio.sleep(0.1)
        for copy in await copies_of(engine):
            await engine.forget(one.ticket, RUN, copy.worker, epoch=one.epoch)


async def test_a_worker_without_orc_gets_no_step_and_is_counted(
    tmp_path: Path,
) -> None:
    (tmp_path / "cluster").mkdir()
    (tmp_path / "empty" / "orc").mkdir(parents=True)
    (tmp_path / "empty" / "orc" / "__init__.py").write_text("raise ImportError('no orc here')")
    with loopback_cluster(tmp_path / "cluster", workers=0) as cluster:
        cluster.start_worker(path=tmp_path / "empty", slots=8)
        async with open_engine("dask", cluster.site(), lease_s=LEASE_S) as engine:
            listener = Listener(engine)
            with trio.fail_after(WAIT_S):
                while not (await engine.capacity())["faulty_count"]:  # noqa: ASYNC110
                    await trio.sleep(0.1)
            assert "orc is not installed" in (await engine.capacity())["faulty"][0]
            ones = [attempt(tmp_path, f"step{number}") for number in range(4)]
            for one in ones:
                await engine.submit(one.ticket, RUN, command("true"), one)
            cluster.start_worker(slots=1)
            for _ in ones:
                asked = await listener.wait(Asked)
                one = next(one for one in ones if str(one.ticket) == asked.ticket)
                await engine.refuse(one.ticket, RUN, asked.worker, epoch=one.epoch)
            assert not [event for event in listener.seen if isinstance(event, Dropped)]


async def test_another_version_of_the_engine_is_refused_with_both_versions(
    shared_cluster: LoopbackCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The driver of another machine: its package says that it is older.
    code = "import distributed; distributed.__version__ = '2020.1.0'"
    (tmp_path / "sitecustomize.py").write_text(code)
    monkeypatch.setattr(
        driver_process,
        "driver_environment",
        lambda environment: {
            **driver_environment(environment), "PYTHONPATH": f"{tmp_path}:{ROOT}",
        },
    )  # fmt: skip
    with pytest.raises(EngineProblem, match=r"and orc 2020\.1\.0; install the same version"):
        async with open_engine("dask", shared_cluster.site(), lease_s=LEASE_S):
            pass


def test_what_a_worker_says_that_is_no_event_is_ignored() -> None:
    engine = DriverEngine("dask", {}, lease_s=1, keep_s=1, give_up_s=1)
    for message in (
        {"event": "asked", "ticket": "a/b/1", "run": "1", "worker": "w", "protocol": "x"},
        {"event": "asked", "ticket": "a/b/1", "run": "1", "worker": "w", "host": "h"},
        {"event": "printed", "ticket": "a/b/1", "run": "1", "worker": "w", "content": "?"},
        {"event": "ended", "ticket": "a/b/1", "run": "1", "worker": "w"},
        {"event": "nonsense"},
    ):
        engine._take(message)
    assert engine.events.statistics().current_buffer_used == 0
    engine._take({"event": "ended", "ticket": "a/b/1", "run": "1", "worker": "w", "outcome": []})
    ended = engine.events.receive_nowait()
    assert isinstance(ended, Ended)
    assert ended.outcome.broken is not None
    engine._send.close()
    engine.events.close()
