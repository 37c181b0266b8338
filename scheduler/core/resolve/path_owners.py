"""Finds paths that several steps, or several items of one step, would write.

Only one step may own a path. Names with templates or wildcards are left to the run, and so are
steps of which only one may run, since a condition decides it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct, field

from orc.ledger.definition import FileDef, JobDef, StepDef, walk_steps
from orc.ledger.step_names import lineage
from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.file_names import FileNames
from orc.scheduler.core.language.templates import has_template, parse_template
from orc.scheduler.core.resolve.item_dependence import ItemDependence
from orc.scheduler.core.resolve.item_paths import find_collision, listed_scopes
from orc.scheduler.core.resolve.step_tree import is_before, upstream_of, walk

_PLAIN_NAMES = frozenset({("job", "id"), ("loop", "index"), ("project",)})
"""Values without wildcards."""
_COMPARED_MAX = 20
"""With how many writers of its path a step is compared; more than one is rare."""


class SharedPath(Struct, frozen=True):
    """Why entry `index` of the step's `files`, or some of them (None), cannot be written."""

    step: str
    index: int | None
    message: str


class _Writer(Struct, frozen=True):
    step: str
    is_captured: bool
    """Whether the path is one to capture, which the step need not write."""


def find_shared_paths(definition: JobDef) -> Iterator[SharedPath]:
    """The paths that the definition shows to be written twice, in the order of the steps."""
    if not any(step.files for step in walk_steps(definition.steps)):
        return
    steps = dict(walk(definition.steps))
    # A spec with problems may have ids such as `a/b`.
    graph = _Graph({name: steps[name] for name in steps if steps.keys() >= {*lineage(name)}})
    names = FileNames()
    writers: dict[str, list[_Writer]] = {}
    for step_id, step in graph.steps.items():
        if not (step.files or step.steps):
            continue
        fan_outs = list(graph.fan_outs_around(step_id))
        shared = {
            index: graph.same_in(fan_outs, step_id, file) for index, file in enumerate(step.files)
        }
        if not any(shared.values()):
            collision = find_collision(step, listed_scopes(step))
            if collision is not None:
                yield SharedPath(step_id, None, collision)
                continue
        for index, file in enumerate(step.files):
            path = _path_of(file)
            writer = _Writer(step_id, is_captured=file.path is None)
            fan_out = shared[index]
            if fan_out is not None and not graph.is_of_a_step_before(writer, writers.get(path, [])):
                yield SharedPath(
                    step_id,
                    index,
                    f"{path!r} is written by each item of {fan_out!r}; make the path depend on the "
                    "item, by a template or a pattern",
                )
            if not _is_fixed(file):
                continue
            other = path if path in writers else names.clash(path)
            for before in writers.get(other or "", [])[:_COMPARED_MAX]:
                if graph.may_both_write(before, writer):
                    yield SharedPath(step_id, index, _conflict(path, other or "", before.step))
                    break
            names.add(path)
            writers.setdefault(path, []).append(writer)


def find_shared_patterns(definition: JobDef) -> Iterator[str]:
    """Warnings of folders and patterns that are the same for several items: they may share a name."""
    steps = dict(walk(definition.steps))
    graph = _Graph(steps)
    for step_id, step in steps.items():
        for file in step.files:
            path = _path_of(file)
            if _is_name(path) or not path or (has_template(path) and _makes_name(file)):
                continue
            for fan_out in graph.fan_outs_around(step_id):
                if ItemDependence(steps, fan_out).is_same_for_all(path, step_id):
                    yield (
                        f"step {step_id!r}: the files of {path!r} are those of each item of "
                        f"{fan_out!r}; items that write the same name fail, so let the names depend "
                        "on the item"
                    )
                    break


def _path_of(file: FileDef) -> str:
    return file.path or file.glob or ""


def _is_fixed(file: FileDef) -> bool:
    """Whether the entry names one file, the same for all items and rounds."""
    return _is_name(_path_of(file)) and not has_template(_path_of(file))


def _makes_name(file: FileDef) -> bool:
    """Whether the entry is a template that makes the name of one file."""
    try:
        template = parse_template(_path_of(file))
    except TemplateError:
        return False
    if file.path is None and any(
        reference.path not in _PLAIN_NAMES
        for expression in template.expressions
        for reference in expression.references
    ):
        # The value may have wildcards.
        return False
    return _is_name("".join(part if isinstance(part, str) else "x" for part in template.parts))


def _is_name(path: str) -> bool:
    """Whether it names one file. Several may write into a folder."""
    return bool(path) and not set(path) & set("*?") and not path.endswith("/")


def _conflict(path: str, other: str, owner: str) -> str:
    if path == other:
        return f"{path!r} is already written by step {owner!r}; write another path"
    return f"{path!r} conflicts with {other!r}, which step {owner!r} writes; write another path"


class _Graph(Struct):
    steps: Mapping[str, StepDef]
    _upstream: dict[str, set[str]] = field(default_factory=dict)

    def upstream(self, step_id: str) -> set[str]:
        """What the step depends on. It is derived only for steps with a path of others."""
        if step_id not in self._upstream:
            self._upstream[step_id] = upstream_of(step_id, self.steps)
        return self._upstream[step_id]

    def may_both_write(self, first: _Writer, second: _Writer) -> bool:
        """Whether both steps run, and write their paths, unless something fails."""
        if first.step == second.step:
            return not (first.is_captured or second.is_captured)
        if self._is_conditional(first.step) or self._is_conditional(second.step):
            return False
        return not (
            self.is_of_a_step_before(first, [second]) or self.is_of_a_step_before(second, [first])
        )

    def is_of_a_step_before(self, writer: _Writer, others: Iterable[_Writer]) -> bool:
        """Whether the path is one to capture that a step before writes, and may stay as it is."""
        return writer.is_captured and any(
            is_before(other.step, self.upstream(writer.step)) for other in others
        )

    def fan_outs_around(self, step_id: str) -> Iterator[str]:
        """The steps with several items, itself and around it, innermost first, if each item runs."""
        for name in lineage(step_id):
            step = self.steps[name]
            if step.item_condition is not None:
                return
            if step.for_each is not None:
                count = step.for_each.count
                if count is None or count > 1:
                    yield name
            if step.condition is not None:
                return

    def same_in(self, fan_outs: Iterable[str], step_id: str, file: FileDef) -> str | None:
        """The first of these steps for whose items the entry names one file; None if there is none."""
        path = _path_of(file)
        if not _is_fixed(file) and not _makes_name(file):
            return None
        for fan_out in fan_outs:
            if ItemDependence(self.steps, fan_out).is_same_for_all(path, step_id):
                return fan_out
        return None

    def _is_conditional(self, step_id: str) -> bool:
        """Whether a condition decides if the step runs: its own, or one upstream or around it."""
        before = {name for need in self.upstream(step_id) for name in lineage(need)}
        return any(
            step.condition is not None or step.item_condition is not None
            for step in (self.steps[name] for name in (*lineage(step_id), *before))
        )
