"""The names on the disk that are made of a step's id fit every file system, and are told apart."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orc.ledger.step_names import folder_name, log_name, reused_log_name, work_name

LONG = "/".join(letter * 64 for letter in "abcd") + "[" + "k" * 64 + "]#10000"
NAMES: dict[str, Callable[[str], str]] = {
    "artifacts": folder_name,
    "log": lambda step_id: log_name(step_id, 1000),
    "work": lambda step_id: work_name(step_id, 1000),
    "reused log": reused_log_name,
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_long_id_gives_a_name_that_fits_and_no_other_id_gives(name: Callable[[str], str]) -> None:
    deep = "/".join([LONG] * 8)
    ids = [deep, deep + "x", deep.upper(), deep[1:], *(f"{deep}[{n}]" for n in range(100))]
    names = [name(step_id) for step_id in ids]
    assert len({found.casefold() for found in names}) == len(names)
    assert all(len(found) <= 255 and "/" not in found for found in names)
    assert all(
        found.startswith(step_id[:150].replace("/", "."))
        for step_id, found in zip(ids, names, strict=True)
    )


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_an_id_of_another_ledger_gives_a_name_that_fits(name: Callable[[str], str]) -> None:
    for step_id in ("\u00e9" * 400, "\U0001f600" * 90, "\ud800" * 300):
        assert len(name(step_id).encode("utf-8", "replace")) <= 255


def test_a_name_that_fits_stays_as_it_is() -> None:
    assert folder_name("draft#2/write[0]") == "draft#2.write[0]"
    assert log_name("draft#2/write", 3) == "draft#2.write.3.log"
    assert work_name("draft#2/write", 3) == "draft#2.write.3"
    assert reused_log_name("draft#2/write") == "draft#2/write.reused.log"
    # As long as possible: run folders of earlier versions have such names.
    assert folder_name("a" * 255) == "a" * 255
    assert log_name("a" * 249, 1) == "a" * 249 + ".1.log"
    assert work_name("a" * 243, 1) + ".artifacts" == "a" * 243 + ".1.artifacts"
    nested = "/".join(["a" * 64] * 10)
    assert reused_log_name(nested) == nested + ".reused.log"
