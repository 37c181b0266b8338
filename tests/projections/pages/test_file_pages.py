"""The pages of files of every form, without a browser: what they contain, and their headers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from datasette.utils import tilde_encode

from orc.ledger import LedgerReader
from orc.projections.exports import html as export
from orc.projections.exports.source import read_source
from orc.projections.pages.security import FRAMING_POLICY, POLICY, PREVIEW_POLICY
from tests.builders import JOB
from tests.projections.exports.test_html_export import Page
from tests.projections.pages.test_pages import _Markup
from tests.projections.sample_files import FILES, files_story
from tests.projections.served import Get, browse
from tests.projections.support import open_in, write

BASE = f"/-/orc/runs/{JOB}"
SHOWN = {"chart.png": "image/png", "drawing.svg": "image/svg+xml", "paper.pdf": "application/pdf"}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    with open_in(tmp_path) as ledger:
        write(ledger, files_story())
    return tmp_path / "runs.db"


def address(path: str, page: str = "file") -> str:
    return f"{BASE}/{page}/{tilde_encode(f'demo/{path}')}"


def test_no_page_of_a_file_has_active_markup(database: Path) -> None:
    async def look(get: Get) -> None:
        pages = [
            f"{BASE}/step/a",
            *map(address, FILES),
            *(f"{address(p)}?as=source" for p in FILES),
        ]
        for page in pages:
            answer = await get(page)
            assert answer.status_code == 200, page
            found = _Markup(answer.text)
            assert not found.elements & {"object", "embed", "base", "style", "video", "svg:script"}
            assert not {one for one in found.attributes if one.startswith("on")}, page
            assert not found.attributes & {"style", "srcdoc", "srcset"}, page
            # Markdown may have links; the one of the sample leads to this place.
            others = [link for link in found.links if not re.match(r"(/(?!/)|#|data:,$)", link)]
            assert set(others) <= {"https://orc.example/paper"}, page
            assert answer.text.count("<script") == 3, page
            framed = "pdf" in page and "source" not in page
            policy = FRAMING_POLICY if framed else POLICY
            assert answer.headers["content-security-policy"] == policy, page
            assert answer.headers["x-dns-prefetch-control"] == "off"

    browse(database, then=look)


def test_bytes_that_are_shown_in_full_are_not_said_to_be_cut(database: Path) -> None:
    async def look(get: Get) -> None:
        text = (await get(address("bytes.bin"))).text
        assert "fc fd fe ff" in text
        assert "Cut:" not in text

    browse(database, then=look)


def test_only_images_and_documents_have_a_preview(database: Path) -> None:
    async def look(get: Get) -> None:
        for path in FILES:
            answer = await get(address(path, "preview"))
            if path not in SHOWN:
                assert answer.status_code == 404, path
                continue
            assert answer.content == FILES[path]
            assert answer.headers["content-type"] == SHOWN[path]
            assert answer.headers["content-security-policy"] == PREVIEW_POLICY
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["content-disposition"].startswith("inline; filename*=UTF-8''")
        assert (await get(address("nothing.png", "preview"))).status_code == 404
        for path in FILES:
            raw = await get(address(path, "raw"))
            assert raw.content == FILES[path]
            assert raw.headers["content-type"] == "application/octet-stream"

    browse(database, then=look)


@pytest.mark.parametrize("part", ["0", "-1", "x", "3", "999999", "9" * 30])
def test_any_part_of_a_table_can_be_asked_for(database: Path, part: str) -> None:
    async def look(get: Get) -> None:
        answer = await get(f"{address('data.csv')}?part={part}")
        assert answer.status_code == 200
        assert ("row 250" in answer.text) == (part == "3")
        assert ("row 1<" in answer.text) == (part in ("0", "-1", "x", "9" * 30))

    browse(database, then=look)


def test_the_exported_page_shows_files_in_their_forms_and_stays_harmless(database: Path) -> None:
    with LedgerReader.open(database) as reader:
        source = read_source(reader, JOB, status="succeeded", orc_version="1.2.3")
        text = export.render_html(source, content=True)
    assert text.isascii()
    page = Page(text)
    assert not page.elements & {"script", "iframe", "object", "form", "base"}
    assert not {name for name in page.attributes if name.startswith("on") or name == "style"}
    others = [link for link in page.links if not link.startswith(("#", "data:image/", "data:,"))]
    assert others == ["https://orc.example/paper"]
    assert text.count("<img") == 2
    assert "The PDF document is not in this page." in text
    assert "<td>row 50</td>" in text
    assert "row 51" not in text
    assert "[image: chart (../chart.png)]" in text
    assert "&#8238;" not in text  # U+202E is shown as its escape
