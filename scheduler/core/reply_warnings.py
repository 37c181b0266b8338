"""The warnings about a reply that is usable but doubtful. `--strict` makes a job with one fail."""

from __future__ import annotations

EMPTY = "the reply is empty"
ONLY_REASONING = "the reply is only reasoning and has no answer"
UNKNOWN_END = "the reply ended with a reason that orc does not know: "
REPAIRED = "the reply was not JSON and has been repaired; check its values"
CUT = "the reply was cut off at its token limit (max_tokens)"


def is_doubtful(warning: str | None) -> bool:
    """Whether a step's warning says that its reply may be no answer."""
    return warning is not None and any(
        part.startswith((EMPTY, ONLY_REASONING, UNKNOWN_END)) for part in warning.split("; ")
    )
