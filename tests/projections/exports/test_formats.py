"""Every format of `orc export`: its module, and where the page tells of it."""

from __future__ import annotations

import re

import pytest

from orc.projections.exports.formats import FORMATS, Format, render
from tests.builders import step
from tests.docs.conftest import read_page
from tests.projections.exported import source_of
from tests.projections.support import begun

PAGE = read_page("docs/exports.md")
ONE_FILE = [form for form in FORMATS.values() if form.suffix is not None]


def test_every_format_has_a_line_in_the_table_and_those_made_for_others_a_section() -> None:
    assert {*re.findall(r"^\| `([\w-]+)` \|", PAGE, re.MULTILINE)} == {*FORMATS}
    assert {*re.findall(r"^## (.+)$", PAGE, re.MULTILINE)} == {*FORMATS} - {"folder"} | {"Tables"}


@pytest.mark.parametrize("form", ONE_FILE, ids=lambda form: form.name)
@pytest.mark.parametrize("content", [True, False])
def test_a_format_of_one_file_is_ascii_that_no_terminal_obeys(form: Format, content: bool) -> None:
    poison = "\x1b]0;owned\x07\u202e"
    story = begun(step("a")).start("a").fail("a", message=poison)
    with source_of(story) as source:
        text = render(form, source, content=content)

    assert text.isascii()
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text)
