"""`orc doctor` and the providers: which are asked, what is reported, and that no key is shown."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import trio
from trio.testing import MockClock

from orc.cli.doctor.finding import Finding
from orc.cli.doctor.providers import examine_providers
from orc.providers import REGISTRY
from tests.cli.command_line import orc
from tests.fault_server import Answer, FaultServer, start_fault_server

KEY = {"OPENAI_API_KEY": "canary-key"}
OFFLINE = {"OLLAMA_BASE_URL": "http://127.0.0.1:1"}


@pytest.fixture(autouse=True)
def fakes() -> Iterator[None]:
    """Replace the hosted providers by fakes, and restore them after the test."""
    everyone = dict(REGISTRY)
    for name in set(everyone) - {"openai", "anthropic", "ollama", "replay"}:
        del REGISTRY[name]
    for name in ("openai", "anthropic"):
        REGISTRY[name] = everyone[name]._replace(module="tests.cli.fake_provider")
    yield
    REGISTRY.clear()  # Its order is what pages show.
    REGISTRY.update(everyone)


async def examine(**environment: str) -> dict[str, Finding]:
    found = await examine_providers({**OFFLINE, **environment})
    return {finding.name: finding for finding in found}


async def serve(nursery: trio.Nursery, *answers: Answer) -> FaultServer:
    server = await start_fault_server(nursery)
    server.will(*answers)
    return server


async def test_a_server_that_answers_is_shown_with_its_address_time_and_models() -> None:
    models = [{"name": f"m{number:02}", "digest": "d"} for number in range(12)]
    body = json.dumps({"models": models}).encode()
    headers = (("content-type", "application/json"), ("content-length", str(len(body))))
    async with trio.open_nursery() as nursery:
        server = await serve(nursery, Answer(headers=headers, chunks=(body,)))
        address = f"http://user:canary-word@127.0.0.1:{server.port}"
        found = (await examine(OLLAMA_BASE_URL=address))["ollama"]
        nursery.cancel_scope.cancel()

    assert found.level == "ok", found.message
    assert found.message.startswith(f"{server.url} answers in ")
    assert "12 models: m00, m01, " in found.message
    assert found.message.endswith(", m09 and 2 more")
    assert found.details["models"] == [f"m{number:02}" for number in range(10)]
    assert (found.details["models_count"], found.details["endpoint"]) == (12, server.url)
    assert "canary" not in repr(found)


async def test_a_server_that_is_not_there_is_a_note_that_says_how_to_start_it() -> None:
    found = (await examine())["ollama"]

    assert (found.level, found.details["answers"]) == ("note", False)
    assert "ollama serve" in found.message


async def test_an_invalid_address_has_the_level_bad() -> None:
    found = (await examine(OLLAMA_BASE_URL="ftp://canary-word@host"))["ollama"]

    assert found.level == "bad"
    assert "OLLAMA_BASE_URL" in found.message
    assert "canary" not in repr(found)


async def test_a_hosted_provider_without_a_key_is_not_asked_and_the_variable_is_named() -> None:
    found = (await examine(FAKE_BUILD="it was built"))["openai"]

    assert (found.level, found.message) == ("note", "not checked: OPENAI_API_KEY is not set")
    assert found.details == {"key_variable": "OPENAI_API_KEY", "key_is_set": False}


async def test_a_key_is_reported_as_set_and_never_shown(autojump_clock: MockClock) -> None:
    found = (await examine(**KEY, FAKE_MODELS="canary-key,\x1b[31mred\n" + "x" * 500))["openai"]

    assert found.level == "ok"
    assert found.message.startswith("http://fake.example answers in 25 ms, with the key in OPENAI_")
    assert found.details["key_is_set"] is True
    assert "canary" not in repr(found)
    assert "\x1b" not in found.message
    assert max(map(len, found.details["models"])) <= 80


async def test_a_key_that_is_refused_is_bad_and_not_repeated(autojump_clock: MockClock) -> None:
    found = (await examine(**KEY, FAKE_FAILS="auth"))["openai"]

    assert found.level == "bad"
    assert found.message.endswith("the key is from OPENAI_API_KEY")
    assert "canary" not in repr(found)


async def test_a_provider_that_is_set_up_and_cannot_be_made_is_bad() -> None:
    found = (await examine(**KEY, FAKE_BUILD="the address is no URL"))["openai"]

    assert (found.level, found.message) == ("bad", "the address is no URL")


async def test_a_provider_that_cannot_be_reached_is_a_note(autojump_clock: MockClock) -> None:
    found = (await examine(**KEY, FAKE_FAILS="connection"))["openai"]

    assert (found.level, found.message) == ("note", "nobody answers")


async def test_a_provider_whose_package_is_missing_is_a_note() -> None:
    REGISTRY["openai"] = REGISTRY["openai"]._replace(module="no_such_package")
    found = (await examine(**KEY))["openai"]

    assert found.level == "note"
    assert "the package no_such_package is not installed" in found.message


async def test_providers_that_do_not_answer_time_out_together_after_five_seconds(
    autojump_clock: MockClock,
) -> None:
    started = trio.current_time()
    found = await examine(**KEY, ANTHROPIC_API_KEY="canary-key", FAKE_DELAY_S="60")

    assert trio.current_time() - started == pytest.approx(5.0)
    for name in ("openai", "anthropic"):
        assert found[name].level == "note"
        assert "has not answered within 5 s" in found[name].message


async def test_every_provider_of_the_registry_has_one_finding_in_its_order() -> None:
    found = await examine_providers(OFFLINE)

    assert [finding.name for finding in found] == list(REGISTRY)


def test_a_refused_key_ends_the_doctor_with_7_and_a_missing_one_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OLLAMA_BASE_URL", OFFLINE["OLLAMA_BASE_URL"])
    without = orc("doctor", "--json")
    monkeypatch.setenv("OPENAI_API_KEY", KEY["OPENAI_API_KEY"])
    monkeypatch.setenv("FAKE_FAILS", "auth")
    refused = orc("doctor", "--json")

    assert (without.code, without.json()["healthy"]) == (0, True)
    assert (refused.code, refused.json()["healthy"]) == (7, False)
    assert "canary" not in refused.out + refused.err
