"""What a person asks to be recorded of a job: scores, tags and a note, read from plain data.

The data comes from a command, from a page, or from a signal, which any program may have sent: it is
checked here. `hide` replaces secrets in a text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from orc.ledger.digest import clean_text
from orc.ledger.packing import pack
from orc.scheduler.core.assessments import NoteJob, Score, ScoreByPerson, TagJob
from orc.scheduler.core.score_values import explanation

NAME_PATTERN = r"[A-Za-z_][A-Za-z0-9_-]{0,63}"
TAG_PATTERN = r"[A-Za-z0-9_][A-Za-z0-9_.:/=@-]{0,63}"
AT_ONCE_MAX = 50
"""How many scores, or tags, one request may have."""
NOTE_CHARS_MAX = 10_000
_BY_CHARS_MAX = 100
_NAME = re.compile(NAME_PATTERN, re.ASCII)
_TAG = re.compile(TAG_PATTERN, re.ASCII)

Hide = Callable[[str], str]


class AssessmentRequest(Struct, frozen=True):
    """A command, with the blobs that are stored with its events."""

    command: ScoreByPerson | TagJob | NoteJob
    blobs: tuple[bytes, ...] = ()


def is_score_name(name: str) -> bool:
    """Whether a score can have the name."""
    return _NAME.fullmatch(name) is not None


def is_tag(tag: str) -> bool:
    """Whether a job can have the tag."""
    return _TAG.fullmatch(tag) is not None


def parse_scores(
    data: Mapping[str, Any], *, hide: Hide, signal_id: int | None = None
) -> AssessmentRequest | None:
    """The scores in `values`, by name, of the step `step`; None if the data has another form."""
    values, step = data.get("values"), data.get("step")
    if not isinstance(values, Mapping) or not isinstance(step, str) or len(values) > AT_ONCE_MAX:
        return None
    why, blob = None, None
    if isinstance(data.get("why"), str) and data["why"]:
        # Masked before it is cut: the beginning of a secret would not be found.
        why, blob = explanation(hide(clean_text(data["why"])))
    scores = []
    for name, value in values.items():
        if not is_score_name(name) or not _is_value(value):
            return None
        found = value if isinstance(value, bool) else float(value)
        scores.append(Score(name, step, found, why=why))
    command = ScoreByPerson(tuple(scores), _by(data), signal_id)
    return AssessmentRequest(command, () if blob is None else (blob,))


def parse_tags(
    data: Mapping[str, Any], *, signal_id: int | None = None
) -> AssessmentRequest | None:
    """The tags to add and to remove; None if the data has another form."""
    added, removed = data.get("added", []), data.get("removed", [])
    for tags in (added, removed):
        if not isinstance(tags, list) or len(tags) > AT_ONCE_MAX:
            return None
        if not all(isinstance(tag, str) and is_tag(tag) for tag in tags):
            return None
    return AssessmentRequest(TagJob(tuple(added), tuple(removed), _by(data), signal_id))


def parse_note(
    data: Mapping[str, Any], *, hide: Hide, signal_id: int | None = None
) -> AssessmentRequest | None:
    """The note; None if the data has another form."""
    text = data.get("text")
    if not isinstance(text, str) or not 0 < len(text) <= NOTE_CHARS_MAX:
        return None
    payload, blob = pack(hide(clean_text(text)))
    return AssessmentRequest(
        NoteJob(payload, _by(data), signal_id), () if blob is None else (blob,)
    )


def _is_value(value: Any) -> bool:
    if isinstance(value, bool):
        return True
    try:
        return isinstance(value, int | float) and math.isfinite(float(value))
    except OverflowError:
        return False


def _by(data: Mapping[str, Any]) -> str | None:
    by = data.get("by")
    return clean_text(by)[:_BY_CHARS_MAX] if isinstance(by, str) else None
