"""`orc approve` for a waiting job, a running job, and a step that does not wait."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orc.cli.jobs.state import load_state
from orc.cli.terminal.live import LiveTable
from orc.ledger import LedgerReader, failpoints
from tests.cli.approval_job import SPEC
from tests.cli.command_line import orc, write
from tests.processes import end_process, run_orc, start_orc
from tests.projections.served import Get, browse


@pytest.fixture
def asked(here: Path) -> str:
    """A job that waits for a decision."""
    said = orc("run", write("spec.yaml", SPEC), "--json")
    assert said.code == 3, said.err
    return str(said.lines()[0]["job_id"])


def test_a_waiting_job_says_what_it_asks_and_how_to_answer(here: Path) -> None:
    said = orc("run", write("spec.yaml", SPEC))
    assert said.code == 3
    assert "gate asks: Publish the text?" in said.err
    assert "orc approve job_" in said.err
    shown = orc("show", "latest").out
    assert "gate asks: Publish the text?" in shown
    assert orc("list", "--json").json()["status"] == "waiting"


@pytest.mark.parametrize(
    ("answer", "decision", "went"),
    [
        (("approve",), "approve", "succeeded"),
        (("approve", "--option", "later"), "later", "skipped"),
    ],
)
def test_the_job_continues_by_the_decision(
    asked: str, answer: tuple[str, ...], decision: str, went: str
) -> None:
    command, *options = answer
    said = orc(command, asked, "gate", *options)
    assert said.code == 0, said.err
    assert f"next: orc resume {asked}" in said.err
    assert orc("resume", asked).code == 0
    steps = {step["step"]: step for step in orc("show", asked, "--json").json()["steps"]}
    assert steps["go"]["status"] == went
    (line,) = orc("tail", asked, "--type", "approval.decided", "--json").lines()
    assert (line["option"], line.get("comment")) == (decision, None)


def test_one_command_decides_and_continues_wherever_the_question_is_shown(
    asked: str, here: Path
) -> None:
    approve, reject = (f"orc {command} {asked} gate --resume" for command in ("approve", "reject"))
    run = orc("run", "spec.yaml").err
    shown = orc("show", asked).out
    assert f"next: {approve}" in shown.splitlines()
    assert f"next: {approve}".replace(asked, "") in re.sub("job_[a-z0-9]+", "", run)
    for text in (run, shown):
        assert "orc resume" not in text
    assert f"`{approve}`" in orc("why", asked, "gate").out
    (ended,) = [line for line in orc("run", "spec.yaml", "--json").lines() if "next" in line]
    assert ended["next"].endswith(" gate --resume")
    found: list[str] = []

    async def look(get: Get) -> None:
        for address in (f"/-/orc/runs/{asked}", f"/-/orc/runs/{asked}/step/gate"):
            found.append((await get(address)).text)

    browse(here / "runs.db", then=look)
    for text in found:
        assert f"<code>{approve}</code>" in text
        assert f"<code>{reject}</code>" in text
    assert "To continue this job" not in found[0]
    said = orc(*approve.split()[1:])
    assert said.code == 0
    assert f"{asked} succeeded" in said.err


@pytest.mark.parametrize(("command", "went"), [("approve", "succeeded"), ("reject", "skipped")])
def test_with_resume_the_job_goes_on_at_once(asked: str, command: str, went: str) -> None:
    said = orc(command, asked, "gate", "--resume")
    assert said.code == 0, said.err
    assert "next: orc resume" not in said.err
    steps = {step["step"]: step for step in orc("show", asked, "--json").json()["steps"]}
    assert steps["go"]["status"] == went


@pytest.mark.parametrize(
    ("step", "options", "words"),
    [
        ("gat", (), "has no step 'gat'; did you mean 'gate'?"),
        ("text", (), "text does not wait for a decision: it is succeeded"),
        ("gate", ("--option", "aprove"), "did you mean 'approve'?"),
        ("gate", ("--comment", "x" * 10_001), "it may have 10,000 characters at most"),
    ],
)
def test_a_decision_that_is_not_waited_for_is_refused(
    asked: str, step: str, options: tuple[str, ...], words: str
) -> None:
    said = orc("approve", asked, step, *options)
    assert said.code == 2
    assert words in said.err


def test_the_same_decision_of_the_same_user_can_be_given_again(asked: str, here: Path) -> None:
    """A killed `orc approve` may have recorded the decision and not published it."""
    folder = here / "runs" / asked
    before = (folder / "manifest.json").read_bytes()
    assert orc("approve", asked, "gate", "--comment", "fine").code == 0
    after = (folder / "manifest.json").read_bytes()
    (folder / "manifest.json").write_bytes(before)
    assert orc("approve", asked, "gate", "--comment", "fine").code == 0
    assert (folder / "manifest.json").read_bytes() == after
    assert len(orc("tail", asked, "--type", "approval.decided", "--json").lines()) == 1
    for other in (("--comment", "not fine"), ("--option", "later", "--comment", "fine")):
        said = orc("approve", asked, "gate", *other)
        assert (said.code, "has already been decided" in said.err) == (2, True)


def test_a_decision_for_a_job_that_ends_in_the_meantime_is_refused_at_once(
    asked: str, here: Path
) -> None:
    class Cancels:
        def hit(self, place: str) -> None:
            if place == "signal.sent":
                assert run_orc("cancel", asked, cwd=here).returncode == 0

    failpoints.follow(Cancels())
    try:
        said = orc("approve", asked, "gate")
    finally:
        failpoints.follow(None)
    assert (said.code, "gate does not wait for a decision: it is cancelled" in said.err) == (
        2,
        True,
    )


def test_a_running_job_takes_notice_at_once(tmp_path: Path) -> None:
    slow = SPEC + '  slow: {run: "until [ -e ../../../../go ]; do sleep 0.05; done"}\n'
    (tmp_path / "spec.yaml").write_text(slow)
    process = start_orc("run", "spec.yaml", "--json", cwd=tmp_path)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if '"approval"' in line:
                break
        said = run_orc("approve", "latest", "gate", cwd=tmp_path)
        assert said.returncode == 0
        assert said.stderr == "gate asked: Publish the text?\ngate: approve\n"
        (tmp_path / "go").touch()
        process.communicate(timeout=60)
        assert process.returncode == 0
    finally:
        end_process(process)


def test_a_job_that_waits_for_a_decision_can_be_cancelled(asked: str) -> None:
    assert orc("cancel", asked).code == 0
    assert orc("show", asked, "--json").json()["status"] == "cancelled"
    assert orc("approve", asked, "gate").code == 2
    assert orc("resume", asked).code == 3


def test_the_tables_are_rebuilt_to_equal_rows(asked: str) -> None:
    orc("approve", asked, "gate")
    orc("resume", asked)
    before = orc("show", asked, "--json").json()
    assert orc("rebuild").code == 0
    assert orc("show", asked, "--json").json() == before
    assert orc("verify", asked).code == 0


def test_the_last_json_line_says_what_the_job_waits_for(here: Path) -> None:
    text = "project: gated\nsteps: {gate: {approval: Publish?}}\n"
    last = orc("run", write("s.yaml", text), "--json").lines()[-1]
    options = ["approve", "reject"]
    asked = {"step": "gate", "for": "approval", "question": "Publish?", "options": options}
    assert (last["status"], last["waiting"]) == ("waiting", [asked])
    assert last["next"] == f"orc approve {last['job_id']} gate --resume"


def test_the_live_table_has_what_is_inside_a_step_below_it(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = """\
project: inside
steps:
  each: {for_each: [1, 2], value: "${{ item }}"}
  never: {if: "1 > 2", value: 1}
  gate: {needs: each, approval: "Publish?"}
"""
    job_id = orc("run", write("s.yaml", text), "--json").lines()[-1]["job_id"]
    with LedgerReader.open(here / "runs.db") as ledger:
        recorded = list(ledger.read_stream(job_id))
        state = load_state(ledger, job_id)
    with LiveTable() as table:
        table.on_job(state, job_id, here)
        table.on_events(recorded)
    lines = [line.split() for line in capsys.readouterr().err.splitlines() if line]
    head = next(number for number, line in enumerate(lines) if line[:2] == ["step", "state"])
    assert ["gate", "asks:", "Publish?"] in lines[:head], "in full, above the table"
    rows = [line for line in lines[head:] if line[0] in state.steps]
    assert [row[0] for row in rows] == ["each", "each[0]", "each[1]", "never", "gate"]
    assert " ".join(rows[3]) == "never skipped : its condition is false: 1 > 2"
    assert " ".join(rows[4]) == "gate waiting asks: Publish?"
