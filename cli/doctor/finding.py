"""One thing that `orc doctor` looked at, and what it found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `details` are for programs."""

    level: Literal["ok", "note", "bad"]
    name: str
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As a JSON value."""
        return {"level": self.level, "name": self.name, "message": self.message, **self.details}
