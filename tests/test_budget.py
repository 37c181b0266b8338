"""A test that takes too much processor time fails, unless it is one of the long ones."""

from __future__ import annotations

import pytest

from tests import budget

pytest_plugins = ["pytester"]

BUSY = """
    import time, pytest

    def busy():
        began = time.process_time()
        while time.process_time() < began + 0.1:
            pass

    def test_short(): pass

    def test_busy(): busy()

    @pytest.mark.torture
    def test_marked(): busy()

    def test_waiting(): time.sleep(0.1)
"""


def test_a_busy_test_fails_and_a_waiting_or_marked_one_does_not(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nmarkers = torture")
    pytester.makepyfile(BUSY)
    with pytest.MonkeyPatch.context() as patches:  # over before this test is judged itself
        patches.setattr(budget, "CPU_S_MAX", 0.08)
        done = pytester.runpytest_inprocess("-p", "tests.budget", "-p", "no:cacheprovider")
    done.assert_outcomes(passed=3, failed=1)
    done.stdout.fnmatch_lines(["*::test_busy took 0.* s of processor time*`torture`*"])


def test_a_long_run_lists_its_files(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "LISTED_FROM_S", 0.05)
    pytester.makeini("[pytest]\nmarkers = torture")
    pytester.makepyfile(test_one=BUSY, test_two="def test_two(): pass")
    done = pytester.runpytest_inprocess("-p", "tests.budget", "-p", "no:cacheprovider")
    done.stdout.fnmatch_lines(
        [
            "* the 12 longest files *",
            "* s * s  test_one.py",
            "* s * s  test_two.py",
            "* all 2 files",
        ]
    )
