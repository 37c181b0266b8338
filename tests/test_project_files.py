"""The files around the code agree: pyproject.toml, Makefile, pre-commit, workflows, templates."""

from __future__ import annotations

import io
import re
import runpy
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.command_line import orc, work_in

ROOT = Path(__file__).resolve().parents[1]
GITHUB = ROOT / ".github"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FORMS = sorted(
    path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml"
)
YAML_FILES = [ROOT / ".pre-commit-config.yaml", *sorted(GITHUB.rglob("*.yml"))]

# An address belongs into the settings of a machine: a file with one works on no mirror.
_REGISTRY = re.compile(
    r"pypi\.org|files\.pythonhosted\.org|registry\.npmjs\.org|registry\.yarnpkg\.com"
    r"|--(?:extra-)?index-url|--registry[= ]"
)
_TARGET = re.compile(r"^([a-z][a-z-]*):(?!=)([^#\n]*)", re.MULTILINE)
_MAKE = re.compile(r"(?<![\w./-])make((?: +[A-Za-z_=\"'$./-]+)*)")

pytestmark = pytest.mark.skipif(not GITHUB.is_dir(), reason="the sdist is without .github")


def load(path: Path) -> Any:
    """A YAML file. YAML 1.1 reads the key `on` of a workflow as True."""
    return yaml.safe_load(path.read_text("utf-8"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def targets() -> dict[str, list[str]]:
    """Each target of the Makefile that is a word, with what it needs."""
    return {name: needs.split() for name, needs in _TARGET.findall(MAKEFILE)}


def targets_called(command: str) -> list[str]:
    """The targets that a command line asks make for."""
    return [
        word
        for words in _MAKE.findall(command)
        for word in words.split()
        if not word.startswith("-") and "=" not in word
    ]


def steps_of(workflow: Path) -> list[dict[str, Any]]:
    """The steps of all jobs of a workflow."""
    return [step for job in load(workflow)["jobs"].values() for step in job.get("steps", [])]


def recipe_of(target: str) -> list[str]:
    """The commands of a target of the Makefile."""
    match = re.search(rf"^{target}:.*\n((?:\t.*\n)*)", MAKEFILE, re.MULTILINE)
    assert match is not None, target
    return [line.strip() for line in match[1].splitlines()]


def release(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the script of release.yml."""
    command = [sys.executable, str(GITHUB / "release.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("path", YAML_FILES, ids=name_of)
def test_a_file_is_a_mapping_in_yaml(path: Path) -> None:
    assert isinstance(load(path), dict)


# Checks before a commit


def test_pre_commit_runs_all_that_make_check_runs_and_nothing_else() -> None:
    (repository,) = load(ROOT / ".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    hooks = repository["hooks"]
    assert [targets_called(hook["entry"]) for hook in hooks] == [
        [check] for check in targets()["check"]
    ]
    assert all(hook["always_run"] and not hook["pass_filenames"] for hook in hooks)


def test_the_hook_for_other_repositories_checks_specs_and_not_their_replies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [hook] = load(ROOT / ".pre-commit-hooks.yaml")
    name, *words = hook["entry"].split()
    assert name in PYPROJECT["project"]["scripts"]
    assert re.search(hook["files"], "pipelines/report.yaml")
    assert re.search(hook["files"], "a/specs/report.yml")
    assert not re.search(hook["files"], "a/settings.yaml")
    assert re.search(hook["exclude"], "pipelines/report.replay.yaml")
    work_in(tmp_path, monkeypatch)
    (tmp_path / "good.yaml").write_text("project: p\nsteps: {a: {value: 1}}\n")
    (tmp_path / "bad.yaml").write_text("project: p\nsteps: {a: {valeu: 1}}\n")
    assert orc(*words, "good.yaml").code == 0
    said = orc(*words, "good.yaml", "bad.yaml")
    assert said.code == 2
    assert "bad.yaml:2" in said.out + said.err


def test_make_check_runs_ruff_its_formatter_and_strict_mypy() -> None:
    commands = [command for check in targets()["check"] for command in recipe_of(check)]
    checks = ["@$(BIN)/ruff check .", "@$(BIN)/ruff format --check .", "@$(BIN)/mypy"]
    assert [command for command in commands if "echo" not in command] == checks
    assert [command[:9] for command in commands if "echo" in command] == ['@echo "=='] * len(checks)
    assert recipe_of("check") == []
    assert PYPROJECT["tool"]["mypy"]["strict"] is True


def test_every_target_that_makes_no_file_is_phony() -> None:
    joined = MAKEFILE.replace("\\\n", " ")
    (phony,) = re.findall(r"^\.PHONY: (.*)$", joined, re.MULTILINE)
    assert sorted(phony.split()) == sorted(targets())


# Progress

PIP = """\
Obtaining file:///somewhere
Collecting trio>=0.35 (from orc-ledger==0.1.0)
Collecting attrs>=23
Requirement already satisfied: idna in lib (3.20)
Collecting Trio
Building wheels for collected packages: orc-ledger
Installing collected packages: attrs, trio, orc-ledger
"""
PROGRESS = ["1: trio", "2: attrs", "3: idna", "building wheels", "writing 3 packages"]


@pytest.mark.parametrize("is_terminal", [False, True])
def test_an_installation_shows_a_line_for_each_package(is_terminal: bool) -> None:
    show = runpy.run_path(str(GITHUB / "install.py"))["show"]
    out = io.StringIO()
    assert show(io.StringIO(PIP), out, is_terminal=is_terminal) == PIP
    lines = re.split(r"[\r\n]+", out.getvalue())
    shown = [line.strip() for line in lines if line.strip()]
    assert [line[: len(text)] for line, text in zip(shown, PROGRESS, strict=True)] == PROGRESS
    assert ("\n" in out.getvalue()) is not is_terminal


def test_make_demo_and_make_test_install_with_progress() -> None:
    for target in ("\\$\\(VENV\\)/.installed", "\\$\\(VENV\\)/.installed-test"):
        assert recipe_of(target)[0].startswith("@$(PYTHON) .github/install.py $(VENV) ")


# Workflows


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=name_of)
def test_a_workflow_calls_targets_that_the_makefile_has(workflow: Path) -> None:
    called = [name for step in steps_of(workflow) for name in targets_called(step.get("run", ""))]
    assert called
    assert set(called) <= set(targets())


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=name_of)
def test_a_job_has_a_time_limit_and_actions_of_a_fixed_major_version(workflow: Path) -> None:
    jobs = load(workflow)["jobs"].values()
    assert all("uses" in job or "timeout-minutes" in job for job in jobs)
    actions = [step["uses"] for step in steps_of(workflow) if "uses" in step]
    assert [action for action in actions if not re.search(r"@(release/)?v\d+$", action)] == []


@pytest.mark.parametrize("name", ["ci.yml", "nightly.yml"])
def test_tests_may_only_read_and_no_step_may_fail_unseen(name: str) -> None:
    path = GITHUB / "workflows" / name
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    jobs = workflow["jobs"]
    assert not any("continue-on-error" in part for part in [*jobs.values(), *steps_of(path)])
    assert all("permissions" not in job for job in jobs.values())
    assert "secrets." not in path.read_text("utf-8")


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=name_of)
def test_no_command_contains_what_is_given_to_a_workflow(workflow: Path) -> None:
    # The text of `${{ }}` would be part of the script; a variable is not.
    assert [step["run"] for step in steps_of(workflow) if "${{" in step.get("run", "")] == []


def test_the_long_tests_run_each_night_and_by_hand() -> None:
    path = GITHUB / "workflows/nightly.yml"
    started_by = load(path)[True]
    assert len(started_by["schedule"]) == 1
    assert "workflow_dispatch" in started_by
    commands = [step["run"] for step in steps_of(path) if "run" in step]
    called = [name for command in commands for name in targets_called(command)]
    assert sorted(called) == ["mutate", "simulate", "test-lowest", "torture"]
    assert any("MUTANTS_SEED=" in command for command in commands)
    rows = re.findall(r"^\| `make ([\w-]+).*\beach night\b", CONTRIBUTING, re.MULTILINE)
    assert sorted(rows) == sorted(called)


def test_ci_tests_on_linux_and_macos() -> None:
    job = load(GITHUB / "workflows/ci.yml")["jobs"]["test"]
    assert job["strategy"]["matrix"]["os"] == ["ubuntu-latest", "macos-latest"]
    assert [step["run"] for step in job["steps"] if "run" in step] == ["make test"]


def test_ci_runs_the_python_versions_that_the_classifiers_name() -> None:
    prefix = "Programming Language :: Python :: "
    classified = [
        line.removeprefix(prefix)
        for line in PYPROJECT["project"]["classifiers"]
        if line.startswith(prefix + "3.")
    ]
    jobs = load(GITHUB / "workflows/ci.yml")["jobs"]
    assert jobs["test"]["strategy"]["matrix"]["python"] == classified
    assert PYPROJECT["project"]["requires-python"] == f">={classified[0]}"
    wheels = load(GITHUB / "workflows/release.yml")["jobs"]["try-wheel"]["strategy"]["matrix"]
    assert wheels["python"] == [classified[0], classified[-1]]


def test_the_lowest_versions_are_tried_on_the_lowest_python() -> None:
    steps = load(GITHUB / "workflows/ci.yml")["jobs"]["lowest"]["steps"]
    (python,) = (step["with"]["python-version"] for step in steps if "with" in step)
    assert PYPROJECT["project"]["requires-python"] == f">={python}"
    assert [step["run"] for step in steps if "run" in step] == ["make test-lowest"]
    assert "--resolution lowest-direct" in MAKEFILE


def test_ci_runs_every_target_that_contributing_says_it_runs() -> None:
    rows = re.findall(r"^\| `make ([\w-]+).*\bCI runs\b", CONTRIBUTING, re.MULTILINE)
    steps = steps_of(GITHUB / "workflows/ci.yml")
    called = {name for step in steps for name in targets_called(step.get("run", ""))}
    assert set(rows) == {"test", "test-lowest", "test-providers", "docs"}
    assert set(rows) <= called


def test_every_dependency_has_a_lower_bound() -> None:
    extras = PYPROJECT["project"]["optional-dependencies"].values()
    wanted = [*PYPROJECT["project"]["dependencies"], *(name for extra in extras for name in extra)]
    own = PYPROJECT["project"]["name"]
    assert [name for name in wanted if ">=" not in name and not re.match(rf"{own}\[", name)] == []


# Release


def test_a_release_is_published_after_ci_the_build_and_a_try_of_the_wheel() -> None:
    workflow = load(GITHUB / "workflows/release.yml")
    assert workflow[True] == {"push": {"tags": ["v*"]}}
    jobs = workflow["jobs"]
    assert jobs["publish"]["needs"] == ["ci", "build", "try-wheel"]
    assert jobs["ci"]["uses"] == "./.github/workflows/ci.yml"
    assert "workflow_call" in load(GITHUB / "workflows/ci.yml")[True]
    commands = [step["run"] for step in jobs["build"]["steps"] if "run" in step]
    assert commands == ['python .github/release.py tag "$GITHUB_REF_NAME"', "make dist"]
    tried = " ".join(step.get("run", "") for step in jobs["try-wheel"]["steps"])
    assert "orc demo" in tried
    assert "orc verify" in tried
    assert not any("checkout" in step.get("uses", "") for step in jobs["try-wheel"]["steps"])


def test_only_the_job_that_publishes_may_ask_for_an_identity() -> None:
    workflow = load(GITHUB / "workflows/release.yml")
    assert workflow["permissions"] == {}
    jobs = workflow["jobs"]
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert jobs["publish"]["environment"] == "pypi"
    others = [job["permissions"] for name, job in jobs.items() if name != "publish"]
    assert all(permissions in ({}, {"contents": "read"}) for permissions in others)
    assert "secrets." not in (GITHUB / "workflows/release.yml").read_text("utf-8")


def test_a_release_goes_on_only_if_the_tag_is_the_version() -> None:
    version = PYPROJECT["project"]["version"]
    assert release("tag", f"v{version}").returncode == 0
    for wrong in (version, "v999.0", f"v{version}.1", f"v{version}rc1", ""):
        refused = release("tag", wrong)
        assert refused.returncode == 1
        assert version in refused.stderr


@pytest.mark.parametrize(
    ("name", "files", "differs_in"),
    [
        ("a-1-py3-none-any.whl", {"orc/a.py": "1", "orc/b.py": ""}, None),
        ("a-1-py3-none-any.whl", {"orc/a.py": "2", "orc/b.py": ""}, "orc/a.py"),
        ("a-1-py3-none-any.whl", {"orc/a.py": "1"}, "orc/b.py"),
        ("a-1-py3-none-any.whl", {"orc/a.py": "1", "orc/b.py": "", "c.py": ""}, "c.py"),
        ("a-2-py3-none-any.whl", {"orc/a.py": "1", "orc/b.py": ""}, "a-2-py3-none-any.whl"),
    ],
)
def test_wheels_of_tree_and_sdist_are_compared(
    tmp_path: Path, name: str, files: dict[str, str], differs_in: str | None
) -> None:
    ours = write_wheel(
        tmp_path / "ours" / "a-1-py3-none-any.whl", {"orc/a.py": "1", "orc/b.py": ""}
    )
    theirs = write_wheel(tmp_path / "theirs" / name, files)
    difference = runpy.run_path(str(GITHUB / "release.py"))["difference"]
    found = difference(ours, theirs)
    assert found is None if differs_in is None else differs_in in found


def write_wheel(path: Path, files: dict[str, str]) -> Path:
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


# Templates and addresses


@pytest.mark.parametrize("form", FORMS, ids=name_of)
def test_the_fields_of_an_issue_form_have_labels_and_ids_of_their_own(form: Path) -> None:
    content = load(form)
    assert content["name"]
    assert content["description"]
    fields = [field for field in content["body"] if field["type"] != "markdown"]
    assert all(field["attributes"]["label"] for field in fields)
    ids = [field["id"] for field in fields]
    assert len(ids) == len(set(ids))


def test_no_file_has_the_address_of_a_registry() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    assert len(paths) > 100
    found = [
        f"{name_of(path)}: {match[0]}"
        for path in paths
        if path.is_file()
        for match in _REGISTRY.finditer(path.read_bytes().decode("utf-8", "replace"))
    ]
    assert found == []
