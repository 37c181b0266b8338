"""The files of a job's inputs, by their paths in the run folder, after the events that were applied."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct, ValidationError, field

from orc.ledger.digest import Digest
from orc.ledger.inputs.read_inputs import InputFile, ReadInput, inputs_in
from orc.ledger.stored import check_path
from orc.projections.folds.owned_files import Superseded


class InputFiles(Struct):
    """`files` are those of the spec in force, `read` its inputs by the names of their folders."""

    files: dict[str, InputFile] = field(default_factory=dict)
    read: dict[str, ReadInput] = field(default_factory=dict)
    _former: dict[str, set[Digest]] = field(default_factory=dict)

    def apply(self, spec: Any) -> None:
        """Apply the spec of an event, as JSON; an empty one if it was removed from the ledger.

        Nothing is known of the inputs of a spec that this version cannot read.
        """
        for path, file in self.files.items():
            self._former.setdefault(path, set()).add(file.sha256)
        self.files, self.read = {}, {}
        try:
            self.read = dict(inputs_in(spec))
        except ValidationError:
            return
        for name, found in self.read.items():
            for file in found.files:
                path = f"inputs/{name}/{file.path}"
                check_path(path, where="the spec of the job")
                self.files[path] = file

    def superseded(self) -> Iterator[Superseded]:
        """Files that a run folder may still have, and that no input has any more."""
        for path, digests in self._former.items():
            if path not in self.files:
                yield Superseded(path, frozenset(digests))
