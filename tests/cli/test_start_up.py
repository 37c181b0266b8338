"""Which slow modules each command loads: a command that needs none of them must not wait for any.

`make bench` measures the time; here are the modules, since they are the same on every machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SPEC = "{project: one, steps: {only: {value: 1}}}\n"
SLOW = set(
    "anthropic asyncio dataclasses datasette fractions genai_prices httpx httpx2 jinja2 jsonschema "
    "markdown_it mlx msgspec numpy openai pandas pydantic pygments referencing rich sqlite_utils "
    "tenacity tree_sitter trio typer uvicorn yaml".split()
)
"""Packages that take long to load, as seen by `python -X importtime`."""
SLOW_OF_ORC = {
    "orc.ledger.events",  # some fifty structs
    "orc.ledger.secrets.search",  # the spellings of secrets, of which there are none
    "orc.scheduler.core.spec.model",
    "orc.scheduler.runner",
    "orc.projections.tables.projector",
    "orc.projections.folder.publish",
    "orc.scheduler.executors.driver",
    "orc.scheduler.executors.remote",
    "orc.scheduler.executors.site",
    "orc.scheduler.asking.ask",  # clients of models and tools
    "orc.scheduler.effects.tools",
    "orc.scheduler.effects.mcp_server",
    "orc.scheduler.hooks.performing",
    "orc.worker.spool",
    "orc.providers.http",
    "orc.providers.openai",
    "orc.projections.exports.otel",
    "orc.projections.history.recording",
    "orc.projections.why.step",
    "orc.cli.jobs.amend",
    "orc.cli.jobs.resume",
    "orc.cli.browse.server",
    "email.parser",  # the parser of a distribution's metadata
}
LOADS = {
    "--version": "",
    "--help": "",
    "list --help": "dataclasses typer",
    "list": "",
    "show JOB": "",
    "cost JOB": "msgspec",
    "why JOB only": "msgspec orc.ledger.events orc.projections.why.step",
    "resume JOB --quiet": (
        "dataclasses msgspec trio orc.ledger.events orc.scheduler.runner "
        "orc.projections.tables.projector orc.projections.folder.publish orc.cli.jobs.resume"
    ),
    "run spec.yaml --quiet": (
        "dataclasses fractions msgspec pydantic trio yaml orc.ledger.events "
        "orc.scheduler.core.spec.model orc.scheduler.runner orc.projections.tables.projector "
        "orc.projections.folder.publish"
    ),
}
"""For each command all the slow modules that it loads."""

PROGRAM = """
import sys
sys.argv = ["orc", *sys.argv[1:]]
from orc.cli.main import main
try:
    main()
finally:
    print("\\n".join(sys.modules), file=sys.stderr)
"""


def modules_of(arguments: list[str], folder: Path) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=folder,
        env={**os.environ, "ORC_DB": "runs.db"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str]]:
    """A folder in which a job has run, and what the command loaded; the ledger was new."""
    folder = tmp_path_factory.mktemp("started")
    (folder / "spec.yaml").write_text(SPEC, "utf-8")
    return folder, modules_of(["run", "spec.yaml", "--quiet"], folder)


@pytest.mark.parametrize("command", LOADS)
def test_a_command_loads_only_the_slow_modules_that_it_needs(
    command: str, ran: tuple[Path, set[str]]
) -> None:
    folder, loaded = ran
    if not command.startswith("run"):
        job_id = next(path.name for path in (folder / "runs").iterdir())
        loaded = modules_of(command.replace("JOB", job_id).split(), folder)
    assert "orc.cli" in loaded
    assert loaded & (SLOW | SLOW_OF_ORC) == set(LOADS[command].split())
