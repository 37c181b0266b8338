"""Every command that writes can be killed at any failpoint; the same command then completes it.

`test_sweep.py` does this for run and resume. Here the end of each other command is compared with
the end of an undisturbed one: the events, the blobs, the run folders, the tables, the files that it
writes, and that no temporary file is left.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
from pathlib import Path

import pytest

from orc.cli.command_table import COMMANDS
from orc.cli.jobs.browse_decisions import decider
from orc.cli.jobs.places import Places
from orc.ledger import failpoints
from orc.ledger.digest import digest_bytes
from orc.ledger.failpoints import COMMAND_PLACES
from orc.projections.pages.decisions import DecisionRequest
from tests.builders import JOB
from tests.crash.killed_commands import Command, Stand, counts, folder_of_stand, is_temporary
from tests.large_files import LARGE_DIGEST, large_story, write_large
from tests.processes import event_types
from tests.projections.support import open_in

_LONG = ("long-text " * 200).strip()
_SPEC = """\
project: done
output_dir: out
steps:
  first: {value: TEXT, files: [{path: a.txt, content: TEXT}]}
  second: {value: "${{ steps.first.output }}!", files: [{path: deep/b.txt, content: "TEXT!"}]}
""".replace("TEXT", _LONG)
_EDITED = _SPEC.replace("output }}!", "output }}?")
_ASKING = """\
project: asking
steps:
  text: {value: a text}
  gate: {approval: {message: Publish?}}
  after: {needs: gate, value: 1}
"""
_DIGEST = digest_bytes(_LONG.encode())
_SEED = 20_261_130

CASES = (
    Command("cancel", ("cancel", "{asking}"), again=(0, 8)),
    Command("approve", ("approve", "{asking}", "gate", "--comment", "yes")),
    Command("reject", ("reject", "{asking}", "gate")),
    Command("score", ("score", "{done}", "first", "good=true", "--why", "fine")),
    Command("tag", ("tag", "{done}", "+good")),
    Command("note", ("note", "{asking}", "look here")),
    Command("prune", ("prune", "--older-than", "1ms", "--yes", "--reason", "old")),
    Command("prune --files", ("prune", "--older-than", "1ms", "--files", "--yes")),
    Command("redact", ("redact", _DIGEST, "--yes"), first=(("search", "long"),)),
    Command("backup", ("backup", "copy.db")),
    Command("backup --force", ("backup", "copy.db", "--force"), first=(("backup", "copy.db"),)),
    Command("bundle", ("bundle", "{done}", "job.orc")),
    Command(
        "import",
        ("import", "job.orc", "--db", "new.db"),
        first=(("bundle", "{done}", "job.orc"),),
    ),
    Command("bundle of large files", ("bundle", "{large}", "large.orc")),
    Command(
        "import of large files",
        ("import", "large.orc", "--db", "new.db"),
        first=(("bundle", "{large}", "large.orc"),),
    ),
    Command("redact a large file", ("redact", LARGE_DIGEST, "--yes")),
    Command(
        "import --trust",
        ("import", "job.orc", "--trust", "--db", "new.db"),
        first=(("bundle", "{done}", "job.orc"), ("import", "job.orc", "--db", "new.db")),
    ),
    Command("export", ("export", "{done}"), removes=("runs/{done}",)),
    Command("export --to", ("export", "{done}", "--to", "folder")),
    Command("ro-crate", ("export", "{done}", "--format", "ro-crate", "--to", "crate")),
    Command("ro-crate zip", ("export", "{done}", "--format", "ro-crate", "--to", "crate.zip")),
    Command("html", ("export", "{done}", "--format", "html", "--to", "page.html")),
    Command("otel", ("export", "{done}", "--format", "otel", "--to", "trace.json")),
    Command("junit", ("export", "{done}", "--format", "junit", "--to", "report.xml")),
    Command("graph", ("graph", "{done}", "-o", "graph.svg")),
    Command("init", ("init", "eval", "--to", "new")),
    Command("rebuild", ("rebuild",)),
    Command("search", ("search", "long")),
    Command("resume", ("resume", "{done}"), removes=("out", "runs/{done}")),
    Command("resume --spec", ("resume", "{done}", "--spec", "edited.yaml", "-q"), runs=True),
    Command("rerun", ("rerun", "{done}", "--step", "second", "-q"), runs=True),
    Command("run --record", ("run", "spec.yaml", "--record", "r.yaml", "--force", "-q"),
            runs=True),
    Command("submit", ("submit", "spec.yaml", "-q"), runs=True),
    Command("work", ("work", "--stop-when-empty", "-q"), first=(("submit", "spec.yaml"),),
            runs=True),
    Command("fork", ("fork", "{done}", "--from", "second", "-q"), runs=True),
    Command("replay", ("replay", "{done}", "-q"), runs=True),
    Command("demo", ("demo", "-q"), runs=True),
)  # fmt: skip
BY_NAME = {command.name: command for command in CASES}
_READ_ONLY = set(
    "browse chaos list show blame why diff scores cost tail logs validate plan schema verify doctor "
    "executors cluster mcp".split()
)


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Stand:
    folder, origin = folder_of_stand(tmp_path_factory.mktemp("commands"))
    found = Stand(folder, origin, {})
    for name, text in (("spec", _SPEC), ("edited", _EDITED), ("asking", _ASKING)):
        (folder / f"{name}.yaml").write_text(text)
    assert found.orc("run", "spec.yaml", "-q").returncode == 0
    found.names["done"] = _job_in(folder)
    assert found.orc("run", "asking.yaml", "-q").returncode == 3
    found.names["asking"] = next(
        path.name for path in (folder / "runs").iterdir() if path.name != found.names["done"]
    )
    # Capture has a test of its own; here the files are small, and are beside the ledger nevertheless.
    with open_in(folder) as ledger:
        write_large(ledger, large_story(folder / "runs"))
    found.names["large"] = JOB
    assert found.orc("export", JOB).returncode == 0
    shutil.copytree(folder, origin)
    return found


def _job_in(folder: Path) -> str:
    [path] = (folder / "runs").iterdir()
    return path.name


def test_every_command_that_writes_is_killed() -> None:
    killed = {command.arguments[0] for command in CASES}
    assert killed | _READ_ONLY | {"run"} == {*COMMANDS}


@pytest.mark.parametrize(
    "name",
    # The demo takes several seconds.
    [*sorted(BY_NAME.keys() - {"demo"}), pytest.param("demo", marks=pytest.mark.torture)],
)
def test_a_killed_command_is_completed_by_the_same_command(stand: Stand, name: str) -> None:
    command = BY_NAME[name]
    hits, _ = stand.undisturbed(command)
    chance = random.Random(f"{_SEED} {name}")
    ours = [hit for hit in hits if hit.partition("@")[0] in COMMAND_PLACES] or hits
    stand.check_killed_at(command, chance.choice(ours))


@pytest.mark.torture
def test_the_commands_hit_every_place_of_theirs(stand: Stand) -> None:
    hit = {place for command in CASES for place in counts(stand.undisturbed(command)[0])}
    # Two of the others need a filesystem without hard links, or a killed command; the pages reach
    # the third, as `test_actions_killed.py` shows.
    others = {"new_file.noted", "new_file.reserved", "acting.recorded"}
    assert {*COMMAND_PLACES} - hit == others


@pytest.mark.torture
@pytest.mark.parametrize("name", BY_NAME)
def test_a_command_killed_at_any_hit_is_completed(stand: Stand, name: str) -> None:
    command = BY_NAME[name]
    hits, _ = stand.undisturbed(command)
    killed = sum(stand.check_killed_at(command, hit) for hit in hits)
    assert killed >= max(1, len(hits) - 4)


@pytest.mark.torture
@pytest.mark.parametrize("name", BY_NAME)
def test_a_command_killed_again_when_it_is_given_again_is_completed(
    stand: Stand, name: str
) -> None:
    command = BY_NAME[name]
    hits, _ = stand.undisturbed(command)
    chance = random.Random(f"{_SEED} {name} pairs")
    for _ in range(8):
        stand.check_killed_at(command, chance.choice(hits), f"*@{chance.randint(1, len(hits))}")


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("point", ["signal.sent", "ledger.after_commit@2", "file.after_write@2"])
def test_a_decision_on_a_page_that_was_killed_can_be_made_again(stand: Stand, point: str) -> None:
    stand.begin(BY_NAME["approve"])
    database = stand.folder / "runs.db"
    decide = decider(Places.find(database=database, environment={}))
    wanted = DecisionRequest(stand.names["asking"], "gate", "approve", "yes")
    pid = os.fork()
    if pid == 0:
        try:
            failpoints.arm(f"{point}=kill")
            decide(wanted)
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    decide(wanted)
    assert event_types(database).count("approval.decided") == 1
    assert not [path for path in stand.folder.rglob("*") if is_temporary(path)]
    assert stand.orc("verify").returncode == 0
