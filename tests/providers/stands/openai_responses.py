"""Acts as answers of OpenAI's responses API and list of models."""

from __future__ import annotations

import json
from typing import Any, assert_never

from orc.providers import Provider, ToolCall, Usage
from orc.providers.openai_responses import build
from tests.fault_server import Answer, FaultServer, Wait
from tests.providers.acts import (
    STALL_S,
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
from tests.providers.stands.openai import event, fail_answer, list_answer, stream

NONE = Usage()

_HEAD = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m-2026", "error": None}


def stand(server: FaultServer, acts: tuple[Act, ...]) -> Provider:
    """OpenAI's responses API, whose server plays the acts."""
    server.will(*map(_answer, acts))
    return build({"OPENAI_API_KEY": "sk-test"}, f"{server.url}/v1")


def named(kind: str, **fields: Any) -> bytes:
    """An event with its type in both places."""
    return event({"type": kind, "sequence_number": 1, **fields}, name=kind)


def delta(piece: str) -> bytes:
    """A piece of the text."""
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "logprobs": []}
    return named("response.output_text.delta", delta=piece, **place)


def text_item(text: str, **part: Any) -> dict[str, Any]:
    """A message of the output: a text, or whatever part is given."""
    content = part or {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    head = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant"}
    return {**head, "content": [content]}


def call_item(call: ToolCall) -> dict[str, Any]:
    """A call of a function, of the output."""
    arguments = call["arguments"]
    return {
        "id": f"fc_{call['id']}",
        "type": "function_call",
        "status": "completed",
        "call_id": call["id"],
        "name": call["name"],
        "arguments": arguments if isinstance(arguments, str) else json.dumps(arguments),
    }


def end(
    *output: dict[str, Any], usage: Usage = NONE, status: str = "completed", **fields: Any
) -> bytes:
    """The event that ends a response, with all of it."""
    counted = {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
    whole = {**_HEAD, "status": status, "output": output, "usage": counted, **fields}
    return named(f"response.{status}", response=whole)


BEGIN = named("response.created", response={**_HEAD, "status": "in_progress", "output": []})


def _answer(act: Act) -> Answer:
    match act:
        case Says(pieces, usage):
            item = text_item("".join(pieces))
            return stream(BEGIN, *map(delta, pieces), end(item, usage=usage))
        case Calls(calls, pieces, usage):
            said = [text_item("".join(pieces))] if pieces else []
            items = [*said, *map(call_item, calls)]
            return stream(BEGIN, *map(delta, pieces), end(*items, usage=usage))
        case Refuses():
            item = text_item("", type="refusal", refusal="I will not.")
            return stream(BEGIN, end(item, usage=Usage(7, 1)))
        case IsCut():
            cut = {"reason": "max_output_tokens"}
            item = text_item("Because")
            last = end(item, status="incomplete", incomplete_details=cut)
            return stream(BEGIN, delta("Because"), last)
        case Stalls():
            return stream(BEGIN, delta("Be"), Wait(STALL_S))
        case Dawdles(pieces, wait_s):
            dawdled = [part for piece in pieces for part in (Wait(wait_s), delta(piece))]
            return stream(BEGIN, *dawdled, end(text_item("".join(pieces))))
        case Trickles(wait_s):
            return stream(BEGIN, *(Wait(wait_s), b": still here\n\n") * TRICKLED)
        case Stops():
            return stream(BEGIN, delta("Be"))
        case Fails(kind):
            return fail_answer(kind)
        case Lists(models):
            return list_answer(models)
    assert_never(act)
