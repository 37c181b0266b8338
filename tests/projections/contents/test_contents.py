"""Which form a file has, its tables, its JSON, and Markdown and code as harmless HTML."""

from __future__ import annotations

import json
import re
import struct
import time
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orc.projections.contents import code
from orc.projections.contents.code import code_html, cpu_deadline
from orc.projections.contents.form import (
    IMAGE_PIXELS_MAX,
    Form,
    language_named,
    pixel_size,
    read_form,
)
from orc.projections.contents.grid import CELL_CHARS_MAX, COLUMNS_MAX, NotATable, read_grid
from orc.projections.contents.json_text import indented
from orc.projections.contents.markdown import markdown_html
from tests.each_case import each_case
from tests.projections.served import HOSTILE, MARKUP, OBEYED


def png(width: int = 3, height: int = 2) -> bytes:
    """The head of a PNG image."""
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height) + b"\x08\x02\0\0\0"


JPEG = b"\xff\xd8\xff\xe0\0\x04ab\xff\xc0\0\x0b\x08\0\x05\0\x07\x01\x01\x11\0"
GIF = b"GIF89a\x09\0\x08\0\0\0\0"
WEBP = b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\x0f\0\0\x0c\0\0"


@each_case(
    "path, content, form",
    [
        ("a.png", png(), Form.IMAGE),
        ("a.txt", png(), Form.IMAGE),  # the bytes decide
        ("a.jpg", JPEG, Form.IMAGE),
        ("a.gif", GIF, Form.IMAGE),
        ("a.webp", WEBP, Form.IMAGE),
        ("a.png", b"<script>", Form.TEXT),
        ("a.png", png(IMAGE_PIXELS_MAX, 2), Form.BINARY),
        ("a.png", b"\x89PNG\r\n\x1a\n", Form.BINARY),
        ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", Form.DRAWING),
        ("a.svg", b"<html/>", Form.CODE),
        ("a.pdf", b"%PDF-1.7\n", Form.DOCUMENT),
        ("a.pdf", b"hello", Form.TEXT),
        ("a.html", b"<p>", Form.CODE),
        ("x/a.CSV", b"a,b\n", Form.TABLE),
        ("a.csv", "a,b\n".encode("utf-16"), Form.TABLE),
        ("a.jsonl", b"{}\n", Form.TABLE),
        ("a.json", b"{}", Form.JSON),
        ("README.md", b"# hi", Form.MARKDOWN),
        ("Makefile", b"all:\n", Form.CODE),
        ("a.py", b"x = 1\n", Form.CODE),
        ("a.txt", b"hello", Form.TEXT),
        ("a.csv", b"\xff\xfea", Form.BINARY),
        ("noname", b"\0\1\2", Form.BINARY),
        ("a.py", b"", Form.CODE),
    ],
)
def test_the_form_of_a_file(path: str, content: bytes, form: Form) -> None:
    assert read_form(path, content).form is form


@pytest.mark.parametrize(
    ("content", "size"),
    [(png(), (3, 2)), (JPEG, (7, 5)), (GIF, (9, 8)), (WEBP, (16, 13)), (JPEG[:12], None)],
)
def test_the_size_of_an_image_is_in_its_head(content: bytes, size: tuple[int, int] | None) -> None:
    assert pixel_size(content) == size


@given(st.binary(max_size=60), st.sampled_from([png(), JPEG, GIF, WEBP, b"%PDF-", b""]))
def test_any_bytes_have_a_form(more: bytes, head: bytes) -> None:
    read_form("a.svg", head[: len(head) // 2] + more)
    read_form("a.csv", head + more)


@pytest.mark.parametrize(
    ("text", "columns", "rows"),
    [
        ("a,b\n1,2\n", ("a", "b"), (("1", "2"),)),
        ("a;b\n1,5;2\n", ("a", "b"), (("1,5", "2"),)),
        ("a\tb\n1\t2\n", ("a", "b"), (("1", "2"),)),
        ("a|b\n1|2\n", ("a", "b"), (("1", "2"),)),
        ("a\n1\n\n2\n", ("a",), (("1",), ("2",))),
        ('a,b\n"x\ny, z",2\n', ("a", "b"), (("x\ny, z", "2"),)),
        ("a,b\r\n1,2\r\n", ("a", "b"), (("1", "2"),)),
        ("a,b\n1\n", ("a", "b"), (("1", ""),)),
        ("a,b", ("a", "b"), ()),
    ],
)
def test_csv_is_a_table(text: str, columns: tuple[str, ...], rows: object) -> None:
    grid = read_grid(text, is_lines=False, count=10)
    assert (grid.columns, grid.rows, grid.broken) == (columns, rows, frozenset())


def test_a_row_with_too_many_cells_is_shown_and_marked() -> None:
    grid = read_grid("a,b\n1,2\n3,4,5\n", is_lines=False, count=10)
    assert grid.columns == ("a", "b", "")
    assert grid.rows == (("1", "2", ""), ("3", "4", "5"))
    assert grid.broken == {2}


def test_lines_of_json_are_a_table_of_their_keys() -> None:
    text = '{"a": 1, "b": {"c": [2]}}\n\n{"d": "x"}\n[3]\nnope\n'
    grid = read_grid(text, is_lines=True, count=10)
    assert grid.columns == ("a", "b", "d", "")
    assert grid.rows == (
        ("1", '{"c": [2]}', "", ""),
        ("", "", "x", ""),
        ("", "", "", "[3]"),
        ("", "", "", "nope"),
    )
    assert grid.broken == {4}


@pytest.mark.parametrize("is_lines", [False, True])
def test_a_part_of_a_table_has_the_numbers_of_its_rows(is_lines: bool) -> None:
    lines = [json.dumps({"n": n}) if is_lines else str(n) for n in range(1, 251)]
    text = "\n".join([*([] if is_lines else ["n"]), *lines])
    grid = read_grid(text, is_lines=is_lines, first=201, count=100)
    assert (grid.first, grid.last, grid.rows_total) == (201, 250, 250)
    assert grid.rows[0] == ("201",)
    assert read_grid(text, is_lines=is_lines, first=999, count=100).rows == ()


def test_wide_tables_and_long_cells_are_cut() -> None:
    text = ",".join(["x"] * 300) + "\n" + ",".join(["y" * 200_000] + ["y" * 9000] * 299)
    grid = read_grid(text, is_lines=False, count=1)
    assert (len(grid.columns), grid.columns_total) == (COLUMNS_MAX, 300)
    assert len(grid.rows[0]) == COLUMNS_MAX
    assert grid.rows[0][0] == "y" * CELL_CHARS_MAX + "…"


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_what_is_no_table_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(NotATable):
        read_grid(text, is_lines=False, count=10)


@given(
    st.recursive(
        st.none() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_indented_json_is_the_same_value(value: object) -> None:
    text = json.dumps(value)
    shown = indented(text)
    assert shown is not None
    assert json.dumps(json.loads(shown)) == json.dumps(json.loads(text))


def test_json_keeps_what_was_written() -> None:
    assert indented('{"a":1.50,"a":[],"b":[1e999,"\\u0041"]}') == (
        '{\n  "a": 1.50,\n  "a": [],\n  "b": [\n    1e999,\n    "\\u0041"\n  ]\n}'
    )
    assert indented("{broken") is None
    assert indented("[" * 5000 + "]" * 5000) is None


class _Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


ATTACKS = (
    HOSTILE,
    MARKUP + OBEYED,
    "[x](javascript:alert(1)) [y](JaVaScRiPt&colon;alert(1)) [z](data:text/html,<script>)",
    "[x](&#106;avascript:alert(1)) [x](vbscript:a) [x](\x01javascript:alert(1)) [x](//evil.example)",
    "![x](http://evil.example/x.png) ![x](//evil.example/y) ![x](data:image/svg+xml,<svg>)",
    "![x][1]\n\n[1]: http://evil.example/z.png 'onerror=alert(1)'",
    '<http://evil.example/?a="onmouseover=alert(1)> <javascript:alert(1)>',
    '```"><script>alert(1)</script>\nx\n```',
    "```html\n<script>alert(1)</script>\n```",
    "| <script> | ![x](http://evil.example) |\n|-|-|\n| <img src=x> | [x](javascript:1) |",
    "<style>@import 'http://evil.example'</style><link rel=stylesheet href=//evil.example>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe><base href=//evil.example>",
    "&#x202e;&#27;[2J &lt;script&gt; &amp;lt;script&amp;gt;",
    "# <svg/onload=alert(1)>\n\nx <!-- --> <![CDATA[ <script> ]]>",
    "![known](chart.png \"x' onerror='alert(1)\")",
)


@pytest.mark.parametrize("attack", ATTACKS)
def test_markdown_is_harmless(attack: str) -> None:
    html = markdown_html(attack, address_of=lambda path: "/own" if path == "chart.png" else "")
    for tag, attributes in _Elements(html).found:
        assert re.fullmatch(r"a|blockquote|code|em|h[3-6]|img|li|p|pre|span|strong|t[a-z]+|ul", tag)
        assert set(attributes) <= {"href", "src", "alt", "class", "rel", "title"}, attributes
        assert re.match(r"https?://|mailto:", attributes.get("href") or "http://")
        assert attributes.get("src", "/own") == "/own"
        assert re.fullmatch(r"hl-\w+", attributes.get("class") or "hl-k")
    assert html.replace("\n", "").replace("\t", "").isprintable()


def test_a_link_names_the_server_to_which_it_leads() -> None:
    html = markdown_html("[bank](https://evil.example/x) <https://orc.example/y>")
    assert ">bank</a> (evil.example)" in html
    assert ">https://orc.example/y</a></p>" in html
    assert html.count('rel="noopener noreferrer nofollow"') == 2


def test_images_of_the_job_are_shown_and_others_are_named() -> None:
    html = markdown_html("![c](a%20b.png) ![d](http://x.example/d.png)", address_of="/f?{}".format)
    assert '<img src="/f?a b.png" alt="c">' in html
    assert "[image: d (http://x.example/d.png)]" in html


def test_markdown_has_tables_code_and_headings_below_those_of_the_page() -> None:
    html = markdown_html("# A\n\n|a|b|\n|-|-:|\n|1|2|\n\n~~x~~\n\n```python\ndef f(): pass\n```\n")
    assert "<h3>A</h3>" in html
    assert "<td>2</td>" in html
    assert '<pre><code><span class="hl-k">def</span>' in html


def test_code_is_coloured_and_stays_the_same_text() -> None:
    text = "# <b>\r\ndef f():\n\treturn '\x1b&'\n"
    html = code_html(text, "python", until=cpu_deadline())
    assert html is not None
    assert html.unescape().startswith('<span class="hl-c1"># <b></span>\n')
    assert re.sub("<[^>]+>", "", html).replace("&#x27;", "'") == (
        "# &lt;b&gt;\ndef f():\n\treturn '\\x1b&amp;'\n"
    )
    assert code_html("x", "no-such-language", until=0) is None


def test_code_that_takes_too_long_stays_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code, "_CPU_S", 0.02)
    begun = time.thread_time()
    html = code_html("int x;" + "\n" * 20_000 + "int y;", "c", until=cpu_deadline())
    assert time.thread_time() - begun < 2
    assert html is not None
    assert re.sub("<[^>]+>", "", html) == "int x;" + "\n" * 20_000 + "int y;"
    assert html.endswith("int y;")


@pytest.mark.parametrize(
    ("name", "language"), [("py", "python"), ("Python", "python"), ("nonsense", ""), ("md", "")]
)
def test_only_known_languages_are_coloured(name: str, language: str) -> None:
    assert language_named(name) == language
