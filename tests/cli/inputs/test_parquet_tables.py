"""Parquet as the file of a table: what its types become, and what is refused."""

from __future__ import annotations

import builtins
import datetime as dt
import io
from decimal import Decimal
from typing import Any

import pytest

from orc.cli.errors import EnvironmentProblem
from orc.cli.jobs.caller.table_files import TableFile
from orc.scheduler.core.spec.input_spec import InputSpec
from tests.each_case import each_case

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")


def parquet(**columns: Any) -> bytes:
    """A Parquet file with these columns: lists, or arrays of pyarrow."""
    from pyarrow import parquet as writer

    stream = io.BytesIO()
    writer.write_table(pa.table(columns), stream)
    return stream.getvalue()


def read(content: bytes, **spec: Any) -> list[dict[str, Any]]:
    file = TableFile(io.BytesIO(content), name="t.parquet", spec=InputSpec(type="table", **spec))
    assert file.table.read_as == "Parquet"
    return list(file.rows())


DAY = dt.datetime(2026, 2, 28, 23, 59, 59, 250000)
UTC_DAY = DAY.replace(tzinfo=dt.UTC)


@each_case(
    "column, values",
    [
        (["a", None, ""], ["a", None, ""]),
        ([1, None, -(2**63)], [1, None, -(2**63)]),
        (pa.array([2**64 - 1], pa.uint64()), [2**64 - 1]),
        ([0.1, None, float("nan")], [0.1, None, None]),
        ([True, None, False], [True, None, False]),
        ([DAY], ["2026-02-28T23:59:59.250000"]),
        (pa.array([UTC_DAY], pa.timestamp("ns", "UTC")), ["2026-02-28T23:59:59.250000+00:00"]),
        ([DAY.date(), None], ["2026-02-28", None]),
        ([DAY.time()], ["23:59:59.250000"]),
        ([dt.timedelta(seconds=90)], [90.0]),
        ([Decimal("1.10"), None], ["1.10", None]),
        ([["a", None], [], None], [["a", None], [], None]),
        ([[[1], []]], [[[1], []]]),
        ([{"a": [DAY.date()], "b": {"c": None}}], [{"a": ["2026-02-28"], "b": {"c": None}}]),
        (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())), [{"k": 1}]),
        (pa.array(["x", "y"]).dictionary_encode(), ["x", "y"]),
        (pa.nulls(2), [None, None]),
    ],
)
def test_each_type_becomes_a_value_of_json(column: Any, values: list[Any]) -> None:
    assert [row["c"] for row in read(parquet(c=column))] == values


def test_a_time_has_microseconds_whether_or_not_pandas_is_installed() -> None:
    column = pa.array([1_700_000_000_123_456_789], pa.timestamp("ns"))
    assert read(parquet(c=column)) == [{"c": "2023-11-14T22:13:20.123456"}]


def test_many_rows_come_in_parts_and_an_empty_file_has_none() -> None:
    assert [row["n"] for row in read(parquet(n=list(range(2500))))] == list(range(2500))
    assert read(parquet(n=pa.array([], pa.int64()))) == []


def test_types_of_columns_are_checked() -> None:
    content = parquet(n=["1", "x"])
    with pytest.raises(ValueError, match="row 2, column 'n': must be of type integer; got 'x'"):
        read(content, columns={"n": "integer"})
    with pytest.raises(ValueError, match="`columns` names 'm', which the table does not have"):
        read(content, columns={"m": "integer"})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is not a Parquet file that can be read"),
        (b"PAR1", "it is not a Parquet file that can be read"),
        (b"q,a\n1,2\n" * 9, "it is not a Parquet file that can be read"),
        (parquet(n=[1])[:-20], "it is not a Parquet file that can be read"),
        (parquet(n=["x" * 5000])[:200] + parquet(n=[1])[200:], "it is not a Parquet file"),
        (parquet(n=[b"\xff\0"]), "column 'n' has bytes, which JSON does not have; leave it out"),
        (parquet(n=[[b"\xff\0"]]), "column 'n' has bytes"),
        (parquet(n=[float("inf")]), "row 1 cannot be stored"),
    ],
)
def test_what_cannot_be_read_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(ValueError) as refused:
        read(content)
    assert said in str(refused.value)


def test_two_columns_of_the_same_name_are_refused() -> None:
    from pyarrow import parquet as writer

    stream = io.BytesIO()
    writer.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]), stream)
    with pytest.raises(ValueError, match="two columns have the name 'a'; rename one of them"):
        read(stream.getvalue())


def test_a_damaged_page_is_refused() -> None:
    content = bytearray(parquet(n=[f"text {n}" for n in range(3000)]))
    for at in range(40, 2000, 7):
        content[at] ^= 0x5A
    with pytest.raises(ValueError, match="it is not a Parquet file that can be read"):
        read(bytes(content))


def test_without_the_package_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = builtins.__import__

    def without(name: str, *told: Any, **more: Any) -> Any:
        if name.partition(".")[0] == "pyarrow":
            raise ImportError(name)
        return real(name, *told, **more)

    content = parquet(n=[1])
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(EnvironmentProblem, match=r"pip install 'orc-ledger\[parquet\]'"):
        read(content)
