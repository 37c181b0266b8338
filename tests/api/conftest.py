"""Shared by the tests of the Python API: an empty current folder, and specs that run offline."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command_line import work_in

CHAIN = """\
project: chain
inputs: {name: {default: you}}
steps:
  first: {value: "hello ${{ inputs.name }}"}
  second: {run: ["printf", "%s!", "${{ steps.first.output }}"]}
"""
GATED = """\
project: gated
steps:
  gate: {approval: {message: "Publish?", options: [approve, later, reject]}}
  go: {needs: gate, value: "${{ steps.gate.output.decision }}"}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    return work_in(tmp_path, monkeypatch)
