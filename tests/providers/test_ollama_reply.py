"""How Ollama's provider reads replies: text, tool calls, counts and the end mark."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from orc.providers import Message, Reply, Request, Usage
from orc.providers.ollama import Ollama
from tests.fault_server import FaultServer, Wait
from tests.providers.acts import CLOCK, USER, WEATHER
from tests.providers.ollama_script import BIDI, ESCAPE, ask, calls, end, line, sent, stream


async def test_a_reply_has_its_text_counts_and_finish_reason(
    server: FaultServer, ollama: Ollama
) -> None:
    last = end("!", model="m:7b", done_reason="length", prompt_eval_count=11, eval_count=3)
    server.will(stream(line("Be"), line("cause"), last))
    assert await ask(ollama) == Reply(
        text="Because!",
        model="m:7b",
        finish_reason="length",
        usage=Usage(input_tokens=11, output_tokens=3),
    )


async def test_pieces_are_reported_as_they_arrive(
    server: FaultServer, ollama: Ollama, autojump_clock: MockClock
) -> None:
    server.will(stream(line("a"), Wait(10), line("b"), Wait(10), end()))
    heard: list[tuple[float, str]] = []
    begun_s = trio.current_time()
    with trio.fail_after(600):
        await ollama.send(
            Request(model="m", messages=(USER,)),
            on_delta=lambda piece: heard.append((trio.current_time() - begun_s, piece)),
        )
    assert [piece for _, piece in heard] == ["a", "b"]
    assert [at_s for at_s, _ in heard] == pytest.approx([0, 10])


async def test_the_reply_does_not_depend_on_the_chunks(server: FaultServer, ollama: Ollama) -> None:
    whole = (
        json.dumps(json.loads(line("Größe 😀")), ensure_ascii=False).encode() + b"\r\n\n" + end()
    )
    server.will(stream(*(whole[i : i + 1] for i in range(len(whole)))), stream(whole))
    assert (await ask(ollama)).text == "Größe 😀"
    assert (await ask(ollama)).text == "Größe 😀"


async def test_a_single_object_without_a_line_feed_is_a_reply(
    server: FaultServer, ollama: Ollama
) -> None:
    headers = (("content-type", "application/json; charset=utf-8"),)
    server.will(stream(end("Because.").strip(), headers=headers))
    assert (await ask(ollama)).text == "Because."


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/jsonl", "x/y"])
async def test_lines_are_read_whatever_the_content_type(
    server: FaultServer, ollama: Ollama, content_type: str | None
) -> None:
    headers = (("content-type", content_type),) if content_type else ()
    server.will(stream(end("Because."), headers=headers))
    assert (await ask(ollama)).text == "Because."


async def test_missing_fields_of_the_last_line_have_defaults(
    server: FaultServer, ollama: Ollama
) -> None:
    server.will(stream(b'{"done": true}\n'))
    assert await ask(ollama, model="asked") == Reply(
        text="", model="asked", finish_reason="stop", usage=Usage(), is_counted=False
    )


async def test_a_lone_surrogate_becomes_a_replacement_character(
    server: FaultServer, ollama: Ollama
) -> None:
    server.will(stream(line("a\ud800b"), line("\udc00"), line("\U0001f600"), end()))
    assert (await ask(ollama)).text == "a\ufffdb\ufffd\U0001f600"


async def test_thinking_is_not_part_of_the_text(server: FaultServer, ollama: Ollama) -> None:
    thought = {"role": "assistant", "content": "", "thinking": "Hm."}
    server.will(stream(line(message=thought), end("Because.")))
    assert (await ask(ollama)).text == "Because."


async def test_names_from_the_server_have_no_control_characters(
    server: FaultServer, ollama: Ollama
) -> None:
    server.will(stream(line("a"), end(model=f"m{ESCAPE}{BIDI}x", done_reason=f"s{ESCAPE}top")))
    reply = await ask(ollama)
    assert (reply.model, reply.finish_reason) == ("m [31mx", "s [31mtop")


async def test_a_connection_serves_the_next_call(server: FaultServer, ollama: Ollama) -> None:
    for _ in range(3):
        await sent(server, ollama)
    assert (len(server.requests), server.connections) == (3, 1)


@pytest.mark.parametrize("ending", ["cut", "reset"])
async def test_a_cut_after_the_end_mark_does_not_change_the_reply(
    server: FaultServer, ollama: Ollama, ending: Any
) -> None:
    server.will(stream(end("Because."), Wait(0.05), ending=ending))
    assert (await ask(ollama)).text == "Because."


async def test_silence_after_the_end_mark_does_not_delay_the_reply(
    server: FaultServer, ollama: Ollama, autojump_clock: MockClock
) -> None:
    server.will(stream(end("Because."), Wait()))
    begun_s = trio.current_time()
    assert (await ask(ollama)).text == "Because."
    assert trio.current_time() - begun_s < 1
    await server.wait_disconnected()


async def test_calls_of_several_lines_are_one_list(server: FaultServer, ollama: Ollama) -> None:
    server.will(
        stream(
            calls({"id": "a", "function": {"name": "read_clock", "arguments": {}}}, content="So: "),
            calls({"id": "b", "function": {"name": "find_weather", "arguments": {"city": "Köln"}}}),
            end(),
        )
    )
    reply = await ask(ollama, tools=(WEATHER, CLOCK))
    assert reply.text == "So: "
    assert reply.tool_calls == (
        {"id": "a", "name": "read_clock", "arguments": {}},
        {"id": "b", "name": "find_weather", "arguments": {"city": "Köln"}},
    )
    assert reply.finish_reason == "tool_calls"


async def test_calls_in_the_last_line_count(server: FaultServer, ollama: Ollama) -> None:
    call = {"id": "a", "function": {"name": "read_clock", "arguments": {}}}
    server.will(stream(end(message={"role": "assistant", "tool_calls": [call]})))
    reply = await ask(ollama, tools=(CLOCK,))
    assert [call["id"] for call in reply.tool_calls] == ["a"]


@pytest.mark.parametrize("given", [{}, {"id": None}, {"id": ""}])
async def test_a_call_without_an_id_has_its_number_in_the_conversation(
    server: FaultServer, ollama: Ollama, given: dict[str, Any]
) -> None:
    call = {**given, "function": {"name": "read_clock"}}
    server.will(stream(calls(call, call), end()), stream(calls(call), end()))
    first = await ask(ollama, tools=(CLOCK,))
    assert [call["id"] for call in first.tool_calls] == ["call_1", "call_2"]
    assert [call["arguments"] for call in first.tool_calls] == [{}, {}]
    said: Message = {"role": "assistant", "content": "", "tool_calls": list(first.tool_calls)}
    second = await ask(ollama, messages=(USER, said, USER), tools=(CLOCK,))
    assert [call["id"] for call in second.tool_calls] == ["call_3"]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ('{"city": "Köln"}', {"city": "Köln"}),
        ('{"city": ', '{"city": '),
        ('{"a": 1, "a": 2}', '{"a": 1, "a": 2}'),
        ("a\ud800b", "a\ufffdb"),
        ("", {}),
    ],
)
async def test_arguments_as_json_text_become_an_object(
    server: FaultServer, ollama: Ollama, given: str, found: Any
) -> None:
    call = {"function": {"name": "find_weather", "arguments": given}}
    server.will(stream(calls(call), end()))
    (made,) = (await ask(ollama, tools=(WEATHER,))).tool_calls
    assert made["arguments"] == found


async def test_a_truncated_reply_with_calls_has_finish_reason_length(
    server: FaultServer, ollama: Ollama
) -> None:
    call = {"function": {"name": "read_clock", "arguments": {}}}
    server.will(stream(calls(call), end(done_reason="length")))
    assert (await ask(ollama, tools=(CLOCK,))).finish_reason == "length"


async def test_thinking_before_a_call_is_kept_for_the_model(
    server: FaultServer, ollama: Ollama
) -> None:
    call = {"function": {"name": "read_clock", "arguments": {}}}
    thoughts = [
        line(message={"role": "assistant", "content": "", "thinking": thought})
        for thought in ("Hm, ", "a\ud800b.")
    ]
    server.will(stream(*thoughts, calls(call), end()), stream(*thoughts, end("Noon.")))
    reply = await ask(ollama, tools=(CLOCK,))
    assert reply.text == ""
    assert reply.native == {"thinking": "Hm, a\ufffdb."}
    assert (await ask(ollama, tools=(CLOCK,))).native is None


async def test_the_names_of_a_call_have_no_control_characters(
    server: FaultServer, ollama: Ollama
) -> None:
    call = {"id": f"a{ESCAPE}", "function": {"name": f"read{BIDI}_clock", "arguments": {}}}
    server.will(stream(calls(call), end()))
    (found,) = (await ask(ollama, tools=(CLOCK,))).tool_calls
    assert (found["id"], found["name"]) == ("call_1", "read_clock")
