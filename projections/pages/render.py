"""Fills the HTML templates: every value is escaped, and control characters are made visible."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache, partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from datasette.utils import tilde_encode
from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup, escape

from orc.ledger.command_lines import command_line
from orc.ledger.stored import parse_time
from orc.ledger.wording import (
    calls_cost_text,
    cost_text,
    count_text,
    duration_text,
    field_text,
    limit_text,
    number_text,
    rate_text,
    score_text,
    size_text,
    steps_text,
    tokens_text,
    usd_text,
    visible,
)
from orc.projections.contents.ansi import ansi_html
from orc.projections.history.turns import TEXT_CHARS
from orc.projections.pictures.marks import mark_of
from orc.projections.scores.overview import means_text
from orc.projections.tables.rows import CallRow, JobRow
from orc.projections.tables.step_notes import skip_text

if TYPE_CHECKING:
    from orc.projections.scores.groups import ScoreGroup
    from orc.projections.scores.rows import Score
    from orc.projections.tables.assessments import ScoreRow


def render(template: str, values: Mapping[str, Any]) -> str:
    """The filled template. Raises jinja2.UndefinedError for a missing value."""
    return environment().get_template(template).render(values)


@cache
def environment() -> Environment:
    """The templates with their functions and filters."""
    folder = files("orc.projections.pages") / "templates"
    sources = {item.name: item.read_text(encoding="utf-8") for item in folder.iterdir()}
    made = Environment(
        loader=DictLoader({name: text for name, text in sources.items() if name.endswith(".html")}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    made.globals.update(mark_of=mark_of, command=command_line)
    made.filters.update(
        bytes=size_text,
        cost=_cost,
        call_cost=_call_cost,
        steps=_steps,
        file_name=os.path.basename,
        steps_brief=partial(_steps, brief=True),
        count=number_text,
        counted=count_text,
        day=lambda at: at[:10],
        instant=instant_text,
        in_code=in_code,
        # For values that a form sends back: no character of them is changed on the way.
        encoded=tilde_encode,
        in_field=in_field,
        seconds=duration_text,
        shorten=shorten,
        skipped=skip_text,
        tokens=tokens_text,
        ansi=ansi_html,
        amount=lambda amount, limit: limit_text(limit, amount),
        means=means_text,
        score=score_text,
        score_value=score_value_text,
        group_mean=_group_mean,
        usd=usd_text,
    )
    return made


def in_field(text: str) -> Markup:
    """A text in a field of a form, which sends it back as it is, with marks that join or turn letters.

    They are written as references: a response has no such character, and they end with the field.
    """
    return Markup("").join(
        escape(character)
        if character.isprintable() or character in "\n\t"
        else Markup("&#{};").format(ord(character))
        for character in field_text(text)
    )


def in_code(message: object) -> Markup:
    """A message, in which what is in backquotes, such as a command, is shown as code."""
    parts = visible(str(message), kept="\n\t").split("`")
    if len(parts) % 2 == 0:
        return escape("`".join(parts))
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if at % 2 else escape(part)
        for at, part in enumerate(parts)
    )


def instant_text(at: str) -> str:
    """A recorded time for people: UTC, without the fraction of the second."""
    return f"{at[:10]} {at[11:19]}"


def shorten(text: str, chars: int = TEXT_CHARS) -> str:
    """The first `chars` characters of a text, with an ellipsis if it was cut."""
    return text if len(text) <= chars else f"{text[:chars]}…"


def score_value_text(score: Score | ScoreRow) -> str:
    """The value of one score: a number, or `pass` or `fail`."""
    if score.passed is not None:
        return "pass" if score.passed else "fail"
    return score_text(score.value)


def _group_mean(group: ScoreGroup) -> str:
    """The mean of a group; in percent if all of its values are booleans."""
    if group.pass_rate is not None:
        return rate_text(group.pass_rate)
    return score_text(None if group.estimate is None else group.estimate.mean)


def since_s(earlier: str, later: str) -> float:
    """Seconds between two recorded times."""
    return (parse_time(later) - parse_time(earlier)).total_seconds()


def _cost(row: Any) -> str:
    """The cost of a job, a step or a group; empty if no model was called."""
    return calls_cost_text(row.calls, row.cost_nano_usd, row.calls_unpriced, brief=True)


def _call_cost(row: CallRow) -> str:
    """The cost of a call; empty if it had none."""
    return cost_text(row.cost_nano_usd) if row.has_cost else ""


def _steps(job: JobRow, *, brief: bool = False) -> str:
    return steps_text(job.steps_succeeded, job.steps_total, brief=brief)


def _shown(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return visible(value, kept="\n\t")
