"""Budgets are never exceeded, over retries, resumes and parallel calls; a wait for budget says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.command_line import orc, write
from tests.model_server import Asked, Fails, ModelServer, Says

HEAD = """\
project: tight
provider: ollama/model-a
params: {max_tokens: 10}
defaults: {retry: {max_attempts: 3, initial: 1ms, jitter: 0}}
concurrency: 8
"""
MANY = """\
steps:
  each: {for_each: [1, 2, 3, 4, 5, 6], prompt: "Say ${{ item }}"}
"""


@pytest.fixture
def server(here: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    """A server whose replies use 40 input tokens and 5 output tokens."""
    with ModelServer(lambda asked: Says("ok", input_tokens=40, output_tokens=5)) as server:
        monkeypatch.setenv("OLLAMA_BASE_URL", server.url)
        yield server


def events(*types: str) -> list[dict[str, Any]]:
    wanted = [part for name in types for part in ("--type", name)]
    return orc("tail", "latest", "--json", *wanted).lines()


def used() -> int:
    return sum(
        line["usage"]["input_tokens"] + line["usage"]["output_tokens"]
        for line in events("llm.responded")
    )


def test_calls_beyond_the_limit_are_not_sent_and_the_job_waits(server: ModelServer) -> None:
    said = orc("run", write("s.yaml", HEAD + "budget: {max_calls: 4}\n" + MANY))
    assert said.code == 4
    assert len(server.seen) == 4
    assert "--budget +2calls" in said.err
    assert orc("show", "latest", "--json").json()["status"] == "waiting"
    assert orc("resume", "latest").code == 4
    assert len(server.seen) == 4
    said = orc("resume", "latest", "--budget", "+2calls")
    assert said.code == 0, said.err
    assert len(server.seen) == 6
    (raised,) = events("budget.raised")
    assert raised["max_calls"] == 6


def test_the_worst_case_of_every_call_in_flight_fits_the_limit(server: ModelServer) -> None:
    assert orc("run", write("s.yaml", HEAD + "budget: {max_tokens: 300}\n" + MANY)).code == 4
    requests = {(e["step"], e["call"]): e["reserved"]["tokens"] for e in events("llm.requested")}
    held = spent = 0
    for line in events("llm.requested", "llm.responded"):
        if line["type"] == "llm.requested":
            held += line["reserved"]["tokens"]
        else:
            held -= requests[line["step"], line["call"]]
            spent += 45
        assert held + spent <= 300
    assert used() == spent > 0


def test_a_call_that_does_not_fit_waits_for_those_in_flight(server: ModelServer) -> None:
    # The budget fits one worst case at a time, and the actual usage of all calls.
    text = HEAD + "budget: {max_tokens: 450}\n" + MANY.replace(", 4, 5, 6", "")
    said = orc("run", write("s.yaml", text))
    assert said.code == 0, said.err
    assert (len(server.seen), used()) == (3, 135)


def test_failed_attempts_count(server: ModelServer) -> None:
    server.answer = lambda asked: Fails(500)
    text = HEAD + "budget: {max_calls: 2}\nsteps: {a: {prompt: hi}}\n"
    assert orc("run", write("s.yaml", text)).code == 4
    assert len(server.seen) == 2


def test_a_step_over_its_budget_fails_where_the_spec_says_so(server: ModelServer) -> None:
    steps = (
        "steps:\n  a: {prompt: hi, budget: {max_calls: 0, on_exceeded: fail}}\n  b: {prompt: ho}\n"
    )
    said = orc("run", write("s.yaml", HEAD + steps))
    assert said.code == 1
    assert "a: budget: the budget of step 'a': max_calls is 0 calls; spent: 0 calls" in said.err
    assert len(server.seen) == 1


def test_the_budget_of_a_step_holds_for_all_inside_it(server: ModelServer) -> None:
    steps = MANY.replace("for_each:", "budget: {max_calls: 2}, for_each:") + "  b: {prompt: ho}\n"
    assert orc("run", write("s.yaml", HEAD + steps)).code == 4
    assert len(server.seen) == 3
    assert orc("resume", "latest", "--budget", "each=+4calls").code == 0


def test_money_is_charged_as_the_table_says(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("prices.yaml", "models: {ollama: {model-a: {input: 100, output: 1000}}}\n")
    text = HEAD + "budget: {max_cost_usd: 0.06}\nconcurrency: 1\n" + MANY
    text = text.replace("concurrency: 8\n", "")
    assert orc("run", write("s.yaml", text)).code == 4
    charged = [line["charged_nano_usd"] for line in events("llm.responded")]
    assert set(charged) == {9_000_000}
    (short, *_) = events("budget.exceeded")
    assert short["spent"] == sum(charged)
    assert short["spent"] + short["needed"] > 60_000_000
    assert orc("resume", "latest", "--budget", "+1.00").code == 0
    assert len(server.seen) == 6


def test_three_calls_of_ten_cents_fit_a_budget_of_thirty_and_a_fourth_does_not(
    server: ModelServer,
) -> None:
    # Only the output has a price, and each reply has as many tokens as it may have.
    server.answer = lambda asked: Says("ok", input_tokens=40, output_tokens=10)
    write("prices.yaml", "models: {ollama: {model-a: {input: 0, output: 10000}}}\n")
    text = HEAD + "budget: {max_cost_usd: 0.30}\n" + MANY.replace("4, 5, 6", "4")
    assert orc("run", write("s.yaml", text)).code == 4
    assert len(server.seen) == 3
    assert orc("show", "latest", "--json").json()["cost_usd"] == 0.3
    assert orc("cost", "latest", "--json").json()["total"]["cost_usd"] == 0.3
    (short,) = events("budget.exceeded")
    assert (short["spent"], short["maximum"]) == (300_000_000, 300_000_000)
    # Raised by exactly what the last call needs.
    assert orc("resume", "latest", "--budget", "+0.10").code == 0
    assert len(server.seen) == 4


@pytest.mark.parametrize(
    ("key", "steps", "words"),
    [
        ("budget: {max_cost_usd: 1}", "steps: {a: {prompt: hi}}", "needs the price of openai/odd"),
        ("budget: {max_tokens: 9}", "steps: {a: {prompt: hi, params: {}}}", "needs `params:"),
        ("budget: {max_token: 9}", "steps: {a: {value: 1}}", "did you mean 'max_tokens'?"),
        ("budget: {max_calls: -1}", "steps: {a: {value: 1}}", "s.yaml:3:21"),
    ],
)
def test_a_limit_in_money_without_a_price_is_refused(
    server: ModelServer, key: str, steps: str, words: str
) -> None:
    params = "params: {max_tokens: 5}" if "cost" in key else "task_description: x"
    text = f"project: p\nprovider: openai/odd\n{key}\n{params}\n{steps}\n"
    said = orc("validate", write("s.yaml", text))
    assert said.code == 2
    assert words in said.err


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        ("1.00", "must be an amount such as +1.00"),
        ("+1.00", "the budget has no max_cost_usd that could be raised"),
        ("b=+1calls", "step 'b' has no budget"),
        ("-1calls", "must be an amount such as +1.00"),
        ("+1.5calls", "must be a whole number of calls"),
    ],
)
def test_an_invalid_raise_of_a_budget_is_refused(
    server: ModelServer, amount: str, words: str
) -> None:
    text = HEAD + "budget: {max_calls: 0}\nsteps: {a: {prompt: hi}}\n"
    assert orc("run", write("s.yaml", text)).code == 4
    said = orc("resume", "latest", f"--budget={amount}")
    assert said.code == 2
    assert words in said.err


def test_an_unanswered_call_counts_in_full(server: ModelServer) -> None:
    def answer(asked: Asked) -> Says | Fails:
        return Fails(408) if len(server.seen) == 1 else Says("ok", input_tokens=40)

    server.answer = answer
    text = HEAD + "budget: {max_tokens: 500}\nsteps: {a: {prompt: hi}}\n"
    assert orc("run", write("s.yaml", text)).code == 0
    first, second = events("llm.requested")
    assert first["reserved"] == second["reserved"]


@pytest.mark.parametrize(
    ("budget", "provider", "warned"),
    [
        ("max_cost_usd: 0", "openai/gpt-4o-mini", True),
        ("max_cost_usd: 0", "ollama/llama3.2", False),
        ("max_cost_usd: 0.01", "openai/gpt-4o-mini", False),
        ("max_calls: 0", "ollama/llama3.2", True),
        ("max_tokens: 0", "ollama/llama3.2", True),
    ],
)
def test_a_budget_of_nothing_is_warned_of_where_a_model_would_be_called(
    here: Any, budget: str, provider: str, warned: bool
) -> None:
    head = f"project: p\nprovider: {provider}\nparams: {{max_tokens: 1}}\n"
    steps = "steps: {g: {BUDGET steps: {a: {prompt: hi}}}, b: {value: 1}}\n"
    of_job = write("job.yaml", f"{head}budget: {{{budget}}}\n{steps.replace('BUDGET ', '')}")
    of_step = write("step.yaml", head + steps.replace("BUDGET", f"budget: {{{budget}}},"))
    key = budget.partition(":")[0]
    for spec, whose in ((of_job, "the job"), (of_step, "step 'g'")):
        said = orc("validate", spec)
        assert (f"{whose} has a budget with `{key}: 0`" in said.err + said.out) == warned
