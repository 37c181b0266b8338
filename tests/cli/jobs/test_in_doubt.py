"""Work that was interrupted in flight: it is counted and shown; then repeated, reviewed or failed.

A real process is killed at failpoints. Then the test's process reads and resumes the job.
"""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from orc.ledger.money import nearest_nano_usd
from orc.ledger.wording import usd_text
from tests.cli.command_line import orc, write
from tests.model_server import ModelServer, Says
from tests.processes import end_process, run_orc, start_orc, wait_until

PAYS = """\
project: doubt
defaults: {HOW}
steps:
  pay: {run: "echo once >> ../../../../paid"}
  after: {needs: pay, value: done}
"""
PRICES = "models: {ollama: {model-a: {input: 1000, output: 2000}}}\n"
ASKS = """\
project: doubt
provider: ollama/model-a
defaults: {HOW}
steps:
  ask: {prompt: Who goes there?, params: {max_tokens: 100}}
"""
TOOL = """\
project: doubt
provider: ollama/model-a
steps:
  ask:
    prompt: Pay
    on_unknown: ask
    tools: [{builtin: run_command, allow: [sh]}]
"""


@pytest.fixture
def server(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    """A model with a price."""
    write("prices.yaml", PRICES)
    with ModelServer() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield server


def die(spec: str, how: str, place: str) -> None:
    """Run the spec in a process that is killed at this failpoint."""
    write("spec.yaml", spec.replace("HOW", how))
    ended = run_orc("run", "spec.yaml", cwd=Path.cwd(), ORC_FAILPOINTS=f"{place}=kill")
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def paid() -> int:
    """The number of times that the command has run."""
    path = Path("paid")
    return len(path.read_text().splitlines()) if path.exists() else 0


def shown() -> dict[str, Any]:
    """The calls in doubt in `orc show --json`."""
    found: dict[str, Any] = orc("show", "latest", "--json").json()["in_doubt"]
    return found


def rows(query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect("runs.db")) as connection:
        return connection.execute(query).fetchall()


def manifest() -> dict[str, Any]:
    (path,) = Path("runs").glob("*/manifest.json")
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def worst_usd() -> float:
    """The cost of one token per byte of the request, and of the longest reply."""
    ((data,),) = rows("SELECT data FROM events WHERE type = 'llm.requested' LIMIT 1")
    worst = json.loads(data)["worst_case"]
    assert worst["output_tokens"] == 100
    return float((worst["input_tokens"] * 1000 + 100 * 2000) / 1e6)


def test_by_default_interrupted_work_is_repeated(here: Path) -> None:
    die(PAYS, "", "process.after_exit")
    assert paid() == 1
    assert "running when the process died, with an unknown outcome" in orc("show", "latest").out
    assert shown()["steps_under_way"] == ["pay"]
    assert orc("resume", "latest").code == 0
    assert paid() == 2
    assert shown()["steps_under_way"] == []
    assert rows("SELECT status FROM attempts WHERE name LIKE 'pay%' ORDER BY name") == [
        ("in doubt",),
        ("succeeded",),
    ]


@pytest.mark.parametrize(
    ("place", "done", "answer"),
    [
        ("process.after_spawn", 0, "approve"),
        ("process.after_exit", 1, "approve"),
        ("process.after_exit", 1, "reject"),
    ],
)
def test_work_that_must_not_be_repeated_waits_for_review(
    here: Path, place: str, done: int, answer: str
) -> None:
    die(PAYS.replace("{run:", "{idempotent: false, run:"), "", place)
    assert paid() == done
    said = orc("resume", "latest")
    assert said.code == 3
    assert "pay asks: interrupted while it ran; it may or may not have completed" in said.err
    assert orc("resume", "latest").code == 3
    assert paid() == done
    assert "pay asks: " in orc("show", "latest").out
    assert orc(answer, "latest", "pay").code == 0
    # After the decision the step no longer waits for review; the job waits for its resume.
    assert " asks: " not in orc("show", "latest").out
    assert orc("resume", "latest").code == (0 if answer == "approve" else 1)
    assert paid() == done + (answer == "approve")
    if answer == "reject":
        # A rejection does not mean that nothing was done: the step asks again, and does not run.
        assert orc("resume", "latest").code == 3
        assert "pay asks: " in orc("show", "latest").out
        assert paid() == done


def test_the_question_stays_after_a_cancellation(here: Path) -> None:
    die(PAYS, "on_unknown: ask", "process.after_exit")
    assert orc("cancel", "latest").code == 0
    assert orc("resume", "latest").code == 3
    assert orc("cancel", "latest").code == 0
    assert orc("resume", "latest").code == 3
    assert paid() == 1


def test_the_step_fails_if_the_spec_says_so_and_a_resume_repeats_it(here: Path) -> None:
    die(PAYS, "on_unknown: fail", "process.after_exit")
    said = orc("resume", "latest")
    assert said.code == 7
    assert "pay: connection: interrupted while it ran; it may or may not have completed" in said.err
    assert paid() == 1
    assert orc("resume", "latest").code == 0
    assert paid() == 2


def test_a_command_that_a_stop_signal_ended_waits_for_review(here: Path) -> None:
    command = "echo once >> ../../../../paid; [ -e ../../../../go ] || sleep 60"
    write("spec.yaml", f"project: d\nsteps: {{pay: {{run: '{command}', idempotent: false}}}}\n")
    process = start_orc("run", "spec.yaml", cwd=here)
    try:
        wait_until(lambda: paid() == 1)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    finally:
        end_process(process)
    write("go", "")
    assert orc("resume", "latest").code == 3
    assert paid() == 1
    assert orc("approve", "latest", "pay").code == 0
    assert orc("resume", "latest").code == 0
    assert paid() == 2


@pytest.mark.parametrize(("place", "asked"), [("call.before_send", 0), ("call.after_reply", 1)])
def test_a_call_in_doubt_is_shown_before_the_resume_and_stays_counted(
    server: ModelServer, place: str, asked: int
) -> None:
    die(ASKS, "", place)
    assert len(server.seen) == asked
    most = worst_usd()
    shown_most = usd_text(nearest_nano_usd(most))
    line = (
        f"1 call in doubt: sent, without a full count of tokens; may have cost up to {shown_most}"
    )
    expected = {
        "calls": 1,
        "cost_usd_max": most,
        "cost_known_usd_max": most,
        "calls_unpriced": 0,
    }
    assert rows("SELECT status FROM llm_calls") == [("sent",)]
    assert f"  in doubt   {line}\n" in orc("show", "latest").out
    assert shown() == {**expected, "steps_under_way": []}

    said = orc("resume", "latest")
    assert said.code == 0
    assert f"  {line}\n" in said.err
    assert len(server.seen) == asked + 1
    assert f"  in doubt   {line}\n" in orc("show", "latest").out
    assert shown() == {**expected, "steps_under_way": []}
    assert orc("list", "--json").json()["calls_in_doubt"] == 1
    assert manifest()["in_doubt"] == manifest()["steps"]["ask"]["in_doubt"] == expected
    calls = "SELECT status, in_doubt, worst_case_usd FROM llm_calls ORDER BY call_id"
    assert rows(calls) == [("in doubt", 1, most), ("answered", 0, most)]
    counted = ("SELECT calls_in_doubt, in_doubt_usd, in_doubt_unpriced FROM ", [(1, most, 0)])
    for table in ("jobs", "steps"):
        assert rows(counted[0] + table) == counted[1]
    assert rows("SELECT status FROM attempts ORDER BY attempt") == [("in doubt",), ("succeeded",)]
    assert orc("verify", "latest").code == 0


def test_a_call_in_doubt_is_not_sent_again_before_an_approval(server: ModelServer) -> None:
    die(ASKS, "on_unknown: ask", "call.after_reply")
    said = orc("resume", "latest", "--json")
    assert said.code == 3
    (waiting,) = said.lines()[-1]["waiting"]
    assert (waiting["step"], waiting["for"]) == ("ask", "in_doubt")
    assert waiting["question"].startswith("interrupted during a call to the model")
    assert said.lines()[-1]["in_doubt"]["calls"] == 1
    assert (
        "ask asks: interrupted during a call to the model; it may or may not have completed"
        in orc("show", "latest").out
    )
    assert len(server.seen) == 1
    assert orc("approve", "latest", "ask").code == 0
    assert orc("resume", "latest").code == 0
    assert len(server.seen) == 2


def test_a_call_in_doubt_fails_its_step_if_the_spec_says_so(server: ModelServer) -> None:
    die(ASKS, "on_unknown: fail", "call.after_reply")
    said = orc("resume", "latest")
    assert said.code == 7
    assert (
        "ask: connection: interrupted during a call to the model; it may or may not have completed"
        in said.err
    )
    assert len(server.seen) == 1


def test_an_interrupted_tool_waits_for_review_if_the_spec_says_so(server: ModelServer) -> None:
    command = {"argv": ["sh", "-c", "echo once >> ../../../../paid"]}
    calls = (("c1", "run_command", command),)
    server.answer = lambda asked: Says("done") if "tool" in asked.last else Says(calls=calls)
    die(TOOL, "", "process.after_spawn")
    said = orc("resume", "latest")
    assert said.code == 3
    assert "ask asks: interrupted during a tool call; it may or may not have completed" in said.err
    assert rows("SELECT status FROM tool_calls") == [("in doubt",)]
    assert shown()["calls"] == 0
    assert orc("approve", "latest", "ask").code == 0
    assert orc("resume", "latest").code == 0
    assert (paid(), len(server.seen)) == (1, 2)


def test_a_reply_that_breaks_off_is_in_doubt_and_a_refused_connection_is_not(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = iter([Says("half of it", is_cut=True), Says("all of it")])
    server.answer = lambda asked: next(said)
    write("spec.yaml", ASKS.replace("HOW", "retry: {max_attempts: 2, initial: 1ms, jitter: 0}"))
    assert orc("run", "spec.yaml").code == 0
    (one, two) = rows("SELECT status, in_doubt FROM llm_calls ORDER BY call_id")
    assert (one, two) == (("failed", 1), ("answered", 0))
    assert shown()["cost_usd_max"] == worst_usd()

    monkeypatch.setenv("OLLAMA_BASE_URL", "http://127.0.0.1:9")
    assert orc("run", "spec.yaml").code == 7
    assert shown()["calls"] == 0


def test_without_max_tokens_or_a_price_the_greatest_cost_is_unknown(server: ModelServer) -> None:
    write("spec.yaml", ASKS.replace(", params: {max_tokens: 100}", "").replace("HOW", ""))
    write("free.yaml", "project: free\nprovider: ollama/model-b\nsteps: {ask: {prompt: Who?}}\n")
    assert orc("run", "spec.yaml").code == 0
    assert orc("run", "free.yaml").code == 0
    found = [
        json.loads(data)["worst_case"]
        for (data,) in rows(
            "SELECT data FROM events WHERE type = 'llm.requested' ORDER BY position"
        )
    ]
    assert [set(worst) for worst in found] == [{"input_tokens"}, {"input_tokens", "cost_nano_usd"}]
    assert found[1]["cost_nano_usd"] == 0
