"""What the tests take: each has a limit of processor time, and a long run says which files took it.

Processor time is that of the test and of its processes that have ended; a machine that is busy with
something else changes it little.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Generator
from typing import Any

import pytest

CPU_S_MAX = 20.0
"""Several times what any test takes on a quiet machine, with room for slow ones and for coverage."""

LISTED_FROM_S = 60.0
LISTED = 12
_used_s = pytest.StashKey[float]()


def used_s() -> float:
    """The processor time of this process so far, with that of its processes that have ended."""
    return sum(os.times()[:4])


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.stash[_used_s] = used_s()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note the time of each phase, and fail a test that is over the limit."""
    report = yield
    now_s = used_s()
    took_s = now_s - item.stash.get(_used_s, now_s)
    item.stash[_used_s] = now_s
    report.cpu_s = took_s  # type: ignore[attr-defined]  # xdist sends it along
    is_long = item.get_closest_marker("torture") is not None
    if report.when == "call" and report.passed and took_s > CPU_S_MAX and not is_long:
        report.outcome = "failed"
        report.longrepr = (
            f"{item.nodeid} took {took_s:.1f} s of processor time, and {CPU_S_MAX:g} s is the "
            "limit of `make test`: keep a slice there, and mark the whole with `torture`"
        )
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """List the files that took most, after a run that took long."""
    cpu_s: dict[str, float] = defaultdict(float)
    wall_s: dict[str, float] = defaultdict(float)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                file = report.nodeid.partition("::")[0]
                cpu_s[file] += getattr(report, "cpu_s", 0.0)
                wall_s[file] += report.duration
    if sum(wall_s.values()) < LISTED_FROM_S:
        return
    terminalreporter.section(f"the {LISTED} longest files")
    terminalreporter.write_line("   wall    processor")
    for file in sorted(wall_s, key=wall_s.__getitem__, reverse=True)[:LISTED]:
        terminalreporter.write_line(f"{wall_s[file]:5.1f} s {cpu_s[file]:7.1f} s  {file}")
    total = f"{sum(wall_s.values()):5.0f} s {sum(cpu_s.values()):7.0f} s  all {len(wall_s)} files"
    terminalreporter.write_line(total)
