"""The timeline of a job: the spans that its events give."""

from __future__ import annotations

from orc.ledger.definition import RetryDef
from orc.ledger.events import ApprovalRequested
from orc.projections.history.timeline import Span, Timeline, read_timeline
from orc.projections.tables.job_view import read_view
from orc.scheduler.core.commands import CancelJob, DecideApproval, InterruptJob, ResumeJob, Settle
from tests.builders import JOB, OWNER, at, placed, reused, step
from tests.projections.support import Story, begun, ledger_of


def timeline(story: Story, *, after_s: float = 0.0, is_live: bool = True) -> Timeline:
    """The timeline `after_s` seconds after the last event."""
    with ledger_of(story) as ledger:
        view = read_view(ledger.connection, JOB)
        now = at(story.clock_s + after_s)
        return read_timeline(ledger.connection, view, now=now, is_live=is_live)


def spans(found: Timeline, name: str) -> list[tuple[str, float, float, str]]:
    """Kind, begin, end and status of a step's spans."""
    (row,) = (row for row in found.rows if row.step.name == name)
    return [(s.kind, s.begin_s, s.end_s, s.status) for s in row.spans]


def span(found: Timeline, name: str, number: int) -> Span:
    """One span of a step."""
    return next(row for row in found.rows if row.step.name == name).spans[number]


def test_a_step_is_queued_from_the_end_of_its_dependencies_until_its_attempt() -> None:
    story = begun(step("a"), step("b", needs="a")).start("a").succeed("a")
    story.tell().clock_s += 4
    found = timeline(story.start("b"), after_s=2)
    assert spans(found, "a") == [
        ("queued", 0.0, 2.0, "pending"),
        ("attempt", 2.0, 3.0, "succeeded"),
    ]
    assert spans(found, "b") == [("queued", 3.0, 8.0, "pending"), ("attempt", 8.0, 10.0, "running")]
    assert span(found, "b", 1).is_open
    assert found.length_s == 10.0


def test_an_attempt_on_an_executor_waits_for_a_worker() -> None:
    story = begun(step("a", executor="cluster")).start("a")
    story.clock_s += 4
    waiting = timeline(story, after_s=1)
    assert spans(waiting, "a")[1:] == [("queued", 2.0, 7.0, "pending")]
    assert span(waiting, "a", 1).is_open
    assert span(waiting, "a", 1).note == "for a worker of cluster"
    story.record(placed("a"))
    running = timeline(story, after_s=2)
    assert spans(running, "a")[1:] == [
        ("queued", 2.0, 6.0, "pending"),
        ("attempt", 6.0, 8.0, "running"),
    ]
    assert not span(running, "a", 1).is_open
    ended = timeline(story.succeed("a"))
    assert spans(ended, "a")[2:] == [("attempt", 6.0, 7.0, "succeeded")]


def test_an_attempt_that_no_worker_took_has_no_length() -> None:
    story = begun(step("a", executor="cluster")).start("a")
    story.clock_s += 4
    found = timeline(story.fail("a"), after_s=9)
    assert spans(found, "a")[1:] == [
        ("queued", 2.0, 7.0, "pending"),
        ("attempt", 7.0, 7.0, "failed"),
    ]


def test_a_retry_waits_until_its_next_attempt() -> None:
    story = begun(step("a", retry=RetryDef(max_attempts=2))).start("a").fail("a")
    waiting = timeline(story, after_s=1)
    assert spans(waiting, "a")[1:] == [
        ("attempt", 2.0, 3.0, "failed"),
        ("retry_wait", 3.0, 4.0, "waiting"),
    ]
    assert span(waiting, "a", 2).is_open
    assert "exit_code: it broke" in span(waiting, "a", 1).note
    story.clock_s += 6
    again = timeline(story.start("a").succeed("a"))
    assert spans(again, "a")[2:] == [
        ("retry_wait", 3.0, 10.0, "waiting"),
        ("attempt", 10.0, 11.0, "succeeded"),
    ]


def test_no_wait_follows_a_final_failure() -> None:
    found = timeline(begun(step("a")).start("a").fail("a"), after_s=9)
    assert [kind for kind, *_ in spans(found, "a")] == ["queued", "attempt"]


def test_a_question_lasts_until_it_is_decided() -> None:
    story = begun(step("gate", kind="approval")).start("gate")
    story.record(ApprovalRequested(step="gate", attempt=1, message="?", options=("yes", "no")))
    assert spans(timeline(story, after_s=5), "gate")[1:] == [("decision", 2.0, 7.0, "waiting")]
    story.clock_s += 60
    story.tell(DecideApproval("gate", "yes", None, "me", 1))
    found = timeline(story, after_s=100)
    (kind, begin_s, end_s, status) = spans(found, "gate")[-1]
    assert (kind, begin_s, status) == ("decision", 2.0, "succeeded")
    assert end_s >= 62


def test_the_time_without_a_process_is_listed_as_stopped() -> None:
    story = begun(step("a")).start("a").interrupt("a").tell(InterruptJob("SIGTERM"))
    stopped_s = story.clock_s
    story.clock_s += 1000
    story.tell(ResumeJob(OWNER)).start("a")
    found = timeline(story, after_s=1)
    assert found.stopped == ((stopped_s - 1, stopped_s + 1000),)
    assert [status for *_, status in spans(found, "a")] == ["pending", "interrupted", "running"]


def test_an_attempt_ends_when_its_process_was_killed_and_not_at_the_resume() -> None:
    story = begun(step("a")).start("a")
    story.clock_s += 30_000
    story.tell(ResumeJob(OWNER)).start("a")
    (before, _), *_ = timeline(story).stopped
    found = timeline(story.succeed("a"))
    first, _ = (one for one in spans(found, "a") if one[0] == "attempt")
    assert first == ("attempt", before, before, "interrupted")
    assert span(found, "a", -1).begin_s > 30_000


def test_spans_of_a_job_that_no_process_runs_end_at_its_last_event() -> None:
    found = timeline(begun(step("a")).start("a"), after_s=5000, is_live=False)
    assert found.length_s == 2.0
    assert spans(found, "a")[-1] == ("attempt", 2.0, 2.0, "interrupted")
    assert not span(found, "a", 1).is_open


def test_what_was_open_when_the_job_was_cancelled_does_not_run() -> None:
    group = step("group", kind="group", steps=(step("a"),))
    story = begun(group).start("group").tell(CancelJob(reason="no", at_once=True))
    assert spans(timeline(story), "group")[-1][3] == "interrupted"


def test_a_reused_result_is_a_span_of_no_length() -> None:
    story = begun(step("a"))
    story.record(reused("a"))
    (moment,) = spans(timeline(story), "a")
    assert moment[0] == "reused"
    assert moment[1] == moment[2]


def test_an_attempt_with_recorded_replies_only_is_marked_as_cached() -> None:
    story = begun(step("a", prompt="?"), step("b", prompt="?")).start("a", "b")
    story.call("a", number=1, ends="replied").succeed("a")
    story.call("b", number=1, ends="kept").succeed("b")
    found = timeline(story)
    assert not span(found, "a", -1).is_cached
    assert span(found, "b", -1).is_cached


def test_a_step_that_never_started_has_no_spans() -> None:
    story = begun(step("a"), step("b", needs="a")).start("a").fail("a").tell(Settle())
    assert spans(timeline(story), "b") == []
    story = begun(step("a"), step("b")).start("a").tell(CancelJob(reason="no", at_once=True))
    assert spans(timeline(story, is_live=False), "b") == []


def test_a_clock_that_was_set_back_gives_no_time_below_zero() -> None:
    story = begun(step("a")).start("a")
    story.clock_s -= 500
    found = timeline(story.succeed("a"))
    assert all(s.end_s >= s.begin_s >= 0 for row in found.rows for s in row.spans)
    assert found.length_s > 0
