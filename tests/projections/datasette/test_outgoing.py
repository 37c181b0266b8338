"""No response of a server with a ledger has a character that controls a terminal or a browser."""

from __future__ import annotations

import asyncio
import gc
import html
import json
import re
import shutil
import sqlite3
from collections import Counter, deque
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

import pytest
from datasette.app import Datasette

from orc.projections.datasette.outgoing import made_safe, safe_html, safe_json, safe_text
from tests.builders import JOB
from tests.cli.command_line import orc, work_in
from tests.cli.hostile_ledger import HOSTILE_NAME, HOSTILE_TEXT, make_ledger_hostile
from tests.projections.served import OBEYED, hostile_story, poison_tables
from tests.projections.support import open_in, write

PAGES_MAX = 170
SAFE_TYPES = ("text/html", "text/plain", "text/csv", "application/json")
BEGIN = (
    "/",
    "/runs",
    "/runs.json",
    "/-/metadata",
    "/-/metadata.json",
    "/-/versions",
    "/-/settings",
    "/-/plugins",
    "/-/databases",
    "/-/threads",
    "/-/actor",
    "/-/config",
    "/-/messages",
    "/-/patterns",
    "/-/permissions",
    "/-/logout",
    "/-/allow-debug",
    "/-/orc/runs/search?q=owned",
    "/-/orc/runs/search?q=script&order=best",
    "/robots.txt",
)
ODD = quote(HOSTILE_NAME + OBEYED)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger whose events and specs are hostile, with the tables that orc derives from them."""
    with pytest.MonkeyPatch.context() as patches:
        folder = work_in(tmp_path_factory.mktemp("hostile"), patches)
        with open_in(folder) as ledger:
            write(ledger, hostile_story())
        assert make_ledger_hostile(folder / "runs.db", ["a", "b"]) > 10
        assert orc("rebuild").code == 0
    return folder / "runs.db"


@pytest.fixture(scope="module")
def poisoned(hostile: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same ledger, with hostile texts in every column of its tables."""
    database = tmp_path_factory.mktemp("poisoned") / "runs.db"
    shutil.copy(hostile, database)
    assert poison_tables(database) > 50
    return database


def addresses(page: str, base: str) -> set[str]:
    """The addresses on this server that a page links to."""
    found = {html.unescape(one) for one in re.findall(r'(?:href|src|action)="([^"]*)"', page)}
    joined = {urljoin(f"http://localhost{base}", one).partition("#")[0] for one in found}
    return {
        one.removeprefix("http://localhost")
        for one in joined
        if one.startswith("http://localhost/")
    }


def assert_safe(answer: Any) -> None:
    for name, value in answer.headers.raw:
        assert re.fullmatch(rb"[\x20-\x7e]*", value), (answer.url, name, value)
    media_type = answer.headers.get("content-type", "").partition(";")[0]
    if media_type not in SAFE_TYPES:
        assert media_type in (
            "text/css", "text/javascript", "application/javascript", "image/png",
            "application/octet-stream", "application/binary", "image/vnd.microsoft.icon",
            "image/x-icon",
        ), (answer.url, media_type)  # fmt: skip
        return
    text = answer.content.decode("utf-8")
    bad = {one for one in text.replace("\r\n", "\n") if not one.isprintable()} - {
        "\n",
        "\t",
        "\xa0",
    }
    assert bad == set(), (answer.url, [f"{ord(one):x}" for one in bad])
    if media_type == "text/html":
        assert "<script>alert" not in text, answer.url
        assert "<img src=x" not in text, answer.url
        assert not re.search(r"&#(x0*[01]?[0-9a-f];|x7f|0*[12]?\d;|127;)", text), answer.url


VARIANTS = (
    "",
    ".json?_shape=objects&_labels=on",
    ".json?_nl=on&_shape=array",
    ".csv?_stream=1&_labels=on",
    "?_facet=name",
    "?_facet_array=data",
    f"?name__contains={ODD}",
    f"?_sort={ODD}",
    f"?_next={ODD}",
    f"?{ODD}=1",
)
ODD_ADDRESSES = (
    f"/{ODD}",
    f"/{ODD}/",
    f"/%0d%0aX:y/{ODD}/",
    f"/runs/{ODD}",
    f"/runs/{ODD}/",
    f"/runs/jobs/{ODD}",
    f"/runs?sql={ODD}",
    f"/runs?sql=select+%27{ODD}%27",
    f"/runs?sql=select+1+as+%5B{ODD}%5D",
    f"/runs?sql=select+%5B{ODD}%5D",
    f"/runs.json?sql=select+%5B{ODD}%5D",
    f"/runs.csv?sql=select+%27{ODD}%27",
    f"/runs.csv?sql=select+%5B{ODD}%5D",
    f"/-/orc/{ODD}",
    f"/-/orc/runs/{ODD}",
    f"/-/orc/runs/{JOB}/step/{ODD}",
    f"/-/orc/runs/{JOB}/events",
    f"/-/orc/runs/{JOB}/file/{ODD}",
    f"/-/orc/runs/search?q={ODD}&job={ODD}&what={ODD}",
)


# Datasette forgets a coroutine when a facet cannot be made.
@pytest.mark.filterwarnings("ignore:coroutine 'TableView:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("which", ["poisoned", pytest.param("hostile", marks=pytest.mark.torture)])
def test_no_page_that_can_be_reached_has_a_character_that_controls(
    which: str, request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str]
) -> None:
    database: Path = request.getfixturevalue(which)
    done, shown = asyncio.run(asyncio.wait_for(_crawl(database), 120))
    assert done == PAGES_MAX
    assert shown > 30
    gc.collect()
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "ERROR: conn=" not in printed.err
    assert all(one.isprintable() for one in printed.err.replace("\n", ""))


async def _crawl(database: Path) -> tuple[int, int]:
    """Check every page; the numbers of pages, and of those that show an escape."""
    client = Datasette([str(database)]).client
    tables = ("steps", "llm_calls", "events", "blobs")
    waiting = deque((*BEGIN, *ODD_ADDRESSES))
    waiting.extend(f"/runs/{table}{variant}" for table in tables for variant in VARIANTS)
    seen, kinds = set(waiting), Counter[str]()
    done = shown = 0
    while waiting and done < PAGES_MAX:
        address = waiting.popleft()
        answer = await client.get(address)
        assert answer.status_code < 500 or answer.status_code == 503, address
        assert_safe(answer)
        done += 1
        shown += "\\x1b[2J" in answer.text or "\\x9b" in answer.text
        for found in sorted(addresses(answer.text, address) - seen):
            # A few of each kind, so that all kinds are seen.
            kind = re.sub(r"=[^&]*|job_\w+|~\w\w|[0-9a-f]{64}|\d+", "", found)
            kinds[kind] += 1
            if kinds[kind] <= 3:
                seen.add(found)
                waiting.append(found)
    assert any(re.search("/-/orc/runs/job_[^/]+/file/", one) for one in seen)
    return done, shown


def test_facets_show_escapes(poisoned: Path) -> None:
    async def look() -> None:
        client = Datasette([str(poisoned)]).client
        page = (await client.get("/runs/steps?_facet=status")).text
        facets = page[page.index('class="facet-results"') : page.index('class="rows-and-columns"')]
        assert "\\x1b[2J" in facets
        assert "\x1b" not in page
        value = (await client.get("/runs/steps.json?_facet=status")).json()
        results = value["facet_results"]["status"]["results"]
        assert any("\x1b[2J" in result["value"] for result in results), "programs get the value"

    asyncio.run(look())


def test_a_text_keeps_its_lines_and_a_json_value_is_the_same() -> None:
    assert safe_text("a\tb\r\nc\rd\ne\x1b\u202e") == "a\tb\r\nc\\x0dd\ne\\x1b\\u202e"
    assert safe_html("a\r\nb") == "a\nb"
    value = {"text": HOSTILE_TEXT + "\U000e0041é😀", HOSTILE_NAME: ["\x7f\u2028"]}
    for ascii_only in (True, False):
        text = json.dumps(value, ensure_ascii=ascii_only)
        assert json.loads(safe_json(text)) == value
        assert all(one.isprintable() for one in safe_json(text))


def test_pieces_of_a_response_are_escaped_as_the_whole() -> None:
    text = "é\r\n\u202e😀\r\x1b\r\n"
    for size in range(1, 6):
        pieces = [text.encode()[at : at + size] for at in range(0, len(text.encode()), size)]
        sent: list[dict[str, Any]] = []

        async def app(scope: Any, receive: Any, send: Any, pieces: list[bytes] = pieces) -> None:
            headers = [(b"content-type", b"text/csv"), (b"x", "é\r\ny".encode())]
            headers.append((b"Content-Length", b"9"))
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            for piece in pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body"})

        async def send(message: dict[str, Any], sent: list[dict[str, Any]] = sent) -> None:
            sent.append(message)

        scope = {"type": "http", "query_string": b""}
        asyncio.run(_run(made_safe(app, lambda: True), scope, send))
        assert sent[0]["headers"][1:] == [(b"x", b"%C3%A9%0D%0Ay")]
        assert b"".join(one["body"] for one in sent[1:]).decode() == safe_text(text)


async def _run(app: Any, scope: dict[str, Any], send: Any) -> None:
    await app(scope, None, send)


def test_a_server_without_a_ledger_is_not_changed(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "other.db")
    connection.execute("CREATE TABLE t (a)")
    connection.execute("INSERT INTO t VALUES (?)", ("\u202ex",))
    connection.commit()
    connection.close()

    async def look() -> None:
        client = Datasette([str(tmp_path / "other.db")]).client
        assert "\u202ex" in (await client.get("/other/t")).text
        headers = {"host": "any.example", "sec-fetch-site": "cross-site"}
        assert (await client.get("/other", headers=headers)).status_code == 200
        assert "Datasette" in (await client.get("/other/nothing")).text

    asyncio.run(look())
