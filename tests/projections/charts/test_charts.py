"""The charts of a project: round ticks, the Pareto front, drawings, tables, downloads."""

from __future__ import annotations

import csv
import io
import math
import re
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from orc.ledger.wording import duration_text
from orc.projections.charts.charts import CHARTS, Chart, build_charts
from orc.projections.charts.pareto import pareto_front
from orc.projections.charts.plot import Axis, Plot, Point, Series
from orc.projections.charts.project import ModelScore, Project
from orc.projections.charts.ticks import round_ticks, time_ticks
from orc.projections.scores.overview import ScoreMean
from orc.projections.tables.rows import JobRow
from tests.projections.served import MARKUP, OBEYED

NUMBERS = st.floats(-1e9, 1e9, allow_subnormal=False)
HOSTILE = MARKUP + OBEYED


@given(NUMBERS, NUMBERS)
def test_ticks_are_few_and_cover_the_range(one: float, other: float) -> None:
    low, high = sorted((one, other))
    ticks = round_ticks(low, high)
    assert 2 <= len(ticks) <= 8
    assert ticks == sorted(set(ticks))
    room = 1e-6 * max(1.0, abs(low), abs(high))
    assert ticks[0] <= low + room
    assert ticks[-1] >= high - room


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 0, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 7, [0, 2, 4, 6, 8]),
        (math.nan, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
    ],
)
def test_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    assert round_ticks(low, high) == ticks


@pytest.mark.parametrize(
    ("high", "labels"),
    [
        (0, "0 ms, 1 ms"),
        (0.0012, "0 ms, 1 ms, 2 ms"),
        (15, "0 ms, 5 s, 10 s, 15 s"),
        (130, "0 ms, 30 s, 1 m 00 s, 1 m 30 s, 2 m 00 s, 2 m 30 s"),
        (9000, "0 ms, 30 m 00 s, 1 h 00 m, 1 h 30 m, 2 h 00 m, 2 h 30 m"),
        (math.inf, "0 ms, 200 ms, 400 ms, 600 ms, 800 ms, 1 s"),
    ],
)
def test_ticks_of_times_are_round_as_they_are_worded(high: float, labels: str) -> None:
    assert ", ".join(map(duration_text, time_ticks(high))) == labels


@given(st.floats(0, 1e9))
def test_no_two_ticks_of_times_have_one_label(high: float) -> None:
    ticks = time_ticks(high)
    assert len({duration_text(tick) for tick in ticks}) == len(ticks) <= 8
    assert ticks[-1] >= high * (1 - 1e-6)


def test_ticks_of_scores_that_are_close_together_have_labels_of_their_own() -> None:
    close = tuple(
        replace(each, mean=0.98765 + 0.00001 * at) for at, each in enumerate(project().by_model)
    )
    plot = chart("tradeoff", replace(project(), by_model=close)).plot
    assert plot is not None
    text = str(plot.draw())
    labels = re.findall(r'class="c-label c-end"[^>]*>([^<]*)<', text)
    assert "0.98766" in labels
    assert len(labels) == len(set(labels))


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12))
def test_no_point_beats_one_on_the_front_and_one_beats_each_other(
    points: list[tuple[float, float]],
) -> None:
    def is_beaten(point: tuple[float, float]) -> bool:
        return any(
            cost <= point[0] and score >= point[1] and (cost, score) != point
            for cost, score in points
        )

    expected = {at for at, point in enumerate(points) if not is_beaten(point)}
    front = pareto_front(points)
    assert set(front) == expected
    assert [points[at][0] for at in front] == sorted(points[at][0] for at in front)


def job(number: int, **fields: Any) -> JobRow:
    empty = dict.fromkeys(JobRow._fields)
    kept = {
        **empty,
        "job_id": f"job_{number}",
        "name": HOSTILE,
        "status": "succeeded",
        "position": number,
        "submitted_at": f"2026-01-0{number + 1}T10:00:00.000000Z",
        "input_tokens": 100 * number,
        "output_tokens": 5,
        "cost_nano_usd": 1_500_000_000 * number,
        "duration_s": 2.0 * number,
        "steps_failed": number % 2,
        **fields,
    }
    return JobRow(**kept)


def project() -> Project:
    """Four jobs with two scores, of three models, of which all names are hostile."""
    jobs = tuple(map(job, range(4)))
    means = {
        each.job_id: [
            ScoreMean(HOSTILE, "expression", 4, 2.0 + at, 2, 0),
            ScoreMean("style", "judge", 2, 1.0),
        ]
        for at, each in enumerate(jobs)
    }
    by_model = tuple(
        ModelScore("job_1", f"{model}{HOSTILE}", HOSTILE, "expression", 4, mean, 2, cost)
        for model, mean, cost in (
            ("cheap", 0.5, 2_000_000),
            ("good", 0.9, 8_000_000),
            ("bad", 0.4, 9_000_000),
        )
    )
    times = {HOSTILE: [0.1 * n for n in range(1, 1001)], "other": [1.0]}
    return Project(HOSTILE, jobs, means, by_model, times)


def chart(name: str, of: Project | None = None) -> Chart:
    charts = build_charts(of or project(), lambda job_id: f"/jobs/{job_id}?a=1&b=2")
    return {one.name: one for one in charts}[name]


def test_each_chart_has_its_name() -> None:
    assert tuple(one.name for one in build_charts(project(), str)) == CHARTS


@pytest.mark.parametrize("name", CHARTS)
def test_a_drawing_is_harmless_and_complete(name: str) -> None:
    plot = chart(name).plot
    assert plot is not None
    for standalone in (False, True):
        text = str(plot.draw(standalone=standalone))
        assert [one for one in text if not one.isprintable() and one != "\n"] == []
        root = ET.fromstring(text)
        tags = {element.tag.rpartition("}")[2] for element in root.iter()}
        assert tags <= {"svg", "title", "desc", "path", "text", "g", "a", "style", "rect"}
        assert not [key for element in root.iter() for key in element.attrib if key[:2] == "on"]
        assert root[0].tag.endswith("title")
        assert root[1].tag.endswith("desc")
        links = {element.get("href") for element in root.iter() if element.tag.endswith("}a")}
        assert all(str(link).startswith("/jobs/job_") for link in links)


def test_points_of_the_front_are_joined_and_named_in_the_table() -> None:
    found = chart("tradeoff")
    assert [row[-1] for row in found.rows] == ["yes", "yes", "no"]
    assert [row[5] for row in found.rows] == [0.001, 0.004, 0.0045]
    assert found.plot is not None
    assert [len(series.points) for series in found.plot.series] == [2, 1]


def test_latencies_are_described_by_their_quantiles() -> None:
    found = chart("latencies")
    assert found.words[0][1:] == ("1,000", "100 ms", "50 s", "1 m 35 s", "1 m 40 s")
    assert found.plot is not None
    drawn = found.plot.series[0].points
    assert len(drawn) <= 202
    assert (drawn[-1].x, drawn[-1].y) == (100.0, 1.0)


def test_costs_are_exact_in_csv_and_worded_in_the_table() -> None:
    found = chart("cost")
    rows = list(csv.reader(io.StringIO(found.csv())))
    assert rows[0] == ["job", "submitted", "status", "US$"]
    assert [float(row[3]) for row in rows[1:]] == [0.0, 1.5, 3.0, 4.5]
    assert found.words[1] == ("job_1", "2026-01-02 10:00", "succeeded", "$1.50")


def test_a_cost_that_is_not_the_whole_is_told_as_such() -> None:
    jobs = (job(1, calls_unpriced=0), job(2, calls_unpriced=3))
    found = chart("cost", replace(project(), jobs=jobs))
    assert [row[3:] for row in found.words] == [("$1.50", "0"), ("at least $3.00", "3")]
    assert found.csv().splitlines()[0] == "job,submitted,status,US$,calls with unknown prices"
    assert found.plot is not None
    assert found.plot.series[0].points[1].said.startswith("at least $3.00, ")


def test_no_cell_of_csv_is_a_formula() -> None:
    found = replace(chart("scores"), rows=(("=1+1", "@x", -1.5),))
    assert found.csv().splitlines()[1] == "'=1+1,'@x,-1.5"


def test_a_project_without_numbers_says_why() -> None:
    bare = Project("p", (job(0, cost_nano_usd=None, duration_s=None),), {"job_0": []}, (), {})
    missing = {one.name for one in build_charts(bare, str) if one.plot is None}
    assert missing == {"scores", "tradeoff", "cost", "duration", "latencies"}
    assert all(one.missing for one in build_charts(bare, str) if one.plot is None)


def test_values_that_differ_little_or_not_are_drawn() -> None:
    for values in ([1.0], [1.0, 1.0], [1e-12, 2e-12], [-5.0, -5.0]):
        points = tuple(Point(at, value, "") for at, value in enumerate(values))
        plot = Plot("t", "s", Axis("x", str), Axis("y", str), (Series("", points),))
        text = str(plot.draw())
        assert "nan" not in text
        places = re.findall(r"translate\(([\d.-]+) ([\d.-]+)\)", text)
        assert all(0 <= float(x) <= 640 and 0 <= float(y) <= 300 for x, y in places)
