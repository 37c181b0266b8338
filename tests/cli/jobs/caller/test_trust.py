"""A ledger of another user can be read, but its jobs are not resumed without --trust."""

from __future__ import annotations

import os
import re
import shlex
import stat
from pathlib import Path

import pytest

from tests.cli.command_line import orc, submit, write

SPEC = """\
project: trusted
steps:
  ask: {approval: now}
  act: {needs: ask, run: "touch $ORC_SPEC_DIR/ran"}
"""
ANOTHER = 54321

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def job(here: Path) -> str:
    """A job that has a command to run."""
    found = submit(SPEC)
    orc("approve", found, "ask")
    return found


def refused(job: str, here: Path, words: str, *, every: bool = False) -> None:
    others = (("rerun", job, "--step", "act"), ("fork", job), ("replay", job)) if every else ()
    for command in (("resume", job), *others):
        said = orc(*command)
        assert said.code == 2, command
        assert str(here) in said.err
        assert words in said.err
        assert "--trust" in said.err
    assert not (here / "ran").exists()
    looks = (("list",), ("show", job), ("tail", job), ("verify",), ("export", job)) if every else ()
    for look in looks:
        assert orc(*look).code == 0, look


@pytest.mark.parametrize("mode", [0o602, 0o660], ids=oct)
def test_a_ledger_that_others_can_write_to_is_refused(mode: int, job: str, here: Path) -> None:
    # A group whose members are unknown.
    if os.geteuid() == 0:
        os.chown("runs.db", -1, ANOTHER)
    elif mode == 0o660:
        pytest.skip("only root can give a file another group")
    (here / "runs.db").chmod(mode)
    refused(job, here, "can be written by others", every=mode == 0o602)
    assert orc("resume", job, "--trust").code == 0
    assert (here / "ran").exists()


def test_a_folder_that_others_can_write_to_is_refused_even_if_it_is_sticky(
    job: str, here: Path
) -> None:
    here.chmod(0o777)
    refused(job, here, f"chmod go-w {here}")
    assert f"{here} can be written by others" in orc("doctor").out
    here.chmod(0o1777)
    refused(job, here, "is a folder in which every user can create files")
    assert f"{here} is a folder in which every user can create files" in orc("doctor").out
    here.chmod(0o700)
    assert orc("resume", job).code == 0


@needs_root
@pytest.mark.parametrize("path", ["runs.db", "."])
def test_a_ledger_of_another_user_is_refused(path: str, job: str, here: Path) -> None:
    os.chown(path, ANOTHER, -1)
    refused(job, here, f"belongs to user {ANOTHER}")
    assert orc("resume", job, "--trust").code == 0


@needs_root
def test_a_planted_file_beside_the_ledger_is_refused(job: str, here: Path) -> None:
    (here / "runs.db-journal").touch()
    os.chown("runs.db-journal", ANOTHER, -1)
    said = orc("resume", job)
    assert said.code == 2
    assert "runs.db-journal belongs to" in said.err


def test_a_job_that_was_imported_runs_once_with_trust(job: str, here: Path) -> None:
    orc("bundle", job, "job.orc")
    there = ("--db", here / "there.db")
    orc("import", "job.orc", *there)
    said = orc("resume", job, *there)
    assert said.code == 2
    assert "--trust" in said.err
    assert orc("resume", job, "--trust", *there).code == 0


def test_the_images_of_a_long_spec_come_with_an_imported_job(here: Path) -> None:
    (here / "pic.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(2000))
    parts = f"[{{image: pic.png}}, {{text: 'What is this? {'x' * 3000}'}}]"
    steps = f"look: {{needs: ask, messages: [{{role: user, content: {parts}}}]}}"
    write("spec.replay.yaml", "version: 1\nreplies: {look: [a cat]}\n")
    spec = f"project: p\nprovider: replay\nsteps:\n  ask: {{approval: now}}\n  {steps}\n"
    assert orc("run", write("spec.yaml", spec), "-q").code == 3
    assert orc("bundle", "latest", "job.orc").code == 0
    there = ("--db", here / "there.db")
    assert orc("import", "job.orc", "--trust", *there).code == 0
    assert orc("verify", *there).code == 0
    assert orc("approve", "latest", "ask", "--resume", *there).code == 0


def test_the_command_that_is_printed_trusts_an_imported_job_for_good(job: str, here: Path) -> None:
    orc("bundle", job, "job.orc")
    there = ("--db", here / "there.db")
    orc("import", "job.orc", *there)
    (command,) = re.findall(r"run `(orc import .+)` \(for good\)", orc("resume", job, *there).err)
    assert orc(*shlex.split(command)[1:]).code == 0
    assert orc("resume", job, *there).code == 0


def test_a_job_that_was_imported_from_a_descriptor_names_no_file_to_import_again(
    job: str, here: Path
) -> None:
    orc("bundle", job, "job.orc")
    there = ("--db", here / "there.db")
    with open("job.orc", "rb") as content:
        assert orc("import", f"/dev/fd/{content.fileno()}", *there).code == 0
    assert "run `orc import FILE --trust" in orc("resume", job, *there).err


LEAVES_EVERYTHING = """\
project: left
provider: replay
output_dir: delivered
steps:
  said: {prompt: hello, files: [{path: deep/said.md}]}
  left:
    needs: said
    run: |
      echo left > left.txt; echo more > "$ORC_ARTIFACTS/more.txt"; echo printed
    files: [left.txt]
  function: {python: "given:speak"}
"""


@pytest.mark.parametrize("umask", [0o000, 0o077], ids=oct)
def test_all_files_are_private_to_the_user_whatever_the_umask(umask: int, here: Path) -> None:
    write("spec.yaml", LEAVES_EVERYTHING)
    write("spec.replay.yaml", "replies: {said: [{text: hello}]}")
    write("given.py", "def speak(): print('spoken')")
    before = {*here.rglob("*")}
    kept = os.umask(umask)
    try:
        for command in (
            ("run", "spec.yaml", "--record", "made.replay.yaml"),
            ("backup", "copy.db"),
            ("bundle", "latest", "job.orc"),
            ("export", "latest", "--to", "exported"),
            ("import", "job.orc", "--db", "there.db"),
        ):
            said = orc(*command)
            assert said.code == 0, (command, said.err)
    finally:
        os.umask(kept)

    made = {*here.rglob("*")} - before
    for name in ("made.replay.yaml", "copy.db", "job.orc", "exported", "runs.db.locks", "there.db"):
        assert here / name in made
    # Files that a command makes may have other modes, but no other user can enter their folder.
    own = {*here.rglob("left.txt"), *here.rglob("more.txt"), *here.rglob("__pycache__*")}
    delivered = {here / "delivered", *(here / "delivered").rglob("*")}
    for path in made - own - delivered - {*here.rglob("__pycache__/*")}:
        mode = stat.S_IMODE(path.lstat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path
    assert stat.S_IMODE((here / "delivered/left.txt").stat().st_mode) == 0o666 & ~umask
