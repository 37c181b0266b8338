"""`orc score`, `orc tag` and `orc note`: the job's owner records it, or this process without one."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

from msgspec import Struct

from orc.cli.errors import UsageProblem
from orc.cli.jobs.assess.tags import tags_of
from orc.cli.jobs.caller.person import user_name
from orc.cli.jobs.caller.secrets import hide_secrets
from orc.cli.jobs.owned_job import Caller, OwnedJob
from orc.cli.jobs.owner_request import OwnerRequest, ask_owner
from orc.cli.jobs.places import Places, open_for_writing
from orc.cli.jobs.state import load_state
from orc.ledger import JobId, Ledger, failpoints
from orc.ledger.events import JobNoted, JobTagged, ScoreRecorded
from orc.ledger.stored import FLOAT_MAX
from orc.ledger.wording import count_text
from orc.scheduler.clock import Clock
from orc.scheduler.core.assessment_requests import (
    AT_ONCE_MAX,
    NOTE_CHARS_MAX,
    AssessmentRequest,
    is_score_name,
    parse_note,
    parse_scores,
    parse_tags,
)
from orc.scheduler.core.assessments import NoteJob, ScoreByPerson, TagJob
from orc.scheduler.core.errors import nearest
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.score_values import WHY_CHARS_MAX
from orc.scheduler.core.typed_numbers import read_number

Kind = Literal["score", "tag", "note"]
_Read = Callable[..., AssessmentRequest | None]
_SHOWN_CHARS = 80
_BOOLEANS = {"true": True, "false": False, "yes": True, "no": False, "pass": True, "fail": False}


class Assessment(Struct, frozen=True):
    """What was recorded. `has_owner` is whether a process runs the job, `tags` are those it has now."""

    job_id: JobId
    has_owner: bool
    tags: tuple[str, ...]


def parse_score(text: str) -> bool | float | None:
    """The score that a person typed: a finite number, or true or false; None for anything else."""
    if (found := _BOOLEANS.get(text.strip().lower())) is not None:
        return found
    try:
        number = read_number(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


async def score(
    name: str,
    step: str,
    values: Mapping[str, bool | float],
    *,
    why: str | None,
    places: Places,
) -> Assessment:
    """Record scores of a step's result, by this user. The job may have ended.

    Raises UsageProblem, NoSuchJob, LedgerError, OwnerSilent.
    """
    for each in values:
        if not is_score_name(each):
            raise UsageProblem(
                f"{each[:_SHOWN_CHARS]!r} is not a name for a score: use at most 64 letters, digits, - "
                "and _, starting with a letter or _"
            )
        if abs(values[each]) > FLOAT_MAX:
            raise UsageProblem(f"{each}: a score is at most {FLOAT_MAX:g}; give a smaller number")
    if not values or len(values) > AT_ONCE_MAX:
        raise UsageProblem(f"give 1 to {AT_ONCE_MAX} scores, such as quality=8 or good=true")
    if why is not None and len(why) > WHY_CHARS_MAX:
        raise UsageProblem(
            f"--why: it may have {count_text(WHY_CHARS_MAX, 'character')} at most; shorten it"
        )

    def check(state: JobState) -> None:
        if step not in state.steps:
            raise UsageProblem(f"the job has no step {step!r}{nearest(step, state.steps)}")
        if state.steps[step].status != "succeeded":
            status = state.steps[step].status
            raise UsageProblem(
                f"{step} has no result that could be scored: it is {status}; "
                "name a step that has succeeded"
            )

    data = {"step": step, "values": dict(values), "why": why}
    return await _record(name, "score", data, places=places, check=check)


async def tag(
    name: str, *, added: tuple[str, ...], removed: tuple[str, ...], places: Places
) -> Assessment:
    """Add tags to a job, and remove others. Raises as `score`."""
    tags_of((*added, *removed))
    data = {"added": list(added), "removed": list(removed)}
    return await _record(name, "tag", data, places=places)


async def note(name: str, text: str, *, places: Places) -> Assessment:
    """Add a note to a job. Raises as `score`."""
    if not text.strip():
        raise UsageProblem("the note is empty; give its text")
    if len(text) > NOTE_CHARS_MAX:
        raise UsageProblem(
            f"the note may have {count_text(NOTE_CHARS_MAX, 'character')} at most; shorten it"
        )
    return await _record(name, "note", {"text": text}, places=places)


def _ignore(state: JobState) -> None:
    """There is nothing to check."""


async def _record(
    name: str,
    kind: Kind,
    given: Mapping[str, Any],
    *,
    places: Places,
    check: Callable[[JobState], None] = _ignore,
) -> Assessment:
    with open_for_writing(places, os.environ) as ledger:
        job_id = ledger.find_job(name)
        state = load_state(ledger, job_id)
        check(state)
        # The texts are stored, and they may contain a secret.
        mask = hide_secrets(ledger, state.definition, os.environ, steps=())
        readers: dict[Kind, _Read] = {
            "score": partial(parse_scores, hide=mask.text),
            "note": partial(parse_note, hide=mask.text),
            "tag": parse_tags,
        }
        read = readers[kind]
        data = {**given, "by": user_name()}
        wanted = read(data)
        assert wanted is not None, "the caller has checked what was given"
        # A killed process may have recorded it, and not have published the run folder.
        is_known = _is_known(ledger, job_id, state, wanted.command)
        signal_id = 0
        if not is_known:
            signal_id = ledger.send_signal(
                job_id, kind=kind, data=data, created_at=Clock().recorded_at()
            )
            failpoints.hit("signal.sent")

        async def record_here(owned: OwnedJob) -> None:
            if is_known or _is_recorded(ledger, job_id, signal_id):
                return
            check(owned.state)
            asked = read(data, signal_id=signal_id)
            assert asked is not None
            owned.append(asked.command, blobs=list(asked.blobs))

        def answer(has_owner: bool) -> Assessment | None:
            now = load_state(ledger, job_id)
            is_done = is_known or _is_recorded(ledger, job_id, signal_id)
            if not is_done and not _is_known(ledger, job_id, now, wanted.command):
                return None
            return Assessment(job_id, has_owner, tuple(now.tags))

        request = OwnerRequest(ledger, job_id, Caller(places, os.environ), f"recorded the {kind}")
        return await ask_owner(request, record_here, answer)


def _is_recorded(ledger: Ledger, job_id: JobId, signal_id: int) -> bool:
    return any(
        recorded.event.signal_id == signal_id
        for recorded in ledger.read_stream(job_id)
        if isinstance(recorded.event, ScoreRecorded | JobTagged | JobNoted)
    )


def _is_known(
    ledger: Ledger, job_id: JobId, state: JobState, wanted: ScoreByPerson | TagJob | NoteJob
) -> bool:
    """Whether the last that this person recorded is the same, so that there is nothing to do."""
    match wanted:
        case TagJob():
            has_added = all(tag in state.tags for tag in wanted.added)
            return has_added and not any(tag in state.tags for tag in wanted.removed)
        case NoteJob():
            notes = [
                recorded.event
                for recorded in ledger.read_stream(job_id)
                if isinstance(recorded.event, JobNoted) and recorded.event.by == wanted.by
            ]
            return bool(notes) and notes[-1].text == wanted.text
        case ScoreByPerson():
            given = {
                (event.step, event.name): (event.attempt, event.value, event.why)
                for event in (recorded.event for recorded in ledger.read_stream(job_id))
                if isinstance(event, ScoreRecorded)
                and event.who == "human"
                and event.by == wanted.by
            }
            return all(
                given.get((score.about, score.name))
                == (state.steps[score.about].attempts, score.value, score.why)
                for score in wanted.scores
                if score.about in state.steps
            )
