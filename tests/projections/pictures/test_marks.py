"""Each state has its own marks and CSS class, with enough contrast in both colour schemes."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from orc.projections.pictures.marks import MARKS, Mark, mark_of, states_text
from orc.projections.pictures.styles import read_css
from orc.scheduler.core.fold.state import StepStatus

PALETTES = read_css().split("@media (prefers-color-scheme: dark)")[:2]


def test_every_status_of_a_step_has_marks() -> None:
    assert set(get_args(StepStatus)) <= set(MARKS)


@pytest.mark.parametrize("kind", ["word", "text", "plain"])
def test_no_two_states_share_a_mark(kind: str) -> None:
    marks = [getattr(mark, kind) for mark in MARKS.values()]

    assert len(set(marks)) == len(marks)


def test_no_two_states_share_a_shape() -> None:
    shapes = [(mark.shape, mark.glyph, mark.is_hollow) for mark in MARKS.values()]

    assert len(set(shapes)) == len(shapes)


def test_marks_for_plain_terminals_are_ascii() -> None:
    assert "".join(mark.plain for mark in MARKS.values()).isascii()


def test_an_unknown_state_has_no_marks() -> None:
    assert mark_of("imagined") == mark_of(None)


def test_counts_begin_with_the_states_that_need_attention() -> None:
    assert states_text({"succeeded": 3, "pending": 0, "failed": 1}) == "1 failed, 3 succeeded"


@pytest.mark.parametrize("mark", MARKS.values(), ids=MARKS)
def test_every_state_has_a_class_and_colours_with_enough_contrast(mark: Mark) -> None:
    assert f".{mark.css_class} {{" in read_css()
    for palette in PALETTES:
        colours = dict(re.findall(r"--orc-([\w-]+): (#\w{6})", palette))
        soft = colours[f"{mark.state}-soft"]
        assert contrast(colours[mark.state], colours["surface"]) >= 4.5
        assert contrast(colours[mark.state], soft) >= 3
        assert contrast(colours["text"], soft) >= 7
        assert contrast(colours["muted"], soft) >= 4.5
        assert contrast(colours["muted"], colours["page"]) >= 4.5
        assert contrast(colours["line"], colours["page"]) >= 3


def test_every_variable_that_is_used_is_defined() -> None:
    assert set(re.findall(r"var\((--orc-[\w-]+)\)", read_css())) <= set(
        re.findall(r"(--orc-[\w-]+):", read_css())
    )


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2.2, from 1 to 21."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    """Relative luminance, from 0 to 1, of `#rrggbb`."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
