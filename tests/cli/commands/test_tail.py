"""`orc tail`: the events of one job and of all jobs, also while they are recorded."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from orc.cli.commands import tail
from orc.cli.commands.tail import EventFilter, last_of_all
from orc.cli.terminal.ledger_changes import LedgerChanges
from orc.ledger import JobId, LedgerReader
from tests.builders import JOB, step
from tests.cli.command_line import control_characters, orc, submit
from tests.cli.commands.conftest import PRINTS
from tests.cli.conftest import Kept
from tests.processes import end_process, start_orc
from tests.projections.support import begun, open_in
from tests.projections.support import write as write_down


def test_tail_prints_only_the_selected_types_and_step(kept: Kept) -> None:
    def types(*options: str) -> list[str]:
        said = orc("tail", kept.tiny, "--json", "--db", kept.database, *options)
        return [line["type"] for line in said.lines()]

    assert types("--type", "job") == ["job.submitted", "job.started", "job.succeeded"]
    assert types("--type", "job.started") == ["job.started"]
    assert types("--type", "jo") == []
    assert types("--step", "qa") == [
        "step.started",
        "llm.requested",
        "llm.responded",
        "step.succeeded",
    ]
    assert types("--step", "qa", "--type", "llm") == ["llm.requested", "llm.responded"]


def test_a_line_of_tail_is_short_however_long_its_event(kept: Kept) -> None:
    lines = orc("tail", kept.tiny, "--db", kept.database).out.splitlines()

    assert max(map(len, lines)) <= 200
    assert "request_sha256=" in " ".join(lines)
    assert not re.search(r"[0-9a-f]{13}", " ".join(lines)), "digests are cut to twelve digits"


def test_tail_follows_all_jobs_from_now_on(here: Path) -> None:
    before = submit(PRINTS)
    follower = start_orc("tail", "-f", "-n", "1", "--type", "job", "--json", cwd=here)
    try:
        assert follower.stdout is not None
        assert json.loads(follower.stdout.readline())["job_id"] == before
        job = submit(PRINTS)
        seen = [json.loads(follower.stdout.readline()) for _ in range(3)]
        assert [event["type"] for event in seen] == [
            "job.submitted",
            "job.started",
            "job.succeeded",
        ]
        assert {event["job_id"] for event in seen} == {job}
    finally:
        end_process(follower)


def test_tail_has_the_last_events_and_without_a_job_those_of_the_latest(prints: str) -> None:
    whole = orc("tail", prints).out.splitlines()
    assert orc("tail", prints, "-n", "2").out.splitlines() == whole[-2:]
    assert orc("tail", prints, "-n", "0").out == ""
    latest = orc("tail", "-n", "2")
    assert latest.out.splitlines() == whole[-2:]
    assert prints in latest.err
    assert control_characters(latest.out) == set()


def test_a_step_cannot_be_followed_without_a_job(prints: str) -> None:
    said = orc("tail", "-f", "--step", "talk")
    assert (said.code, "--step needs a job" in said.err) == (2, True)


def test_the_last_events_of_all_jobs_are_the_last_selected_ones(here: Path) -> None:
    stories = [begun(step("a", kind="run"), job_id=JobId(f"job_{name * 12}")) for name in "abc"]
    with open_in(here) as ledger:
        for story in stories:
            write_down(ledger, story.start("a"))
        found = list(last_of_all(ledger, EventFilter("job.started"), position=12, last=2, page=5))
    assert [one.job_id for one in found] == [story.job_id for story in stories[1:]]
    assert [one.event.type for one in found] == ["job.started"] * 2


def test_the_last_events_are_read_at_once_when_the_owner_is_gone(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_in(here) as writer:
        write_down(writer, begun(step("a")))
    owned, asked = iter([True, True, False]), []

    def has_new(changes: LedgerChanges, *, at_once: bool = False) -> bool:
        asked.append(at_once)
        return False

    monkeypatch.setattr(tail, "may_go_on", lambda *told: next(owned))
    monkeypatch.setattr(LedgerChanges, "wait", lambda changes: None)
    monkeypatch.setattr(LedgerChanges, "has_new", has_new)
    with LedgerReader.open(here / "runs.db") as ledger:
        tail.print_job(ledger, JOB, EventFilter(), last=None, follow=True, as_json=False)
    assert asked == [False, True]
