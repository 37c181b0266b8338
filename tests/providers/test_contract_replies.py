"""The contract of every adapter for what a reply means: ends, counts, reasoning, broken replies.

Each adapter has a `Wire`, which writes the same reply in its API: as a stream and as one document.
Recorded replies have one too, which writes their file.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import trio

from orc.ledger.digest import digest_json
from orc.providers import PermanentError, Provider, ProviderError, Reply, Request, Usage
from orc.providers import anthropic as anthropic_api
from orc.providers import openai as openai_api
from orc.providers import openai_responses as responses_api
from orc.providers.ollama import Ollama
from orc.providers.replay import Replay, parse_replies
from tests.fault_server import Answer, FaultServer
from tests.providers import anthropic_script as claude
from tests.providers import ollama_script as llama
from tests.providers.acts import USER, WEATHER, ignore
from tests.providers.stands import openai as chat
from tests.providers.stands import openai_responses as resp

JSON = (("content-type", "application/json"),)
CALL = {"id": "call_a1", "name": "find_weather", "arguments": '{"city": "K'}


@dataclass(frozen=True, slots=True)
class Wire:
    """How an API writes a reply; `ends` maps a class of ends to words that its vendors publish."""

    build: Callable[[str], Provider]
    said: Callable[[str], bytes]
    end: Callable[..., bytes]
    begin: bytes
    document: Callable[[str], Any]
    ends: dict[str, tuple[str, ...]]
    usage: Callable[[int, int], Any]
    headers: tuple[tuple[str, str], ...] = chat.EVENTS


def _recording(*chunks: bytes) -> Provider:
    """The provider `replay` with one reply, which the chunks describe."""
    entry: dict[str, Any] = {"text": ""}
    for part in map(json.loads, filter(None, chunks)):
        entry |= {**part, "text": entry["text"] + part.get("text", "")}
    return Replay(parse_replies({"replies": {}, "default": [entry]}), digest=digest_json)


def _recorded_end(word: str = "stop", usage: Any = None) -> bytes:
    counted = {} if usage is None else {"usage": usage}
    return json.dumps({"finish_reason": word, **counted}).encode()


def _chat_end(word: str = "stop", usage: Any = None) -> bytes:
    counted = b"" if usage is None else chat.event({"choices": [], "usage": usage})
    return chat.chunk({}, word) + counted + chat.DONE


def _responses_end(word: str = "completed", usage: Any = None) -> bytes:
    status = word if word in ("completed", "failed", "cancelled") else "incomplete"
    details = {"incomplete_details": {"reason": word}} if status == "incomplete" else {}
    whole = {"id": "r", "model": "m", "status": status, "usage": usage, **details}
    return resp.named(f"response.{status}", response=whole)


def _claude_end(word: str = "end_turn", usage: Any = None) -> bytes:
    delta = {"stop_reason": word}
    last = claude.event("message_delta", delta=delta, usage=usage)
    return last + claude.event("message_stop")


def _llama_end(word: str = "stop", usage: Any = None) -> bytes:
    return llama.end(done_reason=word, **(usage or {}))


CHAT_ENDS = {
    "stop": ("stop", "STOP", "end_turn", "eos", "eos_token", "stop_sequence", "COMPLETE"),
    "length": ("length", "max_tokens", "MAX_TOKENS", "model_length", "max_output_tokens"),
    "refused": (
        "content_filter",
        "SAFETY",
        "refusal",
        "RECITATION",
        "sensitive",
        "PROHIBITED_CONTENT",
    ),
    "failed": (
        "error",
        "network_error",
        "insufficient_system_resource",
        "abort",
        "cancelled",
        "OTHER",
    ),
}
WIRES = {
    "openai": Wire(
        lambda url: openai_api.build({"OPENAI_API_KEY": "sk-test"}, f"{url}/v1"),
        lambda text: chat.chunk({"content": text}),
        _chat_end,
        chat.chunk({"role": "assistant", "content": ""}),
        lambda text: {
            "object": "chat.completion",
            "choices": [{"index": 0, "message": {"content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 2},
        },
        CHAT_ENDS,
        lambda read, written: {"prompt_tokens": read, "completion_tokens": written},
    ),
    "openai-responses": Wire(
        lambda url: responses_api.build({"OPENAI_API_KEY": "sk-test"}, f"{url}/v1"),
        resp.delta,
        _responses_end,
        resp.BEGIN,
        lambda text: {
            "object": "response",
            "status": "completed",
            "output": [resp.text_item(text)],
            "usage": {"input_tokens": 5, "output_tokens": 2},
        },
        {
            "stop": ("completed",),
            "length": ("max_output_tokens", "max_tokens"),
            "refused": ("content_filter",),
            "failed": ("failed", "cancelled"),
        },
        lambda read, written: {"input_tokens": read, "output_tokens": written},
    ),
    "anthropic": Wire(
        lambda url: anthropic_api.build({"ANTHROPIC_API_KEY": claude.KEY}, url),
        lambda text: claude.text(text),
        _claude_end,
        claude.event("message_start", message={"model": "m"}),
        lambda text: {
            "type": "message",
            "model": "m",
            "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 5, "output_tokens": 2},
        },
        {
            "stop": ("end_turn", "stop_sequence"),
            "length": ("max_tokens", "model_context_window_exceeded"),
            "refused": ("refusal", "content_filter"),
            "paused": ("pause_turn",),
            "failed": ("error", "network_error"),
        },
        lambda read, written: {"input_tokens": read, "output_tokens": written},
    ),
    "ollama": Wire(
        Ollama,
        llama.line,
        _llama_end,
        b"",
        lambda text: {
            "model": "m",
            "message": {"role": "assistant", "content": text},
            "done": True,
            "done_reason": "stop",
            "prompt_eval_count": 5,
            "eval_count": 2,
        },
        {"stop": ("stop",), "length": ("length",), "failed": ("error", "abort", "cancelled")},
        lambda read, written: {"prompt_eval_count": read, "eval_count": written},
        (("content-type", "application/x-ndjson"),),
    ),
    "replay": Wire(
        lambda url: _recording(),
        lambda text: json.dumps({"text": text}).encode(),
        _recorded_end,
        b"",
        lambda text: {"text": text, "usage": {"input_tokens": 5, "output_tokens": 2}},
        CHAT_ENDS | {"paused": ("pause_turn",)},
        lambda read, written: {"input_tokens": read, "output_tokens": written},
    ),
}


def _words(*classes: str) -> list[tuple[str, str, str]]:
    return [
        (name, end, word)
        for name, wire in WIRES.items()
        for end, words in wire.ends.items()
        for word in words
        if end in classes
    ]


async def ask(name: str, server: FaultServer, *chunks: bytes, **changes: Any) -> Reply:
    """The reply of an adapter to a stream of these chunks."""
    if name == "replay":
        return await _recording(*chunks).send(_request(**changes), on_delta=ignore)
    server.will(Answer(headers=WIRES[name].headers, chunks=tuple(filter(None, chunks))))
    return await send_one(name, server, **changes)


async def send_one(name: str, server: FaultServer, **changes: Any) -> Reply:
    """The reply of an adapter to what the server has been told to answer."""
    provider = WIRES[name].build(server.url)
    try:
        with trio.fail_after(60):
            return await provider.send(_request(**changes), on_delta=ignore)
    finally:
        await provider.aclose()


def _request(**changes: Any) -> Request:
    return Request(**{"model": "m", "messages": (USER,), "timeout_s": 20.0, **changes})


each = pytest.mark.parametrize("wire", list(WIRES))
each_server = pytest.mark.parametrize("wire", [name for name in WIRES if name != "replay"])
"""Without recorded replies. These are replies as orc has read them, so that nothing is sent, breaks off
or has reasoning in its text; a file with a wrong count is refused before a job begins."""


@pytest.mark.parametrize(("wire", "end", "word"), _words("stop", "length", "paused"))
async def test_a_word_for_a_usable_end_is_that_end(
    server: FaultServer, wire: str, end: str, word: str
) -> None:
    made = WIRES[wire]
    reply = await ask(wire, server, made.begin, made.said("Because."), made.end(word))
    assert (reply.text, reply.finish_reason) == ("Because.", end)


@pytest.mark.parametrize(("wire", "end", "word"), _words("refused", "failed"))
async def test_a_word_for_a_refusal_or_a_failure_is_no_success(
    server: FaultServer, wire: str, end: str, word: str
) -> None:
    made = WIRES[wire]
    with pytest.raises(ProviderError) as caught:
        await ask(wire, server, made.begin, made.said("Be"), made.end(word))
    assert isinstance(caught.value, PermanentError) == (end == "refused")
    assert (caught.value.kind == "refused") == (end == "refused")


@each
async def test_an_unknown_end_is_kept_with_a_text_and_refused_without(
    server: FaultServer, wire: str
) -> None:
    made = WIRES[wire]
    reply = await ask(wire, server, made.begin, made.said("Because."), made.end("new_word"))
    assert reply.finish_reason == "new_word"
    with pytest.raises(ProviderError) as caught:
        await ask(wire, server, made.begin, made.end("new_word"))
    assert caught.value.kind == "protocol"


@each
async def test_counts_that_are_missing_are_unknown_and_others_are_known(
    server: FaultServer, wire: str
) -> None:
    made = WIRES[wire]
    reply = await ask(wire, server, made.begin, made.said("Because."), made.end())
    assert not reply.is_counted
    counted = made.end(usage=made.usage(5, 2))
    reply = await ask(wire, server, made.begin, made.said("Because."), counted)
    assert (reply.is_counted, reply.usage) == (True, Usage(5, 2))


@each_server
@pytest.mark.parametrize("odd", [-1, True, "many", 1.5, 10**30, None, [7]])
async def test_a_count_of_another_shape_is_unknown_and_the_reply_is_kept(
    server: FaultServer, wire: str, odd: Any
) -> None:
    made = WIRES[wire]
    bad = made.end(usage=made.usage(odd, odd))
    reply = await ask(wire, server, made.begin, made.said("Because."), bad)
    assert (reply.text, reply.is_counted) == ("Because.", False)


@each_server
async def test_a_document_in_place_of_a_stream_is_the_reply(server: FaultServer, wire: str) -> None:
    document = json.dumps(WIRES[wire].document("Because\n."), indent=2).encode()
    server.will(Answer(headers=JSON, chunks=(document[:9], document[9:])))
    reply = await send_one(wire, server)
    assert (reply.text, reply.finish_reason, reply.usage) == ("Because\n.", "stop", Usage(5, 2))


@each_server
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "This model's maximum context length is 9 tokens"}, "context_length"),
        ({"message": "The server is overloaded"}, "server_error"),
        ({"message": "Insufficient Balance"}, "auth"),
        ({"message": "Your input was flagged by moderation"}, "refused"),
        ("something broke", "server_error"),
    ],
)
async def test_an_error_under_a_success_status_is_that_error(
    server: FaultServer, wire: str, error: Any, kind: str
) -> None:
    server.will(Answer(headers=JSON, chunks=(json.dumps({"error": error}).encode(),)))
    with pytest.raises(ProviderError) as caught:
        await send_one(wire, server)
    assert caught.value.kind == kind


@each_server
async def test_a_reply_that_breaks_off_is_partial(server: FaultServer, wire: str) -> None:
    made = WIRES[wire]
    with pytest.raises(ProviderError) as caught:
        await ask(wire, server, made.begin, made.said("Be"))
    assert (caught.value.kind, caught.value.is_partial) == ("protocol", True)
    server.will(Answer(status=500, headers=JSON, chunks=(b'{"error": "no"}',)))
    with pytest.raises(ProviderError) as caught:
        await send_one(wire, server)
    assert not caught.value.is_partial


@each_server
@pytest.mark.parametrize(
    ("pieces", "text", "thought"),
    [
        (("<think>Hm.</think>\n\nYes.",), "Yes.", "Hm."),
        (("\n<th", "ink>H", "m.</th", "ink> Y", "es."), "Yes.", "Hm."),
        (("<think>Hm.",), "", "Hm."),
        (("Hm.\n</think>\n\nYes.",), "Yes.", "Hm."),
        (("Write <think>x</think>.",), "Write <think>x</think>.", ""),
        (("<p>", "Yes.</p>"), "<p>Yes.</p>", ""),
    ],
)
async def test_reasoning_in_tags_is_not_part_of_the_text(
    server: FaultServer, wire: str, pieces: tuple[str, ...], text: str, thought: str
) -> None:
    made = WIRES[wire]
    said = [made.said(piece) for piece in pieces]
    if wire == "anthropic":
        said = [claude.text(*pieces)]
    reply = await ask(wire, server, made.begin, *said, made.end())
    assert (reply.text, reply.reasoning) == (text, thought)


@each_server
@pytest.mark.parametrize("arguments", ['{"city": "K', "Köln", "[1]"])
async def test_arguments_that_are_no_object_go_back_as_one(
    server: FaultServer, wire: str, arguments: str
) -> None:
    made = WIRES[wire]
    call = {**CALL, "arguments": arguments}
    said = {"role": "assistant", "content": "", "tool_calls": [call]}
    result = {"role": "tool", "tool_call_id": "call_a1", "name": "find_weather", "content": "no"}
    talk = (USER, said, result)
    chunks = (made.begin, made.said("Yes."), made.end())
    await ask(wire, server, *chunks, messages=talk, tools=(WEATHER,))
    sent = _find_arguments(server.requests[-1].json())
    found = json.loads(sent) if isinstance(sent, str) else sent
    assert isinstance(found, dict)
    assert arguments in found.values()


def _find_arguments(value: Any) -> Any:
    """The arguments of the call in the body of a request, whatever its API calls them."""
    if isinstance(value, list):
        return next((found for one in value if (found := _find_arguments(one)) is not None), None)
    if not isinstance(value, dict):
        return None
    is_call = value.get("type") in ("function_call", "tool_use") or "arguments" in value
    if is_call and "parameters" not in value:
        return value.get("arguments", value.get("input"))
    inner = [value[key] for key in ("messages", "input", "content", "tool_calls") if key in value]
    return _find_arguments([*inner, *([value["function"]] if "function" in value else [])])
