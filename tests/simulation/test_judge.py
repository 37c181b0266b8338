"""The judge has a rule for each type of event, and the simulated jobs have each of these types."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from msgspec.structs import replace

from orc.ledger.events import EVENT_TYPES
from tests.scheduler.watches import Objection
from tests.simulation.judge import IMPOSSIBLE, RULES, WORKER_RULES, Judge
from tests.simulation.simulation import Told, simulate

SEEDS = 500

FALSE: dict[str, dict[str, Any]] = {
    "job.started": {"only": ("s0",)},
    "job.resumed": {"kept": ("s0", "s1", "s2")},
    "job.interrupted": {"signal": "SIGHUP"},
    "job.waiting": {"steps": ()},
    "job.failed": {"failures": ()},
    "job.amended": {"reset": ("s0",)},
    "job.tagged": {"added": (), "removed": ()},
    "score.recorded": {"attempt": 1000},
    "job.cancelling": {"steps": ("s0", "s1")},
    "circuit.opened": {"failures": 1000},
    "circuit.closed": {"target": "alpha/other"},
    "budget.exceeded": {"needed": 0.0},
    "budget.raised": {"max_calls": None, "max_tokens": None, "max_cost_nano_usd": None},
    "step.started": {"attempt": 1000},
    "step.switched": {"to_target": "alpha/other"},
    "step.succeeded": {"attempt": 1000},
    "step.failed": {"attempt": 1000},
    "step.expanded": {"attempt": 1000},
    "step.skipped": {"because": ("nothing",)},
    "step.interrupted": {"attempt": 1000},
    "approval.requested": {"options": ("maybe",)},
    "approval.decided": {"option": "maybe"},
    "llm.requested": {"worst_case": None},
    "llm.responded": {"call": 1000},
    "llm.failed": {"provider": "other"},
    "cache.hit": {"version": 1},
    "file.written": {"path": "elsewhere.txt"},
}
"""For each type, fields that cannot be true. The others are false where they stand twice."""


def test_every_type_of_event_has_a_rule_or_a_reason_why_it_is_impossible() -> None:
    every = [*RULES, *WORKER_RULES, *IMPOSSIBLE]
    assert len(every) == len(set(every))
    assert set(every) == set(EVENT_TYPES)


_SEEDS_OF_ALL_TYPES = (6, 140, 25, 28, 143)


@cache
def some_runs() -> tuple[Told, ...]:
    """Runs that together have each type of event."""
    return tuple(simulate(seed) for seed in _SEEDS_OF_ALL_TYPES)


def judged(told: Told, at: int, *events: Any) -> None:
    """Judge the run up to that place, and then these events."""
    assert told.definition is not None
    judge = Judge(told.definition)
    judge.observe(told.stream[:at])
    recorded = told.stream[at]
    for version, event in enumerate(events, at + 1):
        judge.observe([recorded._replace(version=version, event=event)])


def places(event_type: str) -> Iterator[tuple[Told, int]]:
    for told in some_runs():
        for at, recorded in enumerate(told.stream):
            if recorded.event.type == event_type:
                yield told, at


@pytest.mark.parametrize("event_type", RULES)
def test_a_false_event_of_each_type_is_objected_to(event_type: str) -> None:
    told, at = next(places(event_type))
    event: Any = told.stream[at].event
    judged(told, at, event)
    wrong = FALSE.get(event_type)
    events = [event, event] if wrong is None else [replace(event, **wrong)]
    with pytest.raises(Objection):
        judged(told, at, *events)


@pytest.mark.torture
def test_the_seeds_have_every_type_of_event(capsys: pytest.CaptureFixture[str]) -> None:
    events: Counter[str] = Counter()
    jobs: Counter[str] = Counter()
    for seed in range(SEEDS):
        types = Counter(recorded.event.type for recorded in simulate(seed).stream)
        events += types
        jobs.update(types.keys())
    with capsys.disabled():
        print(f"\n{SEEDS} seeds: events of each type, and jobs that have some")
        for name in sorted(RULES):
            print(f"{name:20} {events[name]:6} {jobs[name]:5}")
    assert not [name for name in RULES if not events[name]]
