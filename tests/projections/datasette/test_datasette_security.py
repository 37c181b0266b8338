"""The headers of Datasette's own pages, which allow only Datasette's scripts."""

from __future__ import annotations

import asyncio
import hashlib
import re
import sqlite3
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from datasette.app import Datasette

from orc.projections.datasette.security import script_sources
from tests.builders import JOB, step
from tests.projections.support import begun, open_in, write


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with a job."""
    folder = tmp_path_factory.mktemp("headers")
    with open_in(folder) as ledger:
        write(ledger, begun(step("a")).start("a").succeed("a", "said"))
    return folder / "runs.db"


def answers(database: Path, *paths: str) -> list[Any]:
    """What Datasette answers for these paths, in order."""

    async def ask() -> list[Any]:
        client = Datasette([str(database)]).client
        return [await client.get(path) for path in paths]

    return asyncio.run(asyncio.wait_for(ask(), 30))


def policy_of(answer: Any) -> dict[str, list[str]]:
    """The directives of an answer's policy."""
    parts = answer.headers["content-security-policy"].split("; ")
    return {name: sources for name, *sources in (part.split() for part in parts)}


PAGES = (
    "/runs",
    "/runs/jobs",
    "/runs/steps?_facet=kind",
    f"/runs/jobs/{JOB}",
    "/runs/slowest_steps",
    "/runs?sql=select+1",
    "/-/metadata",
)
ERRORS = ("/runs?sql=no+sql", "/runs/nothing", "/runs/x/y/z", "/nope")


def test_every_script_of_a_page_is_allowed_by_its_hash_and_nothing_else_is(database: Path) -> None:
    for answer in answers(database, *PAGES):
        allowed = policy_of(answer)["script-src"]
        assert "'unsafe-inline'" not in allowed
        assert "'unsafe-eval'" not in allowed
        assert not any(":" in source for source in allowed)
        scripts = re.findall(r"<script(?![^>]*src=)[^>]*>(.*?)</script>", answer.text, re.DOTALL)
        assert scripts
        for script in scripts:
            digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in allowed, (answer.url, script)
        assert not re.search(r"<[a-z][^>]*\son[a-z]+=", answer.text), answer.url


def test_pages_data_files_and_errors_all_have_the_headers(database: Path) -> None:
    paths = (*PAGES, *ERRORS, "/runs/jobs.json", "/runs/jobs.csv", "/-/static/app.css")
    for answer in answers(database, *paths):
        found = policy_of(answer)
        assert found["default-src"] == ["'none'"], answer.url
        for directive in ("base-uri", "frame-ancestors"):
            assert found[directive] == ["'none'"]
        assert found.get("object-src", ["'none'"]) == ["'none'"]
        for directive in ("form-action", "connect-src"):
            assert found.get(directive, ["'none'"]) in (["'self'"], ["'none'"])
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] in ("same-origin", "no-referrer")


def test_an_unknown_address_is_answered_with_404_and_not_printed(
    database: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for answer in answers(database, "/runs/nothing", "/runs/x/y/z", "/nope", "/runs/jobs/nothing"):
        assert answer.status_code == 404
        assert "<h1>Not found</h1>" in answer.text
        assert '<a href="/">Start page</a>' in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    (answer,) = answers(database, "/runs/nothing.json")
    assert answer.json()["error"] == "The ledger has no table or query `nothing`."
    said = capfd.readouterr()
    assert said.out + said.err == ""


@pytest.mark.parametrize(
    ("address", "said", "near"),
    [
        ("/nope", "The server has no database <code>nope</code>", None),
        ("/runs/job", "no table or query <code>job</code>", "/runs/jobs"),
        ("/runs/event_of_a_job", "no table or query", "/runs/events_of_a_job"),
        ("/runs/jobs/~3Cb~3E", "<code>jobs</code> has no row <code>&lt;b&gt;</code>", "/runs/jobs"),
        ("/runs/x/y/z", "There is no page at this address.", None),
        ("/-/nothing", "There is no page at this address.", None),
    ],
)
def test_a_page_for_nothing_says_what_is_missing_and_what_there_is(
    database: Path, address: str, said: str, near: str | None
) -> None:
    (answer,) = answers(database, address)
    assert answer.status_code == 404
    assert said in answer.text
    assert '<a href="/-/orc/runs">All jobs</a>' in answer.text
    if near is not None:
        assert f'<li><a href="{near}">' in answer.text


def test_a_mistake_in_an_address_is_on_the_page_and_not_in_the_terminal(
    database: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    addresses = (
        "/runs?sql=select+nothing",
        "/runs/jobs?_where=nothing",
        "/runs/jobs?_sort=nothing",
    )
    for answer in answers(database, *addresses):
        assert answer.status_code == 400
        assert "nothing" in answer.text
    said = capfd.readouterr()
    assert said.out + said.err == ""
    # What Datasette prints for other databases is left as it is.
    sqlite3.connect(tmp_path / "other.db").close()
    answers(tmp_path / "other.db", "/other?sql=select+nothing")
    assert "ERROR: conn=" in capfd.readouterr().err


def test_a_datasette_without_a_ledger_has_no_added_headers(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "other.db").close()
    (answer,) = answers(tmp_path / "other.db", "/")
    assert "content-security-policy" not in answer.headers


def test_a_script_that_a_page_fills_in_has_no_hash() -> None:
    written = "<script>one()</script><script src='x.js'></script><script>say({{ word }})</script>"
    assert len(script_sources([written])) == 1
    assert len(script_sources(["<script>F = {{ datasette_allow_facet }};</script>"])) == 2
