"""`orc show` and `orc graph` as of an earlier event, and the pictures of `orc show`."""

from __future__ import annotations

import pytest

from tests.cli.command_line import Said, orc
from tests.cli.conftest import Kept


def at(kept: Kept, version: int | str, *options: str, command: str = "show") -> Said:
    """The output of the command for the newest job as of this event."""
    return orc(command, "latest", "--at", str(version), *options, "--db", kept.database)


def head(kept: Kept) -> int:
    """The number of the newest job's last event."""
    return len(orc("show", "latest", "--events", "--json", "--db", kept.database).lines())


def test_a_job_is_shown_as_of_an_event_without_a_next_command(kept: Kept) -> None:
    said = at(kept, 2)
    assert said.code == 0
    assert said.err.startswith(f"as of event 2 of {head(kept)}, 20")
    assert said.out.split("\n")[0].endswith("  running")
    assert "next:" not in said.out
    value = at(kept, 2, "--json").json()
    assert (value["status"], value["at"], value["finished_at"]) == ("running", 2, None)
    assert {step["status"] for step in value["steps"]} == {"pending"}


def test_the_last_event_shows_what_there_is_now(kept: Kept) -> None:
    now = orc("show", "latest", "--json", "--db", kept.database).json()
    then = at(kept, head(kept), "--json").json()
    assert then["steps"] == now["steps"]
    assert then["status"] == now["status"]


def test_events_end_at_that_one(kept: Kept) -> None:
    said = at(kept, 3, "--events", "--json")
    assert [line["seq"] for line in said.lines()] == [1, 2, 3]
    assert said.err.startswith("as of event 3 of ")


def test_graph_and_timeline_are_as_of_the_event(kept: Kept) -> None:
    assert "\u2713" not in at(kept, 2, "--graph", "--timeline").out
    assert "\u2713" in at(kept, head(kept), "--timeline").out
    assert "\u2713" in orc("show", "latest", "--graph", "--db", kept.database).out
    assert "\u2713" not in at(kept, 2, command="graph").out


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("show", ()),
        ("show", ("--json",)),
        ("show", ("--events",)),
        ("show", ("--files",)),
        ("show", ("--graph",)),
        ("show", ("--timeline",)),
        ("graph", ()),
    ],
)
def test_no_such_event_is_refused_with_the_range(
    command: str, options: tuple[str, ...], kept: Kept
) -> None:
    said = at(kept, 9999, *options, command=command)
    assert (said.code, said.out) == (2, "")
    assert f"has the events 1 to {head(kept)}" in said.err


@pytest.mark.parametrize("version", ["0", "-1", "x"])
def test_an_invalid_event_number_is_refused(version: str, kept: Kept) -> None:
    said = at(kept, version)
    assert (said.code, said.out) == (2, "")
    assert "--at" in said.err
