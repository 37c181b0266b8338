"""Reads the values of a ledger's rows: times, JSON and the columns of events.

A ledger may come from another person, who can write anything into it and compute the hashes anew.
Each value is therefore checked where it is read. This module imports no event models, for fast
start-up.
"""

from __future__ import annotations

import json
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import accumulate
from typing import Any

from orc.ledger.errors import CorruptLedger
from orc.ledger.files.modes import is_mode
from orc.ledger.names import is_job_id, shown, shown_text, verify_first
from orc.ledger.step_names import STEP_CHARS_MAX

UNEXPECTED = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)
"""The errors that code raises which relies on stored values, if another program has changed them."""

DEPTH_MAX = 600
"""The maximum depth of JSON in an event. The values in it have at most 1 kB, so that 512 is enough."""

INTEGER_MAX = 2**53
"""The largest count, size or number in an event; values from models may be larger."""

FLOAT_MAX = 1e15
"""The largest duration, time or cost in an event."""

ATTEMPT_MAX = 2**31

_TIME = re.compile(
    r"(?!0000)\d{4}-(?:0[1-9]|1[0-2])-(?:[0-2]\d|3[01])T"
    r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{6}Z",
    re.ASCII,
)
_SURROGATE = "\\ud"
good_ids: set[str] = set()
"""The job id that was checked last: events are read job by job."""
good_times: set[str] = set()
"""The time that was checked last: events that are appended together have the same."""
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*+"')


class _Decoder(threading.local):
    """Decodes JSON, in each thread on its own. `large` has the large numbers of the last text."""

    def __init__(self) -> None:
        self.large: list[str] = []
        self._decoder = json.JSONDecoder(
            parse_int=self._integer, parse_float=self._real, parse_constant=_constant
        )
        # The types of the standard library lack this attribute.
        self._scan: Callable[[str, int], tuple[Any, int]] = self._decoder.scan_once  # type: ignore[attr-defined]

    def decode(self, text: str) -> Any:
        self.large.clear()
        try:
            value, end = self._scan(text, 0)
        except StopIteration:
            end = -1
        # Space around the value, or what is wrong with the text, is found by the slower function.
        return value if end == len(text) else self._decoder.decode(text)

    def _integer(self, text: str) -> int:
        if len(text) > 15:
            self.large.append(text)
        return int(text)

    def _real(self, text: str) -> float:
        value = float(text)
        if not -FLOAT_MAX <= value <= FLOAT_MAX:
            self.large.append(text)
            if value in (float("inf"), float("-inf")):
                raise ValueError(f"the number {shown(text)} is too large")
        return value


def _constant(text: str) -> Any:
    raise ValueError(f"{text} is not a number of JSON")


_decoder = _Decoder()


def parse_time(value: object) -> datetime:
    """The UTC time of a stored text such as 2026-01-02T03:04:05.000006Z. Raises CorruptLedger."""
    if type(value) is str and _TIME.fullmatch(value):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            pass
    raise CorruptLedger(f"the ledger has {shown(value)} in place of a time; {verify_first()}")


def parse_json(value: object) -> Any:
    """The value of a stored JSON text; a damaged one raises CorruptLedger.

    Damaged are also numbers that JSON does not know, numbers with thousands of digits, texts that
    are no Unicode, and values that are nested too deeply to be converted.
    """
    if not isinstance(value, str | bytes):
        raise CorruptLedger(f"the ledger has {shown(value)} in place of JSON; {verify_first()}")
    try:
        text = value if isinstance(value, str) else value.decode()
        found = _decoder.decode(text)
        if _SURROGATE in text.lower():
            json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise CorruptLedger(
            f"a stored value is not JSON: {_reason(error)}; {verify_first()}"
        ) from None
    return found


def parse_object(value: object) -> dict[str, Any]:
    """The JSON object of a stored text. Raises CorruptLedger."""
    found = parse_json(value)
    if type(found) is not dict:
        raise CorruptLedger(
            f"the ledger has {shown(found)} in place of an object; {verify_first()}"
        )
    return found


def check_event(row: tuple[Any, ...]) -> tuple[dict[str, Any], bool]:
    """The data of an event's row, and whether it has numbers for `check_number`.

    The row has the columns position, job_id, version, type, step, attempt, recorded_at, data and
    hash. The events of ledgers and of bundles are read with this function. Raises CorruptLedger.
    """
    if not has_event_types(row):
        raise _damaged(row, "a column has a value of another type")
    _, job_id, version, type_name, step, attempt, recorded_at, data, _ = row
    if not is_good_job(job_id):
        raise _damaged(row, f"{shown(job_id)} is not a job id")
    if not is_good_time(recorded_at):
        raise _damaged(row, f"{shown(recorded_at)} is not a valid time")
    if step is None:
        if attempt is not None:
            raise _damaged(row, "it has an attempt and no step")
    elif not _is_step(step):
        raise _damaged(row, f"{shown(step)} is not the id of a step")
    elif attempt is not None and not (type(attempt) is int and 0 <= attempt <= ATTEMPT_MAX):
        raise _damaged(row, f"{shown(attempt)} is not the number of an attempt")
    if (version == 1) is not (type_name == "job.submitted"):
        raise _damaged(row, "job.submitted must be the first event, and only that")
    try:
        fields = _decoder.decode(data)
        if len(data) > DEPTH_MAX:
            _refuse_depth(data)
        if "\\u" in data and _SURROGATE in data.lower():
            json.dumps(fields, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise _damaged(row, f"its data is not JSON: {_reason(error)}") from None
    if type(fields) is not dict:
        raise _damaged(row, "its data is no object")
    return fields, bool(_decoder.large)


def is_good_job(job_id: object) -> bool:
    """The same as `is_job_id`, faster for the id that was good last."""
    if job_id in good_ids:
        return True
    if not is_job_id(job_id):
        return False
    good_ids.clear()
    good_ids.add(str(job_id))
    return True


def is_good_time(text: str) -> bool:
    """Whether the text is a time as events have it."""
    if text in good_times:
        return True
    if _TIME.fullmatch(text) is None or (text[8:10] > "28" and not _is_day(text)):
        return False
    good_times.clear()
    good_times.add(text)
    return True


def has_event_types(row: tuple[Any, ...]) -> bool:
    """Whether the columns of an event's row, as for `check_event`, have values of their types."""
    _, job_id, version, type_name, step, attempt, recorded_at, data, digest = row
    return (
        type(job_id) is type(type_name) is type(recorded_at) is type(data) is type(digest) is str
        and type(version) is int
        and (step is None or type(step) is str)
        and (attempt is None or type(attempt) is int)
    )


def check_number(value: int | float, *, name: str, where: str) -> None:
    """Raise CorruptLedger for a number that no count, size, time or cost of an event can have."""
    if abs(value) > (INTEGER_MAX if type(value) is int else FLOAT_MAX):
        raise CorruptLedger(
            f"{where}: {name} is {shown(value)}, which is too large; {verify_first()}"
        )


def check_path(path: str, *, where: str) -> None:
    """Raise CorruptLedger if the path of a file leads out of the job's folder."""
    if any(part in ("", ".", "..") or "\0" in part for part in path.split("/")):
        raise CorruptLedger(
            f"{where}: it names the file {shown(path)}, which is not inside the job's folder; "
            f"{verify_first()}"
        )


def check_mode(mode: str | None, *, where: str) -> None:
    """Raise CorruptLedger if the mode of a file is none that orc records."""
    if mode is not None and not is_mode(mode):
        raise CorruptLedger(f"{where}: a file has the mode {shown(mode)}; {verify_first()}")


@contextmanager
def as_damage(what: str) -> Iterator[None]:
    """Turn the errors of UNEXPECTED into CorruptLedger: `what` cannot be derived from the events."""
    try:
        yield
    except UNEXPECTED as error:
        cause = f"{type(error).__name__}: {shown_text(str(error))}"
        raise CorruptLedger(f"{what} ({cause}); {verify_first()}") from error


def _is_step(step: object) -> bool:
    # A step's id is also the name of its log and of its folder of artifacts.
    return (
        type(step) is str
        and 0 < len(step) <= STEP_CHARS_MAX
        and step not in (".", "..")
        and "\0" not in step
    )


def _is_day(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _refuse_depth(text: str) -> None:
    if text.count("[") + text.count("{") > DEPTH_MAX and _depth(text) > DEPTH_MAX:
        raise RecursionError


def _depth(text: str) -> int:
    """The depth of a JSON text."""
    marks = _QUOTED.sub("", text)
    steps = (1 if mark in "[{" else -1 for mark in marks if mark in "[]{}")
    return max(accumulate(steps), default=0)


def _damaged(row: tuple[Any, ...], problem: str) -> CorruptLedger:
    return CorruptLedger(f"event {shown(row[2])} of {shown(row[1])}: {problem}; {verify_first()}")


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeError):
        return "it has a text that is not Unicode"
    return shown_text(str(error))
