"""The name of this distribution on the package index, and the installed version.

The command and the import package are called `orc`; on the package index that name is taken.
"""

from __future__ import annotations

from functools import cache

DISTRIBUTION = "orc-ledger"
"""The name for `pip install`."""


@cache
def version() -> str:
    """The version of the installed distribution; `0 (not installed)` if only sources are there."""
    from importlib.metadata import PackageNotFoundError

    try:
        return version_of(DISTRIBUTION)
    except PackageNotFoundError:
        return "0 (not installed)"


def version_of(name: str) -> str:
    """The version of an installed distribution, from the first lines of its metadata.

    `importlib.metadata.version` loads a parser of e-mail and parses all of it, with the README.
    Raises PackageNotFoundError.
    """
    from importlib.metadata import distribution

    found = distribution(name)
    head = (found.read_text("METADATA") or "").partition("\n\n")[0]
    for line in head.splitlines():
        key, _, value = line.partition(":")
        if key == "Version":
            return value.strip()
    return found.version


def install_command(extra: str) -> str:
    """The command that installs orc with an optional extra, such as `mlx`."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"
