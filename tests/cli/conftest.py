"""Each test of the command line runs in a new folder; tests that only read share a ledger."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from orc.cli import output_mask
from orc.ledger.secrets.masking import NO_MASK
from tests.cli.command_line import FAILING, PASSING, TINY_SPEC, orc, submit, work_in
from tests.cli.sample_ledger import SampleLedger, make_sample_ledger


@dataclass(frozen=True, slots=True)
class Kept:
    """A ledger with three ended jobs, for commands that change nothing."""

    database: Path
    passed: str
    failed: str
    tiny: str
    """The newest job: the example, run from recorded replies."""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    return work_in(tmp_path, monkeypatch)


@pytest.fixture(autouse=True)
def unmasked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the output mask that another test in this process may have set."""
    monkeypatch.setattr(output_mask, "_mask", NO_MASK)


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """One ledger for all tests that only read."""
    with pytest.MonkeyPatch.context() as patches:
        folder = work_in(tmp_path_factory.mktemp("kept"), patches)
        passed, failed = submit(PASSING), submit(FAILING)
        tiny = orc("run", TINY_SPEC, "--provider", "replay", "--json").lines()[0]["job_id"]
    return Kept(folder / "runs.db", passed, failed, tiny)


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SampleLedger:
    """One ledger for the tests of `blame`, `why` and `diff`."""
    with pytest.MonkeyPatch.context() as patches:
        return make_sample_ledger(work_in(tmp_path_factory.mktemp("sample"), patches))
