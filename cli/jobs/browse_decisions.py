"""Decisions from the pages of `orc browse --allow-decisions`, made as by `orc approve`."""

from __future__ import annotations

from functools import partial

import trio

from orc.cli.errors import UsageProblem
from orc.cli.jobs.decide import COMMENT_CHARS_MAX, decide
from orc.cli.jobs.places import Places
from orc.ledger.errors import LedgerError
from orc.ledger.wording import count_text, decision_text
from orc.projections.pages.decisions import Decide, DecisionRequest, RequestRefused


def decider(places: Places) -> Decide:
    """The function by which pages decide. It runs in a thread and waits for the event."""

    def decide_here(wanted: DecisionRequest) -> None:
        if wanted.comment is not None and len(wanted.comment) > COMMENT_CHARS_MAX:
            raise RequestRefused(
                f"the comment has more than {count_text(COMMENT_CHARS_MAX, 'character')}; "
                "shorten it",
                status=413,
            )
        ask = partial(
            decide,
            wanted.job_id,
            wanted.step,
            option=wanted.option,
            comment=wanted.comment,
            places=places,
        )
        try:
            decision = trio.run(ask)
        except UsageProblem as problem:
            raise RequestRefused(str(problem), status=409) from problem
        except LedgerError as error:
            raise RequestRefused(str(error), status=503) from error
        if not decision.is_ours:
            said = decision_text(decision.option, decision.by)
            raise RequestRefused(f"{decision.step} has just been decided: {said}", status=409)

    return decide_here
