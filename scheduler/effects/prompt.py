"""A conversation with a model: calls, tool calls, and repair prompts for replies that do not fit.

The conversation depends only on the replies and the tools' results, and each is committed before
the conversation continues. A later attempt reads the recorded ones from the ledger, and makes
only the calls that follow them. A single call is left to `calls.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from orc.ledger import pack
from orc.ledger.digest import canonical_json, clean_json, clean_text, digest_json
from orc.ledger.events import ToolCalled, ToolReturned
from orc.ledger.secrets.masking import Mask
from orc.ledger.wording import count_text, number_text
from orc.providers import Message, Provider, Request, Tool, ToolCall
from orc.providers.replies.ends import classify
from orc.scheduler.core.commands import Failed, shorten_message
from orc.scheduler.core.reply_warnings import CUT, EMPTY, ONLY_REASONING, UNKNOWN_END
from orc.scheduler.effects.answers import Answer
from orc.scheduler.effects.calls import Caller, OnDelta
from orc.scheduler.effects.contract import (
    Batcher,
    Journal,
    KnownResult,
    PromptRequest,
    ReplyCache,
    Result,
    Stopwatch,
    Toolbox,
    ToolProblem,
)
from orc.scheduler.effects.text import reply_result
from orc.scheduler.effects.time_limit import CallFailed, TimeLimit

TOOL_CALLS_MAX = 100
"""The number of tool calls of one reply that are made; the model is told that the others are not."""
PAUSES_MAX = 10
"""How often the model may pause in a row and be asked to continue."""


async def perform_prompt(
    request: PromptRequest,
    *,
    provider: Provider,
    journal: Journal,
    on_delta: OnDelta,
    toolbox: Toolbox | None = None,
    cache: ReplyCache | None = None,
    mask: Mask,
    batcher: Batcher | None = None,
) -> Result:
    """The model's answer. Calls whose replies are in the ledger are not sent again.

    Secrets in the replies are masked. With a `batcher`, calls are submitted in batches, and
    BatchLost is raised if one cannot be found.
    """
    time_limit = TimeLimit(
        math.inf if request.attempt_timeout_s is None else request.attempt_timeout_s
    )
    caller = Caller(
        request,
        provider=provider,
        journal=journal,
        cache=cache,
        on_delta=on_delta,
        time_limit=time_limit,
        mask=mask,
        batcher=batcher,
    )
    conversation = _Conversation(request, caller, journal, toolbox, time_limit)
    watch = Stopwatch()
    try:
        return await conversation.hold()
    except CallFailed as error:
        return Result(failed=error.failed)
    except ToolProblem as error:
        failed = Failed(kind="environment", message=str(error), duration_s=watch.elapsed())
        return Result(failed=failed)


class _Conversation:
    def __init__(
        self,
        request: PromptRequest,
        caller: Caller,
        journal: Journal,
        toolbox: Toolbox | None,
        time_limit: TimeLimit,
    ) -> None:
        self._request = request
        self._caller = caller
        self._journal = journal
        self._toolbox = toolbox
        self._time_limit = time_limit
        self._messages: list[Message] = list(request.request.messages)
        self._paused = ""
        self._watch = Stopwatch()

    async def hold(self) -> Result:
        """Run turns until there is an answer, a failure, or the maximum number of turns."""
        request = self._request
        tools: tuple[Tool, ...] = ()
        limit_s = request.request.timeout_s
        if self._toolbox is not None:
            tools = await self._time_limit.run(
                self._toolbox.open, tool="the list of tools", tool_s=limit_s
            )
        repairs = 0
        unfit: Result | None = None
        corrects: str | None = None
        turns_max = request.max_turns if tools else 1 + request.repair
        pauses = turns = 0
        while turns < turns_max:
            turns += 1
            asked = replace(request.request, messages=tuple(self._messages), tools=tools)
            answer = await self._caller.ask(asked, corrects=corrects)
            if answer.tool_calls:
                await self._call_tools(answer)
                unfit = corrects = None
                continue
            if answer.finish_reason == "paused":
                # The API continues when it gets its own reply back.
                pauses += 1
                if pauses > PAUSES_MAX:
                    return self._fail(f"the model paused {count_text(pauses, 'time')} in a row")
                turns -= 1
                self._paused += answer.text
                self._messages.append(self._assistant_message(answer))
                continue
            answer = replace(answer, text=self._paused + answer.text)
            self._paused = ""
            result = self._result(answer, asked)
            if result.failed is None or repairs >= request.repair:
                return result
            repairs += 1
            unfit, corrects = result, shorten_message(clean_text(result.failed.message))
            self._add_repair(answer, result.failed.message)
        if unfit is not None:
            return unfit
        return self._fail(
            f"the model gave no answer within {count_text(turns_max, 'call')} (max_turns): "
            "its last reply called more tools"
        )

    def _result(self, answer: Answer, asked: Request) -> Result:
        is_cut = answer.finish_reason == "length"
        warning = _warning(answer)
        if not self._request.wants_json:
            return Result(value=answer.text, text=answer.text, warning=warning)
        result = reply_result(
            answer.text,
            duration_s=self._watch.elapsed(),
            schema=asked.output_schema,
            is_cut=is_cut,
        )
        if result.failed is None:
            about = None if is_cut else warning
            return replace(result, warning="; ".join(filter(None, (about, result.warning))) or None)
        if warning is None:
            return result
        message = f"{result.failed.message}; {warning}"
        return replace(result, failed=replace(result.failed, message=message))

    def _add_repair(self, answer: Answer, problem: str) -> None:
        """Add the model's reply, and a message that says what is wrong with it."""
        self._messages += [
            self._assistant_message(answer),
            Message(
                role="user",
                content=f"Your reply cannot be used: {problem}\nReply again with the corrected JSON "
                "only.",
            ),
        ]

    async def _call_tools(self, answer: Answer) -> None:
        if self._toolbox is None:
            raise CallFailed(
                Failed(
                    kind="protocol",
                    message=f"the model called the tool {answer.tool_calls[0]['name']!a}, but the "
                    "request offered no tools",
                    duration_s=self._watch.elapsed(),
                    on_content=True,
                )
            )
        self._messages.append(self._assistant_message(answer))
        for index, call in enumerate(answer.tool_calls):
            result = await self._call_tool(self._toolbox, answer, index, call)
            self._messages.append(_tool_message(call, result))

    async def _call_tool(
        self, toolbox: Toolbox, answer: Answer, index: int, call: ToolCall
    ) -> KnownResult:
        name, arguments = call["name"], call["arguments"]
        key = digest_json(
            {"after": answer.request_sha256, "index": index, "tool": name, "arguments": arguments}
        )
        known = self._request.known_results.get(key)
        if known is not None:
            toolbox.recall(name, arguments, known)
            return known
        if index >= TOOL_CALLS_MAX:
            return KnownResult(
                f"not called: of one reply, only the first {number_text(TOOL_CALLS_MAX)} tool calls "
                "are made; call the tool again in your next reply",
                is_error=True,
            )
        request = self._request
        payload, blob = pack(arguments)
        await self._journal.record(
            ToolCalled(
                step=request.step,
                attempt=request.attempt,
                call=answer.call,
                tool=name,
                key=key,
                arguments=payload,
            ),
            blob,
        )
        watch = Stopwatch()
        limit_s = request.request.timeout_s
        result: KnownResult = await self._time_limit.run(
            _bind_call(toolbox, name, arguments), tool=f"the tool {name}", tool_s=limit_s
        )
        payload, blob = pack(clean_json(result.result))
        await self._journal.record(
            ToolReturned(
                step=request.step,
                attempt=request.attempt,
                call=answer.call,
                tool=name,
                key=key,
                result=payload,
                is_error=result.is_error or None,
                duration_s=watch.elapsed(),
            ),
            blob,
        )
        return result

    def _assistant_message(self, answer: Answer) -> Message:
        message = Message(role="assistant", content=answer.text)
        if answer.tool_calls:
            message["tool_calls"] = list(answer.tool_calls)
        if answer.native is not None:
            provider = self._request.target.provider
            message["native"] = {"provider": provider, "content": answer.native}
        return message

    def _fail(self, message: str) -> Result:
        failed = Failed(
            kind="schema", message=message, duration_s=self._watch.elapsed(), on_content=True
        )
        return Result(failed=failed)


def _warning(answer: Answer) -> str | None:
    """What makes the reply doubtful; None for an ordinary one."""
    found = []
    if not answer.text.strip():
        found.append(ONLY_REASONING if answer.reasoning else EMPTY)
    if answer.finish_reason == "length":
        found.append(CUT)
    elif classify(answer.finish_reason) is None:
        found.append(f"{UNKNOWN_END}{shorten_message(clean_text(answer.finish_reason))}")
    return "; ".join(found) or None


def _bind_call(
    toolbox: Toolbox, name: str, arguments: Mapping[str, Any] | str
) -> Callable[[], Any]:
    return lambda: toolbox.call(name, arguments)


def _tool_message(call: ToolCall, result: KnownResult) -> Message:
    content = result.result
    message = Message(
        role="tool",
        tool_call_id=call["id"],
        name=call["name"],
        content=content if isinstance(content, str) else canonical_json(content),
    )
    if result.is_error:
        message["is_error"] = True
    return message
