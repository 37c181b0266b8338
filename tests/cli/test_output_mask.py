"""A job's secrets are hidden in all output of the process."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command_line import orc, write

VALUE = "the-value-of-a-secret"


def test_a_secret_in_the_message_of_an_error_is_hidden_on_the_terminal(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN_OF_MINE", VALUE)
    steps = "{a: {run: 'true', secrets: [TOKEN_OF_MINE]}, b: {prompt: hello}}"
    spec = write("spec.yaml", f"project: p\nprovider: replay\nsteps: {steps}\n")
    said = orc("run", spec, "--replies", f"{VALUE}.yaml")

    assert said.code == 2
    assert "no recorded replies at [secret TOKEN_OF_MINE].yaml" in said.err
    assert VALUE not in said.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "spec.yaml", "-i", "VALUE"),
        ("run", "spec.yaml", "-i", "xVALUE"),
        ("run", "--VALUE"),
        ("run", "VALUE"),
        ("--VALUE",),
        ("VALUE",),
        ("validate", "spec.yaml", "-i", "VALUE"),
        ("graph", "spec.yaml", "--format", "VALUE"),
    ],
    ids=" ".join,
)
def test_an_error_prints_no_part_of_a_key_that_is_an_argument(
    here: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    key = "sk-first-part=second-part/third=="
    monkeypatch.setenv("OPENAI_API_KEY", key)
    write("spec.yaml", "project: p\nsteps: {a: {run: 'true'}}\n")
    said = orc(*(argument.replace("VALUE", key) for argument in arguments))

    assert said.code == 2
    for part in ("first-part", "second-part", "third"):
        assert part not in said.err + said.out
