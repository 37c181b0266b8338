"""One-time links and the sessions of browsers that opened them.

A link has a token. The first browser that opens it gets a cookie; then the token is useless.
Only digests are kept, and they are compared in constant time.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import deque

_BYTES = 32
SESSIONS_MAX = 100
"""The number of sessions that are kept; the oldest one ends when there are more."""


class Sessions:
    """The one token that can still be used, and the sessions, of a server."""

    def __init__(self) -> None:
        self._token = b""
        self._sessions: deque[bytes] = deque(maxlen=SESSIONS_MAX)

    def new_token(self) -> str:
        """A token for a link. An earlier one that was not used becomes useless."""
        token = secrets.token_urlsafe(_BYTES)
        self._token = _digest(token)
        return token

    def open(self, token: str) -> str | None:
        """The value of the cookie of a new session; None if the token is not the one to use."""
        if not self._token or not hmac.compare_digest(_digest(token), self._token):
            return None
        self._token = b""
        cookie = secrets.token_urlsafe(_BYTES)
        self._sessions.append(_digest(cookie))
        return cookie

    def has(self, cookie: str) -> bool:
        """Whether the cookie is that of a session."""
        given = _digest(cookie)
        found = False
        for known in self._sessions:
            found |= hmac.compare_digest(given, known)
        return found


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
