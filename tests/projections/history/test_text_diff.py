"""A difference of two texts is enough to make the second from the first."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from orc.projections.history.text_diff import COMPARED_LINES_MAX, diff_texts

_texts = st.lists(st.sampled_from(("a", "b", "c", "", "\r", "--- x", "@@ y")), max_size=25).map(
    "\n".join
)


@given(_texts, _texts)
def test_a_difference_applied_to_the_first_text_gives_the_second(before: str, after: str) -> None:
    found = diff_texts(before, after)

    if found is None:
        assert before == after
        return
    assert patched(before.split("\n"), found.lines) == after.split("\n")
    assert found.added - found.removed == after.count("\n") - before.count("\n")


def patched(lines: list[str], difference: tuple[str, ...]) -> list[str]:
    """An independent reader of unified differences."""
    result: list[str] = []
    place = 0
    for line in difference:
        head = re.match(r"@@ -(\d+)(?:,(\d+))? \+", line)
        if head is not None:
            start = int(head[1]) - (0 if head[2] == "0" else 1)
            result += lines[place:start]
            place = start
        elif line[0] == "+":
            result.append(line[1:])
        else:
            assert lines[place] == line[1:]
            if line[0] == " ":
                result.append(line[1:])
            place += 1
    return result + lines[place:]


def test_long_differences_are_counted_and_not_compared() -> None:
    lines = COMPARED_LINES_MAX + 1
    before, after = ("".join(f"{word}{n}\n" for n in range(lines)) for word in ("a", "b"))

    found = diff_texts(f"same\n{before}", f"same\n{after}")

    assert found is not None
    assert (found.lines, found.added, found.removed) == ((), lines, lines)
    assert f"{lines:,} lines from line 2 on" in (found.note or "")


def test_a_small_difference_in_a_long_text_is_shown() -> None:
    before = "\n".join(map(str, range(100_000)))

    found = diff_texts(before, before.replace("\n50000\n", "\nother\n"))

    assert found is not None
    assert found.lines[0] == "@@ -49998,7 +49998,7 @@"
    assert "+other" in found.lines
