"""The list of jobs, the search and the results by tag and by score."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest
import trio

import orc
from orc.cli.jobs.assess.record import score, tag
from orc.cli.jobs.places import Places
from tests.projections.pages.scored_jobs import run_scored
from tests.projections.served import HOSTILE, MARKUP, OBEYED, Get, browse

BASE = "/-/orc/runs"


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Two jobs with scores: exact 67 %, size 5 and 6; and one with a tag and without scores."""
    folder = tmp_path_factory.mktemp("filters")
    ids = run_scored(folder)
    spec = folder / "plain.yaml"
    spec.write_text("{project: plain, tags: [nightly, v1=2], steps: {only: {value: findme}}}\n")
    ids.append(str(orc.run(spec, db=folder / "runs.db").job_id))
    places = Places.find(database=folder / "runs.db")
    trio.run(partial(tag, ids[1], added=("nightly",), removed=(), places=places))
    return folder / "runs.db", ids


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "012"),
        ("tag=nightly", "12"),
        ("tag=v1%3D2", "2"),
        ("tag=nightly&project=plain", "2"),
        ("tag=none", ""),
        ("score=size", "01"),
        ("score=size&low=5.5", "1"),
        ("score=size&high=5.5", "0"),
        ("score=size&low=5&high=6", "01"),
        ("score=none", ""),
        ("score=broken", "01"),
        ("score=broken&low=0", ""),
        ("high=0.7", "01"),
        ("low=abc&high=nan", "012"),
        ("low=7", ""),
        ("tag=nightly&score=size", "1"),
        (f"tag={quote(HOSTILE + OBEYED)}&score={quote(MARKUP)}", ""),
    ],
)
def test_jobs_are_filtered_by_tag_and_by_the_mean_of_a_score(
    jobs: tuple[Path, list[str]], query: str, found: str
) -> None:
    async def look(get: Get) -> None:
        text = (await get(f"{BASE}?{query}")).text
        shown = re.findall(r'<tr data-job="(\w+)"', text)
        assert sorted(str(jobs[1].index(job_id)) for job_id in shown) == list(found)
        assert "<script>alert" not in text
        assert "\x1b" not in text

    browse(jobs[0], then=look)


def test_a_tag_is_a_link_to_the_jobs_that_have_it(jobs: tuple[Path, list[str]]) -> None:
    async def look(get: Get) -> None:
        pages = (BASE, f"{BASE}/{jobs[1][1]}", f"{BASE}/{jobs[1][1]}/results")
        for page in pages:
            text = (await get(page)).text
            links = re.findall(r'<span class="tags">.*?<a href="([^"]+)">nightly</a>', text)
            assert set(links) == {f"{BASE}?tag=nightly"}, page

    browse(jobs[0], then=look)


def test_the_search_is_restricted_to_a_tag(jobs: tuple[Path, list[str]]) -> None:
    async def look(get: Get) -> None:
        for name, hits in (("v1%3D2", True), ("none", False), (quote(HOSTILE), False)):
            text = (await get(f"{BASE}/search?q=findme&tag={name}")).text
            assert ('<ol class="hits">\n<li>' in text.replace("\n\n", "\n")) == hits
            assert "<script>alert" not in text

    browse(jobs[0], then=look)


def test_tags_that_were_put_into_the_table_are_shown_as_texts(
    jobs: tuple[Path, list[str]], tmp_path: Path
) -> None:
    with closing(sqlite3.connect(jobs[0])) as source:
        source.execute("VACUUM INTO ?", (str(tmp_path / "runs.db"),))
    with closing(sqlite3.connect(tmp_path / "runs.db")) as connection:
        connection.execute("UPDATE tags SET name = ?", (MARKUP + OBEYED,))
        connection.commit()

    async def look(get: Get) -> None:
        for page in (BASE, f"{BASE}/{jobs[1][1]}", f"{BASE}/{jobs[1][1]}/results"):
            answer = await get(page)
            assert answer.status_code == 200
            assert "&lt;svg/onload=alert(1)&gt;" in answer.text, page
            assert "<svg/onload" not in answer.text
            assert "\x1b" not in answer.text

    browse(tmp_path / "runs.db", then=look)


def test_a_fork_is_found_by_the_scores_that_it_took_over(tmp_path: Path) -> None:
    database = tmp_path / "runs.db"
    spec = tmp_path / "s.yaml"
    spec.write_text("{project: p, steps: {a: {value: 1}, b: {needs: a, value: 2}}}\n")
    job = str(orc.run(spec, db=database).job_id)
    places = Places.find(database=database)
    trio.run(partial(score, job, "a", {"taste": 3}, why=None, places=places))
    fork = str(orc.fork(job, start="b", db=database).job_id)

    async def look(get: Get) -> None:
        for query, found in {
            "score=taste": [fork, job], "score=taste&low=2&high=4": [fork, job],
            "low=3": [fork, job], "score=taste&low=4": [], "score=other": [],
        }.items():  # fmt: skip
            text = (await get(f"{BASE}?{query}")).text
            assert re.findall(r'<tr data-job="(\w+)"', text) == found, query

    browse(database, then=look)
