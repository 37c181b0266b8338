"""Replies that are usable but doubtful, uncounted, paused or nearly JSON; and a burst of 429."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from orc.ledger.definition import BudgetDef, CircuitDef, JobDef, RetryDef
from orc.ledger.events import LlmFailed, LlmResponded, StepFailed, StepSucceeded
from orc.providers import Reply, Request, TransientError, Usage
from tests.builders import job, step
from tests.scheduler.talks import events, says, talking, turn_of

ASKS = step("a", prompt="?")
NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@pytest.mark.parametrize(
    ("reply", "warning"),
    [
        (says("yes"), None),
        (says(" \n"), "the reply is empty"),
        (says("", reasoning="Hm."), "the reply is only reasoning and has no answer"),
        (
            says("yes", finish_reason="new_word"),
            "the reply ended with a reason that orc does not know: new_word",
        ),
        (
            says("yes", finish_reason="length"),
            "the reply was cut off at its token limit (max_tokens)",
        ),
    ],
)
def test_a_doubtful_reply_is_a_warning(reply: Reply, warning: str | None) -> None:
    with talking(lambda _: reply, job(ASKS)) as (stand, _):
        stand.submit()
        state = stand.run()
        (ended,) = events(stand, StepSucceeded)
    assert ended.warning == warning
    assert state.steps["a"].is_doubtful == (warning is not None and "cut off" not in warning)


def test_reasoning_is_kept_in_the_ledger() -> None:
    with talking(lambda _: says("yes", reasoning="Hm."), job(ASKS)) as (stand, _):
        stand.submit()
        stand.run()
        (replied,) = events(stand, LlmResponded)
        assert replied.reply.value == {"text": "yes", "reasoning": "Hm."}


@pytest.mark.parametrize(
    ("text", "is_found", "is_mended"),
    [
        ('Here it is:\n```json\n{"n": 1}\n```\nDone.', True, False),
        ("{'n': 1,}", True, True),
        ('{"n": 1', False, False),
        ("I cannot [really] do that", False, False),
        ('```json\n{"n": 1}\n```\nor\n```json\n{"n": 2}\n```', False, False),
        # No error of syntax: a mend would make a value up.
        ('{"n": 1, "size": NaN}', False, False),
        ('{"n": 1, "n": 2}', False, False),
        ('{"n": 1, "size": ' + "9" * 5000 + "}", False, False),
        ("{'n': 'x',}", False, False),
    ],
)
def test_json_is_found_before_a_repair_is_paid(text: str, is_found: bool, is_mended: bool) -> None:
    asked = step("a", prompt="?", format="json", output_schema=NUMBER)
    with talking(lambda _: says(text), job(asked)) as (stand, talker):
        stand.submit()
        assert (stand.run().status == "succeeded") == is_found
        ended = events(stand, StepSucceeded)
        if is_found:
            assert stand.output("a") == {"n": 1}
            assert (ended[0].warning is not None) == is_mended
    assert len(talker.asked) == 1


def test_a_cut_reply_is_not_mended() -> None:
    asked = step("a", prompt="?", format="json", output_schema=NUMBER)
    cut = says("{'n': 1,}", finish_reason="length")
    with talking(lambda _: cut, job(asked)) as (stand, _):
        stand.submit()
        assert stand.run().status == "failed"


def test_a_paused_model_continues_with_its_own_reply() -> None:
    def pausing(request: Request) -> Reply:
        return (
            says("Be") if turn_of(request) > 2 else says("Be", finish_reason="paused", native=[1])
        )

    with talking(pausing, job(ASKS)) as (stand, talker):
        stand.submit()
        assert stand.run().status == "succeeded"
        assert stand.output("a") == "BeBeBe"
    assert talker.asked[1].messages[-1]["native"]["content"] == [1]


def test_a_model_that_only_pauses_fails() -> None:
    with talking(lambda _: says("", finish_reason="paused"), job(ASKS)) as (stand, talker):
        stand.submit()
        assert stand.run().status == "failed"
        assert "paused 11 times" in events(stand, StepFailed)[0].message
    assert len(talker.asked) == 11


def budgeted(**budget: Any) -> JobDef:
    definition = job(step("a", prompt="?", params={"max_tokens": 50}))
    return replace(definition, budget=BudgetDef(**budget))


def test_a_reply_without_counts_is_charged_the_worst_case() -> None:
    uncounted = says("yes", usage=Usage(), is_counted=False, cost_nano_usd=7)
    with talking(lambda _: uncounted, budgeted(max_tokens=10_000)) as (stand, _):
        stand.submit()
        state = stand.run()
        (replied,) = events(stand, LlmResponded)
    assert (replied.usage, replied.reported_nano_usd) == (None, 7)
    assert state.spent[""].tokens == replied.charged_tokens
    assert replied.charged_tokens is not None
    assert replied.charged_tokens > 50


def test_a_reply_that_breaks_off_keeps_its_counts_and_is_charged_the_worst_case() -> None:
    def breaks_off(_: Request) -> Exception:
        error = TransientError("server_error", "broke off", usage=Usage(3, 1))
        error.is_partial = True
        return error

    with talking(breaks_off, budgeted(max_tokens=10_000)) as (stand, _):
        stand.submit()
        state = stand.run()
        failed, *_ = events(stand, LlmFailed)
    assert failed.usage is not None
    assert (failed.partial, failed.usage.output_tokens, failed.is_in_doubt) == (True, 1, True)
    assert state.steps["a"].calls_in_doubt == state.steps["a"].attempts
    assert state.spent[""].tokens > 50


@pytest.mark.parametrize("total", [4, 10, 50])
def test_a_burst_of_429_costs_a_fan_out_no_more_than_the_server_asked_for(total: int) -> None:
    refused_until_s = 2.0
    steps = [
        step(f"s{number}", prompt=f"{number}?", retry=RetryDef(max_attempts=3))
        for number in range(50)
    ]
    definition = replace(job(*steps, total=total), circuit=CircuitDef(threshold=5, cooldown_s=60.0))

    def limited(_: Request) -> Reply | Exception:
        if talker.sent_at[-1] - talker.sent_at[0] < refused_until_s:
            return TransientError("rate_limit", "slow down", retry_after_s=refused_until_s)
        return says("yes")

    with talking(limited, definition) as (stand, talker):
        stand.submit()
        state = stand.run()
    assert state.status == "succeeded"
    refused = [at for at in talker.sent_at if at - talker.sent_at[0] < refused_until_s]
    again = min(at for at in talker.sent_at if at not in refused) - talker.sent_at[0]
    assert len(refused) <= total
    assert again <= refused_until_s + 2.0
    assert len(talker.sent_at) - len(refused) == 50
