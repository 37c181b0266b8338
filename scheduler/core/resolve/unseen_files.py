"""Finds files that a step names and does not get, since it does not depend on the step that writes them.

A step sees the files of the steps that it depends on, and no others. `orc validate` warns where the
spec shows such a name; the message of a command that failed gets a hint (`hint_for`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from functools import lru_cache, partial
from itertools import islice

from msgspec import Struct

from orc.ledger.definition import JobDef, StepDef
from orc.ledger.step_names import lineage
from orc.scheduler.core.language.templates import every_text, has_template
from orc.scheduler.core.resolve.step_tree import is_before, upstream_of, walk

_WORD = re.compile(r"[\w./-]+")
_QUOTED = re.compile(r"'([^'\n]+)'|\"([^\"\n]+)\"|`([^`\n]+)`")
_OTHERS_MAX = 1000


class UnseenFile(Struct, frozen=True):
    """Step `reader` names `path`, a file of step `writer`, which it does not depend on."""

    reader: str
    path: str
    writer: str

    @property
    def message(self) -> str:
        """What the author of the spec should know."""
        return (
            f"step {self.reader!r} names {self.path}, a file of step {self.writer!r}, which it does "
            f"not depend on; {remedy(self.reader, self.writer)}"
        )


def remedy(reader: str, writer: str) -> str:
    """How to let a step see the files of another one."""
    ours, theirs = [*lineage(reader)][::-1], [*lineage(writer)][::-1]
    for own, other in zip(ours, theirs, strict=False):
        if own != other:
            if own.endswith("]") or other.endswith("]"):
                break
            to = "" if own == reader else f" to step {_local(own)!r}"
            return f"add `needs: [{_local(other)}]`{to} to bring it"
    return "items of one step do not see each other's files"


def find_unseen_files(definition: JobDef) -> list[UnseenFile]:
    """The files that steps name in their commands and arguments, and that they do not get.

    Only names of files without wildcards and templates are looked for.
    """
    steps = dict(walk(definition.steps))
    writers: dict[str, list[str]] = {}
    for name, step in steps.items():
        for path in declared_names(step):
            writers.setdefault(path, []).append(name)
    names = _Names(writers)
    # What a step depends on is derived only for those that name a file: it may be long.
    upstream = lru_cache(maxsize=256)(partial(upstream_of, steps=steps))
    found = []
    for name, step in steps.items():
        for path in names.found_in("\n".join(_texts(step))):
            writing = writers[path]
            is_seen = any(
                writer == name
                or is_before(writer, upstream(name))
                or is_before(name, upstream(writer))
                for writer in writing
            )
            if not is_seen:
                found.append(UnseenFile(name, path, writing[0]))
    return found


def hint_for(
    text: str,
    *,
    step_id: str,
    writer_of: Callable[[str], str | None],
    is_later: Callable[[str], bool],
    seen: Set[str],
) -> str | None:
    """The hint for a failure whose text names a file of a step that the step does not depend on.

    `writer_of` says which other step writes a path, `is_later` whether that step depends on this one;
    `seen` are the paths that the step got. The cost is that of the text, whatever the number of files.
    """
    for path in _names_in(text):
        writer = None if path in seen else writer_of(path)
        if writer is None:
            continue
        if is_later(writer):
            return f"{path} is a file of step {writer!r}, which runs after this one"
        if f"{writer}#" in step_id:
            return f"{path} is a file of step {writer!r}, and no earlier round has written it"
        return f"{path} is a file of step {writer!r}; {remedy(step_id, writer)}"
    return None


def declared_names(step: StepDef) -> Iterator[str]:
    """The files that the step writes, as far as its definition names them."""
    for file in step.files:
        name = file.path if file.path is not None else file.glob
        if name and not has_template(name) and not set(name) & set("*?"):
            yield name.rstrip("/")


class DeclaredFiles:
    """Which steps of a graph name a file in their definitions. It follows a graph that grows."""

    def __init__(self) -> None:
        self._steps: Mapping[str, StepDef] = {}
        self._writers: dict[str, list[str]] = {}
        self._known = 0

    def writer(self, path: str, *, steps: Mapping[str, StepDef], except_for: str) -> str | None:
        """Another step that names the file; None if there is none."""
        if steps is not self._steps:
            self._steps, self._writers, self._known = steps, {}, 0
        for name, step in islice(steps.items(), self._known, None):
            for declared in declared_names(step):
                self._writers.setdefault(declared, []).append(name)
        self._known = len(steps)
        return next(
            (one for one in reversed(self._writers.get(path, [])) if one != except_for), None
        )


def _names_in(text: str) -> Iterator[str]:
    """What may be the name of a file: words, quoted texts, and the parts of a message."""
    words = (word.removeprefix("./").rstrip(".") for word in _WORD.findall(text))
    quoted = ("".join(found) for found in _QUOTED.findall(text))
    parts = (part.strip() for line in text.splitlines() for part in line.split(": "))
    # A name such as `out` may be any word.
    yield from (name for name in dict.fromkeys((*words, *quoted, *parts)) if {".", "/"} & set(name))


class _Names:
    """Paths to look for in texts. A text costs the same whatever the number of ordinary paths."""

    def __init__(self, paths: Iterable[str]) -> None:
        # A name such as `out` may be any word.
        known = [path for path in paths if {".", "/"} & set(path)]
        self._words = {path for path in known if _WORD.fullmatch(path)}
        self._others = [path for path in known if path not in self._words][:_OTHERS_MAX]

    def found_in(self, text: str) -> Iterator[str]:
        """The paths that stand in the text as a name of their own, each once."""
        words = (word.removeprefix("./").rstrip(".") for word in _WORD.findall(text))
        yield from dict.fromkeys(word for word in words if word in self._words)
        for path in self._others:
            if path in text and re.search(
                rf"(?<![\w./-])(?:\./)?{re.escape(path)}(?![\w/-]|\.\w)", text
            ):
                yield path


def _texts(step: StepDef) -> Iterator[str]:
    if isinstance(step.run, str):
        yield step.run
    yield from step.run if isinstance(step.run, tuple) else ()
    yield from every_text(step.args)


def _local(step_id: str) -> str:
    return step_id.rpartition("/")[2]
