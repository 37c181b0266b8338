"""Rewrites the generated parts of the documentation: `python docs/generate.py`, or `--check`.

A generated part is between `<!-- generated: NAME -->` and `<!-- end of NAME -->`; `doc_parts/` has
a module for each subject. With `--check` nothing is written, and the exit code is 1 if a page is
not up to date. Each word of the glossary is linked where it first occurs in a page
(`glossary_links.py`). The statements that create the read model are generated, too.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from doc_parts import commands, events, manual, performance, project, promises, spec, tables
from glossary_links import link_words

from orc.projections.tables.schema import render_statements

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    "docs/architecture.md",
    "docs/cli.md",
    "docs/decisions.md",
    "docs/environment.md",
    "docs/events.md",
    "docs/performance.md",
    "docs/promises.md",
    "docs/spec.md",
    "docs/providers.md",
    "docs/security.md",
    "docs/start/demo.md",
    "docs/tables.md",
    "docs/threat-model.md",
)
_PART = re.compile(r"<!-- generated: (?P<name>[\w-]+) -->\n.*?<!-- end of (?P=name) -->", re.DOTALL)
PARTS: dict[str, Callable[[], str]] = {
    "packages": project.render_packages,
    "graph": project.render_graph,
    "providers": project.render_providers,
    "servers": project.render_servers,
    "commands": commands.render_commands,
    "events": events.render_events,
    "values": events.render_values,
    "read-model": tables.render_read_model,
    "ledger-tables": tables.render_ledger_tables,
    "failure-kinds": events.render_failure_kinds,
    "rendered-keys": spec.render_rendered_keys,
    "filters": spec.render_filters,
    "filter-examples": spec.render_examples,
    "tests": spec.render_tests,
    "later-keys": spec.render_later_keys,
    "decisions": project.render_decisions,
    "encoders": project.render_encoders,
    "performance": performance.render_performance,
    "promises": promises.render_promises,
    "threats": promises.render_threats,
    **{f"{name}-keys": spec.keys_of(model) for name, model in spec.spec_models().items()},
}


WHOLE: dict[str, Callable[[], str]] = {
    "docs/man/orc.1": manual.render_manual,
    "projections/tables/schema.sql": render_statements,
}
"""Files that are generated as a whole."""


def main() -> int:
    """Rewrite or check every page; the exit code."""
    check = sys.argv[1:] == ["--check"]
    rendered = {page: render_page(page) for page in linked_pages()}
    rendered |= {path: render() for path, render in WHOLE.items()}
    stale = [page for page, text in rendered.items() if read(page) != text]
    for page in stale:
        if not check:
            (ROOT / page).parent.mkdir(exist_ok=True)
            (ROOT / page).write_text(rendered[page], "utf-8")
        message = "not up to date; run python docs/generate.py" if check else "rewritten"
        sys.stdout.write(f"{page}: {message}\n")
    return 1 if check and stale else 0


def read(page: str) -> str | None:
    """The page's text; None if there is no such file."""
    path = ROOT / page
    return path.read_text("utf-8") if path.exists() else None


def render_page(page: str) -> str:
    """The page's text with new generated parts, and with links to the glossary."""

    def fill(match: re.Match[str]) -> str:
        name = match["name"]
        body = PARTS[name]().strip("\n")
        return f"<!-- generated: {name} -->\n{body}\n<!-- end of {name} -->"

    return link_words(page, _PART.sub(fill, (ROOT / page).read_text("utf-8")))


def linked_pages() -> list[str]:
    """The pages that get links to the glossary."""
    pages = (ROOT / "docs").rglob("*.md")
    return ["README.md", "SECURITY.md", *sorted(str(path.relative_to(ROOT)) for path in pages)]


if __name__ == "__main__":
    sys.exit(main())
