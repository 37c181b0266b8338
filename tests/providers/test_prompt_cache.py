"""What each API is asked to cache, and the counts of what it read from its cache and wrote there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from orc.providers import Message, Provider, Usage
from orc.providers.anthropic_body import build_asked
from orc.providers.contract import CachedPrefix, ignore_text
from orc.providers.errors import PermanentError
from orc.providers.openai import OpenAI, _build_body
from orc.providers.openai_api import Account, AccountProvider
from orc.providers.openai_body import add_cache_key
from orc.providers.openai_responses import OpenAIResponses
from orc.providers.replies.usage import read_counts
from tests.fault_server import FaultServer
from tests.providers.acts import CLOCK, WEATHER, ask
from tests.providers.stands import WIRED
from tests.providers.test_contract_requests import send

MARK = {"type": "ephemeral"}
FIRST: Message = {"role": "user", "content": "first"}
SECOND: Message = {"role": "assistant", "content": "second"}
PARTS: Message = {
    "role": "user",
    "content": [{"type": "text", "text": "long"}, {"type": "text", "text": "question"}],
}


def cached(messages: int, parts: int = 0) -> CachedPrefix:
    return CachedPrefix(messages=messages, parts=parts, key="orc-key")


def marks(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The places of all marks in a body."""
    found = [path] if isinstance(document, dict) and "cache_control" in document else []
    children = document.items() if isinstance(document, dict) else enumerate(document)
    for key, child in children:
        if isinstance(child, dict | list):
            found += marks(child, (*path, key))
    return found


def test_anthropic_marks_the_tools_the_system_text_and_the_fixed_messages() -> None:
    request = ask(system="be brief", messages=(FIRST, SECOND, PARTS), tools=(CLOCK, WEATHER))
    body = build_asked(replace(request, cached=cached(2, 1))).body

    assert marks(body) == [
        ("system", 0),
        ("messages", 2, "content", 0),
        ("messages", 2, "content", 1),
        ("tools", 1),
    ]
    assert body["system"] == [{"type": "text", "text": "be brief", "cache_control": MARK}]
    assert build_asked(request).body["system"] == "be brief"


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        (cached(0), []),
        (cached(1), [("messages", 0, "content", 0)]),
        (cached(2), [("messages", 1, "content", 0)]),
        (cached(2, 1), [("messages", 2, "content", 0)]),
        (cached(3), [("messages", 2, "content", 1)]),
    ],
)
def test_anthropic_marks_the_end_of_what_is_the_same_in_each_request(
    prefix: CachedPrefix, expected: Any
) -> None:
    request = ask(messages=(FIRST, SECOND, PARTS))

    assert marks(build_asked(replace(request, cached=prefix)).body) == expected


def test_system_messages_and_empty_replies_do_not_move_the_mark() -> None:
    leading: Message = {"role": "system", "content": "rules"}
    empty: Message = {"role": "assistant", "content": ""}
    request = ask(messages=(leading, FIRST, empty, PARTS, SECOND))
    body = build_asked(replace(request, cached=cached(3, 1))).body

    assert marks(body) == [("system", 0), ("messages", 1, "content", 0)]
    assert body["messages"][1]["content"][0]["text"] == "long"


def test_a_conversation_with_tools_continues_from_its_last_message() -> None:
    turn: Message = {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "t1", "name": "read_clock", "arguments": {}}],
        "native": {"provider": "anthropic", "content": [{"type": "thinking", "thinking": "hm"}]},
    }
    result: Message = {"role": "tool", "tool_call_id": "t1", "name": "read_clock", "content": "9"}
    request = replace(
        ask(system="s", messages=(FIRST, turn, result), tools=(CLOCK,)), cached=cached(1)
    )
    of_request = replace(request, options={"cache_control": MARK})

    places = marks(build_asked(request).body)
    assert places == [
        ("system", 0),
        ("messages", 0, "content", 0),
        ("messages", 2, "content", 0),
        ("tools", 0),
    ]
    assert len(marks(build_asked(of_request).body)) == 4, "the API allows four"
    assert () in marks(build_asked(of_request).body)


def test_openai_itself_gets_a_key_and_compatible_servers_do_not() -> None:
    request = replace(ask(), cached=cached(1))
    for is_own, expected in ((True, "orc-key"), (False, None)):
        body = _build_body(request)
        add_cache_key(body, request, is_vendors_own=is_own)
        assert body.get("prompt_cache_key") == expected
    of_spec = _build_body(replace(request, options={"prompt_cache_key": "mine"}))
    add_cache_key(of_spec, request, is_vendors_own=True)
    assert of_spec["prompt_cache_key"] == "mine"


@pytest.mark.parametrize("adapter", [OpenAI, OpenAIResponses])
async def test_both_of_openais_apis_send_the_key_with_a_call(
    adapter: type[AccountProvider], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[dict[str, Any]] = []

    async def hear(self: Account, path: str, body: dict[str, Any], *_: Any, **__: Any) -> None:
        sent.append(body)
        raise PermanentError("refused", "enough")

    monkeypatch.setattr(Account, "hear", hear)
    provider = adapter(Account({"OPENAI_API_KEY": "k"}))
    with pytest.raises(PermanentError, match="enough"):
        await provider.send(replace(ask(), cached=cached(1)), on_delta=ignore_text)
    assert sent[0]["prompt_cache_key"] == "orc-key"


@pytest.mark.parametrize("name", WIRED)
async def test_no_server_but_anthropics_gets_another_request(
    name: str, stand: Callable[..., Provider], server: FaultServer
) -> None:
    request = ask(system="s", messages=(FIRST, SECOND, PARTS), tools=(CLOCK,))
    body, _ = await send(stand, server, replace(request, cached=cached(2, 1)))
    server.requests.clear()
    plain, _ = await send(stand, server, request)

    assert (body == plain) == (name != "anthropic")


@pytest.mark.parametrize(
    "reported",
    [
        {"prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3}},
        {"input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3}},
        {"cache_read_input_tokens": 4, "cache_creation_input_tokens": 3},
    ],
)
def test_what_went_to_the_cache_is_counted_and_is_no_more_than_the_rest(reported: Any) -> None:
    counts = {"prompt_tokens": 10, "completion_tokens": 2, **reported}
    assert read_counts(counts).usage() == Usage(10, 2, 4, cache_write_tokens=3)
    assert read_counts({**counts, "prompt_tokens": 6}).usage().cache_write_tokens == 2
