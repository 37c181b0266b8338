"""How Datasette's own pages look when they show a ledger: our navigation, in light and dark.

The style is a `data:` address, so that no file is served. The colours are those of our own pages.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from orc.projections.datasette.cells import STYLE
from orc.projections.pictures.styles import read_palette

_LOOK = """
header, footer { background: var(--orc-surface); color: var(--orc-muted) }
header { border-bottom: 1px solid var(--orc-border) }
footer { border-top: 1px solid var(--orc-border) }
:is(header, footer) a:is(:link, :visited) { color: var(--orc-accent) }
:is(header, footer) a:is(:hover, :focus) { color: var(--orc-text); text-decoration: underline }
header p.orc-nav { display: flex; flex-wrap: wrap; gap: 4px 16px; margin: 0 44px 6px 0 }
header .orc-brand:is(:link, :visited) { color: var(--orc-text); font-weight: 700 }
.nav-menu summary { color: var(--orc-text) }
body { background: var(--orc-page); color: var(--orc-text) }
a:is(:link, :visited) { color: var(--orc-accent) }
a:is(:hover, :focus) { color: var(--orc-text) }
.meta, .metadata-row, .facet-info, .suggested-facets, .truncated, small,
.type-int, .type-float, td em, .facet-info-total { color: var(--orc-muted) }
th, td { border-color: var(--orc-border) }
.rows-and-columns :is(tr:nth-child(even), thead th) { background: var(--orc-raised) }
input[type], select, textarea, .select-wrapper {
  background-color: var(--orc-surface); color: var(--orc-text); border-color: var(--orc-line)
}
input[type=submit], .core { background-color: var(--orc-accent); color: var(--orc-accent-text) }
.dropdown-menu, .nav-menu-inner, .advanced-export {
  background: var(--orc-surface); color: var(--orc-text); border-color: var(--orc-line); box-shadow: none
}
:is(.dropdown-menu, .nav-menu-inner) a:is(:link, :visited) { color: var(--orc-accent) }
pre, code { color: var(--orc-text) }
pre { background: var(--orc-raised) }
@media (max-width: 576px) {
  .rows-and-columns tr { background: var(--orc-surface); border-color: var(--orc-border) }
  .rows-and-columns tbody tr td { border-color: var(--orc-border) }
  .rows-and-columns tbody tr td:before { color: var(--orc-muted) }
}
.page-header, :is(h1, h2)[style*="border-left"] { border-color: var(--orc-accent) !important }
body form :is(input, button)[type=submit] {
  background: var(--orc-accent); border-color: var(--orc-accent); color: var(--orc-accent-text)
}
body form button[type=button] {
  background: var(--orc-surface); border-color: var(--orc-line); color: var(--orc-text)
}
body .CodeMirror {
  background: var(--orc-surface); color: var(--orc-text); border-color: var(--orc-line)
}
body .CodeMirror-gutters { background: var(--orc-raised); border-color: var(--orc-border) }
body .CodeMirror-linenumber { color: var(--orc-muted) }
body .CodeMirror-cursor { border-left-color: var(--orc-text) }
body .CodeMirror-selected { background: var(--orc-border) }
body .cm-s-default .cm-keyword { color: var(--orc-accent) }
body .cm-s-default :is(.cm-string, .cm-string-2) { color: var(--orc-succeeded) }
body .cm-s-default :is(.cm-number, .cm-atom) { color: var(--orc-cancelled) }
body .cm-s-default :is(.cm-comment, .cm-meta) { color: var(--orc-muted) }
body .cm-s-default :is(.cm-builtin, .cm-variable-2, .cm-operator) { color: var(--orc-cached) }
"""


@cache
def datasette_style() -> str:
    """The style sheet for Datasette's pages of a ledger."""
    return f"{read_palette()}{_LOOK}{STYLE}"


def add_templates(environment: Any) -> None:
    """Let Datasette find our templates before its own, and after those that the user has."""
    own = str(files("orc.projections.datasette") / "templates")
    paths = environment.loader.loaders[0].searchpath
    if own not in paths:
        paths.insert(len(paths) - 1, own)
