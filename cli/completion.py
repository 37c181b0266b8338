"""Shell completion: jobs, steps, specs, providers, models, tags, templates and executors.

It reads the ledger of the command, files beside it and below the current folder, and nothing over the
network. An error gives no completions and no message. `line` has the values of the other options and
arguments by parameter, as they are written. Modules that only one kind of word needs are
imported by its function, since each completion is a new process for which a person waits.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from types import MappingProxyType

from orc.cli.ledger_access import database_path, read_tables
from orc.ledger.files.written_paths import written_path
from orc.ledger.names import find_job

JOBS_MAX = 50
ENTRIES_MAX = 2000
"""The maximum number of files that are looked at in search of specs."""

_WORDS_MAX = 500
_HEAD_BYTES = 4096
_LOOKS_LIKE_SPEC = re.compile(rb"^(?:project|steps|template|task_description):", re.MULTILINE)

Line = Mapping[str, str]
_NO_LINE: Line = MappingProxyType({})


def complete_jobs(incomplete: str, line: Line = _NO_LINE) -> list[str]:
    """The latest job ids that start with `incomplete`."""
    query = "SELECT job_id FROM jobs ORDER BY position DESC LIMIT ?"
    return _starting(incomplete, _column(line, query, JOBS_MAX))


def complete_asking_steps(incomplete: str, line: Line = _NO_LINE) -> list[str]:
    """The step ids that start with `incomplete`, of those that wait for a decision of a person."""
    return _steps_of_job(
        line, incomplete, "status = 'waiting' AND question IS NOT NULL AND decision IS NULL"
    )


def complete_steps(incomplete: str, line: Line = _NO_LINE) -> list[str]:
    """The step ids that start with `incomplete`, of the job on the command line."""
    return _steps_of_job(line, incomplete, "status <> 'removed'")


def _steps_of_job(line: Line, incomplete: str, condition: str) -> list[str]:
    try:
        with read_tables(_database(line)) as (connection, path):
            job_id = find_job(connection, line["job"], path=path)
            rows = connection.execute(
                f"SELECT name FROM steps WHERE job_id = ? AND {condition} ORDER BY position",
                (job_id,),
            ).fetchall()
    except Exception:
        return []
    return _starting(incomplete, (row[0] for row in rows))


def complete_listed_steps(incomplete: str, line: Line = _NO_LINE) -> list[str]:
    """The same for the last step of a list such as `a,b`."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{step}" for step in complete_steps(last, line)]


def complete_specs(incomplete: str, line: Line = _NO_LINE) -> list[str]:
    """The YAML files that look like specs, in the folder of `incomplete` and the folders in it."""
    folder = incomplete.rpartition("/")[0] or ("/" if incomplete.startswith("/") else "")
    try:
        found = [
            f"{folder.rstrip('/')}/{path}" if folder else path
            for path in _yaml_files(Path(folder or "."))
            if path.startswith(incomplete.rpartition("/")[2])
        ]
    except OSError:
        return []
    return sorted(path for path in found if _is_spec(Path(path)))


def complete_specs_and_jobs(incomplete: str, line: Line = _NO_LINE) -> list[str]:
    """The same, and jobs."""
    return complete_specs(incomplete) + complete_jobs(incomplete, line)


def complete_spec_steps(incomplete: str, line: Line = _NO_LINE) -> list[str]:
    """The steps of the spec on the command line, for the last one of a list such as `a,b`."""
    before, comma, last = incomplete.rpartition(",")
    try:
        names = _spec_steps(written_path(line["spec"]))
    except Exception:
        return []
    return [f"{before}{comma}{name}" for name in _starting(last, names)]


def complete_providers(incomplete: str, line: Line = _NO_LINE) -> list[str]:
    """The providers; after `NAME/`, the models that are known of that provider."""
    from orc.providers.catalogue import REGISTRY

    provider, slash, model = incomplete.partition("/")
    if slash:
        return [f"{provider}/{name}" for name in _known_models(line, provider, model)]
    return _starting(incomplete, REGISTRY)


def complete_models(incomplete: str, line: Line = _NO_LINE) -> list[str]:
    """The models that are known, of the provider on the command line if there is one."""
    provider = line.get("provider", "").partition("/")[0]
    return _known_models(line, provider, incomplete)


def complete_tags(incomplete: str, line: Line = _NO_LINE) -> list[str]:
    """The tags that jobs have."""
    query = "SELECT DISTINCT name FROM tags ORDER BY name LIMIT ?"
    return _starting(incomplete, _column(line, query, _WORDS_MAX))


def complete_templates(incomplete: str, line: Line = _NO_LINE) -> list[tuple[str, str]]:
    """The built-in templates with what they make."""
    from orc.cli.jobs.caller.templates import ABOUT

    return [(name, about) for name, about in ABOUT.items() if name.startswith(incomplete)]


def complete_executors(incomplete: str, line: Line = _NO_LINE) -> list[str]:
    """The executors of the site file; also after `STEP=` or `NAME=`."""
    from orc.cli.jobs.caller.sites import read_sites

    step, equals, name = incomplete.rpartition("=")
    try:
        sites = read_sites(database_path(_database(line)), os.environ)
    except Exception:
        return []
    return [f"{step}{equals}{found}" for found in _starting(name, ("local", *sites.executors))]


def _starting(incomplete: str, words: Iterable[str]) -> list[str]:
    return [word for word in words if word.startswith(incomplete)]


def _database(line: Line) -> Path | None:
    """The ledger that the command line names."""
    named = line.get("database")
    return None if named is None else written_path(named)


def _column(line: Line, query: str, *values: object) -> list[str]:
    """The first column of the ledger's rows; empty if it cannot be read."""
    try:
        with read_tables(_database(line)) as (connection, _):
            return [str(row[0]) for row in connection.execute(query, values)]
    except Exception:
        return []


def _known_models(line: Line, provider: str, incomplete: str) -> list[str]:
    """The models of a provider, or of all: default models, those with a price, those of earlier jobs."""
    from orc.cli.jobs.caller.prices import find_own_prices, models_with_prices, read_prices
    from orc.providers.catalogue import REGISTRY, facts_of

    entries = [facts_of(provider)] if provider else list(REGISTRY.values())
    names = [entry.default_model for entry in entries if entry.default_model]
    with suppress(Exception):
        own = find_own_prices(database_path(_database(line)), os.environ)
        prices = read_prices(own)
        for entry in entries:
            names += models_with_prices(prices, entry.name)
    query = (
        "SELECT DISTINCT model FROM calls WHERE ?1 = '' OR provider = ?1 ORDER BY model LIMIT ?2"
    )
    names += _column(line, query, provider, _WORDS_MAX)
    return _starting(incomplete, dict.fromkeys(names))


def _yaml_files(folder: Path) -> Iterator[str]:
    """The names of YAML files in the folder, and the paths of those in its folders."""
    entries = sorted(islice(os.scandir(folder), ENTRIES_MAX), key=lambda entry: entry.name)
    left = ENTRIES_MAX
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if _is_yaml(entry.name):
            yield entry.name
        elif entry.is_dir() and left > 0:
            with suppress(OSError):
                inner = sorted(each.name for each in islice(os.scandir(entry.path), left))
                left -= len(inner)
                yield from (f"{entry.name}/{name}" for name in inner if _is_yaml(name))


def _is_yaml(name: str) -> bool:
    is_replies = name.endswith((".replay.yaml", ".replay.yml"))
    return name.endswith((".yaml", ".yml")) and not name.startswith(".") and not is_replies


def _is_spec(path: Path) -> bool:
    """Whether a key of a spec is at the beginning of the file; a pipe or a device is not opened."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb") as file:
            return _LOOKS_LIKE_SPEC.search(file.read(_HEAD_BYTES)) is not None
    except OSError:
        return False


def _spec_steps(path: Path) -> list[str]:
    """The names of a spec's steps, also of one with errors. Raises UsageProblem, SpecError."""
    from orc.cli.jobs.caller.spec_files import read_spec_file
    from orc.cli.jobs.caller.templates import read_template
    from orc.scheduler.core.spec.parse import examine

    text, name = read_spec_file(path)
    spec, _ = examine(text, source_name=name, read_template=read_template)
    return list(spec.steps)
