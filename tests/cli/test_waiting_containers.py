"""What commands say of a job in which the steps inside containers wait for a person."""

from __future__ import annotations

from pathlib import Path

import pytest

from orc.cli.jobs.state import load_state, waits_inside
from orc.cli.terminal.live_notes import wait_note
from orc.ledger import LedgerReader
from tests.cli.command_line import orc, write
from tests.projections.served import Get, browse

SPEC = """\
project: waiting
steps:
  items:
    for_each: [1, 2, 3]
    steps:
      ask: {approval: "ok ${{ item }}?"}
      after: {run: "true", needs: [ask]}
  rounds:
    loop: {until: "true", max_iterations: 3}
    steps:
      ask: {approval: "Again?"}
  both:
    steps:
      one: {approval: "One?"}
      two: {value: 2}
  last: {value: 3, needs: items}
"""
WAITING = {
    "items": "3 of 3 items wait for a person",
    "items[1]": "1 of 2 members waits for a person",
    "rounds": "round 1 waits for a person",
    "both": "1 of 2 members waits for a person",
}


@pytest.fixture
def job(here: Path) -> str:
    said = orc("run", write("spec.yaml", SPEC))
    assert said.code == 3, said.err
    return str(orc("show", "latest", "--json").json()["job_id"])


def test_containers_say_what_they_wait_for(job: str) -> None:
    steps = {step["step"]: step for step in orc("show", job, "--json").json()["steps"]}
    text = orc("show", job).out
    with LedgerReader.open(Path("runs.db")) as ledger:
        state = load_state(ledger, job)
    for name, words in WAITING.items():
        assert (steps[name]["status"], steps[name]["note"]) == ("waiting", words)
        assert words in text
        why = orc("why", job, name)
        assert why.out.startswith(f"{name} is waiting: {words}: ")
        assert "interrupted" not in why.out
        assert orc("why", job, name, "--json").json()["status"] == "waiting"
        inside = waits_inside(state)[name]
        assert wait_note(state, name, now_s=0.0, last="", inside=inside) == ("waiting", words)
    assert "it needs items (waiting)" in orc("why", job, "last").out


def test_the_plan_says_what_the_latest_job_waits_for(job: str) -> None:
    found = {
        step["step"]: step["why"] for step in orc("plan", "spec.yaml", "--json").json()["steps"]
    }
    for name in ("items", "rounds", "both"):
        assert f"in the latest job it had not ended: {WAITING[name]}" in found[name]


def test_the_list_says_for_how_many_answers_a_job_waits(job: str) -> None:
    assert "waiting for 5 answers" in orc("list").out
    found = orc("list", "--json").json()
    assert (found["status"], found["open_questions"], found["over_budget"]) == ("waiting", 5, 0)


def test_a_container_cannot_be_approved_and_the_steps_that_ask_are_named(job: str) -> None:
    said = orc("approve", job, "items")
    assert said.code == 2
    assert f"items does not ask itself: {WAITING['items']}" in said.err
    for number in range(3):
        assert f"`orc approve {job} 'items[{number}]/ask'`" in said.err
    assert "it is pending" in orc("approve", job, "last").err


def test_an_answer_names_the_questions_that_are_left(job: str) -> None:
    said = orc("approve", job, "both/one").err
    lines = said.splitlines()
    assert "items[0]/ask asks: ok 1?" in lines
    assert f"next: orc approve {job} 'items[0]/ask' --resume" in lines
    assert lines[-1].startswith(f"  or: orc reject {job} ")
    assert lines[-1].endswith(" --resume")
    refused = orc("approve", job, "both").err
    assert "both does not wait for a decision: it goes on when the job is resumed" in refused
    (both,) = (
        step for step in orc("show", job, "--json").json()["steps"] if step["step"] == "both"
    )
    assert both["note"] == "2 members ended; the job must be resumed to end it"
    for name in ("items[0]/ask", "items[1]/ask", "rounds#1/ask"):
        orc("approve", job, name)
    last = orc("approve", job, "items[2]/ask").err
    assert last.splitlines()[-1] == f"next: orc resume {job}"
    assert "waiting to be resumed" in orc("list").out
    assert orc("resume", job).code == 0


def test_the_page_of_a_step_shows_commands_as_code(job: str) -> None:
    async def look(get: Get) -> None:
        text = (await get(f"/-/orc/runs/{job}/step/last")).text
        why = text.partition('id="why"')[2].partition("</div>")[0]
        assert "<code>orc show " in why
        assert "`" not in why

    browse(Path("runs.db"), then=look)
