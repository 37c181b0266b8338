"""How attempts on workers are told: in the tables, by `orc why`, and by `orc show`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orc.cli.terminal.run_lines import describe_change
from orc.ledger import JobId, Ledger, Recorded, open_ledger
from orc.ledger.events import AnyEvent, JobStarted
from orc.ledger.secrets.masking import NO_MASK
from orc.projections import ReadModel
from orc.projections.history.trace import Trace
from orc.projections.tables.job_view import JobView, read_view
from orc.projections.tables.status import step_state
from orc.projections.why.step import read_why
from tests.builders import (
    JOB,
    OWNER,
    at,
    failed,
    interrupted,
    job,
    placed,
    reattached,
    started,
    step,
    submitted,
    succeeded,
    unplaced,
)
from tests.cli.command_line import orc

AWAY = {"kind": "run", "run": "true", "executor": "cluster"}
DEFINITION = job(step("a", **AWAY), step("b", kind="run", run="true"))
START = started("a", kind="run", executor="cluster")
LOST = interrupted("a", reason="worker")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path / "runs.db", projector=ReadModel(), mask=NO_MASK) as opened:
        opened.append(stream(submitted(DEFINITION), JobStarted(owner=OWNER)))
        yield opened


def stream(*events: AnyEvent, after: int = 0) -> list[Recorded]:
    return [
        Recorded(JobId(JOB), version, at(version), event)
        for version, event in enumerate(events, after + 1)
    ]


def view_after(ledger: Ledger, *events: AnyEvent) -> JobView:
    ledger.append(stream(*events, after=2))
    return read_view(ledger.connection, JOB)


def summary(ledger: Ledger, *, is_live: bool = True) -> str:
    return read_why(ledger, JOB, "a", is_live=is_live).verdict


def test_a_started_attempt_is_queued_until_a_worker_takes_it(ledger: Ledger) -> None:
    view = view_after(ledger, START)
    row = view.by_name["a"]
    assert (row.status, row.executor, row.host) == ("running", "cluster", None)
    assert step_state(view, row) == "queued"
    assert step_state(view, row) == step_state(view, row, is_live=False) == "queued"
    assert summary(ledger) == (
        "a is queued on cluster: no worker has taken it yet; `orc executors cluster` shows what the "
        "workers have"
    )


def test_a_placed_attempt_runs_on_its_host_also_without_an_owner(ledger: Ledger) -> None:
    view = view_after(ledger, START, placed("a"), reattached("a"))
    row, (attempt,) = view.by_name["a"], view.attempts_of["a"]
    assert (row.host, step_state(view, row)) == ("node1", "running")
    assert step_state(view, row, is_live=False) == "running"
    assert (attempt.executor, attempt.host, attempt.worker) == ("cluster", "node1", "w1")
    assert attempt.placed_at == at(4)
    assert summary(ledger).startswith("a is running on host node1 (cluster)")


def test_a_placement_says_which_executor_took_the_place_of_the_job_s(ledger: Ledger) -> None:
    view = view_after(ledger, START, placed("a", executor="other"))
    assert view.by_name["a"].executor == "other"
    assert view.attempts_of["a"][0].executor == "other"


def test_an_attempt_that_is_not_placed_any_more_is_queued_again(ledger: Ledger) -> None:
    view = view_after(ledger, START, placed("a"), unplaced("a"))
    assert view.by_name["a"].is_queued
    (attempt,) = view.attempts_of["a"]
    assert (attempt.host, attempt.worker, attempt.placed_at) == (None, None, None)


def test_a_lost_attempt_is_in_doubt_and_one_that_was_only_queued_is_not(ledger: Ledger) -> None:
    again = started("a", 2, kind="run", executor="cluster")
    view = view_after(ledger, START, placed("a"), LOST, again, interrupted("a", 2))
    assert [attempt.status for attempt in view.attempts_of["a"]] == ["in doubt", "interrupted"]
    texts = [statement.text for statement in read_why(ledger, JOB, "a", is_live=True).statements]
    assert "attempt 1 was placed on node1 (cluster)" in texts
    assert "attempt 1 was interrupted: the worker that ran it was lost" in texts


def test_an_ended_step_says_where_it_ran_and_how_long_it_waited(ledger: Ledger) -> None:
    end = succeeded("a", executor="cluster", queued_s=1.5)
    here: list[AnyEvent] = [started("b", kind="run"), failed("b", kind="exit_code")]
    view = view_after(ledger, START, placed("a"), end, *here)
    row, other = view.by_name["a"], view.by_name["b"]
    assert (row.status, row.host, row.queued_s) == ("succeeded", "node1", 1.5)
    assert view.attempts_of["a"][0].queued_s == 1.5
    assert (other.executor, other.host, other.queued_s) == (None, None, None)


def test_an_attempt_elsewhere_holds_no_slot_of_this_machine(ledger: Ledger) -> None:
    view_after(ledger, START, started("b", kind="run"))
    running = Trace(ledger, JOB).running_at(5, but="")
    assert [event.step for event in running] == ["b"]


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (START, "a started, queued on cluster"),
        (started("a", 2, kind="run"), "a started (attempt 2)"),
        (placed("a"), "a placed on node1 (cluster)"),
        (unplaced("a"), "a queued again: the worker refused it"),
        (reattached("a"), "a still runs where it was placed"),
        (LOST, "a interrupted: its worker was lost"),
    ],
)
def test_the_lines_of_a_run_say_where_an_attempt_is(event: AnyEvent, line: str) -> None:
    assert describe_change(stream(event)[0]) == line


def test_show_says_where_a_step_is(ledger: Ledger, tmp_path: Path) -> None:
    view_after(ledger, START, started("b", kind="run"))
    path = tmp_path / "runs.db"
    steps = {s["step"]: s for s in orc("show", JOB, "--json", "--db", path).json()["steps"]}
    assert (steps["a"]["status"], steps["b"]["status"]) == ("queued", "interrupted")
    assert steps["a"]["note"] == "on cluster"
    end = succeeded("a", executor="cluster", queued_s=90.0)
    ledger.append(stream(placed("a"), end, after=4))
    (step, _) = orc("show", JOB, "--json", "--db", path).json()["steps"]
    assert step["note"] == "on node1 (cluster), queued 1 m 30 s"
    assert (step["executor"], step["host"], step["queued_s"]) == ("cluster", "node1", 90.0)


def test_the_plan_says_where_each_step_would_run(tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        "project: p\nsteps: {a: {run: date, executor: cluster}, b: {run: date}}\n", "utf-8"
    )
    site = "executors: {cluster: {engine: dask, scheduler_file: /there/dask.json}}\n"
    (tmp_path / "executors.yaml").write_text(site, "utf-8")
    found = orc("plan", spec, "--json", "--db", tmp_path / "other.db").json()
    assert [(s["what"], s["executor"]) for s in found["steps"]] == [
        ("run on cluster", "cluster"),
        ("run", None),
    ]
