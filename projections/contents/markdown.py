"""Markdown as HTML that does nothing by itself.

`markdown-it-py` shows raw HTML as text, and `nh3` removes everything that is not in the lists here.
Nothing is loaded from other servers: an image is shown only if it is a file that the caller knows,
and a link says where it leads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from html import escape
from typing import Any
from urllib.parse import unquote, urlsplit

from markupsafe import Markup

from orc.ledger.wording import visible
from orc.projections.contents.code import CLASS_PREFIX, code_html, cpu_deadline
from orc.projections.contents.form import language_named

Addresses = Callable[[str], str]
"""The address of a file by its path beside the text; empty if there is none."""

_TAGS = set(
    "a blockquote br code del em h3 h4 h5 h6 hr img li ol p pre s span strong table tbody td th "
    "thead tr ul".split()
)
_ATTRIBUTES = {"a": {"href", "title"}, "img": {"src", "alt"}, "ol": {"start"}, "span": {"class"}}
_SCHEMES = {"http", "https", "mailto"}
_TOKEN_CLASS = re.compile(rf"{CLASS_PREFIX}[a-z0-9]{{1,4}}")
_HEADING_OFFSET = 2
_HEADING_MAX = 6


def markdown_html(text: str, *, address_of: Addresses = lambda path: "") -> Markup:
    """The text as HTML. `address_of` gives the addresses of images that may be shown.

    Headings start at the third level, below those of a page. The caller bounds the text.
    """
    import nh3

    known: set[str] = set()

    def image_address(target: str) -> str:
        address = "" if _has_place(target) else address_of(unquote(target))
        known.add(address)
        return address

    def filtered(tag: str, name: str, value: str) -> str | None:
        if name == "src":
            return value if value and value in known else None
        if name == "class":
            return value if _TOKEN_CLASS.fullmatch(value) else None
        if name == "href":
            return value if urlsplit(value).scheme.lower() in _SCHEMES else None
        return value

    clean = nh3.clean(
        _render(text, image_address),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes=_SCHEMES,
        attribute_filter=filtered,
        link_rel="noopener noreferrer nofollow",
        strip_comments=True,
    )
    # Also the characters that the text wrote as references, such as &#x202e;.
    return Markup(visible(clean, kept="\n\t"))  # noqa: S704  # cleaned just above


def _render(text: str, image_address: Callable[[str], str]) -> str:
    from markdown_it import MarkdownIt

    until = cpu_deadline()

    def highlighted(text: str, language: str, attributes: str) -> str:
        known = language_named(language)
        # As a plain text: Markup would escape what the parser puts around it.
        return str.__str__(code_html(text, known, until=until) or "") if known else ""

    parser = MarkdownIt("commonmark", {"html": False, "highlight": highlighted})
    parser.enable(["table", "strikethrough"])

    def image(_: Any, tokens: Sequence[Any], at: int, options: Any, env: Any) -> str:
        target, said = str(tokens[at].attrGet("src") or ""), tokens[at].content
        address = image_address(target)
        if address:
            return f'<img src="{escape(address)}" alt="{escape(said)}">'
        return f"[image: {escape(' '.join(filter(None, (said, f'({target})'))))}]"

    def link_close(_: Any, tokens: Sequence[Any], at: int, options: Any, env: Any) -> str:
        return f"</a>{_place_after(tokens, at)}"

    parser.add_render_rule("image", image)
    parser.add_render_rule("link_close", link_close)
    tokens = parser.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + _HEADING_OFFSET, _HEADING_MAX)}"
    return str(parser.renderer.render(tokens, parser.options, {}))


def _place_after(tokens: Sequence[Any], at: int) -> str:
    """The host of a link whose text does not name it."""
    opened = at
    while opened and tokens[opened].type != "link_open":
        opened -= 1
    target = str(tokens[opened].attrGet("href") or "")
    host = _has_place(target) and (urlsplit(target).hostname or "")
    said = "".join(token.content for token in tokens[opened:at])
    return f" ({escape(host)})" if host and host not in said.lower() else ""


def _has_place(target: str) -> bool:
    """Whether the address names a server or a scheme, and so is not a path."""
    try:
        parts = urlsplit(target)
    except ValueError:
        return True
    return bool(parts.scheme or parts.netloc)
