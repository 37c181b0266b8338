"""Specs that were good, changed at random: nodes of their trees, and bytes of their texts."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

import yaml

from orc.ledger.kinds import KIND_OF_KEY
from orc.scheduler.core.source.yaml_source import parse_yaml
from orc.scheduler.core.spec.model import JobSpec, StepSpec

ROOT = Path(__file__).parents[2]
_GOOD = ("examples", "cli/templates")
_FOLDERS = (*_GOOD, "tests/cli/specs/bad")
_TREE_DEPTH_MAX = 90

RICH = (
    """\
project: rich
provider: openai
model: gpt-4o-mini
params: {temperature: 0.1, max_tokens: 100, stop: [x], seed: 7}
concurrency: {total: 8, openai: 5}
timeout: 15m
output_dir: build
env: {LC_ALL: C, CI: null}
inputs:
  topic: {type: string, default: x, description: what, enum: [x, y]}
  many: {type: list, default: [1, 2]}
budget: {max_tokens: 200000, max_calls: 50, on_exceeded: pause}
cache: job
rate: {openai: {requests_per_min: 10, tokens_per_min: 1000}}
fallback: [anthropic]
defaults: {retry: 3, timeout: 2m, system: be brief}
steps:
  outline:
    prompt: "Outline ${{ inputs.topic }}"
    output: {format: json, schema: {type: object, properties: {chapters: {type: array}}}, repair: 2}
  chapter:
    needs: outline
    for_each: ${{ steps.outline.output.chapters }}
    as: chapter
    key: ${{ chapter.slug }}
    max_parallel: 4
    prompt: Write ${{ chapter.title }}
    files: [{path: "${{ chapter.slug }}.md"}]
  lint:
    needs: chapter
    run: ls "$HOME" ${{ inputs.topic }}
    retry: {max_attempts: 3, backoff: exponential, initial: 2s, max: 60s}
    retry_on: [exit_code, timeout]
    timeout: 1m
    files: ["**/*.txt"]
    continue_on_error: true
  summary: {value: {words: "${{ steps.lint.output | length }}", list: [1, 2.5, null, true]}}
  sign_off:
    approval: {message: Publish?, options: [approve, reject], timeout: 2d, on_timeout: reject}
  publish: {needs: sign_off, if: "steps.sign_off.output.decision == 'approve'", run: [./publish.sh]}
""",
    """\
project: flow
provider: replay
steps:
  talk:
    messages:
      - {role: system, content: x}
      - {role: user, content: [{text: "see"}]}
    tools: [read_file, write_file]
    max_turns: 3
  draft:
    loop: {max_iterations: 3, until: "steps.review.output == 'ok'"}
    steps:
      write: {prompt: write, system: s}
      review: {prompt: "review ${{ steps.write.output }}"}
  grid: {matrix: {a: [1, 2], b: [x, y]}, value: "${{ matrix.a }}${{ matrix.b }}"}
  each: {for_each: [1, 2], python: "m:f", args: {x: "${{ item }}"}, total_timeout: 5m}
  last: {if: "failure() or always()", value: "${{ steps.draft.status }}", needs: [draft, grid]}
""",
)

_TOKENS = (
    "steps inputs env job project task_description item loop . . [ ] ( ) { } ' \" | | ~ + - * / // "
    "% ** == != < > , : = a b output status error files attempts 0 1 -1 999999999999 1e999 'x' "
    "__class__ __globals__ mro if else and or not in is defined none true self namespace lipsum "
    "range cycler default('x') int join(',') replace('','x') indent(9) round(9) tojson list sum "
    "success() always() x() ${{ }} #} {% %} \\ \n \0 \u202e é 数"
).split(" ")

_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    -1,
    0,
    1,
    10**17,
    -(2**63),
    10**400,
    0.0,
    1e308,
    float("nan"),
    float("inf"),
    "",
    " ",
    "no",
    "on",
    "012",
    "12:30:00",
    "0x1f",
    "1_000",
    "2001-01-01",
    "~",
    "<<",
    "x" * 10_000,
    "\0",
    "a\0b.yaml",
    "\x1b]0;owned\x07",
    "\u202e\u2066\u200b\ufeff\U000e0041",
    "\ud800",
    "/etc/passwd",
    "../../x",
    "~/x",
    "C:\\x",
    "CON",
    "nul.txt",
    "x" * 300,
    "x/" * 3_000,
    "${{",
    "}}",
    "${{ }}",
    "${{ steps }}",
    "${{ steps.a }}",
    "${{ steps['a'].output }}",
    "${{ inputs.x.y.z }}",
    "${{ ''.__class__ }}",
    "${{ 'a' * 1000000000 }}",
    "${{ " + "(" * 500 + "1" + ")" * 500 + " }}",
    "${{ " + "-" * 3_000 + "1 }}",
    "app",
    "ollama",
    "replay/x",
    "os:system",
    "5s",
    "1e9h",
    [],
    {},
    [[]],
    [None],
    {"": ""},
    {"a": None},
    {"file": "missing.md"},
    {"file": "\0"},
    {"file": None},
    {"path": "x", "content": 1},
    {"type": "object", "properties": 1},
    {"$ref": "http://127.0.0.1:9/x"},
    {"$ref": "#"},
    {"type": "string", "pattern": "(a+)+$"},
    {"type": "string", "pattern": "("},
)

_FRAGMENTS = (
    "!!python/object/apply:os.system ['true']",
    "!<tag:yaml.org,2002:int> x",
    "&a [*a]",
    "&a {x: *b}",
    "*a",
    "<<: *a",
    "? [x]",
    "? |\n  x\n: y",
    "%YAML 9.9\n",
    "%TAG ! tag:x,2000:\n",
    "\n---\n",
    "\n...\n",
    "\t",
    "\r",
    "\r\n",
    "\0",
    "\x07",
    "\x1b[2J",
    "\x7f",
    "\x85",
    "\ufeff",
    "\u2028",
    "\u202e",
    "\U000e0041",
    "[" * 3_000,
    "{a: " * 200,
    "- " * 500,
    "'",
    '"',
    '"\\ud800"',
    '"\\x00"',
    '"\\U00110000"',
    "|9\n",
    ">-\n",
    "&" + "a" * 2_000 + " x",
    "#",
    ": ",
    "${{ ",
    " }}",
    "12:30:00",
    "9" * 5_000,
    "0." + "1" * 5_000,
)


@lru_cache(maxsize=1)
def seeds() -> tuple[bytes, ...]:
    """The specs to start from."""
    paths = sorted(path for folder in _FOLDERS for path in (ROOT / folder).glob("*.yaml"))
    return tuple(path.read_bytes() for path in paths if path.stat().st_size < 20_000)


@lru_cache(maxsize=1)
def _trees() -> tuple[Any, ...]:
    paths = sorted(path for folder in _GOOD for path in (ROOT / folder).glob("*.yaml"))
    texts = [*(path.read_text() for path in paths), *RICH]
    return tuple(parse_yaml(text, source_name="seed").value for text in texts)


@lru_cache(maxsize=1)
def _keys() -> tuple[str, ...]:
    fields = {**JobSpec.model_fields, **StepSpec.model_fields}
    names = [field.alias or name for name, field in fields.items()]
    strange = [
        "",
        "\0",
        "on",
        "<<",
        "__class__",
        "a b",
        "é",
        "\u202e",
        "x" * 70,
        "a.b",
        "1",
        "limits",
    ]
    return tuple(sorted({*names, *KIND_OF_KEY})) + tuple(strange)


def mutated_spec(seed: int) -> bytes:
    """A spec that differs from a good one in a few nodes, or in a few bytes, or in both."""
    chance = Random(seed)
    kind = chance.random()
    if kind < 0.55:
        return _dump(_changed_tree(chance), chance)
    text = chance.choice(seeds())
    if kind < 0.65:
        text = _dump(_changed_tree(chance), chance)
    for _ in range(chance.randint(1, 4)):
        text = chance.choice(_TEXTUAL)(text, chance)
    return text


def token_soup(chance: Random) -> str:
    """The text of an expression that may mean anything, or nothing."""
    return " ".join(chance.choice(_TOKENS) for _ in range(chance.randint(1, 14)))


def _changed_tree(chance: Random) -> Any:
    tree = copy.deepcopy(chance.choice(_trees()))
    for _ in range(chance.choice([1, 1, 2, 3])):
        tree = _change_node(tree, chance)
        if _is_deep(tree):
            break
    return tree


def _change_node(tree: Any, chance: Random) -> Any:
    holders = [node for node in _nodes(tree) if isinstance(node, dict | list) and node]
    if not holders:
        return tree
    holder = chance.choice(holders)
    place = chance.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    match chance.randrange(8):
        case 0 | 1:
            holder[place] = copy.deepcopy(chance.choice(_VALUES))
        case 2:
            holder[place] = f"${{{{ {token_soup(chance)} }}}}"
        case 3:
            del holder[place]
        case 4:
            holder[place] = chance.choice([[holder[place]], {"x": holder[place]}])
        case 5:
            other = chance.choice(list(_nodes(chance.choice(_trees()))))
            holder[place] = copy.deepcopy(other)
        case 6:
            found = chance.choice(list(_nodes(tree)))
            if isinstance(holder, dict):
                holder[chance.choice(_keys())] = copy.deepcopy(found)
            else:
                holder.append(copy.deepcopy(found))
        case _:
            if isinstance(holder, dict):
                holder[chance.choice(_keys())] = holder.pop(place)
            else:
                chance.shuffle(holder)
    return tree


def _nodes(tree: Any) -> list[Any]:
    found: list[Any] = []
    pending = [tree]
    while pending and len(found) < 5_000:
        node = pending.pop()
        found.append(node)
        if isinstance(node, dict):
            pending += node.values()
        elif isinstance(node, list):
            pending += node
    return found


def _is_deep(tree: Any) -> bool:
    level = [tree]
    for _ in range(_TREE_DEPTH_MAX):
        level = [
            item
            for node in level
            if isinstance(node, dict | list)
            for item in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return False
    return True


def _dump(tree: Any, chance: Random) -> bytes:
    if chance.random() < 0.3:
        return json.dumps(tree, default=str).encode()
    try:
        text = yaml.safe_dump(tree, sort_keys=False, allow_unicode=chance.random() < 0.5)
    except yaml.YAMLError:
        text = json.dumps(tree, default=str)
    return text.encode("utf-8", "surrogatepass")


def _flip(text: bytes, chance: Random) -> bytes:
    if not text:
        return text
    place = chance.randrange(len(text))
    return text[:place] + bytes([text[place] ^ (1 << chance.randrange(8))]) + text[place + 1 :]


def _cut(text: bytes, chance: Random) -> bytes:
    return text[: chance.randint(0, len(text))]


def _insert(text: bytes, chance: Random) -> bytes:
    place = chance.randint(0, len(text))
    return text[:place] + chance.choice(_FRAGMENTS).encode() + text[place:]


def _insert_byte(text: bytes, chance: Random) -> bytes:
    place = chance.randint(0, len(text))
    return text[:place] + bytes([chance.randrange(256)]) + text[place:]


def _repeat(text: bytes, chance: Random) -> bytes:
    start, end = sorted((chance.randint(0, len(text)), chance.randint(0, len(text))))
    return text[:end] + text[start:end] * chance.randint(1, 5) + text[end:]


def _remove(text: bytes, chance: Random) -> bytes:
    start = chance.randint(0, len(text))
    return text[:start] + text[start + chance.randint(0, 40) :]


def _swap_lines(text: bytes, chance: Random) -> bytes:
    lines = text.splitlines(keepends=True)
    if len(lines) > 1:
        one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
        lines[one], lines[other] = lines[other], lines[one]
    return b"".join(lines)


def _encode(text: bytes, chance: Random) -> bytes:
    plain = text.decode("utf-8", "replace")
    encoding = chance.choice(["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "latin-1", "cp037"])
    return plain.encode(encoding, "replace")


def _other_lines(text: bytes, chance: Random) -> bytes:
    return text.replace(b"\n", chance.choice([b"\r\n", b"\r", b"\n\t", "\u2028".encode()]))


_TEXTUAL: tuple[Callable[[bytes, Random], bytes], ...] = (
    _flip,
    _cut,
    _insert,
    _insert,
    _insert,
    _insert_byte,
    _repeat,
    _remove,
    _swap_lines,
    _encode,
    _other_lines,
)
