"""The simulation finds bugs: with each of these rules broken, some seed fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import pytest
from msgspec.structs import replace

import orc.projections.tables.projector as projecting
import orc.projections.tables.reuse as reusing
import orc.scheduler.attempt as performing
import orc.scheduler.branching as branching
import orc.scheduler.budget_gate as budget_gate
import orc.scheduler.core.fold.amend as amending
import orc.scheduler.core.fold.calls as calls
import orc.scheduler.core.fold.compare as comparing
import orc.scheduler.core.fold.evolve as folding
import orc.scheduler.core.fold.limits as limits
import orc.scheduler.core.fold.queues as queues
import orc.scheduler.core.fold.reopen as reopening
import orc.scheduler.core.rules.decide as deciding
import orc.scheduler.guard as guarding
import orc.scheduler.rates as rates
import orc.scheduler.result_key as keying
import orc.scheduler.runner as running
import orc.scheduler.running as attempts
from orc.ledger import Ledger, Recorded
from orc.ledger.errors import StorageError
from orc.ledger.events import AnyEvent, LlmRequested, Reserved
from orc.projections import ReadModel
from orc.scheduler.budget_gate import BudgetGate
from orc.scheduler.call_journal import CallJournal
from orc.scheduler.clock import Clock
from orc.scheduler.core.commands import Failed, RecordCall
from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.fold.budgets import charge_cut_call, find_shortfall
from orc.scheduler.core.fold.limits import room_of
from orc.scheduler.core.fold.queues import WorkQueues
from orc.scheduler.core.fold.reopen import job_resumed
from orc.scheduler.core.fold.scores import score_again, score_recorded
from orc.scheduler.core.fold.state import JobState
from orc.scheduler.core.fold.work import wait_for_retry
from orc.scheduler.core.rules.decide import decide
from orc.scheduler.core.rules.ending import settle
from orc.scheduler.core.rules.scores import tag
from orc.scheduler.core.score_values import number_or_boolean
from orc.scheduler.runner import Runner
from orc.scheduler.stopping import Stop
from orc.scheduler.turn import Message
from tests.simulation.simulation import SimulationFailed, simulate

SEEDS_MAX = 600

Break = Callable[[pytest.MonkeyPatch], None]


def reopens_a_success(patch: pytest.MonkeyPatch) -> None:
    reopen = reopening.reopen

    def broken(state: JobState, recorded_at: str) -> None:
        done = [step for step in state.steps.values() if step.status == "succeeded"]
        if done:
            done[-1].status = "cancelled"
        reopen(state, recorded_at)

    patch.setattr(reopening, "reopen", broken)


def lets_one_more_ask_a_provider(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(queues, "room_of", lambda *told: room_of(*told) + 1)


def lets_one_more_run(patch: pytest.MonkeyPatch) -> None:
    def broken(state: JobState, step_id: str) -> None:
        provider = state.provider_of(step_id)
        state.running[provider] = state.running.get(provider, 0) + 1
        # Count only every second step.
        state.running_total += state.running_total % 2 == 0

    patch.setattr(folding, "enter_running", broken)


def trusts_a_recorded_time_after_a_clock_jump(patch: pytest.MonkeyPatch) -> None:
    def broken(state: JobState, step_id: str, now: float) -> None:
        step = state.steps[step_id]
        wait_for_retry(state, step_id, step.retry_at or now, step.delay_s or 0.0)

    patch.setattr(reopening, "_clamp_retry", broken)


def waits_by_the_wall_clock(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Clock, "now", lambda clock: clock.wall())


def forgets_the_worst_case_of_a_lost_call(patch: pytest.MonkeyPatch) -> None:
    def broken(state: JobState, step_id: str) -> None:
        spent = {account: vars_of(value) for account, value in state.spent.items()}
        charge_cut_call(state, step_id)
        for account, (calls_before, tokens_before) in spent.items():
            state.spent[account].calls = calls_before
            state.spent[account].tokens = tokens_before

    patch.setattr(calls, "charge_cut_call", broken)


def vars_of(spent: Any) -> tuple[int, int]:
    return spent.calls, spent.tokens


def spends_beyond_a_budget(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(budget_gate, "find_shortfall", lambda *told, **more: None)


def spends_beyond_a_budget_in_money(patch: pytest.MonkeyPatch) -> None:
    def broken(state: Any, step_id: str, need: Reserved, **more: Any) -> Any:
        return find_shortfall(state, step_id, replace(need, cost_nano_usd=0), **more)

    patch.setattr(budget_gate, "find_shortfall", broken)


def charges_no_money(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(BudgetGate, "charge", lambda gate, event: event)


def sends_more_calls_than_its_rate(patch: pytest.MonkeyPatch) -> None:
    room = rates._Meter._room_beside
    patch.setattr(rates._Meter, "_room_beside", lambda *told: room(*told) + 1)


def waits_although_its_rate_has_room(patch: pytest.MonkeyPatch) -> None:
    room = rates._Meter._room_beside
    patch.setattr(rates._Meter, "_room_beside", lambda *told: max(0, room(*told) - 1))


def opens_no_circuit(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(deciding, "circuit_events", lambda *told: [])


def asks_through_an_open_circuit(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(limits, "lets_through", lambda *told, **more: True)


def lets_every_step_probe(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(folding, "assign_probe", lambda *told: None)


def runs_a_step_in_doubt_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(branching, "is_held_by_doubt", lambda *told: False)


def forgets_a_doubt(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(folding, "find_doubt", lambda *told: None)


def tells_of_no_call_in_doubt(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(projecting, "mark_in_doubt", lambda *told: None)


def sends_a_call_before_its_commit(patch: pytest.MonkeyPatch) -> None:
    record = CallJournal.record

    async def broken(journal: CallJournal, event: Any, *blobs: bytes | None) -> None:
        if isinstance(event, LlmRequested):
            kept = tuple(blob for blob in blobs if blob is not None)
            await journal._send.send(Message(RecordCall(event), kept))
        else:
            await record(journal, event, *blobs)

    patch.setattr(CallJournal, "record", broken)


def forgets_replies_that_were_paid(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(calls, "_keep_reply", lambda *told: None)


def loses_a_signal_when_its_job_dies(patch: pytest.MonkeyPatch) -> None:
    def broken(state: JobState, *told: Any) -> None:
        job_resumed(state, *told)
        state.signal_seen = state.cancel_seen = 1_000_000

    patch.setattr(folding, "job_resumed", broken)


def ignores_a_stop_signal_for_running_attempts(patch: pytest.MonkeyPatch) -> None:
    def broken(runner: Runner, command: Any) -> None:
        runner._stop = Stop("cancel", command)

    patch.setattr(Runner, "_begin_stop", broken)


def sleeps_through_a_retry(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(WorkQueues, "next_due", lambda queues, now: None)


def continues_after_a_failed_commit(patch: pytest.MonkeyPatch) -> None:
    append = Ledger.append

    def broken(ledger: Ledger, batch: Sequence[Recorded], **more: Any) -> None:
        with suppress(StorageError):
            append(ledger, batch, **more)

    patch.setattr(Ledger, "append", broken)


def commits_a_start_after_what_it_starts(patch: pytest.MonkeyPatch) -> None:
    apply = Runner._apply

    def broken(runner: Runner, events: list[AnyEvent], turn: Any) -> None:
        apply(runner, sorted(events, key=lambda event: event.type == "step.started"), turn)
        turn.recorded.sort(key=lambda recorded: recorded.event.type == "step.skipped")

    patch.setattr(Runner, "_apply", broken)


def withholds_events_from_the_tables(patch: pytest.MonkeyPatch) -> None:
    apply = ReadModel.apply

    def broken(model: ReadModel, connection: Any, batch: Sequence[Recorded]) -> None:
        is_live = not any(recorded.event.type == "job.submitted" for recorded in batch)
        left = [one for one in batch if not (is_live and one.event.type == "step.interrupted")]
        apply(model, connection, left)

    patch.setattr(ReadModel, "apply", broken)


def leaves_out_an_event(patch: pytest.MonkeyPatch) -> None:
    def broken(state: JobState, command: Any) -> list[AnyEvent]:
        return [event for event in decide(state, command) if event.type != "step.skipped"]

    patch.setattr(running, "decide", broken)
    patch.setattr(guarding, "decide", broken)


def lets_an_exception_of_one_step_out(patch: pytest.MonkeyPatch) -> None:
    def broken(error: Exception, *told: Any) -> Failed:
        raise error

    for module in (branching, keying, guarding):
        patch.setattr(module, "failure_between_turns", broken)


def lets_an_exception_of_an_attempt_out(patch: pytest.MonkeyPatch) -> None:
    def broken(error: Exception, *told: Any) -> Failed:
        raise error

    patch.setattr(performing, "failure_of_attempt", broken)
    patch.setattr(attempts, "failure_of_attempt", broken)


def ends_before_its_scores(patch: pytest.MonkeyPatch) -> None:
    def broken(state: JobState) -> list[AnyEvent]:
        kept, state.unscored = state.unscored, {}
        events = settle(state)
        state.unscored = kept
        return events

    patch.setattr(deciding, "settle", broken)


def forgets_the_scores_of_a_dead_process(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reopening, "score_again", lambda state: state.unscored.clear())


def scores_a_result_again_after_a_resume(patch: pytest.MonkeyPatch) -> None:
    def broken(state: JobState) -> None:
        done = [name for name, step in state.steps.items() if step.status == "succeeded"]
        state.unscored |= {name: None for name in done if state.graph.steps[name].is_scored}
        score_again(state)

    patch.setattr(reopening, "score_again", broken)


def keeps_the_scores_of_a_changed_expression(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(comparing, "find_rescored", lambda *told: ())


def scores_nothing_again_that_is_to_be_scored_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(amending, "rescore", lambda *told: None)


def gives_the_score_of_a_judge_to_itself(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(branching.BranchEvaluator, "_about", lambda *told: None)


def takes_a_broken_score_for_zero(patch: pytest.MonkeyPatch) -> None:
    def broken(value: Any) -> Any:
        try:
            return number_or_boolean(value)
        except TemplateError:
            return 0.0

    patch.setattr(branching, "number_or_boolean", broken)


def takes_a_boolean_for_a_number(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(branching, "number_or_boolean", lambda value: float(number_or_boolean(value)))


def hears_a_person_twice(patch: pytest.MonkeyPatch) -> None:
    def broken(state: JobState, event: Any) -> None:
        score_recorded(state, replace(event, signal_id=None))

    patch.setattr(folding, "score_recorded", broken)


def hears_no_person_after_a_crash(patch: pytest.MonkeyPatch) -> None:
    def broken(state: JobState, *told: Any) -> None:
        job_resumed(state, *told)
        state.signal_seen = 1_000_000

    patch.setattr(folding, "job_resumed", broken)


def keeps_a_tag_that_was_removed(patch: pytest.MonkeyPatch) -> None:
    def broken(state: JobState, command: Any) -> list[AnyEvent]:
        return tag(state, replace(command, removed=()))

    patch.setattr(deciding, "tag", broken)


def keeps_scores_of_before_in_the_table(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reusing, "drop_scores", lambda *told: None)


BREAKS: tuple[Break, ...] = (
    ends_before_its_scores,
    forgets_the_scores_of_a_dead_process,
    scores_a_result_again_after_a_resume,
    keeps_the_scores_of_a_changed_expression,
    scores_nothing_again_that_is_to_be_scored_again,
    gives_the_score_of_a_judge_to_itself,
    takes_a_broken_score_for_zero,
    takes_a_boolean_for_a_number,
    hears_a_person_twice,
    hears_no_person_after_a_crash,
    keeps_a_tag_that_was_removed,
    keeps_scores_of_before_in_the_table,
    reopens_a_success,
    lets_one_more_ask_a_provider,
    lets_one_more_run,
    trusts_a_recorded_time_after_a_clock_jump,
    waits_by_the_wall_clock,
    forgets_the_worst_case_of_a_lost_call,
    spends_beyond_a_budget,
    spends_beyond_a_budget_in_money,
    charges_no_money,
    sends_more_calls_than_its_rate,
    waits_although_its_rate_has_room,
    opens_no_circuit,
    asks_through_an_open_circuit,
    lets_every_step_probe,
    runs_a_step_in_doubt_again,
    forgets_a_doubt,
    tells_of_no_call_in_doubt,
    sends_a_call_before_its_commit,
    forgets_replies_that_were_paid,
    loses_a_signal_when_its_job_dies,
    ignores_a_stop_signal_for_running_attempts,
    sleeps_through_a_retry,
    continues_after_a_failed_commit,
    commits_a_start_after_what_it_starts,
    withholds_events_from_the_tables,
    leaves_out_an_event,
    lets_an_exception_of_one_step_out,
    lets_an_exception_of_an_attempt_out,
)


def failing_seeds(seeds: range) -> Iterator[int]:
    """The seeds that fail."""
    for seed in seeds:
        try:
            simulate(seed)
        except SimulationFailed:
            yield seed


@pytest.mark.torture
@pytest.mark.parametrize("broken", BREAKS, ids=lambda broken: broken.__name__)
def test_each_broken_rule_fails_a_seed(broken: Break, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch)
    assert next(failing_seeds(range(SEEDS_MAX)), None) is not None
