"""The examples of the page on the Python API, run from top to bottom as the page says."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import orc
from orc.cli.exit_codes import code_for_error
from tests.docs.conftest import blocks_of, plain_environment, read_page

PAGE = "docs/python.md"
MARK = "---- the next example ----"


def test_every_example_prints_what_the_page_shows(checkout: Path) -> None:
    [spec] = blocks_of(PAGE, language="yaml")
    (checkout / "greeting.yaml").write_text(spec.text, "utf-8")
    examples = blocks_of(PAGE, language="python")
    program = f"\nprint({MARK!r})\n".join(block.text for block in examples)
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=checkout,
        env=plain_environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.stderr == ""
    shown = [block.text for block in blocks_of(PAGE, language="text")]
    assert done.stdout.split(f"{MARK}\n") == shown


def test_every_function_is_in_an_example_and_every_class_and_error_on_the_page() -> None:
    code = "".join(block.text for block in blocks_of(PAGE, language="python"))
    page = read_page(PAGE)
    functions = {name for name in orc.__all__ if inspect.isfunction(getattr(orc, name))}

    assert functions - set(re.findall(r"orc\.(\w+)\(", code)) == set()
    results = {"Decision", "Plan", "PlannedStep", "Problem", "Replay"}
    results |= {"Failure", "Verification"}
    for name in set(orc.__all__) - functions - results:
        assert f"`{name}`" in page or f"`orc.{name}`" in page, name


def test_the_exit_codes_of_the_page_are_those_of_the_command_line() -> None:
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| [^|]+ \| (\d+) \|$", read_page(PAGE), re.M)
    found = {name: int(code) for names, code in rows for name in re.findall(r"`(\w+)`", names)}

    assert len(found) == 13
    for name, code in found.items():
        kind = getattr(orc, name)
        assert code_for_error(kind.__new__(kind)) == code, name
