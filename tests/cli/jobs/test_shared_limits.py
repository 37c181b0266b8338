"""The jobs of one worker share the limits of a provider: seen by the server that it calls."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command_line import orc
from tests.cli.commands.test_submit import submit
from tests.model_server import Asked, ModelServer, Says

HOLD_S = 0.15
"""How long each call takes, so that calls that may overlap do."""


class Counting:
    """Answers after a while, and counts the calls in progress."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.models: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._never = threading.Event()

    def __call__(self, asked: Asked) -> Says:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.models[asked.model] += 1
        self._never.wait(HOLD_S)
        with self._lock:
            self.now -= 1
        return Says("ok")


@pytest.fixture
def counting(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counting]:
    counting = Counting()
    with ModelServer(counting) as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield counting


def spec(model: str, *limits: str, steps: int = 6) -> str:
    prompts = "".join(f"  s{number}: {{prompt: hi {number}}}\n" for number in range(steps))
    return "\n".join(
        ["project: p", "provider: ollama", f"model: {model}", *limits, f"steps:\n{prompts}"]
    )


def test_the_smaller_concurrency_holds_for_the_steps_of_both_jobs(counting: Counting) -> None:
    submit(spec("a", "concurrency: {total: 6, ollama: 2}"))
    submit(spec("b", "concurrency: {total: 6, ollama: 4}"))
    assert orc("work", "--stop-when-empty", "--jobs", "2").code == 0
    assert counting.models == {"a": 6, "b": 6}
    # While the first job runs, two calls of both; four of the second one at its end.
    assert counting.most <= 4
    counting.most = 0
    submit(spec("a", "concurrency: {total: 6, ollama: 2}"))
    submit(spec("b", "concurrency: {total: 6, ollama: 2}"))
    submit(spec("c", "concurrency: 6", steps=2))
    assert orc("work", "--stop-when-empty", "--jobs", "3").code == 0
    assert counting.most == 2


def test_without_limits_the_jobs_run_side_by_side(counting: Counting) -> None:
    submit(spec("a", "concurrency: 3"))
    submit(spec("b", "concurrency: 3"))
    assert orc("work", "--stop-when-empty", "--jobs", "2").code == 0
    assert counting.most == 6


def test_the_calls_of_both_jobs_count_in_the_rate(counting: Counting) -> None:
    submit(spec("a", "rate: {ollama: {requests_per_min: 7}}"))
    submit(spec("b", "rate: {ollama: {requests_per_min: 100}}"))
    said = orc("work", "--for", "4s", "--jobs", "2")
    assert said.code == 0, said.err
    assert counting.models.total() == 7
    assert said.err.count("it is back in the queue") in (1, 2)
