"""Arguments of the wrong type are refused before anything is written."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

import orc
import orc.arguments
from tests.api.conftest import GATED

# For a type checker, the calls below are wrong.
api: Any = orc
TIMES: list[Any] = ["3", True, 0, -1, float("nan"), float("inf"), 1e308, 10**400, []]
FUNCTIONS = [
    *"approve cancel diff fork job jobs load_spec open_ledger plan reject replay rerun".split(),
    *"resume run submit validate verify work".split(),
]


def test_each_argument_of_each_function_is_checked() -> None:
    names = {
        name for each in FUNCTIONS for name in inspect.signature(getattr(orc, each)).parameters
    }

    assert names == set(orc.arguments._checks)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (partial(api.run, model=3), "model=3: give a text"),
        (partial(api.run, provider=b"x"), "provider=b'x': give a text"),
        (partial(api.run, until=[3]), "until=3: give a text"),
        (partial(api.run, until=b"gate"), "until=b'gate': give a text, or a list of texts"),
        (partial(api.run, inputs={1: 2}), "inputs={1: 2}: the name 1 is not a text"),
        (partial(api.run, inputs="a=1"), "inputs='a=1': give a mapping, such as"),
        (partial(api.run, db=3), "db=3: give a path"),
        (partial(api.run, output_dir="a\0b"), "output_dir='a\\x00b': a path cannot have a null"),
        (partial(api.run, force="no"), "force='no': give True or False"),
        (partial(api.submit, model=3), "model=3: give a text"),
        (partial(api.validate, inputs=[1]), "inputs=[1]: give a mapping"),
        (partial(api.plan, model=3), "model=3: give a text"),
    ],
)
def test_wrong_types_are_refused_before_a_job_is_submitted(
    here: Path, call: Callable[..., Any], message: str
) -> None:
    spec = here / "gated.yaml"
    spec.write_text(GATED)

    with pytest.raises(orc.UsageProblem) as refused:
        call(spec)

    assert str(refused.value).startswith(message)
    assert not (here / "runs.db").exists()


@pytest.mark.parametrize("spec", [None, 3, b"gated.yaml", {"project": "x"}])
def test_only_a_path_or_a_model_is_a_spec(spec: Any) -> None:
    with pytest.raises(orc.UsageProblem, match="give the path of a spec"):
        api.run(spec)


@pytest.mark.parametrize(
    "call",
    [
        *(partial(api.resume, timeout_s=value) for value in TIMES),
        partial(api.resume, budget=3),
        partial(api.cancel, reason=3),
        partial(api.rerun, steps=[3]),
        partial(api.fork, changes={3: "x"}),
        partial(api.approve, step="gate", comment=3),
        partial(api.approve, step=["gate"]),
    ],
)
def test_wrong_types_leave_a_job_as_it_is(here: Path, call: Callable[..., Any]) -> None:
    (here / "gated.yaml").write_text(GATED)
    before = orc.run("gated.yaml")

    with pytest.raises(orc.UsageProblem):
        call(before.job_id)

    assert orc.job(before.job_id) == before
    assert orc.verify().is_intact


@pytest.mark.parametrize(
    "options",
    [{"limit": -1}, {"limit": "3"}, {"since": date.min}, {"tag": ["a"]}, {"project": "\ud800"}],
)
def test_wrong_filters_of_jobs_are_refused(here: Path, options: dict[str, Any]) -> None:
    (here / "gated.yaml").write_text(GATED)
    orc.run("gated.yaml")

    with pytest.raises(orc.UsageProblem):
        orc.jobs(**options)


def test_asynchronous_functions_refuse_them_too() -> None:
    with pytest.raises(orc.UsageProblem, match="spec=3"):
        trio.run(api.run_async, 3)


def test_names_may_come_from_a_generator(here: Path) -> None:
    (here / "gated.yaml").write_text(GATED)

    assert orc.run("gated.yaml", until=(name for name in ["gate"])).status == "waiting"
