"""Parts about promises and threats, which are files of `tests/promises/`."""

from __future__ import annotations

from pathlib import Path

from doc_parts.markup import code_names, table

ROOT = Path(__file__).resolve().parents[2]


def render_promises() -> str:
    """Every promise, with its limits, its tests and its guards."""
    import yaml

    parts = []
    text = (ROOT / "tests/promises/promises.yaml").read_text("utf-8")
    for entry in yaml.safe_load(text):
        tests = " \\\n  ".join(entry["tests"])
        lines = [f"## {entry['name'].capitalize()}", entry["promise"].strip()]
        lines.append(f"**Limits.** {entry['limits'].strip()}")
        lines.append(f"```sh\n.venv/bin/python -m pytest -m '' \\\n  {tests}\n```")
        names = [f"*{guard['name']}* (`{guard['file']}`)" for guard in entry.get("guards", ())]
        if names:
            lines.append(f"Guards: {', '.join(names)}.")
        parts.append("\n\n".join(lines))
    return "\n\n".join(parts)


def render_threats() -> str:
    """Who is trusted with what, and the tests that show it."""
    import yaml

    entries = yaml.safe_load((ROOT / "tests/promises/threats.yaml").read_text("utf-8"))
    return table(
        ("who", "is trusted with", "can do at most", "shown by"),
        (
            (entry["who"], entry["trusted"], entry["most"], code_names(entry["tests"]))
            for entry in entries
        ),
    )
