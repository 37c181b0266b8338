"""The contract of every provider for its replies.

`test_contract_requests.py` tests the requests to a server, and `test_contract_servers.py` lists of
models, addresses and secrets. Add a provider in `stands/__init__.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock

from orc.providers import (
    REGISTRY,
    PermanentError,
    Provider,
    ProviderError,
    ToolCall,
    TransientError,
    Usage,
)
from orc.providers.catalogue import SECTIONS
from orc.scheduler.core.spec.prompt import ParamsSpec
from tests.fault_server import FaultServer
from tests.providers.acts import (
    CLOCK,
    STALL_S,
    STATUSES,
    WEATHER,
    Calls,
    Fails,
    IsCut,
    Refuses,
    Says,
    Stalls,
    Stops,
    ask,
    ignore,
)
from tests.providers.stands import STANDS, WIRED

wired_only = pytest.mark.parametrize("name", WIRED)
PARAMS = set(ParamsSpec.model_fields) - set(SECTIONS)
TODAY: ToolCall = {
    "id": "call_a1",
    "name": "find_weather",
    "arguments": {"city": "Köln", "day": "today"},
}
TIME: ToolCall = {"id": "call_b2", "name": "read_clock", "arguments": {}}


def test_every_provider_keeps_the_contract() -> None:
    assert set(STANDS) == set(REGISTRY)


async def test_a_provider_knows_its_name_and_parameters_that_a_spec_can_name(
    name: str, stand: Callable[..., Provider]
) -> None:
    provider = stand()
    assert provider.name == name
    assert {"max_tokens"} <= provider.params <= PARAMS


async def test_the_reported_pieces_make_up_the_text(
    stand: Callable[..., Provider],
) -> None:
    heard: list[str] = []
    with trio.fail_after(60):
        reply = await stand(Says(("Größe ", "und\n", "😀"))).send(ask(), on_delta=heard.append)
    assert reply.text == "".join(heard) == "Größe und\n😀"
    assert len(heard) > 1
    assert reply.finish_reason == "stop"
    assert reply.model


async def test_an_empty_answer_is_an_empty_text(stand: Callable[..., Provider]) -> None:
    heard: list[str] = []
    with trio.fail_after(60):
        reply = await stand(Says(())).send(ask(), on_delta=heard.append)
    assert reply.text == "".join(heard) == ""


async def test_usage_has_the_providers_counts(
    stand: Callable[..., Provider],
) -> None:
    usage = Usage(input_tokens=11, output_tokens=3)
    with trio.fail_after(60):
        reply = await stand(Says(("Because.",), usage)).send(ask(), on_delta=ignore)
    assert reply.usage == usage


async def test_tool_calls_are_complete_and_not_part_of_the_text(
    stand: Callable[..., Provider],
) -> None:
    heard: list[str] = []
    usage = Usage(input_tokens=11, output_tokens=3)
    provider = stand(Calls((TODAY, TIME), ("Let me ", "look."), usage))
    with trio.fail_after(60):
        reply = await provider.send(ask(tools=(WEATHER, CLOCK)), on_delta=heard.append)
    assert reply.tool_calls == (TODAY, TIME)
    assert reply.finish_reason == "tool_calls"
    assert reply.text == "".join(heard) == "Let me look."
    assert reply.usage == usage


async def test_a_tool_call_needs_no_text(stand: Callable[..., Provider]) -> None:
    heard: list[str] = []
    with trio.fail_after(60):
        reply = await stand(Calls((TIME,))).send(ask(tools=(CLOCK,)), on_delta=heard.append)
    assert reply.tool_calls == (TIME,)
    assert reply.finish_reason == "tool_calls"
    assert reply.text == "".join(heard) == ""


@pytest.mark.parametrize("arguments", ['{"city": "Köln', '["Köln"]', "null"])
async def test_arguments_that_are_no_json_object_stay_a_text(
    stand: Callable[..., Provider], arguments: str
) -> None:
    call: ToolCall = {"id": "call_c3", "name": "find_weather", "arguments": arguments}
    with trio.fail_after(60):
        reply = await stand(Calls((call,))).send(ask(tools=(WEATHER,)), on_delta=ignore)
    assert reply.tool_calls == (call,)


async def test_an_offered_tool_need_not_be_called(stand: Callable[..., Provider]) -> None:
    with trio.fail_after(60):
        reply = await stand(Says(("Because.",))).send(ask(tools=(WEATHER,)), on_delta=ignore)
    assert reply.tool_calls == ()
    assert reply.finish_reason == "stop"


async def test_a_refusal_is_permanent_and_has_its_usage(
    stand: Callable[..., Provider],
) -> None:
    with trio.fail_after(60), pytest.raises(PermanentError) as caught:
        await stand(Refuses()).send(ask(), on_delta=ignore)
    assert caught.value.kind == "refused"
    assert caught.value.message.isprintable()
    assert caught.value.usage == Usage(input_tokens=7, output_tokens=1)


async def test_a_truncated_answer_has_finish_reason_length(stand: Callable[..., Provider]) -> None:
    with trio.fail_after(60):
        reply = await stand(IsCut()).send(ask(), on_delta=ignore)
    assert reply.text == "Because"
    assert reply.finish_reason == "length"


@pytest.mark.parametrize(
    ("kind", "of"),
    [
        ("rate_limit", TransientError),
        ("timeout", TransientError),
        ("server_error", TransientError),
        ("auth", PermanentError),
        ("bad_request", PermanentError),
    ],
)
async def test_a_failure_is_transient_or_permanent_by_its_kind(
    stand: Callable[..., Provider], kind: str, of: type[ProviderError]
) -> None:
    with trio.fail_after(60), pytest.raises(of) as caught:
        await stand(Fails(kind)).send(ask(), on_delta=ignore)
    assert caught.value.kind == kind
    assert caught.value.message
    assert caught.value.message.isprintable()


async def test_a_provider_does_not_try_again_by_itself(
    stand: Callable[..., Provider],
) -> None:
    provider = stand(Fails("rate_limit"), Says(("Because.",)))
    with trio.fail_after(60):
        with pytest.raises(TransientError):
            await provider.send(ask(1), on_delta=ignore)
        assert (await provider.send(ask(2), on_delta=ignore)).text == "Because."


async def test_a_call_that_is_cancelled_during_its_stream_ends_at_once(
    name: str,
    stand: Callable[..., Provider],
    server: FaultServer,
    autojump_clock: MockClock,
) -> None:
    provider = stand(Stalls(), Says(("Because.",)))
    heard_at_s: list[float] = []

    def hear(_piece: str) -> None:
        heard_at_s.append(trio.current_time())
        scope.cancel()

    with trio.fail_after(STALL_S), trio.CancelScope() as scope:
        await provider.send(ask(1, timeout_s=STALL_S), on_delta=hear)
    assert scope.cancelled_caught
    assert len(heard_at_s) == 1
    assert trio.current_time() - heard_at_s[0] < 1
    with trio.fail_after(60):
        if name in WIRED:
            await server.wait_disconnected()
        assert (await provider.send(ask(2), on_delta=ignore)).text == "Because."


async def test_calls_at_the_same_time_do_not_mix(stand: Callable[..., Provider]) -> None:
    texts = {f"{letter}{letter}{letter}" for letter in "abcdefgh"}
    provider = stand(*(Says(tuple(text)) for text in sorted(texts)))
    found: list[str] = []

    async def send(ordinal: int) -> None:
        heard: list[str] = []
        reply = await provider.send(ask(ordinal), on_delta=heard.append)
        assert reply.text == "".join(heard)
        found.append(reply.text)

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for ordinal in range(1, len(texts) + 1):
                nursery.start_soon(send, ordinal)
    assert sorted(found) == sorted(texts)


async def test_closing_twice_is_harmless(stand: Callable[..., Provider]) -> None:
    provider = stand(Says(("Because.",)))
    with trio.fail_after(60):
        await provider.send(ask(), on_delta=ignore)
        await provider.aclose()
        await provider.aclose()


@wired_only
async def test_a_call_is_one_request_even_if_it_fails(
    stand: Callable[..., Provider], server: FaultServer
) -> None:
    acts = (Says(("Because.",)), *map(Fails, STATUSES), Stops())
    provider = stand(*acts)
    for ordinal in range(1, len(acts) + 1):
        with trio.fail_after(60):
            with suppress(ProviderError):
                await provider.send(ask(ordinal), on_delta=ignore)
        assert len(server.requests) == ordinal


@wired_only
async def test_an_answer_without_an_end_mark_is_a_protocol_error(
    stand: Callable[..., Provider],
) -> None:
    with trio.fail_after(60), pytest.raises(TransientError) as caught:
        await stand(Stops()).send(ask(), on_delta=ignore)
    assert caught.value.kind == "protocol"
