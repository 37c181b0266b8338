"""The name of this distribution on the package index, and the installed version.

The command and the import package are called `orc`; on the package index that name is taken.
"""

from __future__ import annotations

from functools import cache

DISTRIBUTION = "orc-ledger"
"""The name for `pip install`."""


@cache
def version() -> str:
    """The version of the installed distribution; `0 (not installed)` if only sources are there.

    It is read once in a process: its file takes a quarter of the time of a short run.
    """
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed(DISTRIBUTION)
    except PackageNotFoundError:
        return "0 (not installed)"


def install_command(extra: str) -> str:
    """The command that installs orc with an optional extra, such as `mlx`."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"
