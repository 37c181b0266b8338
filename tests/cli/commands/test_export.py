"""`orc export`: where each format is written, and what is refused."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from tests.cli.command_line import PASSING, orc, submit, write
from tests.cli.conftest import Kept
from tests.projections.exported import check_crate, check_junit, check_otlp


def test_one_file_goes_to_stdout_if_that_is_not_a_terminal(kept: Kept, here: Path) -> None:
    report = orc("export", kept.failed, "--format", "junit", "--db", kept.database)
    trace = orc("export", kept.tiny, "--format", "otel", "--to", "-", "--db", kept.database)

    assert check_junit(report.out).get("failures") == "1"
    assert len(check_otlp(json.loads(trace.out))) > 8
    assert report.err == trace.err == ""
    assert list(here.iterdir()) == []


def test_a_file_is_replaced_only_with_force(kept: Kept, here: Path) -> None:
    asked = ("export", kept.passed, "--format", "junit", "--json", "--db", kept.database)
    first, again, forced = orc(*asked), orc(*asked), orc(*asked, "--force")

    path = here / f"{kept.passed}.junit.xml"
    assert first.json() == {
        "job_id": kept.passed,
        "format": "junit",
        "file": str(path),
        "size_bytes": path.stat().st_size,
    }
    assert path.stat().st_mode & 0o777 == 0o600
    assert again.code == 2
    assert "exists already" in again.err
    assert forced.code == 0


def test_a_crate_is_a_folder_or_a_zip_of_the_same_files(kept: Kept, here: Path) -> None:
    asked = ("export", kept.tiny, "--format", "ro-crate", "--db", kept.database, "--to")
    assert orc(*asked, "crate").code == orc(*asked, "crate.zip").code == 0
    entities = check_crate(here / "crate")
    with zipfile.ZipFile("crate.zip") as archive:
        archive.extractall(here / "unpacked")

    assert check_crate(here / "unpacked") == entities
    assert orc(*asked, "crate").code == orc(*asked, "crate.zip").code == 2


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--format", "junt"), "did you mean 'junit'?"),
        (("--format", "junit", "--content"), "have no effect on --format junit"),
        (("--format", "ro-crate", "--to", "-"), "cannot be written to stdout"),
        (("--format", "otel", "--to", "-", "--json"), "both write to stdout"),
        (("--force",), "never replaces files in a folder"),
        (("--format", "junit", "--to", "no/such/file"), "its folder does not exist"),
    ],
)
def test_options_that_cannot_be_combined_are_refused(
    kept: Kept, options: tuple[str, ...], told: str
) -> None:
    said = orc("export", kept.tiny, *options, "--db", kept.database)

    assert said.code == 2
    assert told in said.err
    assert said.out == ""


def test_export_writes_the_same_folder_elsewhere_and_overwrites_nothing(
    kept: Kept, here: Path
) -> None:
    said = orc("export", kept.tiny, "--to", here / "copy", "--json", "--db", kept.database)
    again = orc("export", kept.tiny, "--to", here / "copy", "--db", kept.database)

    assert said.json() == {"job_id": kept.tiny, "folder": str(here / "copy"), "lost": []}
    assert tree(here / "copy") == tree(kept.database.parent / "runs" / kept.tiny)
    assert again.code == 2
    assert "not an empty folder" in again.err


def test_export_brings_a_deleted_run_folder_back(here: Path) -> None:
    job = submit(PASSING)
    before = tree(here / "runs" / job)
    for path in sorted((here / "runs" / job).rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()

    assert orc("export", job).code == 0
    assert tree(here / "runs" / job) == before


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("form", ["folder", "ro-crate"])
def test_an_unfinished_folder_is_completed_to_the_same_bytes(
    kept: Kept, here: Path, form: str
) -> None:
    command = ("export", kept.tiny, "--db", kept.database, "--format", form, "--to", "new")
    assert orc(*command).code == 0
    before = {path: path.read_bytes() for path in Path("new").rglob("*") if path.is_file()}
    mark = Path("new/.orc-unfinished")
    mark.write_text(f'"{form} of {kept.tiny}"')
    Path("new/manifest.json").unlink()
    other = orc("export", kept.passed, "--db", kept.database, "--to", "new")
    assert (other.code, "was left unfinished by another command" in other.err) == (2, True)
    assert orc(*command).code == 0
    assert {path: path.read_bytes() for path in Path("new").rglob("*") if path.is_file()} == before
    assert orc(*command).code == 2


def test_the_page_says_what_a_reply_from_the_cache_saved(here: Path) -> None:
    steps = "{a: {prompt: hi}, b: {prompt: hi, needs: a}}"
    write("spec.yaml", f"project: p\nprovider: replay\ncache: job\nsteps: {steps}\n")
    usage = "{input_tokens: 5, output_tokens: 5}"
    write("r.yaml", f"default: [{{text: x, model: gpt-4o-mini, usage: {usage}}}]\n")
    assert orc("run", "spec.yaml", "--replies", "r.yaml").code == 0
    said = orc("export", "latest", "--format", "html", "--to", "-")
    assert said.code == 0, said.err
    assert "saved $0.0000038" in said.out
