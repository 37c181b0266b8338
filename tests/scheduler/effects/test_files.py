"""Files of steps: captured into the ledger, and restored before the next step starts."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import orc
from orc.ledger.files.folder import UnsafePath
from orc.scheduler.core.errors import SpecError
from tests.processes import read_events
from tests.scheduler.effects.conftest import RunSpec


def failure_of(job: orc.Job) -> tuple[str | None, str, str]:
    assert job.status == "failed"
    return job.failures[0].step, job.failures[0].kind, job.failures[0].message


def written(tmp_path: Path) -> list[tuple[str, str, str | None]]:
    """Each `file.written`: step, path, and reason."""
    return [
        (event["step"], event["data"]["path"], event["data"].get("reason"))
        for event in read_events(tmp_path / "runs.db")
        if event["type"] == "file.written"
    ]


def test_what_a_glob_matches_is_captured_and_the_rest_is_scratch(
    run_spec: RunSpec, tmp_path: Path
) -> None:
    script = (
        "mkdir -p a/b; echo 1 > one.txt; echo 2 > a/two.txt; echo 3 > a/b/three.txt; "
        "echo 4 > four.md; echo 5 > .hidden.txt"
    )
    job = run_spec({"write": {"run": script, "files": ["*.txt", "a/**/t*.txt"]}})
    assert job.status == "succeeded"
    assert {path: file.read_text() for path, file in job.files.items()} == {
        "trial/.hidden.txt": "5\n",
        "trial/one.txt": "1\n",
        "trial/a/two.txt": "2\n",
        "trial/a/b/three.txt": "3\n",
    }


@pytest.mark.parametrize(
    "harm",
    [
        "rm kept.txt",
        "echo changed > kept.txt",
        "printf 'kepx\\n' > kept.txt",
        "rm kept.txt; mkdir kept.txt",
        "rm kept.txt; ln -s /etc/hostname kept.txt",
        'rm -rf "$PWD"',
        'rm -rf "$(dirname "$(dirname "$PWD")")"',
        'rm -rf "$(dirname "$(dirname "$(dirname "$PWD")")")"',
    ],
)
def test_a_captured_file_is_restored_for_the_next_step(run_spec: RunSpec, harm: str) -> None:
    job = run_spec(
        {
            "write": {"run": "echo kept > kept.txt", "files": ["kept.txt"]},
            "harm": {"run": harm, "needs": "write"},
            "read": {"run": "cat kept.txt", "needs": "harm"},
        }
    )
    assert job.failures == ()
    assert job.outputs["read"] == "kept"
    assert job.files["trial/kept.txt"].read_text() == "kept\n"


IN_PLACE = "printf 'fake\\n'"
AS_BEFORE = "touch -r $f .ref; {}; touch -r .ref $f; rm .ref"
SECRETLY = {
    "in place": AS_BEFORE.format(f"{IN_PLACE} > $f"),
    "without truncation": AS_BEFORE.format(f"{IN_PLACE} | dd of=$f conv=notrunc status=none"),
    "by another file": "echo fake > new; touch -r $f new; mv new $f",
    "by a hard link": AS_BEFORE.format(f"ln $f link; {IN_PLACE} > link; rm link"),
    "through a hard link that was there": AS_BEFORE.format(f"{IN_PLACE} > linked"),
    "by a symbolic link": AS_BEFORE.format(f"ln -s $f link; {IN_PLACE} > link; rm link"),
    "by another folder": AS_BEFORE.format(f"mv in out; mkdir in; {IN_PLACE} > $f; rm -r out"),
    "through memory": 'python3 -c \'import mmap, os; f = open(os.environ["f"], "r+b"); '
    't = os.stat(f.fileno()); m = mmap.mmap(f.fileno(), 0); m[:4] = b"fake"; m.close(); '
    'f.close(); os.utime(os.environ["f"], ns=(t.st_atime_ns, t.st_mtime_ns))\'',
}


@pytest.mark.parametrize("harm", SECRETLY.values(), ids=SECRETLY)
def test_a_change_that_keeps_size_and_time_is_undone(run_spec: RunSpec, harm: str) -> None:
    job = run_spec(
        {
            "write": {"run": "mkdir in; echo kept > in/kept.txt", "files": ["**/kept.txt"]},
            "look": {"run": "cat in/kept.txt; ln in/kept.txt linked", "needs": "write"},
            "again": {"run": "cat in/kept.txt", "needs": "look"},
            "harm": {"run": harm, "env": {"f": "in/kept.txt"}, "needs": "again"},
            "read": {"run": "cat in/kept.txt", "needs": "harm"},
        }
    )
    assert job.failures == ()
    assert job.outputs["read"] == "kept"
    assert job.files["trial/in/kept.txt"].read_text() == "kept\n"


def test_a_function_that_changes_a_file_and_keeps_size_and_time_is_noticed(
    run_spec: RunSpec, tmp_path: Path
) -> None:
    (tmp_path / "forger.py").write_text(
        "import os\n"
        "def forge():\n"
        "    before = os.stat('kept.txt')\n"
        "    with open('kept.txt', 'r+') as file:\n"
        "        file.write('fake')\n"
        "    os.utime('kept.txt', ns=(before.st_atime_ns, before.st_mtime_ns))\n"
    )
    job = run_spec(
        {
            "write": {"run": "echo kept > kept.txt", "files": ["kept.txt"]},
            "look": {"run": "cat kept.txt", "needs": "write"},
            "forge": {"python": "forger:forge", "needs": "look"},
            "read": {"run": "cat kept.txt", "needs": "forge"},
        }
    )
    assert job.failures == ()
    assert job.outputs["read"] == "kept"


def test_a_secret_change_of_a_file_that_the_step_captures_fails_the_step(run_spec: RunSpec) -> None:
    job = run_spec(
        {
            "write": {"run": "echo kept > kept.txt", "files": ["kept.txt"]},
            "look": {"run": "cat kept.txt", "needs": "write"},
            "harm": {
                "run": SECRETLY["in place"],
                "env": {"f": "kept.txt"},
                "files": ["*.txt"],
                "needs": "look",
            },
        }
    )
    step, kind, message = failure_of(job)
    assert (step, kind) == ("harm", "path")
    assert "kept.txt was already written by step 'write'" in message
    assert job.files["trial/kept.txt"].read_text() == "kept\n"


def test_a_change_beside_a_running_reader_is_seen_by_nobody(
    run_spec: RunSpec, tmp_path: Path
) -> None:
    wait = (
        f"i=0; while [ ! -e {tmp_path}/{{}} ] && [ $i -lt 400 ]; do sleep 0.02; i=$((i + 1)); done"
    )
    job = run_spec(
        {
            "write": {"run": "echo kept > kept.txt", "files": ["kept.txt"]},
            "reader": {
                "run": f"touch {tmp_path}/began; {wait.format('harmed')}; cat kept.txt",
                "needs": "write",
            },
            "harm": {
                "run": f"{wait.format('began')}; {SECRETLY['in place']}; touch {tmp_path}/harmed",
                "env": {"f": "kept.txt"},
                "needs": "write",
            },
            "read": {"run": "cat kept.txt", "needs": ["reader", "harm"]},
        },
        concurrency=2,
    )
    assert job.failures == ()
    assert (tmp_path / "harmed").exists()
    assert (job.outputs["reader"], job.outputs["read"]) == ("kept", "kept")


def test_what_a_step_prints_after_it_deleted_the_run_folder_is_still_its_output(
    run_spec: RunSpec,
) -> None:
    job = run_spec({"harm": {"run": 'rm -rf "$(dirname "$(dirname "$PWD")")"; echo still here'}})
    assert (job.status, job.outputs) == ("succeeded", {"harm": "still here"})


def test_two_steps_that_write_one_path_fail_the_later_one(run_spec: RunSpec) -> None:
    job = run_spec(
        {
            "first": {"run": "echo 1 > same.txt", "files": ["*.txt"]},
            "second": {"run": "echo 2 > same.txt", "files": ["same.txt"], "needs": "first"},
        }
    )
    step, kind, message = failure_of(job)
    assert (step, kind) == ("second", "path")
    assert "same.txt was already written by step 'first'" in message
    assert job.files["trial/same.txt"].read_text() == "1\n"


def test_two_steps_that_write_one_path_at_one_time_fail_the_later_one(run_spec: RunSpec) -> None:
    job = run_spec(
        {
            "first": {"run": "sleep 0.05; echo 1 > same.txt", "files": ["*.txt"]},
            "second": {"run": "sleep 0.4; echo 2 > same.txt", "files": ["*.txt"]},
        }
    )
    assert failure_of(job)[:2] == ("second", "path")


def test_a_glob_may_match_an_unchanged_file_of_another_step(run_spec: RunSpec) -> None:
    job = run_spec(
        {
            "first": {"run": "echo 1 > one.txt", "files": ["*.txt"]},
            "second": {"run": "echo 2 > two.txt", "files": ["*.txt"], "needs": "first"},
        }
    )
    assert job.status == "succeeded"
    assert sorted(job.files) == ["trial/one.txt", "trial/two.txt"]


@pytest.mark.parametrize("path", ["../out.txt", "/tmp/out.txt", "a/../../out.txt", "a//b", "."])
def test_a_path_that_leaves_the_folder_is_refused_before_anything_runs(
    run_spec: RunSpec, tmp_path: Path, path: str
) -> None:
    with pytest.raises(SpecError):
        run_spec({"write": {"value": "x", "files": [{"path": path, "content": "x"}]}})
    with pytest.raises(SpecError):
        run_spec({"write": {"run": "true", "files": [path]}})
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("path", ["../out.txt", "/etc/out.txt", "a/../../out.txt", "", "a\0b"])
def test_a_path_that_leaves_the_folder_only_when_it_runs_fails_the_step(
    run_spec: RunSpec, tmp_path: Path, path: str
) -> None:
    job = run_spec(
        {
            "name": {"value": {"path": path}},
            "write": {
                "value": "x",
                "files": [{"path": "${{ steps.name.output.path }}", "content": "x"}],
            },
        }
    )
    assert failure_of(job)[:2] == ("write", "path")
    assert not list(tmp_path.rglob("out.txt"))


@pytest.mark.parametrize("path", ["there/new.txt", "link.txt"])
def test_a_link_in_the_working_folder_is_never_followed_for_writing(
    run_spec: RunSpec, tmp_path: Path, path: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "target.txt").write_text("untouched")
    steps = {
        "plant": {"run": f"ln -s {outside} there; ln -s {outside}/target.txt link.txt"},
        "write": {"value": "x", "needs": "plant", "files": [{"path": path, "content": "x"}]},
        "last": {"run": "true", "needs": "write"},
    }
    # A link to a folder blocks publishing, which reports it.
    with suppress(UnsafePath):
        run_spec(steps)
    assert (outside / "target.txt").read_text() == "untouched"
    assert [entry.name for entry in outside.iterdir()] == ["target.txt"]


def test_a_link_is_not_captured(run_spec: RunSpec) -> None:
    job = run_spec(
        {
            "write": {
                "run": "ln -s /etc/hostname link.txt; ln -s /etc folder; echo 1 > one.txt",
                "files": ["**"],
            }
        }
    )
    assert sorted(job.files) == ["trial/one.txt"]


def test_a_file_that_an_earlier_attempt_wrote_the_same_is_recorded_as_no_change(
    run_spec: RunSpec, tmp_path: Path
) -> None:
    steps = {
        "write": {"run": "echo 1 > one.txt", "files": ["one.txt"]},
        "after": {"run": "test -e ../../../../good", "needs": "write"},
    }
    job = run_spec(steps)
    assert job.status == "failed"
    assert written(tmp_path) == [("write", "trial/one.txt", None)]
    (tmp_path / "good").touch()
    assert orc.resume(job.job_id, db=tmp_path / "runs.db").status == "succeeded"
    assert written(tmp_path) == [("write", "trial/one.txt", None)]


def test_a_written_file_and_its_bytes_are_committed_with_the_steps_success(
    run_spec: RunSpec, tmp_path: Path
) -> None:
    run_spec({"write": {"run": "echo 1 > one.txt", "files": ["one.txt"]}})
    events = read_events(tmp_path / "runs.db")
    types = [event["type"] for event in events if event["step"] == "write"]
    assert types == ["step.started", "file.written", "step.succeeded"]
    file = next(event for event in events if event["type"] == "file.written")
    with orc.open_ledger(tmp_path / "runs.db") as ledger:
        assert ledger.read_blob(file["data"]["sha256"]) == b"1\n"


def test_what_a_step_leaves_as_artifacts_is_kept_also_when_it_fails(run_spec: RunSpec) -> None:
    leave = 'mkdir "$ORC_ARTIFACTS/deep"; printf "\\0\\377" > "$ORC_ARTIFACTS/deep/core"'
    job = run_spec(
        {
            "good": {"run": leave},
            "bad": {"run": f"{leave}; exit 1", "continue_on_error": True},
        }
    )
    assert job.status == "succeeded"
    assert {name: path.read_bytes() for name, path in job.artifacts.items()} == {
        "good/deep/core": b"\0\xff",
        "bad/deep/core": b"\0\xff",
    }


def test_each_attempt_finds_its_artifacts_folder_empty(run_spec: RunSpec, tmp_path: Path) -> None:
    job = run_spec(
        {
            "twice": {
                "run": (
                    'ls "$ORC_ARTIFACTS" | wc -l; touch "$ORC_ARTIFACTS/$ORC_ATTEMPT"; '
                    'test "$ORC_ATTEMPT" = 2'
                ),
                "retry": {"max_attempts": 2, "initial": 0.01, "backoff": "fixed"},
            }
        }
    )
    assert job.outputs["twice"].strip() == "0"
    assert list(job.artifacts) == ["twice/2"]


def test_commands_and_functions_see_the_allowed_variables_and_what_the_spec_names(
    run_spec: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "seen.py").write_text("import os\ndef env(): return dict(os.environ)\n")
    monkeypatch.setenv("SECRET_OF_THE_CALLER", "secret")
    monkeypatch.setenv("PASSED", "through")
    monkeypatch.setenv("ORC_EXTRA", "passes")
    monkeypatch.setenv("LANG", "C")
    job = run_spec(
        {
            "command": {"run": "env", "env": {"STEP_ONLY": "yes"}},
            "function": {"python": "seen:env", "env": {"STEP_ONLY": "yes"}},
        },
        env={"NAMED": "a b", "PASSED": None, "ABSENT": None},
    )
    assert job.failures == ()
    command = dict(line.split("=", 1) for line in job.outputs["command"].splitlines())
    # The shell adds these variables itself.
    for name in ("PWD", "OLDPWD", "SHLVL", "_"):
        command.pop(name, None)
    own = {"ORC_JOB_ID", "ORC_STEP", "ORC_ATTEMPT", "ORC_SPEC_DIR", "ORC_ARTIFACTS", "ORC_WORK_DIR"}
    passed = {name for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    passed |= {name for name in os.environ if name.startswith("ORC_")}
    function = job.outputs["function"]
    assert set(command) == own | passed | {"NAMED", "PASSED", "STEP_ONLY"}
    assert set(function) - {"LC_CTYPE", "__CF_USER_TEXT_ENCODING"} == set(command)
    assert (command["NAMED"], command["PASSED"], command["ORC_EXTRA"]) == (
        "a b",
        "through",
        "passes",
    )
    assert command["ORC_SPEC_DIR"] == function["ORC_SPEC_DIR"] == str(tmp_path)
    assert function["ORC_STEP"] == "function"


def test_a_steps_timeout_ends_its_attempt_and_its_log_is_kept(
    run_spec: RunSpec, tmp_path: Path
) -> None:
    job = run_spec({"slow": {"run": "echo before; sleep 60 & sleep 60", "timeout": "0.4s"}})
    step, kind, message = failure_of(job)
    assert (step, kind) == ("slow", "timeout")
    assert "400 ms" in message
    assert (job.folder / "logs" / "slow.1.log").read_text() == "before\n"


def test_parallel_steps_capture_their_own_files_only(run_spec: RunSpec, tmp_path: Path) -> None:
    both = f"[ $(ls {tmp_path} | grep -c ready) -lt 2 ]"
    wait = f"i=0; while {both} && [ $i -lt 400 ]; do sleep 0.02; i=$((i + 1)); done"
    job = run_spec(
        {
            name: {
                "run": f"echo {name} > {name}.md; touch {tmp_path}/{name}.ready; {wait}; ls",
                "files": ["*.md"],
            }
            for name in ("alpha", "beta")
        },
        concurrency=2,
    )
    assert job.outputs == {"alpha": "alpha.md", "beta": "beta.md"}
    assert sorted(written(tmp_path)) == [
        ("alpha", "trial/alpha.md", None),
        ("beta", "trial/beta.md", None),
    ]


def test_a_step_sees_the_files_of_the_steps_that_it_depends_on(run_spec: RunSpec) -> None:
    def step(name: str, **more: object) -> dict[str, object]:
        return {"run": f"ls; touch {name}.txt; touch scratch", "files": [f"{name}.txt"], **more}

    job = run_spec(
        {
            "a": step("a"),
            "b": step("b", needs="a"),
            "apart": step("apart"),
            "group": {
                "needs": "b",
                "steps": {"first": step("first"), "second": step("second", needs="first")},
            },
            "item": {
                "needs": "apart",
                "for_each": ["x", "y"],
                "key": "${{ item }}",
                "run": 'ls; touch "$(basename "$PWD").t"',
                "files": ["*.t"],
            },
            "last": {"run": "ls | wc -l", "needs": ["group", "item"]},
        },
        concurrency=1,
    )
    assert job.failures == ()
    said = {name: text.split() for name, text in job.outputs.items() if isinstance(text, str)}
    assert said["a"] == said["apart"] == []
    assert said["b"] == ["a.txt"]
    assert job.outputs["group"] == {"first": "a.txt\nb.txt", "second": "a.txt\nb.txt\nfirst.txt"}
    assert job.outputs["item"] == ["apart.txt", "apart.txt"]
    # a, b, first, second, apart, and one of each item
    assert said["last"] == ["7"]


def test_a_later_round_sees_and_replaces_the_file_of_an_earlier_one(
    run_spec: RunSpec, tmp_path: Path
) -> None:
    job = run_spec(
        {
            "grow": {
                "run": "cat f.txt 2>/dev/null || :; echo x >> f.txt",
                "files": ["f.txt"],
                "loop": {"max_iterations": 3},
            },
            "read": {"run": "cat f.txt | wc -l", "needs": "grow"},
        }
    )
    assert job.failures == ()
    assert str(job.outputs["read"]).strip() == "3"
    assert [step for step, _, _ in written(tmp_path)] == ["grow#1", "grow#2", "grow#3"]
    assert job.files["trial/f.txt"].read_text() == "x\nx\nx\n"


def test_items_that_write_the_same_name_fail_the_later_ones(run_spec: RunSpec) -> None:
    job = run_spec(
        {
            "item": {
                "for_each": [1, 2, 3],
                "run": "echo ${{ item }} > ${{ 'out.txt' }}",
                "files": ["*.txt"],
            }
        },
        concurrency=1,
    )
    assert job.status == "failed"
    assert "already written by step 'item[0]'" in failure_of(job)[2]
    assert job.files["trial/out.txt"].read_text() == "1\n"


def test_a_retry_starts_in_an_empty_folder_and_keeps_the_files_of_others(run_spec: RunSpec) -> None:
    job = run_spec(
        {
            "other": {"run": "echo other > other.txt", "files": ["*.txt"]},
            "again": {
                "run": 'ls; if [ "$ORC_ATTEMPT" = 1 ]; then touch half.txt; exit 1; fi; touch done.txt',
                "files": ["*.txt"],
                "retry": {"max_attempts": 2, "initial": 0.01},
                "needs": "other",
            },
        }
    )
    assert job.failures == ()
    assert job.outputs["again"] == "other.txt"
    assert sorted(job.files) == ["trial/done.txt", "trial/other.txt"]


def test_links_that_a_pattern_matches_are_named(run_spec: RunSpec, tmp_path: Path) -> None:
    library = "mkdir lib; echo x > lib/a.so.1; ln -s a.so.1 lib/a.so; mkfifo lib/pipe; ln -s lib l"
    job = run_spec({"build": {"run": library, "files": ["lib/**"]}})
    assert job.failures == ()
    assert sorted(job.files) == ["trial/lib/a.so.1"]
    (ended,) = [
        event for event in read_events(tmp_path / "runs.db") if event["type"] == "step.succeeded"
    ]
    assert ended["data"]["warning"] == (
        "links and special files are not captured: lib/a.so, lib/pipe"
    )


def test_a_changed_file_of_another_step_that_is_not_declared_is_a_warning(
    run_spec: RunSpec, tmp_path: Path
) -> None:
    job = run_spec(
        {
            "write": {"run": "echo kept > kept.txt", "files": ["kept.txt"]},
            "harm": {"run": "echo other > kept.txt", "needs": "write"},
        }
    )
    assert job.failures == ()
    ends = [
        event for event in read_events(tmp_path / "runs.db") if event["type"] == "step.succeeded"
    ]
    assert [event["data"].get("warning") for event in ends] == [
        None,
        "the step changed kept.txt, which another step wrote; later steps see the original",
    ]


def test_steps_with_one_workspace_run_one_after_another_and_share_scratch(
    run_spec: RunSpec, tmp_path: Path
) -> None:
    begin = "mkdir here || exit 9; sleep 0.1; rmdir here"
    steps: dict[str, object] = {
        f"s{number}": {"run": f"{begin}; touch scratch{number}", "workspace": "w"}
        for number in range(4)
    }
    steps["last"] = {
        "run": "ls; echo out > out.txt",
        "workspace": "w",
        "needs": list(steps),
        "files": ["*"],
    }
    job = run_spec(steps, concurrency=5)
    assert job.failures == ()
    assert str(job.outputs["last"]).split() == ["scratch0", "scratch1", "scratch2", "scratch3"]
    assert sorted(job.files) == ["trial/out.txt"]


@pytest.mark.parametrize(
    ("keeps", "kept"), [(None, []), ("failed", ["bad.1"]), ("always", ["bad.1", "good.1"])]
)
def test_working_folders_are_kept_as_the_spec_says(
    run_spec: RunSpec, keeps: str | None, kept: list[str]
) -> None:
    more = {} if keeps is None else {"keep_work": keeps}
    job = run_spec(
        {
            "good": {"run": "touch left.txt"},
            "bad": {"run": "touch left.txt; exit 3", "needs": "good"},
        },
        **more,
    )
    work = Path(job.folder) / "work"
    found = sorted(path.parent.name for path in work.glob("*/left.txt"))
    assert found == kept


def test_a_written_file_has_the_value_of_its_step_as_json_if_it_is_no_text(
    run_spec: RunSpec, tmp_path: Path
) -> None:
    values: dict[str, Any] = {
        "whole": 7, "zero": 0, "no": False, "yes": True, "none": None, "float": 1.5,
        "list": ["ü", 1], "map": {"a": {}}, "text": "ü", "empty": "",
    }  # fmt: skip
    steps = {name: {"value": value, "files": [{"path": name}]} for name, value in values.items()}
    (tmp_path / "beside.py").write_text("def listed():\n    return ['ü', None]\n")
    made = {"python": "beside:listed", "files": [{"path": "made"}]}
    job = run_spec({**steps, "made": made})
    assert job.failures == ()
    assert {path.removeprefix("trial/"): file.read_text() for path, file in job.files.items()} == {
        "whole": "7", "zero": "0", "no": "false", "yes": "true", "none": "null", "float": "1.5",
        "list": '["ü", 1]', "map": '{"a": {}}', "text": "ü", "empty": "", "made": '["ü", null]',
    }  # fmt: skip
