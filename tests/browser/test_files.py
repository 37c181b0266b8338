"""The pages of files in a browser: each form is shown, and nothing that a model wrote acts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from datasette.utils import tilde_encode
from playwright.sync_api import Browser, BrowserContext, Page

from tests.browser.looks import flaws_of
from tests.builders import JOB
from tests.projections.sample_files import FILES, files_story
from tests.projections.support import open_in, write


@pytest.fixture(scope="module")
def job(
    chromium: Browser, serve: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory
) -> str:
    """The address of a job with a file of each form."""
    folder = tmp_path_factory.mktemp("files")
    with open_in(folder) as ledger:
        write(ledger, files_story())
    return f"{serve(folder / 'runs.db')}/-/orc/runs/{JOB}"


def address(job: str, path: str, page: str = "file") -> str:
    return f"{job}/{page}/{tilde_encode(f'demo/{path}')}"


def opened(context: BrowserContext, job: str, path: str) -> Page:
    """The page of a file, after all that it loads."""
    page = context.new_page()
    page.goto(address(job, path))
    return page


def test_images_and_drawings_are_shown(context: BrowserContext, job: str) -> None:
    for path, size in (("chart.png", [120, 80]), ("drawing.svg", [40, 40])):
        page = opened(context, job, path)
        image = page.locator("main img")
        assert image.evaluate("one => [one.naturalWidth, one.naturalHeight]") == size, path
        assert page.locator("a[download]").count() == 1


def test_a_table_is_shown_in_parts(context: BrowserContext, job: str) -> None:
    page = opened(context, job, "data.csv")
    assert page.locator(".grid thead th").all_inner_texts() == ["#", "name", "value"]
    assert page.locator(".grid tbody tr").count() == 100
    page.get_by_role("link", name="Last").click()
    rows = page.locator(".grid tbody tr")
    assert rows.last.locator("th, td").all_inner_texts() == ["250", "row 250", "375.0"]
    assert "Rows 201 to 250 of 250" in page.locator("main").inner_text()
    page.goto(address(job, "data.csv") + "?as=source")
    assert page.locator("pre.text").first.inner_text().startswith("name,value\nrow 1,1.5\n")


def test_markdown_is_shown_with_the_images_of_its_job(context: BrowserContext, job: str) -> None:
    page = opened(context, job, "notes/report.md")
    prose = page.locator(".prose")
    assert prose.locator("h3").inner_text() == "Report"
    assert prose.locator("img").evaluate("one => one.naturalWidth") == 120
    assert prose.locator("img").count() == 1
    assert "[image: tracker (http://evil.example/t.png)]" in prose.inner_text()
    assert prose.locator("a").first.get_attribute("href") == "https://orc.example/paper"
    assert prose.locator("pre .hl-k").first.inner_text() == "def"


def test_a_document_is_loaded_when_a_person_opens_it(context: BrowserContext, job: str) -> None:
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address(job, "paper.pdf"), wait_until="networkidle")
    assert page.locator("iframe").count() == 1
    assert not [url for url in asked if "/preview/" in url]


def test_no_file_does_anything_by_itself(context: BrowserContext, job: str) -> None:
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for path in FILES:
        for query in ("", "?as=source"):
            page.goto(address(job, path) + query, wait_until="load")
            active = (
                "main script, main object, main embed, main style, main [onerror], main [onload]"
            )
            assert page.locator(active).count() == 0, path
            assert page.locator("a[href^='javascript' i]").count() == 0, path
    page.goto(f"{job}/step/a")
    origin = job.partition("/-/")[0]
    assert {url for url in asked if not url.startswith((origin, "data:"))} == set()


def test_a_drawing_that_is_opened_on_its_own_has_no_scripts_and_no_requests(
    chromium: Browser, job: str
) -> None:
    page = chromium.new_page()
    ended: list[str] = []
    page.on("requestfinished", lambda request: ended.append(request.url))
    page.on("dialog", lambda dialog: ended.append(dialog.message))
    page.goto(address(job, "drawing.svg", "preview"), wait_until="load")
    assert page.evaluate("[self.origin, document.documentElement.tagName]") == ["null", "svg"]
    assert ended == [address(job, "drawing.svg", "preview")]
    page.close()


def test_files_have_enough_contrast_and_do_not_scroll_sideways(
    context: BrowserContext, job: str
) -> None:
    page = context.new_page()
    for path in ("data.csv", "hostile.csv", "notes/report.md", "code.py", "chart.png"):
        page.goto(address(job, path))
        assert flaws_of(page) == [], path
