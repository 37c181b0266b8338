"""OpenAI's providers are configured by the given environment and nothing else."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from types import ModuleType

import pytest
import trio

from orc.providers import PermanentError, openai, openai_responses
from tests.fault_server import FaultServer
from tests.providers.acts import Lists, Says, ask, ignore
from tests.providers.stands import STANDS

KEY = "sk-canary-0123456789"
API = "https://api.openai.com/v1"

pytestmark = pytest.mark.parametrize("module", [openai, openai_responses])


async def headers_of(
    server: FaultServer, module: ModuleType, environment: Mapping[str, str]
) -> dict[str, str]:
    """The headers of a call that the environment makes, and of a list of models."""
    name = "openai" if module is openai else "openai-responses"
    STANDS[name](server, (Says(("Because.",)), Lists(("m",))))
    provider = module.build(environment, f"{server.url}/v1")
    with trio.fail_after(60):
        await provider.send(ask(), on_delta=ignore)
        await provider.models()
        await provider.aclose()
    sent, listed = (seen.headers for seen in server.requests)
    ours = ("authorization", "openai-organization", "openai-project", "x-leak")
    assert {key: sent.get(key) for key in ours} == {key: listed.get(key) for key in ours}
    assert [seen.target for seen in server.requests][1] == "/v1/models"
    return sent


def test_openai_itself_needs_a_key(module: ModuleType) -> None:
    for environment, base_url in (
        ({}, None),
        ({"OPENAI_API_KEY": " "}, None),
        ({"OPENAI_BASE_URL": " "}, None),
        ({}, API),
        ({}, "https://eu.api.openai.com/v1"),
        ({"OPENAI_BASE_URL": API}, None),
    ):
        with pytest.raises(PermanentError) as caught:
            module.build(environment, base_url)
        assert caught.value.kind == "environment"
        assert "OPENAI_API_KEY is not set" in caught.value.message


async def test_another_server_needs_no_key(module: ModuleType, server: FaultServer) -> None:
    headers = await headers_of(server, module, {})
    assert headers["authorization"] == "Bearer none"


@pytest.mark.parametrize(
    ("environment", "base_url", "endpoint"),
    [
        ({"OPENAI_API_KEY": KEY}, None, API),
        ({"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "http://b:1/v1/"}, None, "http://b:1/v1"),
        ({"OPENAI_BASE_URL": "http://b:1/v1"}, "http://a:2/v1", "http://a:2/v1"),
        ({}, "http://notopenai.com/v1", "http://notopenai.com/v1"),
    ],
)
def test_the_address_given_comes_before_the_variable_and_that_before_openais_own(
    module: ModuleType, environment: dict[str, str], base_url: str | None, endpoint: str
) -> None:
    provider = module.build(environment, base_url)
    assert provider.endpoint == endpoint
    assert KEY not in repr(provider) + repr(vars(provider))


async def test_key_organization_and_project_come_from_the_environment(
    module: ModuleType, server: FaultServer
) -> None:
    environment = {
        "OPENAI_API_KEY": f" {KEY}\n",
        "OPENAI_ORG_ID": "org-1",
        "OPENAI_PROJECT_ID": "proj-1",
    }
    headers = await headers_of(server, module, environment)
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["openai-organization"] == "org-1"
    assert headers["openai-project"] == "proj-1"


async def test_the_process_environment_is_not_sent(
    module: ModuleType, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("API_KEY", "ADMIN_KEY", "ORG_ID", "PROJECT_ID", "WEBHOOK_SECRET"):
        monkeypatch.setenv(f"OPENAI_{variable}", "leak")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://leak.invalid")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Leak: leak\nAuthorization: leak")
    headers = await headers_of(server, module, {})
    assert "leak" not in str(headers)
    assert not {"openai-organization", "openai-project"} & set(headers)


async def test_the_sdk_does_not_collect_statistics_of_the_machine(
    module: ModuleType, server: FaultServer
) -> None:
    headers = await headers_of(server, module, {})
    assert headers["x-stainless-os"] == "Unknown"


@pytest.mark.parametrize("variable", ["OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"])
def test_a_setting_that_no_header_can_hold_is_refused_and_not_quoted(
    module: ModuleType, variable: str
) -> None:
    for value in (f"{KEY}\nb", f"{KEY} b", f"{KEY}\u00e9", f"{KEY}\x00"):
        with pytest.raises(PermanentError) as caught:
            module.build({variable: value}, "http://127.0.0.1:1")
        assert caught.value.kind == "environment"
        assert variable in caught.value.message
        assert KEY not in "".join(traceback.format_exception(caught.value))
