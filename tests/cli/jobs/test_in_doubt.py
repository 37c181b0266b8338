"""What was under way when it was cut short: counted, shown, and done again, asked about, or failed.

The process really dies, at named places of the code; whoever looks at the job
afterwards, and goes on with it, does so in this process.
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
    """A model that is paid for."""
    write("prices.yaml", PRICES)
    with ModelServer() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield server


def die(spec: str, how: str, place: str) -> None:
    """Run the spec in a process that dies at the place."""
    write("spec.yaml", spec.replace("HOW", how))
    ended = run_orc("run", "spec.yaml", cwd=Path.cwd(), ORC_FAILPOINTS=f"{place}=kill")
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def paid() -> int:
    """How often the command has done its work."""
    path = Path("paid")
    return len(path.read_text().splitlines()) if path.exists() else 0


def shown() -> dict[str, Any]:
    """What `orc show --json` says is in doubt."""
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
    """A token for each byte of the request, and the longest reply."""
    ((data,),) = rows("SELECT data FROM events WHERE type = 'llm.requested' LIMIT 1")
    worst = json.loads(data)["worst_case"]
    assert worst["output_tokens"] == 100
    return float((worst["input_tokens"] * 1000 + 100 * 2000) / 1e6)


def test_by_default_work_that_was_cut_short_is_done_again(here: Path) -> None:
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
def test_what_must_not_be_done_twice_is_asked_about_first(
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
    # What is answered is asked no more, though the job waits until it is resumed.
    assert " asks: " not in orc("show", "latest").out
    assert orc("resume", "latest").code == (0 if answer == "approve" else 1)
    assert paid() == done + (answer == "approve")
    if answer == "reject":
        # A no does not say that nothing was done: it is asked again, not done again.
        assert orc("resume", "latest").code == 3
        assert "pay asks: " in orc("show", "latest").out
        assert paid() == done


def test_the_question_outlives_a_cancel(here: Path) -> None:
    die(PAYS, "on_unknown: ask", "process.after_exit")
    assert orc("cancel", "latest").code == 0
    assert orc("resume", "latest").code == 3
    assert orc("cancel", "latest").code == 0
    assert orc("resume", "latest").code == 3
    assert paid() == 1


def test_it_fails_where_the_spec_says_so_and_a_resume_does_it_again(here: Path) -> None:
    die(PAYS, "on_unknown: fail", "process.after_exit")
    said = orc("resume", "latest")
    assert said.code == 7
    assert "pay: connection: interrupted while it ran; it may or may not have completed" in said.err
    assert paid() == 1
    assert orc("resume", "latest").code == 0
    assert paid() == 2


def test_a_command_that_a_signal_to_orc_ended_midway_asks_as_well(here: Path) -> None:
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
def test_a_call_in_doubt_is_shown_before_the_resume_and_counted_for_ever(
    server: ModelServer, place: str, asked: int
) -> None:
    die(ASKS, "", place)
    assert len(server.seen) == asked
    most = worst_usd()
    line = f"1 call in doubt: sent, never answered; may have cost up to {usd_text(most)}"
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


def test_a_call_in_doubt_is_not_sent_again_before_a_person_says_so(server: ModelServer) -> None:
    die(ASKS, "on_unknown: ask", "call.after_reply")
    said = orc("resume", "latest", "--json")
    assert said.code == 3
    assert said.lines()[-1]["waiting"] == [{"step": "ask", "for": "in_doubt"}]
    assert said.lines()[-1]["in_doubt"]["calls"] == 1
    assert (
        "ask asks: interrupted during a call to the model; it may or may not have completed"
        in orc("show", "latest").out
    )
    assert len(server.seen) == 1
    assert orc("approve", "latest", "ask").code == 0
    assert orc("resume", "latest").code == 0
    assert len(server.seen) == 2


def test_a_call_in_doubt_fails_its_step_where_the_spec_says_so(server: ModelServer) -> None:
    die(ASKS, "on_unknown: fail", "call.after_reply")
    said = orc("resume", "latest")
    assert said.code == 7
    assert (
        "ask: connection: interrupted during a call to the model; it may or may not have completed"
        in said.err
    )
    assert len(server.seen) == 1


def test_a_tool_at_work_when_the_process_died_asks_as_its_step_says(server: ModelServer) -> None:
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


def test_without_a_longest_reply_or_a_price_nobody_knows_the_most(server: ModelServer) -> None:
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
    assert [set(worst) for worst in found] == [{"input_tokens"}, {"input_tokens", "cost_usd"}]
    assert found[1]["cost_usd"] == 0
