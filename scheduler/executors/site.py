"""The site file `executors.yaml`: where the machines are. What a step needs stands in the spec.

Addresses and keys stay in here: neither a ledger nor a log gets them. `cli/jobs/caller/sites.py`
finds the file and checks who can change it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from msgspec import Struct, field
from pydantic import AfterValidator, BeforeValidator, ValidationError

from orc.ledger.files.written_paths import written_path
from orc.scheduler.core.durations import parse_duration
from orc.scheduler.core.errors import Problem, SpecError, nearest
from orc.scheduler.core.sizes import parse_amount
from orc.scheduler.core.source.paths import dotted
from orc.scheduler.core.source.yaml_source import Document, parse_yaml
from orc.scheduler.core.spec.base import Strict
from orc.scheduler.core.spec.misfits import problem_in_file

LOCAL = "local"
FILE_NAME = "executors.yaml"
NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}\Z")

_SCHEMES = ("tcp", "tls")


def _check_path(value: str) -> str:
    written_path(value)
    return value


_Path = Annotated[str, AfterValidator(_check_path)]
_Duration = Annotated[float, BeforeValidator(parse_duration)]


class _Tls(Strict):
    ca: _Path
    cert: _Path
    key: _Path


class _Shared(Strict):
    shared: str


class _Entry(Strict):
    engine: Literal["dask"]
    scheduler_file: _Path | None = None
    address: str | None = None
    tls: _Tls | None = None
    insecure: bool = False
    files: Literal["ship"] | _Shared = "ship"
    lease: _Duration = 30.0
    keep: _Duration = 86400.0


class Tls(Struct, frozen=True):
    """The files of a certificate authority, a certificate and its key, absolute."""

    ca: Path
    cert: Path
    key: Path


class Site(Struct, frozen=True):
    """One executor of the site file. Paths are absolute."""

    name: str
    engine: str
    scheduler_file: Path | None
    address: str | None
    tls: Tls | None
    is_insecure: bool
    lease_s: float
    keep_s: float
    shared: Path | None = None

    def for_driver(self) -> dict[str, Any]:
        """What the driver needs to connect."""
        tls = self.tls
        return {
            "scheduler_file": None if self.scheduler_file is None else str(self.scheduler_file),
            "address": self.address,
            "tls": tls and {"ca": str(tls.ca), "cert": str(tls.cert), "key": str(tls.key)},
            "insecure": self.is_insecure,
        }


class Sites(Struct, frozen=True):
    """A site file: its executors by name, and what this machine has for steps.

    `path` is None if there is no such file.
    """

    path: Path | None = None
    executors: Mapping[str, Site] = field(default_factory=dict)
    local: Mapping[str, float] = field(default_factory=dict)


def parse_sites(text: str, *, path: Path) -> Sites:
    """The executors in the text of a site file. Raises SpecError with every problem."""
    source = str(path)
    document = parse_yaml(text, source_name=source)
    value = document.value
    if not isinstance(value, dict) or not isinstance(value.get("executors"), dict):
        message = "the file must be a mapping with the key `executors`, a mapping of names"
        raise SpecError(source, [Problem(message, 1, 1)])
    problems = [
        Problem(
            f"{name}: unknown key{nearest(name, ['executors'])}", *document.place((name,), key=True)
        )
        for name in value
        if name != "executors"
    ]
    local: dict[str, float] = {}
    executors: dict[str, Site] = {}
    for name, entry in value["executors"].items():
        where = ("executors", name)
        if name == LOCAL:
            local = _read_local(entry, document, problems)
        elif not NAME.match(name):
            message = f"{dotted(where)}: a name has a-z, 0-9, _ and -, and begins with a letter"
            problems.append(Problem(message, *document.place(where, key=True)))
        else:
            site = _read_entry(name, entry, document, path.parent, problems)
            if site is not None:
                executors[name] = site
    if problems:
        raise SpecError(source, problems)
    return Sites(path, executors, local)


def _read_local(entry: Any, document: Document, problems: list[Problem]) -> dict[str, float]:
    where = ("executors", LOCAL)
    if not isinstance(entry, dict):
        message = f"{dotted(where)}: must be a mapping such as {{cpu: 8, memory: 32G, gpu: 1}}"
        problems.append(Problem(message, *document.place(where)))
        return {}
    amounts = {}
    for name, value in entry.items():
        try:
            amounts[name] = parse_amount(value)
        except ValueError as error:
            path = (*where, name)
            problems.append(Problem(f"{dotted(path)}: {error}", *document.place(path)))
    return amounts


def _read_entry(
    name: str, value: Any, document: Document, folder: Path, problems: list[Problem]
) -> Site | None:
    where = ("executors", name)
    try:
        entry = _Entry.model_validate(value)
    except ValidationError as error:
        problems += [_describe(where, {**details}, document) for details in error.errors()]
        return None
    found = list(_find_contradictions(entry))
    for key, message in found:
        path = (*where, key) if key else where
        problems.append(Problem(f"{dotted(path)}: {message}", *document.place(path)))
    if found:
        return None
    tls = entry.tls
    return Site(
        name=name,
        engine=entry.engine,
        scheduler_file=_absolute(entry.scheduler_file, folder),
        address=entry.address,
        tls=None if tls is None else _tls(tls, folder),
        is_insecure=entry.insecure,
        lease_s=entry.lease,
        keep_s=entry.keep,
        shared=Path(entry.files.shared).expanduser() if isinstance(entry.files, _Shared) else None,
    )


def _tls(entry: _Tls, folder: Path) -> Tls:
    ca, cert, key = (folder / written_path(name) for name in (entry.ca, entry.cert, entry.key))
    return Tls(ca, cert, key)


def _find_contradictions(entry: _Entry) -> list[tuple[str, str]]:
    found = []
    if (entry.scheduler_file is None) == (entry.address is None):
        found.append(("", "name either `scheduler_file` or `address`"))
    if entry.address is not None:
        scheme, _, rest = entry.address.partition("://")
        try:
            has_port = urlsplit(entry.address).port is not None
        except ValueError:
            has_port = False
        if scheme not in _SCHEMES or not rest or not has_port:
            found.append(("address", "must be such as tls://head:8786"))
        elif scheme == "tls" and entry.tls is None:
            found.append(
                ("address", "tls:// needs `tls: {ca, cert, key}`; see `orc cluster certs`")
            )
        elif scheme == "tcp" and entry.tls is not None:
            found.append(("address", "with `tls` it must begin with tls://"))
    if isinstance(entry.files, _Shared) and not entry.files.shared.startswith(("/", "~/")):
        found.append(("files", "`shared` must be an absolute path, the same on all machines"))
    if entry.lease < 1:
        found.append(("lease", "must be at least 1s"))
    if entry.keep < entry.lease:
        found.append(("keep", "must not be shorter than `lease`"))
    return found


def _absolute(name: str | None, folder: Path) -> Path | None:
    return None if name is None else folder / written_path(name)


def _describe(where: tuple[str, ...], item: dict[str, Any], document: Document) -> Problem:
    # pydantic adds the alternative of a union that it tried.
    path = (*where, *(part for part in item["loc"] if not _is_alternative(str(part))))
    known = _Tls.model_fields if "tls" in item["loc"] else _Entry.model_fields
    return problem_in_file(item, path, document, known=known)


def _is_alternative(part: str) -> bool:
    return part.startswith("literal[") or part == _Shared.__name__
