"""Whatever a ledger holds, a function of the API returns, or raises an error that it documents."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

import orc
from orc.cli.errors import EnvironmentProblem, UsageProblem
from orc.ledger import open_ledger
from orc.ledger.errors import CorruptLedger, LedgerError
from orc.ledger.secrets.masking import NO_MASK
from orc.projections.tables.projector import ReadModel
from orc.scheduler.core.commands import Settle
from tests.builders import JOB, step
from tests.cli.crafted_ledgers import CRAFTED, craft
from tests.projections.support import begun, open_in, write

FUNCTIONS: dict[str, Callable[[Path], object]] = {
    "job": lambda db: orc.job(JOB, db=db),
    "jobs": lambda db: orc.jobs(db=db),
    "diff": lambda db: orc.diff(JOB, JOB, db=db),
    "verify": lambda db: orc.verify(db=db),
    "cancel": lambda db: orc.cancel(JOB, db=db),
    "approve": lambda db: orc.approve(JOB, "a", db=db),
    "resume": lambda db: orc.resume(JOB, db=db, provider="replay"),
}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("api")
    told = begun(step("a", prompt="?"), step("b", needs="a")).start("a")
    told.succeed("a", "x" * 2000, files={"demo/a.md": b"text\n"})
    with open_in(folder) as ledger:
        write(ledger, told.start("b").fail("b", message="it failed").tell(Settle()))
    return folder / "runs.db"


@pytest.mark.parametrize("name", list(CRAFTED)[::4])
def test_an_error_is_one_that_is_documented(name: str, sample: Path, tmp_path: Path) -> None:
    craft(Path(shutil.copy(sample, tmp_path / "crafted.db")), CRAFTED[name])
    number = list(CRAFTED).index(name)
    for function in list(FUNCTIONS.values())[number % 3 :: 3]:
        shutil.copy(tmp_path / "crafted.db", tmp_path / "runs.db")
        with suppress(LedgerError, UsageProblem, EnvironmentProblem):
            function(tmp_path / "runs.db")


def test_an_error_of_a_damaged_ledger_names_the_damage(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Path(shutil.copy(sample, tmp_path / "runs.db"))
    craft(database, CRAFTED["the rows of steps are missing"])
    monkeypatch.setattr("orc.api.read_job", lambda *_: dict[str, int]()[JOB])
    with pytest.raises(CorruptLedger, match="table steps differs") as raised:
        orc.job(db=database)
    assert isinstance(raised.value.__cause__, KeyError)


def test_an_error_is_shown_as_it_is_if_the_ledger_is_intact(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Path(shutil.copy(sample, tmp_path / "runs.db"))
    monkeypatch.setattr("orc.api.read_job", lambda *_: dict[str, int]()[JOB])
    with pytest.raises(KeyError):
        orc.job(db=database)


def test_events_that_no_table_can_be_derived_from_are_damage(sample: Path, tmp_path: Path) -> None:
    database = Path(shutil.copy(sample, tmp_path / "runs.db"))
    craft(database, CRAFTED["a spec that is a list"])
    with (
        pytest.raises(CorruptLedger, match="cannot be derived from its events"),
        open_ledger(database, projector=ReadModel(), mask=NO_MASK) as ledger,
    ):
        ledger.rebuild()
