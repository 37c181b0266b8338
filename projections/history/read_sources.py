"""Which files and rows of a job's inputs a step had: as its item, and in its texts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from orc.ledger.definition import JobDef, dump_step
from orc.ledger.digest import canonical_json
from orc.ledger.errors import LedgerError
from orc.ledger.events import Payload, StepExpanded
from orc.ledger.inputs.read_inputs import ReadInput
from orc.ledger.reader import LedgerReader
from orc.ledger.step_names import lineage

_EXPANDED = (
    "SELECT version FROM events WHERE job_id = ? AND version <= ? AND type = 'step.expanded' "
    "AND step = ? ORDER BY version DESC"
)
_LAST = 1 << 62


class ReadSource(Struct, frozen=True):
    """A file, a row or the whole of an input that a step had.

    `path` is the file in `inputs/<name>/` of the run folder, `row` the number of the row from 1.
    Without `path` and `row`, it is all of the input.
    """

    name: str
    source: str
    path: str | None = None
    row: int | None = None
    sha256: str | None = None

    def text(self) -> str:
        """The source in words."""
        if self.row is not None:
            return f"row {self.row} of {self.source} (the input {self.name})"
        if self.path is not None:
            return f"{self.path} of {self.source} (the input {self.name})"
        return f"{self.source} (the input {self.name})"


def read_sources(
    reader: LedgerReader, job_id: str, definition: JobDef | None, step: str, version: int | None
) -> tuple[ReadSource, ...]:
    """What the step had of the inputs when event `version` of the job was recorded."""
    if definition is None or not definition.read:
        return ()
    found: dict[ReadSource, None] = {}
    for name in lineage(step):
        container = name.rpartition("[")[0] if name.endswith("]") else ""
        item = _item(reader, job_id, container, name, version) if container else None
        for file in _files_in(item, definition):
            found[file] = None
        if isinstance(item, dict):
            found |= dict.fromkeys(_rows_of(reader, item, definition))
    own = definition.step(step)
    text = "" if own is None else json.dumps(dump_step(replace(own, for_each=None)))
    text = text.replace('\\"', '"')
    of_items = {source.name for source in found}
    for name, read in definition.read.items():
        if _is_named(name, text) and name not in of_items:
            found[ReadSource(name, read.source)] = None
    return tuple(found)


def _is_named(name: str, text: str) -> bool:
    """Whether a template names the input, or a command its folder."""
    key = re.escape(name)
    in_template = rf"""\binputs(?:\.{key}|\[\s*(['"]){key}\1\s*\])(?!\w)"""
    in_command = rf'ORC_INPUTS["}}]*/{key}(?![\w-])'
    return re.search(f"{in_template}|{in_command}", text) is not None


def _item(reader: LedgerReader, job_id: str, container: str, name: str, version: int | None) -> Any:
    rows = reader.connection.execute(_EXPANDED, (job_id, version or _LAST, container)).fetchall()
    for (number,) in rows:
        event = reader.read_event(job_id, number).event
        if isinstance(event, StepExpanded) and name in event.children:
            try:
                return reader.read_payload(event.values)[event.children.index(name)]
            except (LedgerError, LookupError, TypeError):
                return None
    return None


def _files_in(value: Any, definition: JobDef) -> Iterator[ReadSource]:
    if isinstance(value, dict):
        for name, read in definition.read.items():
            for file in read.files:
                if (value.get("path"), value.get("sha256")) == (file.path, file.sha256):
                    yield ReadSource(name, read.source, file.path, None, file.sha256)
        for inner in value.values():
            yield from _files_in(inner, definition)
    elif isinstance(value, list):
        for inner in value:
            yield from _files_in(inner, definition)


def _rows_of(
    reader: LedgerReader, item: dict[str, Any], definition: JobDef
) -> Iterator[ReadSource]:
    """The rows of tables that the item is, or has under a key (as a matrix does)."""
    wanted = {canonical_json(value) for value in (item, *item.values()) if isinstance(value, dict)}
    for name, read in definition.read.items():
        file = read.files[0] if read.files else None
        for number, row in enumerate(_rows(reader, read), start=1):
            if canonical_json(row) in wanted:
                path, digest = (None, None) if file is None else (file.path, file.sha256)
                yield ReadSource(name, read.source, path, number, digest)


def _rows(reader: LedgerReader, read: ReadInput) -> Iterator[Any]:
    for part in read.parts:
        try:
            yield from reader.read_payload(Payload(sha256=part.sha256, size_bytes=part.size_bytes))
        except LedgerError:
            yield from [None] * part.rows
