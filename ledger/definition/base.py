"""What the parts of a definition are, and names in it with a meaning of their own."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

REPLAY = "replay"
"""The provider that answers from recorded replies; it can replace any other provider."""

LOCAL = "local"
"""The executor that performs steps on the machine of the process that runs the job."""


class Resolved(BaseModel):
    """Base model. It forbids unknown fields, so that a newer definition is refused, not misread."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
