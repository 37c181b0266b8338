"""An editor with the real YAML language server knows the keys of a spec that `orc init` wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from orc.cli.jobs.caller.templates import ABOUT
from tests.cli.command_line import orc
from tests.heavy.language_server import edit

pytestmark = pytest.mark.providers


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_starter_spec_has_no_problem_and_its_keys_are_completed(here: Path) -> None:
    assert orc("init", "eval").code == 0
    path = here / "eval.yaml"
    text = path.read_text()
    with edit(path) as editor:
        assert editor.problems(text) == []
        # A new key of the spec, and a new key of a step.
        lines = text.rstrip("\n").split("\n")
        offered = editor.completions("\n".join([*lines, "mod"]), len(lines), 3)
        assert "model" in offered
        assert "models" not in offered
        step = ["  another_step:", "    pro"]
        offered = editor.completions("\n".join([*lines, *step]), len(lines) + 1, 7)
        assert "prompt" in offered
        assert "budgets" not in offered


def test_a_mistake_is_marked_where_it_is(here: Path) -> None:
    assert orc("init", "eval").code == 0
    path = here / "eval.yaml"
    text = path.read_text()
    wrong = text.replace("project:", "projekt:", 1)
    assert wrong != text
    with edit(path) as editor:
        problems = editor.problems(wrong)
    line = next(number for number, each in enumerate(wrong.split("\n")) if "projekt:" in each)
    named = [each for each in problems if "projekt" in each["message"]]
    assert [each["range"]["start"]["line"] for each in named] == [line]


@pytest.mark.parametrize("template", ABOUT)
def test_no_starter_spec_has_a_problem(here: Path, template: str) -> None:
    assert orc("init", template).code == 0
    path = here / f"{template}.yaml"
    with edit(path) as editor:
        assert editor.problems(path.read_text()) == []
