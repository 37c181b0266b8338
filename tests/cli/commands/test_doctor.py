"""`orc doctor`."""

from __future__ import annotations

from tests.cli.command_line import orc, write
from tests.cli.conftest import Kept


def test_doctor_names_what_it_found_and_ends_with_7_for_a_broken_ledger(kept: Kept) -> None:
    healthy = orc("doctor", "--json", "--db", kept.database).json()
    broken = orc("doctor", "--db", write("notes.txt", "no ledger"))

    found = {finding["name"]: finding["level"] for finding in healthy["findings"]}
    assert healthy["healthy"] is True
    assert {"python", "sqlite", "ledger", "ollama", "replay", "trio"} <= set(found)
    assert broken.code == 7
    assert "bad   ledger: " in broken.out
