"""Reads the rows of a Parquet file, with the optional package pyarrow."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Iterator
from typing import Any, BinaryIO

from orc.cli.errors import EnvironmentProblem

_BATCH_ROWS = 1000


def parquet_rows(file: BinaryIO) -> Iterator[tuple[None, dict[str, Any]]]:
    """The rows, with values of JSON: times become ISO 8601 texts, decimal numbers texts.

    Raises EnvironmentProblem without the package, ValueError for a damaged file, and for a column
    of bytes.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise EnvironmentProblem(
            "a Parquet table needs the package pyarrow; install it with "
            "pip install 'orc-ledger[parquet]', or give the table as CSV"
        ) from None
    try:
        table = parquet.ParquetFile(file)
        _check_names(table.schema_arrow.names)
        for batch in table.iter_batches(batch_size=_BATCH_ROWS):
            # Without pandas, pyarrow gives no nanoseconds; so there are none with it either.
            schema = pa.schema([_in_microseconds(field, pa) for field in batch.schema])
            rows = batch.cast(schema, safe=False).to_pylist(maps_as_pydicts="lossy")
            for row in rows:
                yield None, {name: _plain(value, name) for name, value in row.items()}
    except (pa.ArrowException, OSError) as error:
        # It says of damaged bytes that they are an error of the disk.
        said = str(error).partition("\n")[0]
        raise ValueError(f"it is not a Parquet file that can be read: {said}") from None


def _check_names(names: list[str]) -> None:
    for number, name in enumerate(names):
        if name in names[:number]:
            raise ValueError(f"two columns have the name {name!r}; rename one of them")


def _in_microseconds(field: Any, pa: Any) -> Any:
    kind = field.type
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return field.with_type(pa.timestamp("us", kind.tz))
    if pa.types.is_time64(kind) and kind.unit == "ns":
        return field.with_type(pa.time64("us"))
    if pa.types.is_duration(kind) and kind.unit == "ns":
        return field.with_type(pa.duration("us"))
    return field


def _plain(value: Any, column: str) -> Any:
    match value:
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
        case dt.timedelta():
            return value.total_seconds()
        case decimal.Decimal():
            return str(value)
        case bytes():
            raise ValueError(f"column {column!r} has bytes, which JSON does not have; leave it out")
        case float() if value != value:
            return None
        case dict():
            return {str(key): _plain(item, column) for key, item in value.items()}
        case list():
            return [_plain(item, column) for item in value]
        case _:
            return value
