"""The commands that start a scheduler and its workers, with settings that are safe for orc.

The engine's defaults would listen on all interfaces without a check of who connects, start tasks of
dead workers again, and end workers whose commands need memory.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn
from urllib.parse import urlsplit

from msgspec import Struct

from orc.cli.errors import UsageProblem
from orc.providers.keys import key_variables
from orc.scheduler.core.sizes import parse_amount
from orc.scheduler.core.spec.resources import NAME_LENGTH_MAX, NAME_PATTERN
from orc.scheduler.drivers.addresses import is_loopback, is_loopback_host
from orc.scheduler.drivers.rooms import SLOTS
from orc.scheduler.executors.site import Site
from orc.scheduler.stopping import ignored_signals
from orc.worker.cores import usable_cores

ENGINE_SETTINGS = {
    # Another start of a task would only ask in vain.
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0",
    # The least that the engine allows is ten of its heartbeats.
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "60s",
    # The engine looks at the stacks of its threads 100 times a second, and wakes up as often. Work of
    # orc is in other processes, so that this shows nothing.
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "1s",
    # It measures each message, to pack large ones in a thread; those of orc have a bound.
    "DASK_DISTRIBUTED__COMM__OFFLOAD": "False",
}
"""Variables for each process of the engine."""
_ENCRYPTED = {"DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True"}
# Without an address, the HTTP server listens on all interfaces, even without a dashboard.
_HTTP = ("--no-dashboard", "--dashboard-address", "127.0.0.1:0")
_AMOUNTS = ("cpu", "memory", "gpu", "scratch", "time", SLOTS)
"""Names of what a worker has amounts of. The engine has one table for these and for labels."""
_LOOPBACK = "127.0.0.1"
_DEATH_TIMEOUT = "120"


class EngineCommand(Struct, frozen=True):
    """A command of the engine: its arguments after `dask`, and variables that it needs."""

    arguments: Sequence[str]
    settings: Mapping[str, str]

    def argv(self) -> list[str]:
        """The command with this Python."""
        return [sys.executable, "-m", "dask", *self.arguments]


class WorkerAmounts(Struct, frozen=True):
    """What a worker has: amounts, labels, and how many steps it performs at once."""

    cpu: float
    memory: float
    gpu: float = 0.0
    labels: Sequence[str] = ()
    slots: int = 1


def scheduler_command(site: Site, *, host: str | None) -> EngineCommand:
    """The command that runs the scheduler of an executor.

    Raises UsageProblem if `host` is for other machines, and there is no TLS.
    """
    _refuse_open(site, host)
    arguments = ["scheduler", *_HTTP, *_tls(site)]
    if site.address is not None:
        parts = urlsplit(site.address)
        arguments += ["--host", host or str(parts.hostname), "--port", str(parts.port)]
    else:
        if host or site.tls is None:
            arguments += ["--host", host or _LOOPBACK]
        arguments += ["--port", "0", "--scheduler-file", str(site.scheduler_file)]
    return EngineCommand(arguments, _settings(site))


def worker_command(site: Site, amounts: WorkerAmounts, *, host: str | None) -> EngineCommand:
    """The command that runs a worker of an executor. Raises UsageProblem as `scheduler_command`."""
    _refuse_open(site, host)
    if site.address is not None:
        arguments = ["worker", site.address]
        if host is None and is_loopback(site.address):
            host = _LOOPBACK
    else:
        arguments = ["worker", "--scheduler-file", str(site.scheduler_file)]
        if host is None and site.tls is None and not site.is_insecure:
            host = _LOOPBACK
    arguments += [*_HTTP, *_tls(site)]
    if host:
        arguments += ["--host", host]
    # The commands of steps are other processes: the engine's limit would see only the worker's own.
    arguments += ["--nworkers", "1", "--nthreads", str(amounts.slots), "--memory-limit", "0"]
    arguments += ["--death-timeout", _DEATH_TIMEOUT, "--resources", _resources(amounts)]
    return EngineCommand(arguments, _settings(site))


def machine_amounts(
    *,
    cpu: float | None,
    memory: str | None,
    gpu: float,
    labels: Sequence[str],
    slots: int | None,
) -> WorkerAmounts:
    """What a worker on this machine has: as given, else what this process may use.

    Raises UsageProblem for an invalid amount of memory or label.
    """
    if cpu is None:
        cpu = float(usable_cores())
    try:
        amount = float(_physical_memory()) if memory is None else parse_amount(memory)
    except ValueError as error:
        raise UsageProblem(f"--memory {error}") from error
    for label in labels:
        if not re.match(NAME_PATTERN, label) or len(label) > NAME_LENGTH_MAX:
            raise UsageProblem(
                f"--label {label!r}: a label must be letters, digits, _, - and ., and begin with a "
                "letter or _"
            )
        if label.lower() in _AMOUNTS:
            raise UsageProblem(f"--label {label}: this is the name of an amount, not of a label")
    return WorkerAmounts(cpu, amount, gpu, tuple(labels), slots or max(1, int(cpu)))


def _settings(site: Site) -> dict[str, str]:
    return {**ENGINE_SETTINGS, **(_ENCRYPTED if site.tls is not None else {})}


def _tls(site: Site) -> list[str]:
    if site.tls is None:
        return []
    tls = site.tls
    files = ["--tls-ca-file", str(tls.ca), "--tls-cert", str(tls.cert), "--tls-key", str(tls.key)]
    return ["--protocol", "tls", *files]


def _refuse_open(site: Site, host: str | None) -> None:
    if site.tls is not None or site.is_insecure or host is None or is_loopback_host(host):
        return
    raise UsageProblem(
        f"--host {host}: without TLS, everyone who reaches that address could run commands as you; "
        f"name `tls` for the executor {site.name} in the site file (see `orc cluster certs`)"
    )


def _resources(amounts: WorkerAmounts) -> str:
    values = {"CPU": amounts.cpu, "MEMORY": amounts.memory, "GPU": amounts.gpu}
    given = {name: amount for name, amount in values.items() if amount > 0}
    given |= dict.fromkeys(amounts.labels, 1.0)
    return " ".join(f"{name}={_plain(amount)}" for name, amount in given.items())


def _plain(amount: float) -> str:
    return str(int(amount)) if amount == int(amount) else repr(amount)


def _physical_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def start_engine(command: EngineCommand) -> NoReturn:
    """Become the engine's process. It gets no key of a provider.

    The engine handles signals also if they are ignored here, so that these are blocked for it.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, ignored_signals())
    keys = key_variables()
    kept = {name: value for name, value in os.environ.items() if name not in keys}
    argv = command.argv()
    os.execve(argv[0], argv, {**kept, **command.settings})  # noqa: S606  # a shell has no part in it
