"""`orc blame`: finds what made a file, by its path, a copy or a digest."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from orc.ledger.digest import digest_bytes
from orc.projections.history import find_files
from tests.cli.command_line import orc, submit, write
from tests.cli.sample_ledger import CODE, SampleLedger


@pytest.fixture(autouse=True)
def _in_ledger(sample: SampleLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORC_DB", str(sample.database))


def blamed(name: str, *options: str) -> dict[str, Any]:
    said = orc("blame", name, "--json", *options)
    assert said.code == 0, said.err
    return said.json()


def test_a_reply_is_followed_to_its_prompt_model_and_parameters(sample: SampleLedger) -> None:
    found = blamed("plan.md", "--job", sample.first)

    assert (found["made"]["by"], found["made"]["origin"]) == ("reply", "text")
    assert found["exchange"]["system"] == "Be careful."
    assert found["exchange"]["params"]["temperature"] == 0.5
    assert found["exchange"]["reply"]["text"] == "the plan"
    told = orc("blame", "plan.md", "--job", sample.first).out
    assert told.startswith(f"notes/plan.md was written by step plan, attempt 1, of {sample.first}")
    for part in (
        "replay/recorded, temperature 0.5",
        "| plan it",
        "| the plan",
        "spec.yaml, sha256",
    ):
        assert part in told


def test_a_tool_is_named_with_the_call_that_asked_for_it(sample: SampleLedger) -> None:
    found = blamed("main.py", "--job", sample.first)

    assert found["made"]["by"] == "tool"
    assert found["call"]["call"] == 1
    assert found["tool"]["tool"] == "write_file"
    assert [source["step"] for source in found["upstream"]] == ["plan"]
    assert found["upstream"][0]["files"][0]["path"] == "notes/plan.md"


def test_a_command_is_shown_with_its_exit_code_and_its_log(sample: SampleLedger) -> None:
    found = blamed("all.txt", "--job", sample.first)

    assert (found["made"]["by"], found["made"]["origin"]) == ("command", "glob")
    assert found["made"]["exit_code"] == 0
    assert [source["step"] for source in found["upstream"]] == ["code", "plan"]
    told = orc("blame", "all.txt", "--job", sample.first).out
    assert "| cat plan.md > all.txt; echo noise" in told
    assert f"{sample.first}/logs/build.1.log" in told


def test_the_file_of_an_item_used_what_the_whole_needs(sample: SampleLedger) -> None:
    found = blamed("a.x", "--job", sample.first)

    assert found["made"]["step"] == "each[a]"
    assert found["made"]["origin"] == "content"
    assert [source["step"] for source in found["upstream"]] == ["plan"]


def test_a_forked_file_is_followed_to_the_job_that_made_it(sample: SampleLedger) -> None:
    found = blamed("main.py", "--job", sample.fork)

    assert found["made"]["job_id"] == sample.first
    assert found["file"]["job_id"] == sample.fork
    assert [(hop["reason"], hop["from_job"]) for hop in found["reused"]] == [("fork", sample.first)]
    item = blamed("b.x", "--job", sample.fork)
    assert (item["made"]["job_id"], item["made"]["step"]) == (sample.first, "each[b]")


def test_without_its_first_job_a_file_is_followed_to_the_reuse(
    sample: SampleLedger, here: Path
) -> None:
    orc("bundle", sample.fork, "fork.db")
    orc("import", "fork.db", "--db", "other.db")

    found = blamed("main.py", "--db", "other.db")

    assert found["made"]["by"] == "reused"
    assert found["made"]["job_id"] == sample.first
    assert (
        "the job that made it is not in this ledger"
        in orc("blame", "main.py", "--db", "other.db").out
    )


def test_a_reply_from_the_cache_names_who_paid(sample: SampleLedger) -> None:
    told = orc("blame", "plan.md", "--job", sample.second).out

    assert f"from the reply cache: {sample.first}, step plan had sent the same request" in told


def test_a_copy_on_disk_is_found_by_its_bytes_in_any_folder(sample: SampleLedger) -> None:
    write("elsewhere.txt", CODE)

    assert blamed("elsewhere.txt")["asked"]["found_by"] == "copy"
    published = sample.folder / "runs" / sample.first / "outputs" / "notes" / "main.py"
    assert blamed(str(published))["file"]["job_id"] == sample.first


def test_a_copy_that_was_changed_since_says_so(sample: SampleLedger, here: Path) -> None:
    shutil.copytree(sample.folder, here / "copy")
    os.chdir(here / "copy")
    changed = Path("runs") / sample.first / "outputs" / "notes" / "plan.md"
    changed.write_text("mine")

    said = orc("blame", changed, "--db", "runs.db")

    first, second = said.out.splitlines()[:2]
    assert "was changed after orc wrote it" in first
    assert digest_bytes(b"mine") in first
    assert second.startswith("notes/plan.md was written by step plan")
    assert blamed(str(changed), "--db", "runs.db")["asked"]["found_by"] == "changed"


def test_a_copy_in_the_output_folder_is_known_by_its_place(here: Path) -> None:
    submit("project: p\noutput_dir: out\nsteps:\n  a: {value: 1, files: [{path: x.md, content: x}]}\n",
           "--db", "own.db")  # fmt: skip
    Path("out/x.md").write_text("edited")

    assert "was changed after orc wrote it" in orc("blame", "out/x.md", "--db", "own.db").out


def test_an_output_folder_that_is_now_a_link_to_itself_is_no_place(here: Path) -> None:
    submit("project: p\noutput_dir: out\nsteps:\n  a: {value: 1, files: [{path: x.md, content: x}]}\n",
           "--db", "own.db")  # fmt: skip
    Path("out").rename("there")
    Path("out").symlink_to("out")
    Path("there/x.md").write_text("edited")
    said = orc("blame", "there/x.md", "--db", "own.db")
    assert "Traceback" not in said.err
    assert said.code in (0, 2, 6), said


def test_a_file_of_the_same_name_with_other_bytes_is_reported(here: Path) -> None:
    write("main.py", "something else")

    said = orc("blame", "main.py")

    assert said.code == 0
    assert "notes/main.py was written" in said.out
    assert "in this folder has other bytes" in said.err


def test_a_digest_may_be_given_in_part_and_in_capitals() -> None:
    digest = digest_bytes(CODE.encode())

    for name in (digest, digest[:8].upper()):
        assert blamed(name)["file"]["sha256"] == digest


def test_bytes_that_were_overwritten_are_found_by_their_digest(here: Path) -> None:
    spec = "project: p\nsteps:\n  a: {value: 1, files: [{path: x.md, content: %s}]}\n"
    job = submit(spec % "old", "--db", "own.db")
    assert (
        orc("resume", job, "--spec", write("spec.yaml", spec % "new"), "--db", "own.db").code == 0
    )

    old = blamed(digest_bytes(b"old"), "--db", "own.db")
    new = blamed("x.md", "--db", "own.db")

    assert (old["current"], new["current"]) == (False, True)
    assert (old["made"]["attempt"], new["made"]["attempt"]) == (1, 2)
    assert [writing["attempt"] for writing in new["writings"]] == [1, 2]
    assert old["spec"]["event"] == 1 != new["spec"]["event"]


def test_removed_bytes_are_reported_with_the_command_that_removed_them(here: Path) -> None:
    spec = "project: p\nprovider: replay\nsteps:\n  a: {prompt: x, files: [{path: x.md}]}\n"
    write("spec.replay.yaml", f"replies: {{a: [{{text: {'long ' * 500}}}]}}")
    job = submit(spec, "--db", "own.db")
    assert (
        orc("prune", "--job", job, "--yes", "--files", "--reason", "why", "--db", "own.db").code
        == 0
    )

    told = orc("blame", "x.md", "--db", "own.db").out

    assert "were removed by orc prune" in told
    assert ": why" in told


def test_bad_names_are_refused_with_what_to_do(
    sample: SampleLedger, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("unknown.txt", "unknown")
    for name, part in (
        ("nothing.md", "'nothing.md' is not a path or SHA-256 of a file in this ledger"),
        ("unknown.txt", "has no file with the bytes of"),
        ("", "an empty text was given"),
        ("\0", "and not a file on disk"),
        ("/", "and not a file on disk"),
    ):
        said = orc("blame", name)
        assert (said.code, said.out) == (2, ""), name
        assert part in said.err
    assert orc("blame", "plan.md", "--job", "zzz").code == 6
    monkeypatch.setattr(find_files, "COPY_BYTES_MAX", 3)
    said = orc("blame", "unknown.txt")
    assert said.code == 2
    assert "larger than" in said.err


def test_the_end_of_several_paths_is_refused_with_the_paths(here: Path) -> None:
    submit(
        "project: p\nsteps:\n  a: {value: 1, files: "
        "[{path: one/x.md, content: a}, {path: two/x.md, content: b}]}\n",
        "--db", "own.db",
    )  # fmt: skip

    said = orc("blame", "x.md", "--db", "own.db")

    assert said.code == 2
    assert "p/one/x.md, p/two/x.md" in said.err
    assert blamed("two/x.md", "--db", "own.db")["file"]["path"] == "p/two/x.md"
