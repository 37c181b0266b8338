"""Results, comparison and charts in a browser: the numbers are read back at several widths."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.looks import each_width, flaws_of
from tests.projections.pages.scored_jobs import run_scored

Serve = Callable[[Path], str]


@pytest.fixture(scope="module")
def served(
    chromium: Browser, serve: Serve, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, list[str]]:
    """The address of the pages, and the ids of two jobs with scores."""
    folder = tmp_path_factory.mktemp("scored")
    jobs = run_scored(folder)
    return f"{serve(folder / 'runs.db')}/-/orc/runs", jobs


def addresses(served: tuple[str, list[str]]) -> list[str]:
    base, (first, second) = served
    return [
        base,
        f"{base}/{first}/results",
        f"{base}/{first}/results?open=answer[2]",
        f"{base}/compare?job={first}&job={second}",
        f"{base}/charts?project=eval",
        f"{base}/{first}/step/answer~5B0~5D",
    ]


def texts(page: Page, row: str) -> list[list[str]]:
    """The texts of the cells of rows."""
    found = page.locator(row).evaluate_all(
        "all => all.map(r => [...r.cells].map(c => c.innerText))"
    )
    return [[" ".join(cell.split()) for cell in cells] for cells in found]


def test_the_numbers_are_read_back(context: BrowserContext, served: tuple[str, list[str]]) -> None:
    base, (first, second) = served
    page = context.new_page()
    page.goto(f"{base}/{first}/results?score=size")
    for _ in each_width(page):
        assert [row[1:] for row in texts(page, ".scores tbody:last-child tr")] == [
            ["2.5", "2.5"],
            ["5", "5"],
            ["7.5", "7.5"],
            ["failed", "failed"],
        ]
    page.goto(f"{base}/compare?job={first}&job={second}")
    for _ in each_width(page):
        assert texts(page, ".differences tbody tr")[1][2:4] == ["+1 1 to 1", "yes"]
        assert [row[1:4] for row in texts(page, ".cases tbody tr")][:2] == [
            ["1", "0", "-1"],
            ["0", "1", "+1"],
        ]
    page.goto(f"{base}/charts?project=eval")
    page.locator("#scores summary").click()
    for _ in each_width(page):
        rows = texts(page, "#scores table tbody tr")
        sizes = [row[2:] for row in rows if row[2] == "size"]
        assert sizes == [["size", "6", "5"], ["size", "6", "6"]]
        marks = page.locator("#scores a .c-mark title").all_text_contents()
        assert any(said.startswith("size 5 of 6 values") for said in marks)


def test_a_cell_opens_and_a_column_sorts_without_scripts(
    chromium: Browser, served: tuple[str, list[str]]
) -> None:
    base, (first, _) = served
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{base}/{first}/results")
    page.locator(".scores tbody:last-child tr:first-child td a").last.click()
    expect(page.locator("#opened .card.chosen")).to_contain_text("large says 60")
    expect(page.locator("#opened .card")).to_have_count(2)
    page.goto(f"{base}/{first}/results")
    page.locator(".scores thead a", has_text="small").click()
    assert texts(page, ".scores tbody:last-child tr")[0][1:] == ["fail", "pass"]
    expect(page.locator("th[aria-sort=ascending]")).to_contain_text("small")
    context.close()


def test_a_long_case_leaves_room_for_scores_in_a_narrow_window(
    context: BrowserContext, served: tuple[str, list[str]]
) -> None:
    base, (first, _) = served
    page = context.new_page()
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(f"{base}/{first}/results")
    row = page.locator(".scores tbody:last-child tr").first
    row.locator("th").evaluate("cell => { cell.textContent = 'a long case '.repeat(40); }")
    box = row.locator("td").first.bounding_box()
    assert box is not None
    assert box["x"] + box["width"] < 390


def test_ticked_jobs_are_compared(context: BrowserContext, served: tuple[str, list[str]]) -> None:
    base, (first, second) = served
    page = context.new_page()
    page.goto(base)
    for job in (first, second):
        page.get_by_label(f"Compare {job}").check()
    page.get_by_role("button", name="Compare the ticked jobs").click()
    expect(page.locator("h1")).to_contain_text("Comparison of 2 jobs")
    named = page.locator(".compared thead").inner_text().split()
    assert [word for word in named if word in (first, second)] == [first, second]


def test_a_point_of_a_chart_leads_to_its_job(
    context: BrowserContext, served: tuple[str, list[str]]
) -> None:
    base, (first, _) = served
    page = context.new_page()
    page.goto(f"{base}/charts?project=eval")
    page.locator("#duration a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/{first}")


def test_hostile_texts_do_nothing(context: BrowserContext, served: tuple[str, list[str]]) -> None:
    page = context.new_page()
    seen: list[str] = []
    page.on("request", lambda request: seen.append(request.url))
    for address in addresses(served):
        page.goto(address)
        assert page.locator("iframe, main img, main script, main [onload]").count() == 0
    origin = served[0].removesuffix("/-/orc/runs")
    assert {url for url in seen if not url.startswith((origin, "data:"))} == set()


def test_every_page_fits_its_window_and_can_be_read(
    context: BrowserContext, served: tuple[str, list[str]]
) -> None:
    page = context.new_page()
    for address in addresses(served):
        page.goto(address)
        assert flaws_of(page) == [], address


@pytest.mark.parametrize("width", [390, 1280, 1920])
def test_jobs_are_filtered_and_items_are_sorted_in_the_browser(
    chromium: Browser, served: tuple[str, list[str]], width: int
) -> None:
    base, (first, second) = served
    context = chromium.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(base)
    page.get_by_label("Score").first.fill("size")
    page.get_by_label("mean from").fill("5.5")
    page.get_by_role("button", name="Filter").click()
    assert page.locator("tr[data-job]").evaluate_all("all => all.map(r => r.dataset.job)") == [
        second
    ]
    page.goto(f"{base}/{first}/step/answer")
    page.locator(".items th").get_by_role("link", name="n", exact=True).click()
    page.locator(".items th").get_by_role("link", name="n", exact=True).click()
    # The case with the largest n.
    assert texts(page, ".items tbody tr")[0][0] in ("answer[2]", "answer[6]")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert said == []
    context.close()
