"""The page of events with their addresses, and pages that are not there but name what is near."""

from __future__ import annotations

from pathlib import Path

from markupsafe import escape

from orc.projections.pages.events import PART
from tests.builders import JOB, step
from tests.projections.served import HOSTILE, Get, browse, hostile_story
from tests.projections.support import begun, open_in, write

EVENTS = f"/-/orc/runs/{JOB}/events"


def test_each_event_has_an_address_and_hostile_texts_stay_texts(tmp_path: Path) -> None:
    with open_in(tmp_path) as ledger:
        write(ledger, hostile_story())
        head = ledger.head(JOB).version

    async def look(get: Get) -> None:
        page = (await get(EVENTS)).text
        for version in range(1, head + 1):
            assert f'<tr id="v{version}">' in page
            assert f'href="{EVENTS}?at={version}#v{version}"' in page
        assert "<script>alert" not in page
        assert "<img" not in page
        assert str(escape(HOSTILE))[:30] in page

    browse(tmp_path / "runs.db", then=look)


def test_an_event_is_in_its_part(tmp_path: Path) -> None:
    story = begun(*(step(f"s{number}") for number in range(150)))
    for number in range(150):
        story.start(f"s{number}").succeed(f"s{number}", number)
    with open_in(tmp_path) as ledger:
        write(ledger, story)
        head = ledger.head(JOB).version
    assert head > PART

    async def look(get: Get) -> None:
        for query, first, last in (
            ("", 1, PART),
            ("?part=2", PART + 1, head),
            (f"?at={PART + 1}", PART + 1, head),
            (f"?at={PART}", 1, PART),
            ("?part=99&at=x", PART + 1, head),
        ):
            page = (await get(EVENTS + query)).text
            assert page.count('<tr id="v') == last - first + 1, query
            assert f'<tr id="v{first}">' in page, query

    browse(tmp_path / "runs.db", then=look)


def test_a_page_that_is_not_there_names_what_is_near(tmp_path: Path) -> None:
    with open_in(tmp_path) as ledger:
        write(ledger, begun(step("outline"), step("<b>")).start("outline").succeed("outline", 1))
    wrong = JOB[:-1] + "x"

    async def look(get: Get) -> None:
        for address, near in (
            (f"/-/orc/runs/{wrong}", f'<a href="/-/orc/runs/{JOB}">{JOB}</a>'),
            (f"/-/orc/runs/{wrong}/events", f'<a href="/-/orc/runs/{JOB}">{JOB}</a>'),
            (f"/-/orc/runs/{JOB}/step/outlin", f'/-/orc/runs/{JOB}/step/outline">outline</a>'),
            (f"/-/orc/runs/{JOB}/step/~3Cb", ">&lt;b&gt;</a>"),
            (f"/-/orc/runs/{JOB}/file/none", f'<a href="/-/orc/runs/{JOB}">{JOB}</a>'),
        ):
            answer = await get(address)
            assert answer.status_code == 404
            assert near in answer.text, address
            assert '<a href="/-/orc/runs">All jobs</a>' in answer.text
        assert "Did you mean" not in (await get("/-/orc/runs/zzz")).text

    browse(tmp_path / "runs.db", then=look)
