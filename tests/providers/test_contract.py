"""What every provider promises, whichever API is behind it.

A provider joins with an entry in `STANDS`: a function that makes it, set up so
that its n-th call meets the n-th act. Those that speak to a server let the fault
server play the acts and are listed in `WIRED` too.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, assert_never

import pytest
import trio
from trio.testing import MockClock

from ledger.digest import digest_json
from providers import (
    REGISTRY,
    Message,
    PermanentError,
    Provider,
    ProviderError,
    Request,
    TransientError,
    Usage,
)
from providers.ollama import Ollama
from providers.replay import RecordedReply, Replay
from tests.fault_server import Answer, FaultServer, Wait


@dataclass(frozen=True, slots=True)
class Says:
    """The model answers with these pieces."""

    pieces: tuple[str, ...]
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class Fails:
    """The call fails with this kind before a word is said."""

    kind: str


@dataclass(frozen=True, slots=True)
class Stalls:
    """The model begins to answer, and then is silent for longer than any test waits."""


@dataclass(frozen=True, slots=True)
class Stops:
    """The model begins to answer, and the stream ends in good order without an end mark."""


Act = Says | Fails | Stalls | Stops
Stand = Callable[[FaultServer, tuple[Act, ...]], Provider]

STATUSES = {"rate_limit": 429, "timeout": 408, "server_error": 503, "auth": 401, "bad_request": 400}
STALL_S = 1e6


def stand_replay(_server: FaultServer, acts: tuple[Act, ...]) -> Provider:
    def record(act: Act) -> RecordedReply:
        match act:
            case Says(pieces, usage):
                return RecordedReply("".join(pieces), usage=usage)
            case Fails(kind):
                return RecordedReply("", error={"kind": kind})
            case Stalls():
                return RecordedReply("Because.", latency_s=STALL_S)
            case Stops():
                raise AssertionError("a recorded reply is always whole")
        assert_never(act)

    return Replay({"write": tuple(map(record, acts))}, digest=digest_json)


def stand_ollama(server: FaultServer, acts: tuple[Act, ...]) -> Provider:
    def line(text: str, **more: Any) -> bytes:
        return json.dumps({"message": {"content": text}, "done": False, **more}).encode() + b"\n"

    def answer(act: Act) -> Answer:
        headers = (("content-type", "application/x-ndjson"),)
        match act:
            case Says(pieces, usage):
                counts = {
                    "prompt_eval_count": usage.input_tokens,
                    "eval_count": usage.output_tokens,
                }
                end = line("", done=True, done_reason="stop", **counts)
                return Answer(headers=headers, chunks=(*map(line, pieces), end))
            case Fails(kind):
                return Answer(status=STATUSES[kind], chunks=(b'{"error": "no\\u001b[31m"}',))
            case Stalls():
                return Answer(headers=headers, chunks=(line("Be"), Wait(STALL_S)))
            case Stops():
                return Answer(headers=headers, chunks=(line("Be"),))
        assert_never(act)

    server.will(*map(answer, acts))
    return Ollama(server.url)


STANDS: dict[str, Stand] = {"replay": stand_replay, "ollama": stand_ollama}
WIRED = ["ollama"]
wired_only = pytest.mark.parametrize("name", WIRED)


@pytest.fixture(params=list(STANDS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def stand(name: str, server: FaultServer) -> AsyncIterator[Callable[..., Provider]]:
    """Sets up the provider for the acts that it is called with."""
    made: list[Provider] = []

    def build(*acts: Act) -> Provider:
        made.append(STANDS[name](server, acts))
        return made[-1]

    yield build
    for provider in made:
        await provider.aclose()


USER: Message = {"role": "user", "content": "Why?"}


def ask(ordinal: int = 1, **changes: Any) -> Request:
    shape = {"model": "m", "messages": (USER,), "step": "write", "ordinal": ordinal}
    return Request(**{**shape, **changes})


def ignore(_piece: str) -> None:
    pass


def test_every_provider_with_a_module_keeps_the_contract() -> None:
    assert set(STANDS) == {name for name, entry in REGISTRY.items() if entry.module is not None}


async def test_a_provider_knows_its_name_and_portable_parameters(
    name: str, stand: Callable[..., Provider]
) -> None:
    provider = stand()
    assert provider.name == name
    assert provider.params <= {"temperature", "top_p", "max_tokens", "stop", "seed"}


async def test_the_pieces_that_are_heard_make_up_the_text(
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


async def test_the_tokens_are_those_that_the_provider_counted(
    stand: Callable[..., Provider],
) -> None:
    usage = Usage(input_tokens=11, output_tokens=3)
    with trio.fail_after(60):
        reply = await stand(Says(("Because.",), usage)).send(ask(), on_delta=ignore)
    assert reply.usage == usage


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
async def test_a_failure_says_who_acts_next(
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


async def test_a_call_ends_at_once_when_it_is_cancelled_in_mid_stream(
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
async def test_a_call_is_one_request_whatever_comes_of_it(
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
async def test_an_answer_without_its_end_mark_is_no_reply(stand: Callable[..., Provider]) -> None:
    with trio.fail_after(60), pytest.raises(TransientError) as caught:
        await stand(Stops()).send(ask(), on_delta=ignore)
    assert caught.value.kind == "protocol"


@wired_only
async def test_all_that_is_asked_reaches_the_server(
    stand: Callable[..., Provider], server: FaultServer
) -> None:
    provider = stand(Says(("Because.",)))
    params = {
        "temperature": 0.1234,
        "top_p": 0.5678,
        "max_tokens": 4321,
        "stop": ["canary-stop"],
        "seed": 8765,
    }
    messages: tuple[Message, ...] = (
        {"role": "user", "content": "canary-user"},
        {"role": "assistant", "content": "canary-assistant"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "canary-first"},
                {"type": "image", "media_type": "image/png", "data": "Y2FuYXJ5"},
                {"type": "text", "text": "canary-second"},
            ],
        },
    )
    request = ask(
        model="canary-model",
        messages=messages,
        system="canary-system",
        params={key: value for key, value in params.items() if key in provider.params},
    )
    with trio.fail_after(60):
        await provider.send(request, on_delta=ignore)
    sent = json.dumps(server.requests[0].json())
    texts = ["model", "system", "user", "assistant", "first", "second"]
    expected = [f"canary-{text}" for text in texts]
    expected += ["Y2FuYXJ5", *(json.dumps(value) for value in request.params.values())]
    assert [text for text in expected if text not in sent] == []
    places = [sent.index(f"canary-{text}") for text in texts[1:]]
    assert places == sorted(places)


@wired_only
async def test_a_part_that_cannot_be_sent_is_refused_and_not_dropped(
    stand: Callable[..., Provider], server: FaultServer
) -> None:
    message: Any = {"role": "user", "content": [{"type": "smell", "data": "Y2FuYXJ5"}]}
    with trio.fail_after(60), pytest.raises(PermanentError):
        await stand().send(ask(messages=(message,)), on_delta=ignore)
    assert server.requests == []


@wired_only
async def test_a_parameter_that_cannot_be_sent_is_refused_and_not_dropped(
    stand: Callable[..., Provider], server: FaultServer
) -> None:
    with trio.fail_after(60), pytest.raises(PermanentError):
        await stand().send(ask(params={"colour": "red"}), on_delta=ignore)
    assert server.requests == []
