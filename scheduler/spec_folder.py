"""Explains failures of steps that did not find a file or a module beside their spec.

A command starts in a working folder of its own, where the files beside the spec are not. And a spec
may have been moved since its job was submitted.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection
from pathlib import Path

from orc.scheduler.effects.contract import Result
from orc.scheduler.executors.contract import Place, Work

_WORD = re.compile(r"[\w./-]+")
_WORDS_MAX = 200
_NOT_FOUND = re.compile(
    r"not found|there is no|no such file|can(?:no|')t (?:open|import)|no module named",
    re.IGNORECASE,
)


def hint_for_missing(
    work: Work,
    result: Result,
    *,
    places: dict[Place, Path],
    got: Collection[str],
    is_remote: bool,
) -> str | None:
    """What to do about a failure that names a file of the spec's folder, or a path in that folder.

    `got` are the files that lay in the working folder. None if the failure is about something else.
    """
    assert result.failed is not None
    text = f"{result.failed.message}\n{result.complaint}".replace(f"{places['work']}/", "")
    if not _NOT_FOUND.search(text):
        return None
    spec = places["spec"]
    if str(spec) in text or (work.kind == "function" and "No module named" in text):
        module = work.function.partition(":")[0].partition(".")[0]
        if work.kind == "command" or not _has_module(spec, module):
            return (
                f"the folder of the spec is {spec}; if the files of the spec lie elsewhere, name "
                "their folder with --spec-dir of `orc resume`"
            )
    for word in dict.fromkeys(_WORD.findall(text)[:_WORDS_MAX]):
        name = word.removeprefix("./").rstrip(".")
        if name not in got and _is_file(spec, name):
            return _remedy(name, work, is_remote=is_remote)
    return None


def _remedy(name: str, work: Work, *, is_remote: bool) -> str:
    path = name if "/" in name else f"./{name}"
    there = f'write "$ORC_SPEC_DIR"/{shlex.quote(name)}, or {shlex.quote(path)} with `cwd: spec`'
    if work.kind == "function" or (work.argv and work.argv[0] != "/bin/sh"):
        there = f"write {shlex.quote(path)}, with `cwd: spec`"
    if is_remote:
        there = f"add it to `ship`, and {there}"
    if work.cwd == "spec" and not is_remote:
        return f"{name} lies beside the spec: write {shlex.quote(path)}"
    return f"{name} lies beside the spec, and the step started in its working folder: {there}"


def _is_file(folder: Path, name: str) -> bool:
    """Whether the folder has such a file. A name without `.` and `/` may be any word."""
    if not {".", "/"} & set(name) or name.startswith("/") or ".." in name.split("/"):
        return False
    try:
        return (folder / name).is_file()
    except OSError:
        return False


def _has_module(folder: Path, name: str) -> bool:
    return (folder / f"{name}.py").exists() or (folder / name).is_dir()
