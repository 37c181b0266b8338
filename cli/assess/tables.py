"""Scores as tables for people on stdout, as CSV and Markdown, and as values for `--json`."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import to_builtins

from orc.cli.terminal.tables.columns import id_column, number_column, text_column
from orc.cli.terminal.tables.table import put_table
from orc.cli.terminal.text import safe
from orc.ledger.money import usd_number
from orc.ledger.wording import (
    calls_cost_text,
    duration_text,
    number_text,
    rate_text,
    score_text,
    tokens_text,
)
from orc.projections.scores.comparison import CaseChange, ScoreComparison
from orc.projections.scores.groups import ScoreGroup, Used
from orc.projections.scores.statistics import Estimate

_NAMES = ("id", "key", "name", "case", "title")
"""The columns that name a row, the first one first."""
_CELL_CHARS_MAX = 40
_ACTIVE = re.compile(r"[\\`*_~|&<>\[\]]")
"""What could be more than a text in a cell of Markdown."""
_DIGITS = 10
"""The significant digits of a number in CSV; `--json` has all of them."""

COLUMNS = (
    "score", "who", "n", "cases", "mean", "error", "low", "high", "pass_rate", "errors", "failed",
    "cost_usd", "calls_unpriced", "input_tokens", "output_tokens", "duration_s",
)  # fmt: skip
"""The columns of a group in CSV, after those by which it is grouped."""


def put_groups(groups: Sequence[ScoreGroup], by: Sequence[str]) -> None:
    """Print the groups as a table; a column only if it has something to say."""
    has_rate = any(group.pass_rate is not None for group in groups)
    has_errors = any(group.errors for group in groups)
    has_failed = any(group.failed for group in groups)
    has_calls = any(group.used.input_tokens or group.used.output_tokens for group in groups)
    heads = [id_column("SCORE"), *(text_column(name.upper()) for name in by)]
    heads += [number_column("N", drop=2), number_column("MEAN"), number_column("ERROR", drop=4)]
    heads += [number_column("95 % INTERVAL", drop=1)] + [number_column("PASSED")] * has_rate
    heads += [number_column("BROKEN")] * has_errors + [number_column("FAILED")] * has_failed
    heads += [number_column("COST"), number_column("TOKENS", drop=5)] * has_calls
    heads += [number_column("TIME", drop=3)]
    rows = []
    for group in groups:
        row = [score_title(group.name, group.who), *(value_text(value) for value in group.key)]
        row += _estimate_cells(group.estimate)
        row += [rate_text(group.pass_rate)] * has_rate
        row += [number_text(group.errors) if group.errors else ""] * has_errors
        row += [number_text(group.failed) if group.failed else ""] * has_failed
        if has_calls:
            row += [_cost(group.used), tokens_text(_tokens(group.used))]
        rows.append([*row, duration_text(group.used.duration_s)])
    put_table(heads, rows)


def groups_csv(groups: Sequence[ScoreGroup], by: Sequence[str]) -> str:
    """The groups as CSV, with a line of names. Control characters of a text are shown, as elsewhere."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow([*by, *COLUMNS])
    for group in groups:
        value = group_value(group, ())
        row = [_shown(value.get(name)) for name in COLUMNS]
        writer.writerow([*(safe(value_text(each, cut=False)) for each in group.key), *row])
    return lines.getvalue().rstrip("\n")


def _shown(value: Any) -> Any:
    """A cell of CSV: a text made safe, a number without the noise of its last binary digits."""
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    return safe(value) if isinstance(value, str) else value


def groups_markdown(groups: Sequence[ScoreGroup], by: Sequence[str]) -> str:
    """The groups as a table of Markdown."""
    heads = ["score", *by, "n", "mean", "error", "95 % interval", "passed", "broken", "failed",
             "cost", "tokens", "time"]  # fmt: skip
    rows = [
        [
            score_title(group.name, group.who),
            *(value_text(value) for value in group.key),
            *_estimate_cells(group.estimate),
            rate_text(group.pass_rate),
            number_text(group.errors),
            number_text(group.failed),
            _cost(group.used),
            tokens_text(_tokens(group.used)),
            duration_text(group.used.duration_s),
        ]
        for group in groups
    ]
    return _markdown_table(heads, rows)


def put_comparison(comparisons: Sequence[ScoreComparison]) -> None:
    """Print the comparisons as a table."""
    put_table(
        (
            id_column("SCORE"),
            number_column("BEFORE"),
            number_column("AFTER"),
            number_column("DIFFERENCE"),
            number_column("95 % INTERVAL", drop=1),
            number_column("CASES", drop=2),
            number_column("WORSE"),
            number_column("BETTER", drop=3),
            "CLEAR",
        ),
        [(*_comparison_cells(each), "yes" if each.is_clear else "no") for each in comparisons],
    )


def put_cases(cases: Iterable[CaseChange]) -> None:
    """Print cases with their scores in both jobs."""
    rows = [
        (
            case_text(case),
            score_text(case.before),
            score_text(case.after),
            _signed(case.difference),
            ", ".join(case.steps_after[:2]) + ", ..." * (len(case.steps_after) > 2),
        )
        for case in cases
    ]
    scores = (number_column("BEFORE"), number_column("AFTER"), number_column("DIFFERENCE"))
    put_table(("CASE", *scores, text_column("STEP", drop=1)), rows)


def comparison_csv(comparisons: Sequence[ScoreComparison]) -> str:
    """One line for each case of each score."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(["score", "who", "case", "before", "after", "difference"])
    for each in comparisons:
        for case in each.cases:
            change = (case.case, case.before, case.after, case.difference)
            writer.writerow(map(_shown, (each.name, each.who, *change)))
    return lines.getvalue().rstrip("\n")


def comparison_markdown(comparisons: Sequence[ScoreComparison]) -> str:
    """The comparisons as a table of Markdown."""
    heads = ["score", "before", "after", "difference", "95 % interval", "cases", "worse", "better"]
    # The table is all that a report has: also how many cases are not part of the difference.
    heads += ["only first", "of these lost", "only second"]
    lines = (
        [
            *_comparison_cells(each),
            *map(number_text, (each.only_before, each.lost, each.only_after)),
        ]
        for each in comparisons
    )
    return _markdown_table(heads, lines)


def _comparison_cells(each: ScoreComparison) -> list[str]:
    return [
        score_title(each.name, each.who),
        _mean(each.before),
        _mean(each.after),
        _signed(each.difference.mean) if each.difference else "",
        _interval(each.difference),
        number_text(len(each.cases)),
        number_text(len(each.regressions)),
        number_text(len(each.improvements)),
    ]


def _markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(_markdown, line))} |" for line in lines)


def group_value(group: ScoreGroup, by: Sequence[str]) -> dict[str, Any]:
    """The group for `--json`: flat, with the values by which it is grouped under `by`."""
    found: dict[str, Any] = {"score": group.name, "who": group.who}
    if by:
        found["by"] = dict(zip(by, group.key, strict=True))
    found |= estimate_value(group.estimate)
    found |= {"pass_rate": group.pass_rate, "errors": group.errors, "failed": group.failed}
    return found | used_value(group.used)


def comparison_value(each: ScoreComparison) -> dict[str, Any]:
    """The comparison for `--json`."""
    return {
        "score": each.name,
        "who": each.who,
        "before": {
            **estimate_value(each.before),
            "pass_rate": each.pass_rate_before,
            **used_value(each.used_before),
        },
        "after": {
            **estimate_value(each.after),
            "pass_rate": each.pass_rate_after,
            **used_value(each.used_after),
        },
        "difference": estimate_value(each.difference),
        "is_clear": each.is_clear,
        "regressions": [_case_value(case) for case in each.regressions],
        "improvements": [_case_value(case) for case in each.improvements],
        "equal": len(each.cases) - len(each.regressions) - len(each.improvements),
        "only_before": each.only_before,
        "only_after": each.only_after,
        "lost": each.lost,
    }


def estimate_value(found: Estimate | None) -> dict[str, Any]:
    """The fields of an estimate for `--json`; `n` is 0 without values."""
    if found is None:
        return {"n": 0, "cases": 0, "mean": None, "error": None, "low": None, "high": None}
    value = to_builtins(found)
    return {"n": value.pop("n"), "cases": value.pop("clusters"), **value}


def used_value(used: Used) -> dict[str, Any]:
    """What results used, for `--json`."""
    known = None if used.cost_nano_usd is None else usd_number(used.cost_nano_usd)
    return {
        "results": used.results,
        "cost_usd": known,
        "calls_unpriced": used.calls_unpriced,
        "input_tokens": used.input_tokens,
        "output_tokens": used.output_tokens,
        "duration_s": used.duration_s,
    }


def value_text(value: Any, *, cut: bool = True) -> str:
    """The value of a dimension: a text as it is, other values as JSON; cut, a row by its name."""
    if value is None:
        return ""
    if cut:
        value = _name_of_row(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return safe(text, width=_CELL_CHARS_MAX) if cut else text


def _name_of_row(value: Any) -> Any:
    """What tells a row from others, for people: its id, or else its first text; other values as is."""
    if not isinstance(value, Mapping):
        return value
    named = {str(name).casefold(): each for name, each in value.items()}
    for name in _NAMES:
        found = named.get(name)
        if isinstance(found, str | int) and not isinstance(found, bool) and str(found).strip():
            return found
    return next((each for each in value.values() if isinstance(each, str) and each.strip()), value)


def case_text(case: CaseChange) -> str:
    """A case for people: its single value, or all of its values with their names."""
    if not case.dimensions:
        return safe(case.case)
    if len(case.dimensions) == 1:
        return value_text(next(iter(case.dimensions.values())))
    return ", ".join(f"{name}={value_text(value)}" for name, value in case.dimensions.items())


def _case_value(case: CaseChange) -> dict[str, Any]:
    value = to_builtins(case)
    del value["dimensions"]
    return {**value, "difference": case.difference}


def score_title(name: str, who: str) -> str:
    """The name of a score, and who gave it if that was not an expression."""
    return name if who == "expression" else f"{name} ({who})"


def _estimate_cells(found: Estimate | None) -> list[str]:
    if found is None:
        return ["0", "", "", ""]
    return [number_text(found.n), score_text(found.mean), _error(found), _interval(found)]


def _error(found: Estimate) -> str:
    return "" if found.error is None else score_text(found.error)


def _interval(found: Estimate | None) -> str:
    if found is None or found.low is None:
        return ""
    return f"{score_text(found.low)} to {score_text(found.high)}"


def _mean(found: Estimate | None) -> str:
    return "" if found is None else score_text(found.mean)


def _signed(value: float) -> str:
    return "0" if value == 0 else f"{value:+.4g}"


def _cost(used: Used) -> str:
    return calls_cost_text(used.calls, used.cost_nano_usd, used.calls_unpriced, brief=True)


def _tokens(used: Used) -> int:
    return used.input_tokens + used.output_tokens


def _markdown(cell: str) -> str:
    """The text as it is: no character of it makes a link, an image, HTML or another cell."""
    return _ACTIVE.sub(r"\\\g<0>", cell).replace("\n", " ")
