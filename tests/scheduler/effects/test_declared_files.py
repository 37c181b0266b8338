"""What a step declares under `files` is compared with what its attempt left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import orc
from tests.processes import read_events
from tests.scheduler.effects.conftest import RunSpec

LEAVE = "import os\ndef leave(names):\n    for name in names:\n        open(name, 'w').write('x')\n"


def failures(job: orc.Job) -> dict[str | None, tuple[str, str]]:
    return {failure.step: (failure.kind, failure.message) for failure in job.failures}


@pytest.mark.parametrize(
    ("run", "files", "said"),
    [
        ("true", ["missing.txt"], "'missing.txt' is not there. The folder has no files"),
        ("touch fond.txt", ["found.txt"], "not there (did you mean 'fond.txt'?)"),
        ("touch A.TXT", ["out/a.txt"], "not there (did you mean 'A.TXT'?)"),
        ("touch b c", ["a", "b"], "'a' is not there. The folder has b, c."),
        ("mkdir a", ["a"], "'a' is a folder; write 'a/' to capture what is in it"),
        ("touch b; ln -s b a", ["a"], "'a' is a link, which is not captured"),
        ("ln -s nowhere a", ["a"], "'a' is a link, which is not captured"),
        ("mkdir b; touch b/a; ln -s b d", ["d/a"], "'d/a' is not there: d is a link"),
        ("touch d", ["d/a"], "'d/a' is not there: d is not a folder"),
        ("mkfifo a", ["a"], "'a' is not a regular file"),
        ("touch a", ["a/"], "'a/' is not a folder; write 'a'"),
        ("true", ["a/"], "'a/' is not there"),
        ("touch b", [{"glob": "*.txt", "required": True}], "'*.txt' matches no file"),
        ("mkdir d", [{"glob": "d/**", "required": True}], "'d/**' matches no file"),
        ("true", ["a", "b"], "'a' is not there; 'b' is not there"),
        ("true", ["${{ inputs.name }}.txt"], "'it.txt' is not there"),
    ],
)
def test_what_must_be_there_and_is_not_fails_the_step(
    run_spec: RunSpec, run: str, files: list[Any], said: str
) -> None:
    job = run_spec({"s": {"run": run, "files": files}}, inputs={"name": {"default": "it"}})
    kind, message = failures(job)["s"]
    assert kind == "schema"
    assert said in message
    assert "required: false" in message


@pytest.mark.parametrize(
    ("run", "files", "warning"),
    [
        ("touch a", ["a", "*.log"], "no file matches '*.log'"),
        ("true", ["d/**", "*.log"], "no file matches 'd/**', '*.log'"),
        ("touch a", [{"glob": "b", "required": False}], None),
        ("true", [{"glob": "*.b", "required": False}], None),
        ("mkdir -p d/e", ["d/**"], None),
        ("mkdir -p d", ["d/"], None),
        ("true", ["given.txt", "given.*"], None),
    ],
)
def test_what_may_be_missing_is_a_warning_or_nothing(
    run_spec: RunSpec, tmp_path: Path, run: str, files: list[Any], warning: str | None
) -> None:
    """A file of a step before is there, also if the step leaves it as it is."""
    job = run_spec(
        {
            "before": {"value": "x", "files": [{"path": "given.txt"}]},
            "s": {"needs": "before", "run": run, "files": files},
        }
    )
    assert not job.failures
    ended = [
        event for event in read_events(tmp_path / "runs.db") if event["type"] == "step.succeeded"
    ]
    own = next(event for event in ended if event["step"] == "s")
    assert own["data"].get("warning") == warning


def test_functions_items_rounds_and_members_are_compared_too(
    run_spec: RunSpec, tmp_path: Path
) -> None:
    (tmp_path / "leaves.py").write_text(LEAVE)
    call = {"python": "leaves:leave"}
    job = run_spec(
        {
            "function": {**call, "args": {"names": ["b"]}, "files": ["a"]},
            "items": {
                "for_each": ["a", "b"],
                "run": "test ${{ item }} = b || touch ${{ item }}",
                "files": ["${{ item }}"],
            },
            "rounds": {
                "loop": {"max_iterations": 1},
                "steps": {"inside": {"run": "true", "files": ["c"]}},
            },
            "shared": {"run": "true", "workspace": "w", "files": ["d"]},
        }
    )
    found = failures(job)
    assert "'a' is not there (" not in found["function"][1]
    assert "'a' is not there. The folder has b." in found["function"][1]
    assert "'b' is not there" in found["items"][1]
    assert "'c' is not there" in found["rounds"][1]
    assert "'d' is not there" in found["shared"][1]


def test_a_missing_file_is_retried(run_spec: RunSpec) -> None:
    """Another attempt may leave it, unlike a path that is not allowed."""
    job = run_spec(
        {
            "s": {
                "run": 'test "$ORC_ATTEMPT" = 1 || touch a',
                "files": ["a"],
                "retry": {"max_attempts": 2, "initial": "1ms"},
            }
        }
    )
    assert not job.failures
    assert sorted(job.files) == ["trial/a"]


def test_a_result_of_a_step_that_declared_less_is_not_used_again(
    run_spec: RunSpec, tmp_path: Path
) -> None:
    step = {"run": "touch b", "cache": "ledger"}
    assert not run_spec({"s": {**step, "files": [{"glob": "a", "required": False}]}}).failures
    job = run_spec({"s": {**step, "files": ["a"]}})
    assert failures(job)["s"][0] == "schema"
    assert not run_spec({"s": {**step, "files": [{"glob": "a", "required": False}]}}).failures
    kinds = [event["type"] for event in read_events(tmp_path / "runs.db")]
    assert kinds.count("step.reused") == 1


def test_an_empty_folder_that_is_declared_comes_back_in_the_dependents(
    run_spec: RunSpec, tmp_path: Path
) -> None:
    make = {"run": "mkdir -p out/in/deep kept other; touch kept/a", "files": ["out/", "kept/**"]}
    show = "find . -mindepth 1 | sort | tr '\\n' ' '"
    job = run_spec(
        {
            "make": make,
            "use": {"needs": "make", "run": show},
            "shared": {"needs": "make", "run": show, "workspace": "w"},
            "further": {"needs": "use", "run": show},
        }
    )
    assert not job.failures
    expected = "./kept ./kept/a ./out ./out/in ./out/in/deep"
    assert {job.outputs[name].strip() for name in ("use", "shared", "further")} == {expected}
    deep = job.folder / "outputs/trial/out/in/deep"
    assert deep.is_dir()
    assert orc.verify(job.job_id, db=tmp_path / "runs.db").is_intact
    deep.rmdir()
    (verdict,) = orc.verify(job.job_id, db=tmp_path / "runs.db").jobs
    assert "outputs/trial/out/in/deep is missing" in verdict.problems[0]


def test_a_cached_result_brings_its_empty_folders_and_its_warning(
    run_spec: RunSpec, tmp_path: Path
) -> None:
    make = {"run": "mkdir -p out/in", "files": ["out/", "*.log"], "cache": "ledger"}
    use = {"needs": "make", "run": "find . -mindepth 1 | sort"}
    first = run_spec({"make": make, "use": use})
    second = run_spec({"make": make, "use": use})
    assert first.outputs == second.outputs == {"make": "", "use": "./out\n./out/in"}
    events = read_events(tmp_path / "runs.db", second.job_id)
    (reused,) = [event["data"] for event in events if event["type"] == "step.reused"]
    assert (reused["folders"], reused["warning"]) == (["trial/out/in"], "no file matches '*.log'")
    assert (second.folder / "outputs/trial/out/in").is_dir()


def test_a_file_where_another_step_left_an_empty_folder_is_a_conflict(run_spec: RunSpec) -> None:
    job = run_spec(
        {
            "folder": {"run": "mkdir a", "files": ["a/"]},
            "file": {"needs": "folder", "run": "rmdir a; touch a", "files": ["a"]},
        }
    )
    kind, message = failures(job)["file"]
    assert kind == "path"
    assert "step 'folder'" in message


def test_items_that_would_write_one_file_fail_before_one_of_them_starts(
    run_spec: RunSpec, tmp_path: Path
) -> None:
    listed = {"run": 'echo \'[{"n": "a"}, {"n": "b"}, {"n": "A"}]\'', "output": {"format": "json"}}
    each = {"for_each": "${{ steps.list.output }}", "value": "x"}
    job = run_spec(
        {
            "list": listed,
            "items": {**each, "files": [{"path": "${{ item.n }}.md"}]},
            "groups": {
                "for_each": "${{ steps.list.output }}",
                "steps": {"inner": {"run": "true", "files": ["${{ item.n | lower }}.txt"]}},
            },
            "apart": {
                "for_each": "${{ steps.list.output }}",
                "if": "item.n != 'A'",
                "value": "x",
                "files": [{"path": "${{ item.n }}.log"}],
            },
        }
    )
    found = failures(job)
    assert found["items"] == (
        "path",
        "items 0 and 2 of its `for_each` would write 'a.md' and 'A.md', which conflict; make the path "
        "differ from item to item",
    )
    assert "items 0 and 2 of its `for_each` would both write 'a.txt'" in found["groups"][1]
    started = [
        event["step"]
        for event in read_events(tmp_path / "runs.db")
        if event["type"] == "step.started"
    ]
    assert not [name for name in started if name.startswith(("items[", "groups["))]
    assert sorted(job.files) == ["trial/a.log", "trial/b.log"]


def test_listed_items_that_would_write_one_file_are_refused_by_validation(
    run_spec: RunSpec,
) -> None:
    for steps in (
        {"s": {"for_each": ["a", "A"], "value": 1, "files": [{"path": "${{ item }}.md"}]}},
        {"s": {"matrix": {"n": [1, 1]}, "run": "true", "files": ["${{ matrix.n }}.md"]}},
    ):
        with pytest.raises(orc.SpecError, match="items 0 and 1 of its `for_each` would"):
            run_spec(steps)
    for steps in (
        {"s": {"for_each": ["a", "b"], "value": 1, "files": [{"path": "${{ item }}.md"}]}},
        {"s": {"for_each": ["a"], "value": 1, "files": [{"path": "${{ job.id }}-${{ item }}"}]}},
    ):
        assert not run_spec(steps).failures


def test_a_path_that_is_taken_fails_an_attempt_before_its_work_begins(
    run_spec: RunSpec, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    job = run_spec(
        {
            "first": {"value": "x", "files": [{"path": "${{ 'a' }}.md"}]},
            "second": {
                "needs": "first",
                "run": f"touch {mark}",
                "files": [{"path": "${{ 'A' }}.md"}],
            },
        }
    )
    assert failures(job)["second"][0] == "path"
    assert not mark.exists()


def test_several_steps_and_items_may_write_into_one_folder(run_spec: RunSpec) -> None:
    job = run_spec(
        {
            "one": {"run": "mkdir out; touch out/a", "files": ["out/"]},
            "two": {"run": "mkdir out; touch out/b", "files": ["out/"]},
            "items": {
                "for_each": ["c", "d"],
                "run": "mkdir -p out/e; touch out/${{ item }}",
                "files": ["out/"],
            },
        }
    )
    assert not job.failures
    assert sorted(job.files) == [f"trial/out/{name}" for name in "abcd"]
