"""Reads `survivors.yaml`: the mutants that may survive, each with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.mutation.runner import Mutant

_FILE = Path(__file__).with_name("survivors.yaml")


@dataclass(frozen=True, slots=True)
class Survivor:
    """A mutation of a function: the line `was` of `file` becomes `becomes`."""

    file: str
    function: str
    was: str
    becomes: str
    why: str

    def explains(self, mutant: Mutant) -> bool:
        """Whether the mutant is this one."""
        module = "orc." + self.file.removesuffix(".py").replace("/", ".")
        is_here = mutant.name.startswith(f"{module}.") and self.function in mutant.name
        return is_here and mutant.lines == (self.was, self.becomes)


def read_survivors() -> list[Survivor]:
    """All explained survivors."""
    return [Survivor(**entry) for entry in yaml.safe_load(_FILE.read_text("utf-8")) or ()]
