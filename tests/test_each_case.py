"""Many cases in one test: all of them run, and the failure names those that fail."""

from __future__ import annotations

import inspect

import pytest

from tests.each_case import each_case


def test_all_cases_run_and_the_failure_names_those_that_fail(tmp_path: object) -> None:
    ran: list[tuple[int, str]] = []

    @each_case("number, word", [(1, "one"), (2, "two"), (3, "three")])
    def odd(number: int, word: str, tmp_path: object) -> None:
        ran.append((number, word))
        assert number % 2, word

    assert list(inspect.signature(odd).parameters) == ["tmp_path"]
    with pytest.raises(AssertionError, match="two") as caught:
        odd(tmp_path=tmp_path)
    assert ran == [(1, "one"), (2, "two"), (3, "three")]
    assert caught.value.__notes__ == ["1 of 3 cases failed, first this:\n  (2, 'two')"]


def test_cases_of_two_kinds_are_combined() -> None:
    ran: list[tuple[str, int]] = []

    @each_case("letter", "ab")
    @each_case("number", [1, 2])
    def both(letter: str, number: int) -> None:
        ran.append((letter, number))
        assert letter != "b"

    with pytest.raises(AssertionError) as caught:
        both()
    assert sorted(ran) == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    assert [note.split("\n  ")[1:] for note in caught.value.__notes__] == [["1", "2"], ["'b'"]]


def test_a_test_without_cases_or_without_the_name_is_refused() -> None:
    with pytest.raises(AssertionError, match="without cases"):
        each_case("number", [])
    with pytest.raises(AssertionError, match="number"):
        each_case("number", [1])(lambda: None)


def test_a_skip_in_a_case_is_not_swallowed() -> None:
    @each_case("number", [1])
    def skips(number: int) -> None:
        pytest.skip("not here")

    with pytest.raises(pytest.skip.Exception):
        skips()
