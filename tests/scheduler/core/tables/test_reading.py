"""Tables as texts: delimiters, encodings, and the types of columns."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest

from orc.scheduler.core.spec.input_spec import ColumnType, TableFormat
from orc.scheduler.core.tables.delimited import find_delimiter
from orc.scheduler.core.tables.encodings import encoding_of, known_encoding, text_of
from orc.scheduler.core.tables.reading import converted, parse_table


@pytest.mark.parametrize(
    ("sample", "delimiter"),
    [
        ("a,b\n1,2\n", ","),
        ("a;b\n1,5;2\n", ";"),
        ("a\tb\n1\t2\n", "\t"),
        ("a|b\n1|2\n", "|"),
        ("a\none, two\n", ","),
        ('a;b\n"x;y,z";2\n', ";"),
        ("", ","),
        ("alone\n", ","),
    ],
)
def test_the_delimiter_is_the_one_that_fits_most_rows(sample: str, delimiter: str) -> None:
    assert find_delimiter(sample) == delimiter


@pytest.mark.parametrize(
    "codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
def test_an_encoding_is_known_by_its_first_bytes(codec: str) -> None:
    assert text_of("Größe;1\n".encode(codec)) == "Größe;1\n"


def test_bytes_that_are_no_text_say_why() -> None:
    for content, said in (
        (b"\x89PNG\r\n", "a picture"),
        (b"a\0b", "NUL"),
        (b"a\n\xff\xfa", "line 2 is not UTF-8 text"),
    ):
        with pytest.raises(ValueError, match=said):
            text_of(content)
    assert encoding_of(b"")[0] == "utf-8"
    with pytest.raises(ValueError, match="there is no encoding 'base64'"):
        known_encoding("base64")
    assert known_encoding("latin-1") == "iso8859-1"


@pytest.mark.parametrize(
    ("value", "kind", "wanted"),
    [
        ("12", "integer", 12),
        (" -3 ", "integer", -3),
        ("1.5", "number", 1.5),
        ("2", "number", 2),
        ("yes", "boolean", True),
        ("0", "boolean", False),
        ("", "integer", None),
        ("", "string", ""),
        (None, "number", None),
        (3, "integer", 3),
    ],
)
def test_a_value_has_the_type_of_its_column(value: Any, kind: ColumnType, wanted: Any) -> None:
    found = converted(value, kind)
    assert found == wanted
    assert type(found) is type(wanted)


@pytest.mark.parametrize(
    ("value", "kind"),
    [("x", "integer"), ("1.5", "integer"), ("nan", "number"), ("maybe", "boolean"), (3, "string"),
     (True, "integer"), ([], "number")],
)  # fmt: skip
def test_a_value_of_another_type_is_refused(value: Any, kind: ColumnType) -> None:
    with pytest.raises(ValueError, match=f"must be of type {kind}"):
        converted(value, kind)


@pytest.mark.parametrize(
    ("table_format", "text", "said"),
    [
        ("jsonl", '{"a": 1}\n{"a"\n', "line 2 is not JSON"),
        ("jsonl", '{"a": "1"}\n{"a": "\\ud800"}\n', "line 2 is not JSON: half of a pair"),
        ("json", '[{"\\ud800": 1, "\\udfff": 2}]', "it is not JSON: half of a pair"),
        ("jsonl", '{"a": 1}\n[1]\n', "line 2: a row is a mapping"),
        ("json", '{"a": 1}', "a table is a list of mappings; this is a mapping"),
        ("json", "[1]", "row 1: a row is a mapping"),
        ("json", "[", "it is not JSON"),
        ("yaml", "- {a: 1, a: 2}", "line 1"),
        ("csv", "a\nx\n", "line 2, column 'a': must be of type integer; got 'x'"),
        ("csv", "b\nx\n", "`columns` names 'a', which the table does not have"),
        ("jsonl", '{"b": 1}\n', "`columns` names 'a', which the table does not have"),
    ],
)
def test_what_is_wrong_has_its_place(table_format: TableFormat, text: str, said: str) -> None:
    file = io.StringIO(text, newline="")
    with pytest.raises(ValueError, match=re.escape(said)):
        list(parse_table(file, name="t", table_format=table_format, types={"a": "integer"}))
