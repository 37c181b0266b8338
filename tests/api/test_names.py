"""The package `orc`: its names, its types in a user's program, and the modules that it loads."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import orc
from tests.processes import ROOT


@pytest.mark.torture
def test_a_users_type_checker_finds_the_types_of_orc(tmp_path: Path) -> None:
    """With the user's own settings, and without a cache. `make check` checks the script with ours."""
    script = tmp_path / "script.py"
    script.write_text((ROOT / "tests" / "api" / "typed_script.py").read_text("utf-8"))
    (tmp_path / "mypy.ini").write_text("[mypy]\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", "cache", script.name]
    environment = {**os.environ, "MYPYPATH": ""}
    checked = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240
    )
    assert checked.returncode == 0, checked.stdout


def loaded_by(code: str) -> set[str]:
    """The modules that a new interpreter has loaded after the code."""
    code = f"{code}\nimport sys\nprint(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    return set(done.stdout.split())


def test_importing_orc_loads_nothing_besides_itself() -> None:
    assert loaded_by("import orc") - loaded_by("") <= {"orc", "__future__"}


def test_the_api_and_the_use_cases_load_no_module_of_the_terminal() -> None:
    folder = ROOT / "cli" / "jobs"
    modules = sorted(path.relative_to(folder).with_suffix("") for path in folder.rglob("*.py"))
    code = "import orc, orc.api\n" + "\n".join(
        f"import orc.cli.jobs.{'.'.join(name.parts)}" for name in modules if name.stem != "__init__"
    )
    terminal = ("orc.cli.terminal", "orc.cli.commands", "typer", "click", "rich")

    assert [name for name in sorted(loaded_by(code)) if name.startswith(terminal)] == []


def test_no_function_of_a_use_case_imports_the_terminal_either() -> None:
    paths = [*(ROOT / "cli" / "jobs").rglob("*.py"), *(ROOT / "orc").glob("*.py")]
    found = {
        f"{path.name}: {name}"
        for path in paths
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else []
        )
        if name.startswith(("orc.cli.terminal", "orc.cli.commands", "typer"))
    }

    assert len(paths) > 20
    assert ROOT / "cli" / "jobs" / "caller" / "secrets.py" in paths
    assert found == set()


def test_every_name_exists_is_listed_and_is_typed() -> None:
    tree = ast.parse((ROOT / "orc" / "__init__.py").read_text("utf-8"))
    typed = {
        str(alias.asname): (node.module or "").removeprefix("orc.")
        for block in tree.body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    assert typed == orc._HOMES
    assert sorted(orc.__all__) == sorted(typed)
    assert set(typed) <= set(dir(orc))
    for name in typed:
        assert getattr(orc, name) is not None


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        getattr(orc, "nonsense")  # noqa: B009
