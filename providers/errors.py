"""The errors of calls to models.

ProviderError        `kind` is one of the failure kinds of the events
├── TransientError   retry: the same request may succeed later
└── PermanentError   the user: the same request will fail again until something is changed
"""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from orc.providers.contract import Usage

TransientKind = Literal["rate_limit", "timeout", "connection", "server_error", "protocol"]
PermanentKind = Literal["auth", "bad_request", "refused", "context_length", "environment"]

RETRY_AFTER_MAX_S = 3600.0


class ProviderError(Exception):
    """Base of both errors. `message` is safe to record: it has no keys or control characters.

    `usage` has the tokens of a call whose reply cannot be used, if they are known. `unsent`
    means that the request cannot have reached the model. `is_partial` means that the reply had
    begun: `usage` is what was counted until then, and the model may have written more. `not_ready`
    means that the server may only have to be waited for: it does not answer, or it is loading.
    """

    kind: TransientKind | PermanentKind

    def __init__(self, message: str, *, usage: Usage | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.usage = usage
        self.unsent = False
        self.absent = False
        self.not_ready = False
        self.is_partial = False


class TransientError(ProviderError):
    """A retry may succeed, after `retry_after_s` seconds if the provider asked for a delay.

    With `absent`, nothing listens at the address, which is on this machine: only somebody who starts
    the server helps.
    """

    def __init__(
        self,
        kind: TransientKind,
        message: str,
        *,
        retry_after_s: float | None = None,
        usage: Usage | None = None,
        unsent: bool = False,
        absent: bool = False,
        not_ready: bool = False,
    ) -> None:
        super().__init__(message, usage=usage)
        self.kind = kind
        self.unsent = unsent
        self.absent = absent
        self.not_ready = not_ready
        self.retry_after_s = None if retry_after_s is None else _clamp(retry_after_s)


class PermanentError(ProviderError):
    """A retry of the same request fails again."""

    def __init__(self, kind: PermanentKind, message: str, *, usage: Usage | None = None) -> None:
        super().__init__(message, usage=usage)
        self.kind = kind


def _clamp(retry_after_s: float) -> float | None:
    if isnan(retry_after_s):
        return None
    return min(max(retry_after_s, 0.0), RETRY_AFTER_MAX_S)
