"""`orc rebuild`."""

from __future__ import annotations

from pathlib import Path

from tests.cli.command_line import PASSING, orc, submit


def test_rebuild_rebuilds_the_tables(here: Path) -> None:
    job = submit(PASSING)
    before = orc("show", job, "--json").json()

    assert orc("rebuild").err == f"tables rebuilt from {events_of(job)} events\n"
    assert orc("rebuild", "--json").json() == {"events": events_of(job)}
    assert orc("show", job, "--json").json() == before


def events_of(job: str) -> int:
    return len(orc("tail", job, "--json").lines())
