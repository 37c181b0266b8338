"""The result of one check of `orc doctor`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct, field


class Finding(Struct, frozen=True):
    """The result of one check; `details` are further fields of the JSON output."""

    level: Literal["ok", "note", "bad"]
    name: str
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The JSON value."""
        return {"level": self.level, "name": self.name, "message": self.message, **self.details}
