"""What scripts add to the pages: local times, copying, tools of logs, addresses of events, keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from orc.ledger import OwnerLock
from tests.builders import JOB, step
from tests.projections.support import begun, open_in, write

HOSTILE = "<script>alert('script')</script>\x1b]8;;javascript:alert(1)\x07"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A ledger with a job whose first step runs and prints."""
    folder = tmp_path_factory.mktemp("tools")
    with open_in(folder) as ledger:
        write(ledger, begun(step("talk"), step("next", needs="talk")).start("talk"))
    logs = folder / "runs" / JOB / "logs"
    logs.mkdir(parents=True)
    lines = "".join(f"line {number} \x1b[31mred\x1b[0m\n" for number in range(100))
    logs.joinpath("talk.1.log").write_text(lines + HOSTILE + "\n")
    lock = OwnerLock(folder / "runs.db", JOB)
    lock.acquire()
    yield folder
    lock.release()


@pytest.fixture(scope="module")
def page(chromium: Browser, serve: Callable[[Path], str], folder: Path) -> Iterator[Page]:
    """A page in the time zone of India, with the address of the ledger's pages as its base."""
    context = chromium.new_context(
        timezone_id="Asia/Kolkata",
        permissions=["clipboard-read", "clipboard-write"],
        base_url=serve(folder / "runs.db"),
    )
    context.set_default_timeout(15_000)
    wrong: list[str] = []
    context.on("dialog", lambda dialog: wrong.append(dialog.message))
    context.on("weberror", lambda error: wrong.append(str(error.error)))
    yield context.new_page()
    context.close()
    assert wrong == []


def test_times_are_those_of_the_reader_and_ids_can_be_copied(page: Page) -> None:
    page.goto(f"/-/orc/runs/{JOB}")
    time = page.locator("#head time").first
    utc = time.get_attribute("datetime")
    assert utc is not None
    shift = page.evaluate(
        "([utc, shown]) => (Date.parse(shown.replace(' ', 'T') + 'Z') - Date.parse(utc)) / 60000",
        [f"{utc[:19]}Z", time.inner_text()],
    )
    assert shift == 330
    expect(time).to_have_attribute("title", f"{utc[:10]} {utc[11:19]} UTC")
    expect(page.locator("#head")).to_contain_text("Submitted (local time)")
    page.get_by_role("button", name=f"Copy {JOB}").click()
    expect(page.get_by_role("button", name=f"Copy {JOB}")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == JOB
    page.keyboard.press("e")
    page.wait_for_url(re.compile("/events$"))
    expect(page.locator("#v2")).to_contain_text("job.started")
    page.goto(f"/-/orc/runs/{JOB}#v2")
    page.wait_for_url(re.compile(r"\?at=2$"))
    expect(page.locator("#moment-said")).to_contain_text("Event 2 of")


def test_the_log_of_a_running_step_is_followed_and_searched(page: Page, folder: Path) -> None:
    page.goto(f"/-/orc/runs/{JOB}/step/talk")
    lines = page.locator("pre.lines .l")
    expect(lines).to_have_count(101)
    assert HOSTILE[:30] in lines.last.inner_text()
    assert lines.first.locator(".a-f1").inner_text() == "red"
    at_end = "(one => one.scrollTop + one.clientHeight >= one.scrollHeight - 2)"
    assert page.locator("pre.lines").evaluate(at_end)
    find = page.get_by_label("Find in the log")
    find.fill("line 9")
    expect(page.locator(".l.hit")).to_have_count(11)
    find.press("Enter")
    expect(page.locator(".log output")).to_have_text("1 of 11 lines")
    with (folder / "runs" / JOB / "logs" / "talk.1.log").open("a") as log:
        log.write("line 999\n")
    expect(lines).to_have_count(102)
    expect(page.locator(".l.hit")).to_have_count(12)
    expect(page.locator("details.log .tools")).to_have_count(1)
    assert page.locator("pre.lines").evaluate(at_end)


def test_the_keyboard_has_a_sheet_and_is_silent_while_one_types(page: Page) -> None:
    page.goto(f"/-/orc/runs/{JOB}/step/talk")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_contain_text("Copy the id of the job")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("/")
    page.keyboard.type("u?")
    expect(page.locator("#find")).to_have_value("u?")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("Escape")
    page.keyboard.press("u")
    page.wait_for_url(re.compile(f"/{JOB}$"))
