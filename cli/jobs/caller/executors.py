"""Opens the executors that a job's steps name, as the site file describes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from orc.cli.errors import EnvironmentProblem, UsageProblem
from orc.ledger.command_lines import quoted_command
from orc.ledger.definition import LOCAL, JobDef, StepDef, walk_steps

if TYPE_CHECKING:
    from orc.scheduler.executors.kept_outcomes import KeptOutcomes
    from orc.scheduler.executors.remote import RemoteExecutor
    from orc.scheduler.executors.site import Site, Sites


class KnownExecutors(Collection[str]):
    """The names of the executors of this machine. The site file is read when one is asked for."""

    def __init__(self, database: Path, environment: Mapping[str, str]) -> None:
        self._database = database
        self._environment = environment

    def __contains__(self, name: object) -> bool:
        return name == LOCAL or name in _read_sites(self._database, self._environment).executors

    def __iter__(self) -> Iterator[str]:
        yield LOCAL
        yield from _read_sites(self._database, self._environment).executors

    def __len__(self) -> int:
        return 1 + len(_read_sites(self._database, self._environment).executors)


@asynccontextmanager
async def open_executors(
    names: Collection[str],
    steps: Iterable[StepDef],
    *,
    database: Path,
    environment: Mapping[str, str],
    renamed: Mapping[str, str],
    on_notice: Callable[[str], None] = lambda text: None,
) -> AsyncIterator[list[RemoteExecutor]]:
    """The executors of these names, connected, for the steps. `renamed` names others in their place.

    Raises UsageProblem for an unknown one, EnvironmentProblem for one that cannot be used.
    """
    if not names:
        yield []
        return
    # Imported here, since most jobs have no such steps.
    from orc.cli.jobs.caller.sites import find_site, insecure_note, read_sites
    from orc.scheduler.executors.driver import open_engine
    from orc.scheduler.executors.errors import EngineProblem
    from orc.scheduler.executors.remote import RemoteExecutor

    sites = read_sites(database, environment)
    async with AsyncExitStack() as stack:
        opened = []
        for name in sorted(names):
            site = find_site(sites, renamed.get(name, name))
            note = insecure_note(site)
            if note is not None:
                on_notice(note)
            try:
                engine = await stack.enter_async_context(
                    open_engine(
                        site.engine, site.for_driver(), lease_s=site.lease_s, keep_s=site.keep_s
                    )
                )
            except EngineProblem as error:
                raise EnvironmentProblem(
                    f"the executor {site.name!r} cannot be used: {error}; "
                    f"{quoted_command('executors', site.name)} "
                    "shows more"
                ) from error
            if not engine.facts.get("is_encrypted"):
                _refuse_secrets(steps, name, site)
            engine.kept = open_kept(site)
            executor = RemoteExecutor(
                name, engine, kept=engine.kept, on_notice=on_notice, site_name=site.name
            )
            executor.engine_id = str(engine.facts["engine"])
            opened.append(executor)
        yield opened


def open_kept(site: Site) -> KeptOutcomes | None:
    """The folder that the executor's workers share with this machine; None if they share none.

    Raises EnvironmentProblem if it cannot be used.
    """
    if site.shared is None:
        return None
    # Imported here, as the engine is.
    from orc.scheduler.executors.errors import EngineProblem
    from orc.scheduler.executors.kept_outcomes import KeptOutcomes

    try:
        return KeptOutcomes.open(site.shared)
    except EngineProblem as problem:
        raise EnvironmentProblem(
            f"the executor {site.name!r} cannot be used: {problem}"
        ) from problem


def local_amounts(
    definition: JobDef, database: Path, environment: Mapping[str, str]
) -> Mapping[str, float]:
    """What the site file says that this machine has, if local steps of the job need resources."""
    if not any(step.resources and not step.is_remote for step in walk_steps(definition.steps)):
        return {}
    return _read_sites(database, environment).local


def remote_executors(definition: JobDef) -> set[str]:
    """The executors of the job's steps, without `local`."""
    return {step.executor for step in walk_steps(definition.steps) if step.is_remote}


def check_replaced(replaced: Collection[str], definition: JobDef) -> None:
    """Raise UsageProblem unless the job has steps on each of these executors."""
    names = remote_executors(definition)
    for name in sorted(set(replaced) - names):
        has = f"; it has steps on {', '.join(sorted(names))}" if names else ""
        raise UsageProblem(
            f"--executor {name}=...: no step of the job is on an executor {name!r}{has}"
        )


def _refuse_secrets(steps: Iterable[StepDef], name: str, site: Site) -> None:
    """Secrets leave this machine only encrypted. Raises EnvironmentProblem."""
    # Imported here, as the engine is.
    from orc.scheduler.drivers.addresses import is_loopback

    if not site.is_insecure or is_loopback(site.address or ""):
        return
    for step in walk_steps(steps):
        if step.executor == name and step.secrets:
            raise EnvironmentProblem(
                f"step {step.id!r} has secrets, and the connection to the executor {site.name!r} is not "
                "encrypted; use tls:// with certificates of `orc cluster certs`"
            )


def _read_sites(database: Path, environment: Mapping[str, str]) -> Sites:
    # Imported here, since most jobs name no executor.
    from orc.cli.jobs.caller.sites import read_sites

    return read_sites(database, environment)
