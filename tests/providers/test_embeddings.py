"""The contract of every provider that computes vectors."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pytest
import trio

from orc.providers import (
    Embedder,
    PermanentError,
    Provider,
    ProviderError,
    Request,
    TransientError,
    Usage,
)
from orc.providers.catalogue import REGISTRY
from orc.providers.embeddings.vectors import pack_vectors, unpack_vectors
from orc.providers.ollama import Ollama
from orc.providers.openai import build as build_openai
from orc.providers.openai_responses import build as build_responses
from orc.providers.replay import RepliesError, parse_replies
from orc.providers.sdk_wire import LINE_MAX_BYTES
from tests.fault_server import Answer, FaultServer
from tests.providers.acts import STATUSES

JSON = (("content-type", "application/json"),)
CANARY = "sk-canary-0123456789"


@dataclass(frozen=True, slots=True)
class Api:
    """How an API sends vectors, and builds the provider of a server's address."""

    build: Callable[[str], Provider]
    path: str
    document: Callable[..., dict[str, Any]]


def _openai(rows: Sequence[Any], tokens: int | None = 7, **more: Any) -> dict[str, Any]:
    data = [
        {"object": "embedding", "index": place, "embedding": row} for place, row in enumerate(rows)
    ]
    usage = {} if tokens is None else {"usage": {"prompt_tokens": tokens, "total_tokens": tokens}}
    return {"object": "list", "data": data, "model": "m-2026", **usage, **more}


def _ollama(rows: Sequence[Any], tokens: int | None = 7, **more: Any) -> dict[str, Any]:
    usage = {} if tokens is None else {"prompt_eval_count": tokens}
    return {"model": "m-2026", "embeddings": list(rows), "total_duration": 1, **usage, **more}


APIS = {
    "openai": Api(
        lambda url: build_openai({"OPENAI_API_KEY": CANARY}, f"{url}/v1"), "/v1/embeddings", _openai
    ),
    "openai-responses": Api(
        lambda url: build_responses({"OPENAI_API_KEY": CANARY}, f"{url}/v1"),
        "/v1/embeddings",
        _openai,
    ),
    "ollama": Api(Ollama, "/api/embed", _ollama),
}


@pytest.fixture(params=list(APIS))
def api(request: pytest.FixtureRequest) -> Api:
    return APIS[request.param]


@pytest.fixture
async def embedder(api: Api, server: FaultServer) -> AsyncIterator[Embedder]:
    provider = api.build(server.url)
    yield cast(Embedder, provider)
    await provider.aclose()


def ask(*texts: str, **params: Any) -> Request:
    return Request(
        model="m",
        messages=({"role": "user", "content": [{"type": "text", "text": text} for text in texts]},),
        params=params,
        timeout_s=30.0,
        operation="embeddings",
    )


def answer(document: Any) -> Answer:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Answer(headers=JSON, chunks=(body,))


async def test_the_vectors_come_in_the_order_of_the_texts_with_the_tokens(
    api: Api, embedder: Embedder, server: FaultServer
) -> None:
    server.will(answer(api.document([[0.5, 1], [2, -3.25]])))
    with trio.fail_after(60):
        reply = await embedder.embed(ask("a", "b", dimensions=2))
    assert reply.vectors is not None
    assert struct.unpack("<4f", reply.vectors.data) == (0.5, 1.0, 2.0, -3.25)
    assert (reply.vectors.count, reply.vectors.dimensions) == (2, 2)
    assert (reply.usage, reply.is_counted, reply.model) == (Usage(7, 0), True, "m-2026")
    (seen,) = server.requests
    assert seen.target == api.path
    sent = seen.json()
    assert (sent["model"], sent["input"], sent["dimensions"]) == ("m", ["a", "b"], 2)


async def test_tokens_that_the_server_does_not_count_are_unknown(
    api: Api, embedder: Embedder, server: FaultServer
) -> None:
    server.will(answer(api.document([[1.0]], tokens=None)))
    with trio.fail_after(60):
        assert not (await embedder.embed(ask("a"))).is_counted


async def test_vectors_that_cannot_be_used_and_were_not_counted_are_in_doubt(
    api: Api, embedder: Embedder, server: FaultServer
) -> None:
    for tokens in (None, 7):
        server.will(answer(api.document([[1.0], [2.0, 3.0]], tokens=tokens)))
        with trio.fail_after(60), pytest.raises(TransientError) as caught:
            await embedder.embed(ask("a", "b"))
        assert caught.value.usage == (None if tokens is None else Usage(tokens, 0))


async def test_vectors_may_be_base64(api: Api, embedder: Embedder, server: FaultServer) -> None:
    text = base64.b64encode(struct.pack("<3f", 1, 2, 3)).decode()
    server.will(answer(api.document([text])))
    with trio.fail_after(60):
        reply = await embedder.embed(ask("a"))
    assert reply.vectors is not None
    assert struct.unpack("<3f", reply.vectors.data) == (1, 2, 3)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([[1.0]], "1 vector for 2 texts"),
        ([[1.0], [2.0], [3.0]], "3 vectors for 2 texts"),
        ([[1.0], [2.0, 3.0]], "different lengths"),
        ([[1.0], []], "0 numbers"),
        ([[1.0], ["x"]], "not a list of numbers"),
        ([[1.0], [True]], "not a list of numbers"),
        ([[1.0], [None]], "not a list of numbers"),
        ([[1.0], None], "not a list of numbers"),
        ([[1.0], {"a": 1}], "not a list of numbers"),
        ([[1.0], [1e300]], "infinite"),
        ([[1.0], [10**400]], "too large"),
        ([[1.0], "AAA"], "neither a list of numbers nor base64"),
        ([[1.0], "AAAA"], "no whole numbers"),
        ([[1.0], base64.b64encode(struct.pack("<f", float("nan"))).decode()], "NaN"),
    ],
)
async def test_vectors_of_another_shape_are_a_paid_protocol_error(
    api: Api, embedder: Embedder, server: FaultServer, rows: list[Any], said: str
) -> None:
    server.will(answer(api.document(rows)))
    with trio.fail_after(60), pytest.raises(TransientError) as caught:
        await embedder.embed(ask("a", "b"))
    assert caught.value.kind == "protocol"
    assert said in caught.value.message
    assert caught.value.usage == Usage(7, 0)


@pytest.mark.parametrize("body", [b"", b"7", b"[]", b"{}", b"no JSON", b'{"data": 7}'])
async def test_a_reply_of_another_shape_is_a_protocol_error(
    embedder: Embedder, server: FaultServer, body: bytes
) -> None:
    server.will(answer(body))
    with trio.fail_after(60), pytest.raises(TransientError) as caught:
        await embedder.embed(ask("a"))
    assert caught.value.kind == "protocol"


async def test_a_model_that_does_not_shorten_its_vectors_is_a_permanent_error(
    api: Api, embedder: Embedder, server: FaultServer
) -> None:
    server.will(answer(api.document([[1, 2, 3]])))
    with trio.fail_after(60), pytest.raises(PermanentError) as caught:
        await embedder.embed(ask("a", dimensions=2))
    assert "3 numbers and not of 2" in caught.value.message
    assert caught.value.usage == Usage(7, 0)


@pytest.mark.parametrize("kind", sorted(STATUSES))
async def test_a_failure_has_its_kind_and_does_not_show_the_key(
    embedder: Embedder, server: FaultServer, kind: str
) -> None:
    body = json.dumps({"error": {"message": f"no {CANARY}\x1b[31m"}}).encode()
    server.will(Answer(status=STATUSES[kind], headers=JSON, chunks=(body,)))
    with trio.fail_after(60), pytest.raises(ProviderError) as caught:
        await embedder.embed(ask("a"))
    assert caught.value.kind == kind
    assert CANARY not in caught.value.message or isinstance(embedder, Ollama)
    assert caught.value.message.isprintable()


async def test_an_error_under_status_200_is_a_failure(
    embedder: Embedder, server: FaultServer
) -> None:
    server.will(answer({"error": {"message": "the model crashed", "type": "server_error"}}))
    with trio.fail_after(60), pytest.raises(ProviderError) as caught:
        await embedder.embed(ask("a"))
    assert "crashed" in caught.value.message
    assert caught.value.kind == "server_error"


async def test_a_reply_may_be_longer_than_a_line_of_a_stream(
    api: Api, embedder: Embedder, server: FaultServer
) -> None:
    row = [0.125] * 100_000
    count = LINE_MAX_BYTES // (len(row) * 7) + 1
    body = json.dumps(api.document([row] * count)).encode()
    assert len(body) > LINE_MAX_BYTES
    server.will(answer(body))
    with trio.fail_after(120):
        reply = await embedder.embed(ask(*["a"] * count))
    assert reply.vectors is not None
    assert (reply.vectors.count, reply.vectors.dimensions) == (count, 100_000)


@pytest.mark.parametrize("first", [0, 1])
async def test_openai_sends_vectors_by_their_index(server: FaultServer, first: int) -> None:
    provider = build_openai({}, f"{server.url}/v1")
    document = _openai([[1.0], [2.0]])
    for row in document["data"]:
        row["index"] += first
    document["data"].reverse()
    server.will(answer(document))
    with trio.fail_after(60):
        reply = await provider.embed(ask("a", "b"))  # type: ignore[attr-defined]
    assert struct.unpack("<2f", reply.vectors.data) == (1.0, 2.0)
    assert "encoding_format" not in server.requests[0].json()
    await provider.aclose()


async def test_ollama_is_asked_not_to_cut_a_text(server: FaultServer) -> None:
    server.will(answer(_ollama([[1.0]])))
    provider = Ollama(server.url)
    with trio.fail_after(60):
        await provider.embed(ask("a"))
    assert server.requests[0].json()["truncate"] is False
    await provider.aclose()


def test_recorded_replies_have_vectors_as_lists_or_packed() -> None:
    rows = [[1.0, 2.0], [0.1, 3.0]]
    vectors = unpack_vectors(rows)
    assert unpack_vectors(pack_vectors(vectors)) == vectors
    for given in (rows, pack_vectors(vectors)):
        (found,) = parse_replies({"replies": {"a": [{"vectors": given}]}}).by_step["a"]
        assert found.vectors == vectors


@pytest.mark.parametrize(
    "vectors",
    [
        *(7, "x", [[]], [["x"]], {"dimensions": 2}, {"dimensions": 2, "data": "AAAA"}),
        *({"dimensions": -1, "data": ""}, {"dimensions": 0, "data": "AAAA"}),
    ],
)
def test_recorded_vectors_of_another_shape_are_refused_with_their_place(vectors: Any) -> None:
    with pytest.raises(RepliesError, match=r"replies\.a\[0\]\.vectors"):
        parse_replies({"replies": {"a": [{"vectors": vectors}]}})


def test_the_catalogue_says_which_providers_compute_vectors() -> None:
    found = {}
    for name, entry in REGISTRY.items():
        if entry.extra is None:
            module = __import__(entry.module, fromlist=["build"])
            classes = [each for each in vars(module).values() if isinstance(each, type)]
            found[name] = any(
                each.__module__ == entry.module and hasattr(each, "embed") for each in classes
            )
            assert found[name] == entry.embeds, name
    assert found["anthropic"] is False
    assert [
        name for name, entry in REGISTRY.items() if entry.embedding_model and not entry.embeds
    ] == []
