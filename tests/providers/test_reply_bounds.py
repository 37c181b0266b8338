"""The bounds of a reply of any provider: accepted at each bound, refused one above it."""

from __future__ import annotations

from typing import Any

import pytest

from orc.providers import Reply, TransientError, Usage
from orc.providers.contract import ToolCall
from orc.providers.reply_bounds import CALLS_MAX, NAME_CHARS_MAX, TOKENS_MAX, check_reply


def reply(**fields: Any) -> Reply:
    usage = fields.pop("usage", Usage(3, 5))
    return Reply(text="", model="m", finish_reason="stop", usage=usage, **fields)


def call(name: str = "search", call_id: str = "1") -> ToolCall:
    return ToolCall(id=call_id, name=name, arguments={})


@pytest.mark.parametrize(
    ("at", "above"),
    [
        ({"tool_calls": (call(),) * CALLS_MAX}, {"tool_calls": (call(),) * (CALLS_MAX + 1)}),
        (
            {"tool_calls": (call("n" * NAME_CHARS_MAX),)},
            {"tool_calls": (call("n" * (NAME_CHARS_MAX + 1)),)},
        ),
        (
            {"tool_calls": (call(call_id="n" * NAME_CHARS_MAX),)},
            {"tool_calls": (call(call_id="n" * (NAME_CHARS_MAX + 1)),)},
        ),
        ({"usage": Usage(TOKENS_MAX)}, {"usage": Usage(TOKENS_MAX + 1)}),
        ({"usage": Usage(0, 0, 0, TOKENS_MAX)}, {"usage": Usage(0, 0, 0, TOKENS_MAX + 1)}),
        ({"usage": Usage(0)}, {"usage": Usage(-1)}),
    ],
    ids=["calls", "name", "id", "tokens", "last count", "negative"],
)
def test_a_reply_over_a_bound_is_refused(at: dict[str, Any], above: dict[str, Any]) -> None:
    check_reply(reply(**at))
    with pytest.raises(TransientError) as raised:
        check_reply(reply(**above))
    assert raised.value.kind == "protocol"


def test_a_refused_reply_keeps_its_usage_if_that_can_be_recorded() -> None:
    many = (call(),) * (CALLS_MAX + 1)
    with pytest.raises(TransientError) as raised:
        check_reply(reply(tool_calls=many))
    assert raised.value.usage == Usage(3, 5)
    with pytest.raises(TransientError) as raised:
        check_reply(reply(tool_calls=many, usage=Usage(10**30)))
    assert raised.value.usage is None
