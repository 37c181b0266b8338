"""What a person must read is in full everywhere: questions, reasons, failures, the task."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command_line import Said, orc, write

QUESTION = "Publish these?\n\tone.txt\n  two.txt \u202e\n" + "and a long line " * 40 + "\nthe end"
SHOWN = [
    "| Publish these?",
    "|     one.txt",
    "|   two.txt \\u202e",
    "| " + ("and a long line " * 40).rstrip(),
    "| the end",
]
SPEC = """\
project: long
task_description: "What for:\\n  a reason"
steps:
  text: {value: QUESTION}
  gate: {approval: "${{ steps.text.output }}", continue_on_error: true}
"""


@pytest.fixture
def asked(here: Path) -> Said:
    text = SPEC.replace("QUESTION", '"' + QUESTION.replace("\n", "\\n").replace("\t", "\\t") + '"')
    return orc("run", write("s.yaml", text))


def in_full(text: str) -> bool:
    found = [line.strip() for line in text.splitlines()]
    starts = [number for number, line in enumerate(found) if line == SHOWN[0]]
    return any(found[start : start + len(SHOWN)] == SHOWN for start in starts)


def test_a_question_is_in_full_wherever_it_is_asked(asked: Said) -> None:
    assert asked.code == 3
    assert asked.err.count("| the end") == 2, "when it is asked, and at the end"
    assert in_full(asked.err)
    assert in_full(orc("show", "latest").out)
    assert in_full(orc("why", "latest", "gate").out)
    assert in_full(orc("resume", "latest").err)
    assert in_full(orc("list", "--status", "waiting").out)
    assert in_full(orc("approve", "latest").out)
    assert in_full(orc("approve", "latest", "gate").err)


def test_json_has_the_raw_text(asked: Said) -> None:
    (step,) = orc("show", "latest", "--json").json()["steps"][1:]
    assert step["note"] == f"asks: {QUESTION}"
    (event,) = orc("tail", "latest", "--type", "approval.requested", "--json").lines()
    assert event["message"] == QUESTION
    assert orc("resume", "latest", "--json").lines()[-1]["waiting"][0]["question"] == QUESTION
    assert orc("approve", "latest", "gate", "--json").json()["question"] == QUESTION


def test_reasons_and_failures_of_several_lines_are_in_full(asked: Said) -> None:
    orc("reject", "latest", "gate", "--comment", "no\n  really no")
    said = orc("resume", "latest")
    assert "1 tolerated failure" in said.err
    shown, why = orc("show", "latest").out, orc("why", "latest", "gate").out
    assert "  task\n      | What for:\n      |   a reason" in shown
    assert "STEP has them in full" in shown, (
        "the table has the first line only, and says where all is"
    )
    assert why.count("|   really no") >= 2
    assert "\\x0a" not in shown + why + said.err + asked.err


def test_a_line_of_tail_that_is_cut_names_the_option(asked: Said) -> None:
    said = orc("tail", "latest")
    assert any(line.endswith("...") for line in said.out.splitlines())
    assert "--json prints each event in full" in said.err
    assert "in full" not in orc("tail", "latest", "--type", "job.started", "--json").err


def test_a_question_beyond_the_limit_says_that_it_is_cut(here: Path) -> None:
    gate = "{needs: text, approval: '${{ steps.text.output }}'}"
    text = f"project: p\nsteps: {{text: {{value: {'x' * 20_000}}}, gate: {gate}}}\n"
    said = orc("run", write("s.yaml", text))
    assert "... (cut: the message has 20,000 characters)" in said.err
