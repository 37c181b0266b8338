"""Names in a spec, as the spec around it would write them."""

from __future__ import annotations

from posixpath import join, normpath


def beside(folder: str, *names: str) -> str:
    """A path below a folder; both are relative to the submitted spec's folder, which is "".

    A name that begins with `~` is of a home folder, wherever the spec lies.
    """
    if names and names[-1].startswith("~"):
        return names[-1]
    path = normpath(join(folder, *names))
    return "" if path == "." else path
