"""What a call to a model can end in when it does not end in a reply.

ProviderError        `kind` is one of the failure kinds of the events
├── TransientError   time: the same request may succeed later
└── PermanentError   nobody: the same request will fail again
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
    """Base of both; `message` is safe to record: it holds no key and no control byte.

    `usage` has the tokens of a call that was answered and cannot be used, where known;
    `unsent` says that the request cannot have reached the model.
    """

    kind: TransientKind | PermanentKind

    def __init__(self, message: str, *, usage: Usage | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.usage = usage
        self.unsent = False


class TransientError(ProviderError):
    """Worth another try; after `retry_after_s` seconds where the provider said so."""

    def __init__(
        self,
        kind: TransientKind,
        message: str,
        *,
        retry_after_s: float | None = None,
        usage: Usage | None = None,
        unsent: bool = False,
    ) -> None:
        super().__init__(message, usage=usage)
        self.kind = kind
        self.unsent = unsent
        self.retry_after_s = None if retry_after_s is None else _clamp(retry_after_s)


class PermanentError(ProviderError):
    """Not worth another try as it stands."""

    def __init__(self, kind: PermanentKind, message: str, *, usage: Usage | None = None) -> None:
        super().__init__(message, usage=usage)
        self.kind = kind


def _clamp(retry_after_s: float) -> float | None:
    if isnan(retry_after_s):
        return None
    return min(max(retry_after_s, 0.0), RETRY_AFTER_MAX_S)
