"""The keys of an input in a spec."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from orc.scheduler.core.spec.base import Filled, Size, Strict

TableFormat = Literal["csv", "tsv", "jsonl", "json", "yaml", "parquet"]
ColumnType = Literal["string", "number", "integer", "boolean"]


class InputSpec(Strict):
    """A value that the caller gives with `-i NAME=VALUE`."""

    type: Literal[
        "string", "number", "integer", "boolean", "list", "object", "file", "files", "table"
    ] = Field(
        "string",
        description="The type of the value. The values of `file`, `files` and `table` are read from "
        "files at submission and kept in the ledger.",
    )
    description: str | None = Field(
        None, description="An explanation, shown when orc asks for the value."
    )
    required: bool | None = Field(
        None, description="Whether a value must be given. Default: true if there is no `default`."
    )
    default: Any = Field(None, description="The value if none is given.")
    enum: list[Any] | None = Field(None, min_length=1, description="The allowed values.")
    format: TableFormat | None = Field(
        None, description="Of a table: the format of its file. Default: by the file's suffix."
    )
    columns: dict[str, ColumnType] | None = Field(
        None,
        description="Of a table: the types of columns: string, number, integer or boolean. Other "
        "columns of CSV are texts, and those of other formats are as they are in the file.",
    )
    encoding: Filled | None = Field(
        None,
        description="Of a table: the encoding of its file, such as windows-1252. Default: UTF-8 or "
        "UTF-16, as found in the file.",
    )
    allow_empty: bool | None = Field(
        None, description="Of files and tables: whether there may be no file, or no row."
    )
    max_size: Size | None = Field(
        None,
        description="Of a file, of files and of a table: the largest size of each file. Default: "
        "256 MiB.",
    )
