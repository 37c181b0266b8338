"""The contract of every provider for time: a server may be slow, but not silent, and not endless."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import trio
from trio.testing import MockClock

from orc.ledger.definition import TargetDef
from orc.ledger.events import LlmFailed
from orc.ledger.secrets.masking import NO_MASK
from orc.providers import Provider, TransientError
from orc.scheduler.core.commands import CallEvent
from orc.scheduler.effects.contract import PromptRequest
from orc.scheduler.effects.prompt import perform_prompt
from tests.providers.acts import Dawdles, Says, Stalls, Trickles, ask, ignore

LIMIT_S = 120.0
EIGHT = tuple("Because.")


@dataclass
class Notes:
    """A journal that keeps the events in memory."""

    events: list[CallEvent] = field(default_factory=list)

    async def record(self, event: CallEvent, *blobs: bytes | None) -> None:
        """Keep the event."""
        self.events.append(event)


async def test_a_model_that_keeps_writing_is_never_cut(
    stand: Callable[..., Provider], autojump_clock: MockClock
) -> None:
    provider = stand(Dawdles(EIGHT, LIMIT_S - 1))
    begun_s = trio.current_time()
    reply = await provider.send(ask(timeout_s=LIMIT_S), on_delta=ignore)
    assert reply.text == "Because."
    assert trio.current_time() - begun_s == pytest.approx(8 * (LIMIT_S - 1), abs=10)


@pytest.mark.parametrize("act", [Dawdles(EIGHT, LIMIT_S + 1), Stalls()], ids=["first", "later"])
async def test_silence_of_the_timeout_ends_the_call(
    stand: Callable[..., Provider], autojump_clock: MockClock, act: Dawdles | Stalls
) -> None:
    provider = stand(act, Says(("Because.",)))
    begun_s = trio.current_time()
    with trio.fail_after(1e5), pytest.raises(TransientError) as caught:
        await provider.send(ask(1, timeout_s=LIMIT_S), on_delta=ignore)
    assert caught.value.kind == "timeout"
    assert "nothing for 2 m 00 s" in caught.value.message
    assert trio.current_time() - begun_s == pytest.approx(LIMIT_S)
    assert (await provider.send(ask(2), on_delta=ignore)).text == "Because."


async def test_a_server_that_sends_signs_of_life_for_ever_is_cut_by_the_total(
    stand: Callable[..., Provider], autojump_clock: MockClock
) -> None:
    provider, notes = stand(Trickles(LIMIT_S - 1)), Notes()
    request = PromptRequest(
        step="write",
        attempt=1,
        target=TargetDef(provider=provider.name, model="m"),
        request=ask(timeout_s=LIMIT_S),
        call=1,
        known=(),
        wants_json=False,
        attempt_timeout_s=3600.0,
    )
    begun_s = trio.current_time()
    result = await perform_prompt(
        request,
        provider=provider,
        journal=notes,
        on_delta=lambda step, piece: None,
        mask=NO_MASK,
    )
    assert trio.current_time() - begun_s == pytest.approx(3600.0, abs=1)
    assert result.failed is not None
    assert result.failed.kind == "timeout"
    assert "its attempt_timeout of 1 h" in result.failed.message
    assert [event.kind for event in notes.events if isinstance(event, LlmFailed)] == ["timeout"]
