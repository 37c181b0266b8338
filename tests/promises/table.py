"""Reads the promises from `promises.yaml`, from which `docs/promises.md` is generated too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
_FILE = Path(__file__).with_name("promises.yaml")


@dataclass(frozen=True, slots=True)
class Guard:
    """A piece of code that a promise depends on: its text (`stands`), and a replacement (`gone`)."""

    name: str
    file: str
    stands: str
    gone: str
    test: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Promise:
    """A promise, its limits, and the tests that prove it."""

    name: str
    promise: str
    limits: str
    tests: tuple[str, ...]
    guards: tuple[Guard, ...]


def read_promises() -> list[Promise]:
    """All promises, in the order of the page."""
    document = yaml.safe_load(_FILE.read_text("utf-8"))
    return [
        Promise(
            name=entry["name"],
            promise=entry["promise"],
            limits=entry["limits"],
            tests=tuple(entry["tests"]),
            guards=tuple(Guard(**guard) for guard in entry.get("guards", ())),
        )
        for entry in document
    ]
