"""The page on costs: its table is valid, and its numbers are correct."""

from __future__ import annotations

import re

from orc.cli.jobs.caller.price_file import parse_prices
from orc.cli.jobs.caller.prices import read_prices
from orc.ledger.events import TokenUsage
from orc.ledger.money import usd_number
from orc.ledger.wording import cost_text, usd_text
from tests.docs.conftest import blocks_of, read_page

PAGE = "docs/costs.md"


def test_the_price_table_of_the_page_is_valid_and_gives_the_cost_on_the_page() -> None:
    [block] = blocks_of(PAGE, language="yaml")
    table = read_prices(None).merged(parse_prices(block.text, source_name=PAGE))
    price = table.find("openai", "gpt-4o-mini")
    usage = TokenUsage(input_tokens=10_000, cached_tokens=4_000, output_tokens=2_000)
    [said] = re.findall(r"of output costs (\$[\d.]+)\.\n", read_page(PAGE))

    assert price is not None
    cost = price.cost_nano_usd(usage)
    assert cost is not None
    assert said == f"${usd_number(cost)}"
    assert usd_text(cost) == "$0.0019"


def test_the_page_shows_every_form_of_a_cost() -> None:
    page = read_page(PAGE)
    for known, calls_unpriced in ((3_600_000, 0), (1_800_000, 1), (None, 1)):
        assert f"`{cost_text(known, calls_unpriced)}`" in page
    assert f"`{cost_text(1_800_000, 1, brief=True)}`" in page
