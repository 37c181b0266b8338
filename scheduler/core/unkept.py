"""Options of an API whose result orc could not keep: it would be paid for and dropped.

orc keeps one reply of a call: its text, its reasoning, its calls of tools and its counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_NUMBERS = frozenset(
    "n best_of num_return_sequences num_completions candidate_count candidateCount".split()
)
_PROBABILITIES = frozenset(
    "logprobs top_logprobs prompt_logprobs responseLogprobs response_logprobs".split()
)
_SOUND = frozenset("audio speech_config speechConfig".split())
_FORMS = frozenset("modalities response_modalities responseModalities".split())
_WRAPPERS = frozenset("extra_body generation_config generationConfig options".split())
_TEMPLATE = "${{"
_MANY = "asks for several replies, of which orc would keep one; use `for_each` or `repeat`"
_LOST = "asks for {what}, which orc does not keep; remove it"


def unkept_problem(options: Mapping[str, Any]) -> str:
    """Why a call must not have these options; empty if it may."""
    return next(_problems(options), "")


def _problems(options: Mapping[str, Any]) -> Iterator[str]:
    for name, value in options.items():
        if name in _WRAPPERS and isinstance(value, Mapping):
            yield from (f"{name}.{problem}" for problem in _problems(value))
        elif isinstance(value, str) and _TEMPLATE in value:
            # It is judged when it is rendered, before the call.
            continue
        elif name in _NUMBERS and value not in (None, 1):
            yield f"{name} {_MANY}"
        elif name in _PROBABILITIES and value not in (None, False, 0):
            yield f"{name} {_LOST.format(what='probabilities of tokens')}"
        elif name in _SOUND and value is not None:
            yield f"{name} {_LOST.format(what='sound')}"
        elif name in _FORMS and [str(each).lower() for each in _listed(value)] not in (
            [],
            ["text"],
        ):
            yield f"{name} {_LOST.format(what='more than text')}"
        elif name == "include" and any("logprobs" in str(each) for each in _listed(value)):
            yield f"{name} {_LOST.format(what='probabilities of tokens')}"
        elif name == "background" and value:
            yield f"{name} asks for a reply that comes later, which orc would not fetch; remove it"


def _listed(value: Any) -> list[Any]:
    """A list as it is; anything else as a list of it alone."""
    return list(value) if isinstance(value, list | tuple) else [] if value is None else [value]
