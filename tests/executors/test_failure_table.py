"""What goes wrong with an attempt on an engine, row by row, and what the executor makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from orc.ledger.digest import Digest
from orc.scheduler.executors.contract import (
    PROTOCOL,
    Broken,
    Dropped,
    Ended,
    EngineLost,
    EngineSeen,
    Gone,
    Lost,
    Superseded,
    WorkFile,
    WorkOutcome,
)
from orc.scheduler.executors.errors import EngineProblem, EngineUnreachable, WorkerLeft
from orc.scheduler.executors.lease_wait import MARGIN_S
from tests.executors.remote_simulation import no_threads
from tests.executors.scripted_engine import JOB, LEASE_S, PLACED, ScriptedEngine, performing
from tests.executors.test_resume_table import LOST_AFTER_S, TICKET, ends

FILE = WorkFile("a.txt", Digest("0" * 64), 1)
NOT_NOW = EngineUnreachable("timeout", "the engine has not answered in time")


@pytest.fixture(autouse=True)
def _no_threads() -> Iterator[None]:
    with no_threads():
        yield


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


async def test_a_command_that_fails_is_an_outcome(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with performing(tmp_path, engine) as one:
        engine.outcome = WorkOutcome(exit_code=3)
        one.ask()
        await one.settle()
        assert [name for name, *_ in engine.calls if name in ("placed", "allow")] == [
            "placed",
            "allow",
        ]
        engine.say(Ended(TICKET, one.run, "w1", engine.outcome))
        assert await ends(one) == engine.outcome


async def test_every_order_has_the_epoch_of_its_owner_and_a_later_one_stops_it(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    engine.errors["refuse"] = [Superseded("a later process owns this job")]
    async with performing(tmp_path, engine) as one:
        one.ask()
        await one.settle()
        one.ask("w2")
        await one.settle()
        assert one.executor.is_superseded
        assert engine.epochs == [one.epoch]
        assert engine.called("cancel") == []


async def test_nothing_is_fetched_of_a_copy_whose_outcome_is_whole(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    outcome = WorkOutcome(exit_code=0, stdout=b"all", log_bytes=3, log=b"all")
    assert outcome.is_whole
    for files in ({"files": (FILE,)}, {"artifacts": (FILE,)}, {"folders": ("d",)}, {"log": None}):
        assert not replace(outcome, **files).is_whole
    async with performing(tmp_path, engine) as one:
        one.ask()
        await one.settle()
        engine.say(Ended(TICKET, one.run, "w1", outcome))
        assert await ends(one) == outcome
        assert engine.called("fetch") == []
        assert one.logs == [b"all"]


@pytest.mark.parametrize("more", [False, True])
async def test_a_worker_that_left_loses_the_attempt_after_the_lease_whatever_else_joins(
    more: bool, engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    engine.has_engine = False
    async with performing(tmp_path, engine, placed=PLACED) as one:
        engine.say(Gone("w1"))
        for number in range(8 if more else 0):
            await trio.sleep(2)
            engine.say(EngineSeen("engine-1", {f"new-{number}": {}}))
        assert "left the cluster" in str(await ends(one))
        assert one.ended_after == pytest.approx(LOST_AFTER_S, abs=1.1)


async def test_a_worker_that_comes_back_within_the_lease_loses_nothing(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    engine.set_copy("running")
    async with performing(tmp_path, engine, placed=PLACED) as one:
        engine.silent = {"w1"}
        engine.copies.clear()
        await trio.sleep(LEASE_S)
        engine.silent = set()
        engine.set_copy("running")
        await trio.sleep(5 * LEASE_S)
        assert not one.ended.is_set()


async def test_the_engines_own_second_copy_never_starts(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with performing(tmp_path, engine) as one:
        one.ask("w1")
        one.ask("w2")
        await one.settle()
        assert [commit[2] for commit in one.commits] == ["w1"]
        assert engine.called("allow") == [[one.ticket, one.run, "w1", 3]]
        assert engine.called("refuse") == [[one.ticket, one.run, "w2"]]
        engine.say(Ended(TICKET, one.run, "w2", WorkOutcome(exit_code=7)))
        await one.settle()
        assert not one.ended.is_set()


async def test_a_copy_of_an_attempt_that_is_not_performed_is_refused(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with performing(tmp_path, engine) as one:
        one.ticket = type(one.ticket)(JOB, "other/part", 2)
        one.ask("w2", run="cccccccc")
        one.ask("w2", run="cccccccc")
        await one.settle()
        assert [call[0] for call in engine.called("refuse")] == [one.ticket] * 1


async def test_a_scheduler_that_is_gone_for_good_ends_attempts_now_and_later(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with performing(tmp_path, engine) as one:
        engine.say(EngineLost("not now"))
        await one.settle()
        assert not one.ended.is_set()
        engine.say(EngineLost("for too long", final=True))
        outcome = await ends(one)
        assert isinstance(outcome, WorkOutcome)
        assert outcome.broken == Broken(
            "connection", "the executor 'cluster' does not answer: for too long"
        )
        assert engine.called("withdraw")
        async with performing(tmp_path, engine, attempt=2, executor=one.executor) as later:
            assert isinstance(await ends(later), WorkOutcome)


async def test_an_engine_that_is_closed_ends_its_attempts(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with performing(tmp_path, engine) as one:
        engine.close()
        outcome = await ends(one)
        assert isinstance(outcome, WorkOutcome)
        assert outcome.broken is not None
        assert outcome.broken.kind == "connection"


async def test_another_scheduler_waits_for_the_lease_although_the_engine_dropped_the_copy(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    engine.answered = {"w2"}
    async with performing(tmp_path, engine, placed=PLACED) as one:
        engine.say(Dropped(TICKET, PLACED.run, "", "the cluster has another scheduler"))
        engine.say(EngineSeen("engine-2", {}))
        assert isinstance(await ends(one), str)
        assert one.ended_after == pytest.approx(LOST_AFTER_S, abs=0.1)


async def test_a_worker_that_says_that_the_lease_was_over_loses_the_attempt_now(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    engine.set_copy("running")
    async with performing(tmp_path, engine, placed=PLACED) as one:
        engine.say(Dropped(TICKET, PLACED.run, "w1", "the lease was over"))
        assert "the lease was over" in str(await ends(one))
        assert one.ended_after == 0.0


async def test_a_copy_that_the_engine_dropped_before_it_asked_is_submitted_anew(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with performing(tmp_path, engine) as one:
        first = one.run
        engine.say(Dropped(TICKET, first, "", "KilledWorker"))
        await trio.sleep(1)
        assert one.run != first
        assert engine.called("withdraw") == [[one.ticket, first]]
        one.ask(run=first)
        await one.settle()
        assert not one.commits


async def test_an_attempt_that_never_starts_fails_with_the_reason(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with performing(tmp_path, engine) as one:
        for _ in range(10):
            engine.say(Dropped(TICKET, one.run, "w1", "the field 'argv' is not valid"))
            await trio.sleep(31)
        outcome = await ends(one)
        assert isinstance(outcome, WorkOutcome)
        assert outcome.broken is not None
        assert outcome.broken.kind == "environment"
        assert "10 submissions: the field 'argv'" in outcome.broken.message


async def test_a_copy_that_a_worker_gave_up_before_it_was_placed_is_submitted_anew(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with performing(tmp_path, engine) as one:
        first = one.run
        engine.set_copy("refused", run=first)
        await trio.sleep(10)
        assert one.run != first


async def test_a_copy_of_which_nothing_is_heard_for_long_is_submitted_once_more(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with performing(tmp_path, engine) as one:
        await trio.sleep(301)
        assert engine.called("submit") == [[one.ticket, one.run]] * 2


async def test_an_engine_that_refuses_the_work_fails_the_attempt(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    engine.errors["submit"] = [NOT_NOW, EngineProblem("bad", "no such engine")]
    async with performing(tmp_path, engine) as one:
        outcome = await ends(one)
        assert isinstance(outcome, WorkOutcome)
        assert outcome.broken == Broken("environment", "no such engine")


async def test_a_permission_whose_answer_is_lost_is_given_again_and_takes_nothing_back(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    engine.errors["allow"] = [NOT_NOW]
    async with performing(tmp_path, engine) as one:
        one.ask()
        await one.settle()
        one.ask()
        await one.settle()
        assert len(engine.called("allow")) == 2
        assert [name for name, *_ in one.commits] == ["placed"]


async def test_a_permission_to_a_worker_that_left_waits_for_the_lease(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    engine.errors["allow"] = [WorkerLeft("gone", "it left")]
    engine.has_engine = False
    async with performing(tmp_path, engine) as one:
        one.ask()
        assert "left the cluster" in str(await ends(one))
        assert one.ended_after == pytest.approx(LOST_AFTER_S, abs=0.1)


async def test_a_copy_that_lacks_its_inputs_is_unplaced_only_once_it_is_refused_for_certain(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    engine.errors["allow"] = [EngineProblem("missing", "inputs")] * 2
    engine.errors["refuse"] = [NOT_NOW]
    async with performing(tmp_path, engine) as one:
        first = one.run
        one.ask()
        await one.settle()
        # The order to refuse may not have arrived, and the first permission may come late.
        assert [name for name, *_ in one.commits] == ["placed"]
        one.ask()
        await trio.sleep(1)
        assert [name for name, *_ in one.commits] == ["placed", "unplaced"]
        assert one.run != first


@pytest.mark.parametrize(("answers_lost", "how"), [(0, "unplaced"), (1, "lost")])
async def test_a_worker_that_does_not_know_a_copy_never_started_it_unless_it_was_allowed_before(
    answers_lost: int, how: str, engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    engine.errors["allow"] = [NOT_NOW] * answers_lost + [EngineProblem("unknown", "unknown")]
    async with performing(tmp_path, engine) as one:
        for _ in range(answers_lost + 1):
            one.ask(run=str(engine.called("submit")[0][1]))
            await one.settle()
        assert (one.lost is not None) == (how == "lost")
        assert ("unplaced" in [name for name, *_ in one.commits]) == (how == "unplaced")


async def test_a_census_that_began_before_the_placement_loses_nothing(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with performing(tmp_path, engine) as one:
        engine.census_takes_s = 3.0
        one.executor.count_soon()
        await trio.sleep(1)
        one.ask()
        await trio.sleep(2.5)
        assert engine.called("count")
        assert not one.ended.is_set()


async def test_a_result_on_a_worker_that_left_is_lost(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    for problem in (Lost("gone"), WorkerLeft("gone", "gone"), EngineProblem("odd", "odd")):
        engine.outcome = problem
        engine.set_copy("ended")
        async with performing(tmp_path, engine, placed=PLACED) as one:
            assert "was lost" in str(await ends(one))


async def test_a_result_that_cannot_be_stored_here_fails_the_attempt(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    (tmp_path / "work-1.fetched").write_text("in the way")
    (tmp_path / "work-1.fetched").chmod(0o400)
    tmp_path.joinpath("file").write_text("")
    engine.set_copy("ended")
    async with performing(tmp_path / "file", engine, placed=PLACED) as one:
        outcome = await ends(one)
        assert isinstance(outcome, WorkOutcome)
        assert outcome.broken is not None
        assert outcome.broken.kind == "environment"


async def test_a_worker_with_another_protocol_starts_nothing_and_both_numbers_are_said(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with performing(tmp_path, engine) as one:
        one.ask(protocol=7)
        outcome = await ends(one)
        assert isinstance(outcome, WorkOutcome)
        assert outcome.broken is not None
        assert f"protocol 7, here {PROTOCOL}" in outcome.broken.message
        assert not one.commits
        assert engine.called("refuse")
        assert engine.called("withdraw")


async def test_a_superseded_owner_starts_nothing_and_ends_nothing(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    engine.set_copy("running")
    async with (
        performing(tmp_path, engine, placed=PLACED) as one,
        performing(
            tmp_path, engine, step="late", executor=one.executor, is_superseded=True
        ) as late,
    ):
        late.ask("w2")
        await late.settle()
        assert late.ended.is_set()
        assert not engine.called("allow")
        # The other process has taken over what runs, and submits what did not.
        late.ask("w2", run="dddddddd")
        one.scope.cancel()
        await one.settle()
        assert one.ended.is_set()
        assert not engine.called("cancel")
        assert not engine.called("refuse")


async def test_a_cancelled_attempt_that_was_not_placed_is_withdrawn(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with performing(tmp_path, engine) as one:
        one.scope.cancel()
        await one.ended.wait()
        assert engine.called("withdraw") == [[one.ticket, one.run]]


async def test_the_order_to_end_is_given_again_until_nothing_runs(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    engine.set_copy("running")
    engine.errors["cancel"] = [NOT_NOW] * 3
    async with performing(tmp_path, engine, placed=PLACED) as one:
        one.scope.cancel()
        await trio.sleep(5)
        assert not one.ended.is_set()
        assert len(engine.called("cancel")) >= 4
        engine.set_copy("ended")
        await one.ended.wait()
        assert engine.called("forget") == [[one.ticket, PLACED.run, "w1"]]


async def test_a_cancelled_attempt_ends_in_bounded_time_without_an_engine(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    engine.set_copy("running")
    async with performing(tmp_path, engine, placed=PLACED) as one:
        engine.has_engine = False
        engine.errors["cancel"] = [NOT_NOW] * 10_000
        one.scope.cancel()
        await one.ended.wait()
        assert one.ended_after <= 2.0 + LEASE_S + 2 * MARGIN_S + 0.1


async def test_a_second_stop_gives_no_more_grace(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    engine.set_copy("running")
    async with performing(tmp_path, engine, placed=PLACED) as one:
        one.scope.cancel()
        await one.settle()
        one.executor.skip_grace()
        await one.settle()
        graces = [call[-1] for call in engine.called("cancel")]
        assert graces == [2.0, 0.0]


async def test_a_stop_during_the_commit_of_a_placement_still_ends_its_copy(
    engine: ScriptedEngine,
    tmp_path: Path,
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with performing(tmp_path, engine) as one:
        commit = one.place

        async def cancelled_meanwhile(placement: object) -> None:
            one.scope.cancel()
            await commit(placement)  # type: ignore[arg-type]

        monkeypatch.setattr(one, "place", cancelled_meanwhile)
        one.ask()
        await trio.sleep(1)
        assert [name for name, *_ in one.commits] == ["placed"]
        assert engine.called("cancel") == [[one.ticket, one.run, "w1", 2.0]]


@pytest.mark.parametrize("state", ["running", "asking"])
async def test_an_earlier_attempt_is_ended_before_the_next_one_is_placed(
    state: str, engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    engine.set_copy(state)
    async with performing(tmp_path, engine, attempt=2) as one:
        one.ask("w2")
        # It takes longer than any lease: what is seen running is not overlooked.
        await trio.sleep(4 * LOST_AFTER_S)
        assert not one.commits
        assert engine.called("cancel" if state == "running" else "refuse")
        engine.set_copy("nothing")
        await trio.sleep(1)
        assert [name for name, *_ in one.commits] == ["placed"]


async def test_a_silent_worker_may_run_an_earlier_attempt_until_its_lease_is_over(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    engine.silent = {"w1"}
    async with performing(tmp_path, engine, attempt=2) as one:
        one.ask("w2")
        await trio.sleep(LOST_AFTER_S - 0.5)
        assert not one.commits
        await trio.sleep(1)
        assert [name for name, *_ in one.commits] == ["placed"]


async def test_without_a_census_no_later_attempt_is_placed(
    engine: ScriptedEngine, tmp_path: Path, autojump_clock: MockClock
) -> None:
    engine.has_engine = False
    async with performing(tmp_path, engine, attempt=2) as one:
        one.ask("w2")
        await trio.sleep(4 * LOST_AFTER_S)
        assert not one.commits
        engine.has_engine = True
        await trio.sleep(6)
        assert [name for name, *_ in one.commits] == ["placed"]
