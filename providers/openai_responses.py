"""OpenAI's responses API through the vendor's SDK: streamed, and not stored by the vendor.

A reply is complete when its last event has arrived, which contains the whole response.
`orc.providers.openai_api` has the parts that the chat completions API shares.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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

_PARAMS = ("temperature", "top_p", "max_tokens", "reasoning_effort")
_ASKED = ("instructions", "tools")
_ENDS = ("response.completed", "response.incomplete", "response.failed")


def build(environment: Mapping[str, str], base_url: str | None = None) -> Provider:
    """OpenAI at `base_url` or `OPENAI_BASE_URL`. Raises PermanentError if a key is required."""
    return OpenAIResponses(Account(environment, base_url))


def build_server(server: Server) -> Provider:
    """A named server with this API. Raises PermanentError if its address cannot be used."""
    return OpenAIResponses(Account({}, server=server))


class OpenAIResponses(AccountProvider):
    """The responses API with one account."""

    name = "openai-responses"
    params = frozenset(_PARAMS)

    async def send(self, request: Request, *, on_delta: OnDelta) -> Reply:
        """See `Provider.send`."""
        request = with_own_native(request, api=self.name, server=self._account.server_name)
        body = _build_body(request, self._quirks)
        arriving = _ArrivingResponse(request, on_delta, self._failures)
        request_id = await self._account.hear(
            "/responses", body, arriving.take, timeout_s=request.timeout_s
        )
        return arriving.build_reply(request_id)


def _build_body(request: Request, quirks: Quirks = NO_QUIRKS) -> dict[str, Any]:
    check_params(request.params, _PARAMS)
    system = build_system(request, quirks)
    body: dict[str, Any] = {
        "model": request.model,
        **({} if system is None else {"instructions": system}),
        "input": [item for message in request.messages for item in _build_items(message)],
        "stream": True,
        "store": False,
        **_build_params(request.params),
    }
    if request.tools:
        functions = (build_function(tool, quirks) for tool in request.tools)
        body["tools"] = [{"type": "function", **function} for function in functions]
    form = json_form(request, quirks)
    if form == "json_schema":
        schema = build_schema(request.output_schema or {})
        body["text"] = {"format": {"type": form, **schema}}
    elif form is not None:
        body["text"] = {"format": {"type": form}}
    add_options(body, request.options, asked=_ASKED)
    return body


def _build_params(params: Mapping[str, Any]) -> dict[str, Any]:
    built = dict(params)
    if "max_tokens" in built:
        built["max_output_tokens"] = built.pop("max_tokens")
    if "reasoning_effort" in built:
        built["reasoning"] = {"effort": built.pop("reasoning_effort")}
    return built


def _build_items(message: Message) -> Iterator[dict[str, Any]]:
    native = message.get("native")
    if native is not None and native["provider"] == OpenAIResponses.name:
        yield from native["content"]
        return
    match message["role"]:
        case "user":
            content = build_content(
                message,
                text=lambda text: {"type": "input_text", "text": text},
                image=lambda url: {"type": "input_image", "image_url": url},
            )
            yield {"role": "user", "content": content}
        case "tool":
            call_id = message["tool_call_id"]
            output = join_text(message)
            yield {"type": "function_call_output", "call_id": call_id, "output": output}
        case role:
            text, calls = join_text(message), message.get("tool_calls", [])
            if text or not calls:
                yield {"role": role, "content": text}
            yield from map(_build_call, calls)


def _build_call(call: ToolCall) -> dict[str, Any]:
    arguments = write_arguments(call)
    return {
        "type": "function_call",
        "call_id": call["id"],
        "name": call["name"],
        "arguments": arguments,
    }


class _Part(Wire):
    text: Text | None = None
    refusal: Text | None = None


class _OutputMessage(Wire):
    content: list[_Part] | None = None


class _FunctionCall(Wire):
    call_id: Text = ""
    name: Text
    arguments: Text = ""


class _ResponseUsage(Wire):
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None


class _Incomplete(Wire):
    reason: Text | None = None


class _Response(Wire):
    id: Text = ""
    status: Text | None = None
    model: Text | None = None
    output: list[dict[str, Any]] | None = None
    usage: _ResponseUsage | None = None
    error: dict[str, Any] | None = None
    incomplete_details: _Incomplete | None = None


class _ResponseEvent(Wire):
    type: Text = ""


class _TextDelta(Wire):
    delta: Text


class _ItemDone(Wire):
    item: dict[str, Any]


class _End(Wire):
    response: _Response


class _ArrivingResponse:
    """Assembles a reply from the events of a response."""

    def __init__(self, request: Request, on_delta: OnDelta, failures: Failures) -> None:
        self._request = request
        self._on_delta = on_delta
        self._failures = failures
        self._pieces: list[str] = []
        self._items: list[dict[str, Any]] = []
        self._end = ""
        self._response = _Response()

    def take(self, event: object) -> bool:
        """Add an event; returns whether the reply is complete."""
        failures = self._failures
        match _ResponseEvent.parse(event, failures).type:
            case "error":
                raise failures.build_event_error(event)
            case "response.output_text.delta":
                self._add_text(_TextDelta.parse(event, failures).delta)
            case "response.output_item.done":
                self._items.append(_ItemDone.parse(event, failures).item)
            case end if end in _ENDS:
                self._response = _End.parse(event, failures).response
                # Some servers always send "response.completed"; then the status inside counts.
                by_status = f"response.{self._response.status}"
                self._end = by_status if by_status in _ENDS else end
        return bool(self._end)

    def build_reply(self, request_id: str) -> Reply:
        """The complete reply. Raises ProviderError if the response failed or is a refusal."""
        response = self._response
        counted = response.usage or _ResponseUsage()
        usage = build_usage(
            counted.input_tokens,
            counted.output_tokens,
            counted.input_tokens_details,
            counted.output_tokens_details,
        )
        if self._end == "response.failed":
            error = self._failures.build_event_error(response.error or {})
            error.usage = usage
            raise error
        # Not every server repeats the output in its last event.
        items = response.output or self._items
        parts = [part for item in _of_type(items, "message") for part in self._read_parts(item)]
        refusal = "".join(part.refusal or "" for part in parts)
        cut_by = response.incomplete_details and response.incomplete_details.reason
        if refusal or cut_by == "content_filter":
            raise build_refusal(self._failures.show(refusal), usage)
        if not self._pieces:
            self._add_text("".join(part.text or "" for part in parts))
        calls = self._read_calls(items)
        return Reply(
            text="".join(self._pieces),
            model=self._failures.show(response.model or self._request.model),
            finish_reason=self._read_finish(cut_by or "", is_calling=bool(calls)),
            usage=usage,
            request_id=self._failures.show(request_id or response.id) or None,
            tool_calls=calls,
            native=_build_native(items),
        )

    def _add_text(self, piece: str) -> None:
        if piece:
            self._pieces.append(piece)
            self._on_delta(piece)

    def _read_parts(self, item: dict[str, Any]) -> list[_Part]:
        return _OutputMessage.parse(item, self._failures).content or []

    def _read_calls(self, items: list[dict[str, Any]]) -> tuple[ToolCall, ...]:
        calls = []
        first = count_calls(self._request.messages) + 1
        for number, item in enumerate(_of_type(items, "function_call"), first):
            call = _FunctionCall.parse(item, self._failures)
            calls.append(
                ToolCall(
                    id=self._failures.show(call.call_id) or f"call_{number}",
                    name=self._failures.show(call.name),
                    arguments=read_arguments(call.arguments),
                )
            )
        return tuple(calls)

    def _read_finish(self, cut_by: str, *, is_calling: bool) -> str:
        if self._end == "response.completed":
            return "tool_calls" if is_calling else "stop"
        return (
            "length"
            if cut_by == "max_output_tokens"
            else self._failures.show(cut_by or "incomplete")
        )


def _of_type(items: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [item for item in items if item.get("type") == kind]


def _build_native(items: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """The output items to send back unchanged, if they contain readable reasoning; else None.

    The vendor stores nothing, so reasoning without `encrypted_content` is lost, and the API
    refuses items that refer to it. Such a message is sent back as plain text and tool calls.
    """
    reasoning = _of_type(items, "reasoning")
    if reasoning and all(item.get("encrypted_content") for item in reasoning):
        return items
    return None
