"""Each row of the table of a resume: what the ledger says, what a census says, and what follows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from orc.scheduler.executors.contract import Ended, EngineLost, EngineSeen, Printed, WorkOutcome
from orc.scheduler.executors.errors import EngineUnreachable
from orc.scheduler.executors.lease_wait import MARGIN_S
from tests.executors.remote_simulation import no_threads
from tests.executors.scripted_engine import (
    JOB,
    LEASE_S,
    PLACED,
    Performed,
    ScriptedEngine,
    performing,
)

TICKET = f"{JOB}/step/1"
LOST_AFTER_S = LEASE_S + MARGIN_S


@pytest.fixture(autouse=True)
def _no_threads() -> Iterator[None]:
    with no_threads():
        yield


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


async def ends(one: Performed) -> WorkOutcome | str:
    """The outcome, or why it was lost."""
    with trio.fail_after(1000):
        await one.ended.wait()
    found = one.outcome or one.lost
    assert found is not None
    return found


async def test_placed_and_running_there_is_reattached_and_its_log_goes_on(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    engine.set_copy("running")
    async with performing(tmp_path, engine, placed=PLACED) as one:
        assert one.commits == [("reattached", PLACED.run)]
        engine.say(Printed(TICKET, PLACED.run, "w1", 10, b"more"))
        await trio.sleep(3 * LEASE_S)
        assert one.shown == [b"more"]
        assert not one.ended.is_set()
        engine.say(Ended(TICKET, PLACED.run, "w1", WorkOutcome(exit_code=0)))
        assert await ends(one) == engine.outcome
        assert one.commits == [("reattached", PLACED.run)]
        assert not engine.called("submit")
        assert not engine.called("allow")
        await one.executor.forget(one.ticket)
        assert engine.called("forget") == [[one.ticket, PLACED.run, "w1"]]


async def test_placed_and_ended_there_is_fetched_as_the_same_attempt(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    engine.set_copy("ended")
    async with performing(tmp_path, engine, placed=PLACED) as one:
        assert await ends(one) == engine.outcome
        assert engine.called("fetch") == [[one.ticket, PLACED.run, "w1"]]
        assert not engine.called("submit")


async def test_a_result_that_cannot_be_fetched_yet_is_fetched_after_a_later_census(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    engine.set_copy("ended")
    engine.errors["fetch"] = [EngineUnreachable("timeout", "late")] * 3
    async with performing(tmp_path, engine, placed=PLACED) as one:
        assert await ends(one) == engine.outcome
        assert len(engine.called("fetch")) == 4


async def test_placed_and_asking_there_is_allowed_again(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    engine.set_copy("asking")
    async with performing(tmp_path, engine, placed=PLACED) as one:
        assert engine.called("allow") == [[one.ticket, PLACED.run, "w1", 3]]
        # The permission was lost on its way once more: the next census shows it.
        await trio.sleep(6)
        assert len(engine.called("allow")) == 2
        assert [name for name, *_ in one.commits] == ["reattached"]


async def test_placed_and_refused_there_is_unplaced_and_submitted_anew_as_the_same_attempt(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    engine.set_copy("refused")
    async with performing(tmp_path, engine, placed=PLACED) as one:
        await trio.sleep(1)
        assert [commit[:2] for commit in one.commits] == [("unplaced", PLACED.run)]
        ((ticket, run),) = engine.called("submit")
        assert ticket == one.ticket
        assert run != PLACED.run
        one.ask("w2")
        await one.settle()
        assert one.commits[-1] == ("placed", run, "w2", "host-2")


@pytest.mark.parametrize(
    ("run", "worker"), [(PLACED.run, "w2"), ("bbbbbbbb", "w1"), ("bbbbbbbb", "w2")]
)
async def test_a_copy_that_asks_elsewhere_or_as_another_run_is_refused_and_the_placed_one_judged(
    run: str, worker: str, engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    engine.set_copy("running")
    engine.set_copy("asking", run=run, worker=worker)
    async with performing(tmp_path, engine, placed=PLACED) as one:
        assert engine.called("refuse") == [[one.ticket, run, worker]]
        assert one.commits == [("reattached", PLACED.run)]
        assert not engine.called("allow")
        one.ask(worker, run=run)
        await one.settle()
        assert len(engine.called("refuse")) == 2
        engine.set_copy("nothing")
        assert "started again" in str(await ends(one))


async def test_a_copy_that_runs_without_a_placement_is_ended(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    engine.set_copy("running")
    engine.set_copy("running", run="bbbbbbbb", worker="w2")
    async with performing(tmp_path, engine, placed=PLACED) as one:
        assert engine.called("cancel") == [[one.ticket, "bbbbbbbb", "w2", 0.0]]


async def test_placed_and_nothing_on_a_worker_that_answers_is_lost_now(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with performing(tmp_path, engine, placed=PLACED) as one:
        assert "host-1 was started again" in str(await ends(one))
        assert one.ended_after == 0.0
        assert not one.commits


async def test_placed_and_nothing_on_a_worker_that_left_is_lost_after_the_lease(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    engine.answered = {"w2"}
    async with performing(tmp_path, engine, placed=PLACED) as one:
        assert "host-1 left the cluster" in str(await ends(one))
        assert one.ended_after == pytest.approx(LOST_AFTER_S, abs=0.1)


async def test_placed_and_a_silent_worker_is_lost_after_the_lease(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    engine.silent = {"w1"}
    async with performing(tmp_path, engine, placed=PLACED) as one:
        assert "host-1 does not answer" in str(await ends(one))
        assert one.ended_after == pytest.approx(LOST_AFTER_S, abs=0.1)


async def test_placed_on_another_engine_is_lost_after_the_lease(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    engine.has_engine = False
    earlier = replace(PLACED, engine="engine-0")
    async with performing(tmp_path, engine, placed=earlier) as one:
        engine.say(EngineSeen("engine-1", {}))
        assert "scheduler of the cluster was started again" in str(await ends(one))
        assert one.ended_after == pytest.approx(LOST_AFTER_S, abs=0.1)


async def test_placed_and_no_engine_waits_until_the_driver_gives_up(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    engine.has_engine = False
    async with performing(tmp_path, engine, placed=PLACED) as one:
        engine.say(EngineLost("the scheduler does not answer"))
        await trio.sleep(10 * LEASE_S)
        # Its workers may still reach the engine: then the command goes on.
        assert not one.ended.is_set()
        engine.say(EngineLost("for too long", final=True))
        outcome = await ends(one)
        assert isinstance(outcome, WorkOutcome)
        assert outcome.broken is not None
        assert outcome.broken.kind == "connection"
        assert "host-1" in outcome.broken.message


@pytest.mark.parametrize("state", ["asking", "running", "ended", "refused", "nothing"])
async def test_not_placed_is_submitted_anew_and_what_is_there_is_ended(
    state: str, engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    engine.set_copy(state)
    async with performing(tmp_path, engine) as one:
        await trio.sleep(6)
        ((ticket, run),) = engine.called("submit")
        assert ticket == one.ticket
        assert run != PLACED.run
        one.ask("w1", run=PLACED.run)
        await one.settle()
        assert not one.commits
        assert not engine.called("allow")
        by_state = {"asking": "refuse", "running": "cancel", "ended": "forget", "refused": "forget"}
        if state in by_state:
            assert engine.called(by_state[state])
        one.ask("w2")
        await one.settle()
        assert one.commits == [("placed", run, "w2", "host-2")]
        assert engine.called("allow") == [[one.ticket, run, "w2", 3]]
