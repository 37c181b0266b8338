"""The context in which the tools of a step's model run, apart from the tools, which few steps have."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from pathlib import Path

from msgspec import Struct

from orc.ledger.definition import DEFAULT_LIMITS, LimitsDef
from orc.ledger.events import FileRef


class ToolContext(Struct, frozen=True):
    """The context in which tools run: the step's environment, its folder and the files in it.

    `files` are those of the steps that the step depends on, by their paths in `cwd`. `read` returns
    the bytes of one, `taken` the paths that other steps have written. `open_folder` creates `cwd`
    with the files, and may raise OSError. `secrets` names the secrets in `env`.
    """

    env: Mapping[str, str]
    secrets: tuple[str, ...]
    cwd: Path
    log_path: Path
    import_dir: str
    files: Mapping[str, FileRef]
    taken: Callable[[], Collection[str]]
    read: Callable[[FileRef], bytes]
    open_folder: Callable[[], Awaitable[None]]
    limits: LimitsDef = DEFAULT_LIMITS
