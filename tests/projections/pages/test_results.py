"""The grid of the scores of a job: layout, cells, totals, filters, orders, opened cells."""

from __future__ import annotations

import html
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

import orc
from tests.projections.pages.scored_jobs import run_scored
from tests.projections.served import HOSTILE, MARKUP, OBEYED, Get, browse

PAGE = "/-/orc/runs/{}/results"


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The ledger and the ids of its two jobs."""
    folder = tmp_path_factory.mktemp("results")
    return folder / "runs.db", run_scored(folder)


def grid(text: str) -> list[list[str]]:
    """The texts of the cells of the grid: its head, the two rows of totals, its rows."""
    table = text.partition('<table class="scores">')[2].partition("</table>")[0]
    return [
        [
            " ".join(html.unescape(re.sub(r"<[^>]+>", "", cell)).split())
            for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)
        ]
        for row in re.findall(r"<tr.*?</tr>", table, re.DOTALL)
    ]


def rows(text: str) -> list[list[str]]:
    return grid(text)[3:]


def test_cases_are_rows_and_models_are_columns(jobs: tuple[Path, list[str]]) -> None:
    async def look(get: Get) -> None:
        text = (await get(PAGE.format(jobs[1][0]))).text
        head, means, used, *lines = grid(text)
        assert head == ["case", "small", "large"]
        assert means == ["Mean of all 4 rows", "33.3 % 0 to 1", "100 % 1 to 1"]
        assert used[1].startswith("3, 1 failed;")
        assert [line[1:] for line in lines] == [
            ["pass", "pass"],
            ["fail", "pass"],
            ["fail", "pass"],
            ["failed", "failed"],
        ]
        assert lines[0][0] == "n: 1, q: one"
        assert "4 of 4 rows." in text

    browse(jobs[0], then=look)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (
            "rows=model&columns=case",
            [["pass", "fail", "fail", "failed"], ["pass"] * 3 + ["failed"]],
        ),
        ("columns=none", [["pass"], ["fail"], ["fail"], ["failed"], *[["pass"]] * 3, ["failed"]]),
        ("score=size", [["2.5", "2.5"], ["5", "5"], ["7.5", "7.5"], ["failed", "failed"]]),
        ("score=broken", [["1 broken", "1 broken"]] * 3 + [["failed", "failed"]]),
        ("show=different", [["fail", "pass"]] * 2),
        ("show=failed", [["fail", "pass"]] * 2 + [["failed", "failed"]]),
        ("score=size&low=4&high=6", [["5", "5"]]),
        ("score=size&sort=highest", [["7.5"] * 2, ["5"] * 2, ["2.5"] * 2, ["failed"] * 2]),
        ("sort=lowest&by=1", [["fail", "pass"]] * 2 + [["pass"] * 2, ["failed"] * 2]),
        ("sort=most+different", [["fail", "pass"]] * 2 + [["pass"] * 2, ["failed"] * 2]),
        ("q=TWO", [["fail", "pass"]]),
        ("q=says+60", [["pass", "pass"]]),
        ("q=zzz", []),
        ("part=9", []),
        ("score=x&rows=x&columns=x&show=x&low=x&high=nan&sort=x&by=99&part=x&open=x", None),
    ],
)
def test_the_grid_is_turned_filtered_and_sorted(
    jobs: tuple[Path, list[str]], query: str, found: list[list[str]] | None
) -> None:
    async def look(get: Get) -> None:
        answer = await get(f"{PAGE.format(jobs[1][0])}?{query}")
        assert answer.status_code == 200
        if found is not None:
            assert [line[1:] for line in rows(answer.text)] == found

    browse(jobs[0], then=look)


def test_a_cell_opens_its_row_with_the_outputs_and_all_scores(
    jobs: tuple[Path, list[str]],
) -> None:
    async def look(get: Get) -> None:
        text = (await get(PAGE.format(jobs[1][0]))).text
        (address, *_) = re.findall(r'href="([^"]+open=[^"]+#opened)"', text)
        opened = (await get(html.unescape(address).partition("#")[0])).text
        cards = opened.partition('<div class="cards">')[2].partition("</details></td>")[0]
        assert cards.count("<article") == 2
        assert "small says 60" in cards
        assert "large says 60" in cards
        assert cards.count("<b>broken</b>") == 2
        assert f"/{jobs[1][0]}/step/" in cards
        assert HOSTILE not in opened

    browse(jobs[0], then=look)


def test_a_job_without_scores_says_how_to_get_some(tmp_path: Path) -> None:
    import orc

    (tmp_path / "s.yaml").write_text("project: plain\nsteps: {a: {value: x}}\n")
    orc.run(tmp_path / "s.yaml", db=tmp_path / "runs.db")

    async def look(get: Get) -> None:
        answer = await get(PAGE.format("latest"))
        assert answer.status_code == 200
        assert "This job has no scores" in answer.text
        assert "/results" not in (await get("/-/orc/runs/latest")).text

    browse(tmp_path / "runs.db", then=look)


def test_jobs_with_scores_lead_to_their_results(jobs: tuple[Path, list[str]]) -> None:
    async def look(get: Get) -> None:
        for page in ("/-/orc/runs", f"/-/orc/runs/{jobs[1][0]}"):
            text = (await get(page)).text
            assert f"/-/orc/runs/{jobs[1][0]}/results" in text
            assert "exact 66.7 %, size 5, +1" in text

    browse(jobs[0], then=look)


def test_the_page_of_a_step_has_its_scores_and_those_of_its_items(
    jobs: tuple[Path, list[str]],
) -> None:
    async def look(get: Get) -> None:
        page = f"/-/orc/runs/{jobs[1][0]}/step"
        own = (await get(f"{page}/answer~5B0~5D")).text
        scores = own.partition('id="scores"')[2].partition("</div>")[0]
        assert "<b>exact</b> pass" in scores
        assert "<b>size</b> 2.5" in scores
        assert "because &lt;script&gt;" in scores
        assert '<span class="wrong">broken</span>' in scores
        items = (await get(f"{page}/answer")).text
        assert '<th scope="col">Scores</th>' in items
        assert '<td class="cell">exact 100 %, size 2.5, +1</td>' in items

    browse(jobs[0], then=look)


def test_no_page_shows_markup_from_the_tables(jobs: tuple[Path, list[str]], tmp_path: Path) -> None:
    """Names of scores, models, cases and projects, and what a model wrote, are markup here."""
    database, ids = tmp_path / "runs.db", jobs[1]
    shutil.copy(jobs[0], database)
    hostile = MARKUP + OBEYED
    with closing(sqlite3.connect(database)) as connection:
        for column in ("scores.name", "scores.why", "scores.error", "steps.output", "jobs.name"):
            table, name = column.split(".")
            connection.execute(f"UPDATE {table} SET {name} = {name} || ?", (hostile,))
        for table in ("steps", "scores"):
            connection.execute(
                f"UPDATE {table} SET dimensions = json_set(dimensions, '$.case', ?, '$.model', "
                "json_extract(dimensions, '$.model') || ?) WHERE dimensions IS NOT NULL",
                (hostile, hostile),
            )
        connection.commit()

    async def look(get: Get) -> None:
        project = quote(f"eval{MARKUP}{OBEYED}")
        for page in (
            "/-/orc/runs",
            f"{PAGE.format(ids[0])}",
            f"{PAGE.format(ids[0])}?open=answer[0]&q=small",
            f"/-/orc/runs/{ids[0]}/step/answer",
            f"/-/orc/runs/compare?job={ids[0]}&job={ids[1]}",
            f"/-/orc/runs/charts?project={project}",
            f"/-/orc/runs/charts/scores.svg?project={project}",
        ):
            answer = await get(page)
            assert answer.status_code == 200, page
            text = answer.text
            assert "<script>alert" not in text, page
            assert "<img src=x" not in text, page
            assert "<svg/onload" not in text, page
            assert not set(text) & {"\x1b", "\x9b", "\u202e", "\u200b", "\ufeff"}, page

    browse(database, then=look)


def test_a_fork_shows_the_results_with_which_it_started(tmp_path: Path) -> None:
    (first,) = run_scored(tmp_path, shifts=(0,))
    database = tmp_path / "runs.db"
    fork = str(orc.fork(first, db=database, start="report").job_id)
    again = str(orc.fork(fork, db=database, start="report").job_id)

    async def look(get: Get) -> None:
        for job in (fork, again):
            assert (
                f'href="/-/orc/runs/{job}/results">Results</a>'
                in (await get(f"/-/orc/runs/{job}")).text
            )
            text = (await get(f"{PAGE.format(job)}?open=answer[1]")).text
            assert rows(text)[0][1:] == ["pass", "pass"]
            cards = text.partition('<div class="cards">')[2].partition("</table>")[0]
            assert f'href="/-/orc/runs/{first}/step/answer~5B1~5D">answer[1]</a>' in cards
            assert "small says 30" in cards
            assert "score-form" not in cards
            assert "NAME=VALUE" not in cards

    browse(database, then=look)


def test_a_job_whose_scored_steps_all_failed_has_a_grid_of_failures(tmp_path: Path) -> None:
    spec = tmp_path / "s.yaml"
    spec.write_text(
        "project: p\nsteps:\n  a:\n    for_each: [1, 2]\n    continue_on_error: true\n"
        '    value: ${{ 1 / 0 }}\n    score: {exact: "${{ output == 1 }}"}\n'
    )
    job = orc.run(spec, db=tmp_path / "runs.db").job_id

    async def look(get: Get) -> None:
        text = (await get(f"/-/orc/runs/{job}/results")).text
        assert "This job has no scores" not in text
        assert text.count('<small class="wrong">failed</small>') == 2
        assert "0, 2 failed; -;" in text

    browse(tmp_path / "runs.db", then=look)


def test_a_range_has_the_means_that_miss_its_end_by_rounding_only(tmp_path: Path) -> None:
    spec = tmp_path / "s.yaml"
    spec.write_text(
        "project: p\nsteps:\n  a:\n    for_each: [1, 2]\n    repeat: 3\n    value: 1\n"
        '    score: {s: "${{ 0.7 }}"}\n'
    )
    job = orc.run(spec, db=tmp_path / "runs.db").job_id

    async def look(get: Get) -> None:
        for query, shown in (("low=0.7", 2), ("high=0.7", 2), ("low=0.71", 0), ("high=0.69", 0)):
            text = (await get(f"/-/orc/runs/{job}/results?{query}")).text
            assert f"{shown} of 2 rows" in text, query

    browse(tmp_path / "runs.db", then=look)
