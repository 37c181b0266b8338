"""The function of the pages' script that words durations, run by Node, agrees with Python's."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from importlib.resources import files

import pytest

from orc.ledger.wording import duration_text
from tests.wording_table import DURATIONS

_FUNCTION = re.compile(r"^  function durationText\(seconds\) \{\n.*?^  \}\n", re.M | re.S)


def run_node(seconds: list[float]) -> list[str]:
    """The texts that the script's function returns."""
    node = shutil.which("node")
    if node is None:
        driver = pytest.importorskip("playwright._impl._driver")
        node = driver.compute_driver_executable()[0]
    script = (files("orc.projections.pages") / "static" / "orc.js").read_text(encoding="utf-8")
    function = _FUNCTION.search(script)
    assert function is not None
    program = f"{function[0]}console.log(JSON.stringify({json.dumps(seconds)}.map(durationText)));"
    done = subprocess.run([node, "-e", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    texts: list[str] = json.loads(done.stdout)
    return texts


def test_the_script_words_durations_as_the_shared_table_says() -> None:
    assert run_node([seconds for seconds, _ in DURATIONS]) == [text for _, text in DURATIONS]


def test_the_script_and_python_agree_from_a_millisecond_to_a_year() -> None:
    some = [0.0003 * 1.01**step for step in range(2_600)]
    some += [
        border + shift for border in (1, 10, 60, 3600, 86_400) for shift in (-0.05, -0.5, 0.05)
    ]

    assert run_node(some) == [duration_text(seconds) for seconds in some]
