"""All pages: their links lead somewhere, their commands exist, and they have no private paths."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

from typer.main import get_command

from orc.cli.app import app
from tests.docs.conftest import PAGES, ROOT, blocks_of, read_page
from tests.each_case import each_case

_FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_PRIVATE = re.compile(
    r"(?<![\w.])/(home|root|work|Users|tmp|opt|mnt|private)/|pypi|simple/|index-url|extra-index"
)


def anchor_of(heading: str) -> str:
    """The anchor that GitHub makes from a heading."""
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return kept.replace(" ", "-")


def anchors_of(page: Path) -> set[str]:
    text = _FENCED.sub("", page.read_text("utf-8"))
    return {anchor_of(heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


@each_case("page", PAGES)
def test_every_link_leads_to_a_file_and_a_heading(page: str) -> None:
    here = ROOT / page
    for link in _LINK.findall(_FENCED.sub("", read_page(page))):
        name, _, anchor = link.partition("#")
        target = (here.parent / name).resolve() if name else here
        assert target.exists(), f"{page}: {link}"
        assert not anchor or anchor in anchors_of(target), f"{page}: {link}"


@each_case("page", PAGES)
def test_no_line_has_a_path_of_one_machine_or_the_address_of_a_registry(page: str) -> None:
    found = [line for line in read_page(page).splitlines() if _PRIVATE.search(line)]
    assert found == []


def commands_in(page: str) -> list[list[str]]:
    """The words of each command `orc ...` in code."""
    text = read_page(page)
    lines = [line for block in blocks_of(page, language="sh") for line in block.text.splitlines()]
    lines += _CODE.findall(_FENCED.sub("", text))
    found = []
    for line in lines:
        command = line.strip().removeprefix(".venv/bin/")
        if command.startswith("orc "):
            found.append(shlex.split(command.partition(" &")[0].partition(" | ")[0])[1:])
    return found


@each_case("page", PAGES)
def test_every_command_and_option_that_a_page_names_exists(page: str) -> None:
    root: Any = get_command(app)
    known = {name for p in root.params for name in (*p.opts, "-h", "--help")}
    for name, *words in commands_in(page):
        if name.startswith("-"):
            assert name in known | {"--install-completion"}, f"{page}: orc {name}"
            continue
        assert name in root.commands, f"{page}: orc {name}"
        options = {
            option
            for p in root.commands[name].params
            for option in (*p.opts, *p.secondary_opts)
            if option.startswith("-")
        }
        for word in words:
            if word.startswith("-") and word.strip("-"):
                assert word.partition("=")[0] in options, f"{page}: orc {name} {word}"


def test_every_make_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for page in PAGES:
        named = {code.split()[1] for code in _CODE.findall(read_page(page)) if code[:5] == "make "}
        assert named <= targets, page


@each_case("page", PAGES)
def test_every_path_in_the_repository_that_a_page_names_exists(page: str) -> None:
    pattern = r"(?:cli|ledger|scheduler|projections|providers|tests|docs|examples)/[\w./-]*"
    for code in _CODE.findall(_FENCED.sub("", read_page(page))):
        if re.fullmatch(pattern, code) and "NAME" not in code:
            assert (ROOT / code).exists(), f"{page}: {code}"


# Paths in these pages may belong to the reader's own jobs.
ABOUT_JOBS = {"README.md", "docs/python.md", "docs/spec.md", "docs/start/demo.md"}


@each_case("page", sorted(set(PAGES) - ABOUT_JOBS))
def test_every_module_that_a_page_names_is_a_path_from_the_root(page: str) -> None:
    named = [
        path
        for code in _CODE.findall(_FENCED.sub("", read_page(page)))
        for path in re.findall(r"[\w./*-]+\.py\b", code)
        if "NAME" not in path
    ]
    assert [path for path in named if not (ROOT / path).is_file()] == []


def test_every_module_in_the_diagrams_of_the_architecture_exists() -> None:
    diagrams = _FENCED.findall(read_page("docs/architecture.md"))
    named = re.findall(r"[\w./*-]+\.py\b", "".join(diagrams))
    assert named
    assert [path for path in named if not (ROOT / path).is_file()] == []


def test_every_decision_has_its_number_and_its_three_parts() -> None:
    paths = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [path.name[:4] for path in paths] == [f"{n:04}" for n in range(1, len(paths) + 1)]
    for path in paths:
        headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
        assert headings[0].startswith(f"{path.name[:4]}: ")
        assert headings[1:] == ["Context", "Decision", "Consequences"]


def test_every_page_that_the_code_names_exists_with_its_heading() -> None:
    """Messages, help and docstrings send people to pages."""
    named = {
        (path.relative_to(ROOT), match[0])
        for folder in ("cli", "ledger", "orc", "projections", "providers", "scheduler")
        for path in (ROOT / folder).glob("**/*.py")
        for match in re.finditer(
            r"\bdocs/(?!api\.md)[\w/-]+\.md(#[\w-]+)?", path.read_text("utf-8")
        )
    }
    assert len(named) > 10
    missing = []
    for path, link in sorted(named):
        page, _, anchor = link.partition("#")
        target = ROOT / page
        if not target.is_file() or (anchor and anchor not in anchors_of(target)):
            missing.append(f"{path}: {link}")
    assert missing == []


def test_every_page_has_its_place_on_the_site_or_on_a_page_of_links() -> None:
    """The site itself is built by `make docs`, which fails on a link to nothing."""
    site = tomllib.loads((ROOT / "zensical.toml").read_text("utf-8"))["project"]
    placed = [page for section in site["nav"] for part in section.values() for page in part]
    paths = [path for page in placed for path in page.values()]
    assert len(paths) == len(set(paths))
    pages = {page.removeprefix("docs/") for page in PAGES if page.startswith("docs/")}
    assert set(paths) == {page for page in pages if not page.startswith("decisions/")}
    assert [section for part in site["nav"] for section in part] == [
        "Start", "Tutorials", "How to", "Reference", "Explanation",
    ]  # fmt: skip


def test_the_page_on_installing_has_each_extra_for_users() -> None:
    project = tomllib.loads(read_page("pyproject.toml"))["project"]
    extras = project["optional-dependencies"].keys() - {"docs", "test"}
    rows = re.findall(
        r"^\| `orc-ledger\[(\w+)\]`", read_page("docs/start/install.md"), re.MULTILINE
    )
    assert set(rows) == extras
