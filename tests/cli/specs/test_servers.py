"""Named servers, as a user runs them: two servers of one API, their keys, files and errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orc.cli.env_file import load_env_file
from orc.ledger.files.exposure import VARIABLE
from orc.providers.servers.presets import PRESETS
from tests.cli.command_line import orc, submit, write
from tests.model_server import Fails, ModelServer, Says
from tests.other_users import ANOTHER, give, needs_root, shared_folder

ONE, TWO, TOKEN = "one-key-0123456789", "two-key-0123456789", "team-token-0123456789"
SPEC = """\
project: served
servers:
  one: {{api: openai, base_url: {one}/v1, key: ONE_KEY, prices: {{"*": {{input: 1000, output: 0}}}}}}
  two:
    api: openai
    base_url: {two}/v1
    key: TWO_KEY
    headers: {{X-Team: research, X-Secret: {{env: TEAM_TOKEN, prefix: "Token "}}}}
    query: {{api-version: "2026-01-01"}}
    limit_field: max_tokens
steps:
  first: {{provider: one/model-a, prompt: hi}}
  second: {{provider: two/model-b, prompt: hi, needs: first, params: {{max_tokens: 7}}}}
"""


@pytest.fixture
def pair() -> Iterator[tuple[ModelServer, ModelServer]]:
    """Two servers of one API."""
    with ModelServer() as one, ModelServer(lambda asked: Says(f"{TOKEN} again")) as two:
        yield one, two


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key for each server, and one of OpenAI."""
    monkeypatch.setenv("ONE_KEY", ONE)
    monkeypatch.setenv("TWO_KEY", TWO)
    monkeypatch.setenv("TEAM_TOKEN", TOKEN)
    monkeypatch.setenv("OPENAI_API_KEY", "openai-key-0123456789")


def of(pair: tuple[ModelServer, ModelServer], text: str = SPEC) -> str:
    """The spec with the addresses of the servers."""
    return text.format(one=pair[0].url, two=pair[1].url)


def user_file(monkeypatch: pytest.MonkeyPatch, text: str) -> Path:
    """The user's file of servers."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(Path.cwd() / "mine"))
    path = Path("mine/orc/servers.yaml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_each_server_gets_its_own_key_headers_and_query_and_no_others(
    pair: tuple[ModelServer, ModelServer],
) -> None:
    submit(of(pair))
    (first,), (second,) = pair[0].seen, pair[1].seen
    assert first.headers["authorization"] == f"Bearer {ONE}"
    assert (first.target, "x-team" in first.headers) == ("/v1/chat/completions", False)
    assert second.headers["authorization"] == f"Bearer {TWO}"
    assert second.headers["x-team"] == "research"
    assert second.headers["x-secret"] == f"Token {TOKEN}"
    assert second.target == "/v1/chat/completions?api-version=2026-01-01"
    assert (second.body["max_tokens"], "max_completion_tokens" in second.body) == (7, False)
    seen = json.dumps([first.headers, first.body])
    assert TWO not in seen
    assert TOKEN not in seen
    assert ONE not in json.dumps([second.headers, second.body])


def test_no_secret_of_a_server_is_recorded_or_printed_and_its_variables_are(
    pair: tuple[ModelServer, ModelServer],
) -> None:
    job_id = submit(of(pair))
    said = orc("show", job_id, "--events")
    assert TOKEN not in said.out  # The model repeated it.
    whole = b"".join(path.read_bytes() for path in Path().rglob("*") if path.is_file())
    assert not any(secret.encode() in whole for secret in (ONE, TWO, TOKEN))
    assert b"TEAM_TOKEN" in whole


def test_the_cost_of_a_call_is_that_of_its_server(pair: tuple[ModelServer, ModelServer]) -> None:
    submit(of(pair))
    found = {group["model"]: group["cost_usd"] for group in orc("cost", "--json").json()["groups"]}
    assert found == {"one/model-a": 0.01, "two/model-b": None}


def test_a_reply_without_counts_costs_nothing_only_at_a_free_server(
    pair: tuple[ModelServer, ModelServer],
) -> None:
    whole = {"choices": [{"message": {"content": "ok"}, "finish_reason": "stop"}]}
    for server in pair:
        server.answer = lambda asked: Fails(200, json.dumps(whole))
    free = of(pair).replace("    key: TWO_KEY\n", "    key: TWO_KEY\n    prices: free\n")
    job_id = submit(free)
    shown = orc("show", job_id, "--json").json()
    manifest = json.loads(Path("runs", job_id, "manifest.json").read_text("utf-8"))
    assert [step["cost_usd"] for step in shown["steps"]] == [None, 0.0]
    assert (shown["calls_unpriced"], manifest["calls_unpriced"]) == (1, 1)


def test_a_missing_key_ends_with_exit_code_7_before_the_job_exists(
    pair: tuple[ModelServer, ModelServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TWO_KEY")
    said = orc("run", write("spec.yaml", of(pair)))
    assert said.code == 7
    assert said.err == "orc: TWO_KEY is not set: the server 'two' needs it\n"
    assert not Path("runs.db").exists()


def test_a_server_without_a_key_gets_no_authorization(
    pair: tuple[ModelServer, ModelServer],
) -> None:
    submit(
        of(
            pair,
            "project: p\nservers: {{one: {{base_url: '{one}/v1', api: openai, key: null}}}}\n"
            "steps: {{a: {{provider: one/m, prompt: hi}}}}\n",
        )
    )
    assert "authorization" not in pair[0].seen[0].headers


def test_a_fallback_crosses_servers(pair: tuple[ModelServer, ModelServer]) -> None:
    text = SPEC.replace(
        "first: {{provider: one/model-a,",
        "first: {{provider: gone/x, fallback: [one/model-a], retry: 1,",
    ).replace(
        "  one:", "  gone: {{api: openai, base_url: 'http://127.0.0.1:9/v1', key: null}}\n  one:"
    )
    submit(of(pair, text))
    assert [asked.model for asked in pair[0].seen] == ["model-a"]


@pytest.mark.parametrize("api", ["openai", "openai-responses", "anthropic", "ollama"])
def test_every_api_can_be_that_of_a_server(pair: tuple[ModelServer, ModelServer], api: str) -> None:
    path = "/v1" if api.startswith("openai") else ""
    submit(
        "project: p\nservers:\n"
        f"  mine: {{api: {api}, base_url: '{pair[0].url}{path}', key: ONE_KEY}}\n"
        "steps: {a: {provider: mine/m, prompt: hi}}\n"
    )
    (asked,) = pair[0].seen
    assert ONE in asked.headers.get("authorization", "") + asked.headers.get("x-api-key", "")


def test_the_spec_comes_before_the_project_and_the_project_before_the_user(
    pair: tuple[ModelServer, ModelServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = (f"{{api: openai, base_url: '{server.url}/v1', key: null}}" for server in pair)
    nowhere = "{api: openai, base_url: 'http://127.0.0.1:9/v1', key: null}"
    user_file(monkeypatch, f"servers: {{a: {nowhere}, b: {nowhere}, c: {one}}}\n")
    write("orc.yaml", f"servers: {{a: {nowhere}, b: {two}}}\n")
    submit(
        f"project: p\nservers: {{a: {one}}}\nsteps:\n  x: {{provider: a/of-a, prompt: hi}}\n"
        "  y: {provider: b/of-b, prompt: hi}\n  z: {provider: c/of-c, prompt: hi}\n"
    )
    assert {asked.model for asked in pair[0].seen} == {"of-a", "of-c"}
    assert [asked.model for asked in pair[1].seen] == ["of-b"]


@needs_root
def test_a_file_of_servers_that_another_user_put_beside_the_spec_leads_no_key_away(
    pair: tuple[ModelServer, ModelServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    with shared_folder(0o1777) as folder:
        spec = folder / "spec.yaml"
        spec.write_text("project: p\nsteps: {a: {provider: groq/model-a, prompt: hi}}\n")
        planted = folder / "orc.yaml"
        planted.write_text(f"groq: {{base_url: {pair[0].url}/v1, key: ONE_KEY}}\n")

        def refused(what: str) -> None:
            for command in ("run", "validate", "plan", "submit"):
                said = orc(command, spec)
                assert said.code == 2, command
                assert f"orc.yaml {what}; use a folder of your own" in said.err
            assert pair[0].seen == []

        give(planted)
        refused(f"belongs to user {ANOTHER}")
        monkeypatch.chdir(folder)
        assert f"orc.yaml belongs to user {ANOTHER}" in orc("doctor").out
        planted.unlink()
        planted.symlink_to("elsewhere.yaml")
        (folder / "elsewhere.yaml").write_text(f"groq: {{base_url: {pair[0].url}/v1}}\n")
        give(planted)
        refused(f"belongs to user {ANOTHER}")
        planted.unlink()
        planted.write_text("groq: {base_url: http://localhost:1/v1, key: ONE_KEY}\n")
        planted.chmod(0o666)
        refused("can be written by others")
        # Whoever can write the spec itself needs no such file.
        spec.chmod(0o666)
        assert orc("validate", spec).code == 0
        spec.chmod(0o644)
        planted.chmod(0o644)
        assert orc("validate", spec).code == 0
        give(spec, planted)
        assert orc("validate", spec).code == 0
        give(spec, uid=0)
        monkeypatch.setenv(VARIABLE, str(folder))
        assert orc("validate", spec).code == 0


def test_a_resume_does_not_read_the_users_file_again(
    pair: tuple[ModelServer, ModelServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = user_file(
        monkeypatch,
        f"mine: {{api: openai, base_url: '{pair[0].url}/v1', key: ONE_KEY, limit_field: max_tokens}}\n",
    )
    spec = (
        "project: p\nsteps:\n  gate: {approval: {message: Go?}}\n"
        "  ask: {provider: mine/m, prompt: hi, needs: gate, params: {max_tokens: 3}}\n"
    )
    job_id = submit(spec)
    path.write_text(f"mine: {{api: openai, base_url: '{pair[1].url}/v1', key: TWO_KEY}}\n")
    said = orc("approve", job_id, "gate", "--resume")
    assert said.code == 0, said.err
    (asked,) = pair[0].seen
    assert asked.headers["authorization"] == f"Bearer {ONE}"
    assert "max_completion_tokens" not in asked.body
    assert pair[1].seen == []


def test_a_preset_works_after_setting_its_key(
    pair: tuple[ModelServer, ModelServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MISTRAL_API_KEY", ONE)
    monkeypatch.setenv("MISTRAL_BASE_URL", f"{pair[0].url}/v1")
    submit(
        "project: p\nparams: {max_tokens: 9}\n"
        "steps: {a: {provider: openai, prompt: hi}, b: {prompt: hi, provider: mistral}}\n"
        "x-unused: 1\n".replace("{a: {provider: openai, prompt: hi}, ", "{"),
    )
    (asked,) = pair[0].seen
    assert asked.headers["authorization"] == f"Bearer {ONE}"
    assert asked.model == "mistral-small-latest"
    assert (asked.body["max_tokens"], "max_completion_tokens" in asked.body) == (9, False)


@pytest.mark.parametrize("how", ["-p", "PROVIDER"])
def test_the_command_line_and_the_environment_name_servers(
    pair: tuple[ModelServer, ModelServer], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    user_file(monkeypatch, f"mine: {{api: openai, base_url: '{pair[0].url}/v1', key: null}}\n")
    if how == "PROVIDER":
        monkeypatch.setenv(how, "mine/some/model")
    options = ["-p", "mine/some/model"] if how == "-p" else []
    submit("project: p\nsteps: {a: {prompt: hi}}\n", *options)
    assert [asked.model for asked in pair[0].seen] == ["some/model"]


def test_a_server_that_only_a_template_names_is_found(
    pair: tuple[ModelServer, ModelServer],
) -> None:
    submit(
        f"project: p\nservers: {{one: {{api: openai, base_url: '{pair[0].url}/v1', key: ONE_KEY}}}}\n"
        "steps:\n  which: {value: one/late}\n"
        "  ask: {provider: '${{ steps.which.output }}', prompt: hi}\n"
    )
    assert [asked.model for asked in pair[0].seen] == ["late"]


@pytest.mark.parametrize(
    ("servers", "provider", "said"),
    [
        ("{}", "grok/m", "there is no provider 'grok'; did you mean 'groq'?"),
        ("{mine: {api: openai, bas_url: x}}", "mine/m", "unknown key; did you mean 'base_url'?"),
        ("{openai: {base_url: 'http://localhost:1'}}", "openai", "is a provider of orc"),
        ("{mine: {api: openai}}", "mine/m", "servers.mine: needs `base_url`"),
        ("{mine: {base_url: 'ftp://x'}}", "mine/m", "base_url: it must look like"),
        ("{mine: {base_url: 'http://me:pw@x'}}", "mine/m", "user name or password"),
        ("{mine: {base_url: 'http://far.example', key: K}}", "mine/m", "over http, where anyone"),
        ("{mine: {base_url: 'http://localhost:1'}}", "mine", "write mine/MODEL, or set MINE_MODEL"),
        ("{mine: {base_url: 'http://localhost:1', key: gsk_abc}}", "mine/m", "in capitals"),
        (
            "{mine: {base_url: 'http://localhost:1', headers: {Authorization: abc}}}",
            "mine/m",
            "name a variable with the value",
        ),
        ("{mine: {base_url: 'http://localhost:1', headers: {Host: a}}}", "mine/m", "itself"),
        (
            "{mine: {base_url: 'http://localhost:1', query: {key: a}}}",
            "mine/m",
            "records the query",
        ),
        (
            "{mine: {api: ollama, base_url: 'http://localhost:1', stream: false}}",
            "mine/m",
            "stream: is for servers with the API openai; this one has ollama",
        ),
    ],
)
def test_a_mistake_in_a_server_is_named_with_its_place(
    servers: str, provider: str, said: str
) -> None:
    text = f"project: p\nservers: {servers}\nsteps: {{a: {{provider: {provider}, prompt: hi}}}}\n"
    found = orc("validate", write("spec.yaml", text))
    assert found.code == 2
    assert said in found.err
    assert "spec.yaml:" in found.err
    assert provider == "grok/m" or "there is no provider" not in found.err
    assert "gsk_abc" not in found.err


def test_a_step_cannot_lead_a_servers_key_to_another_address(
    pair: tuple[ModelServer, ModelServer],
) -> None:
    text = of(pair).replace("provider: one/model-a,", f"provider: one/m, base_url: {pair[1].url},")
    found = orc("validate", write("spec.yaml", text))
    assert found.code == 2
    assert "key is sent only to its own address" in found.err


def test_a_key_over_plain_http_needs_the_consent_of_the_author() -> None:
    text = (
        "project: p\nservers: {mine: {base_url: 'http://far.example', key: K, plain_http: true}}\n"
        "steps: {a: {provider: mine/m, prompt: hi}}\n"
    )
    assert orc("validate", write("spec.yaml", text)).code == 0


def test_doctor_asks_every_server_of_a_spec_and_names_what_is_missing(
    pair: tuple[ModelServer, ModelServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TEAM_TOKEN")
    said = orc("doctor", write("spec.yaml", of(pair)), "--json")
    found = {finding["name"]: finding for finding in said.json()["findings"]}
    assert said.code == 7
    assert found["one"]["level"] == "ok"
    assert "with the key in ONE_KEY; 2 models" in found["one"]["message"]
    assert (found["two"]["level"], found["two"]["message"]) == ("bad", "TEAM_TOKEN is not set")
    assert pair[1].seen == []


def test_doctor_needs_no_inputs_and_leaves_out_servers_that_nothing_names() -> None:
    text = """project: p
servers: {own: {base_url: "http://127.0.0.1:9/v1", key: GONE_KEY}, xai: {timeout: 5m}}
inputs: {topic: {}, models: {default: [groq/a], type: list}}
steps:
  chosen: {value: deepseek/x}
  late: {provider: "${{ steps.chosen.output }}", fallback: [together/b], prompt: hi}
  given: {provider: "${{ inputs.topic }}", prompt: hi}
  listed: {for_each: "${{ inputs.models }}", provider: "${{ item }}", prompt: hi}
"""
    said = orc("doctor", write("spec.yaml", text), "--json")
    assert said.code == 7, said.err
    found = {finding["name"]: finding["message"] for finding in said.json()["findings"]}
    assert {name for name in found if name in {*PRESETS, "own"}} == {
        "groq",
        "own",
        "together",
        "xai",
    }
    assert found["own"] == "GONE_KEY is not set"
    assert found["together"] == "TOGETHER_API_KEY is not set"


def test_doctor_asks_the_servers_that_are_set_up_here(
    pair: tuple[ModelServer, ModelServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    user_file(monkeypatch, f"mine: {{api: openai, base_url: '{pair[0].url}/v1', key: GONE_KEY}}\n")
    monkeypatch.setenv("GROQ_API_KEY", ONE)
    monkeypatch.setenv("GROQ_BASE_URL", f"{pair[0].url}/v1")
    found = {finding["name"]: finding for finding in orc("doctor", "--json").json()["findings"]}
    assert found["mine"]["message"] == "GONE_KEY is not set"
    assert found["groq"]["level"] == "ok"
    assert "vllm" not in found


def test_a_spec_without_a_provider_gets_a_known_server_whose_key_is_set(
    pair: tuple[ModelServer, ModelServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OLLAMA_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("GROQ_API_KEY", ONE)
    monkeypatch.setenv("GROQ_BASE_URL", f"{pair[0].url}/v1")
    said = orc("run", write("spec.yaml", "project: p\nsteps: {a: {prompt: hi}}\n"))
    assert said.code == 0, said.err
    assert "using groq, since GROQ_API_KEY is set" in said.err
    assert [asked.model for asked in pair[0].seen] == ["llama-3.3-70b-versatile"]


@pytest.mark.parametrize("command", ["run", "submit", "doctor"])
def test_an_env_file_is_read_only_if_it_is_named_and_its_secrets_are_hidden(
    pair: tuple[ModelServer, ModelServer], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())
    del os.environ["ONE_KEY"]
    spec = write("spec.yaml", of(pair) + "  seen: {run: 'echo $OTHER_TOKEN; env'}\n")
    write(".env", f"ONE_KEY='{ONE}'\nOTHER_TOKEN=other-0123456789\nexport TWO_KEY=wrong\n")
    if command != "submit":
        assert orc(command, spec).code == 7
    said = orc(command, spec, "--env-file", ".env")
    assert said.code == 0, said.err
    if command == "run":
        assert pair[0].seen[0].headers["authorization"] == f"Bearer {ONE}"
        assert pair[1].seen[0].headers["authorization"] == f"Bearer {TWO}"
        Path(".env").unlink()
        whole = b"".join(path.read_bytes() for path in Path().rglob("*") if path.is_file())
        assert ONE.encode() not in whole
        assert b"other-0123456789" not in whole


@pytest.mark.parametrize("line", ["PATH=/tmp", "LD_PRELOAD=x", "ORC_DB=x", "NOVALUE"])
def test_an_env_file_cannot_change_what_programs_run(line: str) -> None:
    spec = write("spec.yaml", "project: p\nsteps: {a: {value: 1}}\n")
    said = orc("run", spec, "--env-file", write("e", line))
    assert said.code == 2
    assert "--env-file e" in said.err


KEYED = """\
project: keyed
servers: {{lab: {{base_url: "{url}/v1", key: LAB_KEY}}}}
steps:
  gate: {{approval: Go?}}
  draft: {{provider: lab/m, prompt: hi, needs: gate}}
"""


@pytest.mark.parametrize(
    "then",
    [
        "approve JOB gate --resume",
        "resume JOB",
        "work --stop-when-empty",
        "rerun JOB --step draft",
        "fork JOB --from draft",
    ],
)
def test_every_command_that_calls_a_server_reads_an_env_file(
    pair: tuple[ModelServer, ModelServer], monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())
    write(".env", f"LAB_KEY={ONE}\n")
    with_key = ("--env-file", ".env")
    spec = write("spec.yaml", KEYED.format(url=pair[0].url))
    first = "submit" if then.startswith("work") else "run"
    job_id = orc(first, spec, "--json", *with_key).lines()[-1]["job_id"]
    os.environ.pop("LAB_KEY", None)
    words = then.replace("JOB", job_id).split()
    if then.startswith("work"):
        orc(*words, *with_key)
    if not then.startswith("approve"):
        orc("approve", job_id, "gate")
    if then.startswith(("rerun", "fork")):
        assert orc("resume", job_id, *with_key).code == 0
    os.environ.pop("LAB_KEY", None)
    assert orc(*words).code != 0, "the key is missing"
    said = orc(*words, *with_key)
    assert said.code in (0, 3), said.err
    assert pair[0].seen[-1].headers["authorization"] == f"Bearer {ONE}"


def test_the_secrets_of_an_env_file_are_hidden_by_the_processes_that_orc_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())
    load_env_file(Path(write("e", "MY_TOKEN=hidden-0123456789\nPLAIN=seen\n")))
    started = subprocess.run(
        [sys.executable, "-c", "from orc.cli.env_file import *; print(secrets_of_env_file())"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
    )
    assert "hidden-0123456789" in started.stdout
    assert "seen" not in started.stdout


def whole(message: dict[str, object], **usage: object) -> Fails:
    """A reply as one document, with this usage."""
    choice = {"message": message, "finish_reason": "stop"}
    return Fails(200, json.dumps({"choices": [choice], "usage": usage}))


def test_a_cost_that_the_server_reports_stands_beside_that_of_orc(
    pair: tuple[ModelServer, ModelServer],
) -> None:
    for server in pair:
        server.answer = lambda asked: whole(
            {"content": "ok"}, prompt_tokens=10, completion_tokens=5, cost=0.25
        )
    job_id = submit(of(pair))
    found = {}
    for step in ("first", "second"):
        (attempt,) = orc("show", job_id, step, "--json").json()["attempt_texts"]
        (call,) = attempt["calls"]
        found[step] = (call["cost_usd"], call["reported_usd"])
    assert found == {"first": (0.01, 0.25), "second": (None, 0.25)}
    assert "$0.2500 by the server's own count" in orc("show", job_id, "first").out
    page = orc("export", job_id, "--format", "html", "--to", "-").out
    assert "$0.2500 by the server's own count" in page.replace("&#39;", "'")
    said = orc("cost")
    assert "reported by the servers themselves $0.5000 (2 calls)" in said.out
    totals = orc("cost", "--json").json()["total"]
    assert (totals["reported_usd"], totals["calls_reported"]) == (0.5, 2)


@pytest.mark.parametrize(
    ("message", "warning"),
    [
        ({"content": ""}, "the reply is empty"),
        ({"content": "", "reasoning_content": "Hm."}, "the reply is only reasoning"),
        ({"content": "<think>Hm.</think>"}, "the reply is only reasoning"),
    ],
    ids=["empty", "reasoning", "tags"],
)
def test_an_empty_reply_is_a_warning_and_fails_a_strict_run(
    pair: tuple[ModelServer, ModelServer], message: dict[str, object], warning: str
) -> None:
    pair[0].answer = lambda asked: whole(message, prompt_tokens=10, completion_tokens=5)
    spec = write("spec.yaml", of(pair).partition("  second:")[0].replace("  two:", "  two: &two"))
    said = orc("run", spec)
    assert said.code == 0, said.err
    assert warning in said.err
    strict = orc("run", spec, "--strict")
    assert strict.code == 1
    assert warning in strict.err
