"""Which ledger is meant: the one that is named, else $ORC_DB, else `runs.db` here."""

from __future__ import annotations

from pathlib import Path

import pytest

from orc.ledger.files.way import ledger_path

ROOT = Path(__file__).parents[3]


def test_the_ledger_is_the_named_one_else_that_of_the_variable_else_runs_db(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    variable = {"ORC_DB": "variable.db"}
    assert ledger_path(Path("named.db"), variable) == tmp_path / "named.db"
    assert ledger_path(None, variable) == tmp_path / "variable.db"
    assert ledger_path(None, {"ORC_DB": ""}) == ledger_path(None, {}) == tmp_path / "runs.db"


def test_a_ledger_is_known_by_its_real_path_and_a_link_to_nothing_by_its_name(
    tmp_path: Path,
) -> None:
    (tmp_path / "real.db").touch()
    for target in ("real.db", "nothing.db", "loop.db"):
        (tmp_path / f"link_to_{target}").symlink_to(target)
    (tmp_path / "loop.db").symlink_to("loop.db")
    assert ledger_path(tmp_path / "link_to_real.db", {}) == tmp_path / "real.db"
    for name in ("link_to_nothing.db", "link_to_loop.db"):
        assert ledger_path(tmp_path / name, {}) == tmp_path / name


def test_only_one_function_reads_the_variable() -> None:
    reads = [
        path.relative_to(ROOT).as_posix()
        for package in ("cli", "ledger", "projections", "providers", "scheduler", "orc")
        for path in (ROOT / package).rglob("*.py")
        if '"ORC_DB"' in path.read_text("utf-8").replace('"ORC_DB": ', "")  # given to a hook
    ]
    assert set(reads) - {path for path in reads if path.startswith("orc/")} == {
        "ledger/files/way.py"
    }
