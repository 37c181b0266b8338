"""A deadline counts until the work ends, not until orc looks: here, the loop is kept from looking."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.lowlevel

import orc.scheduler.effects.run as running
from orc.ledger.secrets.masking import NO_MASK
from orc.scheduler.effects.deadlines import cut_at
from orc.scheduler.effects.groups import ProcessGroups
from orc.scheduler.effects.python import WorkerPool
from orc.scheduler.effects.run import run_command
from orc.scheduler.executors.contract import WorkOutcome
from tests.processes import needs_proc
from tests.scheduler.effects.conftest import Command, Function, RunSpec


async def away(begin_s: float, for_s: float) -> None:
    """Keep the loop from looking, as a suspended process or a large piece of work would."""
    await trio.sleep(begin_s)
    time.sleep(for_s)  # noqa: ASYNC251


@needs_proc
@pytest.mark.parametrize(
    ("run", "ends"),
    [
        ("sleep 0.3; echo ok", True),
        ("echo ok", True),
        ("sleep 0.9; echo late", False),
        ("sleep 30; echo late", False),
    ],
)
async def test_a_command_is_judged_by_when_it_ended(
    run: str, ends: bool, command: Command, groups: ProcessGroups
) -> None:
    found: list[WorkOutcome] = []
    # The reaper starts before the clock does.
    await run_command(command("true"), groups=groups, mask=NO_MASK)

    async def work() -> None:
        deadline = trio.current_time() + 0.6
        found.append(
            await run_command(command(run), groups=groups, mask=NO_MASK, deadline=deadline)
        )

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        nursery.start_soon(away, 0.1, 1.2)
    (outcome,) = found
    if ends:
        assert (outcome.exit_code, outcome.stdout, outcome.broken) == (0, b"ok\n", None)
        assert outcome.duration_s < 0.6
        assert outcome.away_s > 0.5 or run == "echo ok"
    else:
        assert outcome.broken is not None
        assert outcome.broken.kind == "timeout"


async def test_a_command_that_is_late_while_orc_looks_is_ended(
    command: Command, groups: ProcessGroups
) -> None:
    deadline = trio.current_time() + 0.2
    outcome = await run_command(command("sleep 30"), groups=groups, mask=NO_MASK, deadline=deadline)
    assert outcome.broken is not None
    assert trio.current_time() < deadline + 5


async def test_a_function_that_answered_while_orc_was_away_is_not_late(
    function: Function, groups: ProcessGroups, tmp_path: Path
) -> None:
    (tmp_path / "code/quick.py").write_text("import time\ndef nap(s): time.sleep(s); return 7")
    pool = WorkerPool(groups, mask=NO_MASK)
    await pool.perform(function("quick:nap", {"s": 0.0}))
    found = []

    async def work() -> None:
        with cut_at(trio.current_time() + 0.5):
            found.append(await pool.perform(function("quick:nap", {"s": 0.1})))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        nursery.start_soon(away, 0.05, 0.9)
    assert found[0].exit_code == 0
    await pool.aclose()


def test_the_duration_of_an_attempt_ends_with_its_command(
    run_spec: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow = running._follow

    async def away_too(*told: Any) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(away, 0.1, 1.2)
            await follow(*told)

    monkeypatch.setattr(running, "_follow", away_too)
    job = run_spec({"quick": {"run": "sleep 0.3; echo ok", "timeout": "1s"}})
    assert job.status == "succeeded"
    (step,) = job.steps
    assert step.duration_s is not None
    assert step.duration_s < 1.0


async def test_a_reply_that_arrived_while_orc_was_away_is_read() -> None:
    send, receive = trio.open_memory_channel[int](10)
    read = []

    async def work() -> None:
        with cut_at(trio.current_time() + 0.2) as cut:
            # Several looks, as a client of HTTP needs.
            for _ in range(3):
                read.append(await receive.receive())
        assert not cut.is_over

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        await trio.sleep(0.05)
        for number in range(3):
            send.send_nowait(number)
        time.sleep(0.4)  # noqa: ASYNC251
    assert read == [0, 1, 2]


async def test_a_deadline_in_time_cuts_at_once() -> None:
    began = trio.current_time()
    with cut_at(began + 0.05) as cut:
        await trio.sleep_forever()
    assert cut.is_over
    assert trio.current_time() - began < 5


async def test_an_earlier_deadline_is_kept_beside_later_ones() -> None:
    began = trio.current_time()
    with cut_at(began + 30) as outer:
        for _ in range(3):
            with cut_at(began + 30):
                await trio.lowlevel.checkpoint()
        with cut_at(began + 0.05) as inner:
            await trio.sleep_forever()
    assert inner.is_over
    assert not outer.is_over
