"""The timeline as SVG and as text: every attempt is drawn, hostile text stays text, rows collapse."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from msgspec.structs import replace

from orc.ledger.definition import RetryDef
from orc.projections.history.timeline import Span, Timeline, TimelineRow, read_timeline
from orc.projections.pictures.timeline_rows import ROWS_MAX, SharedRow, collapse_rows, count_busy
from orc.projections.pictures.timeline_scale import Cut, TimeScale
from orc.projections.pictures.timeline_svg import draw_timeline, shown_tick
from orc.projections.pictures.timeline_text import text_timeline
from orc.projections.tables.job_view import read_view
from orc.scheduler.core.commands import InterruptJob, ResumeJob
from tests.builders import JOB, OWNER, at, step
from tests.each_case import each_case
from tests.projections.support import Story, begun, ledger_of

HOSTILE = "</title><script>alert(1)</script>\x1b[2J\u202e"
SVG = "{http://www.w3.org/2000/svg}"


def of(story: Story, *, after_s: float = 0.0) -> Timeline:
    """The timeline of a story."""
    with ledger_of(story) as ledger:
        view = read_view(ledger.connection, JOB)
        return read_timeline(ledger.connection, view, now=at(story.clock_s + after_s))


def retried() -> Story:
    """Two attempts of a step, with a hostile failure, and a step that waits for it."""
    story = begun(step("a", retry=RetryDef(max_attempts=2)), step("b", needs="a"))
    story.start("a").fail("a", message=HOSTILE)
    story.clock_s += 5
    return story.start("a").succeed("a").start("b")


def parts(timeline: Timeline) -> list[tuple[str | None, str | None, str | None]]:
    """Step, kind and attempt of every element that is drawn, from the XML."""
    root = ET.fromstring(draw_timeline(timeline, standalone=True))
    return [
        (one.get("data-step"), one.get("data-kind"), one.get("data-attempt"))
        for one in root.iter()
        if one.get("data-kind")
    ]


def test_every_attempt_and_every_wait_is_drawn() -> None:
    assert parts(of(retried(), after_s=1)) == [
        ("a", "queued", None),
        ("a", "attempt", "1"),
        ("a", "retry_wait", "1"),
        ("a", "attempt", "2"),
        ("b", "queued", None),
        ("b", "attempt", "1"),
    ]


def test_what_a_command_wrote_stays_text_and_controls_nothing() -> None:
    drawn = draw_timeline(of(retried()), link=lambda name: f"/{name}?<>")
    assert "<script" not in drawn
    assert "&lt;script&gt;" in drawn
    assert not {"\x1b", "\u202e"} & set(drawn)
    assert 'href="/a?&lt;&gt;#attempt-2"' in drawn
    assert "style=" not in drawn
    assert "<style" not in drawn
    assert not {"\x1b", "\u202e"} & set(text_timeline(of(retried())))


def test_a_night_without_a_process_takes_little_of_the_axis() -> None:
    story = begun(step("a")).start("a").interrupt("a").tell(InterruptJob("SIGTERM"))
    story.clock_s += 30_000
    story.tell(ResumeJob(OWNER)).start("a")
    story.clock_s += 2
    timeline = of(story.succeed("a"))
    drawn = draw_timeline(timeline)
    widths = [float(width) for width in re.findall(r'class="t-bar[^>]*width="([\d.]+)"', drawn)]
    assert len(widths) == 2
    assert min(widths) > 50
    assert "t-break" in drawn
    assert 'class="t-stopped"' in drawn
    assert "without work" in text_timeline(timeline)


def test_seconds_keep_their_order_over_cuts() -> None:
    scale = TimeScale(1000.0, 500.0, [Cut(100.0, 500.0), Cut(600.0, 990.0)])
    places = [scale.x(second) for second in range(0, 1001, 5)]
    assert places == sorted(places)
    assert places[0] == 0
    assert places[-1] == pytest.approx(500.0)
    labels = [place for _, place in scale.ticks()]
    assert all(later - earlier >= 58 for earlier, later in pairwise(labels))


@each_case("worked_s", [0.03, 0.4, 5.0, 40.0, 700.0, 9000.0])
@each_case("idle_s", [600.0, 28_800.0, 300_000.0])
def test_labels_tell_places_apart_after_a_cut(worked_s: float, idle_s: float) -> None:
    length_s = worked_s + idle_s
    scale = TimeScale(length_s, 860.0, [Cut(worked_s / 3, worked_s / 3 + idle_s)])
    said = [shown_tick(second, scale.step_s) for second, _ in scale.ticks()]
    assert len(said) > 2
    assert len(set(said)) == len(said)
    assert max(map(len, said)) <= 12


def test_ticks_read_as_clocks_and_units() -> None:
    assert [shown_tick(*tick) for tick in ((0, 1), (0.15, 0.05), (1.5, 0.5), (61.5, 0.5))] == [
        "0",
        "150 ms",
        "1.5 s",
        "1:01.5",
    ]
    assert [shown_tick(*tick) for tick in ((90, 30), (5400, 600), (28802, 2), (259200, 86400))] == [
        "1:30 min",
        "1:30 h",
        "8:00:02",
        "3 d",
    ]


def test_wide_names_keep_the_columns() -> None:
    story = begun(step("\u7ffb\u8a33"), step("plain")).start("\u7ffb\u8a33", "plain")
    first, second = text_timeline(of(story, after_s=9), width=60, is_plain=True).splitlines()[1:]
    assert first.index(".") + 2 == second.index(".")


def test_many_steps_share_rows_and_none_is_left_out() -> None:
    story = begun(*(step(f"s{number}") for number in range(400)), total=400)
    story.start(*(f"s{number}" for number in range(400)))
    story.fail("s399").fail("s200")
    timeline = of(story, after_s=3)
    rows = collapse_rows(timeline.rows)
    shared = next(row for row in rows if isinstance(row, SharedRow))
    assert len(rows) <= ROWS_MAX
    named = [row.step.name for row in rows if not isinstance(row, SharedRow)]
    assert {"s200", "s399"} <= set(named)
    assert shared.label == f"{400 - len(named):,} more steps"
    assert len(timeline.rows) == 400
    drawn = draw_timeline(timeline)
    assert drawn.count("data-step") < 900
    assert "t-density" in drawn


def test_text_keeps_to_its_width_and_in_plain_mode_to_ascii() -> None:
    for width in (40, 60, 100, 160):
        lines = text_timeline(of(retried(), after_s=1), width=width, is_plain=True).splitlines()
        assert len(lines) == 3
        assert max(map(len, lines)) <= width
        assert all(line.isascii() for line in lines)
    assert "▒" in text_timeline(of(retried()), width=80)


def test_an_empty_timeline_can_be_drawn() -> None:
    timeline = of(begun(step("a")))
    assert "1 step" in draw_timeline(timeline)
    assert text_timeline(timeline).splitlines()[1] == "· a"


def test_a_shared_row_shows_how_many_attempts_overlapped() -> None:
    after_another = [Span("attempt", n / 3, (n + 1) / 3, "succeeded") for n in range(30)]
    beside = Span("attempt", 4.0, 4.0, "succeeded")
    waits = Span("queued", 0.0, 9.0, "pending")

    def counted(*spans: Span) -> list[int]:
        return count_busy(spans, lambda second: min(4, int(second / 2)), 5)

    assert counted(*after_another, waits) == [1, 1, 1, 1, 1]
    assert counted(*after_another, beside) == [1, 1, 2, 1, 1]
    assert counted(Span("attempt", 2.5, 7.0, "failed")) == [0, 1, 1, 1, 0]
    assert counted() == [0, 0, 0, 0, 0]


def test_a_shared_row_of_containers_shows_the_work_inside_them() -> None:
    (row,) = of(begun(step("each")).start("each").succeed("each")).rows

    def made(name: str, parent: str | None, children: int | None, begin_s: float) -> TimelineRow:
        at_work = (Span("attempt", begin_s, begin_s + 1, "succeeded"),)
        whole = (Span("attempt", 0.0, 60.0, "succeeded"),)
        found = row.step._replace(name=name, parent=parent, children=children)
        return TimelineRow(found, name.count("/"), whole if children else at_work, "running")

    rows = [made("each", None, 60, 0)]
    for number in range(60):
        rows.append(made(f"each[{number}]", "each", 2, 0))
        for part in range(2):
            rows.append(made(f"each[{number}]/{part}", f"each[{number}]", None, number))
    each, shared = collapse_rows(rows)
    assert isinstance(each, TimelineRow)
    assert isinstance(shared, SharedRow)
    assert shared.label == "60 inside"
    assert len(shared.spans) == 120
    assert max(count_busy(shared.spans, int, 61)) == 2


def test_a_shared_row_is_below_the_row_of_its_container() -> None:
    story = begun(*(step(f"s{number}") for number in range(300)), total=400)
    plain = list(of(story).rows)
    inside = [
        replace(plain[0], step=plain[0].step._replace(name=f"s0[{n}]", parent="s0"), depth=1)
        for n in range(30)
    ]
    parent = replace(plain[0], step=plain[0].step._replace(children=30))
    rows = collapse_rows([*plain[1:], parent, *inside])
    (place,) = (n for n, row in enumerate(rows) if isinstance(row, SharedRow) and row.depth == 1)
    above = rows[place - 1]
    assert isinstance(above, TimelineRow)
    assert above.step.name == "s0"
    assert len(rows) <= ROWS_MAX
