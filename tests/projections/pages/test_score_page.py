"""A person's score on a page: only if it is allowed, from a form of that page, as by `orc score`."""

from __future__ import annotations

import asyncio
import html
import re
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from datasette.app import Datasette

from orc.cli.jobs.assess.browse_scores import scorer
from orc.cli.jobs.places import Places
from orc.ledger.reader import LedgerReader
from orc.projections.pages.decisions import DecisionRequest, allow_decisions
from orc.projections.pages.forms import BODY_BYTES_MAX
from tests.projections.pages.scored_jobs import run_scored
from tests.projections.served import HOSTILE, OBEYED, Get, browse

HOME = {"origin": "http://localhost", "host": "localhost"}
CONTROLS = {character for character in OBEYED if not character.isascii() or ord(character) < 32}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with a scored job."""
    folder = tmp_path_factory.mktemp("scored")
    run_scored(folder, shifts=(0,))
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    """A copy of that ledger."""
    with closing(sqlite3.connect(made / "runs.db")) as source:
        source.execute("VACUUM INTO ?", (str(tmp_path / "runs.db"),))
    (tmp_path / "runs.db").chmod(0o600)
    return tmp_path


class Visit:
    """A browser that keeps the cookie and sends the forms that it finds on pages."""

    def __init__(self, datasette: Datasette, job: str) -> None:
        self.client, self.job = datasette.client, job
        self.cookie = ""

    def address(self, page: str) -> str:
        return f"/-/orc/runs/{self.job}/{page}"

    async def see(self, address: str, **headers: str) -> Any:
        cookie = {"cookie": self.cookie} if self.cookie else {}
        page = await self.client.get(address, headers={**HOME, **cookie, **headers})
        token = page.cookies.get("ds_csrftoken")
        if token:
            self.cookie = f"ds_csrftoken={token}"
        return page

    async def send(
        self, page: Any, *, headers: dict[str, str] = HOME, number: int = 0, **typed: str
    ) -> Any:
        found = re.findall(r'<form class="score-form" action="([^"]+)".*?</form>', page.text, re.S)
        texts = re.findall(r'<form class="score-form".*?</form>', page.text, re.S)
        hidden = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', texts[number])
        fields = {name: html.unescape(value) for name, value in hidden}
        return await self.client.post(
            found[number], data={**fields, **typed}, headers={"cookie": self.cookie, **headers}
        )


def visit(place: Path, then: Callable[[Visit], Awaitable[None]]) -> None:
    """Visit the pages with scores allowed."""

    def decide(wanted: DecisionRequest) -> None:
        raise AssertionError(wanted)

    database = place / "runs.db"
    with LedgerReader.open(database) as reader:
        job = str(reader.find_job("latest"))

    async def go() -> None:
        datasette = Datasette([str(database)])
        allow_decisions(datasette, decide=decide, score=scorer(Places.find(database=database)))
        await then(Visit(datasette, job))

    asyncio.run(asyncio.wait_for(go(), 30))


def by_people(place: Path) -> list[tuple[Any, ...]]:
    with LedgerReader.open(place / "runs.db") as reader:
        return reader.connection.execute(
            "SELECT name, value, passed, why, step_id FROM scores WHERE who = 'human' "
            "ORDER BY version"
        ).fetchall()


def test_the_form_of_a_step_records_a_score_and_leads_back_to_it(place: Path) -> None:
    async def then(visitor: Visit) -> None:
        page = await visitor.see(visitor.address("step/answer~5B0~5D"))
        assert page.headers["cache-control"] == "private, no-store"
        done = await visitor.send(page, name="taste", value=" 7.5 ", why="<b>juicy</b> \r\n")
        assert done.status_code == 303, done.text
        assert done.headers["location"] == visitor.address("step/answer~5B0~5D#scores-title")
        assert (await visitor.send(page, name="good", value="Yes")).status_code == 303
        shown = (await visitor.see(visitor.address("step/answer~5B0~5D"))).text
        assert "<b>taste</b> 7.5 <small>by human" in shown
        assert "&lt;b&gt;juicy&lt;/b&gt;" in shown

    visit(place, then)
    job_step = by_people(place)[0][4]
    assert by_people(place) == [
        ("taste", 7.5, None, "<b>juicy</b>", job_step),
        ("good", 1.0, 1, None, job_step),
    ]
    assert job_step.endswith("/answer[0]")
    with LedgerReader.open(place / "runs.db") as reader:
        (event,) = reader.connection.execute(
            "SELECT data FROM events WHERE type = 'score.recorded' "
            "AND json_extract(data, '$.name') = 'taste'"
        ).fetchone()
        assert '"who":"human"' in event


def test_the_form_of_a_cell_leads_back_to_the_same_view(place: Path) -> None:
    async def then(visitor: Visit) -> None:
        address = visitor.address("results?score=size&low=1&open=answer[1]")
        page = await visitor.see(address)
        assert page.headers["cache-control"] == "private, no-store"
        forms = re.findall(r'aria-label="Your score of (answer\[\d\])"', page.text)
        at = forms.index("answer[1]")
        done = await visitor.send(page, number=at, name="taste", value="3")
        where, _, query = done.headers["location"].partition("?")
        assert (where, query.endswith("#opened")) == (visitor.address("results"), True)
        expected = {"score": "size", "low": "1", "open": "answer[1]"}
        assert dict(parse_qsl(query.removesuffix("#opened"))) == expected
        assert "<b>taste</b> 3" in (await visitor.see(address)).text

    visit(place, then)


def test_an_address_to_go_back_to_stays_on_the_page_of_results(place: Path) -> None:
    async def then(visitor: Visit) -> None:
        page = await visitor.see(visitor.address("step/report"))
        back = "https://evil.example/?score=a%0d%0aset-cookie: x&next=//evil.example&open=x"
        done = await visitor.send(page, name="taste", value="3", back=back)
        assert done.headers["location"].startswith(visitor.address("results?open=report"))

    visit(place, then)


@pytest.mark.parametrize(
    ("form", "status", "said"),
    [
        ({"value": "many"}, 400, "&#39;many&#39; is not a score: type a number, true or"),
        ({"value": "nan"}, 400, "is not a score"),
        ({"value": "1" * 5000}, 400, "is not a score"),
        ({"value": HOSTILE + OBEYED}, 400, "&lt;script&gt;"),
        ({"value": "1e300"}, 409, "taste: a score is at most 1e+15"),
        ({"name": HOSTILE + OBEYED}, 409, "is not a name for a score"),
        ({"name": ""}, 409, "is not a name for a score"),
        ({"step": "nothing"}, 409, "the job has no step &#39;nothing&#39;"),
        ({"step": "~3Cscript~3E"}, 409, "&lt;script&gt;"),
        ({"step": "answer"}, 303, ""),
        ({"step": "answer~5B7~5D"}, 409, "answer[7] has no result that could be scored"),
        ({"why": "x" * 10_001}, 413, "the explanation has more than 10,000 characters"),
        ({"why": "x" * BODY_BYTES_MAX}, 413, "the text is too long"),
    ],
)
def test_a_score_that_is_not_possible_is_refused_with_a_message(
    place: Path, form: dict[str, str], status: int, said: str
) -> None:
    async def then(visitor: Visit) -> None:
        page = await visitor.see(visitor.address("step/answer~5B0~5D"))
        typed: dict[str, Any] = {"name": "taste", "value": "8", "why": "keep <this>", **form}
        answer = await visitor.send(page, **typed)
        assert (answer.status_code, said in answer.text) == (status, True), answer.text
        assert "<script>alert" not in answer.text
        assert not set(answer.text) & CONTROLS
        if status in (400, 409):
            assert "keep &lt;this&gt;</textarea>" in answer.text

    visit(place, then)
    assert len(by_people(place)) == (status == 303)


@pytest.mark.parametrize(
    "headers",
    [
        {**HOME, "origin": "http://evil.example"},
        {**HOME, "origin": "null"},
        {"host": "localhost"},
        {**HOME, "sec-fetch-site": "cross-site"},
        {**HOME, "sec-fetch-site": "same-site"},
        {**HOME, "cookie": ""},
        {**HOME, "cookie": "ds_csrftoken=x"},
        {**HOME, "authorization": "Bearer x", "cookie": ""},
    ],
)
def test_a_form_of_another_origin_is_refused(place: Path, headers: dict[str, str]) -> None:
    async def then(visitor: Visit) -> None:
        page = await visitor.see(visitor.address("step/answer~5B0~5D"))
        answer = await visitor.send(page, headers=headers, name="taste", value="8")
        assert answer.status_code == 403

    visit(place, then)
    assert by_people(place) == []


def test_a_page_with_the_token_of_another_cookie_is_not_taken_from_the_cache(place: Path) -> None:
    async def then(visitor: Visit) -> None:
        address = visitor.address("step/answer~5B0~5D")
        await visitor.see(address)
        etag = (await visitor.see(address)).headers["etag"]
        assert (await visitor.see(address, **{"if-none-match": etag})).status_code == 304
        visitor.cookie = "ds_csrftoken=of-an-earlier-server"
        page = await visitor.see(address, **{"if-none-match": etag})
        assert page.status_code == 200
        assert (await visitor.send(page, name="taste", value="8")).status_code == 303

    visit(place, then)


def test_without_permission_the_pages_have_the_command(place: Path) -> None:
    async def look(get: Get) -> None:
        for page in ("step/answer~5B0~5D", "results?open=answer[0]"):
            text = html.unescape((await get(f"/-/orc/runs/latest/{page}")).text)
            assert "score-form" not in text
            assert "answer[0]' NAME=VALUE --why TEXT" in text
        assert (await get("/-/orc/runs/score/latest")).status_code == 404
        failed = (await get("/-/orc/runs/latest/step/answer~5B7~5D")).text
        assert "NAME=VALUE" not in failed

    browse(place / "runs.db", then=look)
