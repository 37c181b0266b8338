"""The pages in a real browser: drawing, live updates, hostile texts, layout, accessibility."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from orc.ledger import JobId, OwnerLock
from orc.scheduler.core.commands import Settle
from tests.browser.looks import flaws_of
from tests.builders import JOB, step
from tests.processes import run_orc
from tests.projections.support import Story, begun, open_in, write

Serve = Callable[[Path], str]

HOSTILE = (
    "<script>alert('script')</script><img src=x onerror=alert('image')>"
    "<svg onload=alert('svg')><a href=\"javascript:alert('link')\">click me</a>"
    "</pre></script></title><iframe srcdoc=\"<script>parent.alert('frame')</script>\"></iframe>"
    "\x1b]0;owned\x07\x1b[2J \u202egpj.exe"
)
WIDE, RUNNING = JobId("job_000000000003"), JobId("job_000000000004")
NEEDS = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c"), "e": ("d", "a")}
STATES = {"a": "succeeded", "b": "failed", "c": "succeeded", "d": "skipped", "e": "skipped"}


def _hostile() -> Story:
    story = begun(
        step("a", prompt="?"), *(step(name, needs=NEEDS[name]) for name in "bcde"), project=HOSTILE,
        task_description=HOSTILE,
    )  # fmt: skip
    story.start("a").call("a", number=1, ends="replied", text=HOSTILE)
    story.succeed("a", HOSTILE, files={f"{HOSTILE.replace('/', '')[:120]}.html": HOSTILE.encode()})
    story.start("b", "c").fail("b", message=HOSTILE).succeed("c", HOSTILE)
    return story.tell(Settle())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with a hostile job, a job of 300 steps, and an unfinished job."""
    folder = tmp_path_factory.mktemp("browser")
    wide = begun(*(step(f"s{number}") for number in range(300)), job_id=WIDE)
    running = begun(step("first"), step("second", needs="first"), job_id=RUNNING).start("first")
    with open_in(folder) as ledger:
        write(ledger, _hostile(), wide, running)
    return folder


@pytest.fixture(scope="module")
def base(chromium: Browser, serve: Serve, folder: Path) -> str:
    """The address of the ledger's pages. `chromium` comes first, so that no server starts without it."""
    return f"{serve(folder / 'runs.db')}/-/orc/runs"


def test_the_graph_has_the_nodes_and_edges_of_the_job(context: BrowserContext, base: str) -> None:
    page = context.new_page()
    page.goto(f"{base}/{JOB}")

    nodes = page.locator("#graph [data-step][data-status]").evaluate_all(
        "all => all.map(one => [one.dataset.step, one.dataset.status])"
    )
    edges = page.locator("#graph path[data-from]").evaluate_all(
        "all => all.map(one => [one.dataset.from, one.dataset.to])"
    )

    assert dict(nodes) == STATES
    assert sorted(map(tuple, edges)) == sorted((n, s) for s, names in NEEDS.items() for n in names)
    for box in page.locator("#graph [data-step]").all():
        expect(box).to_be_visible()


def test_a_step_of_the_graph_leads_to_its_page_by_the_keyboard(
    context: BrowserContext, base: str
) -> None:
    page = context.new_page()
    page.goto(f"{base}/{JOB}")
    page.locator("#graph a[data-step='b']").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/step/b")
    expect(page.locator("h1")).to_contain_text("b")
    expect(page.locator("#attempts")).to_contain_text("<script>alert('script')</script>")


def test_hostile_texts_do_nothing_on_any_page(context: BrowserContext, base: str) -> None:
    page = context.new_page()
    seen: list[str] = []
    page.on("request", lambda request: seen.append(request.url))
    job = f"{base}/{JOB}"
    page.goto(job)
    files = page.locator("#files a").evaluate_all("all => all.map(one => one.href)")
    for address in (base, job, f"{job}?at=5", f"{job}/step/a", f"{job}/step/b", files[0]):
        page.goto(address)
        page.wait_for_load_state("networkidle") if "?at" in address else None
        assert page.locator("iframe, img, main script, main [onload], main [onerror]").count() == 0
        assert page.locator("a[href^='javascript']").count() == 0
        text = page.locator("body").inner_text()
        assert not set(text) & {"\x1b", "\x07", "\u202e"}, address
    assert "\\x1b]0;owned" in page.locator("main").inner_text()
    origin = base.removesuffix("/-/orc/runs")
    assert {url for url in seen if not url.startswith((origin, "data:"))} == set()


def test_a_running_jobs_page_changes_without_a_reload(
    context: BrowserContext, base: str, folder: Path
) -> None:
    page = context.new_page()
    lock = OwnerLock(folder / "runs.db", RUNNING)
    lock.acquire()
    try:
        page.goto(f"{base}/{RUNNING}")
        page.evaluate("window.stays = true")
        first = page.locator("#steps tr[data-step='first']")
        expect(first).to_have_attribute("data-status", "running")
        page.locator("#spec summary").click()

        story = begun(step("first"), step("second", needs="first"), job_id=RUNNING).start("first")
        before = len(story.stream)
        story.succeed("first", "fine").start("second")
        with open_in(folder) as ledger:
            ledger.append(story.stream[before:])

        expect(first).to_have_attribute("data-status", "succeeded")
        expect(page.locator("#graph [data-step='second']")).to_have_attribute(
            "data-status", "running"
        )
        expect(page.locator("#news")).to_contain_text("first succeeded")
        assert page.locator("#spec").get_attribute("open") is not None
        assert page.evaluate("window.stays") is True
    finally:
        lock.release()
    # No process runs the job now; the page shows that, too.
    expect(page.locator("h1 .badge")).to_have_attribute("data-status", "interrupted")


def test_the_graph_is_zoomed_and_fitted(context: BrowserContext, base: str) -> None:
    page = context.new_page()
    page.goto(f"{base}/{JOB}")
    width = "document.querySelector('#graph svg').getBoundingClientRect().width"
    before = page.evaluate(width)
    page.get_by_label("Make the graph larger").click()
    assert page.evaluate(width) == pytest.approx(before * 1.25, rel=0.01)
    page.get_by_label("Make the graph smaller").click()
    assert page.evaluate(width) == pytest.approx(before, rel=0.01)
    page.goto(f"{base}/{WIDE}")
    page.get_by_label("Fit the graph").click()
    frame = page.locator("#graph-scroll")
    assert frame.evaluate("one => one.scrollWidth <= one.clientWidth + 1")
    assert "%" in page.locator(".tools output").first.inner_text()


def test_the_table_of_steps_is_sorted_filtered_and_searched(
    context: BrowserContext, base: str
) -> None:
    page = context.new_page()
    page.goto(f"{base}/{JOB}")
    names = page.locator("table.steps tbody tr:visible th")
    assert names.all_inner_texts() == ["a", "b", "c", "d", "e"]
    head = page.get_by_label("Sort by Step", exact=True)
    head.click()
    head.click()
    assert names.all_inner_texts() == ["e", "d", "c", "b", "a"]
    assert page.locator("th[aria-sort=descending]").inner_text() == "Step"
    page.get_by_label("Status of the steps").select_option("succeeded")
    assert names.all_inner_texts() == ["c", "a"]
    page.get_by_label("Find steps").fill("no such step")
    assert names.all_inner_texts() == []
    page.get_by_label("Find steps").fill("")
    page.get_by_label("Status of the steps").select_option("")
    head.click()
    assert names.all_inner_texts() == ["a", "b", "c", "d", "e"]


def test_the_slider_shows_the_state_after_an_event(context: BrowserContext, base: str) -> None:
    page = context.new_page()
    page.goto(f"{base}/{JOB}")
    slider = page.locator("#at-range")
    slider.focus()
    page.keyboard.press("Home")
    expect(page.locator("#head .callout").first).to_contain_text("after event 1 of")
    expect(page.locator("#steps tr[data-step='a']")).to_have_attribute("data-status", "pending")
    assert page.url.endswith("?at=1")
    expect(slider).to_be_focused()
    page.keyboard.press("End")
    expect(page.locator("#steps tr[data-step='a']")).to_have_attribute("data-status", "succeeded")
    assert "?at" not in page.url


def test_the_pages_are_complete_without_scripts(chromium: Browser, base: str) -> None:
    plain = chromium.new_context(java_script_enabled=False)
    page = plain.new_page()
    page.goto(f"{base}/{JOB}")
    assert page.locator("#graph [data-step]").count() == len(STATES)
    assert page.locator("#steps tr[data-step]").count() == len(STATES)
    page.locator("#at").fill("2")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**at=2")
    expect(page.locator("#head")).to_contain_text("after event 2 of")
    page.goto(base)
    page.locator("#status").select_option("failed")
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url("**status=failed**")
    expect(page.locator("tr[data-job]")).to_have_count(1)
    plain.close()


def test_every_page_fits_its_window_can_be_read_and_is_in_order(
    context: BrowserContext, base: str
) -> None:
    page = context.new_page()
    for address in _addresses(page, base):
        page.goto(address)
        _check_order(page, address)
        assert flaws_of(page) == [], address


def _check_order(page: Page, address: str) -> None:
    """Check the headings, names, labels and ids of the page."""
    levels = page.locator("h1, h2, h3, h4").evaluate_all("all => all.map(h => +h.tagName[1])")
    assert levels[0] == 1, address
    assert levels.count(1) == 1, address
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))
    assert page.locator("main").count() == 1
    unnamed = page.locator("input, select, button, textarea").evaluate_all(
        "all => all.filter(one => !one.labels?.length && !one.ariaLabel && !one.textContent)"
        ".map(one => one.outerHTML)"
    )
    assert unnamed == [], address
    twice = page.evaluate(
        "() => { const ids = [...document.querySelectorAll('[id]')].map(one => one.id);"
        "return ids.filter((id, at) => ids.indexOf(id) !== at) }"
    )
    assert twice == [], address


def _addresses(page: Page, base: str) -> list[str]:
    job = f"{base}/{JOB}"
    page.goto(job)
    file = page.locator("#files a").first.evaluate("one => one.href")
    assert re.search(r"/file/[\w~.+-]+$", file)
    return [base, job, f"{base}/{WIDE}", f"{job}/step/a", f"{job}/step/b", file, f"{job}/step/x"]


def test_a_long_key_of_an_item_leaves_room_for_the_other_columns(
    context: BrowserContext, serve: Serve, tmp_path: Path
) -> None:
    (tmp_path / "spec.yaml").write_text(
        f"project: p\nsteps:\n  a: {{for_each: ['{'long' * 100}'], key: '${{{{ item }}}}', value: 1}}\n"
    )
    assert run_orc("run", "spec.yaml", cwd=tmp_path).returncode == 0
    page = context.new_page()
    page.goto(f"{serve(tmp_path / 'runs.db')}/-/orc/runs")
    page.locator("table.jobs th a").first.click()
    box = page.locator("table.steps td.cell", has_text="longlong").bounding_box()
    assert box is not None
    assert box["width"] < 500
