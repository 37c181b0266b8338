"""The contract of every adapter for odd replies that are whole: none is lost, and nothing is made up."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from orc.providers import Message, ProviderError, ToolCall, TransientError, Usage
from orc.providers.reply_bounds import known_usage
from tests.fault_server import Answer, FaultServer
from tests.providers import anthropic_script as claude
from tests.providers import ollama_script as llama
from tests.providers.acts import USER, WEATHER
from tests.providers.stands import openai as chat
from tests.providers.stands import openai_responses as resp
from tests.providers.test_contract_replies import JSON, WIRES, ask, each_server, send_one

BOM = b"\xef\xbb\xbf"
EMPTY: dict[str, bytes] = {
    "openai": chat.chunk({"content": None, "tool_calls": [None]}),
    "openai-responses": resp.named("response.output_text.delta", delta=None),
    "anthropic": claude.block(
        {"type": "text", "text": None}, {"type": "text_delta", "text": None}, index=1
    ),
    "ollama": llama.line(message={"content": None, "tool_calls": [None]}),
}


def _function(arguments: Any) -> dict[str, Any]:
    return {"id": "c1", "function": {"name": "find_weather", "arguments": arguments}}


def _response(arguments: Any) -> dict[str, Any]:
    call = {"type": "function_call", "call_id": "c1", "name": "find_weather"}
    return {
        "object": "response",
        "status": "completed",
        "output": [{**call, "arguments": arguments}],
    }


def _message(arguments: Any) -> dict[str, Any]:
    block = {"type": "tool_use", "id": "c1", "name": "find_weather", "input": arguments}
    return {"type": "message", "content": [block], "stop_reason": "tool_use"}


CALLS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "openai": lambda arguments: {
        "choices": [{"message": {"tool_calls": [_function(arguments)]}, "finish_reason": "stop"}]
    },
    "openai-responses": _response,
    "anthropic": _message,
    "ollama": lambda arguments: {"message": {"tool_calls": [_function(arguments)]}, "done": True},
}


@each_server
async def test_a_byte_order_mark_before_a_reply_loses_nothing_of_it(
    server: FaultServer, wire: str
) -> None:
    made = WIRES[wire]
    # OpenAI's chat API needs no first event, so that the mark stands before the text.
    begin = b"" if wire == "openai" else made.begin
    reply = await ask(wire, server, BOM + begin, made.said("Because."), made.end())
    assert reply.text == "Because."


@each_server
async def test_a_piece_that_is_null_is_no_piece(server: FaultServer, wire: str) -> None:
    made = WIRES[wire]
    reply = await ask(wire, server, made.begin, EMPTY[wire], made.said("Because."), made.end())
    assert (reply.text, reply.tool_calls) == ("Because.", ())


@each_server
@pytest.mark.parametrize(
    ("written", "arguments"),
    [
        ({"city": "Köln"}, {"city": "Köln"}),
        ('{"city": "Köln"}', {"city": "Köln"}),
        (None, {}),
        (["Köln"], '["Köln"]'),
        (7, "7"),
        (False, "false"),
        ("Köln", "Köln"),
        ({"city": float("nan")}, '{"city": NaN}'),
    ],
)
async def test_arguments_of_any_shape_are_an_object_or_the_models_text(
    server: FaultServer, wire: str, written: Any, arguments: Any
) -> None:
    document = json.dumps(CALLS[wire](written), ensure_ascii=False).encode()
    reply = await ask(wire, server, document, tools=(WEATHER,))
    assert [call["arguments"] for call in reply.tool_calls] == [arguments]
    if wire == "anthropic":
        # What goes back must be an object, too.
        assert isinstance(reply.native[0]["input"], dict)


@each_server
async def test_a_detail_that_is_no_finite_number_loses_no_reply(
    server: FaultServer, wire: str
) -> None:
    document = WIRES[wire].document("Because.") | {"speed": float("inf"), "load": float("nan")}
    reply = await ask(wire, server, json.dumps(document).encode())
    assert (reply.text, reply.is_counted) == ("Because.", True)


@each_server
@pytest.mark.parametrize("counts", [(0, 2), (5, 0), (0, 0), None])
async def test_a_count_of_zero_is_unknown_where_there_was_something_to_count(
    server: FaultServer, wire: str, counts: tuple[int, int] | None
) -> None:
    made = WIRES[wire]
    end = made.end(usage=None if counts is None else made.usage(*counts))
    reply = await ask(wire, server, made.begin, made.said("Because."), end)
    assert known_usage(reply) is None
    if counts == (5, 0):
        reply = await ask(wire, server, made.begin, end)
        assert known_usage(reply) == Usage(5, 0)


@pytest.mark.parametrize(
    ("wire", "word"),
    [
        ("openai", "content_filter"),
        ("openai-responses", "content_filter"),
        ("anthropic", "refusal"),
        ("ollama", "content_filter"),
    ],
)
async def test_a_refusal_without_counts_may_have_used_tokens(
    server: FaultServer, wire: str, word: str
) -> None:
    made = WIRES[wire]
    for counts in (None, (0, 0), (5, 2)):
        usage = None if counts is None else made.usage(*counts)
        with pytest.raises(ProviderError) as caught:
            await ask(wire, server, made.begin, made.said("No"), made.end(word, usage))
        is_known = counts == (5, 2)
        assert caught.value.kind == "refused"
        assert caught.value.usage == (Usage(5, 2) if is_known else None)
        assert caught.value.is_partial is not is_known


@pytest.mark.parametrize("wire", ["openai", "openai-responses"])
async def test_a_refusal_in_words_without_counts_may_have_used_tokens(
    server: FaultServer, wire: str
) -> None:
    refusal = resp.end(resp.text_item("", type="refusal", refusal="No."), usage=Usage())
    if wire == "openai":
        refusal = chat.chunk({"refusal": "No."}, "stop")
    with pytest.raises(ProviderError) as caught:
        await ask(wire, server, refusal)
    assert (caught.value.kind, caught.value.usage) == ("refused", None)
    assert caught.value.is_partial


@pytest.mark.parametrize(("content", "text"), [("Because.", "Because."), (None, ""), ([], "")])
async def test_the_content_of_a_message_may_be_a_text_or_null(
    server: FaultServer, content: Any, text: str
) -> None:
    document = {"type": "message", "content": content, "stop_reason": "end_turn"}
    reply = await ask("anthropic", server, json.dumps(document).encode())
    assert reply.text == text


async def test_a_beginning_without_a_message_is_one_without_counts(server: FaultServer) -> None:
    begun = claude.event("message_start", message=None)
    reply = await ask("anthropic", server, begun, claude.text("Because."), WIRES["anthropic"].end())
    assert (reply.text, reply.is_counted) == ("Because.", False)


@pytest.mark.parametrize("error", ["", False, None, {}])
async def test_an_empty_error_is_none(server: FaultServer, error: Any) -> None:
    reply = await ask("ollama", server, llama.line("Because."), llama.end(error=error))
    assert reply.text == "Because."


@each_server
async def test_an_id_that_an_earlier_turn_had_is_replaced(server: FaultServer, wire: str) -> None:
    call = ToolCall(id="c1", name="find_weather", arguments={})
    talk: tuple[Message, ...] = (
        USER,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "name": "find_weather", "content": "rain"},
    )
    document = json.dumps(CALLS[wire]({})).encode()
    reply = await ask(wire, server, document, tools=(WEATHER,), messages=talk)
    assert [call["id"] for call in reply.tool_calls] == ["call_2"]


@pytest.mark.parametrize("wire", ["openai", "openai-responses", "anthropic"])
async def test_a_cost_in_a_header_is_recorded_by_each_api_that_a_router_has(
    server: FaultServer, wire: str
) -> None:
    server.will(
        Answer(
            headers=(*WIRES[wire].headers, ("x-litellm-response-cost", "0.0012")),
            chunks=(json.dumps(WIRES[wire].document("Because.")).encode(),),
        )
    )
    reply = await send_one(wire, server)
    assert reply.cost_nano_usd == 1_200_000


@each_server
@pytest.mark.parametrize("status", [200, 429])
async def test_a_wait_in_the_words_of_a_failure_is_kept(
    server: FaultServer, wire: str, status: int
) -> None:
    body = {"error": {"code": 429, "message": "Slow down; try again in 7.5s"}}
    server.will(Answer(status=status, headers=JSON, chunks=(json.dumps(body).encode(),)))
    with pytest.raises(TransientError) as caught:
        await send_one(wire, server)
    assert (caught.value.kind, caught.value.retry_after_s) == ("rate_limit", 7.5)


@each_server
@pytest.mark.parametrize(
    ("header", "value", "seconds"),
    [
        ("retry-after", "12s", 12.0),
        ("retry-after", "5, 12", 12.0),
        ("retry-after", "5, soon", None),
        ("retry-after-ms", "1500", 1.5),
    ],
)
async def test_a_header_for_a_wait_is_read_in_each_form(
    server: FaultServer, wire: str, header: str, value: str, seconds: float | None
) -> None:
    server.will(Answer(status=429, headers=((header, value),), chunks=(b"no",)))
    with pytest.raises(TransientError) as caught:
        await send_one(wire, server)
    assert caught.value.retry_after_s == seconds


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 429, "message": "Too fast."}, "rate_limit"),
        ({"code": 402, "message": "Insufficient credits"}, "auth"),
        ({"code": 403, "message": "Your input was flagged"}, "refused"),
        ("the provider is gone", "server_error"),
    ],
)
async def test_an_error_inside_an_answer_is_that_error(
    server: FaultServer, error: Any, kind: str
) -> None:
    choice = {"message": {"content": ""}, "finish_reason": "error", "error": error}
    document = {"choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}
    with pytest.raises(ProviderError) as caught:
        await ask("openai", server, json.dumps(document).encode())
    assert (caught.value.kind, caught.value.usage) == (kind, Usage(5, 2))
    assert (error if isinstance(error, str) else error["message"]) in caught.value.message
