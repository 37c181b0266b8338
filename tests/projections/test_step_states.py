"""What is said of a step in each state of each kind: `orc show`, `orc why` and the pages agree."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from orc.ledger import Ledger, OwnerLock
from orc.ledger.kinds import CACHED
from orc.projections.pages.job import read_job
from orc.projections.pages.links import Links
from orc.projections.pages.render import render
from orc.projections.pages.step import read_step
from orc.projections.tables.job_view import read_view
from orc.projections.tables.step_notes import failures_of
from orc.projections.why.step import read_why
from tests.builders import JOB
from tests.cli.command_line import orc
from tests.each_case import each_case
from tests.projections.step_states import STATES
from tests.projections.support import ledger_of

NOW = "2004-01-10T13:40:00.000000Z"

SAID: dict[str, dict[str, str]] = yaml.safe_load(
    Path(__file__).with_name("step_states.yaml").read_text("utf-8")
)
"""For each state: what the rows show, their note, and the first sentence of `orc why`."""


class PageLinks(Links):
    """No addresses, also of what only a server has."""

    def database(self) -> str:
        """The page of the database."""
        return ""


@contextmanager
def opened(name: str) -> Iterator[tuple[Ledger, bool]]:
    """A ledger with the job in the state, and whether a process runs it."""
    state = STATES[name]()
    with ledger_of(state.story()) as ledger:
        lock = OwnerLock(ledger.path, JOB)
        if state.is_live:
            lock.acquire()
        try:
            yield ledger, state.is_live
        finally:
            if state.is_live:
                lock.release()


def test_each_state_has_an_expectation() -> None:
    assert list(SAID) == list(STATES)


@each_case("name", STATES)
def test_show_why_and_the_pages_say_the_same(name: str) -> None:
    state, note, verdict = (SAID[name][key] for key in ("state", "note", "why"))
    with opened(name) as (ledger, is_live):
        why = read_why(ledger, JOB, "a", is_live=is_live)
        assert why.verdict == verdict
        page = read_job(ledger, ledger.path, JOB, PageLinks(), now=NOW, at=None)
        (line,) = (line for line in page["lines"] if line.step.name == "a")
        assert (page["state_of"](line.step), line.note) == (state, note)
        said = orc("show", JOB, "--db", ledger.path, "--json").json()
        (step,) = (step for step in said["steps"] if step["step"] == "a")
        shown = "succeeded" if state == CACHED else state
        assert (step["status"], step["note"]) == (shown, note)
        text = orc("show", JOB, "--db", ledger.path).out
        (row,) = (row for row in text.splitlines() if row.startswith("a ") and shown in row)
        assert note.split("\n")[0][:60] in row
        assert "\\x0a" not in text + orc("why", JOB, "a", "--db", ledger.path).out


@each_case("name", STATES)
def test_the_pages_show_no_attempt_that_no_process_runs_as_running(name: str) -> None:
    with opened(name) as (ledger, is_live):
        values = read_step(ledger, ledger.path, JOB, "a", PageLinks())
        assert values is not None
        page = _html("step.html", values)
        job = _html("job.html", read_job(ledger, ledger.path, JOB, PageLinks(), now=NOW, at=None))
    if "approval waiting" in name:
        assert 'data-status="waiting"' in page.partition('id="attempts"')[2]
    if not is_live:
        assert 'data-status="running"' not in page.partition('id="around"')[0]
        assert 'data-status="running"' not in job
    if "no process" in name and "running" in name:
        assert "was running when its process ended" in page
        assert 'data-status="interrupted"' in job


def _html(template: str, values: dict[str, object]) -> str:
    shared = {
        "css": "",
        "view_js": "",
        "tools_js": "",
        "shared_js": "",
        "js": "",
        "words": "",
        "csrf": lambda: "",
    }
    return render(template, {**shared, **values})


def test_a_group_shows_what_its_members_used() -> None:
    with opened("for_each of prompts") as (ledger, _):
        view = read_view(ledger.connection, JOB)
        inside = [view.by_name[name] for name in ("a[0]", "a[1]")]
        used = view.usage["a"]
        assert used.calls == 2
        assert used.tokens == sum(step.tokens for step in inside) > 0
        text = orc("show", JOB, "--db", ledger.path).out
        (row,) = (row for row in text.splitlines() if row.startswith("a "))
        assert f" {used.tokens} " in row
        values = read_step(ledger, ledger.path, JOB, "a", PageLinks())
        assert values is not None
        assert values["used"].calls == 2


def test_no_use_of_tokens_is_shown_where_none_was_reported() -> None:
    with opened("run succeeded") as (ledger, _):
        page = _html("job.html", read_job(ledger, ledger.path, JOB, PageLinks(), now=NOW, at=None))
        assert "<dt>Tokens</dt><dd>-" in page
        assert "no calls to models" in orc("show", JOB, "--db", ledger.path).out
        (head, row) = orc("list", "--db", ledger.path).out.splitlines()
        assert not row[head.index("TOKENS") : head.index("TOKENS") + len("TOKENS")].strip()


@pytest.mark.parametrize(
    ("name", "failed", "tolerated"),
    [
        ("run failed", ["a"], []),
        ("run failed, tolerated", [], ["a"]),
        ("for_each failed", ["a[0]"], []),
        ("for_each with tolerated items", [], ["a[0]"]),
        ("group failed, tolerated", [], ["a/x"]),
        ("run succeeded", [], []),
    ],
)
def test_each_failure_is_listed_once(name: str, failed: list[str], tolerated: list[str]) -> None:
    with opened(name) as (ledger, _):
        found = failures_of(read_view(ledger.connection, JOB))
        assert [[step.name for step in steps] for steps in found] == [failed, tolerated]
        page = _html("job.html", read_job(ledger, ledger.path, JOB, PageLinks(), now=NOW, at=None))
        assert page.count("<li><b>") == len(failed) + len(tolerated)
        report = ledger.path.parent / "report.xml"
        orc("export", JOB, "--db", ledger.path, "--format", "junit", "--to", report)
        assert ("<failure" in report.read_text()) == bool(failed)


def test_tolerated_failures_are_reported_everywhere() -> None:
    with opened("for_each with tolerated items") as (ledger, _):
        path: Path = ledger.path
        shown = orc("show", JOB, "--db", path)
        line = "1 step failed, and the job continued (continue_on_error): 1 exit_code"
        assert f"  tolerated  {line}" in shown.out
        value = {"total": 1, "by_setting": {"continue_on_error": {"exit_code": 1}}}
        assert orc("show", JOB, "--db", path, "--json").json()["tolerated_failures"] == value
        assert "1 failure " in orc("list", "--db", path).out
        assert orc("list", "--db", path, "--json").json()["tolerated_failures"] == 1
        why = orc("why", JOB, "a", "--db", path).out
        assert f"inside it: {line}" in why
        assert "1 tolerated failure" in orc("tail", JOB, "--db", path).out.splitlines()[-1]
        page = _html("job.html", read_job(ledger, path, JOB, PageLinks(), now=NOW, at=None))
        assert line in page
        out = path.parent / "page.html"
        orc("export", JOB, "--db", path, "--format", "html", "--to", out)
        assert line in out.read_text()
