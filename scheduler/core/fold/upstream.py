"""The files that a step may see: those of the steps that it depends on.

What a step sees depends on the graph, never on timing. A step depends on its `needs`, directly or
through others, on what the containers around it depend on, and on the earlier rounds of a loop
around it.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from orc.ledger.file_owners import OwnedFile
from orc.ledger.step_names import lineage
from orc.scheduler.core.fold.state import JobState


class _Source(Struct, frozen=True, eq=False):
    """A step with files, and what it depends on. Steps without files are left out."""

    step: str | None
    before: tuple[_Source, ...]


_NOTHING = _Source(None, ())


class Upstream:
    """The files upstream of the steps of one job.

    Ask only for steps whose `needs` have ended: what is upstream of them does not change any more
    while the job has the same owner. The memory for a step is proportional to its `needs`.
    """

    def __init__(self, state: JobState) -> None:
        self._state = state
        self._known: dict[str, _Source] = {}

    def files(self, step_id: str) -> dict[str, OwnedFile]:
        """The files that the step may see, by their paths in `outputs/`, sorted by path."""
        found: dict[str, OwnedFile] = {}
        for step in self._sources(step_id):
            found |= {owned.file.path: owned for owned in self._state.owned.inside(step)}
        return dict(sorted(found.items()))

    def folders(self, step_id: str) -> list[str]:
        """The empty folders that the step may see, by their paths in `outputs/`, sorted."""
        owned = self._state.owned
        return sorted(
            {path for step in self._sources(step_id) for path in owned.folders_inside(step)}
        )

    def _sources(self, step_id: str) -> Iterator[str]:
        """The steps with files or folders upstream of the step."""
        if not len(self._state.owned):
            return
        seen: set[_Source] = set()
        left = [self._before(step_id)]
        while left:
            source = left.pop()
            if source in seen:
                continue
            seen.add(source)
            left += source.before
            if source.step is not None:
                yield source.step

    def _before(self, step_id: str) -> _Source:
        """What is upstream of the step. It goes through the graph without recursion."""
        left = [step_id]
        while left:
            name = left[-1]
            missing = [other for other in self._asked(name) if other not in self._known]
            if missing:
                left += missing
                continue
            left.pop()
            if name not in self._known:
                self._known[name] = self._join(name)
        return self._known[step_id]

    def _asked(self, step_id: str) -> Iterator[str]:
        """The steps whose upstream is upstream of this step too."""
        yield from self._state.graph.needs[step_id]
        parent = self._state.steps[step_id].parent
        if parent is not None:
            yield parent

    def _join(self, step_id: str) -> _Source:
        state = self._state
        sources: dict[_Source, None] = {}
        for need in state.graph.needs[step_id]:
            sources[self._with_files(need)] = None
        parent = state.steps[step_id].parent
        if parent is not None:
            sources[self._known[parent]] = None
            for earlier in self._earlier_rounds(step_id, parent):
                if state.owned.has_any(earlier):
                    sources[_Source(earlier, ())] = None
        sources.pop(_NOTHING, None)
        if not sources:
            return _NOTHING
        return next(iter(sources)) if len(sources) == 1 else _Source(None, tuple(sources))

    def _with_files(self, step_id: str) -> _Source:
        before = self._known[step_id]
        if not self._state.owned.has_any(step_id):
            return before
        return _Source(step_id, (before,))

    def _earlier_rounds(self, step_id: str, parent: str) -> list[str]:
        inside = self._state.steps[parent].inside
        if inside is None or not self._state.graph.steps[parent].is_loop:
            return []
        return inside.children[: self._state.steps[step_id].number - 1]


def may_replace(owner: str, step_id: str) -> bool:
    """Whether the step may write a file that `owner` has written.

    It may if it is the same step, or if it is in a later round of a loop than `owner`.
    """
    if owner == step_id:
        return True
    before, now = [*lineage(owner)][::-1], [*lineage(step_id)][::-1]
    for earlier, later in zip(before, now, strict=False):
        if earlier != later:
            loop, _, first = earlier.rpartition("#")
            same, _, second = later.rpartition("#")
            is_round = loop == same and first.isdecimal() and second.isdecimal()
            return bool(loop) and is_round and int(first) < int(second)
    return False
