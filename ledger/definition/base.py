"""Names in a definition with a meaning of their own."""

from __future__ import annotations

REPLAY = "replay"
"""The provider that answers from recorded replies; it can replace any other provider."""

LOCAL = "local"
"""The executor that performs steps on the machine of the process that runs the job."""
