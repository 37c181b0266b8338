"""Acts as answers of OpenAI's chat completions and list of models."""

from __future__ import annotations

import json
from typing import Any, assert_never

from orc.providers import Provider, ToolCall, Usage
from orc.providers.openai import build
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

EVENTS = (("content-type", "text/event-stream; charset=utf-8"),)
JSON = (("content-type", "application/json"),)
DONE = b"data: [DONE]\n\n"


def stand(server: FaultServer, acts: tuple[Act, ...]) -> Provider:
    """OpenAI's chat completions, whose server plays the acts."""
    server.will(*map(_answer, acts))
    return build({"OPENAI_API_KEY": "sk-test"}, f"{server.url}/v1")


def event(document: Any, *, name: str = "") -> bytes:
    """One event of a stream."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(document)}\n\n".encode()


def chunk(delta: dict[str, Any], finish_reason: str | None = None, **more: Any) -> bytes:
    """A chunk with a piece of the answer."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return event({**_HEAD, "choices": [choice], "usage": None, **more})


def counts(usage: Usage) -> bytes:
    """The chunk that counts the tokens."""
    counted = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
    return event({**_HEAD, "choices": [], "usage": counted})


def stream(*chunks: bytes | Wait) -> Answer:
    """An answer of these chunks."""
    return Answer(headers=(*EVENTS, ("x-request-id", "req_1")), chunks=chunks)


def list_answer(models: tuple[str, ...]) -> Answer:
    """The list of models, as both APIs have it."""
    listed = [{"id": name, "object": "model", "created": 1, "owned_by": "o"} for name in models]
    return Answer(headers=JSON, chunks=(json.dumps({"object": "list", "data": listed}).encode(),))


def fail_answer(kind: str) -> Answer:
    """A failure with a hostile message."""
    error = {"message": "no\x1b[31m", "type": "t", "param": None, "code": None}
    body = json.dumps({"error": error}).encode()
    return Answer(status=STATUSES[kind], headers=JSON, chunks=(body,))


_HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m-2026"}
_ROLE = chunk({"role": "assistant", "content": "", "refusal": None})


def _answer(act: Act) -> Answer:
    match act:
        case Says(pieces, usage):
            said = [chunk({"content": piece}) for piece in pieces]
            return stream(_ROLE, *said, chunk({}, "stop"), counts(usage), DONE)
        case Calls(calls, pieces, usage):
            said = [chunk({"content": piece}) for piece in pieces]
            called = [part for index, call in enumerate(calls) for part in _call(index, call)]
            end = (chunk({}, "tool_calls"), counts(usage), DONE)
            return stream(_ROLE, *said, *called, *end)
        case Refuses():
            refused = chunk({"refusal": "I will not."})
            return stream(_ROLE, refused, chunk({}, "stop"), counts(Usage(7, 1)), DONE)
        case IsCut():
            return stream(_ROLE, chunk({"content": "Because"}), chunk({}, "length"), DONE)
        case Stalls():
            return stream(_ROLE, chunk({"content": "Be"}), Wait(STALL_S))
        case Dawdles(pieces, wait_s):
            dawdled = [
                part for piece in pieces for part in (Wait(wait_s), chunk({"content": piece}))
            ]
            return stream(_ROLE, *dawdled, chunk({}, "stop"), counts(Usage(7, 3)), DONE)
        case Trickles(wait_s):
            return stream(_ROLE, *(Wait(wait_s), b": still here\n\n") * TRICKLED)
        case Stops():
            return stream(_ROLE, chunk({"content": "Be"}))
        case Fails(kind):
            return fail_answer(kind)
        case Lists(models):
            return list_answer(models)
    assert_never(act)


def _call(index: int, call: ToolCall) -> tuple[bytes, ...]:
    """A call as OpenAI sends it: its head, then its arguments bit by bit."""
    arguments = call["arguments"]
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    function = {"name": call["name"], "arguments": ""}
    head = {"index": index, "id": call["id"], "type": "function", "function": function}
    bits = ({"index": index, "function": {"arguments": bit}} for bit in (text[:3], text[3:]))
    return tuple(chunk({"tool_calls": [delta]}) for delta in (head, *bits))
