"""What an attempt finds in its folder, what may be in the way, and what a failure says of it."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

import orc
from orc.ledger.digest import Digest
from orc.scheduler.folders.work_folder import WorkFolder
from tests.processes import ROOT, orc_environment, read_events
from tests.scheduler.effects.conftest import RunSpec

APART = {"run": "echo 1 > made.txt", "files": ["made.txt"]}


def only_failure(job: orc.Job) -> orc.Failure:
    [failure] = job.failures
    return failure


@pytest.mark.parametrize(
    ("steps", "hint"),
    [
        (
            {"writer": APART, "reader": {"run": "sleep 0.3; cat made.txt"}},
            "made.txt is a file of step 'writer'; add `needs: [writer]` to bring it",
        ),
        (
            {"writer": APART, "reader": {"python": "reads:read"}},
            "made.txt is a file of step 'writer'; add `needs: [writer]` to bring it",
        ),
        (
            # Only what was printed before the last line names the file.
            {
                "writer": APART,
                "reader": {"run": "sleep 0.3; cat made.txt || { echo stopped >&2; exit 3; }"},
            },
            "made.txt is a file of step 'writer'; add `needs: [writer]` to bring it",
        ),
        (
            {"group": {"steps": {"writer": APART}}, "reader": {"run": "sleep 0.3; cat ./made.txt"}},
            "made.txt is a file of step 'group/writer'; add `needs: [group]` to bring it",
        ),
        (
            {"writer": APART, "group": {"steps": {"reader": {"run": "sleep 0.3; cat made.txt"}}}},
            "made.txt is a file of step 'writer'; add `needs: [writer]` to step 'group' to bring it",
        ),
        (
            {
                "item": {
                    "for_each": ["a", "b"],
                    "max_parallel": 1,
                    "run": "touch made.${{ item }}.txt; cat made.a.txt",
                    "files": ["made.*.txt"],
                }
            },
            "made.a.txt is a file of step 'item[0]'; items of one step do not see each other's files",
        ),
        (
            {
                "draft": {
                    "loop": {"max_iterations": 2},
                    "run": "cat made.txt; touch made.txt",
                    "files": ["made.txt"],
                }
            },
            "made.txt is a file of step 'draft', and no earlier round has written it",
        ),
        (
            {
                "draft": {
                    "loop": {"max_iterations": 2},
                    "steps": {"read": {"run": "cat made.txt"}, "write": {**APART, "needs": "read"}},
                }
            },
            "made.txt is a file of step 'draft#1/write', which runs after this one",
        ),
        (
            {"read": {"run": "cat made.txt"}, "write": {**APART, "needs": "read"}},
            "made.txt is a file of step 'write', which runs after this one",
        ),
    ],
    ids=[
        "command",
        "function",
        "complaint",
        "from a group",
        "into a group",
        "items",
        "own round",
        "later in the round",
        "later",
    ],
)
def test_a_failure_that_names_a_file_of_another_step_says_how_to_get_it(
    run_spec: RunSpec, tmp_path: Path, steps: dict[str, Any], hint: str
) -> None:
    (tmp_path / "reads.py").write_text(
        "import time\ndef read():\n    time.sleep(0.3)\n    return open('made.txt').read()\n"
    )
    assert f"({hint})" in only_failure(run_spec(steps)).message


def test_a_failure_that_names_no_file_of_others_has_no_hint(run_spec: RunSpec) -> None:
    job = run_spec(
        {
            "writer": APART,
            "reader": {"needs": "writer", "run": "cat made.txt absent.txt not-made.txt 2>&1 >&2"},
        }
    )
    assert "needs" not in only_failure(job).message


@pytest.mark.parametrize(
    ("step", "kind", "message"),
    [
        (
            {"run": "head -c 2000 /dev/zero > big", "files": ["*"], "limits": {"file_bytes": 1000}},
            "path",
            "big has more than 1,000 B; set `limits: {file_bytes: ...}` on the step if it may be "
            "larger",
        ),
        (
            {"run": "head -c 3K /dev/zero > $ORC_ARTIFACTS/a", "limits": {"file_bytes": "2K"}},
            "path",
            "a has more than 2 KiB",
        ),
        (
            {"value": "x" * 20, "files": [{"path": "x.txt"}], "limits": {"file_bytes": 10}},
            "path",
            "x.txt would have more than 10 B",
        ),
        (
            {"run": "seq 1000", "limits": {"output_bytes": 100}},
            "output_too_large",
            "more than 100 B",
        ),
        (
            {"python": "big:text", "args": {"size": 500}, "limits": {"output_bytes": 100}},
            "output_too_large",
            "more than 100 B",
        ),
    ],
    ids=["captured", "artifact", "written", "stdout", "value"],
)
def test_a_step_that_leaves_more_than_its_limit_fails(
    run_spec: RunSpec, tmp_path: Path, step: dict[str, Any], kind: str, message: str
) -> None:
    (tmp_path / "big.py").write_text("def text(size): return 'x' * size\n")
    failure = only_failure(run_spec({"a": step}))
    assert failure.kind == kind
    assert message in failure.message


def test_limits_of_defaults_hold_for_steps_without_their_own(
    run_spec: RunSpec, tmp_path: Path
) -> None:
    (tmp_path / "big.py").write_text("def text(size): print('p' * 500); return 'x' * size\n")
    job = run_spec(
        {
            "small": {"run": "seq 1000", "continue_on_error": True},
            "larger": {"run": "seq 1000", "limits": {"output_bytes": "2M"}},
            "most": {
                "run": "head -c 3000000 /dev/zero | tr '\\0' x",
                "limits": {"output_bytes": "4M"},
            },
            "function": {"python": "big:text", "args": {"size": 50}},
        },
        defaults={"limits": {"output_bytes": 100, "log_bytes": 50}},
    )
    assert job.failures == ()
    assert "small" not in job.outputs
    assert len(job.outputs["most"]) == 3_000_000
    for name in ("larger", "function"):
        assert (job.folder / "logs" / f"{name}.1.log").stat().st_size == 50
    warnings = [
        event["data"].get("warning")
        for event in read_events(tmp_path / "runs.db")
        if event["type"] == "step.succeeded"
    ]
    assert warnings == ["the log was cut at 50 B"] * 3


def test_a_log_may_be_longer_than_by_default(run_spec: RunSpec) -> None:
    step = {"run": "head -c 1000000 /dev/zero | tr '\\0' x >&2", "limits": {"log_bytes": "256M"}}
    job = run_spec({"a": step})
    assert (job.folder / "logs" / "a.1.log").stat().st_size == 1_000_000


def test_a_function_works_in_its_own_folder_with_the_files_of_the_steps_before(
    run_spec: RunSpec, tmp_path: Path
) -> None:
    (tmp_path / "where.py").write_text(
        "import os\n"
        "def look(name):\n"
        "    found = sorted(os.listdir())\n"
        "    open(name, 'w').write(name)\n"
        "    return {'cwd': os.getcwd(), 'found': found, 'artifacts': os.environ['ORC_ARTIFACTS']}\n"
    )
    job = run_spec(
        {
            "first": {"python": "where:look", "args": {"name": "a.txt"}, "files": ["*.txt"]},
            "apart": {"python": "where:look", "args": {"name": "b.txt"}, "needs": "command"},
            "command": {"run": "true"},
            "second": {"python": "where:look", "args": {"name": "c.txt"}, "needs": "first"},
        }
    )
    assert job.failures == ()
    work = job.folder / "work"
    seen = {name: job.outputs[name] for name in ("first", "apart", "second")}
    assert {name: output["found"] for name, output in seen.items()} == {
        "first": [],
        "apart": [],
        "second": ["a.txt"],
    }
    for name, output in seen.items():
        assert output["cwd"] == str(work / f"{name}.1")
        assert output["artifacts"] == str(work / f"{name}.1.artifacts")
    assert sorted(job.files) == ["trial/a.txt"]
    assert not work.exists()


def test_a_file_keeps_its_mode_from_step_to_step_and_in_a_workspace(run_spec: RunSpec) -> None:
    show = "stat -c %a tool; stat -c %a plain; ./tool"
    job = run_spec(
        {
            "make": {
                "run": "printf '#!/bin/sh\\necho ran\\n' > tool; chmod 755 tool; echo > plain",
                "files": ["*"],
            },
            "use": {"needs": "make", "run": show},
            "shared": {"needs": "make", "run": show, "workspace": "w"},
            "pass_on": {"needs": "make", "run": "cp tool other", "files": ["other"]},
            "last": {"needs": "pass_on", "run": "./other"},
        }
    )
    assert job.failures == ()
    plain = f"{0o666 & ~current_umask():o}"
    for name in ("use", "shared"):
        assert job.outputs[name].split() == ["755", plain, "ran"]
    assert job.outputs["last"] == "ran"


def current_umask() -> int:
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


def test_a_step_whose_pattern_matches_much_does_not_make_another_one_fail(
    run_spec: RunSpec, tmp_path: Path
) -> None:
    job = run_spec(
        {
            name: {
                "run": f"for i in 1 2 3 4; do echo {name} > {name}.log; sleep 0.02; done",
                "files": [pattern],
            }
            for name, pattern in (("one", "*.log"), ("two", "two.log"), ("three", "**/*.log"))
        },
        concurrency=3,
    )
    assert job.failures == ()
    assert {path: file.read_text() for path, file in job.files.items()} == {
        "trial/one.log": "one\n",
        "trial/two.log": "two\n",
        "trial/three.log": "three\n",
    }


def test_a_step_does_nothing_with_the_files_of_steps_that_it_does_not_depend_on(
    run_spec: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed: list[str] = []

    def place(folder: WorkFolder, relative: str, *more: Any) -> None:
        placed.append(f"{folder.path.name}:{relative}")
        original(folder, relative, *more)

    original: Callable[..., None] = WorkFolder.place
    monkeypatch.setattr(WorkFolder, "place", place)
    steps: dict[str, Any] = {
        "many": {"run": "for i in $(seq 200); do echo $i > f$i; done", "files": ["f*"]},
        "gate": {"approval": "unused", "if": False},
        "one": {"run": "echo 1 > one", "files": ["one"]},
        "after": {"run": "true", "needs": "one"},
    }
    job = run_spec(steps, concurrency=1)
    assert job.failures == ()
    assert len(job.files) == 201
    assert placed == ["after.1:one"]


LARGE_BYTES = 40 * 1024 * 1024


def test_a_large_file_goes_from_step_to_step(run_spec: RunSpec, tmp_path: Path) -> None:
    job = run_spec(
        {
            "make": {
                "run": f"head -c {LARGE_BYTES} /dev/zero > large; echo end >> large; chmod 700 large",
                "files": ["large"],
            },
            "read": {"needs": "make", "run": "wc -c < large; tail -c 4 large; stat -c %a large"},
        }
    )
    assert job.failures == ()
    assert job.outputs["read"].split() == [str(LARGE_BYTES + 4), "end", "700"]
    assert job.files["trial/large"].stat().st_size == LARGE_BYTES + 4
    assert (tmp_path / "runs.db").stat().st_size < LARGE_BYTES
    assert [path for path in (tmp_path / "runs.db.files").rglob("*") if path.is_file()]


MEASURED = """
import json, sys
import orc
from tests.peak_memory import peak_bytes
job = orc.run(sys.argv[1], db=sys.argv[2])
print(json.dumps([job.status, peak_bytes()]))
"""


@pytest.mark.torture
def test_memory_stays_bounded_whatever_the_size_of_a_file(tmp_path: Path) -> None:
    def peak(size: str) -> int:
        spec = tmp_path / "spec.yaml"
        spec.write_text(
            textwrap.dedent(
                f"""\
                project: large
                steps:
                  make: {{run: "head -c {size} /dev/urandom > large", files: [large]}}
                  read: {{needs: make, run: "wc -c < large"}}
                """
            )
        )
        done = subprocess.run(
            [sys.executable, "-c", MEASURED, spec, tmp_path / f"{size}.db"],
            cwd=ROOT,
            env=orc_environment(),
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        )
        status, held_bytes = json.loads(done.stdout)
        assert status == "succeeded"
        return int(held_bytes)

    assert peak("300M") - peak("1M") < 64 * 1024 * 1024


@pytest.mark.parametrize("step", [{"run": "cat a.txt"}, {"python": "os:getcwd"}])
def test_a_full_disk_while_inputs_are_placed_is_no_fault_of_the_step(
    run_spec: RunSpec, monkeypatch: pytest.MonkeyPatch, step: dict[str, Any]
) -> None:
    def full(
        folder: WorkFolder, relative: str, sha256: Digest, pieces: Iterable[bytes], mode: str | None
    ) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(WorkFolder, "place", full)
    job = run_spec(
        {"make": {"run": "echo a > a.txt", "files": ["a.txt"]}, "read": {"needs": "make", **step}}
    )
    failure = only_failure(job)
    assert (failure.step, failure.kind) == ("read", "environment")
    assert "the files of the steps before could not be placed in the working folder" in (
        failure.message
    )
    assert not (job.folder / "work").exists()
