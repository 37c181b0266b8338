"""Whatever a ledger holds, each page is answered: with the page, or with what is wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orc.scheduler.core.commands import Settle
from tests.builders import JOB, step
from tests.cli.crafted_ledgers import CRAFTED, craft
from tests.projections.served import Get, browse
from tests.projections.support import begun, open_in, write

PAGES = (
    "/",
    "/-/orc/runs",
    "/-/orc/runs/search?q=text",
    f"/-/orc/runs/{JOB}",
    f"/-/orc/runs/{JOB}?at=3",
    f"/-/orc/runs/{JOB}/step/a",
    f"/-/orc/runs/{JOB}/events",
    f"/-/orc/runs/{JOB}/file/demo~2Fa.md",
    f"/-/orc/runs/{JOB}/raw/demo~2Fa.md",
    "/-/orc/runs/latest",
)
STATUSES = {200, 404, 503}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    told = begun(step("a", prompt="?"), step("b", needs="a")).start("a")
    told.call("a", number=1, ends="replied", text="text " * 300)
    told.succeed("a", "x" * 2000, files={"demo/a.md": b"text\n"})
    with open_in(folder) as ledger:
        write(ledger, told.start("b").fail("b", message="it failed").tell(Settle()))
    return folder / "runs.db"


def _look(sample: Path, tmp_path: Path, name: str) -> None:
    shutil.copy(sample, tmp_path / "runs.db")
    craft(tmp_path / "runs.db", CRAFTED[name])

    async def look(get: Get) -> None:
        for page in PAGES:
            found = await get(page)
            assert found.status_code in STATUSES, (page, found.text[:2000])
            assert "Traceback" not in found.text

    browse(tmp_path / "runs.db", then=look)
    assert all(path.name.startswith("runs.db") for path in tmp_path.iterdir())


@pytest.mark.parametrize("name", list(CRAFTED)[::6])
def test_pages_of_a_crafted_ledger_are_answered(name: str, sample: Path, tmp_path: Path) -> None:
    _look(sample, tmp_path, name)


@pytest.mark.torture
@pytest.mark.parametrize("name", CRAFTED)
def test_all_pages_of_all_crafted_ledgers_are_answered(
    name: str, sample: Path, tmp_path: Path
) -> None:
    _look(sample, tmp_path, name)
