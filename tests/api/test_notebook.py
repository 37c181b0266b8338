"""The progress of a run in a notebook. `tests/heavy/test_notebook.py` runs a real one."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import orc
from orc import notebook
from orc.projections.money.prices import NO_PRICES

SPEC = """\
project: shown
steps:
  many:
    for_each: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]
    value: 1
  bad: {run: exit 1, continue_on_error: true}
"""


class Handle:
    """A display of IPython; what it showed, as HTML and as text."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, str]] = []

    def __call__(self, progress: Any, *, display_id: bool) -> Handle:
        assert display_id
        self.update(progress)
        return self

    def update(self, progress: Any) -> None:
        self.shown.append((progress._repr_html_(), repr(progress)))


def run_shown(folder: Path, patches: pytest.MonkeyPatch, text: str = SPEC) -> Handle:
    """Run a spec as in a notebook."""
    handle = Handle()
    patches.setattr(notebook, "notebook_display", lambda: handle)
    (folder / "spec.yaml").write_text(text)
    orc.run(folder / "spec.yaml", db=folder / "runs.db")
    return handle


def test_the_last_update_shows_the_end_and_failed_steps_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = run_shown(tmp_path, monkeypatch)
    (first, _), (last, line) = handle.shown[0], handle.shown[-1]
    assert '<progress max="2" value="0">' in first
    assert '<progress max="17" value="17">' in last
    assert "succeeded: 16 of 17 steps" in line
    assert last.index("<td>bad</td>") < last.index("<td>many")
    assert "and 5 more steps" in last


def test_updates_are_bounded_in_number_and_the_end_is_always_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notebook, "UPDATE_S", 1e9)
    handle = run_shown(tmp_path, monkeypatch)
    assert len(handle.shown) <= 4
    assert "succeeded: 16 of 17 steps" in handle.shown[-1][1]


def test_no_text_is_html_and_none_moves_the_cursor() -> None:
    steps = {"<b>\x1b[2J": SimpleNamespace(status="running")}
    state: Any = SimpleNamespace(project="<i>\x1b", status="running", steps=steps)
    handle = Handle()
    notebook.Progress(handle, NO_PRICES).on_job(state, "job_1", Path())
    [(html, line)] = handle.shown
    assert "<b>" not in html
    assert "<i>" not in html
    assert "&lt;b&gt;" in html
    assert "\x1b" not in html + line


@pytest.mark.parametrize("shell", [None, SimpleNamespace(kernel=None), SimpleNamespace()])
def test_nothing_is_shown_outside_of_a_notebook(
    shell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert notebook.notebook_display() is None
    monkeypatch.delitem(sys.modules, "IPython")
    assert notebook.notebook_display() is None
