"""Links the words of the glossary where each first occurs in a page: used by `generate.py`.

Only prose is linked: no heading, code, table of contents, existing link or generated part.
A word that also has its usual meaning (`call`, `item`, `state`) is linked in the forms of
FORMS only, or not at all.
"""

from __future__ import annotations

import os.path
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GLOSSARY = "docs/glossary.md"

# Words that a page may use in their usual meaning too: only the forms that are given are linked.
FORMS = {
    "account": ("account that", "account of"),
    "amend": ("amends", "amended", "amendment"),
    "bundle": ("bundle", "bundles"),
    "capture": ("capture", "captured", "captures"),
    "case": ("clustered by case",),
    "charge": ("charged",),
    "command": (),
    "definition": ("resolved definition", "the definition"),
    "deliver": (),
    "fold": ("fold", "folds", "folded"),
    "fork": ("fork", "forks"),
    "group": ("inside a group", "outside a group", "members of groups"),
    "guard": ("guards",),
    "head": ("head", "heads"),
    "item": ("items",),
    "lane": ("lanes",),
    "input file": ("input files", "input file"),
    "judge": ("judge", "judges"),
    "lock": ("lock", "locks"),
    "note": (),
    "position": ("positions of the events", "by position"),
    "promise": ("promise", "promises"),
    "prune": ("pruned",),
    "publish": ("publish", "publishes", "published"),
    "queue": ("into the queue",),
    "redact": ("redacted", "redaction"),
    "reopen": ("reopen", "reopens", "reopened"),
    "repetition": ("repetition", "repetitions"),
    "replay": ("replayed",),
    "request": (),
    "rerun": (),
    "reserve": ("reserved", "reserves"),
    "resolved": ("resolved spec",),
    "resume": ("resume", "resumes", "resumed"),
    "room": ("room",),
    "round": ("rounds",),
    "rule": (),
    "server": (),
    "score": ("score", "scores"),
    "signal": (),
    "state": ("the state",),
    "stop signal": (),
    "table": (),
    "tag": (),
    "target": ("targets",),
    "upcast": ("upcast",),
    "version": (),
    "worker": (),
}

# Words that a whole page uses in another meaning: the artifacts of a CI server, calls of functions.
ELSEWHERE = {
    "docs/cluster.md": ("call",),
    "docs/decisions/0001-expressions-over-the-syntax-tree.md": ("call",),
    "docs/decisions/0029-values-are-never-code.md": ("call",),
    "docs/how-to/github-action.md": ("artifact",),
    "docs/mcp.md": ("call",),
    "docs/providers.md": ("promise", "stream"),
    "docs/security.md": ("call", "owner"),
    "docs/tutorials/ci-scores.md": ("artifact",),
}

# Words of the glossary in their usual meaning.
USUAL = (
    "a file that its owner",
    "answered, and charged",
    "ask` promises",
    "attributes and calls",
    "batch system",
    "both stream",
    "by its owner only",
    "chain of steps",
    "commit and its effect",
    "definition of a server",
    "drops repetitions",
    "effects outside",
    "folds its lines",
    "group write permission",
    "has an effect",
    "have an effect",
    "judges a command",
    "no effect",
    "only its owner",
    "process group",
    "published advisory",
    "published datasets",
    "reserves its name",
    "reserves the name",
    "routes and hooks",
    "streams from a socket",
    "streams included",
    "tool calls",
    "what it promises",
    "workers have room",
    "you publish",
)
_USUAL = re.compile("|".join(re.escape(phrase) for phrase in USUAL), re.IGNORECASE)
_SKIPPED = re.compile(
    r"<!-- generated: (?P<name>[\w-]+) -->[\s\S]*?<!-- end of (?P=name) -->"
    r"|^```[\s\S]*?^```$|^#+ .*$|^\|(?: ---)+.*$|`[^`\n]+`|!?\[[^\]]*\]\([^)]*\)|<[^>\n]+>",
    re.MULTILINE,
)
_LINKED = re.compile(r"\[([^\]]+)\]\([\w./]*glossary\.md#[\w-]+\)")


def read_words() -> list[str]:
    """The glossary's entries, in its order."""
    return re.findall(r"^### (.+)$", (ROOT / GLOSSARY).read_text("utf-8"), re.MULTILINE)


def forms_of(word: str) -> tuple[str, ...]:
    """How the word is written where it is linked."""
    plural = f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"
    return FORMS.get(word, (word, plural))


def link_words(page: str, text: str) -> str:
    """The page's text with each word linked where it first occurs, and nowhere else."""
    if page == GLOSSARY:
        return text
    text = _LINKED.sub(lambda match: match[1], text)
    glossary = os.path.relpath(GLOSSARY, Path(page).parent)
    found: list[tuple[int, int, str]] = []
    skipped = [match.span() for pattern in (_SKIPPED, _USUAL) for match in pattern.finditer(text)]
    for word in sorted(read_words(), key=len, reverse=True):
        forms = "|".join(re.escape(form) for form in sorted(forms_of(word), key=len, reverse=True))
        if not forms or word in ELSEWHERE.get(page, ()):
            continue
        pattern = re.compile(rf"(?<![\w`/.$-])(?:{forms})(?![\w`/(=-]|\.\w)", re.IGNORECASE)
        taken = skipped + [(begin, end) for begin, end, _ in found]
        for match in pattern.finditer(text):
            # Upper case: an argument of a command, such as JOB.
            is_taken = any(begin < match.end() and match.start() < end for begin, end in taken)
            if not is_taken and not match[0].isupper():
                found.append((*match.span(), word))
                break
    for begin, end, word in sorted(found, reverse=True):
        link = f"[{text[begin:end]}]({glossary}#{word.replace(' ', '-')})"
        text = text[:begin] + link + text[end:]
    return text
