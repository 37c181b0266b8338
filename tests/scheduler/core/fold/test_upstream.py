"""Which files a step may see, and which files of others it may replace."""

from __future__ import annotations

import pytest

from orc.scheduler.core.fold.upstream import may_replace


@pytest.mark.parametrize(
    ("owner", "step", "may"),
    [
        ("a", "a", True),
        ("a", "b", False),
        ("d#1", "d#2", True),
        ("d#1", "d#12", True),
        ("d#2/a", "d#3/b", True),
        ("g/d#1/x", "g/d#2", True),
        ("x[0]/d#1", "x[0]/d#2", True),
        ("d#2", "d#1", False),
        ("d", "d#1", False),
        ("d#1", "d", False),
        ("d#1", "e#2", False),
        ("x[0]/d#1", "x[1]/d#2", False),
        ("d#1/a", "d#1/b", False),
    ],
)
def test_only_a_later_round_of_the_same_loop_may_replace_a_file_of_another_step(
    owner: str, step: str, may: bool
) -> None:
    assert may_replace(owner, step) is may
