"""The tables are a fold of the events, whatever the sizes of the batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orc.ledger import Recorded
from orc.ledger.definition import RetryDef
from orc.ledger.digest import digest_bytes
from orc.ledger.events import LlmFailed, LlmResponded, StepFailed
from orc.scheduler.core.commands import (
    CancelJob,
    ExpireStep,
    FailStep,
    InterruptJob,
    ResumeJob,
    Settle,
)
from orc.scheduler.core.rules.doubt import doubt_failure
from tests.builders import OWNER, step, written
from tests.projections.support import OTHER, Story, begun, ledger_of, states, stories, tables

_quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _merged(streams: Sequence[list[Recorded]], order: Sequence[int]) -> list[Recorded]:
    """The streams interleaved, each in its own order."""
    left = [list(reversed(stream)) for stream in streams]
    merged = []
    for choice in order:
        stream = left[choice % len(left)]
        if stream:
            merged.append(stream.pop())
    return merged + [recorded for stream in left for recorded in reversed(stream)]


def _cut(events: Sequence[Recorded], cuts: Sequence[int]) -> Iterator[Sequence[Recorded]]:
    places = sorted({0, len(events), *(cut % (len(events) + 1) for cut in cuts)})
    for start, end in pairwise(places):
        yield events[start:end]


@_quick
@given(
    first=stories(),
    second=stories(OTHER),
    order=st.lists(st.integers(0, 1), max_size=60),
    cuts=st.lists(st.integers(0, 200), max_size=20),
)
def test_rebuilt_tables_equal_the_live_ones_row_for_row(
    first: Story, second: Story, order: list[int], cuts: list[int]
) -> None:
    events = _merged([first.stream, second.stream], order)
    with ledger_of(first, second, batches=_cut(events, cuts)) as ledger:
        live = tables(ledger)
        assert ledger.rebuild() == len(events)
        assert tables(ledger) == live


@_quick
@given(story=stories(), cuts=st.lists(st.integers(0, 200), max_size=20))
def test_the_tables_agree_with_the_state_of_the_scheduler(story: Story, cuts: list[int]) -> None:
    with ledger_of(story, batches=_cut(story.stream, cuts)) as ledger:
        found = ledger.connection.execute(
            "SELECT name, status, attempts FROM steps WHERE status <> 'removed'"
        ).fetchall()
        assert {name: (status, attempts) for name, status, attempts in found} == states(story)
        files = ledger.connection.execute("SELECT path, sha256 FROM files").fetchall()
        assert dict(files) == {file.path: file.sha256 for file in story.state.files()}
        row = _job_row(ledger)
    status = "running" if story.state.status == "stopped" else story.state.status
    ended = [found.status for found in story.state.steps.values()]
    replies = [r.event for r in story.stream if isinstance(r.event, LlmResponded)]
    failed_calls = [r.event for r in story.stream if isinstance(r.event, LlmFailed)]
    assert row == {
        "status": status,
        "steps_total": len(ended),
        "steps_succeeded": ended.count("succeeded"),
        "steps_failed": ended.count("failed"),
        "steps_skipped": ended.count("skipped"),
        "calls": len(replies) + len(failed_calls),
        "input_tokens": sum(reply.usage.input_tokens for reply in replies if reply.usage),
        "output_tokens": sum(reply.usage.output_tokens for reply in replies if reply.usage),
    }


def _job_row(ledger: Any) -> dict[str, Any]:
    columns = (
        "status, steps_total, steps_succeeded, steps_failed, steps_skipped, calls, "
        "input_tokens, output_tokens"
    )
    row = ledger.connection.execute(f"SELECT {columns} FROM jobs").fetchone()
    return dict(zip(columns.split(", "), row, strict=True))


def test_random_stories_reach_every_status() -> None:
    seen: set[str] = set()

    @settings(max_examples=100, deadline=None, database=None, derandomize=True)
    @given(stories())
    def look(story: Story) -> None:
        seen.update(recorded.event.type for recorded in story.stream)

    look()
    assert {
        "job.succeeded",
        "job.failed",
        "job.cancelled",
        "job.interrupted",
        "job.resumed",
        "step.skipped",
        "step.interrupted",
        "cache.hit",
        "llm.failed",
        "file.written",
        "job.amended",
        "step.reused",
    } <= seen


def test_a_failure_skips_and_a_retry_waits() -> None:
    story = begun(
        step("a", retry=RetryDef(max_attempts=2)), step("b", needs="a"), step("c", needs="b")
    )
    story.start("a").fail("a")
    with ledger_of(story) as ledger:
        assert _statuses(ledger) == {"a": "waiting", "b": "pending", "c": "pending"}
    story.start("a").fail("a").tell(Settle())
    with ledger_of(story) as ledger:
        assert _statuses(ledger) == {"a": "failed", "b": "skipped", "c": "skipped"}
        assert _column(ledger, "skip_reason", "steps") == [
            None,
            "dependency_failed: a",
            "dependency_skipped: b",
        ]
        assert _column(ledger, "failure", "jobs") == ["a: it broke"]
        assert _column(ledger, "retry_delay_s", "attempts") == [2.0, None]
        assert _column(ledger, "exit_code", "attempts") == [3, 3]


def test_a_resumed_job_counts_only_what_stays_as_it_is() -> None:
    story = begun(
        step("a", continue_on_error=True), step("b"), step("c", needs="b"), step("d", needs="a")
    )
    story.start("a", "b").fail("a").fail("b").start("d").succeed("d").tell(Settle())
    with ledger_of(story) as ledger:
        before = _job_row(ledger)
    story.tell(ResumeJob(OWNER))
    with ledger_of(story) as ledger:
        after = _job_row(ledger)
        assert _statuses(ledger) == {
            "a": "failed",
            "b": "pending",
            "c": "pending",
            "d": "succeeded",
        }
        assert _column(ledger, "failure", "jobs") == [None]
    counters = ("status", "steps_succeeded", "steps_failed", "steps_skipped")
    assert [before[name] for name in counters] == ["failed", 1, 2, 1]
    assert [after[name] for name in counters] == ["running", 1, 1, 0]


def test_a_tolerated_failure_lets_the_job_succeed() -> None:
    story = begun(step("a", continue_on_error=True), step("b", needs="a"))
    story.start("a").fail("a").start("b").succeed("b").tell(Settle())
    with ledger_of(story) as ledger:
        assert _statuses(ledger) == {"a": "failed", "b": "succeeded"}
        assert _column(ledger, "tolerated", "steps") == [1, 0]
        assert _column(ledger, "status", "jobs") == ["succeeded"]
        assert _column(ledger, "failure", "jobs") == [None]


def test_an_interrupted_job_stays_open_until_it_is_resumed_and_ends() -> None:
    story = begun(step("a")).start("a").interrupt("a").tell(InterruptJob("SIGINT"))
    with ledger_of(story) as ledger:
        assert _statuses(ledger) == {"a": "pending"}
        assert _column(ledger, "status", "jobs") == ["running"]
        assert _column(ledger, "finished_at", "jobs") == [None]
    story.tell(ResumeJob(OWNER)).start("a").succeed("a").tell(Settle())
    with ledger_of(story) as ledger:
        assert _column(ledger, "status", "attempts") == ["interrupted", "succeeded"]
        assert _column(ledger, "status", "jobs") == ["succeeded"]


def test_a_step_whose_total_time_was_over_when_the_job_was_resumed_is_shown_as_failed() -> None:
    story = begun(step("a", total_timeout_s=1.0)).start("a").tell(ResumeJob(OWNER), ExpireStep("a"))
    with ledger_of(story) as ledger:
        assert _statuses(ledger) == {"a": "failed"}
        assert _column(ledger, "status", "attempts") == ["failed"]


def test_a_cancelled_job_cancels_what_had_not_ended() -> None:
    story = begun(step("a"), step("b", needs="a")).start("a").succeed("a").tell(CancelJob())
    with ledger_of(story) as ledger:
        assert _statuses(ledger) == {"a": "succeeded", "b": "cancelled"}
        assert _column(ledger, "status", "jobs") == ["cancelled"]


def test_a_file_that_is_written_again_has_one_row_with_its_last_bytes() -> None:
    story = begun(step("a")).start("a")
    story.blobs += [b"first", b"second"]
    # Only an amended job writes a file twice.
    story.record(
        written("a", "demo/a.md", b"first"),
        written("a", "demo/a.md", b"second"),
        written("a", "demo/a.md", b"second", reason="nochange"),
    )
    with ledger_of(story) as ledger:
        assert _column(ledger, "sha256", "files") == [digest_bytes(b"second")]
        live = tables(ledger)
        ledger.rebuild()
        assert tables(ledger) == live


def test_an_unknown_price_leaves_the_cost_empty_and_a_local_one_is_nothing() -> None:
    story = begun(step("a", prompt="?"), step("b", prompt="?")).start("a", "b")
    story.call("a", number=2, ends="replied").call("b", number=1, ends="replied")
    with ledger_of(story) as ledger:
        assert _column(ledger, "cost_usd", "steps") == [None, 0.0]


def _statuses(ledger: Any) -> dict[str, str]:
    return dict(ledger.connection.execute("SELECT name, status FROM steps").fetchall())


def _column(ledger: Any, column: str, table: str) -> list[Any]:
    rows = ledger.connection.execute(f"SELECT {column} FROM {table} ORDER BY rowid")
    return [row[0] for row in rows]


@pytest.mark.parametrize("batches", [1, 2], ids=["together", "apart"])
def test_a_call_in_doubt_counts_once_if_its_step_fails_again_while_it_waits(batches: int) -> None:
    story = begun(step("a", prompt="?", retry=RetryDef(max_attempts=3), total_timeout_s=60.0))
    story.start("a").call("a", number=1, ends="open").fail("a", kind="timeout")
    half = len(story.stream)
    story.tell(ExpireStep("a"))
    assert [type(recorded.event) for recorded in story.stream[half:]][:1] == [StepFailed]
    cut = {1: [story.stream], 2: [story.stream[:half], story.stream[half:]]}[batches]

    with ledger_of(story, batches=cut) as ledger:
        counted = "SELECT calls_in_doubt FROM jobs UNION ALL SELECT calls_in_doubt FROM steps"
        assert ledger.connection.execute(counted).fetchall() == [(1,), (1,)]


@pytest.mark.parametrize("batches", [1, 2], ids=["together", "apart"])
def test_an_attempt_in_doubt_whose_step_then_fails_has_failed(batches: int) -> None:
    story = begun(step("a", prompt="?", on_unknown="fail"))
    story.start("a").call("a", number=1, ends="open").interrupt("a")
    half = len(story.stream)
    story.tell(FailStep("a", doubt_failure(story.state, "a")))
    cut = {1: [story.stream], 2: [story.stream[:half], story.stream[half:]]}[batches]

    with ledger_of(story, batches=cut) as ledger:
        assert _column(ledger, "status", "attempts") == ["failed"]
        assert _column(ledger, "calls_in_doubt", "steps") == [1]
