"""A project that was moved or copied with its ledger goes on in its new place, and only there."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from orc.ledger.files.ledger_origin import lineage_of
from orc.ledger.files.project_places import place_of, recorded_place, recorded_target
from tests.cli.command_line import Said, orc, work_in

SPEC = """\
project: places
output_dir: made/here
steps:
  one: {value: 1}
  ask: {needs: one, approval: "Go on?"}
  function: {needs: ask, python: "helpers:where"}
  tool: {needs: ask, run: '"$ORC_SPEC_DIR"/tool.sh > tool.txt', files: [tool.txt]}
  there: {needs: ask, cwd: spec, run: pwd}
"""

Snapshot = dict[str, tuple[bytes, int]]


def lay_out(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "s.yaml").write_text(SPEC)
    (folder / "helpers.py").write_text("import os\ndef where(): return os.path.dirname(__file__)\n")
    (folder / "tool.sh").write_text('#!/bin/sh\ndirname "$0"\n')
    (folder / "tool.sh").chmod(0o755)
    return folder


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Changes the current folder."""
    work_in(tmp_path, monkeypatch)
    return monkeypatch.chdir


@pytest.fixture
def project(tmp_path: Path, go: Callable[[Path], None]) -> Path:
    """A project whose job waits for a decision."""
    folder = lay_out(tmp_path / "project")
    go(folder)
    assert orc("run", "s.yaml", "-q").code == 3
    return folder


def snapshot(folder: Path) -> Snapshot:
    """The files of a project, but not the locks, with their times."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
        and ".locks" not in str(path)
        and path.suffix not in (".db-shm", ".db-wal")
    }


def finish(folder: Path, *options: str | Path) -> Said:
    """Approve, and continue to the end; everything must have happened in the folder."""
    assert orc("approve", "latest", "ask").code == 0
    said = orc("resume", "latest", "-q", *options)
    assert said.code == 0, said.err
    check(folder)
    return said


def check(folder: Path, spec: Path | None = None) -> None:
    """The latest job has used this folder, and nothing else."""
    spec = spec or folder
    shown = orc("show", "latest", "--json").json()
    assert shown["folder"] == str(folder / "runs" / shown["job_id"])
    assert {step: output(step) for step in ("function", "there")} == {
        "function": str(spec),
        "there": str(spec),
    }
    assert (folder / "made/here/tool.txt").read_text() == f"{spec}\n"
    assert orc("verify").code == 0


def output(step: str) -> object:
    *_, line = orc("tail", "latest", "--type", "step.succeeded", "--step", step, "--json").lines()
    event = line.get("data", line)
    return event["output"]["value"]


def move(source: Path, target: Path) -> None:
    source.rename(target)


def copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, symlinks=True)


def rsync(source: Path, target: Path) -> None:
    """As to another machine, or by mv to another disk: new files, and the old place is empty."""
    copy(source, target)
    shutil.rmtree(source)


@pytest.mark.parametrize("way", [move, copy, rsync])
def test_a_job_goes_on_in_the_new_place_and_nowhere_else(
    project: Path, tmp_path: Path, go: Callable[[Path], None], way: Callable[[Path, Path], None]
) -> None:
    target = tmp_path / "deep" / "other"
    target.parent.mkdir()
    way(project, target)
    before = snapshot(project)
    go(target)
    finish(target)
    assert snapshot(project) == before
    if way is copy:
        go(project)
        assert orc("verify").code == 0
        finish(project)
        go(target)
        check(target)


OPTIONS: dict[str, tuple[str, ...]] = {
    "amend": ("resume", "latest", "--spec", "s.yaml"),
    "rerun": ("rerun", "latest", "--step", "function", "--step", "there", "--step", "tool"),
    "fork": ("fork", "latest", "--from", "function"),
    "set": ("fork", "latest", "--set", "steps.one.value=2"),
    "replay": ("replay", "latest"),
    "export": ("export", "latest"),
    "prune": ("prune", "--job", "latest", "--yes", "--files"),
    "rebuild": ("rebuild",),
    "verify": ("verify",),
    "doctor": ("doctor",),
    "cancel": ("cancel", "latest"),
    "bundle": ("bundle", "latest", "../job.bundle"),
    "backup": ("backup", "../backup.db"),
}


def test_no_command_in_a_copy_changes_the_original(
    project: Path, tmp_path: Path, go: Callable[[Path], None]
) -> None:
    finish(project)
    before = snapshot(project)
    for name, command in OPTIONS.items():
        target = tmp_path / name
        copy(project, target)
        go(target)
        said = orc(*command)
        # A replay prints another folder.
        assert said.code in (0, 3, 8, 5 if name == "replay" else 0), (name, said.err)
        assert snapshot(project) == before, name
        if name == "rerun":
            check(target)
    go(project)
    assert orc("verify").code == 0


def test_a_project_that_is_moved_twice_and_amended_in_between_goes_on(
    project: Path, tmp_path: Path, go: Callable[[Path], None]
) -> None:
    go(tmp_path)
    move(project, tmp_path / "second")
    go(tmp_path / "second")
    assert orc("rerun", "latest", "--step", "one", "-q").code == 3
    go(tmp_path)
    move(tmp_path / "second", tmp_path / "third")
    go(tmp_path / "third")
    finish(tmp_path / "third")


def test_prompt_files_are_read_in_the_new_place(
    project: Path, tmp_path: Path, go: Callable[[Path], None]
) -> None:
    text = SPEC.replace("one: {value: 1}", "one: {value: 1}\n  say: {prompt: {file: say.md}}")
    (project / "s.yaml").write_text(text)
    (project / "say.md").write_text("old")
    (project / "s.replay.yaml").write_text("replies: {say: [{text: said}]}")
    assert orc("run", "s.yaml", "-q", "-p", "replay").code == 3
    move(project, tmp_path / "new")
    go(tmp_path / "new")
    assert orc("fork", "latest", "--set", "steps.one.value=2", "-q").code == 3
    move(Path("say.md"), tmp_path / "say.md")
    change = ("fork", "latest", "--set", "steps.one.value=3", "-q")
    said = orc(*change)
    assert said.code == 2
    assert "--spec-dir" in said.err
    assert orc(*change, "--spec-dir", tmp_path).code == 3


@pytest.mark.parametrize("ledger", ["state/runs.db", "../state/runs.db"])
def test_a_ledger_beside_the_spec_moves_with_the_project(
    tmp_path: Path, go: Callable[[Path], None], ledger: str
) -> None:
    folder = lay_out(tmp_path / "all" / "project")
    (folder / ledger).parent.mkdir()
    go(folder)
    assert orc("run", "s.yaml", "-q", "--db", ledger).code == 3
    target = tmp_path / "moved"
    move(tmp_path / "all", target)
    go(target / "project")
    assert orc("approve", "latest", "ask", "--db", ledger).code == 0
    assert orc("resume", "latest", "-q", "--db", ledger).code == 0
    assert (target / "project/made/here/tool.txt").read_text() == f"{target / 'project'}\n"
    assert not (tmp_path / "all").exists()


def as_earlier(database: Path) -> None:
    """Make the ledger one of an earlier version, which recorded absolute places only."""
    folder = database.parent
    with closing(sqlite3.connect(database)) as connection, connection:
        guards = connection.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'events'"
        ).fetchall()
        for name, _ in guards:
            connection.execute(f"DROP TRIGGER {name}")
        (data,) = connection.execute("SELECT data FROM events WHERE version = 1").fetchone()
        event = json.loads(data)
        del event["ledger_dir"]
        for name in ("spec_dir", "submit_dir", "runs_dir"):
            event[name] = os.path.normpath(folder / event[name])
        event["spec"]["value"]["output_dir"] = str(folder / "made/here")
        connection.execute(
            "UPDATE events SET data = ? WHERE version = 1",
            (json.dumps(event, sort_keys=True, separators=(",", ":")),),
        )
        connection.execute("DELETE FROM orc_meta WHERE key IN ('seat', 'lineage', 'read_model')")
        for _, sql in guards:
            connection.execute(sql)


@pytest.mark.parametrize("way", [move, copy])
def test_a_ledger_of_an_earlier_version_moves_with_its_project(
    project: Path, tmp_path: Path, go: Callable[[Path], None], way: Callable[[Path, Path], None]
) -> None:
    as_earlier(project / "runs.db")
    target = tmp_path / "new"
    way(project, target)
    before = snapshot(project)
    go(target)
    assert orc("approve", "latest", "ask").code == 0
    assert orc("resume", "latest", "-q").code == 0
    assert output("function") == str(target)
    assert (target / "made/here/tool.txt").read_text() == f"{target}\n"
    assert snapshot(project) == before


def test_a_ledger_of_an_earlier_version_that_has_not_moved_goes_on(project: Path) -> None:
    as_earlier(project / "runs.db")
    assert orc("approve", "latest", "ask").code == 0
    assert orc("resume", "latest", "-q").code == 0
    assert output("function") == str(project)


@pytest.mark.parametrize("command", [("resume",), ("fork", "--from", "function"), ("replay",)])
def test_a_spec_that_is_not_with_the_ledger_is_named_by_its_folder(
    project: Path, tmp_path: Path, go: Callable[[Path], None], command: tuple[str, ...]
) -> None:
    name, *options = command
    state = tmp_path / "state"
    state.mkdir()
    # The ledger is in one folder, the spec in another one; only the ledger moves.
    go(tmp_path)
    assert orc("run", "project/s.yaml", "-q", "--db", "state/runs.db").code == 3
    assert orc("approve", "latest", "ask", "--db", "state/runs.db").code == 0
    if name == "replay":
        assert orc("resume", "latest", "-q", "--db", "state/runs.db").code == 0
    (tmp_path / "far").mkdir()
    move(state, tmp_path / "far/state")
    go(tmp_path / "far/state")
    said = orc(name, "latest", *options)
    assert said.code == 7
    assert f"{tmp_path / 'far/project'} does not exist" in said.err
    assert "--spec-dir" in said.err
    assert orc(name, "latest", *options, "--spec-dir", project).code == 0
    if name == "resume":
        assert output("function") == str(project)
        # The folder is recorded: the next command needs no option.
        assert orc("rerun", "latest", "--step", "function", "-q").code == 0
        assert output("function") == str(project)


def test_a_spec_dir_that_does_not_exist_is_refused(project: Path) -> None:
    said = orc("resume", "latest", "--spec-dir", "nowhere")
    assert (said.code, "--spec-dir nowhere: there is no such folder" in said.err) == (2, True)


def test_a_copied_ledger_gets_an_identity_of_its_own_and_says_where_it_is_from(
    project: Path, tmp_path: Path, go: Callable[[Path], None]
) -> None:
    def identity() -> str:
        with closing(sqlite3.connect("runs.db")) as connection:
            return str(
                connection.execute("SELECT value FROM orc_meta WHERE key = 'ledger_id'").fetchone()
            )

    first = identity()
    assert orc("rebuild").code == 0
    move(project, tmp_path / "moved")
    go(tmp_path / "moved")
    assert orc("rebuild").code == 0
    assert identity() == first
    copy(tmp_path / "moved", tmp_path / "copy")
    go(tmp_path / "copy")
    assert orc("show", "latest").code == 0
    assert identity() == first
    assert orc("rebuild").code == 0
    assert identity() != first
    with closing(sqlite3.connect("runs.db")) as connection:
        (found,) = lineage_of(connection)
    assert (found.how, found.path) == ("copied", str(tmp_path / "moved/runs.db"))
    assert f"copied from {tmp_path / 'moved/runs.db'}" in orc("doctor").out
    go(tmp_path / "moved")
    assert orc("rebuild").code == 0
    assert identity() == first


def test_a_restored_ledger_gets_an_identity_of_its_own_and_keeps_its_places(
    project: Path,
) -> None:
    assert orc("backup", "kept.db").code == 0
    finish(project)
    shutil.copy("kept.db", "new.db")
    Path("new.db").replace("runs.db")
    for name in ("runs.db-wal", "runs.db-shm"):
        Path(name).unlink(missing_ok=True)
    finish(project)
    with closing(sqlite3.connect("runs.db")) as connection:
        assert [found.how for found in lineage_of(connection)] == ["restored"] * 1


def test_a_copy_beside_the_original_publishes_and_delivers_nothing_of_it_anew(
    project: Path,
) -> None:
    shutil.copy("runs.db", "second.db")
    before = snapshot(project)
    assert orc("approve", "latest", "ask", "--db", "second.db").code == 0
    said = orc("resume", "latest", "-q", "--db", "second.db")
    assert said.code == 7
    assert f"this ledger was copied from {project / 'runs.db'}" in said.err
    after = snapshot(project)
    assert {name: after[name] for name in before if name != "second.db"} == {
        name: before[name] for name in before if name != "second.db"
    }
    assert (project / "second.db.runs").is_dir()
    assert orc("verify", "--db", "second.db").code == 0
    finish(project)
    assert orc("verify", "--db", "second.db").code == 0


@pytest.fixture
def outside(tmp_path: Path, project: Path) -> Iterator[Path]:
    """A job whose `output_dir` and run folder are outside of the project."""
    folder = tmp_path.parent / f"{tmp_path.name}-outside"
    (project / "s.yaml").write_text(SPEC.replace("made/here", str(folder / "made")))
    assert orc("run", "s.yaml", "-q", "--runs-dir", folder / "runs").code == 3
    yield folder
    shutil.rmtree(folder)


def test_a_moved_project_keeps_the_places_outside_of_it(
    outside: Path, project: Path, tmp_path: Path, go: Callable[[Path], None]
) -> None:
    (tmp_path / "far").mkdir()
    move(project, tmp_path / "far/away")
    go(tmp_path / "far/away")
    assert orc("approve", "latest", "ask").code == 0
    assert orc("resume", "latest", "-q").code == 0
    assert (outside / "made/tool.txt").exists()
    assert orc("show", "latest", "--json").json()["folder"].startswith(str(outside))


def test_a_copied_project_leaves_the_places_outside_of_it_alone(
    outside: Path, project: Path, tmp_path: Path, go: Callable[[Path], None]
) -> None:
    before = snapshot(outside)
    copy(project, tmp_path / "copy")
    go(tmp_path / "copy")
    assert orc("approve", "latest", "ask").code == 0
    said = orc("resume", "latest", "-q")
    assert said.code == 7
    assert "orc resume" in said.err
    assert "--force" in said.err
    assert snapshot(outside) == before
    assert orc("verify").code == 0
    assert orc("resume", "latest", "-q", "--force").code == 0
    assert (outside / "made/tool.txt").exists()


@pytest.mark.parametrize(
    ("place", "database", "recorded"),
    [
        ("/srv/team/p", "/srv/team/p/runs.db", "."),
        ("/srv/team/p/a/b", "/srv/team/p/runs.db", "a/b"),
        ("/srv/team/p/specs", "/srv/team/p/state/runs.db", "../specs"),
        ("/srv/one", "/srv/two/runs.db", "/srv/one"),
        ("/one", "/runs.db", "one"),
        ("/nobody/p", "/srv/runs.db", "/nobody/p"),
        ("~/one", "~/two/runs.db", "~/one"),
        ("~/one", "~/runs.db", "one"),
        ("relative", "/srv/runs.db", "relative"),
    ],
)
def test_a_place_is_recorded_relative_to_the_ledger_within_a_project(
    place: str, database: str, recorded: str
) -> None:
    place, database, recorded = map(os.path.expanduser, (place, database, recorded))
    assert recorded_place(place, Path(database)) == recorded
    if os.path.isabs(place):
        assert place_of(recorded, Path(database)) == Path(place)


@pytest.mark.parametrize(
    ("place", "recorded"),
    [
        ("/srv/team/p/made", "made"),
        ("/srv/team/p/state/made", "state/made"),
        ("/srv/team/www", "/srv/team/www"),
        ("/srv/team/p/../www", "../www"),
        ("/srv/www", "/srv/www"),
        ("made", "made"),
    ],
)
def test_a_place_to_write_to_stays_unless_it_is_in_the_project(place: str, recorded: str) -> None:
    database, here = Path("/srv/team/p/runs.db"), Path("/srv/team/p")
    assert recorded_target(place, database, given_in=here) == recorded
    # A ledger of its own folder, and a current folder around both.
    elsewhere = Path("/srv/team/p/state/runs.db")
    found = recorded_target(place, elsewhere, given_in=here)
    assert place_of(found, elsewhere) == place_of(recorded, database) or place == "made"
    assert os.path.isabs(found) == os.path.isabs(recorded)
