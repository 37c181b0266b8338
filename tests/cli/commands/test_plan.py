"""`orc plan`: what would run and why, and the expected and greatest cost."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command_line import orc, submit, write
from tests.model_server import ModelServer, Says

SPEC = """\
project: planned
provider: ollama/model-a
params: {max_tokens: 100}
steps:
  words: {value: [a, b]}
  ask: {prompt: Name a river.}
  each: {for_each: "${{ steps.words.output }}", prompt: "Say ${{ item }}"}
  end: {needs: [ask, each], run: echo done}
"""


@pytest.fixture
def server(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    with ModelServer(lambda asked: Says("ok", input_tokens=1000, output_tokens=100)) as server:
        monkeypatch.setenv("OLLAMA_BASE_URL", server.url)
        write("prices.yaml", "models: {ollama: {model-a: {input: 10, output: 100}}}\n")
        yield server


def plan(text: str, *options: str) -> dict[str, Any]:
    said = orc("plan", write("spec.yaml", text), "--json", *options)
    assert said.out, said.err
    return said.json()


def changes(found: dict[str, Any]) -> dict[str, str]:
    return {step["step"]: step["change"] for step in found["steps"]}


def test_before_the_first_run_all_steps_are_new_and_costs_unknown(server: ModelServer) -> None:
    found = plan(SPEC)
    assert set(changes(found).values()) == {"new"}
    assert (found["against"], found["expected_cost_usd"]) == (None, None)
    assert "known when ask, each have run once" in orc("plan", "spec.yaml").out
    assert not Path("runs.db").exists()
    assert server.seen == []


def test_expected_values_are_those_of_earlier_runs(server: ModelServer) -> None:
    job = submit(SPEC)
    found = plan(SPEC)
    assert found["against"] == job
    assert set(changes(found).values()) == {"same"}
    costs = {step["step"]: step["expected_cost_usd"] for step in found["steps"]}
    assert costs == {"words": 0.0, "ask": 0.02, "each": 0.04, "end": 0.0}
    assert found["expected_cost_usd"] == pytest.approx(0.06)
    assert found["expected_duration_s"] > 0


def test_changed_steps_and_their_dependents_have_a_reason(server: ModelServer) -> None:
    submit(SPEC)
    found = plan(SPEC.replace("Name a river", "Name a sea"))
    assert changes(found) == {"words": "same", "ask": "changed", "each": "same", "end": "upstream"}
    whys = {step["step"]: step["why"] for step in found["steps"]}
    assert "messages" in whys["ask"]
    assert whys["end"] == "depends on ask"
    assert changes(plan(SPEC + "  more: {value: 1}\n"))["more"] == "new"
    assert changes(plan(SPEC.replace("river.}", "river., cache: ledger}")))["ask"] == "cached"


@pytest.mark.parametrize(("text", "code"), [(SPEC, 0), (SPEC.replace("river", "sea"), 1)])
def test_the_exit_code_tells_whether_anything_is_new(
    server: ModelServer, text: str, code: int
) -> None:
    submit(SPEC)
    assert orc("plan", write("spec.yaml", text), "--exit-code").code == code
    assert orc("plan", "spec.yaml").code == 0


def test_the_worst_case_counts_every_attempt_and_is_bounded_by_a_budget(
    server: ModelServer,
) -> None:
    submit(SPEC)
    worst = {step["step"]: step["worst_cost_usd"] for step in plan(SPEC)["steps"]}
    # Three attempts, each with the longest prompt so far and the longest reply.
    assert worst["ask"] == pytest.approx(3 * (1000 * 10 + 100 * 100) / 1e6)
    assert worst["each"] is None
    assert plan(SPEC)["worst_cost_usd"] is None
    assert plan("budget: {max_cost_usd: 0.5}\n" + SPEC)["worst_cost_usd"] == 0.5


EMBED = """\
project: vectors
steps:
  near:
    embed: {texts: [aaaaaaaa, bbbbbbbb, cccccccc, dddd], per_request: PER_REQUEST}
    provider: ollama/model-a
    files: [{path: near.npy}]
    retry: {max_attempts: 3}
"""


@pytest.mark.parametrize(("per_request", "calls", "longest"), [(1, 4, 8), (3, 2, 24), (4, 1, 28)])
def test_the_worst_case_of_vectors_counts_each_request_with_its_own_texts(
    server: ModelServer, per_request: int, calls: int, longest: int
) -> None:
    found = plan(EMBED.replace("PER_REQUEST", str(per_request)))
    assert found["worst_cost_usd"] == pytest.approx(3 * calls * longest * 10 / 1e6)


def test_the_worst_case_counts_the_files_of_messages_as_they_are_sent(
    server: ModelServer, here: Path
) -> None:
    def worst(name: str, key: str = "file") -> Any:
        text = (
            "project: files\nprovider: ollama/model-a\nsteps:\n  look:\n"
            "    params: {max_tokens: 10}\n    retry: {max_attempts: 1}\n    messages:\n"
            f"      - {{role: user, content: [{{text: Why?}}, {{{key}: '{name}'}}]}}\n"
        )
        found = plan(text)
        [step] = found["steps"]
        assert step["worst_cost_usd"] == found["worst_cost_usd"]
        return found["worst_cost_usd"]

    (here / "short.txt").write_bytes(b"x")
    (here / "long.txt").write_bytes(b"x" * 1_000_000)
    (here / "seen.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 992)
    fixed = 4 * 10 + 10 * 100
    assert worst("short.txt") == pytest.approx((fixed + 10) / 1e6)
    assert worst("long.txt") == pytest.approx((fixed + 1_000_000 * 10) / 1e6)
    in_base64 = len(base64.b64encode((here / "seen.png").read_bytes()))
    for key in ("file", "image"):
        assert worst("seen.png", key) == pytest.approx((fixed + in_base64 * 10) / 1e6)


def test_files_of_steps_have_no_worst_case_before_the_run(server: ModelServer) -> None:
    text = (
        "project: files\nprovider: ollama/model-a\nsteps:\n"
        "  write: {run: echo hi > notes.txt, files: [notes.txt]}\n  look:\n    needs: write\n"
        "    params: {max_tokens: 10}\n    messages:\n      - role: user\n        content:\n"
        "          - file: ${{ steps.write.files['notes.txt'].path }}\n"
    )
    assert plan(text)["worst_cost_usd"] is None
    said = orc("plan", "spec.yaml")
    assert "no worst cost (look: the files are known only during the run)" in said.out


def test_without_json_it_prints_a_table(server: ModelServer) -> None:
    submit(SPEC)
    said = orc("plan", "spec.yaml")
    assert "for_each of prompt" in said.out
    expected, worst = said.out.splitlines()[-2:]
    assert expected.startswith("expected $0.0600 in ")
    assert worst == (
        "no worst cost (each: the number of items is known only during the run); a budget in the "
        "spec sets one"
    )


def test_a_broken_spec_is_refused_with_its_place(here: Path) -> None:
    said = orc("plan", write("spec.yaml", "project: p\nsteps: {a: {promt: hi}}\n"))
    assert said.code == 2
    assert "did you mean 'prompt'?" in said.err


@pytest.mark.parametrize("command", [("plan",), ("run", "--dry-run")])
def test_an_unknown_executor_is_refused_as_a_run_refuses_it(
    here: Path, command: tuple[str, ...]
) -> None:
    text = "project: p\nsteps: {a: {run: 'true'}}\n"
    spec = write("spec.yaml", text.replace("steps", "executor: farm\nsteps"))
    said = orc(*command, spec)
    assert (said.code, said.err) == (2, orc("run", spec).err)
    assert "unknown executor 'farm'" in said.err
    if command[0] == "run":
        said = orc(*command, write("spec.yaml", text), "--executor", "a=farm")
        assert said.code == 2
        assert "--executor farm: unknown executor" in said.err
