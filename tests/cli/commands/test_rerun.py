"""`orc rerun`: which steps run again, and which names it refuses."""

from __future__ import annotations

from tests.cli.command_line import orc, submit
from tests.cli.jobs.test_amend import SPEC, attempts


def test_rerun_runs_a_step_and_its_dependents_again() -> None:
    submit(SPEC)
    said = orc("rerun", "latest", "--step", "b")
    assert said.code == 0
    assert "  b: asked for\n  c: after b\n" in said.err
    assert attempts() == {"a": 1, "b": 2, "c": 2, "d": 1}
    assert orc("rerun", "latest", "--step", "c", "--step", "d").code == 0
    assert attempts() == {"a": 1, "b": 2, "c": 3, "d": 2}
    assert orc("verify").code == 0


def test_rerun_uses_no_cache() -> None:
    cached = (
        "project: p\nsteps:\n  a: {run: date +%N, cache: ledger}\n  b: {run: 'true', needs: a, "
    )
    submit(cached + "cache: ledger}\n")
    assert orc("rerun", "latest", "--step", "a").code == 0
    kinds = [
        (line["type"], line["step"])
        for line in orc("tail", "latest", "--json", "--type", "step").lines()
    ]
    assert kinds[4:] == [
        ("step.started", "a"),
        ("step.succeeded", "a"),
        # The dependent step got no new input and was not named, so that the cache answers it.
        ("step.reused", "b"),
    ]


def test_rerun_of_an_unknown_step_names_the_nearest() -> None:
    submit(SPEC.replace("  d:", "  delta:"))
    said = orc("rerun", "latest", "--step", "detla")
    assert (said.code, said.err) == (
        2,
        "orc: --step: there is no step 'detla'; did you mean 'delta'?\n",
    )
