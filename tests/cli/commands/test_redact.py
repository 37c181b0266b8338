"""`orc redact`: from where the bytes are removed, and what is refused."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from orc.ledger import removal
from orc.ledger.digest import digest_bytes
from orc.ledger.errors import StorageError
from tests.cli.command_line import orc, submit
from tests.cli.removed_jobs import CANARY, FILE_DIGEST, LONG, SPEC, UNENDED, blobs


def files_with(folder: Path, needle: str) -> list[str]:
    """The files of a ledger and a run folder that contain a text, read by another process."""
    program = (
        "import pathlib, sys\n"
        "for path in [*pathlib.Path(sys.argv[1]).glob('runs.db*'),"
        " *pathlib.Path(sys.argv[1]).glob('runs/**/*')]:\n"
        "    if path.is_file() and sys.argv[2].encode() in path.read_bytes(): print(path.name)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder), needle],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return sorted(done.stdout.split())


def test_after_a_redaction_the_text_is_only_where_the_output_says(here: Path) -> None:
    """The canary is in a file, in a log, in the spec, and in the tables that are derived from these."""
    spec = SPEC.replace("steps:", f"task_description: '{LONG}'\nsteps:", 1)
    job = submit(spec)
    assert set(files_with(here, CANARY)) >= {"runs.db", "a.txt", "first.1.log", "spec.yaml"}
    plan = orc("redact", FILE_DIGEST, "--json").json()
    also = plan["also_in_blobs"]
    # The spec as written, the resolved spec, and the output of the command.
    assert len(also) == 3
    assert blobs() == 0

    done = orc("redact", FILE_DIGEST, *also, "--yes", "--reason", "a key", "--json")
    assert done.code == 0, done.err
    assert done.json()["compact"] is True
    assert files_with(here, CANARY) == []
    assert done.json()["files_left"] == [str(here / "out/a.txt")]

    assert orc("verify").code == 0
    assert orc("rebuild").code == 0
    assert orc("verify").code == 0
    shown = orc("show", job)
    assert shown.code == 0
    assert re.search(r"removed .* by orc redact on .*: a key", shown.out)
    assert [step["step"] for step in orc("show", job, "--json").json()["steps"]] == [
        "first",
        "second",
    ]
    assert orc("export", job, "--to", "copy").code == 0
    assert orc("plan", "spec.yaml").code == 0
    assert orc("tail", job).code == 0
    for command in (("resume", job), ("fork", job), ("rerun", job, "--step", "second")):
        said = orc(*command)
        assert said.code == 2
        assert "were removed by orc redact on" in said.err
    again = orc("redact", FILE_DIGEST, "--yes")
    assert again.code == 0
    assert "nothing was left to do: an earlier removal had removed these bytes" in again.err
    assert "removed: " not in again.err
    assert orc("redact", FILE_DIGEST, "--json", "--yes").json()["removed"] is False
    assert orc("verify").code == 0


def test_a_second_redaction_completes_what_a_killed_one_left(here: Path) -> None:
    job = submit(SPEC)
    folder = here / "runs" / job
    kept = {name: (folder / name).read_bytes() for name in ("manifest.json", "events.jsonl")}
    file = folder / "outputs/keeping/a.txt"
    text = file.read_bytes()
    assert orc("redact", FILE_DIGEST, "--yes").code == 0
    file.write_bytes(text)
    for name, content in kept.items():
        (folder / name).write_bytes(content)
    (here / "runs.db.search-journal").touch()

    said = orc("redact", FILE_DIGEST, "--yes")
    assert said.code == 0
    assert f"completed an earlier removal: the run folder of {job}" in said.err
    assert f"also removed: the file {file}" in said.err
    assert "removed: 1 blob" not in said.err
    assert not file.exists()
    assert not (here / "runs.db.search-journal").exists()
    assert orc("verify").code == 0


def test_the_places_that_a_redaction_cannot_reach_are_named(here: Path) -> None:
    short = "hunter2-hunter2"
    job = submit(
        f"project: short\nsteps:\n  a: {{run: \"printf {short}; printf '%01500d' 1 >&2\", "
        f"files: [{{path: s.txt, content: {short}}}]}}\n"
    )
    said = orc("redact", digest_bytes(short.encode())[:10], "--yes")
    assert said.code == 0
    assert re.search(rf"also in event \d+ of {job}, which cannot be changed", said.err)


def test_a_redaction_needs_the_name_of_a_job_that_has_not_ended(here: Path) -> None:
    job = submit(UNENDED)
    digest = digest_bytes(b"0" * 1999 + b"7")
    refused = orc("redact", digest, "--yes")
    assert refused.code == 2
    assert f"--job {job}" in refused.err
    assert blobs() == 0
    assert orc("redact", digest, "--job", job, "--yes").code == 0
    assert blobs() == 1


def test_a_redaction_of_the_items_of_a_fan_out_reaches_their_tables(here: Path) -> None:
    rest = CANARY.removeprefix("canary-")
    job = submit(
        "project: items\nsteps:\n  made:\n"
        f'    run: printf \'["canary-%s", "two", "%01100d"]\' {rest} 7\n'
        "    output: {format: json}\n"
        "  each: {for_each: '${{ steps.made.output }}', value: 1, score: {good: '${{ true }}'}}\n"
    )
    by_case = ("scores", job, "--by", "case")
    assert CANARY in orc(*by_case).out
    events = orc("show", job, "--events", "--json").out
    named = set(re.findall('"sha256": "([0-9a-f]{64})"', events))

    assert orc("redact", *named, "--yes").code == 0
    assert files_with(here, CANARY) == []
    assert orc("verify").code == 0
    # Without its value, each item is a case of its own, known by its id.
    shown = orc("scores", job, "--by", "case", "--format", "csv").out
    assert [row.split(",")[0] for row in shown.splitlines()[1:]] == [
        "each[0]",
        "each[1]",
        "each[2]",
    ]


def test_files_of_inputs_are_removed_also_if_the_spec_is_redacted_with_them(here: Path) -> None:
    (here / "note.md").write_text(f"{CANARY} in a file")
    spec = f"""\
project: inputs
task_description: '{LONG}'
inputs: {{note: {{type: file, default: note.md}}}}
steps:
  a: {{value: "${{{{ inputs.note.name }}}}"}}
"""
    job = submit(spec)
    note = here / "runs" / job / "inputs/note/note.md"
    named = re.findall('"sha256": "([0-9a-f]{64})"', orc("show", job, "--events", "--json").out)
    digests = {*named, digest_bytes(note.read_bytes())}
    said = orc("redact", *digests, "--yes")
    assert said.code == 0, said.err
    assert f"also removed: the file {note}" in said.err
    assert files_with(here, CANARY) == []
    assert orc("verify").code == 0


def test_a_redaction_that_stopped_between_two_jobs_reaches_the_tables_of_both(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = (
        "project: items\nsteps:\n  made:\n"
        f"    run: printf '[\"%s\", \"%01100d\"]' {CANARY[:6]}'{CANARY[6:]}' 7\n"
        "    output: {format: json}\n"
        "  each: {for_each: '${{ steps.made.output }}', value: 1, score: {good: '${{ true }}'}}\n"
    )
    first, _ = submit(spec), submit(spec)
    events = orc("show", first, "--events", "--json").out
    named = set(re.findall('"sha256": "([0-9a-f]{64})"', events))

    def number_of(query: str) -> int:
        with closing(sqlite3.connect(here / "runs.db")) as connection:
            return int(connection.execute(query).fetchone()[0])

    def tables_with_values() -> int:
        return number_of("SELECT count(dimensions) FROM steps")

    def removed_events() -> int:
        return number_of("SELECT count(*) FROM events WHERE type = 'blob.removed'")

    monkeypatch.setattr(removal, "_JOBS_AT_ONCE", 1)
    events_of, calls = removal._events_of, count()

    def stops_at_the_second(*told: Any) -> Any:
        if next(calls) == 1:
            raise StorageError("the disk is gone")
        return events_of(*told)

    monkeypatch.setattr(removal, "_events_of", stops_at_the_second)
    assert tables_with_values() > 0
    assert orc("redact", *named, "--yes").code == 74
    assert removed_events() == 1
    assert orc("redact", *named, "--yes").code == 0
    assert tables_with_values() == 0
    assert orc("verify").code == 0
