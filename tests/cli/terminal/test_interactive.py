"""`--interactive`: a running job asks on the terminal, and its other steps go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orc.cli.jobs.decide import decide
from orc.cli.jobs.sync import run_sync
from orc.cli.ledger_access import find_places
from tests.cli.command_line import orc, write
from tests.cli.pseudo_terminal import Terminal
from tests.processes import has_event, wait_until

SPEC = """\
project: asking
steps:
  text: {run: "echo '# Title' > draft.md", files: [draft.md]}
  gate:
    needs: text
    approval:
      message: "## Publish?\\n\\n**draft.md** is \\e[2Jready"
      options: [approve, later, reject]
    continue_on_error: true
  after: {needs: gate, value: "${{ steps.gate.output }}"}
  slow: {run: "until [ -e \\"$ORC_SPEC_DIR/go\\" ]; do sleep 0.02; done"}
"""
ASKED = "leaves it open): "
COMMENT = "none): "


def events_of(job: str = "latest") -> list[dict[str, Any]]:
    return orc("tail", job, "--json").lines()


def decisions() -> list[tuple[str, str | None]]:
    found = [event for event in events_of() if event["type"] == "approval.decided"]
    return [(event["option"], event.get("comment")) for event in found]


def test_a_running_job_asks_in_place_and_its_other_steps_go_on(here: Path) -> None:
    write("spec.yaml", SPEC)
    with Terminal("run", "spec.yaml", "--interactive", cwd=here) as person:
        shown = person.wait_for(ASKED)
        # The message is laid out, its control characters are not obeyed, and its files are named.
        assert "Publish?" in shown
        assert "## Publish?" not in shown.partition("gate asks:")[2]
        assert "\\x1b[2Jready" in shown
        assert "asking/draft.md" in shown
        assert "  2  later" in shown
        person.type("4\n")
        assert "there is no option '4'" in person.wait_for(ASKED)
        person.type("2\n")
        person.wait_for(COMMENT)
        person.type("not yet\n")
        wait_for_event("step.succeeded", "after")
        Path("go").touch()
        assert person.end() == 0
    assert decisions() == [("later", "not yet")]
    types = [(event["type"], event.get("step")) for event in events_of()]
    assert types.index(("step.succeeded", "after")) < types.index(("step.succeeded", "slow"))
    assert ("job.waiting", None) not in types


def test_a_job_that_has_paused_goes_on_after_the_answer(here: Path) -> None:
    Path("go").touch()
    write("spec.yaml", SPEC)
    with Terminal("run", "spec.yaml", "--interactive", "--quiet", cwd=here) as person:
        person.wait_for(ASKED)
        wait_for_event("job.waiting")
        person.type("APPROVE\n")
        person.wait_for(COMMENT)
        person.type("\n")
        assert person.end() == 0
    assert decisions() == [("approve", None)]
    assert orc("show", "latest", "--json").json()["status"] == "succeeded"


@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["Ctrl-C", "Ctrl-D"])
def test_a_question_that_is_left_open_leaves_the_job_waiting(here: Path, key: str) -> None:
    Path("go").touch()
    write("spec.yaml", SPEC)
    with Terminal("run", "spec.yaml", "--interactive", "--quiet", cwd=here) as person:
        person.wait_for(ASKED)
        wait_for_event("job.waiting")
        person.type(key)
        person.wait_for("gate waits for a decision")
        assert person.end() == 3
    assert decisions() == []
    assert orc("show", "latest", "--json").json()["status"] == "waiting"

    with Terminal("resume", "latest", "--interactive", "--quiet", cwd=here) as person:
        person.wait_for(ASKED)
        person.type("1\n")
        person.wait_for(COMMENT)
        person.type("\n")
        assert person.end() == 0


def test_a_decision_of_another_person_withdraws_the_question(here: Path) -> None:
    write("spec.yaml", SPEC)
    with Terminal("run", "spec.yaml", "--interactive", "--quiet", cwd=here) as person:
        person.wait_for(ASKED)
        places = find_places(None)
        run_sync(decide, "latest", "gate", option="reject", comment=None, places=places)
        person.wait_for("gate was decided meanwhile")
        Path("go").touch()
        assert person.end() == 0
    assert decisions() == [("reject", None)]


@pytest.mark.parametrize("command", [("run", "spec.yaml"), ("resume", "latest")])
def test_without_a_terminal_nothing_is_started(here: Path, command: tuple[str, ...]) -> None:
    write("spec.yaml", SPEC)
    said = orc(*command, "--interactive")
    assert said.code == 2
    assert "--interactive asks on a terminal" in said.err
    assert not Path("runs.db").exists()


@pytest.mark.parametrize("other", ["--json", "--no-input"])
def test_options_for_scripts_cannot_be_combined_with_it(here: Path, other: str) -> None:
    write("spec.yaml", SPEC)
    said = orc("run", "spec.yaml", "--interactive", other)
    assert said.code == 2
    assert f"--interactive and {other} cannot be combined" in said.err


def wait_for_event(kind: str, step: str | None = None) -> None:
    wait_until(lambda: has_event(Path("runs.db"), kind, step=step), what=kind)
