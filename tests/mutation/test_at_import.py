"""A mutant of a function that is called when its module is imported is noticed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.mutation.runner import read_results, run_mutmut
from tests.mutation.targets import ROOT

_FILES = {
    "orc/__init__.py": "",
    "orc/made.py": """\
def twice(number):
    return number * 2


def thrice(number):
    return number * 3


FOUR = twice(2)
""",
    "tests/__init__.py": "",
    "tests/test_a_first.py": "def test_nothing():\n    pass\n",
    "tests/test_made.py": """\
from orc.made import FOUR, thrice


def test_four():
    assert FOUR == 4


def test_nine():
    assert thrice(3) == 9
""",
    "pyproject.toml": "[tool.pytest.ini_options]\naddopts = '-p tests.mutation.at_import'\n",
    "setup.cfg": """\
[mutmut]
source_paths =
    orc/made.py
pytest_add_cli_args_test_selection =
    tests
also_copy =
    orc
    tests
    pyproject.toml
""",
}


@pytest.mark.torture
def test_a_mutant_of_what_is_called_at_import_is_noticed(tmp_path: Path) -> None:
    for name, text in _FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "tests" / "mutation").mkdir()
    shutil.copy(ROOT / "tests" / "mutation" / "at_import.py", tmp_path / "tests" / "mutation")
    said = run_mutmut(tmp_path, "run")
    statuses = {mutant.name: mutant.status for mutant in read_results(tmp_path)}
    assert any("x_twice__" in name for name in statuses), said
    assert {*statuses.values()} == {"killed"}, (statuses, said)
