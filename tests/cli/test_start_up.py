"""Which slow modules each command loads: a command that needs none of them must not wait for any.

`make bench` measures the time; here are the modules, since they are the same on every machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orc.cli.command_table import COMMANDS

SPEC = "{project: one, steps: {only: {value: 1}}}\n"
SLOW = set(
    "_hashlib anthropic asyncio dataclasses datasette fractions genai_prices httpx httpx2 jinja2 json "
    "jsonschema markdown_it mlx msgspec numpy openai pandas pydantic pygments referencing rich shlex "
    "shutil sqlite_utils tempfile tenacity threading tree_sitter trio typer uvicorn yaml".split()
)
"""Packages that take long to load, as seen by `python -X importtime`."""
SLOW_OF_ORC = {
    "orc.ledger.events",  # some fifty structs
    "orc.ledger.failpoints",
    "orc.ledger.files.folder",
    "orc.ledger.files.locks",
    "orc.ledger.files.runner_log",
    "orc.ledger.files.snapshot",
    "orc.ledger.stored",
    "orc.providers.catalogue",  # the tables of providers and servers
    "orc.cli.env_file",
    "orc.scheduler.core.durations",
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
_BY_METADATA = " json" if sys.version_info >= (3, 13) else ""
"""What Python's reader of a distribution's metadata loads."""
LOADS = {
    "--version": f"shutil tempfile threading{_BY_METADATA}",
    "--help": "shutil",
    "list --help": "dataclasses shutil threading typer",
    "list": "",
    "show JOB": "",
    "cost JOB": "msgspec",
    "why JOB only": (
        "_hashlib json msgspec threading orc.ledger.events orc.ledger.failpoints "
        "orc.ledger.files.locks orc.ledger.stored orc.projections.why.step"
    ),
    "resume JOB --quiet": (
        "_hashlib dataclasses json msgspec shlex shutil tempfile threading trio orc.cli.env_file "
        "orc.cli.jobs.resume orc.ledger.events orc.ledger.failpoints orc.ledger.files.folder "
        "orc.ledger.files.locks orc.ledger.files.runner_log orc.ledger.stored "
        "orc.projections.folder.publish orc.projections.tables.projector orc.providers.catalogue "
        "orc.scheduler.core.durations orc.scheduler.runner"
    ),
    "run spec.yaml --quiet": (
        "_hashlib dataclasses fractions json msgspec pydantic shlex shutil tempfile threading trio "
        "yaml orc.cli.env_file orc.ledger.events orc.ledger.failpoints orc.ledger.files.folder "
        "orc.ledger.files.locks orc.ledger.stored orc.projections.folder.publish "
        "orc.projections.tables.projector orc.providers.catalogue orc.scheduler.core.durations "
        "orc.scheduler.core.spec.model orc.scheduler.runner"
    ),
}
"""For each command all the slow modules that it loads."""

OPTIONS_LOAD = {
    "export": "msgspec",
    "graph": "msgspec",
    "logs": "msgspec",
    "scores": "msgspec",
    "tail": "msgspec",
}
"""The commands whose options alone load slow packages, with the slowest of these."""
SLOWEST = set("httpx jinja2 msgspec openai pydantic rich trio typer yaml".split())

OPTIONS_PROGRAM = """
import os, sys
from orc.cli.command_table import load_function
from orc.cli.parameters import read_parameters
for name in sys.argv[1:]:
    if os.fork() == 0:
        read_parameters(load_function(name))
        os.write(1, f"{name} {' '.join(sys.modules)}\\n".encode())
        os._exit(0)
    assert os.wait()[1] == 0, name
"""

PROGRAM = """
import sys
sys.argv = ["orc", *sys.argv[1:]]
from orc.cli.main import main
try:
    main()
finally:
    print("\\n".join(sys.modules), file=sys.stderr)
"""


def modules_of(
    arguments: list[str], folder: Path, *, variables: dict[str, str] | None = None
) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=folder,
        env={**os.environ, "ORC_DB": "runs.db", **(variables or {})},
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


@pytest.mark.parametrize(
    "line", ["orc ", "orc show ", "orc show latest ", "orc run ", "orc run --"]
)
def test_completion_loads_no_slow_modules(line: str, ran: tuple[Path, set[str]]) -> None:
    words = {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    loaded = modules_of([], ran[0], variables={"_ORC_COMPLETE": "complete_bash", **words})
    assert loaded & (SLOW | SLOW_OF_ORC) - {"shlex"} == set()


def test_the_options_of_a_command_load_without_what_it_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", OPTIONS_PROGRAM, *COMMANDS],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {line.split()[0]: set(line.split()[1:]) & SLOWEST for line in done.stdout.splitlines()}
    expected = {name: set(OPTIONS_LOAD.get(name, "").split()) for name in COMMANDS}
    assert loaded == expected
