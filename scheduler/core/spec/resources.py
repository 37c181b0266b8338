"""What steps take and leave: limits, concurrency, needs of machines, and files."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from orc.ledger.bounds import BLOB_BYTES_MAX
from orc.scheduler.core.spec.base import Duration, Size, Strict, shorthand

OUTPUT_LIMIT_MAX = 64 * 1024**2
LOG_LIMIT_MAX = BLOB_BYTES_MAX

NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_.-]*$"
"""The names of executors, labels and resources."""
NAME_LENGTH_MAX = 64
AMOUNT_MAX = 1e15

Executor = Annotated[str, Field(pattern=NAME_PATTERN, max_length=NAME_LENGTH_MAX)]
Label = Annotated[str, Field(pattern=NAME_PATTERN, max_length=NAME_LENGTH_MAX)]


class LimitsSpec(Strict):
    """Limits on what one attempt may leave: sizes in bytes, or such as 64K, 2M, 8G."""

    file_bytes: Size | None = Field(
        None, description="The maximum size of a captured file. Default: 16 GiB."
    )
    output_bytes: Annotated[Size, Field(le=OUTPUT_LIMIT_MAX)] | None = Field(
        None,
        description="The maximum size of a command's stdout (default: 1 MiB) or of a function's "
        "value as JSON (default: 64 MiB). At most 64 MiB.",
    )
    log_bytes: Annotated[Size, Field(le=LOG_LIMIT_MAX)] | None = Field(
        None,
        description="How much of the log is kept; the rest is cut. Default: 64 MiB. At most 256 MiB.",
    )


class ConcurrencySpec(Strict):
    """The maximum number of steps that run at once: `total`, and per provider or executor by name.

    Steps on other executors than `local` do not count in `total`.
    """

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, defer_build=True)
    __pydantic_extra__: dict[str, Annotated[int, Field(ge=1)]]

    total: int = Field(
        4, ge=1, le=100_000, description="The maximum over all steps on this machine."
    )


Concurrency = Annotated[
    ConcurrencySpec,
    BeforeValidator(shorthand("total", int), json_schema_input_type=int | ConcurrencySpec),
]


def _one_or_more(value: Any) -> Any:
    """A single amount as a list: it holds for every attempt."""
    return value if isinstance(value, list) else [value]


def _check_amount(value: float) -> float:
    if not math.isfinite(value) or not 0 <= value <= AMOUNT_MAX:
        raise ValueError("must be a number of at least 0")
    return value


Amount = Annotated[float, AfterValidator(_check_amount)]
Amounts = Annotated[
    list[Amount],
    Field(min_length=1, max_length=100),
    BeforeValidator(_one_or_more, json_schema_input_type=float | list[float]),
]
Sizes = Annotated[
    list[Size],
    Field(min_length=1, max_length=100),
    BeforeValidator(_one_or_more, json_schema_input_type=int | str | list[int | str]),
]
Durations = Annotated[
    list[Duration],
    Field(min_length=1, max_length=100),
    BeforeValidator(_one_or_more, json_schema_input_type=float | str | list[float | str]),
]


class ResourcesSpec(Strict):
    """What an attempt needs: a value, or a list with one for each attempt, the last for all later
    ones. Other names are amounts of resources that the site's workers have under these names."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, defer_build=True)
    __pydantic_extra__: dict[str, Amounts]

    cpu: Amounts | None = Field(None, description="The number of processors.")
    memory: Sizes | None = Field(None, description="Memory: bytes, or such as 512M, 16G.")
    gpu: Amounts | None = Field(None, description="The number of graphics processors.")
    time: Durations | None = Field(
        None, description="The time that it takes at most, for executors that plan with it."
    )
    scratch: Sizes | None = Field(None, description="Space on the machine's disk.")


class FileSpec(Strict):
    """A file to write (`path`, `content`), or files to capture (`glob`)."""

    path: str | None = Field(None, description="The path, relative to outputs/<project>/.")
    content: str | None = Field(
        None,
        description="The file's content. Default: the step's text, without a code fence around it; "
        "of a value that is no text, its JSON.",
    )
    glob: str | None = Field(
        None,
        description="A name or a pattern of files that the step's command or function writes, or, "
        "with a `/` at its end, a folder.",
    )
    required: bool | None = Field(
        None,
        description="Whether something must be there for `glob`. Default: a name must, and a "
        "pattern without a match is a warning. With false nothing is said.",
    )


File = Annotated[
    FileSpec, BeforeValidator(shorthand("glob", str), json_schema_input_type=str | FileSpec)
]
