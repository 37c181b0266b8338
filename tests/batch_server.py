"""A server with the batches of OpenAI and of Anthropic, as their APIs describe them, on loopback.

It keeps its batches in memory. A test decides how many looks a batch takes, what becomes of each
request, and what goes wrong: an answer that is cut off, results that are out of order, doubled, foreign,
truncated or too long.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.parser import BytesParser
from typing import Any
from urllib.parse import parse_qs, urlsplit

from msgspec import Struct

from tests.loopback import LoopbackHandler, LoopbackServer

INPUT_TOKENS, OUTPUT_TOKENS = 100, 20


class Error(Struct, frozen=True):
    """What becomes of a request that is not answered: a status and a body, or `expired`."""

    status: int = 500
    message: str = "scripted"
    kind: str = "server_error"
    is_expired: bool = False


Answer = str | Error | None
"""A text, an error, or None for no result at all."""
Answerer = Callable[[dict[str, Any]], Answer]


@dataclass(slots=True)
class Batch:
    """One batch: its requests as submitted, and how often it was looked at."""

    id: str
    api: str
    requests: list[dict[str, Any]]
    metadata: dict[str, str] = field(default_factory=dict)
    created_at: float = field(default_factory=time.time)
    looks: int = 0
    is_cancelled: bool = False
    is_done: bool = False
    answered: int | None = None
    """How many of the first requests are answered, if not all of them will be."""
    failed: str = ""

    @property
    def custom_ids(self) -> list[str]:
        """The custom ids, in order."""
        return [request["custom_id"] for request in self.requests]


class BatchServer(LoopbackServer):
    """The server, as a context manager.

    `looks` is how many looks a batch takes until it has ended; `None`: until `finish`. `cuts` has the
    paths whose next answers are cut off after the server has done what was asked. `lines` changes the
    lines of result files, and `spell` the words for the state of a batch. `refusals` are answers to
    the next submissions, and `foreign` stands before the batches in each list of them.
    """

    def __init__(
        self,
        answer: Answerer = lambda request: "ok",
        *,
        looks: int | None = 1,
        lines: Callable[[list[bytes]], bytes] = lambda lines: b"\n".join(lines) + b"\n",
        spell: Callable[[str], str] = str,
    ) -> None:
        super().__init__(_Handler)
        self.answer = answer
        self.looks = looks
        self.lines = lines
        self.spell = spell
        self.cuts: list[str] = []
        self.foreign: list[Any] = []
        self.refusals: list[tuple[int, dict[str, Any]]] = []
        self.batches: dict[str, Batch] = {}
        self.files: dict[str, bytes] = {}
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.single: list[dict[str, Any]] = []
        self.is_hiding = False
        self.lock = threading.Lock()

    def environment(self, *, key: str = "test-key") -> dict[str, str]:
        """The variables that lead both providers here."""
        return {
            "OPENAI_BASE_URL": f"{self.url}/v1",
            "OPENAI_API_KEY": key,
            "ANTHROPIC_BASE_URL": self.url,
            "ANTHROPIC_API_KEY": key,
        }

    @property
    def all_custom_ids(self) -> list[str]:
        """The custom ids of all batches."""
        return [custom_id for batch in self.batches.values() for custom_id in batch.custom_ids]

    def finish(self) -> None:
        """Let the batches end."""
        self.looks = 0

    def has_ended(self, batch: Batch) -> bool:
        """Whether the batch has ended, after another look."""
        if batch.is_done or batch.failed:
            return True
        batch.is_done = batch.is_cancelled or (self.looks is not None and batch.looks >= self.looks)
        return batch.is_done

    def results(self, batch: Batch) -> list[tuple[str, Answer]]:
        """What became of each request: (custom id, answer)."""
        found: list[tuple[str, Answer]] = []
        for number, request in enumerate(batch.requests):
            body = request.get("body") or request["params"]
            if batch.answered is not None and number >= batch.answered:
                found.append((request["custom_id"], Error(kind="cancelled")))
            else:
                found.append((request["custom_id"], self.answer(body)))
        return found


class _Handler(LoopbackHandler):
    owner: BatchServer

    def take_get(self) -> None:
        self._handle("GET", b"")

    def take_post(self, content: bytes) -> None:
        self._handle("POST", content)

    def _handle(self, method: str, content: bytes) -> None:
        path = urlsplit(self.path).path
        headers = {name.lower(): value for name, value in self.headers.items()}
        with self.owner.lock:
            self.owner.seen.append((method, path, headers))
            found = self._route(method, path, content)
            status, answer = found if isinstance(found, tuple) else (200, found)
            is_cut = f"{method} {path}" in self.owner.cuts
            if is_cut:
                self.owner.cuts.remove(f"{method} {path}")
        if is_cut:
            self.close_connection = True
            return
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _route(self, method: str, path: str, content: bytes) -> Any:
        parts = path.strip("/").split("/")
        if path == "/v1/files":
            return self._upload(content)
        if path.startswith("/v1/files/"):
            return self.owner.files.get(parts[2]) or _not_found()
        if path == "/v1/batches":
            return self._submit_openai(content) if method == "POST" else self._list("openai")
        if path.startswith("/v1/batches/"):
            return self._one("openai", parts[2], parts[3:])
        if path == "/v1/messages/batches":
            return self._submit_anthropic(content) if method == "POST" else self._list("anthropic")
        if path.startswith("/v1/messages/batches/"):
            return self._one("anthropic", parts[3], parts[4:])
        return self._single(path, json.loads(content))

    def _single(self, path: str, body: dict[str, Any]) -> Any:
        """A call that is sent by itself."""
        self.owner.single.append(body)
        answer = self.owner.answer(body)
        assert isinstance(answer, str)
        return _message(answer) if path.endswith("/messages") else _completion(body, answer)

    def _upload(self, content: bytes) -> Any:
        head = f"content-type: {self.headers['content-type']}\r\n\r\n".encode()
        form: dict[Any, Any] = {
            part.get_param("name", header="content-disposition"): part.get_payload(decode=True)
            for part in BytesParser().parsebytes(head + content).walk()
            if not part.is_multipart()
        }
        assert form["purpose"] == b"batch"
        name = f"file-{len(self.owner.files) + 1}"
        self.owner.files[name] = form["file"]
        return {"id": name, "object": "file", "purpose": "batch"}

    def _submit_openai(self, content: bytes) -> Any:
        if self.owner.refusals:
            return self.owner.refusals.pop(0)
        wanted = json.loads(content)
        lines = self.owner.files[wanted["input_file_id"]].splitlines()
        requests = [json.loads(line) for line in lines]
        assert {request["url"] for request in requests} == {wanted["endpoint"]}
        assert len({request["body"]["model"] for request in requests}) == 1
        assert wanted["completion_window"] == "24h"
        assert not any("stream" in request["body"] for request in requests)
        batch = self._add("openai", "batch_", requests, wanted.get("metadata") or {})
        return self._openai(batch)

    def _submit_anthropic(self, content: bytes) -> Any:
        assert self.headers["anthropic-version"]
        if self.owner.refusals:
            return self.owner.refusals.pop(0)
        requests = json.loads(content)["requests"]
        assert not any("stream" in request["params"] for request in requests)
        return self._anthropic(self._add("anthropic", "msgbatch_", requests, {}))

    def _add(
        self, api: str, prefix: str, requests: list[dict[str, Any]], metadata: dict[str, str]
    ) -> Batch:
        ids = [request["custom_id"] for request in requests]
        assert len(set(ids)) == len(ids)
        assert all(
            0 < len(one) <= 64 and one.replace("_", "").replace("-", "").isalnum() for one in ids
        )
        name = f"{prefix}{len(self.owner.batches) + 1}"
        batch = Batch(name, api, requests, metadata)
        self.owner.batches[name] = batch
        return batch

    def _list(self, api: str) -> Any:
        batches = [batch for batch in self.owner.batches.values() if batch.api == api]
        batches = [] if self.owner.is_hiding else batches[::-1]
        query = parse_qs(urlsplit(self.path).query)
        after = (query.get("after") or query.get("after_id") or [""])[0]
        ids = [batch.id for batch in batches]
        begin = ids.index(after) + 1 if after in ids else 0
        page = batches[begin : begin + min(int(query["limit"][0]), 2)]
        show = self._openai if api == "openai" else self._anthropic
        has_more = begin + len(page) < len(batches)
        last = page[-1].id if page else None
        for one in page:
            one.looks += 1
        shown = [*self.owner.foreign, *map(show, page)]
        return {"data": shown, "has_more": has_more, "last_id": last}

    def _one(self, api: str, name: str, rest: list[str]) -> Any:
        batch = self.owner.batches.get(name)
        if batch is None:
            return _not_found()
        if rest == ["cancel"]:
            batch.is_cancelled = True
            if batch.answered is None:
                batch.answered = 0 if self.owner.looks is None else len(batch.requests)
        elif rest == ["results"]:
            return self.owner.lines([*map(_anthropic_line, self.owner.results(batch))])
        else:
            batch.looks += 1
        return self._openai(batch) if api == "openai" else self._anthropic(batch)

    def _openai(self, batch: Batch) -> Any:
        has_ended = self.owner.has_ended(batch)
        found = {
            "id": batch.id,
            "object": "batch",
            "created_at": int(batch.created_at),
            "metadata": batch.metadata,
            "status": "in_progress" if batch.looks else "validating",
            "request_counts": {"total": len(batch.requests), "completed": 0, "failed": 0},
            "errors": None,
            "output_file_id": None,
            "error_file_id": None,
        }
        if batch.failed:
            errors = {"data": [{"code": batch.failed, "message": "refused", "line": 1}]}
            return {**found, "status": "failed", "errors": errors}
        if not has_ended:
            return found
        results = self.owner.results(batch)
        good = [_openai_line(one) for one in results if isinstance(one[1], str)]
        bad = [_openai_line(one) for one in results if isinstance(one[1], Error)]
        expired = any(isinstance(one, Error) and one.is_expired for _, one in results)
        status = "cancelled" if batch.is_cancelled else "expired" if expired else "completed"
        for key, lines in (("output_file_id", good), ("error_file_id", bad)):
            if lines:
                name = f"{key}-{batch.id}"
                self.owner.files[name] = self.owner.lines(lines)
                found[key] = name
        counts = {"total": len(batch.requests), "completed": len(good), "failed": len(bad)}
        return {**found, "status": self.owner.spell(status), "request_counts": counts}

    def _anthropic(self, batch: Batch) -> Any:
        has_ended = self.owner.has_ended(batch)
        counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
        if has_ended:
            for _, answer in self.owner.results(batch):
                counts[_result_type(answer)] += 1
        else:
            counts["processing"] = len(batch.requests)
        day = datetime.fromtimestamp(batch.created_at, UTC).isoformat()
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": self.owner.spell("ended" if has_ended else "in_progress"),
            "request_counts": counts,
            "created_at": day,
            "cancel_initiated_at": day if batch.is_cancelled else None,
            "results_url": f"http://localhost/{batch.id}" if has_ended else None,
        }


def _not_found() -> tuple[int, dict[str, Any]]:
    return 404, {"error": {"message": "no such thing", "type": "not_found_error"}}


def _result_type(answer: Answer) -> str:
    if isinstance(answer, str):
        return "succeeded"
    if isinstance(answer, Error) and answer.is_expired:
        return "expired"
    return "canceled" if isinstance(answer, Error) and answer.kind == "cancelled" else "errored"


def _completion(body: dict[str, Any], text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": body.get("model", "m"),
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS},
    }


def _message(text: str) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS},
    }


def _openai_line(result: tuple[str, Answer]) -> bytes:
    custom_id, answer = result
    line: dict[str, Any] = {"id": "batch_req_1", "custom_id": custom_id, "error": None}
    if isinstance(answer, str):
        body = _completion({}, answer)
        line["response"] = {"status_code": 200, "request_id": "r", "body": body}
    elif isinstance(answer, Error) and (answer.is_expired or answer.kind == "cancelled"):
        code = "batch_expired" if answer.is_expired else "batch_cancelled"
        line |= {"response": None, "error": {"code": code, "message": "not done"}}
    elif answer is not None:
        error = {"error": {"message": answer.message, "type": answer.kind}}
        line["response"] = {"status_code": answer.status, "request_id": "r", "body": error}
    return json.dumps(line).encode()


def _anthropic_line(result: tuple[str, Answer]) -> bytes:
    custom_id, answer = result
    found: dict[str, Any] = {"type": _result_type(answer)}
    if isinstance(answer, str):
        found["message"] = _message(answer)
    elif isinstance(answer, Error) and found["type"] == "errored":
        inner = {"type": answer.kind, "message": answer.message}
        found["error"] = {"type": "error", "error": inner}
    if answer is None:
        return b"{}"
    return json.dumps({"custom_id": custom_id, "result": found}).encode()
