"""The search page: hostile text stays text, and the page only reads the ledger."""

from __future__ import annotations

import asyncio
import html
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from datasette.app import Datasette

from orc.projections.search.file import index_path
from tests.builders import JOB, step
from tests.projections.support import begun, open_in, write

PAGE = "/-/orc/runs/search"
HOSTILE = "<img src=x onerror=alert(1)> \x02fox\x03 </mark><script>alert(2)</script> fox \x1b[2J"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger of a job whose texts are markup and control characters, and another database."""
    folder = tmp_path_factory.mktemp("search")
    steps = [step(f"s{number}") for number in range(30)]
    story = begun(step("a"), *steps)
    story.start("a").fail("a", message=HOSTILE)
    for found in steps:
        story.start(found.id).succeed(found.id, "a heron")
    with open_in(folder) as ledger:
        write(ledger, story)
    sqlite3.connect(folder / "other.db").close()
    return folder / "runs.db"


def answers(database: Path, *paths: str, method: str = "GET") -> list[Any]:
    """What Datasette answers for these paths, in order."""

    async def ask() -> list[Any]:
        files = [str(database), str(database.with_name("other.db"))]
        client = Datasette(files).client
        return [await client.request(method, path) for path in paths]

    return asyncio.run(asyncio.wait_for(ask(), 30))


def test_hits_are_shown_with_their_place_and_marked(database: Path) -> None:
    (page,) = answers(database, f"{PAGE}?q=heron&job={JOB[4:]}&what=output")
    assert page.status_code == 200
    assert page.text.count("<mark>heron</mark>") == 25
    assert "30 results, page 1 of 2" in page.text
    assert f'href="/-/orc/runs/{JOB}"' in page.text
    assert f'href="/-/orc/runs/{JOB}/step/s29"' in page.text
    (after,) = re.findall(r'href="([^"]*)" rel="next"', page.text)
    (second,) = answers(database, html.unescape(after))
    assert second.text.count("<mark>heron</mark>") == 5
    assert 'rel="prev"' in second.text
    assert 'value="output" selected' in second.text


def test_a_hostile_text_stays_text(database: Path) -> None:
    (page,) = answers(database, f"{PAGE}?q=fox")
    assert page.text.count("<mark>") == page.text.count("</mark>") == 2
    assert "&lt;script&gt;alert(2)&lt;/script&gt;" in page.text
    assert "<script>alert" not in page.text
    assert "<img" not in page.text
    assert not {"\x02", "\x03", "\x1b"} & set(page.text)


@pytest.mark.parametrize(
    "typed", ['"><script>alert(3)</script>', "'--", '"unclosed', "%00", "a" * 9000]
)
def test_a_hostile_query_stays_text(typed: str, database: Path) -> None:
    paths = [f"{PAGE}?{name}={typed}" for name in ("q", "job", "what", "page", "order")]
    for page in answers(database, *paths):
        assert page.status_code in (200, 404)
        assert "<script>alert(3)" not in page.text


def test_a_page_without_words_is_a_form_and_an_unknown_job_is_an_error(database: Path) -> None:
    empty, only_not, no_job = answers(
        database, PAGE, f"{PAGE}?q=-fox", f"{PAGE}?q=fox&job=job_nowhere"
    )
    assert 'name="q"' in empty.text
    assert "result" not in empty.text
    assert "name a word to look for" in only_not.text
    assert no_job.status_code == 404
    assert "job_nowhere" in no_job.text


def test_with_an_incomplete_index_the_page_says_so_and_reloads(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index_path(database).unlink(missing_ok=True)
    monkeypatch.setattr("orc.projections.search.search.search.__kwdefaults__", {"index_s": 0})
    (page,) = answers(database, f"{PAGE}?q=heron")
    assert 'http-equiv="refresh"' in page.text
    assert "The index covers" in page.text
    monkeypatch.undo()
    (page,) = answers(database, f"{PAGE}?q=heron")
    assert 'http-equiv="refresh"' not in page.text


def test_the_field_of_the_search_has_the_words_as_they_were_typed(database: Path) -> None:
    (page,) = answers(database, f"{PAGE}?q=%F0%9F%91%A9%E2%80%8D%F0%9F%91%A7")
    assert page.text.count('value="\U0001f469&#8205;\U0001f467"') == 2


def test_only_get_requests_for_ledgers_are_answered(database: Path) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        (answer,) = answers(database, PAGE, method=method)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    other, nowhere, menu, home = answers(
        database, "/-/orc/other/search", "/-/orc/nothing/search", "/other", "/-/orc/runs/decide/x"
    )
    assert (other.status_code, nowhere.status_code) == (404, 404)
    assert f'href="{PAGE}"' in menu.text
    assert home.status_code == 404, "decisions are not allowed here"
