"""OpenAI's responses API through the vendor's SDK: streamed, and not stored by the vendor.

A reply is complete when its last event has arrived, which contains the whole response.
`orc.providers.openai_api` has the parts that the chat completions API shares.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

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
from orc.providers.errors import ProviderError
from orc.providers.openai_api import Account, AccountProvider, ArrivingReply, build_refusal
from orc.providers.openai_body import (
    add_options,
    build_content,
    build_function,
    build_schema,
    build_system,
    check_params,
    join_text,
    json_form,
)
from orc.providers.replies.chat import join_parts
from orc.providers.replies.ends import read_end
from orc.providers.replies.lenient import LooseText, OrNone
from orc.providers.replies.reasoning import ThinkSplitter
from orc.providers.replies.response_pieces import ResponsePieces
from orc.providers.replies.tool_calls import give_ids, read_arguments, write_arguments
from orc.providers.replies.usage import Counts, find_cost, later_counts, mark_partial
from orc.providers.sdk_errors import Failures
from orc.providers.sdk_wire import Text, Wire

_PARAMS = ("temperature", "top_p", "max_tokens", "reasoning_effort")
_ASKED = ("instructions", "tools")
_ENDS = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")


def build(environment: Mapping[str, str], base_url: str | None = None) -> Provider:
    """OpenAI at `base_url` or `OPENAI_BASE_URL`. Raises PermanentError if a key is required."""
    return OpenAIResponses(Account(environment, base_url))


def build_server(server: Server) -> Provider:
    """A named server with this API. Raises PermanentError if its address cannot be used."""
    return OpenAIResponses(Account({}, server=server))


class OpenAIResponses(AccountProvider):
    """The responses API with one account."""

    name = "openai-responses"
    path = "/responses"
    params = frozenset(_PARAMS)

    def build_body(self, request: Request) -> dict[str, Any]:
        """See `AccountProvider.build_body`."""
        return _build_body(request, self._quirks)

    def begin_reply(self, request: Request, on_delta: OnDelta) -> ArrivingReply:
        """See `AccountProvider.begin_reply`."""
        return _ArrivingResponse(request, on_delta, self._failures)


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
                document=lambda name, url: {
                    "type": "input_file",
                    "filename": name,
                    "file_data": url,
                },
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
    arguments = write_arguments(call["arguments"])
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
    content: list[_Part] | Text | None = None


class _FunctionCall(Wire):
    call_id: LooseText = None
    name: Text
    arguments: Any = None


class _Incomplete(Wire):
    reason: Text | None = None


class _Response(Wire):
    id: LooseText = None
    status: Text | None = None
    model: LooseText = None
    output: list[dict[str, Any]] | None = None
    usage: Any = None
    error: dict[str, Any] | Text | None = None
    incomplete_details: Annotated[_Incomplete | None, OrNone] = None


class _ResponseEvent(Wire):
    type: Text = ""
    object: LooseText = None


class _TextDelta(Wire):
    delta: Text | None


class _ItemDone(Wire):
    item: dict[str, Any]


class _Begun(Wire):
    response: Annotated[_Response | None, OrNone] = None


class _End(Wire):
    response: _Response


class _ArrivingResponse:
    """Assembles a reply from the events of a response, or from one document in their place."""

    def __init__(self, request: Request, on_delta: OnDelta, failures: Failures) -> None:
        self._request = request
        self._failures = failures
        self._text = ThinkSplitter(on_delta)
        self._has_text = False
        self._has_begun = False
        self._items: list[dict[str, Any]] = []
        self._pieces = ResponsePieces(failures)
        self._end = ""
        self._response = _Response()
        self._counts = Counts()

    def take(self, event: object) -> bool:
        """Add an event; returns whether the reply is complete."""
        failures = self._failures
        read = _ResponseEvent.parse(event, failures)
        if not read.type and read.object == "response":
            event = {"response": event}
            self._take_end("", _End.parse(event, failures).response)
            return True
        match read.type:
            case "error":
                raise failures.build_event_error(event)
            case "response.output_text.delta":
                self._add_text(_TextDelta.parse(event, failures).delta)
            case "response.output_item.done":
                self._items.append(_ItemDone.parse(event, failures).item)
            case end if end in _ENDS:
                self._take_end(end, _End.parse(event, failures).response)
            case _:
                self._pieces.take(read.type, event)
                begun = _Begun.parse(event, failures).response
                usage = None if begun is None else begun.usage
                self._counts = later_counts(self._counts, usage)
        self._has_begun = True
        return bool(self._end)

    def mark_partial(self, error: ProviderError) -> ProviderError:
        """The error of a reply that broke off, with what was counted before."""
        return mark_partial(error, self._counts, has_begun=self._has_begun)

    def build_reply(self, headers: Mapping[str, str]) -> Reply:
        """The complete reply. Raises ProviderError if the response failed or is a refusal."""
        response, show = self._response, self._failures.show
        usage = self._counts.usage()
        known = usage if self._counts.is_known else None
        if self._end == "response.failed":
            error = self._failures.build_event_error(response.error or {})
            error.usage = known
            raise self.mark_partial(error)
        # Not every server repeats the output in its last event, or sends whole items.
        items = response.output or self._items
        if not _of_type(items, "function_call"):
            items = [*items, *self._pieces.calls()]
        parts = [part for item in _of_type(items, "message") for part in self._read_parts(item)]
        refusal = "".join(part.refusal or "" for part in parts) or self._pieces.refusal()
        cut_by = response.incomplete_details and response.incomplete_details.reason
        if refusal or cut_by == "content_filter":
            raise build_refusal(self._failures.api.name, show(refusal), known)
        if not self._has_text:
            self._add_text("".join(part.text or "" for part in parts) or self._pieces.text())
        text, thought = self._text.finish()
        calls, items = self._read_calls(items)
        return Reply(
            text=text,
            model=show(response.model or self._request.model),
            finish_reason=read_end(
                self._failures.api.name,
                self._read_end_word(cut_by or ""),
                usage=known,
                has_text=bool(text.strip()),
                has_calls=bool(calls),
            ),
            usage=usage,
            request_id=show(headers.get("x-request-id", "") or response.id or "") or None,
            tool_calls=calls,
            native=_build_native(items),
            reasoning="\n".join(filter(None, (_read_reasoning(items), thought))),
            is_counted=self._counts.is_known,
            cost_nano_usd=find_cost(self._counts, headers),
        )

    def _take_end(self, end: str, response: _Response) -> None:
        self._response = response
        # Some servers always send "response.completed"; then the status inside counts.
        by_status = f"response.{response.status}"
        self._end = by_status if by_status in _ENDS or not end else end
        self._counts = later_counts(self._counts, response.usage)

    def _add_text(self, piece: str | None) -> None:
        if piece:
            self._has_text = True
            self._text.feed(piece)

    def _read_parts(self, item: dict[str, Any]) -> list[_Part]:
        content = _OutputMessage.parse(item, self._failures).content
        return [_Part(text=content)] if isinstance(content, str) else content or []

    def _read_calls(
        self, items: list[dict[str, Any]]
    ) -> tuple[tuple[ToolCall, ...], list[dict[str, Any]]]:
        """The tool calls, and the items as they can go back: with the ids and objects of the calls."""
        calls: list[ToolCall] = []
        for item in _of_type(items, "function_call"):
            call = _FunctionCall.parse(item, self._failures)
            arguments = read_arguments(call.arguments)
            name = self._failures.show(call.name)
            if not name:
                error = self._failures.build_protocol_error("calls a tool without a name")
                raise self.mark_partial(error)
            calls.append(ToolCall(id=call.call_id or "", name=name, arguments=arguments))
        given = give_ids(calls, self._request.messages, self._failures.show)
        waiting = iter(given)
        kept = [
            _with_call(item, next(waiting)) if item.get("type") == "function_call" else item
            for item in items
        ]
        return given, kept

    def _read_end_word(self, cut_by: str) -> str:
        status = self._end.removeprefix("response.")
        if status == "incomplete":
            # The reason says more than the status; one that nobody knows is no failure.
            return self._failures.show(cut_by or status)
        if status in ("in_progress", "queued"):
            return "interrupted"
        return "completed" if status == "completed" else self._failures.show(status or "completed")


def _of_type(items: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [item for item in items if item.get("type") == kind]


def _with_call(item: dict[str, Any], call: ToolCall) -> dict[str, Any]:
    """The item with the id of the call, and with arguments that the API accepts back."""
    kept = item | {"call_id": call["id"]}
    if isinstance(call["arguments"], str) or not isinstance(item.get("arguments"), str):
        kept["arguments"] = write_arguments(call["arguments"])
    return kept


def _read_reasoning(items: list[dict[str, Any]]) -> str:
    """The reasoning, or its summary, as far as the server shows it."""
    found = (
        join_parts(item.get("content")) or "\n".join(map(join_parts, item.get("summary") or ()))
        for item in _of_type(items, "reasoning")
    )
    return "\n".join(filter(None, found)).strip()


def _build_native(items: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """The output items to send back unchanged, if they contain readable reasoning; else None.

    The vendor stores nothing, so reasoning without `encrypted_content` is lost, and the API
    refuses items that refer to it. Such a message is sent back as plain text and tool calls.
    """
    reasoning = _of_type(items, "reasoning")
    if reasoning and all(item.get("encrypted_content") for item in reasoning):
        return items
    return None
