"""Which requests a Datasette with a ledger answers: no other hosts, no other sites, a few at a time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from datasette.app import Datasette

from orc.projections.datasette.incoming import AT_ONCE, WAITING_MAX, checked
from tests.builders import step
from tests.projections.support import begun, open_in, write

PATHS = ("/", "/runs", "/runs.json?sql=select+1", "/runs/jobs.csv", "/-/static/app.css", "/nothing")
OPENED = {
    "sec-fetch-site": "cross-site",
    "sec-fetch-mode": "navigate",
    "sec-fetch-dest": "document",
    "accept": "text/html",
}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with a job."""
    folder = tmp_path_factory.mktemp("incoming")
    with open_in(folder) as ledger:
        write(ledger, begun(step("a")))
    return folder / "runs.db"


def statuses(
    database: Path, *asked: dict[str, str], path: str = "/runs", **options: Any
) -> list[int]:
    """The status for each mapping of headers."""

    async def go() -> list[int]:
        client = Datasette([str(database)], **options).client
        return [(await client.get(path, headers=headers)).status_code for headers in asked]

    return asyncio.run(asyncio.wait_for(go(), 60))


@pytest.mark.parametrize("path", PATHS)
def test_a_name_of_another_site_is_refused_and_an_address_is_not(database: Path, path: str) -> None:
    names = (
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "0x7f.1",
        "",
        "a b",
    )
    refused = [{"host": f"{name}:8001"} for name in names]
    assert statuses(database, *refused, path=path) == [421] * len(names)
    own = (
        "localhost:8001",
        "127.0.0.1:9",
        "[::1]:8001",
        "192.168.1.7:8001",
        "[fe80::1]",
        "LOCALHOST",
    )
    assert 421 not in statuses(database, *({"host": name} for name in own), path=path)


def test_a_host_name_can_be_allowed(database: Path) -> None:
    metadata = {"plugins": {"orc": {"allowed_hosts": ["Runs.example"]}}}
    asked = (
        {"host": "runs.example"},
        {"host": "runs.example:8443", "origin": "https://runs.example:8443"},
        {"host": "localhost", "origin": "https://runs.example"},
        {"host": "evil.example"},
        {"host": "runs.example", "x-forwarded-host": "evil.example"},
        {"host": "runs.example", "origin": "https://evil.example"},
    )
    assert statuses(database, *asked, metadata=metadata) == [200, 200, 200, 421, 200, 403]
    every = {"plugins": {"orc": {"allowed_hosts": ["*"]}}}
    assert statuses(database, {"host": "any.example"}, metadata=every) == [200]
    wrong = Datasette(
        [str(database)], metadata={"plugins": {"orc": {"allowed_hosts": "a.example"}}}
    )
    with pytest.raises(SystemExit, match="must be a list of host names"):
        asyncio.run(wrong.invoke_startup())


@pytest.mark.parametrize("path", PATHS)
def test_requests_of_other_sites_are_refused_before_any_work(database: Path, path: str) -> None:
    refused = (
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "null"},
        {"origin": "http://localhost:9"},
        OPENED,
    )
    assert statuses(database, *refused, path=path) == [403] * len(refused)
    assert 403 not in statuses(
        database, {}, {"sec-fetch-site": "none"}, {"origin": "http://localhost"}, path=path
    )


def test_a_server_that_other_sites_may_read_is_read_by_them(database: Path) -> None:
    asked = (
        {"origin": "http://evil.example", "sec-fetch-site": "cross-site"},
        {"host": "evil.example"},
    )
    assert statuses(database, *asked, cors=True) == [200, 421]


def test_a_base_url_works(database: Path) -> None:
    settings = {"base_url": "/prefix/"}
    assert statuses(database, {"host": "localhost"}, path="/runs", settings=settings) == [200]


def test_some_requests_are_answered_at_a_time_and_a_number_of_others_wait() -> None:
    running = most = 0
    go_on = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await go_on.wait()
        running -= 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        # A client that reads slowly keeps no other one from its turn.
        if scope["path"] == "/slow":
            await asyncio.Event().wait()
        await send({"type": "http.response.body", "body": b""})

    async def ask(guarded: Any, path: str) -> int:
        seen: list[int] = []
        started = asyncio.Event()

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                seen.append(message["status"])
                started.set()

        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "headers": [(b"host", b"localhost")],
        }
        task = asyncio.create_task(guarded(scope, None, send))
        await started.wait()
        if path == "/slow":
            task.cancel()
        return seen[0]

    async def go() -> list[int]:
        guarded = checked(app, lambda: True, hosts=(), has_cors=False)
        asked = [
            asyncio.create_task(ask(guarded, "/slow" if number % 2 else "/"))
            for number in range(AT_ONCE + WAITING_MAX + 5)
        ]
        for _ in range(20):
            await asyncio.sleep(0)
        go_on.set()
        return await asyncio.gather(*asked)

    answers = asyncio.run(asyncio.wait_for(go(), 30))
    assert answers.count(503) == 5
    assert answers.count(200) == AT_ONCE + WAITING_MAX
    assert most == AT_ONCE
