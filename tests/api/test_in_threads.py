"""The functions of the API that do their work in a thread, under trio."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.lowlevel

import orc
from tests.cli.command_line import work_in, write

NAMES = ("diff", "job", "jobs", "plan", "submit", "validate", "verify")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, empty."""
    return work_in(tmp_path, monkeypatch)


async def test_each_returns_what_its_synchronous_function_returns() -> None:
    spec = write("spec.yaml", "project: x\nsteps: {a: {value: 1}}\n")
    with trio.fail_after(60):
        assert await orc.validate_async(spec) == ()
        assert (await orc.plan_async(spec)).project == "x"
        submitted = await orc.submit_async(spec)
        other = await orc.run_async(spec)
        found = await orc.job_async(submitted.job_id)
        listed = await orc.jobs_async()
        same = await orc.diff_async(other.job_id, other.job_id)
        verified = await orc.verify_async()

    assert found == orc.job(submitted.job_id)
    assert listed == orc.jobs()
    assert same == orc.diff(other.job_id, other.job_id)
    assert verified == orc.verify()


async def test_an_error_is_the_error_of_the_synchronous_function() -> None:
    with pytest.raises(orc.NoLedger):
        await orc.job_async()
    with pytest.raises(orc.SpecError):
        await orc.submit_async(write("bad.yaml", "project: x\nsteps: {a: {valeu: 1}}\n"))


async def test_other_tasks_go_on_meanwhile() -> None:
    spec = write("spec.yaml", "project: x\nsteps: {a: {value: 1}}\n")
    await orc.run_async(spec)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        await orc.verify_async()
        nursery.cancel_scope.cancel()

    assert turns > 1


@pytest.mark.parametrize("name", NAMES)
def test_the_arguments_are_those_of_the_synchronous_function(name: str) -> None:
    function, version = getattr(orc, name), getattr(orc, f"{name}_async")

    assert inspect.iscoroutinefunction(version)
    assert inspect.signature(version).parameters == inspect.signature(function).parameters
    assert version.__name__ == f"{name}_async"


def test_under_asyncio_each_names_the_function_to_use() -> None:
    names = [name for name in orc.__all__ if name.endswith("_async")]
    assert len(names) == len(NAMES) + 9
    for name in names:
        function = getattr(orc, name)
        with pytest.raises(RuntimeError) as raised:
            asyncio.run(function(*_needed_by(function)))
        synchronous = name.removesuffix("_async")
        assert f"`await asyncio.to_thread(orc.{synchronous}, ...)`" in str(raised.value)
        assert callable(getattr(orc, synchronous))


def _needed_by(function: Callable[..., object]) -> list[str]:
    """Arguments in place of those without a default."""
    needed = inspect.signature(function).parameters.values()
    return ["x" for each in needed if each.default is each.empty]
