"""A provider whose extra is not installed is reported before a job exists."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orc.providers import REGISTRY
from tests.cli.command_line import orc, write
from tests.model_server import ModelServer, Says

COMMAND = "pip install 'orc-ledger[far]'"


@pytest.fixture(autouse=True)
def _far_is_not_installed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = REGISTRY["mlx"]._replace(
        name="far", package="far-lm", extra="far", import_name="no_such_package"
    )
    monkeypatch.setitem(REGISTRY, "far", entry)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    with ModelServer(lambda asked: Says("ok")) as server:
        monkeypatch.setenv("OLLAMA_BASE_URL", server.url)
        yield server


@pytest.mark.parametrize(
    "prompt",
    [
        "provider: far/model\nsteps:\n  ask: {prompt: Hello}\n",
        "provider: ollama/m\nsteps:\n  ask: {prompt: Hello}\n  far: {needs: ask, prompt: Hello, "
        "provider: far/model}\n",
        "provider: ollama/m\nsteps:\n  ask: {prompt: Hello, fallback: [far/model]}\n",
        "provider: ollama/m\nsteps:\n  all: {steps: {ask: {prompt: Hello, fallback: [far/m]}}}\n",
    ],
    ids=["provider", "of a later step", "fallback", "inside a group"],
)
def test_a_spec_that_names_it_is_refused_with_the_command(server: ModelServer, prompt: str) -> None:
    said = orc("run", write("spec.yaml", f"project: far\n{prompt}"))
    assert said.code == 7
    assert f"far-lm is not installed: {COMMAND}" in said.err
    assert server.seen == []
    assert not Path("runs.db").exists()


def test_recorded_replies_replace_it() -> None:
    write("spec.replay.yaml", "version: 1\nreplies:\n  ask: [{text: Hi}]\n")
    spec = write("spec.yaml", "project: far\nprovider: far/model\nsteps:\n  ask: {prompt: Hello}\n")
    said = orc("run", spec, "--provider", "replay")
    assert said.code == 0, said.err
    assert COMMAND not in said.err


def test_a_plan_needs_no_provider(server: ModelServer) -> None:
    spec = write("spec.yaml", "project: far\nprovider: far/model\nsteps:\n  ask: {prompt: Hello}\n")
    said = orc("plan", spec)
    assert said.code == 0, said.err
    assert COMMAND not in said.err
