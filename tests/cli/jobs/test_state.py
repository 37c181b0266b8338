"""What a resume folds, it applies to the run folder too: each event and each spec is read once."""

from __future__ import annotations

from typing import Any

import pytest

from orc.cli.jobs.state import load_state
from orc.ledger import LedgerReader, Payload
from orc.projections.folder.run_folder import RunFolder
from tests.builders import JOB, step
from tests.projections.support import begun, ledger_of


def test_a_spec_is_read_once_for_the_state_and_the_run_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    story = begun(step("a", value=1), step("b", value=2)).start("a").succeed("a")
    read: list[Payload | None] = []
    whole = LedgerReader.read_payload

    def counting(self: LedgerReader, payload: Payload | None) -> Any:
        read.append(payload)
        return whole(self, payload)

    with ledger_of(story) as ledger:
        alone = RunFolder(ledger)
        alone.read(JOB)
        folder = RunFolder(ledger)
        with monkeypatch.context() as patch:
            patch.setattr(LedgerReader, "read_payload", counting)
            state = load_state(ledger, JOB, applied=folder)
        assert list(state.steps) == ["a", "b"]
        assert len(read) == 1
        files = [{file.path: file.sha256 for file in one.summaries()} for one in (alone, folder)]
        assert files[0] == files[1]
