"""Explains failures of steps that did not find a file or a module beside their spec.

A command starts in a working folder of its own, where the files beside the spec are not. And a spec
may have been moved since its job was submitted.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping
from pathlib import Path

from orc.scheduler.effects.contract import Result
from orc.scheduler.executors.contract import Place, Work

_WORD = re.compile(r"[\w./-]+")
_WORDS_MAX = 200
_NOT_FOUND = re.compile(
    r"not found|there is no|no such file|can(?:no|')t (?:open|import|cd to)|no module named",
    re.IGNORECASE,
)
_NAMED = re.compile(
    r"can(?:no|')t (?:access|cd to|open|stat) ['\"]?([^'\":\n]+)"
    r"|(?:^|: )['\"]?([^'\":\n]+)['\"]?: No such file or directory",
    re.MULTILINE,
)
_REDIRECTED = re.compile(r">\s*[^\s;&|)]+")
_MISSING_CODES = (2, 126, 127)
"""Exit codes of shells and programs that did not find a file; other failures have them, too."""


def hint_for_missing(
    work: Work,
    result: Result,
    *,
    places: Mapping[Place, str],
    got: Collection[str],
    is_remote: bool,
) -> str | None:
    """What to do about a failure that names a file of the spec's folder, or a path in that folder.

    `got` are the files that lay in the working folder. None if the failure is about something else.
    """
    assert result.failed is not None
    spec = Path(places["spec"])
    text = f"{result.failed.message}\n{result.complaint}".replace(f"{places['work']}/", "")
    if not _NOT_FOUND.search(text):
        return _hint_by_command(work, result, spec, got=got, is_remote=is_remote)
    if str(spec) in text or (work.kind == "function" and "No module named" in text):
        module = work.function.partition(":")[0].partition(".")[0]
        if work.kind == "command" or not _has_module(spec, module):
            return (
                f"the folder of the spec is {spec}; if the files of the spec lie elsewhere, name "
                "their folder with --spec-dir of `orc resume`"
            )
    named = ["".join(found).strip() for found in _NAMED.findall(text)[:_WORDS_MAX]]
    for word in dict.fromkeys(_WORD.findall(text)[:_WORDS_MAX]):
        name = word.removeprefix("./").rstrip(".")
        if {".", "/"} & set(name) and not _is_there(name, got) and _is_in(spec, name):
            return _remedy(name, work, is_remote=is_remote)
    for name in (word.removeprefix("./").rstrip("/") for word in named):
        # A message says that this word is a name.
        if name and not _is_there(name, got) and _is_in(spec, name):
            return _remedy(name, work, is_remote=is_remote)
    return None


def _hint_by_command(
    work: Work, result: Result, spec: Path, *, got: Collection[str], is_remote: bool
) -> str | None:
    """The hint for a command that printed nothing about its failure, by the names in its text."""
    assert result.failed is not None
    is_silent = result.failed.exit_code in _MISSING_CODES and not result.complaint.strip()
    text = "\n".join(work.argv)
    if work.kind != "command" or work.cwd == "spec" or not is_silent or "ORC_SPEC_DIR" in text:
        return None
    for word in dict.fromkeys(_WORD.findall(_REDIRECTED.sub("", text))[:_WORDS_MAX]):
        name = word.removeprefix("./").rstrip("/")
        if {".", "/"} & set(word) and not _is_there(name, got) and _is_in(spec, name):
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


def _is_there(name: str, got: Collection[str]) -> bool:
    """Whether the working folder had such a file, or a folder with one."""
    return name in got or any(path.startswith(f"{name}/") for path in got)


def _is_in(folder: Path, name: str) -> bool:
    """Whether the folder has such a file or folder."""
    if name.startswith("/") or {"", ".", ".."} & set(name.split("/")):
        return False
    try:
        return (folder / name).exists()
    except (OSError, ValueError):
        return False


def _has_module(folder: Path, name: str) -> bool:
    return (folder / f"{name}.py").exists() or (folder / name).is_dir()
