"""A small server that speaks four model APIs, for whole runs of orc: what it says, a test decides.

It runs in a thread of its own, or as a process (`python -m tests.model_server`
prints its address and answers "ok" until its stdin ends), on loopback. Faults
at the socket are `tests/fault_server.py`'s business.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from msgspec import Struct, field

from tests.loopback import LoopbackHandler, LoopbackServer

MODELS = ("model-a", "model-b")


class Asked(Struct, frozen=True):
    """One request: `api` is chat, responses, messages, ollama, embeddings or embed (Ollama's); `target`
    has path and query."""

    api: str
    model: str
    body: dict[str, Any]
    headers: dict[str, str]
    target: str = ""

    @property
    def last(self) -> str:
        """The last message, or item of input, as JSON text."""
        return json.dumps((self.body.get("messages") or self.body["input"])[-1])


class Says(Struct, frozen=True):
    """A reply: a text, calls of tools as (id, name, arguments), or vectors.

    `is_cut`: the connection ends in the middle of it.
    """

    text: str = ""
    calls: tuple[tuple[str, str, dict[str, Any]], ...] = ()
    input_tokens: int = 10
    output_tokens: int = 5
    is_cut: bool = False
    vectors: tuple[tuple[float, ...], ...] = ()
    cached: tuple[int, int] = (0, 0)
    """Tokens that the messages API read from its cache and wrote there, besides `input_tokens`."""


class Fails(Struct, frozen=True):
    """An answer that is none."""

    status: int
    body: str = '{"error": {"message": "scripted"}}'
    headers: dict[str, str] = field(default_factory=dict)


Answerer = Callable[[Asked], Says | Fails]


class ModelServer(LoopbackServer):
    """The server, as a context manager; `seen` has the requests so far."""

    def __init__(self, answer: Answerer = lambda asked: Says("ok"), *, port: int = 0) -> None:
        super().__init__(_Handler, port=port)
        self.answer = answer
        self.seen: list[Asked] = []

    def environment(self, *, key: str = "test-key") -> dict[str, str]:
        """The variables that lead every provider here."""
        return {
            "OPENAI_BASE_URL": f"{self.url}/v1",
            "OPENAI_API_KEY": key,
            "ANTHROPIC_BASE_URL": self.url,
            "ANTHROPIC_API_KEY": key,
            "OLLAMA_BASE_URL": self.url,
        }


class _Handler(LoopbackHandler):
    owner: ModelServer

    def take_get(self) -> None:
        if self.path.endswith("/api/tags"):
            models = [{"name": name, "model": name, "digest": f"d-{name}"} for name in MODELS]
            self._whole(200, json.dumps({"models": models}))
            return
        listed: list[dict[str, Any]] = [
            {"id": name, "object": "model", "type": "model", "display_name": name, "created": 1}
            | {"owned_by": "tests", "created_at": "2026-01-01T00:00:00Z"}
            for name in MODELS
        ]
        self._whole(200, json.dumps({"object": "list", "data": listed, "has_more": False}))

    def take_post(self, content: bytes) -> None:
        body = json.loads(content)
        path = self.path.partition("?")[0]
        api = _API_OF[path.rpartition("/")[2]]
        if path.endswith("/api/chat"):
            api = "ollama"
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(api, body["model"], body, headers, self.path)
        self.owner.seen.append(asked)
        said = self.owner.answer(asked)
        if isinstance(said, Fails):
            self._whole(said.status, said.body, said.headers)
            return
        if api.startswith("embed"):
            self._whole(200, json.dumps(_vectors(api, said)))
            return
        kind = "application/x-ndjson" if api == "ollama" else "text/event-stream"
        told = "".join(_STREAMS[api](asked, said))
        headers = {"content-type": kind, "x-request-id": "req-1"}
        self._whole(200, told, headers, is_cut=said.is_cut)

    def _whole(
        self, status: int, text: str, headers: dict[str, str] | None = None, *, is_cut: bool = False
    ) -> None:
        content = text.encode()
        self.send_response(status)
        for name, value in ({"content-type": "application/json"} | (headers or {})).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if is_cut else content)
        self.close_connection |= is_cut


_API_OF = {"completions": "chat", "responses": "responses", "messages": "messages", "chat": ""}
_API_OF |= {"embeddings": "embeddings", "embed": "embed"}


def _vectors(api: str, said: Says) -> dict[str, Any]:
    if api == "embed":
        counted = {"model": "model-a", "prompt_eval_count": said.input_tokens}
        return {**counted, "embeddings": said.vectors}
    data = [{"index": place, "embedding": row} for place, row in enumerate(said.vectors)]
    usage = {"prompt_tokens": said.input_tokens, "total_tokens": said.input_tokens}
    return {"object": "list", "data": data, "model": "model-a", "usage": usage}


def _event(data: dict[str, Any], *, name: str | None = None) -> str:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data)}\n\n"


def _pieces(text: str) -> list[str]:
    half = len(text) // 2
    return [piece for piece in (text[:half], text[half:]) if piece]


def _chat(asked: Asked, said: Says) -> Iterator[str]:
    def chunk(delta: dict[str, Any], finish: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return _event({**head, "choices": [choice]})

    head = {
        "id": "c-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": asked.model,
    }
    yield chunk({"role": "assistant", "content": ""})
    for piece in _pieces(said.text):
        yield chunk({"content": piece})
    for index, (call_id, name, arguments) in enumerate(said.calls):
        function = {"name": name, "arguments": json.dumps(arguments)}
        call = {"index": index, "id": call_id, "type": "function", "function": function}
        yield chunk({"tool_calls": [call]})
    yield chunk({}, "tool_calls" if said.calls else "stop")
    usage = {"prompt_tokens": said.input_tokens, "completion_tokens": said.output_tokens}
    usage["total_tokens"] = said.input_tokens + said.output_tokens
    yield _event({**head, "choices": [], "usage": usage})
    yield "data: [DONE]\n\n"


def _responses(asked: Asked, said: Says) -> Iterator[str]:
    numbers = count()

    def named(kind: str, **more: Any) -> str:
        return _event({"type": kind, "sequence_number": next(numbers), **more}, name=kind)

    base = {
        "id": "r-1",
        "object": "response",
        "created_at": 1,
        "model": asked.model,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }
    yield named("response.created", response={**base, "status": "in_progress", "output": []})
    output: list[dict[str, Any]] = []
    if said.text:
        item = {"id": "m-1", "type": "message", "role": "assistant"}
        place = {"output_index": 0, "content_index": 0, "item_id": "m-1"}
        yield named(
            "response.output_item.added",
            output_index=0,
            item={**item, "status": "in_progress", "content": []},
        )
        for piece in _pieces(said.text):
            yield named("response.output_text.delta", **place, delta=piece, logprobs=[])
        content = [{"type": "output_text", "text": said.text, "annotations": []}]
        output.append({**item, "status": "completed", "content": content})
        yield named("response.output_item.done", output_index=0, item=output[-1])
    for call_id, name, arguments in said.calls:
        output.append(
            {
                "id": f"f-{call_id}",
                "type": "function_call",
                "call_id": call_id,
                "name": name,
                "arguments": json.dumps(arguments),
                "status": "completed",
            }
        )
        place = {"output_index": len(output) - 1, "item": output[-1]}
        yield named("response.output_item.added", **place)
        yield named("response.output_item.done", **place)
    usage = {
        "input_tokens": said.input_tokens,
        "output_tokens": said.output_tokens,
        "total_tokens": said.input_tokens + said.output_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }
    done = {**base, "status": "completed", "output": output, "usage": usage}
    yield named("response.completed", response=done)


def _messages(asked: Asked, said: Says) -> Iterator[str]:
    def named(kind: str, **more: Any) -> str:
        return _event({"type": kind, **more}, name=kind)

    usage = {"input_tokens": said.input_tokens, "output_tokens": 0}
    if any(said.cached):
        read, written = said.cached
        usage |= {"cache_read_input_tokens": read, "cache_creation_input_tokens": written}
    message: dict[str, Any] = {"id": "m-1", "type": "message", "role": "assistant"}
    message["model"] = asked.model
    message |= {"content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
    yield named("message_start", message=message)
    index = 0
    if said.text or not said.calls:
        yield named("content_block_start", index=0, content_block={"type": "text", "text": ""})
        for piece in _pieces(said.text):
            delta = {"type": "text_delta", "text": piece}
            yield named("content_block_delta", index=0, delta=delta)
        yield named("content_block_stop", index=0)
        index = 1
    for call_id, name, arguments in said.calls:
        block = {"type": "tool_use", "id": call_id, "name": name, "input": {}}
        yield named("content_block_start", index=index, content_block=block)
        delta = {"type": "input_json_delta", "partial_json": json.dumps(arguments)}
        yield named("content_block_delta", index=index, delta=delta)
        yield named("content_block_stop", index=index)
        index += 1
    end: dict[str, Any] = {
        "stop_reason": "tool_use" if said.calls else "end_turn",
        "stop_sequence": None,
    }
    yield named("message_delta", delta=end, usage={"output_tokens": said.output_tokens})
    yield named("message_stop")


def _ollama(asked: Asked, said: Says) -> Iterator[str]:
    def line(message: dict[str, Any], **more: Any) -> str:
        whole = {"model": asked.model, "created_at": "2026-01-01T00:00:00Z", "done": False}
        return json.dumps({**whole, "message": {"role": "assistant", **message}, **more}) + "\n"

    for piece in _pieces(said.text):
        yield line({"content": piece})
    if said.calls:
        calls = [{"function": {"name": n, "arguments": a}} for _, n, a in said.calls]
        yield line({"content": "", "tool_calls": calls})
    counts = {"prompt_eval_count": said.input_tokens, "eval_count": said.output_tokens}
    yield line({"content": ""}, done=True, done_reason="stop", **counts)


_STREAMS: dict[str, Callable[[Asked, Says], Iterator[str]]] = {
    "chat": _chat,
    "responses": _responses,
    "messages": _messages,
    "ollama": _ollama,
}


def main() -> None:
    """Serve until nobody listens any more."""
    with ModelServer() as server:
        print(server.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
