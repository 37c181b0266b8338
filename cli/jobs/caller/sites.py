"""Finds and reads the site file `executors.yaml`, and refuses one that another user could change.

The file decides which machines get the files, the secrets and the commands of jobs.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from orc.about import install_command
from orc.cli.errors import EnvironmentProblem, UsageProblem
from orc.cli.jobs.caller.spec_files import read_yaml_bytes
from orc.ledger.files.exposure import examine_folder, is_own, others_may_write
from orc.ledger.files.way import Entry
from orc.ledger.files.written_paths import written_path
from orc.scheduler.core.errors import nearest
from orc.scheduler.executors.site import FILE_NAME, LOCAL, Site, Sites, Tls, parse_sites

SITES_VARIABLE = "ORC_EXECUTORS"
_EXTRAS = {"dask": ("distributed", "dask")}
"""For each engine, the package that its driver imports, and the extra that installs it."""


def find_site_file(database: Path, environment: Mapping[str, str]) -> Path | None:
    """The site file: $ORC_EXECUTORS, else beside the ledger, else in the user's configuration.

    None if there is none. A variable that names a file wins, as `$ORC_PRICES` does.
    """
    named = environment.get(SITES_VARIABLE)
    if named:
        return written_path(named, of=SITES_VARIABLE).absolute()
    places = [database.absolute().parent]
    home = environment.get("HOME")
    configuration = environment.get("XDG_CONFIG_HOME") or (home and f"{home}/.config")
    if configuration and os.path.isabs(configuration):
        places.append(Path(configuration) / "orc")
    return next((place / FILE_NAME for place in places if (place / FILE_NAME).is_file()), None)


def read_sites(database: Path, environment: Mapping[str, str]) -> Sites:
    """The executors of the site file; none without one.

    Raises UsageProblem if the file cannot be read or another user could change it, and SpecError
    with every problem in it.
    """
    path = find_site_file(database, environment)
    if path is None:
        return Sites()
    try:
        content = read_yaml_bytes(path)
        _refuse_writable(path)
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageProblem(f"the site file {path} is not UTF-8 text; save it as UTF-8") from error
    except OSError as error:
        raise UsageProblem(
            f"cannot read the site file {path}: {error.strerror}; correct this, "
            f"or name another file in {SITES_VARIABLE}"
        ) from error
    return parse_sites(text, path=path)


def find_site(sites: Sites, name: str) -> Site:
    """The executor of that name, ready for use.

    Raises UsageProblem if there is none, EnvironmentProblem if its files or packages are missing.
    """
    # Imported here, since most jobs need no other machine.
    from orc.scheduler.drivers.addresses import is_safe

    site = sites.executors.get(name)
    if site is None:
        raise UsageProblem(_unknown(sites, name))
    if site.address is not None and not is_safe(site.address, is_insecure=site.is_insecure):
        raise EnvironmentProblem(
            f"{sites.path}: executors.{name}.address: tcp:// to another machine has neither encryption "
            "nor a check of who connects: use tls:// with certificates of `orc cluster certs`, or say "
            "`insecure: true`"
        )
    package, extra = _EXTRAS[site.engine]
    if find_spec(package) is None:
        raise EnvironmentProblem(
            f"the executor {name} needs the package {package}; install it with "
            f"{install_command(extra)}"
        )
    if site.tls is not None:
        for path in (site.tls.ca, site.tls.cert, site.tls.key):
            _check_tls_file(path, is_key=path == site.tls.key)
        _check_together(site.tls)
    return site


def insecure_note(site: Site) -> str | None:
    """What is said at each use of an executor without TLS that its site file allows."""
    if not site.is_insecure:
        return None
    return (
        f"the executor {site.name} has `insecure: true`: everyone who can reach its scheduler can "
        "run commands as you, and read files and secrets of your jobs"
    )


def _unknown(sites: Sites, name: str) -> str:
    if name == LOCAL:
        return "the executor local is this machine; it is always there"
    if sites.path is None:
        return (
            f"there is no executor {name!r}: no site file {FILE_NAME} beside the ledger or in the "
            f"user's configuration, and {SITES_VARIABLE} names none"
        )
    return f"{sites.path} has no executor {name!r}{nearest(name, sites.executors)}"


def _refuse_writable(path: Path) -> None:
    status = path.stat()
    if not is_own(status):
        raise UsageProblem(f"the site file {path} belongs to another user; take a copy of your own")
    if others_may_write(Entry(path, status)):
        raise UsageProblem(
            f"the site file {path} can be written by others, who could send your jobs to machines of "
            f"their own; chmod go-w {path}"
        )
    examine_folder(path.parent).refuse(f"the site file {path} is not read")


def _check_together(tls: Tls) -> None:
    # Imported here, since most executors have no TLS.
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    named = f"{tls.cert} and {tls.key}"
    try:
        # An empty password: otherwise OpenSSL asks the terminal for that of an encrypted key.
        context.load_cert_chain(tls.cert, tls.key, password="")
        named = str(tls.ca)
        context.load_verify_locations(tls.ca)
    except (ssl.SSLError, ValueError) as error:
        why = getattr(error, "reason", None) or "there is no key, or one with a password"
        raise EnvironmentProblem(
            f"{named}, which the site file names under `tls`, cannot be used: {why}; all three files "
            "must be in PEM, and the key must be that of the certificate, without a password; "
            "`orc cluster certs DIR` makes these files"
        ) from error


def _check_tls_file(path: Path, *, is_key: bool) -> None:
    try:
        status = path.stat()
    except OSError as error:
        raise EnvironmentProblem(
            f"cannot read {path}, which the site file names under `tls`: {error.strerror}; "
            "`orc cluster certs DIR` makes these files"
        ) from error
    if not stat.S_ISREG(status.st_mode):
        raise EnvironmentProblem(
            f"{path}, which the site file names under `tls`, is not a file; name another"
        )
    if is_key and status.st_mode & 0o077:
        raise EnvironmentProblem(f"other users can read the key {path}; chmod 600 {path}")
    if others_may_write(Entry(path, status)):
        raise EnvironmentProblem(f"{path} can be written by others; chmod go-w {path}")
