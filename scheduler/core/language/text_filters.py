"""Filters and tests of texts: parts, tables, patterns, likeness, times."""

from __future__ import annotations

import csv
import json
import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from orc.ledger.digest import clean_text
from orc.ledger.wording import number_text
from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.language.list_filters import items_of, whole
from orc.scheduler.core.language.value_bounds import OPERAND_LENGTH_MAX, check_length, join_texts
from orc.scheduler.core.language.values import kind_of_value, to_text
from orc.scheduler.core.strict_json import parse_json

PATTERN_CHARS_MAX = 1000
SIMILAR_CHARS_MAX = 100_000
COLUMNS_MAX = 10_000
_RE2_BYTES_MAX = 8 * 1024 * 1024
_DATE = re.compile(r"(?:[^%]|%[YmdHMSfjaAbBpIyZz%])*\Z")
_DATE_CHARS_MAX = 100
_SHOWN_CHARS = 80
_SLUG_BYTES_MAX = 200
_LONE_MARKS = re.compile(r"\A(?:[^\w]|_)+")
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


_BOOLEANS = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}


def to_bool(value: Any) -> bool:
    """The filter `bool`: true, false, 1, 0, and their usual texts; nothing else."""
    if isinstance(value, bool | int | float) and value in (0, 1):
        return bool(value)
    text = value.strip().lower() if isinstance(value, str) else ""
    if text not in _BOOLEANS:
        raise TemplateError(
            f"{_cell_text(value)[:_SHOWN_CHARS]!r} is neither true nor false; the texts that can be "
            f"read are {', '.join(_BOOLEANS)}"
        )
    return _BOOLEANS[text]


def replace(value: Any, old: Any, new: Any, count: Any = None) -> str:
    """The text with `new` in place of `old`, at most `count` times."""
    times = -1 if count is None else whole(count, "the number of replacements")
    return to_text(value).replace(to_text(old), to_text(new), times)


def split(value: Any, separator: Any = None, count: Any = -1) -> list[str]:
    """The parts between the separators; without one, the words."""
    text = _text(value)
    if separator is not None and not _text(separator):
        raise ValueError("the separator is empty")
    return _bounded(text.split(separator, whole(count, "the number of splits")))


def lines(value: Any) -> list[str]:
    """The lines, without their ends."""
    return _bounded(_text(value).splitlines())


def slug(value: Any, length: Any = 64) -> str:
    """A name for a file or an address: small letters and digits, with `-` between words.

    Latin letters lose their marks, and letters of other scripts stay as they are. The result has at
    most `length` characters, and 200 bytes of UTF-8.
    """
    plain = "".join(map(_without_marks, unicodedata.normalize("NFC", _text(value))))
    text = unicodedata.normalize("NFKC", plain.lower())
    # A mark belongs to the letter before it.
    kept = (letter if unicodedata.category(letter)[0] in "LNM" else " " for letter in text)
    words = "-".join(_LONE_MARKS.sub("", word) for word in "".join(kept).split())
    cut = words[: whole(length, "the length", least=1)].encode()[:_SLUG_BYTES_MAX]
    return cut.decode(errors="ignore").strip("-")


def _without_marks(letter: str) -> str:
    """The ASCII letters of a Latin letter with marks; any other character as it is."""
    if letter.isascii():
        return letter
    plain = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
    return plain if plain.isalnum() else letter


def from_json(value: Any) -> Any:
    """The value of a JSON text."""
    return parse_json(_text(value))


def from_csv(value: Any, delimiter: Any = ",") -> list[dict[str, str]]:
    """A mapping for each row, by the names in the first one. All values are texts."""
    lines_with_ends = _LINE.findall(_text(value))
    rows = csv.reader(lines_with_ends, delimiter=_mark(delimiter), strict=True)
    found: list[dict[str, str]] = []
    names: list[str] | None = None
    try:
        for row in rows:
            if not row:
                continue
            if names is None:
                names = _columns(row)
                continue
            if len(row) != len(names):
                raise ValueError(
                    f"line {rows.line_num} has {len(row)} values, and the first one {len(names)}"
                )
            found.append(dict(zip(names, row, strict=True)))
    except csv.Error as error:
        raise ValueError(f"line {rows.line_num}: {error}") from None
    return found


def to_csv(value: Any, columns: Any = None, delimiter: Any = ",") -> str:
    """A CSV text of a list of mappings or of lists; `columns` chooses and orders the columns."""
    names, rows = _table(value, columns)
    found = [_csv_line(row, _mark(delimiter)) for row in ([names] if names else []) + rows]
    return join_texts(found)


def to_markdown(value: Any, columns: Any = None) -> str:
    """A Markdown table of a list of mappings; `columns` chooses and orders the columns."""
    names, rows = _table(value, columns)
    if not names:
        return ""
    table = [names, ["---"] * len(names), *rows]
    found = "\n".join(f"| {' | '.join(map(_cell, row))} |" for row in table)
    check_length(len(found))
    return found


def contains(value: Any, part: Any) -> bool:
    """Whether a text has the part, a list the item, or a mapping the key."""
    if isinstance(value, str):
        return _text(part) in value
    if isinstance(value, list | Mapping):
        return part in value
    raise ValueError(f"needs a text, a list or a mapping; got {_kind(value)}")


def starts_with(value: Any, part: Any) -> bool:
    """Whether the text begins with the part."""
    return _text(value).startswith(_text(part))


def ends_with(value: Any, part: Any) -> bool:
    """Whether the text ends with the part."""
    return _text(value).endswith(_text(part))


def matches(value: Any, pattern: Any) -> bool:
    """Whether the pattern (RE2: linear time) is found in the text; `^` and `$` are its ends."""
    return _compiled(_text(pattern)).search(_text(value)) is not None


def similarity(value: Any, other: Any) -> float:
    """How alike two texts are, from 0 to 1: the share of their characters in the same order."""
    from rapidfuzz.distance import Indel

    texts = _text(value), _text(other)
    if max(map(len, texts)) > SIMILAR_CHARS_MAX:
        raise ValueError(f"a text has more than {number_text(SIMILAR_CHARS_MAX)} characters")
    return float(Indel.normalized_similarity(*texts))


def date(value: Any, form: Any = "%Y-%m-%d") -> str:
    """A recorded time, or seconds since 1970, in the form of strftime, in UTC."""
    form = _text(form)
    if len(form) > _DATE_CHARS_MAX or not _DATE.match(form):
        raise ValueError(
            f"the form must have at most {_DATE_CHARS_MAX} characters, with %Y %m %d %H %M %S %f %j "
            "%a %A %b %B %p %I %y %z %Z only"
        )
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            moment = datetime.fromtimestamp(value, UTC)
        else:
            moment = datetime.fromisoformat(_text(value))
    except (ValueError, OverflowError, OSError):
        raise ValueError(
            f"{str(value)[:60]!r} is not a time such as 2026-08-01T12:00:00Z"
        ) from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.strftime(form)


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    import re2

    if len(pattern) > PATTERN_CHARS_MAX:
        raise ValueError(f"the pattern has more than {number_text(PATTERN_CHARS_MAX)} characters")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _RE2_BYTES_MAX
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        said = error.args[0] if error.args else error
        said = said.decode() if isinstance(said, bytes) else said
        raise ValueError(f"{pattern[:60]!r} is not a pattern of RE2: {said}") from None


def _table(value: Any, columns: Any) -> tuple[list[str], list[list[str]]]:
    """The names of the columns, and the cells of each row as texts."""
    rows = items_of(value)
    if rows and all(isinstance(row, list) for row in rows) and columns is None:
        return [], [[_cell_text(cell) for cell in row] for row in rows]
    for place, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise ValueError(f"item {place} is not a mapping")
    names = list(dict.fromkeys(key for row in rows for key in row))
    if columns is not None:
        names = [_text(name) for name in items_of(columns)]
    if len(names) > COLUMNS_MAX or len(names) * len(rows) > OPERAND_LENGTH_MAX:
        raise ValueError(f"the table would have more than {number_text(OPERAND_LENGTH_MAX)} cells")
    return names, [[_cell_text(row.get(name)) for name in names] for row in rows]


class _Written(list[str]):
    """What a CSV writer writes."""

    write = list.append


def _csv_line(row: list[str], delimiter: str) -> str:
    found = _Written()
    # With this end, values with either part of it are quoted.
    csv.writer(found, delimiter=delimiter, lineterminator="\r\n").writerow(row)
    return "".join(found).removesuffix("\r\n") + "\n"


def _cell_text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cell(text: str) -> str:
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").splitlines())


def _columns(row: list[str]) -> list[str]:
    twice = next((name for name in row if row.count(name) > 1), None) if len(row) <= 1000 else None
    if len(set(row)) != len(row):
        raise ValueError(f"two columns have the same name{'' if twice is None else f': {twice!r}'}")
    return [clean_text(name) for name in row]


def _mark(delimiter: Any) -> str:
    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n':
        raise ValueError("the delimiter must be one character, and no quotation mark or line end")
    return delimiter


def _bounded(parts: list[str]) -> list[str]:
    if len(parts) > OPERAND_LENGTH_MAX:
        raise ValueError(f"there would be more than {number_text(OPERAND_LENGTH_MAX)} parts")
    return parts


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"needs a text; got {_kind(value)}")
    return value


def _kind(value: Any) -> str:
    if value is None:
        return "null; write `... | default('', true)` where it may be null"
    return kind_of_value(value)
