"""The page of recorded figures: what the benchmarks record is what the page shows."""

from __future__ import annotations

import json
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from benchmarks import recording
from benchmarks.figures import figure_of
from benchmarks.parts import LONG, PARTS
from benchmarks.turns import in_turns
from tests.docs.test_generated import generate

FIGURE = figure_of("fan of 10: steps/s", [1234.5], "raw rows/s", [2469.0], target=">= 0.8")
TURNS = figure_of("fan of 20: s", [2.0, 4.0, 4.0, 9.0, 6.0], "raw: s", [1.0, 2.0, 1.0, 3.0, 2.0])
COSTS = figure_of("submit|check: us", [12.3], "", []) | {"cpu_us_a_step": 12.3, "peak_mb": 60.0}


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "results.json"
    monkeypatch.setattr(recording, "RESULTS", path)
    monkeypatch.setattr(generate.performance, "_RESULTS", path)
    return path


def test_each_recorded_part_has_a_table_with_its_date_and_command(results: Path) -> None:
    recording.record_part("fans", [FIGURE, TURNS], rounds=1, took_s=1.2)
    recording.record_part("brand_new", [COSTS], rounds=2, took_s=3.0)
    text = generate.PARTS["performance"]()
    assert "| work | figure | yardstick | ratio | target |\n" in text
    assert "| fan of 10 | 1,234 steps/s | raw rows/s: 2,469 steps/s | 0.50 | >= 0.8 |\n" in text
    assert "| fan of 20 | 4 s | raw: 2 s | 3.00 (2.00 to 3.50) | |" in text
    assert "| work | figure | CPU a step | peak memory |\n" in text
    assert "| submit\\|check | 12.3 us | 12.3 us | 60 MB |" in text
    assert "`python -m benchmarks --record --rounds 2 --only brand_new`" in text
    assert text.index("### A fan") < text.index("### Brand_new")
    assert text.count(f" with {recording._machine()['processor']}, ") == 2, "each has its machine"
    assert json.loads(results.read_text("utf-8"))["parts"]["fans"]["took_s"] == 1


def test_a_part_that_is_measured_again_replaces_its_own_figures_only(results: Path) -> None:
    recording.record_part("chain", [COSTS], rounds=1, took_s=1.0)
    recording.record_part("fans", [COSTS], rounds=1, took_s=1.0)
    recording.record_part("fans", [FIGURE], rounds=1, took_s=1.0)
    parts = json.loads(results.read_text("utf-8"))["parts"]
    assert parts["fans"]["figures"] == [FIGURE]
    assert parts["chain"]["figures"] == [COSTS]


def test_without_figures_the_page_says_how_to_record_them(results: Path) -> None:
    assert "python -m benchmarks --record" in generate.PARTS["performance"]()


def test_each_part_of_the_benchmarks_has_its_limit_on_the_page() -> None:
    assert PARTS.keys() <= generate.performance._PARTS.keys()
    assert set(LONG) <= PARTS.keys()


def test_what_is_compared_is_measured_in_turns() -> None:
    order: list[str] = []
    counts = count(1)

    def measure(name: str) -> int:
        order.append(name)
        return next(counts)

    measures = {name: partial(measure, name) for name in ("work", "yardstick")}
    assert in_turns(measures, 2) == {"work": [1, 3], "yardstick": [2, 4]}
    assert order == ["work", "yardstick"] * 2
