"""`orc cluster`: starts a scheduler or a worker with safe settings, or makes certificates."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from orc.cli.errors import UsageProblem
from orc.cli.ledger_access import database_path
from orc.cli.options import Database, Json, refuse_ignored
from orc.cli.parameters import Argument, Option
from orc.cli.terminal.text import put, put_json, safe, say
from orc.ledger.exit_codes import SUCCEEDED
from orc.ledger.files.written_paths import written_path

if TYPE_CHECKING:
    from orc.cli.cluster.engine_commands import EngineCommand

_ACTIONS = ("scheduler", "worker", "certs")
_AMOUNT_MAX = 100_000

Action = Annotated[str, Argument(help="scheduler, worker or certs.", metavar="ACTION")]
Target = Annotated[
    str,
    Argument(
        help="An executor of the site file; for certs, the folder for the certificates.",
        metavar="NAME|DIR",
    ),
]
Print = Annotated[
    bool,
    Option("--print", help="Print the command, for an sbatch script or a pod; start nothing."),
]
Host = Annotated[
    str | None,
    Option(
        help="The address to listen on. Default: that of the site file; without TLS, 127.0.0.1.",
        metavar="HOST",
    ),
]
Cpu = Annotated[
    float | None,
    Option(help="The processors of the worker. Default: those it may use.", min=0, max=_AMOUNT_MAX),
]
Memory = Annotated[
    str | None,
    Option(
        help="The memory of the worker, such as 32G. Default: that of the machine.", metavar="SIZE"
    ),
]
Gpu = Annotated[
    float, Option(help="The graphics processors of the worker.", min=0, max=_AMOUNT_MAX)
]
Labels = Annotated[list[str], Option("--label", help="A label of the worker; can be repeated.")]
Slots = Annotated[
    int | None,
    Option(
        help="How many steps the worker performs at once. Default: one for each processor.", min=1
    ),
]


def command(
    action: Action,
    target: Target,
    print_only: Print = False,
    host: Host = None,
    cpu: Cpu = None,
    memory: Memory = None,
    gpu: Gpu = 0.0,
    label: Labels = [],  # noqa: B006  # typer copies it
    slots: Slots = None,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Start a scheduler or a worker with safe settings; make certificates.

    `scheduler NAME` and `worker NAME` become the engine's own process, until Ctrl-C: on loopback or
    with TLS, its web server on loopback, no limits of memory. `certs DIR` makes `ca.pem`, `cert.pem`
    and `key.pem`; all machines of the cluster need copies of these, which only you can read.
    """
    # Imported here: completion, help and an error of the line need only the options.
    from orc.cli.cluster.engine_commands import (
        machine_amounts,
        scheduler_command,
        start_engine,
        worker_command,
    )
    from orc.cli.jobs.caller.sites import find_site, insecure_note, read_sites
    from orc.scheduler.core.errors import nearest

    if action not in _ACTIONS:
        raise UsageProblem(f"there is no action {action!r}{nearest(action, _ACTIONS)}")
    of_worker = {
        "--cpu": cpu,
        "--memory": memory,
        "--gpu": gpu or None,
        "--label": label,
        "--slots": slots,
    }
    if action != "worker":
        refuse_ignored(of_worker, why=f"it is for a worker, not for {action}")
    if action == "certs":
        refuse_ignored({"--print": print_only, "--host": host}, why="certs starts nothing")
        return _make_certificates(written_path(target), as_json=as_json)
    site = find_site(read_sites(database_path(database), os.environ), target)
    note = insecure_note(site)
    if note is not None:
        say(f"note: {safe(note)}")
    if action == "scheduler":
        started = scheduler_command(site, host=host)
    else:
        amounts = machine_amounts(cpu=cpu, memory=memory, gpu=gpu, labels=label, slots=slots)
        started = worker_command(site, amounts, host=host)
    if print_only:
        _print(started, as_json=as_json)
    else:
        start_engine(started)
    return SUCCEEDED


def _print(started: EngineCommand, *, as_json: bool) -> None:
    settings = [f"{name}={value}" for name, value in started.settings.items()]
    arguments = ["env", *settings, "dask", *started.arguments]
    if as_json:
        put_json({"settings": dict(started.settings), "argv": ["dask", *started.arguments]})
    else:
        put(safe(shlex.join(arguments)))


def _make_certificates(folder: Path, *, as_json: bool) -> int:
    from orc.cli.cluster.certificates import write_certificates

    made = write_certificates(folder)
    day = made.ends.date().isoformat()
    if as_json:
        files = {"ca": str(made.ca), "cert": str(made.cert), "key": str(made.key)}
        put_json({**files, "ends": day})
    else:
        say(f"made {safe(made.ca)}, {safe(made.cert)} and {safe(made.key)}; they end on {day}")
        say("copy them to every machine of the cluster; anyone with the key can run commands there")
    return SUCCEEDED
