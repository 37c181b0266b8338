"""The security headers of Datasette's own pages, if Datasette serves a ledger.

A browser then loads nothing from other sites and sends nothing to them. It runs only the script
files of Datasette and the scripts in Datasette's templates, which the policy names by their hashes.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Callable, Iterable
from typing import Any

from orc.projections.pages.requests import Asgi

_INLINE_SCRIPT = re.compile(r"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", re.DOTALL)
_ALLOW_FACET = "{{ datasette_allow_facet }}"


def script_sources(templates: Iterable[str]) -> list[str]:
    """The hash sources, for a policy, of the inline scripts without variables in the templates.

    The one variable that is filled in says whether facets are allowed: both values get a source.
    """
    found: set[str] = set()
    for template in templates:
        for script in _INLINE_SCRIPT.findall(template):
            for text in (script.replace(_ALLOW_FACET, value) for value in ("true", "false")):
                if "{{" not in text and "{%" not in text:
                    digest = hashlib.sha256(text.encode()).digest()
                    found.add(f"'sha256-{b64encode(digest).decode()}'")
    return sorted(found)


def policy(scripts: Iterable[str]) -> str:
    """The Content-Security-Policy of Datasette's pages. It allows their inline styles, which vary."""
    return "; ".join(
        (
            "default-src 'none'",
            " ".join(("script-src 'self'", *scripts)),
            "style-src 'self' 'unsafe-inline' data:",
            "img-src 'self' data:",
            "connect-src 'self'",
            "form-action 'self'",
            "object-src 'none'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )


def datasette_policy(datasette: Any) -> str:
    """The policy for the templates of this Datasette, with the user's own templates."""
    environment = datasette.jinja_env
    names = [name for name in environment.list_templates() if name.endswith(".html")]
    sources = (environment.loader.get_source(environment, name)[0] for name in names)
    return policy(script_sources(sources))


def with_headers(app: Asgi, policy_now: Callable[[], str | None]) -> Asgi:
    """The app with these headers in each response that does not set them itself.

    While `policy_now` returns None, responses are not changed.
    """

    async def secured(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http" or (wanted := policy_now()) is None:
            await app(scope, receive, send)
            return
        headers = {
            b"content-security-policy": wanted.encode(),
            b"x-content-type-options": b"nosniff",
            # Not `no-referrer`, which would make the Origin of a form null.
            b"referrer-policy": b"same-origin",
            b"cross-origin-opener-policy": b"same-origin",
            b"cross-origin-resource-policy": b"same-origin",
        }

        async def send_secured(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", ()))
                has = {bytes(name).lower() for name, _ in given}
                given += [(name, value) for name, value in headers.items() if name not in has]
                message = {**message, "headers": given}
            await send(message)

        await app(scope, receive, send_secured)

    return secured
