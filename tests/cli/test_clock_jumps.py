"""A wall clock that jumps changes recorded times, and neither the order of jobs nor a sign."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from orc.cli.completion import complete_jobs
from orc.cli.jobs.queue.candidates import Candidates
from orc.ledger import LedgerReader, connect_reader
from orc.projections.datasette.queries import QUERIES
from orc.projections.history.timeline import read_timeline
from orc.projections.tables.job_view import read_view
from orc.scheduler.clock import Clock, format_time
from tests.cli.command_line import orc, write

DAY_S = 86_400.0
SPEC = "project: p\nsteps: {a: {value: 1}, b: {needs: a, value: 2}}\n"
CACHED = "project: c\nsteps: {a: {run: 'date +%N', cache: ledger}}\n"

SetClock = Callable[[float], None]


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    """Makes the wall clock so many seconds fast; a negative number makes it slow."""

    def set_fast(seconds: float) -> None:
        monkeypatch.setattr(Clock, "recorded_at", lambda clock: format_time(time.time() + seconds))

    return set_fast


@pytest.fixture
def backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each event is recorded an hour before the event before it."""
    now = [time.time()]

    def earlier(clock: Clock) -> str:
        now[0] -= 3600.0
        return format_time(now[0])

    monkeypatch.setattr(Clock, "recorded_at", earlier)


def submit(command: str, spec: Path) -> str:
    said = orc(command, spec, "--json")
    assert said.code == 0, said.err
    job_id = said.lines()[0]["job_id"]
    assert isinstance(job_id, str)
    return job_id


def test_the_latest_job_is_the_one_that_was_submitted_last(here: Path, set_clock: SetClock) -> None:
    spec = write("s.yaml", SPEC)
    set_clock(DAY_S)
    fast = submit("run", spec)
    set_clock(0.0)
    last = submit("run", spec)

    assert [job["job_id"] for job in orc("list", "--json").lines()] == [last, fast]
    assert orc("show", "latest", "--json").json()["job_id"] == last
    assert orc("plan", spec, "--json").json()["against"] == last
    assert complete_jobs("job_") == [last, fast]
    with closing(connect_reader(here / "runs.db")) as connection:
        query = str(QUERIES["events_of_a_job"]["sql"])
        rows = connection.execute(query, {"job_id": "latest"}).fetchall()
        assert rows
        assert {row[3].partition("/")[0] for row in rows if row[3]} == {last}


def test_the_queue_is_in_the_order_of_submission(here: Path, set_clock: SetClock) -> None:
    spec = write("s.yaml", SPEC)
    set_clock(DAY_S)
    first = submit("submit", spec)
    set_clock(0.0)
    second = submit("submit", spec)
    with LedgerReader.open(here / "runs.db") as ledger:
        queue = Candidates(ledger)
        assert queue.next(time.time(), without=()) == first
        assert queue.next(time.time(), without=(first,)) == second


def test_a_job_that_was_submitted_by_a_fast_clock_has_a_timeline(
    here: Path, set_clock: SetClock
) -> None:
    set_clock(DAY_S)
    job_id = submit("submit", write("s.yaml", "project: p\nsteps: {a: {run: 'sleep 0.2'}}\n"))
    set_clock(0.0)
    assert orc("work", "--stop-when-empty").code == 0
    with LedgerReader.open(here / "runs.db") as ledger:
        view = read_view(ledger.connection, job_id)
        now = view.job.finished_at
        assert now is not None
        timeline = read_timeline(ledger.connection, view, now=now, is_live=False)
    assert timeline.begin_at < view.job.submitted_at
    assert [span.end_s - span.begin_s >= 0.2 for span in timeline.rows[0].spans][-1:] == [True]


def test_the_newest_result_of_a_cache_is_the_last_one(here: Path, set_clock: SetClock) -> None:
    spec = write("s.yaml", CACHED)
    set_clock(DAY_S)
    first = submit("run", spec)
    set_clock(0.0)
    # Does not use the cache, and its result is the newer one.
    assert orc("rerun", first, "--step", "a").code == 0
    newest = orc("show", first, "--json").json()["steps"][0]
    again = submit("run", spec)
    with closing(connect_reader(here / "runs.db")) as connection:
        found = connection.execute(
            "SELECT output FROM steps WHERE job_id = ? OR job_id = ?", (first, again)
        ).fetchall()
    assert newest["status"] == "succeeded"
    assert len(set(found)) == 1


@pytest.mark.usefixtures("backwards")
def test_no_duration_is_negative(here: Path) -> None:
    job_id = submit("run", write("s.yaml", SPEC))

    shown = orc("show", job_id, "--json").json()
    (manifest,) = (json.loads(path.read_text()) for path in here.glob("runs/*/manifest.json"))
    assert shown["duration_s"] == manifest["duration_s"] == 0
    assert all(step["duration_s"] >= 0 for step in shown["steps"])
    assert orc("show", job_id, "--timeline").code == 0
    assert orc("verify", job_id).code == 0
    junit = orc("export", job_id, "--format", "junit")
    assert 'time="-' not in junit.out
    spans = orc("export", job_id, "--format", "otel").out
    for found in json.loads(spans)["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        assert int(found["endTimeUnixNano"]) >= int(found["startTimeUnixNano"])
    for command in (("why", job_id, "b"), ("list",), ("tail", job_id), ("diff", job_id, job_id)):
        said = orc(*command)
        assert said.code == 0, said.err
        assert "-3600" not in said.out


def test_a_job_of_a_slow_clock_is_not_older_than_the_jobs_before_it(
    here: Path, set_clock: SetClock
) -> None:
    text = "project: big\nsteps: {a: {run: 'seq 2000'}}\n"
    spec = write("s.yaml", text)
    set_clock(-400 * DAY_S)
    old = submit("run", spec)
    set_clock(0.0)
    submit("run", write("s.yaml", text.replace("2000", "3000")))
    set_clock(-400 * DAY_S)
    slow = submit("run", write("s.yaml", text.replace("2000", "4000")))

    planned = orc("prune", "--older-than", "30d", "--json").json()
    named = json.dumps(planned)
    assert old in named
    assert slow not in named
