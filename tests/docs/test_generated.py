"""The generated parts of the pages are up to date."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from types import ModuleType

import pytest

from orc.ledger import exit_codes as exits
from orc.ledger.events import EVENT_TYPES
from orc.providers import REGISTRY
from tests.docs.conftest import PAGES, ROOT, read_page
from tests.each_case import each_case


def load_generator() -> ModuleType:
    # The script imports the module beside it.
    sys.path.insert(0, str(ROOT / "docs"))
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = load_generator()


@each_case("page", generate.linked_pages())
def test_the_generated_parts_of_a_page_are_up_to_date(page: str) -> None:
    assert read_page(page) == generate.render_page(page), "run python docs/generate.py"


def test_the_manual_page_is_up_to_date_and_has_every_command() -> None:
    for path, render in generate.WHOLE.items():
        assert (ROOT / path).read_text("utf-8") == render(), "run python docs/generate.py"
    text = (ROOT / "docs/man/orc.1").read_text("utf-8")
    named = set(re.findall(r"^\.SS orc ([\w-]+)", text, re.MULTILINE))
    assert named == set(re.findall(r"^### ([\w-]+)$", read_page("docs/cli.md"), re.M)) & named
    assert {"run", "resume", "verify", "import"} <= named
    assert not re.findall(r"^\.(?!TH|SH|SS|TP|PP|B |I |\\\")", text, re.MULTILINE)


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_the_manual_page_is_formatted_without_warnings() -> None:
    command = ["groff", "-man", "-Tutf8", "-ww", str(ROOT / "docs/man/orc.1")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "EXIT STATUS" in re.sub(".\x08", "", done.stdout)


def test_every_part_is_used_and_every_page_that_has_one_is_generated() -> None:
    found = {page: re.findall(r"<!-- generated: ([\w-]+) -->", read_page(page)) for page in PAGES}
    with_parts = {page for page, names in found.items() if names}
    assert with_parts == set(generate.PAGES)
    assert {name for names in found.values() for name in names} == set(generate.PARTS)


def test_every_type_of_event_has_a_heading() -> None:
    page = read_page("docs/events.md")
    assert set(EVENT_TYPES) <= set(re.findall(r"^### ([\w.]+)$", page, re.MULTILINE))


def test_every_provider_has_a_section() -> None:
    sections = re.findall(r"^## (.+)$", read_page("docs/providers.md"), re.MULTILINE)
    named = {name for section in sections for name in re.split(r", | and ", section)}
    assert {entry.billed_as or entry.name for entry in REGISTRY.values()} <= named


def test_the_table_of_exit_codes_has_every_code_and_no_other() -> None:
    section = read_page("docs/cli.md").partition("## Exit codes")[2]
    shown = [int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)]
    named = {
        value
        for name, value in vars(exits).items()
        if name.isupper() and name[0] != "_" and isinstance(value, int)
    }
    assert shown == sorted(named | set(exits.SIGNALS.values()))
