"""Scores from the pages of `orc browse --allow-decisions`, recorded as by `orc score`."""

from __future__ import annotations

from functools import partial

import trio

from orc.cli.errors import UsageProblem
from orc.cli.jobs.assess.record import parse_score, score
from orc.cli.jobs.places import Places
from orc.ledger.errors import LedgerError
from orc.ledger.wording import count_text
from orc.projections.pages.decisions import RecordScore, RequestRefused, ScoreRequest
from orc.scheduler.core.score_values import WHY_CHARS_MAX

_SHOWN_CHARS = 80


def scorer(places: Places) -> RecordScore:
    """The function by which pages score. It runs in a thread and waits for the event."""

    def score_here(wanted: ScoreRequest) -> None:
        value = parse_score(wanted.value)
        if value is None:
            raise RequestRefused(
                f"{wanted.value[:_SHOWN_CHARS]!r} is not a score: type a number, true or false",
                status=400,
            )
        if wanted.why is not None and len(wanted.why) > WHY_CHARS_MAX:
            raise RequestRefused(
                f"the explanation has more than {count_text(WHY_CHARS_MAX, 'character')}; "
                "shorten it",
                status=413,
            )
        values = {wanted.name: value}
        ask = partial(score, wanted.job_id, wanted.step, values, why=wanted.why, places=places)
        try:
            trio.run(ask)
        except UsageProblem as problem:
            raise RequestRefused(str(problem), status=409) from problem
        except LedgerError as error:
            raise RequestRefused(str(error), status=503) from error

    return score_here
