"""Odd and hostile tables: each gives its rows, or says what is wrong, where, and what to do."""

from __future__ import annotations

import io
from typing import Any

import pytest

from orc.cli.jobs.caller.table_files import TableFile
from orc.scheduler.core.spec.input_spec import InputSpec
from tests.each_case import each_case

PLAIN = "q,a\n1,x\n2,y\n"
ROWS = [{"q": "1", "a": "x"}, {"q": "2", "a": "y"}]


def read(content: str | bytes, name: str = "t.csv", **spec: Any) -> tuple[list[Any], str]:
    """The rows, and how they were read. Raises ValueError."""
    bytes_ = content if isinstance(content, bytes) else content.encode()
    file = TableFile(io.BytesIO(bytes_), name=name, spec=InputSpec(type="table", **spec))
    return list(file.rows()), file.table.read_as


@pytest.mark.parametrize(
    ("content", "read_as"),
    [
        (PLAIN, "comma, UTF-8"),
        (PLAIN.replace(",", ";"), "semicolon, UTF-8"),
        (PLAIN.replace(",", "\t"), "tab, UTF-8"),
        (PLAIN.replace(",", "|"), "vertical bar, UTF-8"),
        (PLAIN.replace("\n", "\r"), "comma, UTF-8"),
        (PLAIN.replace("\n", "\r\n"), "comma, UTF-8"),
        ("\n\n" + PLAIN.replace("\n", "\n\n"), "comma, UTF-8"),
        (" q ,a\n1,x\r\n2,y", "comma, UTF-8"),
        (PLAIN.encode("utf-8-sig"), "comma, UTF-8"),
        (PLAIN.encode("utf-16"), "comma, UTF-16"),
        (PLAIN.encode("utf-16-le"), "comma, UTF-16"),
        (PLAIN.encode("utf-16-be"), "comma, UTF-16"),
        (b"\xfe\xff" + PLAIN.encode("utf-16-be"), "comma, UTF-16"),
        (PLAIN.encode("utf-32"), "comma, UTF-32"),
    ],
)
def test_dialects_and_encodings_are_found_and_said(content: str | bytes, read_as: str) -> None:
    assert read(content) == (ROWS, read_as)


@pytest.mark.parametrize(
    ("content", "encoding", "read_as"),
    [
        (PLAIN, "latin-1", "comma, iso8859-1"),
        (PLAIN.encode("utf-8-sig"), "utf-8", "comma, UTF-8"),
        (PLAIN.encode("utf-16"), "utf-16-le", "comma, UTF-16"),
        (PLAIN.encode("utf-16-le"), "utf-16-le", "comma, utf-16-le"),
    ],
)
def test_a_given_encoding_keeps_no_byte_order_mark_in_the_first_name(
    content: str | bytes, encoding: str, read_as: str
) -> None:
    assert read(content, encoding=encoding) == (ROWS, read_as)


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ('q;a\n"one\ntwo, ""three""";x\n', [{"q": 'one\ntwo, "three"', "a": "x"}]),
        ('q,a\n"a\rb",1"2\n', [{"q": "a\rb", "a": '1"2'}]),
        # U+2028 ends a line of a text, and no row.
        ("n, m;a\nx;y\u2028b,c\u2028d,e\n", [("x", "y\u2028b,c\u2028d,e")]),
        ("q,a\n1\x85,2\x0b\x1c\n", [("1\x85", "2\x0b\x1c")]),
        ("text\nHello; you\nBye\n", [{"text": "Hello; you"}, {"text": "Bye"}]),
        ("name;price\nA;1,5\nB;2,5\n", [("A", "1,5"), ("B", "2,5")]),
        ("q,Q\n1,2\n", [{"q": "1", "Q": "2"}]),
        ("q,a\n", []),
        ('q,a\n"' + "x" * 10_000_000 + '",y\n', [("x" * 10_000_000, "y")]),
        (",".join(f"c{n}" for n in range(3000)) + "\n" + ",".join("1" * 3000), [("1",) * 3000]),
    ],
)  # fmt: skip
def test_odd_cells_are_kept_as_they_are(content: str, rows: list[Any]) -> None:
    found, _ = read(content)
    assert [row if isinstance(row, dict) else tuple(row) for row in rows] == [
        one if isinstance(wanted, dict) else tuple(one.values())
        for one, wanted in zip(found, rows, strict=True)
    ]


@each_case(
    "content, said",
    [
        ("", "the file is empty; its first line must name the columns"),
        (b"\xef\xbb\xbf\n\n", "the file is empty; its first line must name the columns"),
        ("q,a,\n", "line 1: column 3 has no name; name it, or remove it"),
        ("\n\nq,q\n", "line 3: two columns have the name 'q'; rename one of them"),
        ("sep=;\nq;a\n", "line 1 is a note for a spreadsheet (`sep=`)"),
        ("q,a\n1\n", "line 2 has 1 field, and line 1 has 2 columns (comma); put a field that "
         "contains a line break in double quotes"),
        ("q,a\n1,2,3\n", "line 2 has 3 fields, and line 1 has 2 columns (comma); put a field that "
         "contains the delimiter in double quotes"),
        ('q,a\n1,2\n"1,x\n2,y\n', "line 3: its quote is never closed"),
        ('"q,a\n1,2\n', "line 1: its quote is never closed"),
        ('q,a\n"' + "x\n" * 500_000, "line 2: its quote is never closed"),
        ('q,a\n"1"2,x\n', "line 2: a quote in a field in quotes must be doubled"),
        (b"q,a\n" + b"x,y\n" * 2000 + b"1,\0\n", "line 2,002 has a NUL byte"),
        (b"q\0,a\n", "it contains NUL bytes, so that it is not UTF-8 text; name its encoding"),
        ("问题,答案\n".encode("utf-16-le"), "name its encoding for the input, such as `encoding: "
         "utf-16-le`"),
        (PLAIN.encode("utf-16")[:-1], "line 4 is not UTF-16 text; save the file as UTF-8"),
        ("q\n" + "x\n" * 9000 + "é\n", None),
        (("q\n" + "x\n" * 9000 + "é\n").encode("latin-1"), "line 9,002 is not UTF-8 text; save"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0", "(.xls) or document, not text; export it as CSV"),
        (bytes(range(256)) * 20, "NUL bytes"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_refused_with_its_place_and_what_to_do(
    content: str | bytes, said: str | None
) -> None:
    if said is None:
        assert read(content)[0][-1] == {"q": "é"}
        return
    with pytest.raises(ValueError) as refused:
        read(content)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("content", "encoding", "said"),
    [
        (PLAIN, "utf-16", "line 1 is not utf-16 text; save the file as UTF-8"),
        (PLAIN.encode("utf-16"), "utf-8", "the byte order mark of UTF-16, and `encoding` says"),
        (PLAIN.encode("utf-8-sig"), "latin-1", "leave `encoding` out"),
        (b"q\0,a\n", "latin-1", "line 1 has a NUL byte"),
        (PLAIN, "hex", "there is no encoding 'hex'; write one such as utf-8"),
    ],
)
def test_a_wrong_encoding_is_refused(content: str | bytes, encoding: str, said: str) -> None:
    with pytest.raises(ValueError) as refused:
        read(content, encoding=encoding)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "value", ["1,234.5", "1,234", "1'234", "1\u00a0234", "1_000", "1.234,5", "1,5", "1 234"]
)
@pytest.mark.parametrize("kind", ["number", "integer"])
def test_a_number_with_separators_is_refused_and_never_misread(value: str, kind: str) -> None:
    with pytest.raises(ValueError, match=r"line 2, column 'n'.*without separators of thousands"):
        read(f"q;n\na;{value}\n", columns={"n": kind})


@pytest.mark.parametrize(
    "value", ["nan", "inf", "-Infinity", "1e400", "١٢", "0x10", "1e", ".", "9" * 5000]
)
def test_what_only_python_takes_for_a_number_is_refused(value: str) -> None:  # fmt: skip
    with pytest.raises(ValueError, match="line 2, column 'n': must be of type number; got"):
        read(f"q;n\na;{value}\n", columns={"n": "number"})


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.json", "", "the file is empty; a table is a list of mappings"),
        ("t.yaml", "", "the file is empty; a table is a list of mappings"),
        ("t.json", "[" * 100_000, "nested too deeply"),
        ("t.json", '{"a": 1}', "a table is a list of mappings; this is a mapping"),
        ("t.jsonl", '{"a": 1}\n[1]\n', "line 2: a row is a mapping of columns to values"),
        ("t.jsonl", '{"a": NaN}\n', "line 1 is not JSON: NaN is not a JSON number"),
        ("t.jsonl", '{"a": 1, "a": 2}\n', "a key appears twice"),
        ("t.tsv", "q\ta\n1\n", "line 2 has 1 field, and line 1 has 2 columns (tab)"),
    ],
)
def test_other_formats_are_refused_with_their_place(name: str, content: str, said: str) -> None:
    with pytest.raises(ValueError) as refused:
        read(content, name=name)
    assert said in str(refused.value)
