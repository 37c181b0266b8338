"""Pages that need nothing else of the server: refused requests, links that were used, errors.

Each has its style inside, since the person may have no right to ask for the style sheet.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from msgspec import Struct

from orc.ledger.wording import visible
from orc.projections.pages.requests import Refusal, wants_html
from orc.projections.pages.security import HEADERS
from orc.projections.pages.static import read_static


class Notice(Struct, frozen=True):
    """A page with a title and paragraphs.

    `links` are addresses with their texts; after `leads_to` was loaded, nothing of this page is
    left in the history of the browser's tab.
    """

    status: int
    title: str
    paragraphs: Sequence[str]
    links: Sequence[tuple[str, str]] = ()
    leads_to: str = ""
    script: str = ""
    """A script of the page, which may ask this server."""
    form: tuple[str, str] | None = None
    """The address of a form with one field, and the name of the field."""


def notice_of(refusal: Refusal) -> Notice:
    """The page of a refused request."""
    links = [(refusal.go_on, "Open it")] if refusal.go_on else []
    return Notice(refusal.status, refusal.title, [refusal.message], links)


async def send_notice(
    scope: dict[str, Any],
    send: Any,
    notice: Notice,
    more_headers: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    """Answer an ASGI request with the page, or with its text if no browser shows it."""
    is_page = wants_html(scope) or bool(notice.leads_to)
    body = (render_notice(notice) if is_page else _text(notice)).encode()
    media_type = "text/html" if is_page else "text/plain"
    given = {
        **notice_headers(notice),
        "content-type": f"{media_type}; charset=utf-8",
        "content-length": str(len(body)),
    }
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in given.items()]
    await send(
        {
            "type": "http.response.start",
            "status": notice.status,
            "headers": [*encoded, *more_headers],
        }
    )
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def notice_headers(notice: Notice) -> dict[str, str]:
    """The headers of such a page. Its address may contain a secret, which no referrer may tell."""
    scripts = ""
    if notice.script:
        scripts = f"script-src {_source_of(notice.script)}; connect-src 'self'; "
    forms = "'none'" if notice.form is None else "'self'"
    return {
        **HEADERS,
        "content-security-policy": (
            f"default-src 'none'; style-src {_source_of(read_static('orc.css'))}; img-src data:; "
            f"{scripts}base-uri 'none'; form-action {forms}; frame-ancestors 'none'"
        ),
        # Without a referrer, a browser does not tell the origin of a form either.
        "referrer-policy": "no-referrer" if notice.form is None else "same-origin",
        "cache-control": "no-store",
    }


def render_notice(notice: Notice) -> str:
    """The page as HTML."""
    # Imported here, so that Jinja loads with the first page and not when Datasette starts.
    from orc.projections.pages.render import render

    return render("notice.html", {"notice": notice, "css": read_static("orc.css")})


def _text(notice: Notice) -> str:
    return visible("\n".join([*notice.paragraphs, ""]), kept="\n\t")


@cache
def _source_of(inline: str) -> str:
    digest = hashlib.sha256(inline.encode()).digest()
    return f"'sha256-{b64encode(digest).decode()}'"
