"""Acts as answers of Ollama's /api/chat and /api/tags."""

from __future__ import annotations

import json
from typing import Any, assert_never

from orc.providers import Provider, ToolCall, Usage
from orc.providers.ollama import Ollama
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
    lacks,
)
from tests.providers.ollama_script import JSON, calls, end, fails, line, stream


def stand(server: FaultServer, acts: tuple[Act, ...]) -> Provider:
    """An Ollama whose server plays the acts."""
    server.will(*map(_answer, acts))
    return Ollama(server.url)


def _answer(act: Act) -> Answer:
    match act:
        case Says(pieces, usage):
            return stream(*map(line, pieces), end(**_counts(usage)))
        case Calls(wanted, pieces, usage):
            return stream(*map(line, pieces), calls(*map(_call, wanted)), end(**_counts(usage)))
        case IsCut():
            return stream(line("Because"), end(done_reason="length"))
        case Stalls():
            return stream(line("Be"), Wait(STALL_S))
        case Dawdles(pieces, wait_s):
            dawdled = [part for piece in pieces for part in (Wait(wait_s), line(piece))]
            return stream(*dawdled, end())
        case Trickles(wait_s):
            return stream(line("Be"), *(Wait(wait_s), b"\n") * TRICKLED)
        case Stops():
            return stream(line("Be"))
        case Fails(kind):
            return fails(STATUSES[kind], b'{"error": "no\\u001b[31m"}')
        case Lists(models):
            listed = [{"name": name, "model": name, "digest": "0" * 64} for name in models]
            return Answer(headers=JSON, chunks=(json.dumps({"models": listed}).encode(),))
        case Refuses():
            lacks("refusal: a model that will not answer says so in its text")
    assert_never(act)


def _counts(usage: Usage) -> dict[str, Any]:
    return {"prompt_eval_count": usage.input_tokens, "eval_count": usage.output_tokens}


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call["name"], "arguments": call["arguments"]}
    return {"id": call["id"], "function": function}
