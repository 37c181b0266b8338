"""The secrets of providers in the environment are found; without such variables nothing is read."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from orc.cli.doctor.providers import _Setting
from orc.providers.contract import Server
from orc.providers.keys import ENDINGS, address_variables, key_variables, read_keys
from tests.each_case import each_case

KEY = "sk-a-key-of-somebody"


@each_case("name", sorted(key_variables() | {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}))
def test_each_key_alone_in_the_environment_is_found(name: str) -> None:
    assert read_keys({"HOME": "/home/me", name: KEY}) == {name: KEY}


@each_case("name", sorted(address_variables()))
def test_each_password_alone_in_the_environment_is_found(name: str) -> None:
    assert read_keys({"HOME": "/home/me", name: f"http://me:{KEY}@host:1/v1"}) == {name: KEY}


def test_the_tables_of_providers_are_not_read_without_such_a_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("orc.providers.keys.key_variables", lambda: pytest.fail("was read"))
    assert read_keys({"HOME": "/home/me", "PATH": "/bin", "MY_KEYS": "a"}) == {}
    assert all(ending.isupper() for ending in ENDINGS)


def test_an_address_without_a_password_has_no_secret() -> None:
    assert read_keys({"OPENAI_BASE_URL": "http://me@host/v1", "HTTP_PROXY": "http://[::1"}) == {}
    assert read_keys({"HTTP_PROXY": "http://a:b@[::1"}) == {}


def test_a_struct_with_a_secret_does_not_show_it() -> None:
    setting = _Setting("OPENAI_API_KEY", SECRET, has_address=False)
    server = Server(name="mine", base_url="http://127.0.0.1", key=SECRET, secrets=(SECRET,))
    headed = replace(server, headers={"x-own": SECRET})
    assert SECRET not in repr((setting, server, headed))
    assert "OPENAI_API_KEY" in repr(setting)
    assert "mine" in repr(server)


SECRET = "secret-0123456789"
