"""The price tables: the published one, a user's own, and the problems of an invalid one."""

from __future__ import annotations

import datetime as dt
from importlib.metadata import version
from pathlib import Path

import pytest

from orc.cli.errors import UsageProblem
from orc.cli.jobs.caller.price_file import parse_prices
from orc.cli.jobs.caller.prices import (
    find_own_prices,
    models_with_prices,
    read_prices,
)
from orc.providers.catalogue import REGISTRY
from orc.providers.servers.presets import PRESETS, Preset
from orc.scheduler.core.errors import SpecError
from tests.cli.command_line import PASSING, orc, write

OWN = """\
date: 2026-11-01
models:
  openai:
    gpt-4o-mini: {input: 1, cached_input: 0.5, output: 2}
    mine: {input: 3, output: 4, seen: 2026-11-02}
"""


def test_a_published_price_of_cached_input_is_not_above_that_of_input_and_output_is() -> None:
    table = read_prices(None)
    for provider in ("openai", "anthropic"):
        for model in models_with_prices(table, provider):
            price = table.find(provider, model)
            if price is None or not price.output:
                continue  # not billed by tokens of text, or only for reading
            assert price.cached_input is None or price.cached_input <= price.input, model
            assert price.input <= price.output or "image" in model, model


@pytest.mark.parametrize("name", [name for name, entry in REGISTRY.items() if entry.key_variable])
def test_the_default_model_of_a_hosted_provider_has_a_price_also_in_a_batch(name: str) -> None:
    price = read_prices(None).find(name, REGISTRY[name].default_model)

    assert price is not None
    assert price.batch is not None
    assert price.batch.input == price.input / 2
    assert price.batch.output == price.output / 2


@pytest.mark.parametrize("preset", [each for each in PRESETS.values() if not each.is_free])
def test_the_default_model_of_a_hosted_preset_has_a_price_at_its_address(preset: Preset) -> None:
    if preset.default_model and preset.name != "openrouter":
        table = read_prices(None)
        at_server = table.find(preset.name, preset.default_model, endpoint=preset.base_url)
        assert at_server is not None


def test_a_table_beside_the_ledger_overrides_the_shipped_one_and_a_named_table_both(
    here: Path,
) -> None:
    database = here / "runs.db"
    assert find_own_prices(database, {}) is None
    beside = write("prices.yaml", OWN).absolute()

    assert find_own_prices(database, {}) == beside
    assert find_own_prices(database, {"ORC_PRICES": ""}) == beside
    assert find_own_prices(database, {"ORC_PRICES": "other.yaml"}) == here / "other.yaml"


def test_own_entries_keep_their_date_and_replace_only_their_model(here: Path) -> None:
    table = read_prices(write("prices.yaml", OWN))
    mini, mine = table.find("openai", "gpt-4o-mini"), table.find("openai", "mine")

    assert mini is not None
    assert (mini.input, mini.seen) == (1.0, dt.date(2026, 11, 1))
    assert mine is not None
    assert mine.seen == dt.date(2026, 11, 2)
    assert table.find("openai", "gpt-4o") == read_prices(None).find("openai", "gpt-4o")


def test_a_table_takes_the_names_of_servers(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text("models: {lab: {m: {input: 3, output: 4}}, groq: {n: {input: 1, output: 2}}}\n")
    table = read_prices(path)
    lab, groq = table.find("lab", "m"), table.find("groq", "n")
    assert lab is not None
    assert groq is not None
    assert (lab.input, lab.output, groq.input) == (3, 4, 1)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[]", "f:1:1: the table must be a mapping with the key `models`"),
        ("models: 3", "f:1:9: models: must be a mapping; got 3"),
        ("date: 2026-08-01", "f:1:1: models: this key is required"),
        ("model: {}\nmodels: {}", "f:1:1: model: unknown key; did you mean 'models'?"),
        ("models: {}\nmodels: {}", "f:2:1: duplicate key 'models'; rename or remove one of them"),
        ("models: {}\ncurrency: EUR", "f:2:11: currency: must be 'USD'; got 'EUR'"),
        ("models: {}\ndate: soon", "f:2:7: date: must be a date such as 2026-08-01; got 'soon'"),
        ("models: {}\ndate: 2026", "f:2:7: date: must be a date such as 2026-08-01; got 2026"),
        ("models: {opnai: {}}", "f:1:10: models.opnai: not a provider that has prices; did you mean "
         "'openai'?"),
        ("models: {openai-responses: {}}", "f:1:10: models.openai-responses: not a provider that "
         "has prices; it uses the prices of 'openai'"),
        ("models: {openai: {m: {input: 1}}}", "f:1:22: models.openai.m.output: this key is required"),
        ("models: {openai: {m: {input: 1, output: -1}}}", "f:1:41: models.openai.m.output: must be "
         "at least 0; got -1"),
        ("models: {openai: {m: {input: '1', output: 1}}}", "f:1:30: models.openai.m.input: must be "
         "a number; got '1'"),
        ("models: {openai: {m: {input: true, output: 1}}}", "f:1:30: models.openai.m.input: must be "
         "a number; got true"),
        ("models: {openai: {m: {input: 1, output: 1, cached: 1}}}", "f:1:44: models.openai.m.cached:"
         " unknown key; did you mean 'cached_input'?"),
    ],
)  # fmt: skip
def test_a_broken_table_is_refused_with_file_place_key_and_reason(text: str, problem: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_prices(text, source_name="f")

    assert caught.value.lines() == [problem]


def test_a_file_that_cannot_be_read_or_is_no_text_is_refused_with_its_name(here: Path) -> None:
    (here / "bytes.yaml").write_bytes(b"\xff")

    with pytest.raises(UsageProblem, match=r"cannot read the price table .*none\.yaml"):
        read_prices(here / "none.yaml")
    with pytest.raises(UsageProblem, match=r"bytes\.yaml is not UTF-8"):
        read_prices(here / "bytes.yaml")


def test_a_broken_table_stops_a_run_before_there_is_a_job(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = write("spec.yaml", PASSING)
    write("prices.yaml", "models: {openai: {m: {input: 1}}}")
    beside = orc("run", spec)
    monkeypatch.setenv("ORC_PRICES", "nowhere.yaml")
    named = orc("run", spec)

    assert (beside.code, named.code) == (2, 2)
    assert "prices.yaml:1:22: models.openai.m.output: this key is required" in beside.err
    assert "nowhere.yaml: No such file or directory" in named.err
    assert not (here / "runs.db").exists()


def test_the_doctor_finds_a_broken_table_and_names_a_good_one(here: Path) -> None:
    own = write("prices.yaml", OWN).absolute()
    good = {found["name"]: found for found in orc("doctor", "--json").json()["findings"]}["prices"]
    write("prices.yaml", "models: 3")
    broken = orc("doctor")

    assert (good["level"], good["file"]) == ("ok", str(own))
    assert dt.date(2026, 11, 9) <= dt.date.fromisoformat(good["date"]) <= dt.date.today()
    assert good["data"] == f"genai-prices {version('genai-prices')}"
    assert "; 2 prices of your own in " in good["message"]
    assert broken.code == 7
    assert "bad   prices: " in broken.out
    assert "prices.yaml:1:9: models: must be a mapping; got 3" in broken.out
