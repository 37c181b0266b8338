"""Conversations with a model whose replies are a function of the request, and with test tools."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio
from msgspec.structs import replace

from orc.ledger import Recorded
from orc.ledger.definition import CircuitDef, JobDef, StepDef, ToolDef
from orc.ledger.digest import canonical_json, digest_json
from orc.ledger.events import CacheHit, FileWritten, LlmResponded, ToolCalled, ToolReturned
from orc.providers import OnDelta, Reply, Request, Tool, ToolCall, Usage
from orc.providers.request_key import request_values
from orc.scheduler.effects.contract import KnownResult
from tests.builders import job, step
from tests.model import Plan
from tests.scheduler.harness import Stand, empty_stand

Script = Callable[[Request], Reply | Exception]
Act = Callable[[Any], Any]

TOOLS = (ToolDef(name="search"), ToolDef(name="write"))


def says(text: str, *calls: ToolCall, **fields: Any) -> Reply:
    """A reply with this text and these tool calls."""
    reason = "tool_calls" if calls else "stop"
    fields = {"finish_reason": reason, "model": "model-1", "usage": Usage(3, 5), **fields}
    return Reply(text=text, tool_calls=calls, **fields)


def calls(name: str, **arguments: Any) -> ToolCall:
    """A tool call of a model."""
    return ToolCall(id=f"id-{name}", name=name, arguments=arguments)


def turn_of(request: Request) -> int:
    """The turn of the conversation that this request is, from 1."""
    return 1 + sum(message["role"] == "assistant" for message in request.messages)


class Talker:
    """A provider that replies to each request by its script, and records the requests."""

    params = frozenset({"temperature"})

    def __init__(self, script: Script, *, name: str = "fake", takes_s: float = 1.0) -> None:
        self.name = name
        self.endpoint = ""
        self.identity: str | None = None
        self.asked: list[Request] = []
        self.sent_at: list[float] = []
        self._script = script
        self._takes_s = takes_s

    def digests(self) -> Counter[str]:
        """How often each request was sent, by its digest."""
        return Counter(digest_json(request_values(request, self.name)) for request in self.asked)

    def recall(self, stream: Any) -> None:
        """Nothing to do: a reply depends only on the request."""

    async def send(self, request: Request, *, on_delta: OnDelta) -> Reply:
        self.asked.append(request)
        self.sent_at.append(trio.current_time())
        await trio.sleep(self._takes_s)
        reply = self._script(request)
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def models(self) -> tuple[str, ...]:
        return ()

    async def identify(self, model: str) -> str | None:
        return self.identity

    async def aclose(self) -> None: ...


@dataclass
class Bag:
    """Makes the tools of all attempts of a job, and records their calls."""

    takes_s: float = 0.0
    called: Counter[str] = field(default_factory=Counter)
    recalled: Counter[str] = field(default_factory=Counter)

    def open_toolbox(self, *args: Any, **options: Any) -> Tools:
        """Replaces `orc.scheduler.effects.tools.open_toolbox`."""
        return Tools(self)


class Tools:
    """A Toolbox: `search` returns its arguments, `write` writes a file, others are errors."""

    def __init__(self, bag: Bag) -> None:
        self._bag = bag
        self._written: dict[str, bytes] = {}

    async def open(self) -> tuple[Tool, ...]:
        return tuple(
            Tool(name=tool.name, description=tool.name, parameters={"type": "object"})
            for tool in TOOLS
        )

    async def call(self, name: str, arguments: Mapping[str, Any] | str) -> KnownResult:
        self._bag.called[tool_key(name, arguments)] += 1
        await trio.sleep(self._bag.takes_s)
        if name not in ("search", "write"):
            return KnownResult(f"there is no tool {name}", True)
        known = KnownResult({"found": [dict(arguments)]}, False)  # type: ignore[arg-type]
        self._keep(name, arguments)
        return known

    def recall(self, name: str, arguments: Mapping[str, Any] | str, known: KnownResult) -> None:
        self._bag.recalled[tool_key(name, arguments)] += 1
        self._keep(name, arguments)

    def written(self) -> Mapping[str, bytes]:
        return self._written

    def _keep(self, name: str, arguments: Mapping[str, Any] | str) -> None:
        if name == "write" and not isinstance(arguments, str):
            self._written[arguments["path"]] = arguments["text"].encode()


def tool_key(name: str, arguments: Any) -> str:
    """The key that identifies a tool call in these tests."""
    return f"{name} {canonical_json(arguments)}"


def talk(**fields: Any) -> JobDef:
    """A job with one prompt, the step `a`; `rate` and `circuit` are the job's."""
    of_job = {name: fields.pop(name) for name in ("rate", "circuit") if name in fields}
    return job(
        step("a", prompt="Find it.", **fields), **{"circuit": CircuitDef(threshold=0), **of_job}
    )


def more(definition: JobDef, *steps: StepDef) -> JobDef:
    """The job with additional steps."""
    return replace(definition, steps=(*definition.steps, *steps))


@contextmanager
def talking(
    script: Script, definition: JobDef, bag: Bag | None = None, *, takes_s: float = 1.0
) -> Iterator[tuple[Stand, Talker]]:
    """A stand without a submission; its model follows the script and calls the bag's tools."""
    talker = Talker(script, takes_s=takes_s)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("orc.scheduler.asking.ask.open_toolbox", (bag or Bag()).open_toolbox)
        with empty_stand(Plan(()), definition, {"fake": talker}) as stand:
            yield stand, talker


def events(stand: Stand, *kinds: type[Any]) -> list[Any]:
    """The job's events of these types."""
    found = (recorded.event for recorded in stand.stream())
    return [event for event in found if not kinds or isinstance(event, kinds)]


def check_cuts(
    scripts: Callable[[], Script], definition: JobDef, *, files: Sequence[str] = ()
) -> None:
    """Cut a whole run after each event, and resume it from there."""
    with talking(scripts(), definition) as (whole, _):
        whole.submit()
        assert whole.run().status == "succeeded"
        stream = whole.stream()
        for version in range(1, len(stream)):
            bag = Bag()
            with talking(scripts(), definition, bag) as (stand, talker):
                stand.truncate(stream[:version], whole)
                assert stand.run().status == "succeeded"
                assert stand.output("a") == whole.output("a")
                assert {event.path for event in events(stand, FileWritten)} == set(files)
                check_nothing_twice(stream[:version], stand.stream(), talker, bag)


def check_nothing_twice(
    before: Sequence[Recorded], after: Sequence[Recorded], talker: Talker, bag: Bag
) -> None:
    """Check that a resume after `before` did not send calls again that had a reply there."""
    answered = {e.request_sha256 for r in before if isinstance(e := r.event, LlmResponded)}
    assert not answered & set(talker.digests())
    returned = {e.key for r in before if isinstance(e := r.event, ToolReturned)}
    called = {e.key for r in after[len(before) :] if isinstance(e := r.event, ToolCalled)}
    assert not returned & called
    assert sum(bag.called.values()) == len(called)
    numbers = call_numbers(after)
    assert numbers == list(range(1, len(numbers) + 1))


def call_numbers(stream: Sequence[Recorded]) -> list[int]:
    """The numbers of the ended calls; a hit must have the number of the original call."""
    paid = {e.call: r.version for r in stream if isinstance(e := r.event, LlmResponded)}
    for recorded in stream:
        if isinstance(recorded.event, CacheHit):
            assert paid[recorded.event.call] == recorded.event.version
    ended = (r.event for r in stream if r.event.type in ("llm.responded", "llm.failed"))
    return [event.call for event in ended]
