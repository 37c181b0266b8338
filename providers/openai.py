"""OpenAI's chat completions API, and every compatible server, through the vendor's SDK.

Replies are streamed, unless a named server cannot do that. A reply is complete when a
`finish_reason` has arrived, because not every server sends token counts or `[DONE]`.
`orc.providers.sdk` handles connections and failures; `orc.providers.openai_api` has the parts that
the responses API shares.
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
from orc.providers.replies.chat import Choice, Chunk, ChunkDelta, Content
from orc.providers.replies.ends import read_end
from orc.providers.replies.reasoning import ThinkSplitter
from orc.providers.replies.tool_calls import (
    CallJoiner,
    JoinedCall,
    give_ids,
    read_arguments,
    write_arguments,
)
from orc.providers.replies.usage import Counts, find_cost, later_counts, mark_partial
from orc.providers.sdk_errors import Failures

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
    path = "/chat/completions"
    params = frozenset(_PARAMS)

    def build_body(self, request: Request) -> dict[str, Any]:
        """See `AccountProvider.build_body`."""
        body = _build_body(request, self._quirks)
        self._name_limit(body)
        return body

    def begin_reply(self, request: Request, on_delta: OnDelta) -> ArrivingReply:
        """See `AccountProvider.begin_reply`."""
        return _ArrivingChunks(request, on_delta, self._failures, self._quirks)

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


def _build_message(message: Message) -> dict[str, Any]:
    match message["role"]:
        case "user":
            content = build_content(
                message,
                text=lambda text: {"type": "text", "text": text},
                image=lambda url: {"type": "image_url", "image_url": {"url": url}},
                document=lambda name, url: {
                    "type": "file",
                    "file": {"filename": name, "file_data": url},
                },
            )
            return {"role": "user", "content": content}
        case "tool":
            call_id = message["tool_call_id"]
            return {"role": "tool", "tool_call_id": call_id, "content": join_text(message)}
        case role:
            built: dict[str, Any] = {"role": role, "content": join_text(message)}
    if calls := message.get("tool_calls"):
        fields, extras = _read_native(message)
        built["content"] = built["content"] or None
        built["tool_calls"] = [_build_call(call, extras.get(call["id"], {})) for call in calls]
        built = {**fields, **built}
    return built


def _build_call(call: ToolCall, extra: Mapping[str, Any]) -> dict[str, Any]:
    function = {"name": call["name"], "arguments": write_arguments(call["arguments"])}
    return {**extra, "id": call["id"], "type": "function", "function": function}


def _read_native(message: Message) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The reasoning that goes back with tool calls, and the further fields of each call by its id."""
    native = message.get("native")
    if (
        native is None
        or native["provider"] != OpenAI.name
        or not isinstance(native["content"], dict)
    ):
        return {}, {}
    return native["content"].get("message", {}), native["content"].get("calls", {})


class _ArrivingChunks:
    """Assembles a reply from its chunks, or from one document in place of a stream."""

    def __init__(
        self,
        request: Request,
        on_delta: OnDelta,
        failures: Failures,
        quirks: Quirks = NO_QUIRKS,
    ) -> None:
        self._reasoning_field = quirks.reasoning_field
        self._request = request
        self._failures = failures
        self._text = ThinkSplitter(on_delta)
        self._has_begun = False
        self._thoughts: dict[str, list[str]] = {}
        self._details: list[dict[str, Any]] = []
        self._parts_thought: list[str] = []
        self._refusal: list[str] = []
        self._joiner = CallJoiner()
        self._finish_reason = ""
        self._model = ""
        self._id = ""
        self._counts = Counts()

    def take(self, event: object) -> bool:
        """Add a chunk; returns whether the reply is complete."""
        chunk = Chunk.parse(event, self._failures)
        self._has_begun = True
        self._model = chunk.model or self._model
        self._id = chunk.id or self._id
        self._counts = later_counts(self._counts, chunk.find_usage())
        for choice in chunk.choices or ():
            if not choice.index:
                self._counts = later_counts(self._counts, choice.usage)
                self._take_choice(choice)
        return bool(self._finish_reason)

    def mark_partial(self, error: ProviderError) -> ProviderError:
        """The error of a reply that broke off, with what was counted before."""
        return mark_partial(error, self._counts, has_begun=self._has_begun)

    def build_reply(self, headers: Mapping[str, str]) -> Reply:
        """The complete reply. Raises ProviderError if it failed or is a refusal."""
        text, thought = self._text.finish()
        usage = self._counts.usage()
        known = usage if self._counts.is_known else None
        show = self._failures.show
        if self._refusal:
            raise build_refusal(self._failures.api.name, show("".join(self._refusal)), known)
        calls = self._build_calls()
        finish_reason = read_end(
            self._failures.api.name,
            show(self._finish_reason),
            usage=known,
            has_text=bool(text.strip()),
            has_calls=bool(calls),
        )
        return Reply(
            text=text,
            model=show(self._model or self._request.model),
            finish_reason=finish_reason,
            usage=usage,
            request_id=show(headers.get("x-request-id", "") or self._id) or None,
            tool_calls=calls,
            native=self._build_native(calls) if calls else None,
            reasoning="\n".join(filter(None, (self._join_thoughts(), thought))),
            is_counted=self._counts.is_known,
            cost_nano_usd=find_cost(self._counts, headers),
        )

    def _take_choice(self, choice: Choice) -> None:
        if choice.error:
            raise self._failures.build_event_error({"error": choice.error})
        self._finish_reason = self._finish_reason or choice.finish_reason or ""
        delta = choice.find_delta()
        if delta is None:
            if choice.text:
                self._text.feed(choice.text)
            return
        self._take_thoughts(delta)
        for content in delta.read_contents():
            self._take_content(content)
        if delta.refusal:
            self._refusal.append(delta.refusal)
        for piece in delta.read_calls():
            self._joiner.add(**piece)

    def _take_content(self, content: Content) -> None:
        if content.is_thought:
            self._parts_thought.append(content.text)
        else:
            self._text.feed(content.text)

    def _take_thoughts(self, delta: ChunkDelta) -> None:
        for field, text in delta.read_thoughts():
            self._thoughts.setdefault(field, []).append(text)
        for detail in delta.reasoning_details or ():
            _add_detail(self._details, detail)

    def _join_thoughts(self) -> str:
        """The reasoning. A server that sends it under two names sends the same text twice."""
        for pieces in self._thoughts.values():
            return "".join(pieces).strip()
        if self._parts_thought:
            return "".join(self._parts_thought).strip()
        texts = (detail.get("text") or detail.get("summary") for detail in self._details)
        return "\n".join(text for text in texts if isinstance(text, str)).strip()

    def _build_calls(self) -> tuple[ToolCall, ...]:
        calls = map(self._build_call, self._joiner.calls)
        return give_ids(calls, self._request.messages, self._failures.show)

    def _build_call(self, call: JoinedCall) -> ToolCall:
        name = self._failures.show(call.name)
        if not name:
            error = self._failures.build_protocol_error("calls a tool without a name")
            raise self.mark_partial(error)
        return {"id": call.id, "name": name, "arguments": read_arguments(call.arguments)}

    def _build_native(self, calls: tuple[ToolCall, ...]) -> dict[str, Any] | None:
        """What some APIs require back with the calls: reasoning under its own name, signatures."""
        own = self._reasoning_field
        fields = (own,) if own in self._thoughts else tuple(self._thoughts)
        message: dict[str, Any] = {field: "".join(self._thoughts[field]) for field in fields}
        if self._details:
            message["reasoning_details"] = self._details
        extras = {
            call["id"]: joined.extra
            for call, joined in zip(calls, self._joiner.calls, strict=True)
            if joined.extra
        }
        native = {"message": message} if message else {}
        return (native | ({"calls": extras} if extras else {})) or None


def _add_detail(details: list[dict[str, Any]], detail: dict[str, Any]) -> None:
    """Add a piece of `reasoning_details`; consecutive pieces of one detail become one."""
    last = details[-1] if details else {}
    keys = ("type", "index", "id")
    if not details or any(
        None not in (last.get(key), detail.get(key)) and last[key] != detail[key] for key in keys
    ):
        details.append(dict(detail))
        return
    for key, value in detail.items():
        is_text = key in ("text", "summary", "data") and isinstance(value, str)
        if is_text and isinstance(last.get(key), str):
            last[key] += value
        elif value is not None:
            last[key] = value
