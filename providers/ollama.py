"""Ollama's own API: a chat is one POST to /api/chat, and /api/tags lists the models.

`orc.providers.ollama_body` builds requests, `orc.providers.ollama_reply` reads replies, and
`orc.providers.ollama_server` handles connections and their failures.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trio

from orc.ledger.wording import duration_text
from orc.providers.contract import OnDelta, Provider, Reply, Request, Server
from orc.providers.embeddings import ollama_embeddings as embeddings
from orc.providers.errors import ProviderError, TransientError
from orc.providers.http import parse_document, safe_text
from orc.providers.ollama_body import PARAMS, build_body
from orc.providers.ollama_reply import read_body, read_reply
from orc.providers.ollama_server import DEFAULT_BASE_URL, JSON, JSON_LINES, OllamaServer
from orc.providers.reply_bounds import NAME_CHARS_MAX
from orc.providers.servers.native import with_own_native

MODELS_WAIT_S = 10.0
MODELS_MAX_BYTES = 4 * 1024 * 1024


def build(environment: Mapping[str, str], base_url: str | None = None) -> Provider:
    """Ollama at `base_url` or `OLLAMA_BASE_URL`. Raises PermanentError if the URL is not valid."""
    found = base_url or environment.get("OLLAMA_BASE_URL", "").strip()
    return Ollama(found or DEFAULT_BASE_URL)


def build_server(server: Server) -> Provider:
    """A named server with this API. Raises PermanentError if its address cannot be used."""
    return Ollama(server.base_url, server)


class Ollama:
    """An Ollama server. Credentials in its URL are sent to it and never shown."""

    name = "ollama"
    params = PARAMS

    def __init__(self, base_url: str = DEFAULT_BASE_URL, server: Server | None = None) -> None:
        self._server = OllamaServer(base_url, server)
        self._server_name = None if server is None else server.name
        self.endpoint = self._server.where
        self._digests: dict[str, str] = {}
        self._identifying = trio.Lock()

    async def send(self, request: Request, *, on_delta: OnDelta) -> Reply:
        """See `Provider.send`."""
        async with self._server.answer(
            "POST",
            "/api/chat",
            content=build_body(with_own_native(request, api=self.name, server=self._server_name)),
            timeout_s=request.timeout_s,
            accept=(JSON_LINES, JSON),
            model=request.model,
        ) as response:
            return await read_reply(
                response, request, on_delta, who=self._server.who, secrets=self._server.secrets
            )

    async def embed(self, request: Request) -> Reply:
        """See `Embedder.embed`."""
        async with self._server.answer(
            "POST",
            embeddings.PATH,
            content=embeddings.build_body(request),
            timeout_s=request.timeout_s,
            accept=(JSON,),
            model=request.model,
        ) as response:
            body = await read_body(
                response, who=self._server.who, max_bytes=embeddings.BODY_MAX_BYTES
            )
        return embeddings.read_reply(
            body, request, who=self._server.who, secrets=self._server.secrets
        )

    async def models(self) -> tuple[str, ...]:
        """See `Provider.models`."""
        return tuple(sorted(await self._read_digests()))

    async def identify(self, model: str) -> str | None:
        """The digest of the model's files. It is read once per model and then kept."""
        tagged = model if ":" in model.rpartition("/")[2] else f"{model}:latest"
        async with self._identifying:
            if tagged not in self._digests:
                try:
                    digest = (await self._read_digests()).get(tagged)
                except ProviderError:
                    return None
                if digest:
                    self._digests[tagged] = digest
        return self._digests.get(tagged)

    async def aclose(self) -> None:
        """See `Provider.aclose`."""
        await self._server.aclose()

    async def _read_digests(self) -> dict[str, str]:
        """The digest of each model by name; "" if the server reports no digest."""
        with trio.move_on_after(MODELS_WAIT_S):
            async with self._server.answer("GET", "/api/tags", accept=(JSON,)) as response:
                who = self._server.who
                body = await read_body(response, who=who, max_bytes=MODELS_MAX_BYTES)
                return _parse_digests(body, who)
        raise TransientError(
            "timeout",
            f"{self._server.who} at {self.endpoint} did not list its models within "
            f"{duration_text(MODELS_WAIT_S)}; try again",
        )


def _parse_digests(body: bytes, who: str) -> dict[str, str]:
    try:
        document = parse_document(body.decode("utf-8"))
    except ValueError as error:
        raise _shape_error(who, "is not JSON") from error
    if not isinstance(document, dict) or "models" not in document:
        raise _shape_error(who, "has no `models`")
    models = document["models"]
    if models is None:
        # Go encodes an empty list as null.
        return {}
    if not isinstance(models, list):
        raise _shape_error(who, "has a `models` that is not a list")
    return dict(_parse_model(model, who) for model in models)


def _parse_model(model: Any, who: str) -> tuple[str, str]:
    name = model.get("name") if isinstance(model, dict) else None
    if not isinstance(name, str):
        raise _shape_error(who, "has a model without a name")
    digest = model.get("digest")
    return (
        safe_text(name, length_max=NAME_CHARS_MAX),
        safe_text(digest, length_max=NAME_CHARS_MAX) if isinstance(digest, str) else "",
    )


def _shape_error(who: str, what: str) -> TransientError:
    return TransientError("protocol", f"{who}'s list of models {what}")
