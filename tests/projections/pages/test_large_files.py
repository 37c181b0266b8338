"""The page and the download of a large file: never as a whole in memory."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from datasette.utils import tilde_encode

from orc.ledger import LedgerReader
from orc.ledger.files import file_store
from orc.projections.pages import shown_file
from orc.projections.pages.shown_file import read_shown
from orc.projections.pages.views import attachment
from orc.projections.tables.job_view import read_files
from tests.builders import JOB
from tests.large_files import (
    LARGE,
    LARGE_DIGEST,
    TEXT_DIGEST,
    large_story,
    stored_path,
    write_large,
)
from tests.projections.served import Get, browse
from tests.projections.support import open_in

RAW = f"/-/orc/runs/{JOB}/raw/{tilde_encode('demo/tool.bin')}"
PAGE = f"/-/orc/runs/{JOB}/file/{tilde_encode('demo/tool.bin')}"


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(shown_file, "STORED_BYTES_MIN", 10_000)
    with open_in(tmp_path) as ledger:
        write_large(ledger, large_story())
    return tmp_path / "runs.db"


def test_a_large_file_is_offered_as_a_download_and_not_shown(database: Path) -> None:
    async def look(get: Get) -> None:
        page = await get(PAGE)
        assert page.status_code == 200
        assert "too large to be shown here" in page.text
        assert f'href="{RAW}" download' in page.text
        assert "mode 755" in page.text
        small = await get(f"/-/orc/runs/{JOB}/file/{tilde_encode('demo/small.txt')}")
        assert "small</pre>" in small.text
        assert "mode" not in small.text.partition("</div>")[0].partition("<h1>")[2]
        raw = await get(RAW)
        assert raw.content == LARGE
        assert raw.headers["content-length"] == str(len(LARGE))
        assert raw.headers["content-type"] == "application/octet-stream"
        assert "sandbox" in raw.headers["content-security-policy"]
        assert raw.headers["content-disposition"].endswith("tool.bin")
        row = await get(f"/runs/blobs/{LARGE_DIGEST}")
        assert "in a file beside the ledger" in row.text

    browse(database, then=look)


def test_a_missing_file_of_the_store_is_a_page_with_the_reason(database: Path) -> None:
    stored_path(database).unlink()

    async def look(get: Get) -> None:
        raw = await get(RAW)
        assert raw.status_code == 503
        assert "is missing; restore it from a backup" in raw.text

    browse(database, then=look)


def test_nothing_of_a_large_file_is_read_for_its_page(database: Path) -> None:
    stored_path(database, TEXT_DIGEST).unlink()
    with LedgerReader.open(database) as reader:
        files = {file.path: file for file in read_files(reader.connection, JOB)}
        shown = read_shown(reader, files["demo/big.txt"]).text
    assert (shown.is_large, shown.text, shown.lost) == (True, "", None)


def downloaded(database: Path) -> tuple[list[bytes], bool]:
    """The parts of the download of the large file, and whether it came to its end."""
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    with LedgerReader.open(database) as reader:
        response = attachment(reader, LARGE_DIGEST, "demo/tool.bin")
    asyncio.run(response.asgi_send(send))
    return [message["body"] for message in sent[1:]], sent[-1].get("more_body") is False


def test_a_download_of_a_changed_file_ends_before_its_last_part(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_store, "CHUNK_BYTES", 20_000)
    parts, is_whole = downloaded(database)
    assert (b"".join(parts), is_whole) == (LARGE, True)
    assert len(parts) == -(-len(LARGE) // 20_000)
    stored = stored_path(database)
    stored.chmod(0o600)
    stored.write_bytes(LARGE[:-1] + b"!")
    parts, is_whole = downloaded(database)
    assert is_whole is False
    assert LARGE.startswith(b"".join(parts))
