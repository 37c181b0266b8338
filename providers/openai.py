"""OpenAI's chat completions API, and every compatible server, through the vendor's SDK.

Replies are always streamed. A reply is complete when a `finish_reason` has arrived, because not
every server sends token counts or `[DONE]`. `orc.providers.sdk` handles connections and
failures; `orc.providers.openai_api` has the parts that the responses API shares.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orc.providers.contract import (
    NO_QUIRKS,
    Message,
    OnDelta,
    Provider,
    Quirks,
    Reply,
    Request,
    Server,
    ToolCall,
    Usage,
)
from orc.providers.openai_api import (
    Account,
    AccountProvider,
    InputDetails,
    OutputDetails,
    build_refusal,
    build_usage,
    read_arguments,
)
from orc.providers.openai_body import (
    add_options,
    build_content,
    build_function,
    build_schema,
    build_system,
    check_params,
    count_calls,
    join_text,
    json_form,
    write_arguments,
)
from orc.providers.sdk_errors import Failures
from orc.providers.sdk_wire import Count, Text, Wire
from orc.providers.servers.native import with_own_native

_PARAMS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_tokens": "max_completion_tokens",
    "stop": "stop",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "reasoning_effort": "reasoning_effort",
}
_ASKED = ("messages", "tools", "response_format")


def build(environment: Mapping[str, str], base_url: str | None = None) -> Provider:
    """OpenAI at `base_url` or `OPENAI_BASE_URL`. Raises PermanentError if a key is required."""
    return OpenAI(Account(environment, base_url))


def build_server(server: Server) -> Provider:
    """A named server with this API. Raises PermanentError if its address cannot be used."""
    return OpenAI(Account({}, server=server))


class OpenAI(AccountProvider):
    """The chat completions API with one account."""

    name = "openai"
    params = frozenset(_PARAMS)

    async def send(self, request: Request, *, on_delta: OnDelta) -> Reply:
        """See `Provider.send`."""
        request = with_own_native(request, api=self.name, server=self._account.server_name)
        body = _build_body(request, self._quirks)
        self._name_limit(body)
        arriving = _ArrivingChunks(request, on_delta, self._failures, self._quirks)
        if not self._quirks.stream:
            document, request_id = await self._account.fetch(
                "/chat/completions", body, timeout_s=request.timeout_s
            )
            if not arriving.take(_as_chunk(document)):
                raise self._failures.build_protocol_error("has no finish_reason")
            return arriving.build_reply(request_id)
        request_id = await self._account.hear(
            "/chat/completions", body, arriving.take, timeout_s=request.timeout_s
        )
        return arriving.build_reply(request_id)

    def _name_limit(self, body: dict[str, Any]) -> None:
        """Give the limit on the reply the name or the names that the server takes."""
        if "max_completion_tokens" not in body:
            return
        if self._quirks.limit_field is None:
            if not self._is_vendors_own:
                # Compatible servers support the older name, and some support only that.
                body.setdefault("max_tokens", body["max_completion_tokens"])
        elif self._quirks.limit_field == "max_tokens":
            limit = body.pop("max_completion_tokens")
            body.setdefault("max_tokens", limit)


def _build_body(request: Request, quirks: Quirks = NO_QUIRKS) -> dict[str, Any]:
    check_params(request.params, _PARAMS)
    words = build_system(request, quirks)
    system = [] if words is None else [{"role": "system", "content": words}]
    streams = {"stream": True, "stream_options": {"include_usage": True}}
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [*system, *map(_build_message, request.messages)],
        **(streams if quirks.stream else {"stream": False}),
        **{_PARAMS[name]: value for name, value in request.params.items()},
    }
    if request.tools:
        functions = (build_function(tool, quirks) for tool in request.tools)
        body["tools"] = [{"type": "function", "function": function} for function in functions]
    form = json_form(request, quirks)
    if form == "json_schema":
        schema = build_schema(request.output_schema or {})
        body["response_format"] = {"type": form, "json_schema": schema}
    elif form is not None:
        body["response_format"] = {"type": form}
    add_options(body, request.options, asked=_ASKED)
    return body


def _as_chunk(document: Any) -> Any:
    """A reply that is one document in the form of a chunk with all of it."""
    choices = document.get("choices") if isinstance(document, dict) else None
    if not isinstance(choices, list):
        return document
    whole = [
        {**choice, "delta": choice.get("message")} if isinstance(choice, dict) else choice
        for choice in choices
    ]
    return {**document, "choices": whole}


def _build_message(message: Message) -> dict[str, Any]:
    match message["role"]:
        case "user":
            content = build_content(
                message,
                text=lambda text: {"type": "text", "text": text},
                image=lambda url: {"type": "image_url", "image_url": {"url": url}},
            )
            return {"role": "user", "content": content}
        case "tool":
            call_id = message["tool_call_id"]
            return {"role": "tool", "tool_call_id": call_id, "content": join_text(message)}
        case role:
            built: dict[str, Any] = {"role": role, "content": join_text(message)}
    if calls := message.get("tool_calls"):
        built["content"] = built["content"] or None
        built["tool_calls"] = [_build_call(call) for call in calls]
        native = message.get("native")
        if native is not None and native["provider"] == OpenAI.name:
            built.update(native["content"])
    return built


def _build_call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call["name"], "arguments": write_arguments(call)}
    return {"id": call["id"], "type": "function", "function": function}


class _Function(Wire):
    name: Text | None = None
    arguments: Text | None = None


class _CallDelta(Wire):
    index: Count | None = None
    id: Text | None = None
    function: _Function | None = None


class _ChunkDelta(Wire):
    content: Text | None = None
    refusal: Text | None = None
    reasoning: Any = None
    reasoning_content: Any = None
    tool_calls: list[_CallDelta] | None = None


class _Choice(Wire):
    index: int = 0
    delta: _ChunkDelta | None = None
    finish_reason: Text | None = None


class _ChatUsage(Wire):
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    prompt_tokens_details: InputDetails | None = None
    completion_tokens_details: OutputDetails | None = None


class _Chunk(Wire):
    id: Text | None = None
    model: Text | None = None
    choices: list[_Choice] | None = None
    usage: _ChatUsage | None = None


class _Call:
    """A tool call while its pieces arrive."""

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []


class _ArrivingChunks:
    """Assembles a reply from its chunks."""

    def __init__(
        self,
        request: Request,
        on_delta: OnDelta,
        failures: Failures,
        quirks: Quirks = NO_QUIRKS,
    ) -> None:
        self._reasoning_field = quirks.reasoning_field or ""
        self._reasoning: list[str] = []
        self._request = request
        self._on_delta = on_delta
        self._failures = failures
        self._pieces: list[str] = []
        self._refusal: list[str] = []
        self._calls: list[_Call] = []
        self._open_calls: dict[int | None, _Call] = {}
        self._finish_reason = ""
        self._model = ""
        self._id = ""
        self._usage = Usage()

    def take(self, event: object) -> bool:
        """Add a chunk; returns whether the reply is complete."""
        chunk = _Chunk.parse(event, self._failures)
        self._model = chunk.model or self._model
        self._id = chunk.id or self._id
        if (usage := chunk.usage) is not None:
            self._usage = build_usage(
                usage.prompt_tokens,
                usage.completion_tokens,
                usage.prompt_tokens_details,
                usage.completion_tokens_details,
            )
        for choice in chunk.choices or ():
            if choice.index == 0:
                self._take_choice(choice)
        return bool(self._finish_reason)

    def build_reply(self, request_id: str) -> Reply:
        """The complete reply. Raises PermanentError if it is a refusal."""
        if self._refusal or self._finish_reason == "content_filter":
            words = self._failures.show("".join(self._refusal))
            raise build_refusal(words, self._usage)
        first = count_calls(self._request.messages) + 1
        calls = tuple(self._build_call(*numbered) for numbered in enumerate(self._calls, first))
        reason = "tool_calls" if calls and self._finish_reason == "stop" else self._finish_reason
        return Reply(
            text="".join(self._pieces),
            model=self._failures.show(self._model or self._request.model),
            finish_reason=self._failures.show(reason),
            usage=self._usage,
            request_id=self._failures.show(request_id or self._id) or None,
            tool_calls=calls,
            native=self._native() if calls else None,
        )

    def _native(self) -> dict[str, str] | None:
        """The reasoning before tool calls, under the name by which the server wants it back."""
        text = "".join(self._reasoning)
        return {self._reasoning_field: text} if text else None

    def _take_choice(self, choice: _Choice) -> None:
        self._finish_reason = self._finish_reason or choice.finish_reason or ""
        if choice.delta is None:
            return
        if choice.delta.content:
            self._pieces.append(choice.delta.content)
            self._on_delta(choice.delta.content)
        reasoning = getattr(choice.delta, self._reasoning_field, None)
        if isinstance(reasoning, str):
            self._reasoning.append(reasoning)
        if choice.delta.refusal:
            self._refusal.append(choice.delta.refusal)
        for delta in choice.delta.tool_calls or ():
            self._take_call(delta)

    def _take_call(self, delta: _CallDelta) -> None:
        function = delta.function or _Function()
        call = self._open_calls.get(delta.index)
        # A server that sends each call in one piece may send no index, or the same for all.
        is_other = call is not None and bool(delta.id and call.id and delta.id != call.id)
        if call is None or is_other or (delta.index is None and function.name):
            call = self._open_calls[delta.index] = _Call()
            self._calls.append(call)
        call.id = call.id or delta.id or ""
        call.name = call.name or function.name or ""
        call.arguments.append(function.arguments or "")

    def _build_call(self, number: int, call: _Call) -> ToolCall:
        if not call.name:
            raise self._failures.build_protocol_error("calls a tool without a name")
        return {
            "id": self._failures.show(call.id) or f"call_{number}",
            "name": self._failures.show(call.name),
            "arguments": read_arguments("".join(call.arguments)),
        }
