"""A run folder of a version that did not count what a call wrote to a cache is still the ledger's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orc.ledger import LedgerReader
from orc.projections import Publisher
from orc.projections.folder.verify import check_folder
from orc.projections.money.prices import NO_PRICES
from tests.builders import JOB
from tests.projections.folder.test_older_money import ledger_of

HISTORIES = ("budget", "cache", "chain", "fallback", "retries", "tools")


def problems_of(ledger: LedgerReader, folder: Path) -> list[str]:
    """The problems of the folder, but for the files of steps: their bytes are placeholders here."""
    found = check_folder(
        ledger, JOB, folder, head_version=ledger.head(JOB).version, prices=NO_PRICES, notes=[]
    )
    return [problem for problem in found if not problem.startswith("outputs/")]


def published(history: str, tmp_path: Path) -> tuple[LedgerReader, Path]:
    ledger, folder = ledger_of(history, tmp_path), tmp_path / "runs" / JOB
    Publisher(ledger, JOB, folder).publish(final=True)
    assert problems_of(ledger, folder) == []
    return ledger, folder


def made_older(path: Path) -> None:
    """Write the file as it was before usages had the count."""
    text = path.read_text("utf-8")
    older = re.sub(r',\s*"cache_write_tokens": 0|"cache_write_tokens": 0,\s*', "", text)
    assert older != text
    path.write_text(older, "utf-8")


def files_with_usage(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.json*") if b'"cache_write' in path.read_bytes()]


@pytest.mark.parametrize("history", HISTORIES)
def test_each_file_of_an_older_version_is_intact(history: str, tmp_path: Path) -> None:
    ledger, folder = published(history, tmp_path)
    for path in files_with_usage(folder):
        made_older(path)
        assert problems_of(ledger, folder) == []
    assert files_with_usage(folder) == []


def test_lines_of_two_versions_are_intact(tmp_path: Path) -> None:
    ledger, folder = published("tools", tmp_path)
    events = folder / "events.jsonl"
    first = events.read_text("utf-8").splitlines(keepends=True)
    made_older(events)
    lines = events.read_text("utf-8").splitlines(keepends=True)
    changed = [number for number, line in enumerate(lines) if line != first[number]]
    assert len(changed) > 1
    lines[changed[0]] = first[changed[0]]
    events.write_text("".join(lines), "utf-8")
    assert problems_of(ledger, folder) == []


@pytest.mark.parametrize("name", ["events.jsonl", "manifest.json", ".cache"])
def test_a_changed_count_of_an_older_version_is_found(name: str, tmp_path: Path) -> None:
    ledger, folder = published("tools", tmp_path)
    path = next(path for path in files_with_usage(folder) if name in str(path))
    made_older(path)
    text = path.read_text("utf-8")
    changed = re.sub(r'("reasoning_tokens": )\d+', r"\g<1>9", text, count=1)
    assert changed != text
    path.write_text(changed, "utf-8")
    (problem,) = problems_of(ledger, folder)
    assert problem == f"{path.relative_to(folder)} was changed in the run folder"
