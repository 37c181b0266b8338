"""The tags that a command gets by `--tag`."""

from __future__ import annotations

from collections.abc import Sequence

from orc.cli.errors import UsageProblem
from orc.scheduler.core.assessment_requests import AT_ONCE_MAX, is_tag

_SHOWN_CHARS = 80


def tags_of(given: Sequence[str] | None) -> tuple[str, ...]:
    """The tags, each once. Raises UsageProblem for a text that can be no tag."""
    tags = tuple(dict.fromkeys(given or ()))
    if len(tags) > AT_ONCE_MAX:
        raise UsageProblem(f"give at most {AT_ONCE_MAX} tags at once")
    for tag in tags:
        if not is_tag(tag):
            raise UsageProblem(
                f"{tag[:_SHOWN_CHARS]!r} is not a valid tag: use at most 64 letters, digits and "
                "_ . : / = @ -, starting with a letter, a digit or _"
            )
    return tags
