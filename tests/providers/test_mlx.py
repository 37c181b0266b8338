"""The provider of local models: its calls of mlx-lm, and how it reads the output."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from orc.providers import Message, PermanentError, TransientError, Usage, build_provider
from orc.providers.mlx import MAX_TOKENS, Mlx
from orc.providers.mlx_store import MlxStore, _hub_offline
from tests.providers.acts import USER, WEATHER, ask, ignore
from tests.providers.mlx_script import FakeModel, FakeStore, Script


def play(*scripts: Script, **model: Any) -> tuple[Mlx, FakeModel]:
    fake = FakeModel(scripts, **model)
    return Mlx(FakeStore(fake)), fake


async def test_without_the_package_the_message_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("orc.providers.registry.find_spec", lambda name: None)
    with pytest.raises(PermanentError, match=r"pip install 'orc-ledger\[mlx\]'") as caught:
        build_provider("mlx", {})
    assert caught.value.kind == "environment"


async def test_a_package_that_cannot_be_imported_has_the_same_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(name: str) -> None:
        raise ImportError("No module named 'mlx.core'")

    monkeypatch.setattr("orc.providers.registry.find_spec", lambda name: object())
    monkeypatch.setattr("orc.providers.mlx_store.import_module", fail)
    with pytest.raises(PermanentError, match=r"orc-ledger\[mlx\].*No module named 'mlx.core'"):
        build_provider("mlx", {})


def test_the_hub_is_offline_only_during_the_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with _hub_offline(True):
        assert os.environ["HF_HUB_OFFLINE"] == "1"
    assert "HF_HUB_OFFLINE" not in os.environ
    with _hub_offline(False):
        assert "HF_HUB_OFFLINE" not in os.environ


async def test_the_conversation_goes_to_the_template_with_the_system_text_first() -> None:
    provider, model = play(Script(("Ja.",)))
    messages = (
        {
            "role": "user",
            "content": [{"type": "text", "text": "Wetter"}, {"type": "text", "text": "?"}],
        },
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c1", "name": "find_weather", "arguments": {"city": "Köln"}}],
        },
        {"role": "tool", "tool_call_id": "c1", "name": "find_weather", "content": "rain"},
    )
    request = ask(messages=messages, system="Be brief.", tools=(WEATHER,), options={"kv_bits": 4})
    await provider.send(request, on_delta=ignore)
    assert model.asked[0]["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Wetter\n?"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "find_weather", "arguments": {"city": "Köln"}},
                }
            ],
        },
        {"role": "tool", "content": "rain", "tool_call_id": "c1", "name": "find_weather"},
    ]
    assert model.asked[0]["tools"] == [{"type": "function", "function": dict(WEATHER)}]
    assert model.asked[0]["options"] == {"kv_bits": 4}


async def test_the_system_text_has_the_schema() -> None:
    provider, model = play(Script(("1",)))
    await provider.send(ask(json_output=True, output_schema={"type": "integer"}), on_delta=ignore)
    system = model.asked[0]["messages"][0]
    assert system["role"] == "system"
    assert '{"type": "integer"}' in system["content"]


async def test_an_image_is_refused() -> None:
    provider, _ = play()
    image = {"type": "image", "media_type": "image/png", "data": "aGk="}
    with pytest.raises(PermanentError, match="an image") as caught:
        await provider.send(ask(messages=({"role": "user", "content": [image]},)), on_delta=ignore)
    assert caught.value.kind == "bad_request"


async def test_a_model_without_tool_support_refuses_tools() -> None:
    provider, _ = play(call=None)
    with pytest.raises(PermanentError, match="m does not support tools") as caught:
        await provider.send(ask(tools=(WEATHER,)), on_delta=ignore)
    assert caught.value.kind == "bad_request"


async def test_a_prompt_that_fills_the_context_is_refused() -> None:
    provider, _ = play(context_max=7)
    with pytest.raises(PermanentError, match="7 tokens") as caught:
        await provider.send(ask(), on_delta=ignore)
    assert caught.value.kind == "context_length"


async def test_the_default_of_max_tokens_allows_long_answers() -> None:
    provider, model = play(Script(()), Script(()))
    await provider.send(ask(1, params={"seed": 3}), on_delta=ignore)
    await provider.send(ask(2, params={"max_tokens": 5}), on_delta=ignore)
    assert model.asked[0]["params"] == {"max_tokens": MAX_TOKENS, "seed": 3}
    assert model.asked[1]["params"] == {"max_tokens": 5}


async def test_a_stop_text_ends_the_generation() -> None:
    provider, model = play(Script(("one ", "EN", "D", "two", "three")))
    reply = await provider.send(ask(params={"stop": ["END"]}), on_delta=ignore)
    assert (reply.text, reply.finish_reason) == ("one ", "stop")
    assert reply.usage == Usage(7, 3)
    assert model.given == 3
    assert model.at_work == 0


async def test_thoughts_are_counted_and_not_reported() -> None:
    heard: list[str] = []
    provider, _ = play(Script(("Hm", "</think>", "So."), usage=Usage(7, 3)), thinks_at_once=True)
    reply = await provider.send(ask(), on_delta=heard.append)
    assert reply.text == "".join(heard) == "So."
    assert reply.usage == Usage(7, 3, reasoning_tokens=2)


async def test_a_call_without_an_id_gets_a_generated_id() -> None:
    text = '<tool_call>{"name": "find_weather", "arguments": {}}</tool_call>'
    provider, _ = play(Script((text, text)), Script((text,)))
    first = await provider.send(ask(1, tools=(WEATHER,)), on_delta=ignore)
    second = await provider.send(ask(2, tools=(WEATHER,)), on_delta=ignore)
    ids = [call["id"] for reply in (first, second) for call in reply.tool_calls]
    assert len(set(ids)) == 3


@pytest.mark.parametrize("text", ["{", "[]]", '{"name": 7}', '{"arguments": {}}', "null"])
async def test_an_invalid_tool_call_is_a_protocol_error(text: str) -> None:
    provider, _ = play(Script((f"<tool_call>{text}</tool_call>",), usage=Usage(7, 2)))
    with pytest.raises(TransientError, match="an invalid tool call") as caught:
        await provider.send(ask(tools=(WEATHER,)), on_delta=ignore)
    assert caught.value.kind == "protocol"
    assert caught.value.usage == Usage(7, 2)


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ('{"name": "find_weather", "arguments": {"city": "K}', '{"city": "K}'),
        ('{"name": "find_weather", "arguments": ["K"]}', '["K"]}'),
        ('{"name": "find_weather", "par": 1', '{"name": "find_weather", "par": 1'),
    ],
)
async def test_broken_arguments_of_a_call_stay_a_text_as_with_every_provider(
    text: str, arguments: str
) -> None:
    provider, _ = play(Script((f"<tool_call>{text}</tool_call>",)))
    reply = await provider.send(ask(tools=(WEATHER,)), on_delta=ignore)
    (call,) = reply.tool_calls
    assert (call["name"], call["arguments"]) == ("find_weather", arguments)


@pytest.mark.parametrize(
    ("pieces", "marks"),
    [
        (("<think>", "It is ", "so.", "</think>", "Because."), ("<think>", "</think>")),
        (("<think>It is so.</th", "ink>\n\nBecause."), None),
        (("It is so.\n</think>\n", "Because."), None),
    ],
    ids=["marks", "tags", "unopened"],
)
async def test_reasoning_is_kept_apart_from_the_answer(
    pieces: tuple[str, ...], marks: tuple[str, str] | None
) -> None:
    provider, _ = play(Script(pieces), thought=marks)
    reply = await provider.send(ask(), on_delta=ignore)
    assert (reply.text.strip(), reply.reasoning) == ("Because.", "It is so.")


async def test_reasoning_before_a_call_goes_back_with_it() -> None:
    text = '<think>Look.</think><tool_call>{"name": "find_weather", "arguments": {}}</tool_call>'
    provider, model = play(Script((text,)), Script(("Rain.",)))
    reply = await provider.send(ask(1, tools=(WEATHER,)), on_delta=ignore)
    turn: Message = {
        "role": "assistant",
        "content": "",
        "tool_calls": list(reply.tool_calls),
        "native": {"provider": "mlx", "content": reply.native},
    }
    await provider.send(ask(2, messages=(USER, turn), tools=(WEATHER,)), on_delta=ignore)
    assert model.asked[-1]["messages"][-1]["reasoning_content"] == "Look."


async def test_a_reply_that_is_only_reasoning_is_an_empty_text() -> None:
    provider, _ = play(Script(("<think>", "Hm.")))
    reply = await provider.send(ask(), on_delta=ignore)
    assert (reply.text, reply.reasoning, reply.finish_reason) == ("", "Hm.", "stop")


async def test_a_call_that_the_token_limit_cut_off_is_dropped() -> None:
    provider, _ = play(Script(("Look", '<tool_call>{"na'), finish_reason="length"))
    reply = await provider.send(ask(tools=(WEATHER,)), on_delta=ignore)
    assert (reply.text, reply.finish_reason, reply.tool_calls) == ("Look", "length", ())


@pytest.mark.parametrize(
    ("error", "of", "kind"),
    [
        (ValueError("bad \x1b[31m top_p"), PermanentError, "bad_request"),
        (RuntimeError("out of memory"), TransientError, "server_error"),
    ],
)
async def test_an_exception_of_mlx_becomes_a_provider_error(
    error: Exception, of: type[PermanentError], kind: str
) -> None:
    provider, _ = play(Script(("a",), error=error))
    with pytest.raises(of, match="mlx-lm: ") as caught:
        await provider.send(ask(), on_delta=ignore)
    assert caught.value.kind == kind
    assert caught.value.message.isprintable()


async def test_the_model_stays_in_memory_until_another_is_requested() -> None:
    store = FakeStore(FakeModel(tuple(Script(()) for _ in range(4))))
    provider = Mlx(store)
    for ordinal, name in enumerate(("a", "a", "b", "a"), start=1):
        await provider.send(ask(ordinal, model=name), on_delta=ignore)
    assert store.loaded == ["a", "b", "a"]


async def test_a_model_that_cannot_be_loaded_leaves_none_in_memory() -> None:
    store = FakeStore(FakeModel((Script(()), Script(()))))
    provider = Mlx(store)
    await provider.send(ask(1, model="a"), on_delta=ignore)
    with pytest.raises(PermanentError, match="not on this machine"):
        await provider.send(ask(2, model="absent"), on_delta=ignore)
    await provider.send(ask(3, model="a"), on_delta=ignore)
    assert store.loaded == ["a", "a"]


async def test_one_call_at_a_time_in_a_thread_of_its_own() -> None:
    provider, model = play(*(Script(("a", "b")) for _ in range(8)))
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            for ordinal in range(1, 9):
                nursery.start_soon(_send, provider, ordinal)
    assert model.most_at_work == 1
    assert threading.get_ident() not in {asked["thread"] for asked in model.asked}


async def _send(provider: Mlx, ordinal: int) -> None:
    await provider.send(ask(ordinal), on_delta=ignore)


async def test_a_model_that_writes_slowly_is_not_cut_and_a_silent_one_is(
    mock_clock: MockClock,
) -> None:
    silences_s = [59.0] * 8

    def wait() -> None:
        trio.from_thread.run_sync(mock_clock.jump, silences_s.pop(0))
        trio.from_thread.run(trio.lowlevel.checkpoint)

    provider, _ = play(*[Script(tuple("Because."), before_each=wait)] * 2)
    assert (await provider.send(ask(1, timeout_s=60.0), on_delta=ignore)).text == "Because."
    silences_s[:] = [59.0, 59.0, 61.0, 59.0]
    with pytest.raises(TransientError) as caught:
        await provider.send(ask(2, timeout_s=60.0), on_delta=ignore)
    assert caught.value.kind == "timeout"
    assert "wrote nothing for 1 m 00 s" in caught.value.message
    assert silences_s == [59.0]


async def test_a_cancelled_call_stops_at_the_next_token_and_frees_the_model() -> None:
    pieces = tuple("abcdefgh")
    provider, model = play(Script(pieces), Script(("Because.",)))

    def hear(_piece: str) -> None:
        scope.cancel()

    with trio.fail_after(30):
        with trio.CancelScope() as scope:
            await provider.send(ask(1), on_delta=hear)
        assert scope.cancelled_caught
        assert model.given == 2
        assert model.at_work == 0
        assert (await provider.send(ask(2), on_delta=ignore)).text == "Because."


async def test_the_models_are_listed_in_order() -> None:
    provider = Mlx(FakeStore(FakeModel(), ("b/b", "/a")))
    assert await provider.models() == ("/a", "b/b")
    assert await provider.identify("b/b") == "digest of b/b"


def test_a_folder_is_identified_by_its_files(tmp_path: Path) -> None:
    store = MlxStore(None, download=False)
    (tmp_path / "config.json").write_text("{}")
    first = store.identify(str(tmp_path))
    assert first is not None
    assert store.identify(str(tmp_path)) == first
    (tmp_path / "config.json").write_text("[]")
    assert store.identify(str(tmp_path)) != first


def test_a_snapshot_of_the_hub_is_identified_by_its_commit(tmp_path: Path) -> None:
    folder = tmp_path / "snapshots" / "abc123"
    folder.mkdir(parents=True)
    assert MlxStore(None, download=False).identify(str(folder)) == "abc123"


@pytest.mark.parametrize("name", ["/no/such", "./model", "~/model-that-is-not", "a/b/c", "model"])
def test_an_invalid_name_for_the_hub_is_a_missing_folder(name: str) -> None:
    with pytest.raises(PermanentError, match="there is no model folder") as caught:
        MlxStore(None, download=False).load(name)
    assert caught.value.kind == "environment"


class _Hub:
    """A fake of the hub's package for downloads."""

    class errors:  # noqa: N801
        class RepositoryNotFoundError(OSError):
            """A fake of the hub's error class."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.offline: list[bool] = []

    def snapshot_download(
        self, name: str, *, local_files_only: bool, allow_patterns: Sequence[str]
    ) -> str:
        """Raises the error."""
        self.offline.append(local_files_only)
        raise self.error


@pytest.mark.parametrize(
    ("download", "error", "of", "words"),
    [
        (False, OSError("no snapshot"), PermanentError, "set MLX_DOWNLOAD=1"),
        (
            True,
            _Hub.errors.RepositoryNotFoundError(),
            PermanentError,
            "has no model a/b that you can access",
        ),
        (True, OSError("no network"), TransientError, "could not be downloaded: no network"),
    ],
)
def test_the_hub_is_contacted_only_on_request(
    monkeypatch: pytest.MonkeyPatch,
    download: bool,
    error: Exception,
    of: type[PermanentError],
    words: str,
) -> None:
    hub = _Hub(error)
    monkeypatch.setattr("orc.providers.mlx_store.import_module", lambda name: hub)
    with pytest.raises(of, match=words):
        MlxStore(None, download=download).load("a/b")
    assert hub.offline == [not download]
