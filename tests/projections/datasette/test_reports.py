"""The reports over all jobs give the sums of the rows."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from orc.projections.datasette.queries import QUERIES
from tests.builders import JOB, step
from tests.projections.support import OTHER, begun, open_in, write

STEPS = [
    # name, duration_s, calls, cost_usd, calls_unpriced, reused, reused_from
    *((f"each[{number}]", float(number), 0, None, 0, None, None) for number in range(1, 101)),
    ("draft#1", 7.0, 2, 0.5, 0, None, None),
    ("draft#2", 9.0, 1, 0.25, 1, None, None),
    ("copy", None, 0, None, 0, "fork", f"{JOB}/draft#1"),
    ("lost", None, 0, None, 0, "cache", "job_gone/x"),
]
ATTEMPTS = [
    # step, attempt, status, failure_kind
    ("draft#1", 1, "failed", "timeout"),
    ("draft#1", 2, "succeeded", None),
    ("draft#2", 1, "succeeded", None),
    ("draft#2", 2, "failed", "schema"),
    ("copy", 1, "succeeded", None),
]
CALLS = [
    # step, call, status, model, at, cost_usd, tokens, saved_usd, in_doubt, failure_kind
    ("draft#1", 1, "failed", "good", "2026-01-01T23:59:59", None, None, None, 1, "timeout"),
    ("draft#1", 2, "answered", "good", "2026-01-01T23:59:59", 0.5, 10, None, None, None),
    ("draft#2", 1, "answered", "good", "2026-01-02T00:00:00", 0.25, 10, None, None, None),
    ("draft#2", 2, "answered", "poor", "2026-01-02T00:00:00", None, 10, None, None, None),
    ("draft#2", 3, "from ledger", "good", "2026-01-02T00:00:00", None, None, 0.5, None, None),
]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with two jobs of a project, and rows whose sums are easy to compute."""
    folder = tmp_path_factory.mktemp("reports")
    with open_in(folder) as ledger:
        other = begun(step("each[1]"), job_id=OTHER, project="birds")
        write(ledger, begun(step("zero"), project="birds"), other)
        for place, (name, *values) in enumerate(STEPS):
            ledger.connection.execute(
                "INSERT INTO steps (step_id, name, job_id, position, kind, status, needs, attempts, "
                "input_tokens, output_tokens, calls_in_doubt, in_doubt_unpriced, tolerated, "
                "duration_s, calls, cost_usd, calls_unpriced, reused, reused_from) "
                "VALUES (?, ?, ?, ?, 'value', 'succeeded', '', 1, 0, 0, 0, 0, 0, ?, ?, ?, ?, ?, ?)",
                (f"{JOB}/{name}", name, JOB, place + 1, *values),
            )
        for name, attempt, *values in ATTEMPTS:
            ledger.connection.execute(
                "INSERT INTO attempts (attempt_id, name, job_id, step_id, attempt, started_at, "
                "finished_at, status, failure_kind) VALUES (?, ?, ?, ?, ?, '', '2026', ?, ?)",
                (f"{JOB}/{name}/{attempt}", "", JOB, f"{JOB}/{name}", attempt, *values),
            )
        for name, call, status, model, at, cost, tokens, *values in CALLS:
            ledger.connection.execute(
                "INSERT INTO llm_calls (call_id, name, job_id, step_id, attempt_id, call, provider, "
                "status, model, requested_at, cost_usd, input_tokens, output_tokens, saved_usd, "
                "in_doubt, failure_kind) "
                "VALUES (?, '', ?, ?, ?, ?, 'p', ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    f"{JOB}/{name}/1/{call}",
                    JOB,
                    f"{JOB}/{name}",
                    f"{JOB}/{name}/1",
                    call,
                    status,
                    model,
                    at,
                    cost,
                    tokens,
                    tokens,
                    *values,
                ),
            )
        for table, amounts in (("steps", ["cost"]), ("llm_calls", ["cost", "saved"])):
            for amount in amounts:
                ledger.connection.execute(
                    f"UPDATE {table} SET {amount}_nano_usd = 1e9 * {amount}_usd "
                    f"WHERE {amount}_usd IS NOT NULL"
                )
    return folder / "runs.db"


def rows(database: Path, query: str, *columns: str) -> list[tuple[Any, ...]]:
    """Some columns of all rows of a query."""
    with closing(sqlite3.connect(database)) as connection:
        connection.row_factory = sqlite3.Row
        found = connection.execute(str(QUERIES[query]["sql"])).fetchall()
    return [tuple(row[column] for column in columns) for row in found]


def test_costs_are_summed_by_the_day_of_the_call(database: Path) -> None:
    columns = ("day", "jobs", "calls", "failed", "cost_usd", "calls_unpriced", "saved_usd")
    assert rows(database, "cost_by_day", *columns) == [
        ("2026-01-02", 1, 2, 0, 0.25, 1, 0.5),
        ("2026-01-01", 1, 2, 1, 0.5, 0, None),
    ]


def test_costs_of_items_and_rounds_are_their_steps(database: Path) -> None:
    columns = ("project", "step", "jobs", "calls", "cost_usd", "calls_unpriced")
    assert rows(database, "cost_by_step", *columns) == [("birds", "draft", 1, 3, 0.75, 1)]


def test_costs_are_summed_by_model(database: Path) -> None:
    columns = ("model", "calls", "failed", "cost_usd", "calls_unpriced", "saved_usd")
    by_model = [("good", 3, 1, 0.75, 0, 0.5), ("poor", 1, 0, None, 1, None)]
    assert rows(database, "cost_and_tokens_by_model", *columns) == by_model
    of_project = ("project", "model", "cost_usd")
    by_project = [("birds", "good", 0.75), ("birds", "poor", None)]
    assert rows(database, "cost_by_project_and_model", *of_project) == by_project


def test_failure_rates_are_of_attempts_and_of_calls_that_were_sent(database: Path) -> None:
    columns = ("step", "attempts", "failed", "failed_percent")
    assert rows(database, "failure_rate_by_step", *columns) == [("draft", 4, 2, 50.0)]
    of_model = ("model", "calls", "failed", "failed_percent", "in_doubt")
    assert rows(database, "failure_rate_by_model", *of_model) == [
        ("good", 3, 1, 33.3, 1),
        ("poor", 1, 0, 0.0, 0),
    ]
    assert rows(database, "failures_by_kind", "failure_kind", "attempts", "calls", "jobs") == [
        ("timeout", 1, 1, 1),
        ("schema", 1, 0, 1),
    ]


def test_durations_have_a_median_and_a_ninety_fifth_percentile(database: Path) -> None:
    columns = ("step", "times", "median_s", "p95_s", "longest_s", "total_s")
    assert rows(database, "durations_by_step", *columns) == [
        ("each", 100, 50.0, 95.0, 100.0, 5050.0),
        ("draft", 2, 7.0, 9.0, 9.0, 16.0),
    ]


def test_savings_are_what_the_result_cost_when_it_was_made(database: Path) -> None:
    assert sorted(rows(database, "cache_savings", "of", "times", "saved_usd", "saved_s")) == [
        ("by cache", 1, None, None),
        ("by fork", 1, 0.5, 7.0),
        ("p/good", 1, 0.5, None),
    ]


def test_calls_in_doubt_are_listed(database: Path) -> None:
    assert rows(database, "calls_in_doubt", "call_id", "status") == [
        (f"{JOB}/draft#1/1/1", "failed")
    ]
