"""What this distribution is called on the package index, and which version is installed.

The command and the import package are called `orc`; the name on the index is another one.
"""

from __future__ import annotations

DISTRIBUTION = "orc-ledger"
"""The name that `pip install` takes."""


def version() -> str:
    """The version of the installed distribution; `0 (not installed)` for bare sources."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed(DISTRIBUTION)
    except PackageNotFoundError:
        return "0 (not installed)"


def install_command(extra: str) -> str:
    """The exact command that installs one of the optional extras, such as `mlx`."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"
