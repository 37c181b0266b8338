"""Which provider `orc run` uses if the spec names none, and what it says if a server is not there."""

from __future__ import annotations

import json
import os
import shlex
import socket
from pathlib import Path

import pytest

from tests.cli.command_line import orc

NAMELESS = """\
project: nameless
steps:
  ask: {prompt: Say hello}
"""
REPLIES = "replies: {ask: [{text: hello}]}\n"


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> str:
    """No provider is set up; the address of Ollama, where nothing listens."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
    monkeypatch.setenv("OLLAMA_BASE_URL", address)
    return address


def planned_provider() -> str:
    """The provider that a run of the spec would use."""
    (step,) = orc("plan", "spec.yaml", "--json").json()["steps"]
    return str(step["what"]).partition("/")[0]


def write(spec: str) -> None:
    Path("spec.yaml").write_text(spec)


def test_without_any_provider_the_job_does_not_begin_and_three_ways_on_are_named() -> None:
    write(NAMELESS)
    said = orc("run", "spec.yaml")
    assert said.code == 7
    assert said.err == (
        "orc: the spec names no provider, and none is set up here: start Ollama with `ollama serve`, "
        "or set OPENAI_API_KEY or ANTHROPIC_API_KEY, or use recorded replies with --provider replay "
        "--replies FILE\n"
    )
    assert not Path("runs.db").exists()


def test_one_that_is_not_set_up_here_is_left_to_the_worker_of_a_submitted_job() -> None:
    write(NAMELESS)
    none = "orc: the spec names no provider, and none is set up here; the default is ollama\n"
    for command in ("submit", "plan", "run --dry-run"):
        said = orc(*command.split(), "spec.yaml")
        assert said.code == 0
        assert said.err.startswith(none), command
    assert planned_provider() == "ollama"


@pytest.mark.parametrize("command", ["submit", "plan", "run --dry-run"])
def test_each_command_says_which_provider_was_chosen(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(NAMELESS)
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    line = "orc: the spec names no provider; using openai, since OPENAI_API_KEY is set"
    assert orc(*command.split(), "spec.yaml").err.startswith(line)


def test_recorded_replies_beside_the_spec_are_used_if_nothing_else_is_there() -> None:
    write(NAMELESS)
    Path("spec.replay.yaml").write_text(REPLIES)
    said = orc("run", "spec.yaml")
    assert said.code == 0
    assert "using the recorded replies in spec.replay.yaml" in said.err
    assert "replay" in orc("show", "latest").out


@pytest.mark.parametrize(
    ("variables", "provider"),
    [
        (("OPENAI_API_KEY",), "openai"),
        (("ANTHROPIC_API_KEY",), "anthropic"),
        (("ANTHROPIC_API_KEY", "OPENAI_API_KEY"), "openai"),
        (("OPENAI_BASE_URL",), "openai"),
    ],
)
def test_the_first_provider_whose_key_or_address_is_set_is_used(
    variables: tuple[str, ...], provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(NAMELESS)
    Path("spec.replay.yaml").write_text(REPLIES)
    for name in variables:
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert planned_provider() == provider
    said = orc("run", "spec.yaml", "--dry-run")
    chosen = variables[0] if len(variables) == 1 else "OPENAI_API_KEY"
    assert f"using {provider}, since {chosen} is set" in said.err
    if len(variables) > 1:
        assert "(also set up: anthropic)" in said.err


def test_a_server_on_this_machine_comes_before_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    write(NAMELESS)
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        monkeypatch.setenv("OLLAMA_BASE_URL", f"127.0.0.1:{port}")
        said = orc("run", "spec.yaml", "--dry-run")
    assert f"using ollama, since a server answers at 127.0.0.1:{port}" in said.err


@pytest.mark.parametrize("address", ["http://[", "http://127.0.0.1:x", "//", "http://a..b:1"])
def test_a_wrong_address_of_a_server_counts_as_none(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(NAMELESS)
    Path("spec.replay.yaml").write_text(REPLIES)
    monkeypatch.setenv("OLLAMA_BASE_URL", address)
    assert orc("run", "spec.yaml").code in {0, 7}


@pytest.mark.parametrize(
    "spec",
    [
        "provider: ollama\n" + NAMELESS,
        NAMELESS.replace("{prompt", "{provider: ollama, prompt"),
        "defaults: {provider: ollama}\n" + NAMELESS,
    ],
)
def test_a_spec_that_names_its_provider_keeps_it(
    spec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(spec)
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    assert planned_provider() == "ollama"


def test_a_spec_without_prompts_looks_for_no_provider() -> None:
    write("project: plain\nsteps: {a: {value: 1}}\n")
    said = orc("run", "spec.yaml")
    assert said.code == 0
    assert "provider" not in said.err


def test_a_server_that_was_never_started_is_asked_once_and_what_is_set_up_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write("provider: ollama\n" + NAMELESS)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "key")
    said = orc("run", "spec.yaml")
    assert said.code == 7
    assert "retry" not in said.err
    assert (
        "  anthropic is set up here (ANTHROPIC_API_KEY is set): "
        "orc run spec.yaml --provider anthropic\n"
    ) in said.err
    assert types_of("latest").count("llm.requested") == 1
    assert "replay" not in said.err


def test_a_missing_key_is_told_with_what_is_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    write("provider: openai\n" + NAMELESS)
    alone = orc("run", "spec.yaml")
    assert (alone.code, "--provider" in alone.err) == (7, False)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "key")
    Path("spec.replay.yaml").write_text(REPLIES)
    said = orc("run", "spec.yaml")
    assert said.code == 7
    assert said.err.endswith(
        "; anthropic is set up here (ANTHROPIC_API_KEY is set): --provider anthropic; recorded "
        "replies are in spec.replay.yaml: --provider replay\n"
    )
    assert orc("run", "spec.yaml", "--provider", "replay").code == 0
    # The option does not replace the provider of a step.
    write("project: own\nsteps: {a: {prompt: hi, provider: openai}}\n")
    own = orc("run", "spec.yaml").err
    assert "--provider replay" in own
    assert "anthropic" not in own


def test_recorded_replies_are_a_remedy_only_where_they_are(here: Path) -> None:
    write("provider: ollama\n" + NAMELESS)
    Path("spec.replay.yaml").write_text(REPLIES)
    said = orc("run", "spec.yaml")
    assert said.code == 7
    remedy = "orc run spec.yaml --provider replay"
    assert f"  recorded replies are in spec.replay.yaml: {remedy}\n" in said.err
    assert "SPEC" not in said.err
    assert orc(*remedy.split()[1:]).code == 0
    # From another folder, and after the replies are gone.
    Path("sub").mkdir()
    os.chdir("sub")
    assert f"orc run {here}/spec.yaml --provider replay" in orc("run", "../spec.yaml").err
    Path("../spec.replay.yaml").unlink()
    assert "replay" not in orc("run", "../spec.yaml").err


@pytest.mark.parametrize("variable", ["PROVIDER", "MODEL_BACKEND"])
def test_a_wrong_provider_of_the_environment_is_reported_with_its_variable(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("provider: openai\n" + NAMELESS)
    monkeypatch.setenv(variable, "olama")
    said = orc("run", "spec.yaml")
    assert said.code == 2
    assert f"no provider 'olama'; did you mean 'ollama'? ({variable} is set)" in said.err
    assert "is set" not in orc("run", "spec.yaml", "-p", "olama").err


def test_a_remedy_names_inputs_and_sees_prompts_inside_other_steps() -> None:
    write(
        """\
project: inner
provider: ollama
inputs:
  topic: {required: true}
  notes: {type: files, default: "a/*.txt"}
  style: {default: plain}
  days: {type: list, default: [1]}
  long: {default: short}
steps:
  rounds:
    for_each: ${{ inputs.days }}
    loop: {until: "true", max_iterations: 2}
    steps: {ask: {prompt: "${{ inputs.topic }} ${{ item }}"}}
"""
    )
    Path("spec.replay.yaml").write_text("version: 1\nreplies: {}\ndefault: [Well.]\n")
    Path("b").mkdir()
    Path("b/b.txt").write_text("a text")
    long = ("-i", "long=" + "x" * 300)
    given = ("-i", "topic=it's", "-i", "days=[2, 3]", "-i", "style=plain", "-i", "notes=b/*.txt")
    said = orc("run", "spec.yaml", *given, *long)
    assert said.code == 7
    remedy = next(line for line in said.err.splitlines() if "recorded replies are in" in line)
    words = shlex.split(remedy.partition(": ")[2])
    assert words[:5] == ["orc", "run", "spec.yaml", "--provider", "replay"]
    inputs = {"days=[2, 3]", "topic=it's", "notes=b/*.txt", "long=VALUE"}
    assert set(words[6::2]) == inputs
    assert orc(*words[1:]).code == 0


@pytest.mark.parametrize("provider", ["ollama", "openai", "openai-responses", "anthropic"])
def test_many_items_do_not_wait_for_a_server_that_is_not_there(
    provider: str, nowhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        f"project: many\nprovider: {provider}\nsteps:\n"
        "  ask: {for_each: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], prompt: Say hello}\n"
    )
    for vendor in ("OPENAI", "ANTHROPIC"):
        monkeypatch.setenv(f"{vendor}_API_KEY", "key")
        monkeypatch.setenv(f"{vendor}_BASE_URL", nowhere)
    assert orc("run", "spec.yaml").code == 7
    types = types_of("latest")
    assert types.count("llm.failed") == 12
    assert "circuit.opened" not in types


def test_a_step_whose_retry_on_is_its_own_waits_for_the_server() -> None:
    write(
        NAMELESS.replace(
            "{prompt", "{retry_on: [connection], retry: {max_attempts: 2, initial: 0.01s}, prompt"
        ).replace("project", "provider: ollama\nproject")
    )
    assert orc("run", "spec.yaml").code == 7
    assert types_of("latest").count("llm.failed") == 2


def types_of(job: str) -> list[str]:
    """The types of the job's events."""
    lines = orc("show", job, "--events", "--json").out.splitlines()
    return [json.loads(line)["type"] for line in lines]
