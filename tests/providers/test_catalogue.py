"""The catalogue agrees with the providers' code, the spec and the packages."""

from __future__ import annotations

import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

from orc.providers.catalogue import DEFAULT_PROVIDER, REGISTRY, SECTIONS, facts_of
from orc.scheduler.core.spec.model import JobSpec
from orc.scheduler.core.spec.prompt import ParamsSpec

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))


@pytest.mark.parametrize("name", REGISTRY)
def test_an_entry_has_its_module(name: str) -> None:
    assert find_spec(REGISTRY[name].module) is not None


def test_each_section_of_parameters_is_a_key_of_the_spec() -> None:
    assert [name for name in SECTIONS if name not in ParamsSpec.model_fields] == []
    other = [name for name in ParamsSpec.model_fields if name in REGISTRY and name not in SECTIONS]
    assert other == []


@pytest.mark.parametrize("name", REGISTRY)
def test_a_package_is_installed_always_or_by_the_extra_that_the_entry_names(name: str) -> None:
    entry = REGISTRY[name]
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = PROJECT["project"]["dependencies"] if entry.extra is None else extras[entry.extra]
    if entry.package is not None:
        assert any(requirement.startswith(entry.package) for requirement in wanted)
    assert (entry.extra is None) == (entry.import_name is None)


def test_a_provider_is_billed_as_one_that_has_prices_of_its_own() -> None:
    for entry in REGISTRY.values():
        if entry.billed_as is not None:
            assert REGISTRY[entry.billed_as].billed_as is None


def test_a_spec_that_names_no_provider_asks_a_local_one() -> None:
    assert REGISTRY[DEFAULT_PROVIDER].local


def test_an_unknown_provider_has_an_entry_with_defaults() -> None:
    found = facts_of("later")
    assert (found.local, found.is_recorded, found.billed_as) == (False, False, None)


def test_the_spec_names_the_default_provider_in_its_description() -> None:
    description = JobSpec.model_fields["provider"].description or ""
    assert f"Default: `{DEFAULT_PROVIDER}`." in description
