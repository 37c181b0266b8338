"""The security headers of every page: they forbid everything that the pages do not need."""

from __future__ import annotations

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""No inline script or style and nothing from other servers, so that a model's text stays text."""
FRAMING_POLICY = f"{POLICY}; frame-src 'self'"
"""The policy of a page with a document in a frame."""
PREVIEW_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; sandbox"
)
"""The policy of an image or a document that others wrote: no script, no request, no own origin.

An SVG drawing may style itself.
"""

HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    # Else a browser looks up the host names of links before anyone follows them.
    "x-dns-prefetch-control": "off",
    # With `no-referrer`, a browser sends `Origin: null` with a form, and the form is refused.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
