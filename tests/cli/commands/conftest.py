"""Ledgers for the tests of several commands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.command_line import FAILING, submit, work_in, write

PRICED = """\
project: priced
provider: replay
steps:
  dear: {prompt: One, cache: ledger}
  each: {for_each: [1, 2], prompt: "Two ${{ item }}"}
"""
PRICES = "models: {openai: {known: {input: 1, cached_input: 0.5, output: 2}}}\n"
USAGE = "{input_tokens: 1000, cached_tokens: 400, output_tokens: 500}"
PRINTS = """\
project: prints
steps:
  talk:
    run: |
      printf 'one\\ttab\\n\\033[2Jtwo'; test "$ORC_ATTEMPT" = 2 || exit 3
    retry: {max_attempts: 2, initial: 10ms}
  quiet: {run: "true"}
  each: {for_each: [1, 2], run: "echo item"}
  given: {value: 1}
  last: {needs: [talk, each], run: "echo the end"}
  deep: {for_each: [1], steps: {er: {for_each: [1], as: x, steps: {leaf: {run: "echo deep"}}}}}
"""


@dataclass(frozen=True, slots=True)
class Spent:
    """A ledger with three jobs: one with costs, one with a reply from the cache, and a failed one."""

    database: Path
    first: str
    second: str
    failed: str


@pytest.fixture(scope="module")
def spent(tmp_path_factory: pytest.TempPathFactory) -> Spent:
    """A ledger whose calls have costs; tests only read it."""
    with pytest.MonkeyPatch.context() as patches:
        folder = work_in(tmp_path_factory.mktemp("spent"), patches)
        write("prices.yaml", PRICES)
        known = f"[{{text: yes, model: known, usage: {USAGE}}}]"
        other = known.replace("model: known", "model: unknown")
        write(
            "spec.replay.yaml",
            f'replies:\n  dear: {known}\n  "each[0]": {known}\n  "each[1]": {other}\n',
        )
        first, second = submit(PRICED), submit(PRICED)
        return Spent(folder / "runs.db", first, second, submit(FAILING))


@pytest.fixture
def prints(here: Path) -> str:
    """A job whose steps printed something."""
    return submit(PRINTS)
