"""Connects to executors of the site file and reports what they have; nothing runs there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import trio
from msgspec import Struct, field

from orc.about import version
from orc.cli.errors import EnvironmentProblem, UsageProblem
from orc.cli.jobs.caller.executors import open_kept
from orc.cli.jobs.caller.sites import find_site, insecure_note
from orc.ledger.wording import count_text
from orc.scheduler.drivers.rooms import SLOTS
from orc.scheduler.executors.contract import PROTOCOL
from orc.scheduler.executors.driver import DriverEngine, open_engine
from orc.scheduler.executors.errors import EngineProblem
from orc.scheduler.executors.site import Site, Sites

_TTL_WANTED = "worker-ttl 60s"


class ExecutorReport(Struct, frozen=True):
    """One executor: whether it can be used, and what it has.

    `problem` says why it cannot be used, and what to do; `notes` are what a person should know.
    `capacity` is the sum over all workers, `workers` the amounts of each one, by its host.
    """

    name: str
    engine: str
    lease_s: float
    shared: str | None = None
    """The folder that the workers share with this machine; None: files travel."""
    problem: str | None = None
    is_encrypted: bool = False
    engine_id: str = ""
    capacity: Mapping[str, float] = field(default_factory=dict)
    workers: Sequence[Mapping[str, Any]] = ()
    notes: Sequence[str] = ()
    removed: int | None = None
    """How many leftovers of ended steps were removed; None if nothing was to be removed."""

    @property
    def is_usable(self) -> bool:
        """Whether steps can run there."""
        return self.problem is None

    def as_json(self) -> dict[str, Any]:
        """The JSON value. It has no address and no path of a key."""
        return {
            "name": self.name,
            "engine": self.engine,
            "usable": self.is_usable,
            "problem": self.problem,
            "tls": self.is_encrypted,
            "engine_id": self.engine_id,
            "protocol": PROTOCOL,
            "orc": version(),
            "lease_s": self.lease_s,
            "shared": self.shared,
            "capacity": dict(self.capacity),
            "workers": [dict(worker) for worker in self.workers],
            "notes": list(self.notes),
            "removed": self.removed,
        }


def examine_executors(
    sites: Sites, names: Sequence[str], *, clean: bool = False
) -> list[ExecutorReport]:
    """A report on each executor; with `clean`, leftovers of ended steps are removed there.

    Raises UsageProblem for a name that the site file does not have.
    """
    return trio.run(_examine_all, sites, list(names), clean)


async def _examine_all(sites: Sites, names: list[str], clean: bool) -> list[ExecutorReport]:
    reports: dict[str, ExecutorReport] = {}

    async def examine(name: str) -> None:
        reports[name] = await _examine(sites, name, clean=clean)

    for name in names:
        if name not in sites.executors:
            find_site(sites, name)
    async with trio.open_nursery() as nursery:
        for name in names:
            nursery.start_soon(examine, name)
    return [reports[name] for name in names]


async def _examine(sites: Sites, name: str, *, clean: bool) -> ExecutorReport:
    site = sites.executors[name]
    try:
        find_site(sites, name)
        open_kept(site)
        async with open_engine(site.engine, site.for_driver(), lease_s=site.lease_s) as engine:
            return await _ask(site, engine, clean=clean)
    except (EnvironmentProblem, UsageProblem, EngineProblem) as error:
        problem = f"{name}: {error}"
        return ExecutorReport(name, site.engine, site.lease_s, _shared(site), problem=problem)


async def _ask(site: Site, engine: DriverEngine, *, clean: bool) -> ExecutorReport:
    facts = engine.facts
    workers = [_worker(facts, worker) for worker in sorted(facts["workers"])]
    capacity: dict[str, float] = {}
    for amounts in facts["capacity"].values():
        for name, amount in amounts.items():
            capacity[name] = capacity.get(name, 0.0) + amount
    removed = None
    if clean:
        done = (await engine.clean())["cleaned"].values()
        removed = sum(int(one.get("removed", 0)) for one in done)
    return ExecutorReport(
        site.name,
        site.engine,
        site.lease_s,
        _shared(site),
        problem=_find_problem(site, facts, workers),
        is_encrypted=bool(facts["is_encrypted"]),
        engine_id=str(facts["engine"]),
        capacity=capacity,
        workers=workers,
        notes=list(_find_notes(site, facts, workers)),
        removed=removed,
    )


def _shared(site: Site) -> str | None:
    return None if site.shared is None else str(site.shared)


def _worker(facts: Mapping[str, Any], worker: str) -> dict[str, Any]:
    said = facts["workers"][worker]
    return {
        "worker": worker,
        "host": str(said.get("host", "")),
        "orc": str(said.get("orc", "")),
        "python": str(said.get("python", "")),
        "protocol": said.get("protocol"),
        "capacity": dict(facts["capacity"].get(worker, {})),
    }


def _find_problem(
    site: Site, facts: Mapping[str, Any], workers: Sequence[Mapping[str, Any]]
) -> str | None:
    faulty = int(facts["faulty_count"])
    if not workers and faulty:
        return (
            f"{site.name}: none of {count_text(faulty, 'worker')} can be used: {facts['faulty'][0]}"
        )
    others = [worker for worker in workers if worker["protocol"] != PROTOCOL]
    if others:
        return (
            f"{site.name}: {count_text(len(others), 'worker')} with another protocol than {PROTOCOL}; "
            "install the same version of orc on all machines"
        )
    return None


def _find_notes(
    site: Site, facts: Mapping[str, Any], workers: Sequence[Mapping[str, Any]]
) -> list[str]:
    notes = []
    insecure = insecure_note(site)
    if insecure is not None:
        notes.append(insecure)
    faulty = int(facts["faulty_count"])
    if faulty and workers:
        count = count_text(faulty, "worker")
        notes.append(f"{count} more cannot be used: {facts['faulty'][0]}")
    if not workers and not faulty:
        notes.append("it has no workers; steps wait until there are some")
    versions = sorted({str(worker["orc"]) for worker in workers} - {version()})
    if versions:
        notes.append(f"workers have orc {', '.join(versions)}, and this machine {version()}")
    settings = facts.get("settings") or {}
    if not settings:
        notes.append("orc is not installed for the scheduler, which needs it to take tasks")
    else:
        if settings.get("allowed_failures") != 0:
            notes.append(
                "the scheduler starts the task of a dead worker again, which is refused then; "
                "`orc cluster scheduler` sets allowed-failures to 0"
            )
        if str(settings.get("worker_ttl")) == "5 minutes":
            notes.append(
                "the scheduler notices a frozen worker after 5 minutes; `orc cluster scheduler` "
                f"sets {_TTL_WANTED}"
            )
    if workers and not any(set(worker["capacity"]) - {SLOTS} for worker in workers):
        notes.append("no worker has resources; steps with `resources` would wait for ever")
    return notes
