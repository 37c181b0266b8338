"""Acts as responses of Anthropic's /v1/messages and /v1/models."""

from __future__ import annotations

import json
from typing import assert_never

from orc.providers import Provider, ToolCall
from orc.providers.anthropic import build
from tests.fault_server import Answer, FaultServer, Wait
from tests.providers.acts import (
    STALL_S,
    STATUSES,
    TRICKLED,
    Act,
    Calls,
    Dawdles,
    Fails,
    IsCut,
    Lists,
    Refuses,
    Says,
    Stalls,
    Stops,
    Trickles,
)
from tests.providers.anthropic_script import KEY, call, end, fails, lists, start, stream, text


def stand(server: FaultServer, acts: tuple[Act, ...]) -> Provider:
    """Anthropic's provider, whose server plays the acts."""
    server.will(*map(_answer, acts))
    return build({"ANTHROPIC_API_KEY": KEY}, server.url)


def _answer(act: Act) -> Answer:
    match act:
        case Says(pieces, usage):
            begun = start(input_tokens=usage.input_tokens)
            return stream(begun, text(*pieces), end(output_tokens=usage.output_tokens))
        case Calls(wanted, pieces, usage):
            begun = start(input_tokens=usage.input_tokens)
            calls = [_call(tool_call, index) for index, tool_call in enumerate(wanted, start=1)]
            last = end("tool_use", output_tokens=usage.output_tokens)
            return stream(begun, text(*pieces), *calls, last)
        case IsCut():
            return stream(start(), text("Because"), end("max_tokens"))
        case Refuses():
            return stream(start(input_tokens=7), end("refusal", output_tokens=1))
        case Stalls():
            return stream(start(), text("Be"), Wait(STALL_S))
        case Dawdles(pieces, wait_s):
            dawdled = [part for piece in pieces for part in (Wait(wait_s), text(piece))]
            return stream(start(), *dawdled, end(output_tokens=3))
        case Trickles(wait_s):
            return stream(
                start(), *(Wait(wait_s), b'event: ping\ndata: {"type": "ping"}\n\n') * TRICKLED
            )
        case Stops():
            return stream(start(), text("Be"))
        case Fails(kind):
            return fails(STATUSES[kind], words="no\x1b[31m")
        case Lists(models):
            return lists(*models)
    assert_never(act)


def _call(tool_call: ToolCall, index: int) -> bytes:
    arguments = tool_call["arguments"]
    written = arguments if isinstance(arguments, str) else json.dumps(arguments)
    half = len(written) // 2
    return call(
        written[:half], written[half:], index=index, id_=tool_call["id"], name=tool_call["name"]
    )
