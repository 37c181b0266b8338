"""The bounds of a reply, whichever provider read it: they are checked before it is recorded."""

from __future__ import annotations

from msgspec.structs import astuple

from orc.ledger.wording import count_text, number_text
from orc.providers.contract import Reply, Usage
from orc.providers.errors import TransientError

CALLS_MAX = 1000
"""The maximum number of tool calls in a reply."""
NAME_CHARS_MAX = 200
"""The maximum length of the name and of the id of a tool call; longer names are cut in messages."""
TOKENS_MAX = 10**12
"""The maximum of each token count, so that sums over a ledger fit 64 bits."""


def known_usage(reply: Reply) -> Usage | None:
    """The counts of a reply; None if they are unknown: some servers write 0 for an output they have."""
    wrote = bool(reply.text or reply.tool_calls or reply.reasoning) and reply.vectors is None
    if not reply.is_counted or (wrote and not reply.usage.output_tokens):
        return None
    return reply.usage


def check_reply(reply: Reply) -> None:
    """Raise TransientError (protocol) for a reply that is over a bound."""
    if any(not 0 <= count <= TOKENS_MAX for count in astuple(reply.usage)):
        # The counts cannot be recorded, so the error has no usage.
        raise TransientError(
            "protocol", f"the reply counts tokens beyond 0 to {number_text(TOKENS_MAX)}"
        )
    if len(reply.tool_calls) > CALLS_MAX:
        raise _too_much(reply, f"calls {count_text(len(reply.tool_calls), 'tool')}", CALLS_MAX)
    for call in reply.tool_calls:
        for key in (call["name"], call["id"]):
            if len(key) > NAME_CHARS_MAX:
                what = "calls a tool by a name or an id of more characters"
                raise _too_much(reply, what, NAME_CHARS_MAX)


def _too_much(reply: Reply, what: str, limit: int) -> TransientError:
    message = f"the reply {what}; the maximum is {number_text(limit)}"
    return TransientError("protocol", message, usage=known_usage(reply))
