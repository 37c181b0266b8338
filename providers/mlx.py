"""Runs models on this machine with mlx-lm: one call at a time, in a thread.

This module converts requests and replies. `orc.providers.mlx_store` and
`orc.providers.mlx_model` use mlx-lm itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from typing import Any

import trio

from orc.ledger.wording import count_text, duration_text, number_text
from orc.providers.contract import Message, OnDelta, Reply, Request, ToolCall, Usage
from orc.providers.errors import PermanentError, ProviderError, TransientError
from orc.providers.http import LONGER, replace_surrogates, safe_text
from orc.providers.instructions import instruct, join_texts
from orc.providers.mlx_model import LocalModel
from orc.providers.mlx_store import Store, open_store
from orc.providers.mlx_text import Splitter
from orc.providers.replies.ends import read_end
from orc.providers.replies.reasoning import ThinkSplitter

MAX_TOKENS = 4096
"""The default of `max_tokens`; mlx-lm's own default of 256 would cut off most answers."""

_NAME = re.compile(r'"name"\s*:\s*"([^"\\\s]{1,200})"')
_ARGUMENTS = re.compile(r'"(?:arguments|parameters)"\s*:')


class Mlx:
    """The models of a store. One model is in memory at a time, and one call runs at a time."""

    name = "mlx"
    params = frozenset(
        "temperature top_p top_k min_p max_tokens stop seed presence_penalty frequency_penalty "
        "repeat_penalty".split()
    )
    endpoint = ""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._one = trio.CapacityLimiter(1)
        self._loaded: tuple[str, LocalModel] | None = None

    async def send(self, request: Request, *, on_delta: OnDelta) -> Reply:
        """See `Provider.send`. Cancellation takes effect at the next token or block of the prompt.

        So does `timeout_s`, the limit of the time to that: a thread cannot be abandoned while it uses
        the model. Waiting for other calls and loading the model do not count.
        """
        silence = _Silence(request.timeout_s)
        with silence.scope:
            work = partial(self._answer, request, on_delta, silence)
            return await trio.to_thread.run_sync(work, limiter=self._one)
        waited = duration_text(request.timeout_s)
        raise TransientError(
            "timeout", f"{safe_text(request.model)} wrote nothing for {waited}; {LONGER}"
        )

    async def models(self) -> tuple[str, ...]:
        """See `Provider.models`: the folder in MLX_MODEL_PATH, and the models in the hub's cache."""
        found = await trio.to_thread.run_sync(self._store.names)
        return tuple(sorted(found))

    async def identify(self, model: str) -> str | None:
        """See `Provider.identify`: the hub's commit, or a digest of the files."""
        return await trio.to_thread.run_sync(self._store.identify, model)

    async def aclose(self) -> None:
        """Release the model's memory."""
        self._loaded = None

    def _answer(self, request: Request, on_delta: OnDelta, silence: _Silence) -> Reply:
        try:
            return self._generate(self._load(request.model), request, on_delta, silence)
        except ProviderError:
            raise
        except (TypeError, ValueError) as error:
            raise PermanentError("bad_request", _words(error)) from error
        except Exception as error:
            # A model's code can raise any exception, for example if memory runs out.
            raise TransientError("server_error", _words(error)) from error

    def _load(self, name: str) -> LocalModel:
        if self._loaded is None or self._loaded[0] != name:
            self._loaded = None
            self._loaded = (name, self._store.load(name))
        return self._loaded[1]

    def _generate(
        self, model: LocalModel, request: Request, on_delta: OnDelta, silence: _Silence
    ) -> Reply:
        prompt = _render(model, request)
        silence.end()
        splitter = Splitter(
            stops=_stops(request.params.get("stop")),
            thought=model.thought,
            call=model.call if request.tools else None,
            thinking=model.begins_with_thought(prompt),
        )
        answer = ThinkSplitter(lambda text: trio.from_thread.run_sync(on_delta, text))
        finish = "stop"
        used = Usage(input_tokens=len(prompt))
        reasoning_tokens = 0
        settings = {"max_tokens": MAX_TOKENS, **request.params}
        writing = model.generate(prompt, settings, request.options, silence.end)
        with closing(writing):  # mlx-lm releases memory when its generator is closed.
            for piece in writing:
                silence.end()
                reasoning_tokens += splitter.is_thinking
                used = Usage(
                    piece.prompt_tokens,
                    piece.generation_tokens,
                    reasoning_tokens=reasoning_tokens,
                )
                answer.feed(splitter.feed(replace_surrogates(piece.text)))
                if splitter.stopped:
                    break
                finish = piece.finish_reason or finish
        answer.feed(splitter.finish())
        text, tagged = answer.finish()
        reasoning = "\n".join(filter(None, (splitter.reasoning.strip(), tagged)))
        calls = _read_calls(model, request, splitter.calls, cut=finish == "length", usage=used)
        return Reply(
            text=text,
            model=request.model,
            finish_reason=read_end(
                safe_text(request.model),
                finish,
                usage=used,
                has_text=bool(text.strip()),
                has_calls=bool(calls),
            ),
            usage=used,
            tool_calls=calls,
            native={"thinking": reasoning} if calls and reasoning else None,
            reasoning=reasoning,
        )


class _Silence:
    """Cancels its scope when the model has written nothing for too long; it begins with `end`."""

    def __init__(self, limit_s: float) -> None:
        self.scope = trio.CancelScope()
        self._limit_s = limit_s

    def end(self) -> None:
        """The model works. Raises trio.Cancelled, in the model's thread, if the call has ended."""
        trio.from_thread.run_sync(self._put_off)
        trio.from_thread.check_cancelled()

    def _put_off(self) -> None:
        self.scope.deadline = trio.current_time() + self._limit_s


def build(environment: Mapping[str, str], base_url: str | None) -> Mlx:
    """The provider for the models of this machine. Imports mlx-lm.

    Raises PermanentError (environment) if mlx-lm is not installed.
    """
    assert base_url is None, "the check of the spec refuses an address for mlx"
    return Mlx(open_store(environment))


def _render(model: LocalModel, request: Request) -> list[int]:
    if request.tools and model.call is None:
        raise PermanentError(
            "bad_request",
            f"{safe_text(request.model)} does not support tools; use another model for this step",
        )
    messages = [_turn(message) for message in request.messages]
    system = instruct(request.system, request)
    if system:
        messages.insert(0, {"role": "system", "content": system})
    tools = [{"type": "function", "function": dict(tool)} for tool in request.tools]
    prompt = model.render(messages, tools, request.options)
    if model.context_max is not None and len(prompt) >= model.context_max:
        raise PermanentError(
            "context_length",
            f"the prompt has {count_text(len(prompt), 'token')}, and {safe_text(request.model)} "
            f"accepts at most {number_text(model.context_max)}; shorten it, or use another model",
            usage=Usage(),
        )
    return prompt


def _turn(message: Message) -> dict[str, Any]:
    turn: dict[str, Any] = {
        "role": message["role"],
        "content": join_texts(message.get("content", ""), _no_text),
    }
    if message.get("tool_calls"):
        turn["tool_calls"] = [
            {
                "id": call["id"],
                "type": "function",
                "function": {"name": call["name"], "arguments": call["arguments"]},
            }
            for call in message["tool_calls"]
        ]
    native = message.get("native")
    if native is not None and native["provider"] == Mlx.name:
        # Templates that show a model its thinking before a call read it under this name.
        turn["reasoning_content"] = native["content"]["thinking"]
    if message["role"] == "tool":
        turn |= {"tool_call_id": message["tool_call_id"], "name": message.get("name", "")}
    return turn


def _no_text(part: Any) -> PermanentError:
    what = "a PDF document" if part["type"] == "document" else "an image"
    return PermanentError(
        "bad_request",
        f"mlx-lm supports only text, and a message has {what}; use another provider for this step",
    )


def _stops(stop: Any) -> tuple[str, ...]:
    if stop is None:
        return ()
    return (stop,) if isinstance(stop, str) else tuple(stop)


def _read_calls(
    model: LocalModel, request: Request, texts: list[str], *, cut: bool, usage: Usage
) -> tuple[ToolCall, ...]:
    """The tool calls in the texts between the model's marks.

    A call whose arguments are broken keeps them as a text, so that the model is told. Raises
    TransientError (protocol) for a text without a name, unless the token limit cut it off.
    """
    found: list[ToolCall] = []
    for text in texts:
        try:
            parsed = model.parse_call(text, request.tools)
            for call in parsed if isinstance(parsed, list) else [parsed]:
                found.append(_call(call, f"call_{request.ordinal}_{len(found) + 1}"))
        except Exception as error:
            # There are many parsers, and they can raise any exception.
            if cut:
                continue
            name = _NAME.search(text)
            if name is not None:
                own_id = f"call_{request.ordinal}_{len(found) + 1}"
                found.append(
                    {
                        "id": own_id,
                        "name": safe_text(name[1]),
                        "arguments": _broken_arguments(text),
                    }
                )
                continue
            what = safe_text(text, length_max=80)
            raise TransientError(
                "protocol", f"the model wrote an invalid tool call: {what}", usage=usage
            ) from error
    return tuple(found)


def _broken_arguments(text: str) -> str:
    """The text after the key of the arguments; the whole text if there is none."""
    begun = _ARGUMENTS.search(text)
    return text if begun is None else text[begun.end() :].strip()


def _call(call: Mapping[str, Any], own_id: str) -> ToolCall:
    arguments = call.get("arguments", {})
    if not isinstance(call["name"], str) or not isinstance(arguments, dict | str):
        raise ValueError("a call must have a name and an object of arguments")
    given = call.get("id")
    return {
        "id": given if isinstance(given, str) and given else own_id,
        "name": call["name"],
        "arguments": arguments,
    }


def _words(error: Exception) -> str:
    return f"mlx-lm: {type(error).__name__}: {safe_text(str(error))}"
