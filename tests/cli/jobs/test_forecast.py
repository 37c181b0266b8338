"""What a plan says of a step is what the run then does with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command_line import orc, write
from tests.model_server import ModelServer, Says

HEAD = """\
project: seen
provider: openai/model-a
params: {max_tokens: 50}
inputs: {go: {default: 'no'}}
steps:
"""

CASES = {
    # name: (steps, verdicts before the first run, verdicts after it)
    "values": ("v: {value: 1}", "v=runs", "v=runs"),
    "prompt without a cache": ("a: {prompt: hi}", "a=runs", "a=runs"),
    "prompt with the cache of the job": ("a: {prompt: hi, cache: job}", "a=runs", "a=runs"),
    "prompt with the cache of the ledger": ("a: {prompt: hi, cache: ledger}", "a=runs", "a=cached"),
    "prompt with a value of a step": (
        "v: {value: sea}\n  a: {prompt: 'hi ${{ steps.v.output }}', cache: ledger}",
        "v=runs a=runs",
        "v=runs a=cached",
    ),
    "prompt behind a command": (
        "c: {run: echo sea}\n  a: {prompt: 'hi ${{ steps.c.output }}', cache: ledger}",
        "c=runs a=unknown",
        "c=runs a=unknown",
    ),
    "prompt behind a prompt, both cached": (
        "a: {prompt: hi, cache: ledger}\n  b: {prompt: 'ho ${{ steps.a.output }}', cache: ledger}",
        "a=runs b=unknown",
        "a=cached b=cached",
    ),
    "prompt with a mark of time": (
        "c: {run: 'date +%N'}\n  a: {needs: c, prompt: hi, cache: ledger}",
        "c=runs a=unknown",
        "c=runs a=unknown",
    ),
    "command without a cache": ("c: {run: echo hi}", "c=runs", "c=runs"),
    "command with the cache of the job": ("c: {run: echo hi, cache: job}", "c=runs", "c=runs"),
    "command with the cache of the ledger": (
        "c: {run: echo hi, cache: ledger}\n  d: {needs: c, run: echo ho, cache: ledger}",
        "c=runs d=unknown",
        "c=cached d=cached",
    ),
    "condition that is false": (
        "s: {if: \"inputs.go == 'yes'\", run: echo s}\n  t: {needs: s, run: echo t}",
        "s=skipped t=skipped",
        "s=skipped t=skipped",
    ),
    "condition on a cached result": (
        "c: {run: echo hi, cache: ledger}\n  s: {if: \"steps.c.output == 'ho'\", run: echo s}",
        "c=runs s=unknown",
        "c=cached s=skipped",
    ),
    "condition on a result to come": (
        "c: {run: echo hi}\n  s: {if: \"steps.c.output == 'hi'\", run: echo s}\n"
        "  t: {needs: s, run: echo t}",
        "c=runs s=unknown t=unknown",
        "c=runs s=unknown t=unknown",
    ),
    "items": (
        "v: {value: [1, 2]}\n"
        "  each: {for_each: '${{ steps.v.output }}', run: 'echo ${{ item }}', cache: ledger}",
        "v=runs each=runs",
        "v=runs each=cached",
    ),
    "items of prompts": (
        "each: {for_each: [a, b], prompt: 'say ${{ item }}', cache: ledger}",
        "each=runs",
        "each=cached",
    ),
    "items to come": (
        "c: {run: 'echo [1]', output: {format: json}}\n"
        "  each: {for_each: '${{ steps.c.output }}', run: 'echo ${{ item }}'}",
        "c=runs each=runs",
        "c=runs each=runs",
    ),
    "no items": ("each: {for_each: [], run: 'echo ${{ item }}'}", "each=runs", "each=runs"),
    "rounds": (
        "l:\n    loop: {until: steps.x.output == '1', max_iterations: 2}\n"
        "    steps: {x: {run: 'echo ${{ loop.index }}', cache: ledger}}",
        "l=runs",
        "l=cached",
    ),
    "a group": (
        "g:\n    steps: {x: {run: echo x, cache: ledger}, y: {run: echo y}}",
        "g=runs",
        "g=runs",
    ),
    "a template that fails": ("f: {value: '${{ 1 // 0 }}'}", "f=fails", "f=fails"),
    "a person": (
        "p: {approval: 'go?'}\n  t: {needs: p, run: echo t}",
        "p=asks t=runs",
        "p=asks t=runs",
    ),
    "one at a time": (
        "each: {for_each: [1, 2, 3], max_parallel: 1, run: 'echo ${{ item }}', cache: ledger}",
        "each=unknown",
        "each=cached",
    ),
}


@pytest.fixture
def server(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    with ModelServer(lambda asked: Says("ok", input_tokens=1000, output_tokens=10)) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "key-of-no-one")
        write("prices.yaml", "models: {openai: {model-a: {input: 10, output: 100}}}\n")
        yield server


def planned(spec: Path) -> dict[str, dict[str, Any]]:
    said = orc("plan", spec, "--json")
    assert said.code == 0, said.err
    return {step["step"]: step for step in said.json()["steps"]}


def verdicts(text: str) -> dict[str, str]:
    pairs = (pair.split("=") for pair in text.split())
    return dict(pairs)


def did(server: ModelServer, spec: Path) -> dict[str, str]:
    """What a run did with each step of the spec."""
    before = len(server.seen)
    orc("run", spec, "--json")
    shown = orc("show", "latest", "--json").json()
    asked = len(server.seen) - before
    found = {}
    for step in shown["steps"]:
        name = step["step"]
        inside = [
            other
            for other in shown["steps"]
            if other["step"].startswith((f"{name}[", f"{name}#", f"{name}/"))
        ]
        works = [each for each in (inside or [step]) if each["kind"] in ("run", "prompt")]
        if step["status"] in ("skipped", "failed", "waiting"):
            found[name] = {"skipped": "skipped", "failed": "fails", "waiting": "asks"}[
                step["status"]
            ]
        elif step["status"] == "pending":
            found[name] = "runs"
        elif works and all(_is_cached(each, asked) for each in works):
            found[name] = "cached"
        else:
            found[name] = "runs"
    return found


def _is_cached(step: dict[str, Any], asked: int) -> bool:
    return step["reused_from"] is not None or (
        step["kind"] == "prompt" and step["tokens"] == 0 and not asked
    )


@pytest.mark.parametrize("name", CASES)
def test_a_plan_says_what_the_run_does(server: ModelServer, name: str) -> None:
    steps, first, second = CASES[name]
    spec = write("spec.yaml", f"{HEAD}  {steps}\n")
    for expected in (first, second):
        seen = len(server.seen)
        plan = planned(spec)
        assert {step: plan[step]["does"] for step in plan} == verdicts(expected)
        assert len(server.seen) == seen, "a plan sends nothing"
        for step, what in did(server, spec).items():
            if step not in plan:
                continue
            if plan[step]["does"] != "unknown":
                assert plan[step]["does"] == what, step
            if plan[step]["does"] in ("cached", "skipped"):
                assert plan[step]["worst_cost_usd"] == 0
            elif any(kind in plan[step]["what"] for kind in ("openai", "prompt")):
                # What may be paid for is never told to be free.
                assert plan[step]["worst_cost_usd"] != 0
                assert plan[step]["expected_cost_usd"] != 0


def test_a_prompt_that_is_paid_for_again_is_not_cached(server: ModelServer) -> None:
    spec = write("spec.yaml", f"{HEAD}  a: {{prompt: hi, cache: job}}\n")
    assert orc("run", spec).code == 0
    found = orc("plan", spec, "--json").json()
    assert (found["steps"][0]["change"], found["steps"][0]["does"]) == ("same", "runs")
    assert found["expected_cost_usd"] == 0.011
    assert "\nexpected $0.0110 in " in orc("plan", spec).out


@pytest.mark.parametrize(
    ("step", "cost_usd"), [("prompt: hi", 0.011), ("for_each: [1, 2], prompt: hi", 0.022)]
)
def test_a_reply_that_is_free_once_does_not_make_the_next_one_cheaper(
    server: ModelServer, step: str, cost_usd: float
) -> None:
    cached = step.replace("hi", "'hi ${{ item }}'") if "for_each" in step else step
    spec = write("spec.yaml", f"{HEAD}  a: {{{cached}, cache: ledger}}\n")
    assert orc("run", spec).code == orc("run", spec).code == 0
    paid = write("paid.yaml", f"{HEAD}  a: {{{cached}}}\n")
    assert orc("plan", paid, "--json").json()["expected_cost_usd"] == cost_usd


def test_a_plan_says_how_many_items_of_a_known_list_run(server: ModelServer) -> None:
    text = HEAD + (
        "  rows: {value: [a, b, ROW]}\n"
        "  answer: {for_each: '${{ steps.rows.output }}', prompt: 'hi ${{ item }}', cache: ledger}\n"
        "  later: {for_each: '${{ steps.answer.output }}', prompt: 'ho ${{ item }}'}\n"
    )
    spec = write("spec.yaml", text.replace("ROW", "c"))
    plan = planned(spec)
    assert plan["answer"]["items"] == {"runs": 3, "total": 3}
    assert plan["later"]["items"] is None
    assert plan["rows"]["items"] is None
    assert orc("run", spec).code == 0
    assert planned(spec)["answer"]["items"] == {"runs": 0, "total": 3}
    write("spec.yaml", text.replace("ROW", "d"))
    assert planned(spec)["answer"]["items"] == {"runs": 1, "total": 3}
    assert "; 1 of 3 items runs" in orc("plan", spec).out
