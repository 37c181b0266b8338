"""The real mlx-lm, on a tiny random model that these tests make."""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import trio

from orc.providers import PermanentError, Provider, build_provider
from tests.heavy.tiny_model import make_tiny_model
from tests.providers.acts import WEATHER, ask, ignore

pytestmark = [
    pytest.mark.providers,
    pytest.mark.skipif(find_spec("mlx_lm") is None, reason="mlx-lm is not installed"),
]

SAMPLED = {"temperature": 1.0, "seed": 3, "max_tokens": 20}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model's folder."""
    return make_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
async def mlx(folder: Path) -> AsyncIterator[Provider]:
    """The provider with that model."""
    provider = build_provider("mlx", {"MLX_MODEL_PATH": str(folder)})
    yield provider
    await provider.aclose()


def test_the_model_is_small(folder: Path) -> None:
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_000_000


async def test_it_answers_in_pieces_and_counts_its_tokens(mlx: Provider, folder: Path) -> None:
    heard: list[str] = []
    reply = await mlx.send(ask(model=str(folder), params=SAMPLED), on_delta=heard.append)
    assert reply.text == "".join(heard) != ""
    assert len(heard) > 1
    assert reply.finish_reason == "length"
    assert reply.usage.output_tokens == 20
    # <|user|>, the four letters of Why?, <|assistant|>.
    assert reply.usage.input_tokens == 6


async def test_a_seed_repeats_an_answer_and_another_does_not(mlx: Provider, folder: Path) -> None:
    replies = [
        await mlx.send(ask(model=str(folder), params={**SAMPLED, "seed": seed}), on_delta=ignore)
        for seed in (3, 3, 4)
    ]
    assert replies[0].text == replies[1].text != replies[2].text


async def test_every_parameter_and_option_is_taken(mlx: Provider, folder: Path) -> None:
    params = {
        **SAMPLED,
        "top_p": 0.9,
        "top_k": 20,
        "min_p": 0.01,
        "stop": ["never"],
        "repeat_penalty": 1.1,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.1,
    }
    assert set(params) == mlx.params
    options = {
        "chat_template_kwargs": {"enable_thinking": False},
        "min_tokens_to_keep": 2,
        "xtc_probability": 0.1,
        "xtc_threshold": 0.2,
        "repetition_context_size": 10,
        "presence_context_size": 10,
        "frequency_context_size": 10,
        "max_kv_size": 64,
        "prefill_step_size": 4,
    }
    request = ask(model=str(folder), params=params, options=options)
    assert (await mlx.send(request, on_delta=ignore)).usage.output_tokens == 20


async def test_the_template_gets_the_tools(mlx: Provider, folder: Path) -> None:
    plain = ask(model=str(folder), params=SAMPLED)
    offered = ask(model=str(folder), params=SAMPLED, tools=(WEATHER,))
    few = (await mlx.send(plain, on_delta=ignore)).usage.input_tokens
    many = (await mlx.send(offered, on_delta=ignore)).usage.input_tokens
    assert many - few == len("<tool>find_weather</tool>")


async def test_an_answer_without_end_is_cancelled_in_time(mlx: Provider, folder: Path) -> None:
    await mlx.send(ask(model=str(folder), params=SAMPLED), on_delta=ignore)
    with trio.fail_after(20):
        with trio.move_on_after(0.5) as scope:
            request = ask(model=str(folder), params={"max_tokens": 10_000_000})
            await mlx.send(request, on_delta=ignore)
        assert scope.cancelled_caught
        await mlx.send(ask(model=str(folder), params=SAMPLED), on_delta=ignore)


async def test_a_prompt_longer_than_the_context_is_refused(mlx: Provider, folder: Path) -> None:
    long = ask(model=str(folder), messages=({"role": "user", "content": "x" * 600},))
    with pytest.raises(PermanentError, match="accepts at most 512") as caught:
        await mlx.send(long, on_delta=ignore)
    assert caught.value.kind == "context_length"


async def test_an_unknown_option_is_refused_by_name(mlx: Provider, folder: Path) -> None:
    with pytest.raises(PermanentError, match="no option 'speed'; it has chat_template_kwargs"):
        await mlx.send(ask(model=str(folder), options={"speed": 2}), on_delta=ignore)


async def test_a_model_that_is_not_here_is_not_downloaded(mlx: Provider) -> None:
    with trio.fail_after(20), pytest.raises(PermanentError, match="MLX_DOWNLOAD=1") as caught:
        await mlx.send(ask(model="mlx-community/no-such-model"), on_delta=ignore)
    assert caught.value.kind == "environment"


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json"])
async def test_the_message_about_a_damaged_folder_names_it(
    mlx: Provider, tmp_path: Path, file: str
) -> None:
    damaged = make_tiny_model(tmp_path / "model")
    (damaged / file).write_bytes(b"{")
    with pytest.raises(PermanentError, match="cannot be loaded") as caught:
        await mlx.send(ask(model=str(damaged)), on_delta=ignore)
    assert caught.value.kind == "environment"


async def test_the_folder_is_listed_and_identified(mlx: Provider, folder: Path) -> None:
    assert str(folder) in await mlx.models()
    identity = await mlx.identify(str(folder))
    assert identity is not None
    assert len(identity) == 64
