"""`datasette runs.db` without options: readable, linked, safe, and up to date while a job runs."""

from __future__ import annotations

import asyncio
import copy
import html
import json
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from datasette.utils import tilde_encode
from markupsafe import escape

from orc.about import DISTRIBUTION
from orc.ledger import JobId, OwnerLock
from orc.ledger.removal import blobs_of_job, remove_blobs
from orc.projections.datasette.queries import QUERIES
from orc.projections.datasette.tables import SHOWN, ledger_metadata
from orc.projections.tables.columns import table_of
from orc.projections.tables.rows import ROWS
from orc.projections.tables.schema import TABLES as READ_MODEL
from tests.builders import JOB, step
from tests.processes import (
    end_process,
    has_event,
    orc_environment,
    start_orc,
    start_python,
    wait_until,
)
from tests.projections.served import (
    HOSTILE,
    OBEYED,
    Get,
    browse,
    hostile_story,
    poison_tables,
)
from tests.projections.support import OTHER, begun, open_in, write


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A ledger with a job that failed and one that has not ended."""
    running = begun(step("a"), job_id=OTHER).start("a")
    with open_in(tmp_path) as ledger:
        write(ledger, hostile_story(), running)
    return tmp_path / "runs.db"


def test_every_page_answers_and_escapes_hostile_texts(database: Path) -> None:
    async def look(get: Get) -> None:
        pages = ["/", "/runs", *(f"/runs/{name}" for name in (*SHOWN, *QUERIES))]
        for table in ("steps", "attempts", "llm_calls", "files", "blobs", "events"):
            rows = (await get(f"/runs/{table}.json?_shape=array")).json()
            key = next(iter(rows[0]))
            pages += [f"/runs/{table}/{_tilde(str(row[key]))}" for row in rows]
        pages += [f"/runs/jobs/{JOB}", f"/runs/events_of_a_job?job_id={JOB}"]
        pages += [f"/runs/prompts_and_replies?job_id={JOB}"]
        shown = 0
        for page in pages:
            answer = await get(page)
            assert answer.status_code == 200, page
            assert "<script>alert" not in answer.text, page
            assert "<img src=x" not in answer.text, page
            assert "message-error" not in answer.text, page
            shown += "&lt;img src=x" in answer.text
        assert shown > 8

    browse(database, then=look)


def test_every_column_of_every_table_is_escaped(database: Path) -> None:
    assert poison_tables(database) > 100

    async def look(get: Get) -> None:
        pages = [f"/runs/{name}" for name in (*SHOWN, *QUERIES)]
        for table in READ_MODEL:
            rows = (await get(f"/runs/{table}.json?_shape=array")).json()
            for row in rows[:1]:
                assert OBEYED in "".join(map(str, row.values())), "as it is, for programs"
                pages.append(f"/runs/{table}/{_tilde(str(next(iter(row.values()))))}")
        pages += [f"/runs/{query}?job_id={JOB}" for query in QUERIES]
        shown = 0
        for page in pages:
            answer = await get(page)
            assert answer.status_code == 200, page
            for raw in (
                "<script>alert",
                "<img src=x",
                "<svg/onload",
                "</textarea></title>",
                "{{49",
            ):
                assert raw not in answer.text, (page, raw)
            assert not re.search(r"""<[a-z][^>]*(href|src)=["']?\s*javascript:""", answer.text), (
                page
            )
            cells = "".join(re.findall(r'<td class="col-.*?</td>', answer.text, re.DOTALL))
            found = re.search(r'<td class="[^"]*">[^\x1b\x07\u202e]{0,300}[\x1b\x07\u202e]', cells)
            assert found is None, (page, found)
            assert not {one for one in OBEYED if not one.isprintable()} & set(cells), page
            shown += "\\x1b[2J" in cells
        assert shown > len(READ_MODEL)

    browse(database, then=look)


def test_the_tables_have_titles_orders_facets_and_labels(database: Path) -> None:
    async def look(get: Get) -> None:
        metadata = (await get("/-/metadata.json")).json()
        tables = metadata["databases"]["runs"]["tables"]
        assert tables["jobs"]["sort_desc"] == "position"
        assert tables["orc_meta"]["hidden"]
        assert tables["sqlite_sequence"]["hidden"]
        for table in READ_MODEL:
            assert tables[table]["label_column"] == "name"
            assert tables[table]["facets"]
        for table in ("events", "blobs", "signals"):
            assert tables[table]["description"]
            assert not tables[table].get("hidden")
        page = (await get("/runs/steps")).text
        assert "One row for each node of a job" in page
        facets = re.findall(r'data-column="(\w+)"', page)
        assert {"status", "kind", "model"} <= set(facets)
        assert "Suggested facets" not in page
        home = (await get("/runs")).text
        assert ">orc_meta<" not in home
        for query in QUERIES.values():
            assert html.escape(str(query["title"])) in home

    browse(database, then=look)


def test_what_datasette_changes_in_the_metadata_is_not_in_the_next_one() -> None:
    first = ledger_metadata()
    before = copy.deepcopy(first)
    first["tables"]["jobs"]["columns"].clear()
    first["tables"]["jobs"]["facets"].clear()
    first["tables"].pop("steps")
    assert ledger_metadata() == before


def test_described_columns_exist(database: Path) -> None:
    async def look(get: Get) -> None:
        for table, shown in ledger_metadata()["tables"].items():
            if shown.get("hidden"):
                continue
            columns = (await get(f"/runs/{table}.json")).json()["columns"]
            facets = shown.get("facets", ())
            named = [*shown.get("columns", {})]
            named += [facet["date"] if isinstance(facet, dict) else facet for facet in facets]
            named += [shown[key] for key in ("sort_desc", "label_column") if key in shown]
            assert set(named) <= set(columns), table
            assert set(columns) - {"rowid"} == set(shown["columns"]), table

    browse(database, then=look)


def test_datasettes_description_of_a_column_is_its_declaration(database: Path) -> None:
    described = ledger_metadata()["tables"]
    for row_type in ROWS:
        table = table_of(row_type)
        shown = described[table.name]
        assert shown["title"] == table.title
        for column in table.columns:
            assert shown["columns"][column.name] == column.description.replace("`", "'")
    delay = "The wait between this attempt and the next one. In seconds."
    assert described["attempts"]["columns"]["retry_delay_s"] == delay

    async def look(get: Get) -> None:
        assert html.escape(delay) in (await get("/runs/attempts")).text

    browse(database, then=look)


def test_a_removed_blob_links_to_the_event_that_removed_it(database: Path) -> None:
    with open_in(database.parent) as ledger:
        blobs = blobs_of_job(ledger.connection, JOB)
        remove_blobs(ledger, {JOB: blobs}, cause="redact", at="2026-01-02T03:04:05.000006Z")
        (position,) = ledger.connection.execute("SELECT max(position) FROM events").fetchone()

    async def look(get: Get) -> None:
        for page in (f"/runs/blobs/{min(blobs)}", "/runs/blobs"):
            text = (await get(page)).text
            assert f'href="/runs/events/{position}"' in text
            assert "removed by this event" in text
        assert (await get(f"/runs/prompts_and_replies?job_id={JOB}")).status_code == 200

    browse(database, then=look)


def test_rows_are_linked_with_each_other(database: Path) -> None:
    async def look(get: Get) -> None:
        steps = (await get(f"/runs/steps?job_id={JOB}")).text
        first = f"/runs/steps/{JOB}~2Fa"
        assert f'href="{first}"' in steps
        assert f'href="/runs/jobs/{JOB}"' in steps
        counted = f"/runs/attempts?step_id__exact={JOB}%2Fa"
        assert f'href="{counted}"' in steps
        files = (await get("/runs/files")).text
        (blob,) = set(re.findall(r'href="(/runs/blobs/\w{64})"', files))
        assert re.search(rf'href="{blob}" title="\w{{64}}">\w{{10}}…</a>', files)
        assert str(escape(HOSTILE)) in (await get(blob)).text
        job = (await get(f"/runs/jobs/{JOB}")).text
        (link,) = re.findall(r'href="([^"]+)">2</a>', job)
        listed = (await get(html.unescape(link))).text
        assert listed.index(f"{JOB}/a<") < listed.index(f"{JOB}/b<")
        for address in re.findall(r'href="(/runs/[^"#]+)"', steps + files + job):
            assert (await get(html.unescape(address))).status_code == 200, address

    browse(database, then=look)


def test_a_job_without_a_live_owner_is_shown_as_interrupted(database: Path) -> None:
    async def status(get: Get) -> str:
        page = (await get(f"/runs/jobs/{OTHER}")).text
        found = re.search(r'<td class="col-status[^>]*>(?:<span[^>]*>)?(\w+)', page)
        assert found is not None
        return found[1]

    async def look(get: Get) -> None:
        assert await status(get) == "interrupted"
        # A lock through another open file acts like that of another process.
        lock = OwnerLock(database, OTHER)
        lock.acquire()
        assert await status(get) == "running"
        lock.release()
        assert await status(get) == "interrupted"
        assert "failed</td>" in (await get(f"/runs/jobs/{JOB}")).text
        assert (await get("/runs/jobs.json?_shape=array&status=running")).json()

    browse(database, then=look)


def test_a_job_id_that_is_a_path_names_no_lock(tmp_path: Path) -> None:
    with open_in(tmp_path) as ledger:
        write(ledger, begun(step("a"), job_id=JobId("../taken")))
    # If that lock were free, the job would be shown as interrupted.
    (tmp_path / "taken").touch()

    async def look(get: Get) -> None:
        assert ">running</td>" in (await get("/runs/jobs")).text

    browse(tmp_path / "runs.db", then=look)


def test_queries_give_readable_rows(database: Path) -> None:
    async def rows(get: Get, query: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await get(f"/runs/{query}")).json()
        return found

    async def look(get: Get) -> None:
        mine = f"job_id={JOB}&_shape=array"
        events = await rows(get, f"events_of_a_job.json?{mine}")
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        assert events[-1]["type"] == "job.failed"
        spoken = await rows(get, f"prompts_and_replies.json?{mine}&step=")
        long = HOSTILE + "\n" + "long " * 300
        assert [(row["what"], row["text"]) for row in spoken] == [
            ("prompt", f"[user]\n{long}"),
            ("reply", long),
        ]
        assert await rows(get, f"prompts_and_replies.json?{mine}&step=b") == []
        (failure,) = await rows(get, "failures.json?_shape=array")
        assert (failure["step_id"], failure["failure"]) == (f"{JOB}/b", HOSTILE)
        (cost,) = await rows(get, "cost_and_tokens_by_model.json?_shape=array")
        assert (cost["provider"], cost["model"], cost["calls"]) == ("ollama", "m", 1)
        slow = await rows(get, "slowest_steps.json?_shape=array")
        assert {row["step_id"] for row in slow} == {f"{JOB}/a", f"{JOB}/b"}
        latest = await rows(get, "events_of_a_job.json?_shape=array&job_id=")
        assert latest

    browse(database, then=look)


def test_long_text_is_short_in_tables_and_whole_on_its_own_page(tmp_path: Path) -> None:
    text = "word " * 3000 + "the end"
    told = begun(step("a")).start("a").succeed("a", text)
    with open_in(tmp_path) as ledger:
        write(ledger, told)

    async def look(get: Get) -> None:
        table = await get("/runs/blobs")
        assert "the end" not in table.text
        assert "…" in table.text
        (address,) = re.findall(r'href="(/runs/blobs/\w{64})"', table.text)
        assert "the end" in (await get(address)).text

    browse(tmp_path / "runs.db", then=look)


def test_other_databases_are_shown_as_before(database: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE jobs (job_id TEXT PRIMARY KEY, status TEXT, at TEXT)")
    connection.execute("INSERT INTO jobs VALUES ('job_aaaaaaaaaaaa', 'running', '2026')")
    connection.commit()
    connection.close()

    async def look(get: Get) -> None:
        metadata = (await get("/-/metadata.json")).json()
        assert set(metadata["databases"]) == {"runs"}
        assert "title" not in metadata
        page = (await get("/other/jobs")).text
        assert "interrupted" not in page
        assert ">running</td>" in page
        assert "data:text/css" not in page
        assert "orc-nav" not in page
        assert 'id="queries"' not in (await get("/other")).text
        assert "interrupted" in (await get(f"/runs/jobs/{OTHER}")).text

    browse(database, other, then=look)


def test_the_tables_have_our_navigation_in_light_and_dark(database: Path) -> None:
    async def look(get: Get) -> None:
        for address in ("/runs", "/runs/steps", "/runs?sql=select+1", f"/runs/jobs/{OTHER}"):
            page = (await get(address)).text
            assert '<a href="/-/orc/runs">Jobs</a>' in page, address
            assert '<a href="/-/orc/runs/search">Search</a>' in page
            assert "Start a spec" not in page
            assert quote("prefers-color-scheme: dark") in page

    browse(database, then=look)


def test_there_is_no_way_to_write(database: Path) -> None:
    async def look(get: Get) -> None:
        answer = await get("/runs.json?sql=delete+from+jobs")
        assert answer.status_code == 400
        metadata = (await get("/-/metadata.json")).json()
        assert '"write": true' not in json.dumps(metadata)
        assert not any(query.get("write") for query in QUERIES.values())

    browse(database, then=look)


def test_rows_grow_while_a_job_runs(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(
        "project: slow\nsteps:\n"
        "  one: {run: 'echo one'}\n"
        "  two: {needs: one, run: 'while [ ! -e $ORC_SPEC_DIR/go ]; do sleep 0.05; done; echo two'}\n"
        "  three: {needs: two, run: 'echo three'}\n"
    )
    database = tmp_path / "runs.db"
    running = start_orc("run", "spec.yaml", "--quiet", cwd=tmp_path)

    async def look(get: Get) -> None:
        async def steps() -> dict[str, str]:
            rows = (await get("/runs/steps.json?_shape=array")).json()
            return {row["name"]: row["status"] for row in rows}

        assert await steps() == {"one": "succeeded", "two": "running", "three": "pending"}
        (job,) = (await get("/runs/jobs.json?_shape=array")).json()
        page = (await get("/runs/jobs")).text
        assert f'href="/runs/jobs/{job["job_id"]}"' in page
        assert ">running</td>" in page
        before = len((await get("/runs/events_of_a_job.json?_shape=array&job_id=")).json())
        (tmp_path / "go").touch()
        await asyncio.to_thread(running.wait, 30)
        assert await steps() == dict.fromkeys(("one", "two", "three"), "succeeded")
        after = len((await get("/runs/events_of_a_job.json?_shape=array&job_id=")).json())
        assert after == before + 4
        assert ">succeeded</td>" in (await get("/runs/jobs")).text

    try:
        wait_until(lambda: has_event(database, "step.started", step="two"))
        browse(database, then=look)
    finally:
        end_process(running)


@pytest.fixture
def served(database: Path) -> Iterator[str]:
    """The address of `datasette runs.db` as a process on a free port of the loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "datasette", "runs.db", "-h", "127.0.0.1", "-p", str(port)],
        cwd=database.parent,
        env=orc_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: process.poll() is not None or _answers(address), within_s=40)
        yield address
        process.send_signal(signal.SIGINT)
        process.wait(20)
    finally:
        end_process(process)


def test_datasette_alone_serves_the_ledger(served: str) -> None:
    assert "runs" in _fetch(served)
    plugins = json.loads(_fetch(f"{served}/-/plugins.json"))
    (plugin,) = (found for found in plugins if found["name"] == DISTRIBUTION)
    assert {"get_metadata", "canned_queries", "render_cell"} <= set(plugin["hooks"])
    page = _fetch(f"{served}/runs/jobs/{OTHER}")
    assert "interrupted" in page
    assert HOSTILE not in _fetch(f"{served}/runs/jobs/{JOB}")


def test_the_plugin_imports_no_slow_module() -> None:
    code = (
        "import datasette.app, sys; before = set(sys.modules)\n"
        "import orc.projections.datasette.plugin\n"
        "print(sorted({'pydantic', 'trio', 'yaml', 'sqlite_utils'} & (set(sys.modules) - before)))"
    )
    process = start_python(code)
    try:
        out, problems = process.communicate(timeout=30)
    finally:
        end_process(process)
    assert out.strip() == "[]", problems


def _answers(address: str) -> bool:
    try:
        return bool(_fetch(address))
    except (urllib.error.URLError, ConnectionError):
        return False


def _fetch(address: str) -> str:
    with urllib.request.urlopen(address, timeout=10) as answer:
        return str(answer.read().decode())


def _tilde(key: str) -> str:
    return str(tilde_encode(key))


def test_a_cost_is_in_dollars_or_unknown(tmp_path: Path) -> None:
    told = begun(step("a", prompt="?"), step("b", prompt="?")).start("a", "b")
    told.call("a", number=1, ends="replied").call("b", number=2, ends="replied")
    told.call("a", number=3, ends="open")
    with open_in(tmp_path) as ledger:
        write(ledger, told)

    async def look(get: Get) -> None:
        def cells(page: Any, column: str) -> list[str]:
            found = re.findall(rf'<td class="col-{column}[^>]*>(.*?)</td>', page.text, re.DOTALL)
            return [re.sub(r"<[^>]*>|&nbsp;", "", cell).strip() for cell in found]

        assert cells(await get("/runs/jobs"), "cost_usd") == ["unknown"]
        assert sorted(cells(await get("/runs/steps"), "cost_usd")) == ["free", "unknown"]
        calls = cells(await get("/runs/llm_calls"), "cost_usd")
        assert sorted(calls) == ["", "free", "unknown"]
        by_model = await get("/runs/cost_and_tokens_by_model")
        assert sorted(cells(by_model, "cost_usd")) == ["free", "unknown"]
        by_project = await get("/runs/cost_by_project_and_model")
        assert sorted(cells(by_project, "cost_usd")) == ["free", "unknown"]
        rows = (await get("/runs/cost_by_project_and_model.json?_shape=array")).json()
        assert {(row["project"], row["provider"], row["calls_unpriced"]) for row in rows} == {
            ("demo", "ollama", 0),
            ("demo", "fake", 1),
        }

    browse(tmp_path / "runs.db", then=look)
