"""The colours of logs: which sequences have an effect, and that nothing else of a log has."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orc.projections.contents.ansi import ansi_html


def line(text: str) -> str:
    return str(ansi_html(text)).removeprefix('<span class="l">').removesuffix("</span>")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m.", '<span class="a-f1">red</span>.'),
        ("\x1b[91mred\x1b[39m.", '<span class="a-f1">red</span>.'),
        ("\x1b[1;4;42mx\x1b[22;49my", '<span class="a-bold a-underline a-b2">x</span>'
         '<span class="a-underline">y</span>'),
        ("\x1b[38;5;9mx\x1b[m.", '<span class="a-f1">x</span>.'),
        ("\x1b[38;5;33mx", '<span class="a-f4">x</span>' ),
        ("\x1b[38;2;250;20;20mx", '<span class="a-f1">x</span>'),
        ("\x1b[48:2:0:250:0mx", '<span class="a-b2">x</span>'),
        ("\x1b[38;5mx", "x"),
        ("\x1b[2K\x1b[1Ax\x1b[?25l\x1b(B", "x"),
        ("\x1b[8mconcealed", "concealed"),
        ("\x1b[31m<b>\"'&", '<span class="a-f1">&lt;b&gt;&#34;&#39;&amp;</span>'),
        ("\x1b]8;;javascript:alert(1)\x07x", "\\x1b]8;;javascript:alert(1)\\x07x"),
        ("a\rb\x9b31m\u202e\tc", "a\\x0db\\x9b31m\\u202e\tc"),
        ("\x1b[" + "1;" * 40 + "m", "\\x1b[" + "1;" * 40 + "m"),
    ],
)  # fmt: skip
def test_a_line_has_its_colours_and_no_other_control_characters(text: str, shown: str) -> None:
    assert line(text) == shown


def test_a_colour_goes_on_in_the_next_line() -> None:
    text = str(ansi_html("a\x1b[32m\r\nb\n\nc\x1b[0md\n"))
    green = '<span class="a-f2">{}</span>'.format
    assert text.split("\n") == [
        '<span class="l">a</span>',
        f'<span class="l">{green("b")}</span>',
        '<span class="l"></span>',
        f'<span class="l">{green("c")}d</span>',
    ]


@given(st.lists(st.sampled_from(["\x1b", "[", "3", "1", ";", "m", "<b>", "&", "\n", "é", "\x07"])))
def test_any_text_gives_only_spans_of_our_own(parts: list[str]) -> None:
    shown = str(ansi_html("".join(parts)))
    assert re.sub(r'<span class="[a-z0-9 -]+">|</span>', "", shown).count("<") == 0
    assert shown.count("<span") == shown.count("</span>")
    assert "\x1b" not in shown
    assert "\x07" not in shown
