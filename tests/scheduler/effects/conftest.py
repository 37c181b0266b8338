"""Fixtures of the effects' tests: process groups with a short grace period, requests, a spec to run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

import orc
from orc.scheduler.effects.contract import CommandRequest, FunctionRequest
from orc.scheduler.effects.groups import ProcessGroups

GRACE_S = 0.3

Command = Callable[..., CommandRequest]
Function = Callable[..., FunctionRequest]
RunSpec = Callable[..., orc.Job]


@pytest.fixture
def groups() -> Iterator[ProcessGroups]:
    """Process groups. They are closed at the end, which kills remaining processes of the test."""
    groups = ProcessGroups(grace_s=GRACE_S)
    yield groups
    groups.close()


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Makes requests for commands: a text for the shell, or arguments."""

    def build(
        run: str | tuple[str, ...],
        *,
        env: Mapping[str, str] | None = None,
    ) -> CommandRequest:
        argv = ("/bin/sh", "-ec", run) if isinstance(run, str) else run
        return CommandRequest(
            argv=argv,
            env={"PATH": os.environ["PATH"], **(env or {})},
            cwd=str(tmp_path),
            log_path=f"{tmp_path}/step.log",
        )

    return build


@pytest.fixture
def function(tmp_path: Path) -> Function:
    """Makes requests for functions in modules in `tmp_path / "code"`."""
    (tmp_path / "code").mkdir()
    (tmp_path / "work").mkdir()

    def build(
        name: str, args: Mapping[str, Any] | None = None, *, env: Mapping[str, str] | None = None
    ) -> FunctionRequest:
        return FunctionRequest(
            function=name,
            args=args or {},
            env={"PATH": os.environ["PATH"], **(env or {})},
            cwd=str(tmp_path / "work"),
            log_path=f"{tmp_path}/step.log",
            import_dir=str(tmp_path / "code"),
        )

    return build


@pytest.fixture
def run_spec(tmp_path: Path) -> RunSpec:
    """Runs a job of the given steps in this process, with its ledger in `tmp_path`."""

    def run(steps: Mapping[str, Any], **job: Any) -> orc.Job:
        path = tmp_path / "spec.yaml"
        path.write_text(yaml.safe_dump({"project": "trial", **job, "steps": dict(steps)}))
        return orc.run(path, db=tmp_path / "runs.db")

    return run
