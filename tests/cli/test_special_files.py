"""A pipe, a socket or a device in place of a file is refused at once, with a message."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.cli.command_line import PASSING, orc, submit, write

COMMANDS = (
    ["list", "--db", "SPECIAL"],
    ["verify", "--db", "SPECIAL"],
    ["rebuild", "--db", "SPECIAL"],
    ["run", "spec.yaml", "--db", "SPECIAL"],
    ["doctor", "--db", "SPECIAL"],
    ["backup", "copy.db", "--db", "SPECIAL"],
    ["import", "SPECIAL"],
    ["import", "job.orc", "--db", "SPECIAL"],
    ["run", "SPECIAL"],
    ["validate", "SPECIAL"],
    ["plan", "SPECIAL"],
    ["run", "replay.yaml", "--replies", "SPECIAL"],
    ["run", "spec.yaml", "--inputs", "SPECIAL"],
    ["run", "spec.yaml", "--record", "SPECIAL"],
    ["bundle", "latest", "SPECIAL"],
    ["backup", "SPECIAL"],
    ["export", "latest", "--to", "SPECIAL"],
    ["export", "latest", "--format", "html", "--to", "SPECIAL"],
    ["graph", "latest", "--output", "SPECIAL"],
    ["blame", "SPECIAL"],
    ["run", "spec.yaml", "--record", "SPECIAL", "--force"],
    ["bundle", "latest", "SPECIAL", "--force"],
    ["init", "--to", "SPECIAL"],
    ["init", "--to", "SPECIAL", "--force"],
    ["backup", "SPECIAL", "--force"],
    ["export", "latest", "--format", "html", "--to", "SPECIAL", "--force"],
    ["graph", "latest", "--output", "SPECIAL", "--force"],
)


@pytest.fixture
def folder(here: Path) -> Path:
    job = submit(PASSING)
    write("spec.yaml", PASSING)
    write("replay.yaml", "project: p\nprovider: replay\nsteps: {a: {prompt: say it}}\n")
    assert orc("bundle", job, "job.orc").code == 0
    os.mkfifo("pipe")
    os.mkfifo("pipe.yaml")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("socket")
    return here


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_special_file_is_refused(command: list[str], folder: Path) -> None:
    for special in ("pipe", "socket"):
        said = orc(*(special if part == "SPECIAL" else part for part in command))
        assert "Traceback" not in said.err
        assert said.code in (1, 2, 5, 6, 7, 74), said
        assert special in said.out + said.err
        assert not Path(special).is_file()
        assert "--force" not in said.err


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_init_waits_for_no_pipe_and_replaces_none(folder: Path, force: tuple[str, ...]) -> None:
    for name in ("pipe.yaml", "folder.yaml"):
        Path("folder.yaml").mkdir(exist_ok=True)
        said = orc("init", "eval", "--to", name, *force)
        assert said.code == 2
        assert f"{name} is a " in said.err
        assert "name another file with --to" in said.err
        assert not Path(name).is_file()


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_force_is_no_remedy_for_what_it_does_not_replace(folder: Path, kind: str) -> None:
    Path("there").symlink_to("spec.yaml") if kind == "link" else Path("there").mkdir()
    for force in ((), ("--force",)):
        said = orc("bundle", "latest", "there", *force)
        assert said.code == 2
        assert f"there exists already and is a {kind}; name another file" in said.err
        assert "--force" not in said.err


def test_prices_in_a_pipe_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORC_PRICES", str(folder / "pipe"))
    said = orc("cost", "latest")
    assert said.code in (0, 2)
    assert orc("run", "spec.yaml").code == 2


def test_a_spec_may_come_from_the_standard_input(folder: Path) -> None:
    read, write_end = os.pipe()
    os.write(write_end, PASSING.encode())
    os.close(write_end)
    said = orc("validate", f"/dev/fd/{read}")
    os.close(read)
    assert said.code == 0, said.err
