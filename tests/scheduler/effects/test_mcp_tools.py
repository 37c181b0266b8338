"""Tools of MCP servers: what a model gets of them, whatever a server does, and that none survives."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

import orc
from orc.ledger.secrets.masking import NO_MASK, Mask
from orc.providers import Tool
from orc.scheduler.effects import mcp_messages, mcp_server
from orc.scheduler.effects.contract import KnownResult, ToolProblem
from orc.scheduler.effects.groups import ProcessGroups
from orc.scheduler.effects.mcp_server import Launch, McpServer
from tests.model_server import Asked, ModelServer, Says
from tests.processes import end_process, has_event, start_orc, wait_until

STAND = Path(__file__).parents[2] / "mcp_stand"
HOSTILE, WORDS = STAND / "hostile.py", STAND / "words.py"
Opened = tuple[McpServer, tuple[Tool, ...]]


@pytest.fixture(autouse=True)
def _is_impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not end with its input is waited for a moment only."""
    monkeypatch.setattr(mcp_server, "_STOP_S", 0.1)


@pytest.fixture
def server(tmp_path: Path, groups: ProcessGroups) -> Callable[..., Any]:
    """Opens a server that behaves as the mode says; it ends with the block."""

    @asynccontextmanager
    async def opened(
        mode: str, *, prefix: str = "", allow: tuple[str, ...] = (), mask: Mask = NO_MASK
    ) -> AsyncIterator[Opened]:
        launch = Launch(
            shown="hostile",
            argv=[sys.executable, str(HOSTILE), mode],
            env={"PATH": os.environ["PATH"]},
            cwd=tmp_path,
            log_path=tmp_path / "step.log",
            log_bytes=10_000,
        )
        found = McpServer(launch, prefix=prefix, allow=allow, groups=groups, mask=mask)
        error: Exception | None = None
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                try:
                    yield found, await found.start(nursery)
                except Exception as raised:
                    error = raised
                nursery.cancel_scope.cancel()
        if error is not None:
            raise error

    return opened


async def call(server: Callable[..., Any], mode: str) -> KnownResult:
    async with server(mode) as (found, _):
        result: KnownResult = await found.call("act", {})
        return result


async def test_a_tool_is_offered_under_the_name_of_its_server(server: Callable[..., Any]) -> None:
    async with server("plain", prefix="files", allow=("act",)) as (found, tools):
        (tool,) = tools
        assert tool["name"] == "files_act"
        assert tool["parameters"] == {"type": "object"}
        assert await found.call("files_act", {}) == KnownResult("fine", is_error=False)


@pytest.mark.parametrize(
    ("mode", "result"),
    [
        ("plain", "fine"),
        ("greeting", "fine"),
        ("some", "fine"),
        ("other", "fine"),
        ("structured", {"a": [1, 2]}),
    ],
)
async def test_what_a_server_sends_besides_does_no_harm(
    server: Callable[..., Any], mode: str, result: Any
) -> None:
    assert await call(server, mode) == KnownResult(result, is_error=False)


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("garbage", "sent a line that is not a message of the protocol: 'this is no JSON'"),
        ("shape", "does not follow the protocol"),
        ("deep", "Maximum serialization depth exceeded"),
        ("giant", "sent a message of more than"),
        ("flood", "without an answer"),
        ("asks", "requests of its own"),
        ("die", "ended"),
        ("kill", "ended"),
        ("error", "the tool failed: no"),
    ],
)
async def test_a_failure_of_the_server_is_an_error_for_the_model(
    server: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, mode: str, said: str
) -> None:
    monkeypatch.setattr(mcp_messages, "UNASKED_BYTES_MAX", 10 * 1024 * 1024)
    async with server(mode) as (found, _):
        result = await found.call("act", {})
        assert result.is_error
        assert said in result.result
        assert result.result.isprintable()
        if mode not in ("shape", "error"):
            # What is broken stays so, and is not waited for.
            assert (await found.call("act", {})).is_error


@pytest.mark.parametrize(
    ("mode", "allow", "said"),
    [
        ("name", (), "which models cannot be offered"),
        ("twice", (), "lists the tool 'act' twice"),
        ("many", (), "more than 100; name those that the model needs in `allow`"),
        ("schema", (), "could not be used"),
        ("long", (), "no JSON Schema of an object"),
        ("plain", ("other",), "has no tool 'other', which `allow` names; it has 'act'"),
        ("exit", (), "ended"),
    ],
)
async def test_a_server_whose_tools_cannot_be_offered_is_refused(
    server: Callable[..., Any], tmp_path: Path, mode: str, allow: tuple[str, ...], said: str
) -> None:
    with pytest.raises(ToolProblem) as caught:
        async with server(mode, allow=allow):
            pass
    assert said in str(caught.value)
    assert str(caught.value).isprintable()
    if mode == "exit":
        assert "no licence" in (tmp_path / "step.log").read_text()


async def test_a_list_of_tools_has_an_end(server: Callable[..., Any]) -> None:
    async with server("endless") as (_, tools):
        assert tools == ()


async def test_a_server_that_says_nothing_is_not_waited_for(
    server: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mcp_server, "START_S", 0.5)
    with pytest.raises(ToolProblem, match="did not list its tools within"):
        async with server("silent"):
            pass


async def test_a_call_that_hangs_can_be_cancelled(server: Callable[..., Any]) -> None:
    async with server("hang") as (found, _):
        with trio.move_on_after(0.5) as limit:
            await found.call("act", {})
        assert limit.cancelled_caught


async def test_no_process_of_a_server_is_left_at_its_end(server: Callable[..., Any]) -> None:
    for mode in ("child", "stubborn"):
        async with server(mode):
            assert members(HOSTILE, mode) != []
        assert members(HOSTILE, mode) == []


async def test_a_secret_in_a_description_is_masked(server: Callable[..., Any]) -> None:
    async with server("plain", mask=Mask({"KEY": "Acts.\x1b[31m"})) as (_, (tool,)):
        assert "[secret KEY]" in tool["description"]


@pytest.mark.parametrize("mode", ["half", "half link", "half error"])
async def test_no_half_of_a_secret_is_where_something_of_a_server_is_cut(
    server: Callable[..., Any], tmp_path: Path, mode: str
) -> None:
    async with server(mode, mask=Mask({"KEY": "secret-of-32-characters-in-a-row"})) as (found, _):
        result = await found.call("act", {})
    log = tmp_path / "step.log"
    assert "secret-of" not in result.result + (log.read_text() if log.exists() else "")
    assert "xxxxxxxxx" in result.result or "yyyyy" in result.result


def test_a_pattern_of_a_server_is_not_matched_here(tmp_path: Path) -> None:
    tool = {"mcp": [sys.executable, "./hostile.py", "pattern"]}
    assert results(run(ask(tmp_path, tool, ("act", {"a": "aaaa!"})))) == {"act": "fine"}


def members(script: Path, mode: str) -> list[int]:
    """The processes in the groups of servers with this script and mode."""
    groups = {os.getpgid(pid) for pid, words in processes() if {str(script), mode} <= {*words}}
    found = []
    for pid, _ in processes():
        try:
            if os.getpgid(pid) in groups:
                found.append(pid)
        except OSError:
            continue
    return found


def processes() -> list[tuple[int, list[str]]]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
            os.getpgid(int(path.name))
        except OSError:
            continue
        if any(words):
            found.append((int(path.name), words))
    return found


def ask(tmp_path: Path, tool: Any, *calls: tuple[str, dict[str, Any]], **step: Any) -> Path:
    """A spec beside its server, and the replies of a model that makes these calls."""
    for script in (HOSTILE, WORDS):
        (tmp_path / script.name).write_text(script.read_text())
    steps = {"ask": {"prompt": "Ask.", "tools": [tool], **step}}
    spec = tmp_path / "spec.yaml"
    spec.write_text(json.dumps({"project": "demo", "steps": steps}))
    made = [
        {"id": f"c{number}", "name": name, "arguments": arguments}
        for number, (name, arguments) in enumerate(calls)
    ]
    replies = [{"tool_calls": made}, "Done."]
    (tmp_path / "replies.yaml").write_text(json.dumps({"replies": {"ask": replies}}))
    return spec


def run(spec: Path) -> orc.Job:
    folder = spec.parent
    return orc.run(spec, provider="replay", replies=folder / "replies.yaml", db=folder / "runs.db")


def results(job: orc.Job) -> dict[str, Any]:
    """The results of the job's tool calls, by tool."""
    with orc.open_ledger(job.database) as ledger:
        return {
            recorded.event.tool: ledger.read_payload(recorded.event.result)
            for recorded in ledger.read_stream(job.job_id)
            if recorded.event.type == "tool.returned"
        }


def test_a_model_calls_the_tools_of_a_server_of_the_official_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "canary-0123456789")
    monkeypatch.setenv("OTHER", "not for servers")
    spec = ask(
        tmp_path,
        {"mcp": "./words.py", "name": "w"},
        ("w_count_words", {"text": "one two three"}),
        ("w_environment", {}),
        ("w_echo", {"name": "TOKEN"}),
        ("w_place", {}),
        ("w_picture", {}),
        ("w_fail", {"message": "x"}),
        ("w_large", {"size": 600_000}),
        ("w_count_words", {"text": 7}),
        ("nothing", {}),
        secrets=["TOKEN"],
    )
    job = run(spec)
    assert job.status == "succeeded"
    found = results(job)
    assert "OTHER" not in found["w_environment"]
    assert "TOKEN" in found["w_environment"]
    assert found["w_echo"] == "[secret TOKEN]"
    assert Path(found["w_place"]).is_relative_to(job.folder)
    assert found["w_picture"] == "[image image/png: not passed on]"
    assert "Error executing tool fail" in found["w_fail"]
    assert found["w_large"]["cut_at_chars"] < 600_000
    assert "there is no tool 'nothing'" in found["nothing"]
    (log,) = (job.folder / "logs").rglob("*.log")
    assert "asked for TOKEN: [secret TOKEN]" in log.read_text()
    for path in tmp_path.glob("runs.db*"):
        assert b"canary" not in (path.read_bytes() if path.is_file() else b"")


@pytest.mark.parametrize("provider", ["openai", "openai-responses", "anthropic", "ollama"])
def test_every_adapter_offers_the_tools_of_a_server_and_sends_their_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provider: str
) -> None:
    def answer(asked: Asked) -> Says:
        if "fine" in json.dumps(asked.body):
            return Says("Done.")
        assert "h_act" in json.dumps(asked.body["tools"])
        return Says(calls=(("call_1", "h_act", {"a": 1}),))

    tool = {"mcp": [sys.executable, "./hostile.py", "plain"], "name": "h"}
    spec = ask(tmp_path, tool)
    with ModelServer(answer) as models:
        for name, value in models.environment().items():
            monkeypatch.setenv(name, value)
        job = orc.run(spec, provider=f"{provider}/model-a", db=tmp_path / "runs.db")
    assert (job.status, job.outputs["ask"]) == ("succeeded", "Done.")
    assert results(job) == {"h_act": "fine"}


def test_a_tool_that_is_not_allowed_is_neither_offered_nor_called(tmp_path: Path) -> None:
    tool = {"mcp": "./words.py", "allow": ["place"]}
    job = run(ask(tmp_path, tool, ("count_words", {"text": "a"}), ("place", {})))
    assert job.status == "succeeded"
    assert "there is no tool 'count_words'; the tools are: place" in results(job)["count_words"]


@pytest.mark.parametrize(
    ("tools", "said"),
    [
        ([{"mcp": "./words.py"}, {"mcp": "./words.py"}], "give the server a `name`"),
        ([{"mcp": "./missing.py"}], "there is no file ./missing.py beside the spec"),
        ([{"mcp": ["no-such-command"]}], "see the step's log"),
    ],
)
def test_a_server_that_cannot_be_used_fails_the_step_with_the_remedy(
    tmp_path: Path, tools: list[Any], said: str
) -> None:
    spec = ask(tmp_path, tools[0])
    document = json.loads(spec.read_text())
    document["steps"]["ask"]["tools"] = tools
    spec.write_text(json.dumps(document))
    job = run(spec)
    assert job.status == "failed"
    assert said in job.failures[0].message
    assert job.calls == 0


def test_a_call_that_hangs_fails_the_attempt_at_its_timeout(tmp_path: Path) -> None:
    tool = {"mcp": [sys.executable, "./hostile.py", "hang"]}
    job = run(ask(tmp_path, tool, ("act", {}), timeout="3s", retry=1))
    assert job.status == "failed"
    assert job.failures[0].kind == "timeout"
    assert members(tmp_path / "hostile.py", "hang") == []


def test_a_resumed_conversation_does_not_call_again_and_no_server_survives_a_kill(
    tmp_path: Path,
) -> None:
    calls = tmp_path / "calls"
    spec = ask(
        tmp_path,
        {"mcp": "./words.py", "allow": ["count_words", "sleep"]},
        ("count_words", {"text": "only once"}),
        ("sleep", {"seconds": 60}),
    )
    document = json.loads(spec.read_text())
    document["env"] = {"CALLS": str(calls)}
    spec.write_text(json.dumps(document))
    words = ["run", str(spec), "--provider", "replay", "--replies", str(tmp_path / "replies.yaml")]
    process = start_orc(*words, cwd=tmp_path)
    # Before, the first call would be in doubt.
    wait_until(lambda: has_event(tmp_path / "runs.db", "tool.returned"))
    assert members(tmp_path / "words.py", "")
    (tmp_path / "words.py").write_text(WORDS.read_text().replace("time.sleep(seconds)", "pass"))
    end_process(process)
    wait_until(lambda: members(tmp_path / "words.py", "") == [])
    (job,) = orc.jobs(db=tmp_path / "runs.db")
    resumed = orc.resume(job.job_id, db=tmp_path / "runs.db")
    assert resumed.status == "succeeded"
    assert calls.read_text() == "only once\n"
    assert results(resumed) == {"count_words": "2", "sleep": "awake"}


@pytest.mark.parametrize(
    ("tool", "said"),
    [
        ({"mcp": "./a.py", "python": "a:b"}, "either `builtin`, `python` or `mcp`"),
        ({"mcp": []}, "mcp"),
        ({"mcp": "../a.py"}, "mcp"),
        (
            {"mcp": "/bin/server"},
            "'/bin/server' is not the path of a file beside the spec or below",
        ),
        ({"mcp": "https://example.org/mcp"}, "a server at an address is not supported"),
        ({"mcp": ["${{ 1 }}"]}, "mcp[0]: `${{ }}` is not rendered here"),
        ({"mcp": "${{ 1 }}"}, "mcp: `${{ }}` is not rendered here"),
        ({"mcp": "./a.py", "description": "x"}, "`description` is allowed with `python` only"),
        ({"mcp": "./a.py", "name": "a b"}, "not a valid tool name"),
        ({"mcp": "./a.py", "name": "1st"}, "starting with a letter or _"),
        ({"mcp": "./a.py", "allow": []}, "allow"),
    ],
)
def test_a_server_that_cannot_be_meant_is_refused_in_the_spec(
    tmp_path: Path, tool: Any, said: str
) -> None:
    problems = orc.validate(ask(tmp_path, tool))
    assert said in " ".join(problem.message for problem in problems)


def test_without_the_package_a_run_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orc.cli.jobs.prepare.find_spec", lambda name: None)
    with pytest.raises(orc.EnvironmentProblem, match=r"pip install '.*\[mcp\]'"):
        run(ask(tmp_path, {"mcp": "./words.py"}))
