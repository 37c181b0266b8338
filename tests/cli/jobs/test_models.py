"""Whole runs on each model API: the same spec on every provider, and what the ledger records."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command_line import orc, write
from tests.model_server import Asked, Fails, ModelServer, Says

PROVIDERS = ("openai", "openai-responses", "anthropic", "ollama")
APIS = {"openai": "chat", "openai-responses": "responses", "anthropic": "messages"}
DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
KEY = "sk-canary-7f3a9e51c2d84b60"

every_provider = pytest.mark.parametrize("provider", PROVIDERS)

SPEC = """\
project: trip
provider: {provider}/model-a
defaults: {{retry: {{max_attempts: 2, initial: 10ms}}}}
steps:
  river: {{prompt: Name a river., system: Be brief., params: {{max_tokens: 50}}}}
  facts:
    prompt: "Facts on ${{{{ steps.river.output }}}}"
    output:
      format: json
      repair: 1
      schema: {{type: object, properties: {{km: {{type: integer}}}}, required: [km]}}
  tour:
    prompt: Plan a tour.
    tools: [write_file, "trips:distance"]
"""
TOOLS = """\
def distance(start: str, end: str) -> int:
    \"\"\"The distance of two places, in km.\"\"\"
    return len(start) + len(end)
"""


def guide(asked: Asked) -> Says | Fails:
    """A model that makes one mistake, then plans a tour with two tools."""
    if "cannot be used" in asked.last:
        return Says('{"km": 1233}')
    if "Facts" in asked.last:
        return Says('{"km": "long"}')
    if "Plan a tour" in asked.last:
        return Says("", (("t-1", "distance", {"start": "Basel", "end": "Köln"}),))
    if "tour.md" not in json.dumps(asked.body):
        return Says("Now:", (("t-2", "write_file", {"path": "tour.md", "content": "Basel"}),))
    return Says("Planned." if "Name a river" not in asked.last else "Rhine")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    """A server to which every provider is directed."""
    with ModelServer(lambda asked: Says("Rhine") if "river" in asked.last else guide(asked)) as one:
        for name, value in one.environment(key=KEY).items():
            monkeypatch.setenv(name, value)
        yield one


def rows(query: str) -> list[dict[str, Any]]:
    connection = sqlite3.connect("runs.db")
    connection.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in connection.execute(query)]
    finally:
        connection.close()


@every_provider
def test_one_spec_runs_unchanged_on_every_provider(provider: str, server: ModelServer) -> None:
    write("trips.py", TOOLS)
    said = orc("run", write("spec.yaml", SPEC.format(provider=provider)), "--json")
    assert said.code == 0, said.err
    done = said.lines()[-1]
    assert done["tokens"] == 15 * 6
    steps = {step["name"]: step for step in rows("SELECT * FROM steps")}
    assert {name: step["status"] for name, step in steps.items()} == dict.fromkeys(
        ("river", "facts", "tour"), "succeeded"
    )
    assert json.loads(steps["facts"]["output"]) == {"km": 1233}
    assert [row["path"] for row in rows("SELECT path FROM files")] == ["trip/tour.md"]
    assert Path(f"runs/{done['job_id']}/outputs/trip/tour.md").read_text() == "Basel"
    calls = rows("SELECT * FROM llm_calls ORDER BY requested_at")
    assert [call["status"] for call in calls] == ["answered"] * 6
    assert {call["provider"] for call in calls} == {provider}
    assert {call["model"] for call in calls} == {"model-a"}
    tools = rows("SELECT tool, status, result FROM tool_calls ORDER BY called_at")
    assert [(tool["tool"], tool["status"]) for tool in tools] == [
        ("distance", "returned"),
        ("write_file", "returned"),
    ]
    assert tools[0]["result"] == "9"
    assert {asked.api for asked in server.seen} == {APIS.get(provider, "ollama")}
    assert orc("verify").code == 0


@every_provider
def test_a_parameter_that_an_api_does_not_know_is_said_recorded_and_refused_if_strict(
    provider: str, server: ModelServer
) -> None:
    text = f"project: p\nprovider: {provider}/model-a\nsteps:\n  a:\n    prompt: a river\n"
    spec = write("spec.yaml", text + "    params: {num_thread: 4, top_k: 7, max_tokens: 9}\n")
    dropped = {"ollama": ""}.get(provider, "num_thread, top_k")
    said = orc("run", spec)
    assert said.code == 0, said.err
    assert ("does not support" in said.err) == bool(dropped)
    assert f"does not support {dropped}: not sent" in said.err or not dropped
    assert rows("SELECT dropped FROM llm_calls") == [{"dropped": dropped or None}]
    strict = orc("run", spec, "--strict")
    assert strict.code == (2 if dropped else 0)
    body = json.dumps(server.seen[0].body)
    assert ("top_k" in body) == (provider == "ollama")


@every_provider
def test_fields_under_a_providers_name_reach_it_alone(provider: str, server: ModelServer) -> None:
    sections = "{openai: {x_openai: 1}, anthropic: {x_anthropic: 1}, ollama: {x_ollama: 1}}"
    text = f"project: p\nprovider: {provider}/model-a\nparams: {sections}\n"
    assert orc("run", write("spec.yaml", f"{text}steps: {{a: {{prompt: a river}}}}\n")).code == 0
    body = json.dumps(server.seen[0].body)
    found = {name for name in ("openai", "anthropic", "ollama") if f"x_{name}" in body}
    assert found == {provider.partition("-")[0]}


@every_provider
def test_no_byte_that_a_run_leaves_or_says_holds_the_key(
    provider: str, server: ModelServer, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def echo(asked: Asked) -> Says | Fails:
        sent = json.dumps(asked.headers)
        status = {"first": 429, "second": 401, "third": 400}.get(
            json.dumps(asked.body).split("@")[1], 500
        )
        return Fails(status, json.dumps({"error": {"message": f"bad key in {sent}"}}))

    server.answer = echo
    monkeypatch.setenv("CB_THRESHOLD", "2")
    monkeypatch.setenv("CB_COOLDOWN_S", "0.01")
    steps = "".join(
        f"  {name}: {{prompt: '@{name}@', retry: {{max_attempts: 2, initial: 1ms}}}}\n"
        for name in ("first", "second", "third", "fourth")
    )
    spec = write("spec.yaml", f"project: p\nprovider: {provider}/model-a\nsteps:\n{steps}")
    said = [
        orc("run", spec, "--record", "replies.yaml"),
        orc("run", spec, "--json"),
        orc("show", "latest"),
        orc("show", "latest", "--events", "--json"),
        orc("tail", "latest"),
        orc("doctor"),
        orc("doctor", "--json"),
        orc("export", "latest", "--to", "exported"),
    ]
    assert [one.code for one in said[:2]] == [1, 1]
    if provider != "ollama":
        assert any(KEY in json.dumps(asked.headers) for asked in server.seen)
    for one in said:
        assert KEY not in one.out + one.err
        assert "Traceback" not in one.err
    files = [path for path in here.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []


def test_a_missing_key_is_said_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    for provider, variable in (("openai", "OPENAI_API_KEY"), ("anthropic", "ANTHROPIC_API_KEY")):
        text = f"project: p\nprovider: {provider}\nsteps: {{a: {{prompt: hi}}}}\n"
        said = orc("run", write("spec.yaml", text))
        assert said.code == 7
        assert variable in said.err
    assert not Path("runs.db").exists()


def test_a_base_url_of_the_spec_leads_there_and_needs_no_key(here: Path) -> None:
    with ModelServer() as server:
        text = f"project: p\nprovider: openai/local\nbase_url: {server.url}/v1\n"
        said = orc("run", write("spec.yaml", f"{text}steps: {{a: {{prompt: hi}}}}\n"))
        assert said.code == 0, said.err
        assert rows("SELECT endpoint, model FROM llm_calls") == [
            {"endpoint": f"{server.url}/v1", "model": "local"}
        ]


def test_a_password_in_a_base_url_is_refused(here: Path) -> None:
    text = f"project: p\nprovider: openai\nbase_url: http://me:{KEY}@localhost/v1\n"
    said = orc("run", write("spec.yaml", f"{text}steps: {{a: {{prompt: hi}}}}\n"))
    assert said.code == 2
    assert "password" in said.err
    assert KEY not in said.err


@every_provider
def test_pictures_beside_the_spec_and_of_steps_reach_the_model(
    provider: str, server: ModelServer, here: Path
) -> None:
    (here / "dot.png").write_bytes(DOT)
    text = f"project: p\nprovider: {provider}/model-a\nsteps:\n"
    text += (
        "  draw: {run: 'cp $ORC_SPEC_DIR/dot.png two.png; printf 2 >> two.png', files: ['*.png']}\n"
    )
    image = "${{ steps.draw.files['two.png'].path }}"
    content = f'[{{text: a river}}, {{image: dot.png}}, {{image: "{image}"}}]'
    text += f"  look: {{messages: [{{role: user, content: {content}}}]}}\n"
    said = orc("run", write("spec.yaml", text))
    assert said.code == 0, said.err
    body = json.dumps(server.seen[0].body)
    assert base64.b64encode(DOT).decode() in body
    assert base64.b64encode(DOT + b"2").decode() in body


def test_a_picture_that_cannot_be_sent_is_refused_by_its_place_in_the_spec(here: Path) -> None:
    text = "project: p\nsteps:\n  look:\n    messages:\n      - role: user\n        content:\n"
    said = orc("validate", write("spec.yaml", text + "          - image: gone.png\n"))
    assert said.code == 2
    assert "spec.yaml:7:20: steps.look.messages[0].content[0].image: cannot read" in said.err
    said = orc("validate", write("spec.yaml", text + "          - image: notes.txt\n"))
    assert "'notes.txt' is not a supported image; supported: png, jpg, jpeg, gif, webp" in said.err
    said = orc("validate", write("spec.yaml", text + "          - {image: a.png, text: b}\n"))
    assert "a part must have one of `text`, `image` and `file`" in said.err


def test_a_fallback_answers_when_the_first_model_cannot(server: ModelServer) -> None:
    server.answer = lambda asked: Fails(503) if asked.api == "chat" else Says("Elbe")
    text = "project: p\nprovider: openai/model-a\nfallback: [anthropic/model-b]\n"
    text += "defaults: {retry: {max_attempts: 2, initial: 1ms}}\nsteps: {a: {prompt: hi}}\n"
    said = orc("run", write("spec.yaml", text))
    assert said.code == 0, said.err
    assert "a falls back to anthropic/model-b: server_error" in said.err
    assert rows("SELECT provider, model, output FROM steps") == [
        {"provider": "anthropic", "model": "model-b", "output": "Elbe"}
    ]
    assert [asked.api for asked in server.seen] == ["chat", "chat", "messages"]


def test_steps_wait_while_a_circuit_is_open_and_none_of_them_fails(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer = lambda asked: Fails(503) if len(server.seen) <= 3 else Says("Elbe")
    monkeypatch.setenv("CB_THRESHOLD", "3")
    monkeypatch.setenv("CB_COOLDOWN_S", "0.3")
    steps = "".join(f"  s{n}: {{prompt: hi}}\n" for n in range(6))
    text = "project: p\nprovider: ollama/model-a\nconcurrency: 1\n"
    text += f"defaults: {{retry: {{max_attempts: 2, initial: 1ms}}}}\nsteps:\n{steps}"
    said = orc("run", write("spec.yaml", text))
    assert said.code == 0, said.err
    assert "ollama/model-a failed 3 times in a row: no step calls it for 300 ms" in said.err
    assert "ollama/model-a answers again" in said.err
    (circuit,) = rows("SELECT * FROM circuits")
    assert (circuit["status"], circuit["failures"], circuit["times_opened"]) == ("closed", 3, 1)
    assert len(server.seen) == 3 + 6


def test_show_lists_an_open_circuit_until_a_resume_closes_it(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer = lambda asked: Fails(503)
    monkeypatch.setenv("CB_THRESHOLD", "1")
    text = "project: p\nprovider: ollama/model-a\nsteps:\n"
    text += "  a: {prompt: hi, retry: {max_attempts: 1}}\n"
    assert orc("run", write("spec.yaml", text)).code == 1
    (circuit,) = orc("show", "latest", "--json").json()["open_circuits"]
    assert (circuit["target"], circuit["failures"]) == ("ollama/model-a", 1)
    assert "ollama/model-a is open since" in orc("show", "latest").out
    server.answer = lambda asked: Says("Elbe")
    assert orc("resume", "latest").code == 0
    assert orc("show", "latest", "--json").json()["open_circuits"] == []


def test_parameters_that_a_fallback_does_not_support_are_reported(server: ModelServer) -> None:
    server.answer = lambda asked: Fails(503) if asked.api == "chat" else Says("Elbe")
    text = "project: p\nprovider: openai/model-a\nfallback: [anthropic/model-b]\n"
    text += "params: {temperature: 0}\nsteps: {a: {prompt: hi, retry: 1}}\n"
    said = orc("run", write("spec.yaml", text))
    assert said.code == 0, said.err
    assert said.err.count("a: anthropic does not support temperature: not sent") == 1
    assert "not sent: temperature" in orc("show", "latest").out


def test_the_end_of_a_resumed_job_counts_what_every_process_spent(server: ModelServer) -> None:
    server.answer = lambda asked: Fails(401) if "second" in asked.last else Says("Elbe")
    text = "project: p\nprovider: ollama/model-a\nsteps:\n"
    text += "  a: {prompt: first}\n  b: {needs: a, prompt: second}\n"
    assert orc("run", write("spec.yaml", text)).code == 1
    server.answer = lambda asked: Says("Elbe")
    said = orc("resume", "latest", "--json")
    assert said.lines()[-1]["tokens"] == 30
    shown = orc("show", "latest", "--json").json()
    assert shown["input_tokens"] + shown["output_tokens"] == 30
    assert "45 tokens" in orc("rerun", "latest", "--step", "b").err


def test_an_unavailable_fallback_does_not_prevent_the_run(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer = lambda asked: Says("Elbe")
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    monkeypatch.delenv("ANTHROPIC_BASE_URL")
    text = "project: p\nprovider: ollama/model-a\nfallback: [anthropic/model-b]\n"
    text += "steps: {a: {prompt: hi, retry: 1}}\n"
    said = orc("run", write("spec.yaml", text))
    assert said.code == 0, said.err
    assert "the fallback anthropic cannot be used: " in said.err
    server.answer = lambda asked: Fails(503)
    said = orc("run", "spec.yaml")
    assert said.code == 7
    assert "a: environment: " in said.err
    assert "ANTHROPIC_API_KEY" in said.err
