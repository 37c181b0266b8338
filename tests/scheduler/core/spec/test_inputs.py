"""The values of inputs, also of programs that give any object: each is refused or can be stored."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import orc
from orc.ledger.bounds import INNER_LEVELS_MAX
from orc.scheduler.core.spec.inputs import read_input
from orc.scheduler.core.spec.model import InputSpec

CYCLE: list[Any] = []
CYCLE.append(CYCLE)


def nested(levels: int) -> Any:
    value: Any = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ([10**4300], "more than 4,300 digits"),
        ([float("nan")], "infinite or NaN"),
        (nested(INNER_LEVELS_MAX + 1), "more than 190 levels deep"),
        (CYCLE, "levels deep"),
        ([{1, 2}], "a set, which is not a JSON type"),
        ([Decimal(1)], "a Decimal, which is not a JSON type"),
        ([{1: 2}], "a key that is not a text"),
        ("[" + "9" * 4301 + "]", "more than 4,300 digits"),
        ("[" * 191 + "]" * 191, "more than 190 levels deep"),
    ],
    ids=["digits", "nan", "levels", "cycle", "set", "Decimal", "key", "digits as text", "text"],
)
def test_an_input_that_cannot_be_stored_is_refused_before_there_is_a_job(
    value: Any, why: str, tmp_path: Path
) -> None:
    _, problem = read_input(value, InputSpec(type="list"))
    assert problem.startswith("cannot be stored: ")
    assert why in problem
    spec = tmp_path / "spec.yaml"
    spec.write_text("project: x\ninputs: {given: {type: list}}\nsteps: {a: {value: 1}}\n")
    with pytest.raises(orc.SpecError, match=r"inputs\.given: cannot be stored"):
        orc.run(spec, inputs={"given": value}, db=tmp_path / "runs.db")
    assert not (tmp_path / "runs.db").exists()


@pytest.mark.parametrize(
    "value", [nested(INNER_LEVELS_MAX), [10**4300 - 1]], ids=["levels", "digits"]
)
def test_an_input_at_the_bounds_reaches_its_step(value: Any, tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        "project: x\ninputs: {given: {type: list}}\nsteps: {a: {value: '${{ inputs.given }}'}}\n"
    )
    job = orc.run(spec, inputs={"given": value}, db=tmp_path / "runs.db")
    assert job.status == "succeeded"


def test_the_message_about_a_long_input_quotes_its_start() -> None:
    _, problem = read_input("x" * 100_000, InputSpec(type="integer"))
    assert problem.startswith("must be of type integer; got 'xxx")
    assert len(problem) < 300
