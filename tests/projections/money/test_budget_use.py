"""What the page of a job says of its budget."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.command_line import orc
from tests.model_server import Fails, ModelServer

SPEC = """\
project: p
provider: openai/gpt-4o-mini
budget: {max_cost_usd: 0.5, max_tokens: 1000, max_calls: 1}
steps:
  a: {prompt: Name a river., retry: 1, params: {max_tokens: 100}, continue_on_error: true}
  b: {prompt: Name a sea., retry: 1, params: {max_tokens: 100}, needs: [a]}
"""


def test_a_page_counts_calls_in_doubt_and_shows_the_raised_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("spec.yaml").write_text(SPEC, encoding="utf-8")
    with ModelServer(lambda asked: Fails(200, "cut")) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        assert orc("run", "spec.yaml").code == 4
        assert orc("resume", "latest", "--budget", "+2calls").code != 4
    page = orc("export", "latest", "--format", "html").out
    worst = orc("show", "latest", "--json").json()["in_doubt"]["cost_usd_max"]
    said = re.findall(r"<small>([^<]*) of ([^<]*)</small>", page.partition("Budget, ")[2])
    assert said[0] == ("2 calls", "3 calls")
    assert int(said[1][0].split()[0]) > 200
    assert float(said[2][0].removeprefix("$")) == pytest.approx(worst, rel=0.1)
