"""The page of a project's charts, and their downloads."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.projections.pages.scored_jobs import run_scored
from tests.projections.served import Get, browse

PAGE = "/-/orc/runs/charts"


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The ledger and the ids of its two jobs."""
    folder = tmp_path_factory.mktemp("charts")
    return folder / "runs.db", run_scored(folder)


def test_the_page_has_drawings_with_tables_and_links(jobs: tuple[Path, list[str]]) -> None:
    async def look(get: Get) -> None:
        text = (await get(f"{PAGE}?project=eval")).text
        assert text.count('class="c-chart"') == 4
        assert text.count("<caption") == 4
        for job_id in jobs[1]:
            assert f'<a href="/-/orc/runs/{job_id}"' in text
        assert "No job of the project has called a model." in text

    browse(jobs[0], then=look)


def test_a_chart_is_downloaded_as_drawing_and_as_numbers(jobs: tuple[Path, list[str]]) -> None:
    async def look(get: Get) -> None:
        drawing = await get(f"{PAGE}/scores.svg?project=eval")
        assert drawing.text.startswith('<?xml version="1.0"')
        assert drawing.headers["content-disposition"].startswith("attachment")
        numbers = await get(f"{PAGE}/scores.csv?project=eval")
        assert numbers.text.splitlines()[0] == "job,submitted,score,values,mean"
        assert f"{jobs[1][0]}," in numbers.text
        assert ",exact,6,0.66" in numbers.text

    browse(jobs[0], then=look)


@pytest.mark.parametrize(
    "address",
    [
        "?project=none",
        "",
        "/scores.svg?project=none",
        "/nothing.csv?project=eval",
        "/cost.svg?project=eval",
    ],
)
def test_what_does_not_exist_is_said(jobs: tuple[Path, list[str]], address: str) -> None:
    async def look(get: Get) -> None:
        answer = await get(f"{PAGE}{address}")
        assert answer.status_code == 404
        assert "project" in answer.text

    browse(jobs[0], then=look)
