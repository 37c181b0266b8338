"""The page that compares jobs: scores, cases, steps, texts, files."""

from __future__ import annotations

import asyncio
import html
import re
from functools import partial
from pathlib import Path

import pytest
import trio

import orc
from orc.cli.jobs.assess.record import score
from orc.cli.jobs.places import Places
from orc.ledger import OwnerLock
from tests.builders import JOB, step
from tests.projections.pages.scored_jobs import run_scored
from tests.projections.served import HOSTILE, Get, browse
from tests.projections.support import OTHER, begun, open_in, write

PAGE = "/-/orc/runs/compare"


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The ledger and the ids of its three jobs, of which the last two are equal."""
    folder = tmp_path_factory.mktemp("compare")
    return folder / "runs.db", run_scored(folder, shifts=(0, 1, 1))


def address(*jobs: str, more: str = "") -> str:
    return f"{PAGE}?{'&'.join(f'job={job}' for job in jobs)}{more}"


def cells(text: str, table: str) -> list[list[str]]:
    """The texts of the rows of a table."""
    found = text.partition(f'<table class="{table}">')[2].partition("</table>")[0]
    return [
        [
            " ".join(html.unescape(re.sub(r"<[^>]+>", "", cell)).split())
            for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)
        ]
        for row in re.findall(r"<tr.*?</tr>", found, re.DOTALL)
    ]


def test_two_jobs_are_compared(jobs: tuple[Path, list[str]]) -> None:
    first, second, _ = jobs[1]

    async def look(get: Get) -> None:
        text = (await get(address(first, second))).text
        side_by_side = {row[0]: row[1:] for row in cells(text, "compared")}
        assert side_by_side["size"] == [
            "5 2.5 to 7.5; 6 values; 2 failed",
            "6 3.5 to 8.5; 6 values; 2 failed",
        ]
        differences = cells(text, "differences")[1:]
        assert differences[0][0] == "exact"
        assert differences[0][4:] == ["1", "1", "6", "0"]
        assert differences[1][2:4] == ["+1 1 to 1", "yes"]
        cases = cells(text, "cases")[1:]
        assert [row[3] for row in cases] == ["-1", "+1", "0", "0", "0", "0"]
        assert cases[0][0] == "case: n: 1, q: one, model: small"
        assert "Steps: 8 differ" in text
        assert "<del>-shift 0</del>" in text
        assert "<ins>+shift 1</ins>" in text
        assert "Files: 1 differ" in text
        assert cells(text, "settings")[1] == ["inputs.shift", "0", "1"]
        assert HOSTILE not in text

    browse(jobs[0], then=look)


def test_a_step_that_was_left_running_is_interrupted(tmp_path: Path) -> None:
    with open_in(tmp_path) as ledger:
        ended = begun(step("a"), job_id=OTHER).start("a").succeed("a", "x")
        write(ledger, begun(step("a")).start("a"), ended)
    database = tmp_path / "runs.db"

    async def look(get: Get) -> None:
        steps = (await get(address(JOB, OTHER))).text.partition('id="steps"')[2]
        assert "interrupted" in steps
        assert "running" not in steps
        lock = OwnerLock(database, JOB)
        lock.acquire()
        steps = (await get(address(JOB, OTHER))).text.partition('id="steps"')[2]
        lock.release()
        assert "running" in steps

    browse(database, then=look)


def test_of_three_jobs_one_is_chosen_for_the_details(jobs: tuple[Path, list[str]]) -> None:
    first, second, third = jobs[1]

    async def look(get: Get) -> None:
        text = (await get(address(second, first, third, more=f"&with={third}&score=size"))).text
        assert [row[1] for row in cells(text, "differences")[1:]] == [first] * 3 + [third] * 3
        assert "Steps: 0 differ" in text
        assert "All files are equal." in text
        assert {row[3] for row in cells(text, "cases")[1:]} == {"0"}

    browse(jobs[0], then=look)


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("", 200, "Tick two jobs or more"),
        ("?job=latest", 200, "Tick two jobs or more"),
        ("?job=latest&job=latest", 200, "Tick two jobs or more"),
        ("?job=latest&job=nothing", 404, "nothing"),
        ("?job=latest&job=latest~1&cases=9&steps=9&score=x&with=x", 200, "Comparison of 2 jobs"),
    ],
)
def test_odd_questions_are_answered(
    jobs: tuple[Path, list[str]], query: str, status: int, said: str
) -> None:
    async def look(get: Get) -> None:
        answer = await get(f"{PAGE}{query}")
        assert (answer.status_code, said in answer.text) == (status, True)

    browse(jobs[0], then=look)


def test_jobs_are_ticked_in_their_list(jobs: tuple[Path, list[str]]) -> None:
    async def look(get: Get) -> None:
        text = (await get("/-/orc/runs")).text
        assert f'<form id="compare" class="tools" method="get" action="{PAGE}">' in text
        assert re.findall(r'name="job" value="([^"]+)" form="compare"', text) == jobs[1][::-1]

    browse(jobs[0], then=look)


def test_a_change_of_the_ledger_is_seen_although_comparisons_are_kept(tmp_path: Path) -> None:
    database, spec = tmp_path / "runs.db", tmp_path / "s.yaml"
    spec.write_text("{project: p, steps: {a: {value: 1, score: {s: '${{ 2 }}'}}}}")
    first, second = (str(orc.run(spec, db=database).job_id) for _ in range(2))
    places = Places.find(database=database)

    async def look(get: Get) -> None:
        async def names() -> list[str]:
            text = (await get(address(first, second))).text
            return [row[0] for row in cells(text, "compared") if row[0] in ("s", "taste (human)")]

        assert await names() == await names() == ["s"]
        given = partial(score, second, "a", {"taste": 3}, why=None, places=places)
        await asyncio.to_thread(trio.run, given)
        assert await names() == ["s", "taste (human)"]

    browse(database, then=look)


def test_cases_that_are_lost_in_the_second_job_are_counted(tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text("""
project: p
inputs: {bad: {type: list}}
steps:
  answer:
    for_each: [1, 2, 3]
    continue_on_error: true
    value: "${{ 1 / 0 if item in inputs.bad else item }}"
  judge:
    for_each: ${{ steps.answer.items | selectattr("status", "eq", "succeeded") | list }}
    as: given
    value: ${{ given.output }}
    score: {quality: {value: "${{ output }}", of: "${{ given.step }}"}}
""")
    jobs = [
        str(orc.run(spec, db=tmp_path / "runs.db", inputs={"bad": bad}).job_id)
        for bad in ([], [1, 2], [1, 2, 3])
    ]

    async def look(get: Get) -> None:
        text = (await get(address(*jobs))).text
        assert [row[6:] for row in cells(text, "differences")[1:]] == [
            ["1", "2 2 lost"],
            ["0", "3 3 lost"],
        ]
        assert cells(text, "compared")[-1][2] == "3; 1 value; 2 failed"

    browse(tmp_path / "runs.db", then=look)


def test_a_case_is_named_as_in_its_table_and_its_steps_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("question,answer\nSix times seven?,42\n")
    spec = tmp_path / "spec.yaml"
    spec.write_text("""
project: p
inputs: {rows: {type: table, default: rows.csv}}
steps:
  answer:
    for_each: ${{ inputs.rows }}
    as: case
    repeat: 5
    value: "42"
    score: {exact: "${{ output == case.answer }}"}
""")
    first, second = (str(orc.run(spec, db=tmp_path / "runs.db").job_id) for _ in range(2))

    async def look(get: Get) -> None:
        (case,) = cells((await get(address(first, second))).text, "cases")[1:]
        assert case[0] == "question: Six times seven?, answer: 42"
        steps = "answer[0], answer[1], answer[2] and 2 more"
        assert case[4] == f"before: {steps}; after: {steps}"

    browse(tmp_path / "runs.db", then=look)
