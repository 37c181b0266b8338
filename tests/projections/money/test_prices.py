"""Costs from tokens and a table of prices; unknown costs are told apart from known ones."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from orc.ledger import Ledger, Payload, open_ledger
from orc.ledger.digest import digest_json
from orc.ledger.events import CacheHit, CallRef, LlmFailed, LlmRequested, LlmResponded, TokenUsage
from orc.ledger.secrets.masking import NO_MASK
from orc.ledger.servers.server_def import ServerDef
from orc.projections import Manifest, ReadModel
from orc.projections.money.price import FREE, Price
from orc.projections.money.prices import NO_PRICES, PriceTable, PublishedPrices, Spending
from orc.scheduler.budget_gate import highest_cost
from orc.scheduler.core.commands import RecordCall
from tests.builders import JOB, step
from tests.projections.support import Story, begun, tables, write

MINI = Price(input=1.0, cached_input=0.5, output=2.0)
LARGE = Price(input=10.0, output=30.0)
DAY = dt.date(2026, 8, 1)
TABLE = PriceTable(
    models={
        "openai": {"gpt-4o-mini": replace(MINI, seen=DAY), "gpt-4o": replace(LARGE, seen=DAY)},
        "anthropic": {"claude": replace(LARGE, seen=DAY)},
    }
)
USAGE = TokenUsage(input_tokens=1000, cached_tokens=400, output_tokens=500)
COST_USD = 0.0018
COST = 1_800_000
"""600 tokens at 1, 400 at 0.5 and 500 at 2 dollars a million, in nano-dollars."""


def test_cached_input_has_its_own_price_and_reasoning_is_output() -> None:
    reasoned = replace(USAGE, reasoning_tokens=300)

    assert MINI.cost_nano_usd(USAGE) == MINI.cost_nano_usd(reasoned) == COST


def test_cached_input_without_a_price_of_its_own_costs_what_other_input_does() -> None:
    assert LARGE.cost_nano_usd(USAGE) == 25_000_000


def test_more_cached_tokens_than_input_never_make_a_call_cheaper_than_its_output() -> None:
    usage = TokenUsage(input_tokens=10, cached_tokens=10_000, output_tokens=0)

    assert MINI.cost_nano_usd(usage) == 5_000


def test_a_prompt_that_is_longer_than_a_price_holds_for_has_an_unknown_cost() -> None:
    price = replace(LARGE, input_tokens_max=1000)

    assert price.cost_nano_usd(USAGE) == 25_000_000
    assert price.cost_nano_usd(replace(USAGE, input_tokens=1001)) is None


def test_tokens_that_were_not_counted_have_an_unknown_cost_unless_they_are_free() -> None:
    assert MINI.cost_nano_usd(TokenUsage()) is None
    assert Price(input=0.0, output=0.0).cost_nano_usd(TokenUsage()) == 0


def test_input_that_goes_to_the_cache_has_its_own_price() -> None:
    price = replace(MINI, cache_write=1.25)
    usage = replace(USAGE, cache_write_tokens=200)

    assert MINI.cost_nano_usd(usage) == COST
    assert price.cost_nano_usd(usage) == COST + 200 * 250
    everything = TokenUsage(input_tokens=10, cached_tokens=8, cache_write_tokens=9)
    assert price.cost_nano_usd(everything) == 8 * 500 + 2 * 1250


def test_all_tokens_of_a_longer_prompt_have_the_price_of_longer_prompts() -> None:
    price = replace(MINI, input_tokens_max=1000, longer=LARGE)

    assert price.cost_nano_usd(USAGE) == COST
    longer = replace(USAGE, input_tokens=1001)
    assert price.cost_nano_usd(longer) == LARGE.cost_nano_usd(longer)


def test_a_call_in_a_batch_has_the_price_of_batches_or_half_of_the_other_one() -> None:
    third = Price(input=MINI.input / 3, cached_input=0.5 / 3, output=MINI.output / 3)

    assert MINI.cost_nano_usd(USAGE, is_batch=True) == COST // 2
    assert replace(MINI, batch=third).cost_nano_usd(USAGE, is_batch=True) == COST // 3
    assert FREE.cost_nano_usd(USAGE, is_batch=True) == 0


PUBLISHED = PublishedPrices(models={})
GROQ = "https://api.groq.com/openai/v1"


def test_published_prices_have_the_cache_longer_prompts_and_batches() -> None:
    assert PUBLISHED.find("anthropic", "claude-haiku-5-5") == Price(
        input=0.1,
        output=0.5,
        cached_input=0.01,
        cache_write=0.125,
        input_tokens_max=100_000,
        longer=Price(input=0.5, output=2.5, cached_input=0.05, cache_write=0.625),
        batch=Price(
            input=0.05,
            output=0.25,
            cached_input=0.005,
            cache_write=0.0625,
            input_tokens_max=100_000,
            longer=Price(input=0.25, output=1.25, cached_input=0.025, cache_write=0.3125),
        ),
    )


def test_a_call_has_the_published_price_of_its_time() -> None:
    prices = [
        PUBLISHED.find("deepseek", "deepseek-chat", endpoint="https://api.deepseek.com", at=at)
        for at in ("2025-03-01T03:00:00.000000Z", "2025-03-01T18:00:00.000000Z")
    ]

    assert [price and price.input for price in prices] == [0.27, 0.135]


@pytest.mark.parametrize(
    ("provider", "model", "endpoint", "is_known"),
    [
        ("groq", "llama-3.3-70b-versatile", GROQ, True),
        ("groq", "llama-3.3-70b-versatile", "http://localhost:8000/v1", False),
        ("groq", "llama-3.3-70b-versatile", "https://models.example/v1", False),
        ("groq", "llama-3.3-70b-versatile", None, False),
        ("office", "llama-3.3-70b-versatile", GROQ, True),
        ("office", "gpt-5.4-mini", "https://api.openai.com/v1", True),
        ("openai", "gpt-5.4-mini-2026-03-17", None, True),
        ("openai-responses", "gpt-6-luna", None, True),
        ("openai", "gpt-6-luna-nano", None, False),
        ("openai", "whisper-1", None, False),
        ("openai", "claude-haiku-5-5", None, False),
        ("replay", "gpt-4o-mini", None, True),
        ("replay", "llama3.2", None, False),
        ("unheard-of", "gpt-4o", None, False),
    ],
)
def test_a_named_server_has_the_prices_of_the_company_at_its_address(
    provider: str, model: str, endpoint: str | None, is_known: bool
) -> None:
    found = PUBLISHED.find(provider, model, endpoint=endpoint)

    assert (found is not None) == is_known


def test_a_table_knows_the_addresses_of_the_servers_of_a_job() -> None:
    server = ServerDef(api="openai", base_url=GROQ)

    table = PUBLISHED.with_servers({"office": server})

    assert table.find("office", "llama-3.3-70b-versatile") is not None
    assert PUBLISHED.find("office", "llama-3.3-70b-versatile") is None
    assert table.digest == PUBLISHED.digest


def test_own_prices_come_before_published_ones_also_for_a_recorded_model() -> None:
    table = PUBLISHED.merged(PriceTable(models={"openai": {"gpt-4o-mini": MINI}}))

    assert table.find("openai", "gpt-4o-mini") == table.find("replay", "gpt-4o-mini") == MINI
    assert table.find("openai", "gpt-4o") == PUBLISHED.find("openai", "gpt-4o")
    assert table.digest != PUBLISHED.digest


def test_local_models_are_free_and_need_no_published_prices() -> None:
    code = (
        "import sys\nfrom orc.projections.money.prices import PublishedPrices\n"
        "table = PublishedPrices(models={})\n"
        "assert table.find('ollama', 'llama3.2').is_free and table.digest\n"
        "assert table.find('groq', 'm', endpoint='http://localhost:1/v1') is None\n"
        "assert 'genai_prices' not in sys.modules\n"
        "assert table.find('openai', 'gpt-4o') and 'genai_prices' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    ("provider", "model", "price"),
    [
        ("openai", "gpt-4o-mini", MINI),
        ("openai", "gpt-4o-mini-2024-07-18", MINI),
        ("openai", "gpt-4o-20251001", LARGE),
        ("openai-responses", "gpt-4o", LARGE),
        ("anthropic", "claude@20251001", LARGE),
        ("replay", "gpt-4o-mini-2024-07-18", MINI),
        ("openai", "gpt-4o-nano", None),
        ("openai", "gpt-4", None),
        ("openai", "gpt-4o-2024", None),
        ("openai", "claude", None),
        ("anthropic", "gpt-4o", None),
        ("replay", "llama3.2", None),
        ("unheard-of", "gpt-4o", None),
    ],
)
def test_a_model_is_found_by_its_name_with_or_without_a_date_and_by_no_part_of_it(
    provider: str, model: str, price: Price | None
) -> None:
    found = TABLE.find(provider, model)

    assert (found and replace(found, seen=None)) == price


def test_a_dated_name_with_a_price_of_its_own_has_that_one() -> None:
    own = PriceTable(models={"openai": {"gpt-4o-2024-05-13": MINI}})

    assert TABLE.merged(own).find("openai", "gpt-4o-2024-05-13") == MINI


def test_local_models_are_free_unless_the_table_says_otherwise() -> None:
    priced = NO_PRICES.merged(PriceTable(models={"ollama": {"llama3.2": MINI}}))

    assert NO_PRICES.find("ollama", "llama3.2") == NO_PRICES.find("mlx", "any") is not None
    assert priced.find("ollama", "llama3.2") == MINI
    assert priced.find("ollama", "other") == NO_PRICES.find("ollama", "other")


def test_a_recorded_model_with_two_prices_has_none() -> None:
    both = TABLE.merged(PriceTable(models={"anthropic": {"gpt-4o": MINI}}))

    assert both.find("replay", "gpt-4o") is None


def test_own_entries_win_model_by_model_and_leave_the_others() -> None:
    before = TABLE.digest

    merged = TABLE.merged(PriceTable(models={"openai": {"gpt-4o": MINI}}))

    assert merged.find("openai", "gpt-4o") == MINI
    assert merged.find("openai", "gpt-4o-mini") == TABLE.find("openai", "gpt-4o-mini")
    assert merged.digest != before


def test_a_missing_cost_leaves_no_total() -> None:
    spent, partly = Spending(), Spending()
    for cost in (100_000_000, 200_000_000):
        spent.add(cost)
        partly.add(cost)
    partly.add(None)

    assert spent.value() == {"cost_usd": 0.3, "cost_known_usd": 0.3, "calls_unpriced": 0}
    assert partly.value() == {"cost_usd": None, "cost_known_usd": 0.3, "calls_unpriced": 1}


def _call(story: Story, step_id: str, *, asked: str, ends: LlmResponded | LlmFailed) -> None:
    request = Payload(value={"model": asked})
    digest = digest_json([step_id, ends.call])
    place: dict[str, Any] = {"step": step_id, "attempt": ends.attempt, "call": ends.call}
    requested = LlmRequested(
        **place,
        provider=ends.provider,
        model=asked,
        request=request,
        request_sha256=digest,
        prompt_sha256=digest,
    )
    story.tell(RecordCall(requested), RecordCall(ends))


def _responded(call: int, model: str, usage: TokenUsage = USAGE, **changes: Any) -> LlmResponded:
    fields: dict[str, Any] = {
        "step": "a",
        "attempt": 1,
        "call": call,
        "provider": "openai",
        "model": model,
        "reply": Payload(value={"text": "yes"}),
        "request_sha256": digest_json(["a", call]),
        "finish_reason": "stop",
        "usage": usage,
        "duration_s": 1.0,
    }
    return LlmResponded(**{**fields, **changes})


def _failed(call: int, usage: TokenUsage | None) -> LlmFailed:
    return LlmFailed(
        step="a",
        attempt=1,
        call=call,
        provider="openai",
        model="gpt-4o-mini",
        kind="refused",
        message="no",
        duration_s=1.0,
        usage=usage,
    )


def _many_calls() -> Story:
    """Calls with a known and an unknown price, with that of the requested model, and failed calls."""
    story = begun(step("a", prompt="?"), step("b", prompt="?")).start("a", "b")
    _call(story, "a", asked="gpt-4o-mini", ends=_responded(1, "gpt-4o-mini-2024-07-18"))
    _call(story, "a", asked="who-knows", ends=_responded(2, "who-knows"))
    _call(story, "a", asked="gpt-4o-mini", ends=_responded(3, "a-name-of-the-server's"))
    _call(story, "a", asked="gpt-4o-mini", ends=_failed(4, USAGE))
    _call(story, "a", asked="gpt-4o-mini", ends=_failed(5, None))
    local = _responded(1, "llama3.2", step="b", provider="ollama")
    _call(story, "b", asked="llama3.2", ends=local)
    return story


def _open(path: Any, prices: PriceTable) -> Ledger:
    return open_ledger(path / "runs.db", projector=ReadModel(prices), mask=NO_MASK)


def _select(ledger: Ledger, query: str) -> list[Any]:
    return ledger.connection.execute(query).fetchall()


def test_the_tables_have_the_known_costs_and_count_the_calls_that_are_not_in_them(
    tmp_path: Any,
) -> None:
    with _open(tmp_path, TABLE) as ledger:
        write(ledger, _many_calls())
        calls = _select(
            ledger,
            "SELECT status, input_tokens, cost_usd, price_date FROM llm_calls ORDER BY call_id",
        )
        steps = _select(ledger, "SELECT calls, cost_usd, calls_unpriced FROM steps ORDER BY 1 DESC")
        jobs = _select(ledger, "SELECT calls, cost_usd, calls_unpriced, output_tokens FROM jobs")

    assert calls == [
        ("answered", 1000, COST_USD, "2026-08-01"),
        ("answered", 1000, None, None),
        ("answered", 1000, COST_USD, "2026-08-01"),
        ("failed", 1000, COST_USD, "2026-08-01"),
        ("failed", None, None, None),
        ("answered", 1000, 0.0, None),
    ]
    assert steps == [(5, 0.0054, 1), (1, 0.0, 0)]
    assert jobs == [(6, 0.0054, 1, 2500)]


def test_the_same_costs_come_of_one_batch_of_many_and_of_a_rebuild(tmp_path: Any) -> None:
    story = _many_calls()
    with _open(tmp_path, TABLE) as ledger:
        write(ledger, story, batches=[[recorded] for recorded in story.stream])
        one_by_one = tables(ledger)
        ledger.rebuild()
        assert tables(ledger) == one_by_one


def test_a_rebuild_computes_the_costs_with_the_prices_of_then(tmp_path: Any) -> None:
    with _open(tmp_path, NO_PRICES) as ledger:
        write(ledger, _many_calls())
        assert _select(ledger, "SELECT cost_usd, calls_unpriced FROM jobs") == [(0.0, 4)]
    with _open(tmp_path, TABLE) as ledger:
        assert _select(ledger, "SELECT cost_usd, calls_unpriced FROM jobs") == [(0.0, 4)]
        ledger.rebuild()
        assert _select(ledger, "SELECT cost_usd, calls_unpriced FROM jobs") == [(0.0054, 1)]


def test_a_reply_from_the_cache_costs_nothing_and_says_what_it_saved(tmp_path: Any) -> None:
    story = begun(step("a", prompt="?")).start("a")
    hit = CacheHit(
        step="a",
        attempt=1,
        call=1,
        request_sha256=digest_json("asked"),
        version=7,
        paid_by=CallRef(job_id="job_000000000002", step="a", attempt=1, call=1),
        provider="openai",
        model="gpt-4o-mini",
        reply=Payload(value={"text": "yes"}),
        finish_reason="stop",
        usage=USAGE,
    )
    story.tell(RecordCall(hit))
    with _open(tmp_path, TABLE) as ledger:
        write(ledger, story)
        assert _select(ledger, "SELECT cost_usd, saved_usd FROM llm_calls") == [(None, COST_USD)]
        assert _select(ledger, "SELECT cost_usd, calls_unpriced FROM jobs") == [(None, 0)]


def test_the_manifest_has_no_whole_cost_where_a_part_is_unknown(tmp_path: Any) -> None:
    manifest = Manifest(lambda payload: payload.value, prices=TABLE)
    for recorded in _many_calls().stream:
        manifest.apply(recorded)
    value = manifest.value()

    assert (value["cost_usd"], value["cost_known_usd"]) == (None, 0.0054)
    assert (value["calls_unpriced"], value["prices_sha256"]) == (1, TABLE.digest)
    assert value["usage"]["input_tokens"] == 5000
    assert value["steps"]["a"]["provider_calls"] == 5


def test_the_manifest_and_the_tables_agree_to_the_last_digit(tmp_path: Any) -> None:
    story = begun(step("a", prompt="?")).start("a")
    for number in range(1, 60):
        usage = TokenUsage(input_tokens=number * 7, cached_tokens=number, output_tokens=number * 3)
        _call(story, "a", asked="gpt-4o-mini", ends=_responded(number, "gpt-4o-mini", usage))
    manifest = Manifest(lambda payload: payload.value, prices=TABLE)
    for recorded in story.stream:
        manifest.apply(recorded)
    with _open(tmp_path, TABLE) as ledger:
        write(ledger, story)
        rows = _select(ledger, f"SELECT cost_usd FROM jobs WHERE job_id = '{JOB}'")

    assert rows == [(manifest.value()["cost_usd"],)]


_RATES = st.decimals(0, 100, places=4).map(float)
_TOKENS = st.integers(0, 10**7)


@given(st.lists(st.tuples(_TOKENS, _TOKENS), max_size=20), _RATES, _RATES, st.data())
def test_the_sum_of_costs_is_the_same_in_any_order_and_any_split(
    calls: list[tuple[int, int]], read: float, written: float, data: st.DataObject
) -> None:
    price = Price(input=read, output=written)
    costs = [
        price.cost_nano_usd(TokenUsage(input_tokens=one, output_tokens=other))
        for one, other in calls
    ]
    shuffled = data.draw(st.permutations(costs))
    middle = data.draw(st.integers(0, len(costs)))
    whole, first, second = Spending(), Spending(), Spending()
    for cost in costs:
        whole.add(cost)
    for place, cost in enumerate(shuffled):
        (first if place < middle else second).add(cost)

    assert first.known_nano_usd + second.known_nano_usd == whole.known_nano_usd
    assert first.calls_unpriced + second.calls_unpriced == whole.calls_unpriced


_PRICES = st.builds(
    Price,
    input=_RATES,
    output=_RATES,
    cached_input=st.none() | _RATES,
    cache_write=st.none() | _RATES,
)


@settings(deadline=None)  # the first price of a process takes long
@given(_PRICES, _TOKENS, _TOKENS, st.data())
def test_no_call_costs_more_than_its_worst_case(
    price: Price, most_in: int, most_out: int, data: Any
) -> None:
    table = PriceTable(models={"openai": {"m": price}})
    worst = highest_cost(
        table.price_call, "openai", "m", TokenUsage(input_tokens=most_in, output_tokens=most_out)
    )
    used = data.draw(st.integers(0, most_in))
    usage = TokenUsage(
        input_tokens=used,
        output_tokens=data.draw(st.integers(0, most_out)),
        cached_tokens=data.draw(st.integers(0, used)),
        cache_write_tokens=data.draw(st.integers(0, used)),
    )
    cost = table.price_call("openai", "m", usage)

    assert worst is None or cost is None or cost <= worst


@pytest.mark.parametrize(
    ("rate", "tokens", "nano_usd"),
    [(0.15, 1, 150), (0.15, 1_000_000, 150_000_000), (0.0035, 1, 4), (0.0035, 2, 7), (1e-9, 1, 1)],
)
def test_a_started_nano_dollar_counts_whole(rate: float, tokens: int, nano_usd: int) -> None:
    price = Price(input=rate, output=1.0)

    assert price.cost_nano_usd(TokenUsage(input_tokens=tokens)) == nano_usd


def test_a_cost_that_no_call_has_is_unknown() -> None:
    lie = TokenUsage(input_tokens=2**53, output_tokens=2**53)

    assert MINI.cost_nano_usd(lie) is None
