"""Words what does not fit a model of the spec: what a value must be, and what was found.

pydantic says what it tried. A person needs what may stand at the place, in all its forms; the JSON
Schema for editors knows that.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from orc.ledger.wording import count_text, number_text
from orc.scheduler.core.errors import Problem, nearest, shown_value
from orc.scheduler.core.source.paths import Path, dotted
from orc.scheduler.core.source.yaml_source import Document
from orc.scheduler.core.spec.base import TEMPLATE_PATTERN, FileText, no_value
from orc.scheduler.core.spec.flow import TAG_PATTERN
from orc.scheduler.core.spec.model import PROJECT_PATTERN, STEP_ID_PATTERN, JobSpec
from orc.scheduler.core.spec.prompt import MODEL_PATTERN, SERVER_PATTERN, VARIABLE_PATTERN
from orc.scheduler.core.spec.resources import NAME_PATTERN

WANTED = {
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "string_type": "a text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "path_type": "a path",
}
"""What must be at a place, by the type of an error of pydantic."""

_NAMES = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
}
_FILE = f"#/$defs/{FileText.__name__}"
_PATTERNS = {
    PROJECT_PATTERN: "may have the letters a to z, digits, `_`, `-` and `.`, which may not come first",
    STEP_ID_PATTERN: "may have the letters a to z, `_`, and after them digits and `-`",
    TAG_PATTERN: "may have the letters a to z, digits, `_`, and after the first also `. : / = @ -`",
    VARIABLE_PATTERN: "must be the name of an environment variable, in capitals",
    SERVER_PATTERN: "may have the letters a to z, and after them digits, `_`, `-` and `.`",
    MODEL_PATTERN: "must be the name of a model, and have no spaces around it",
    NAME_PATTERN: "may have the letters a to z, `_`, and after them digits, `-` and `.`",
}
# The words of other tools (GitHub Actions, GitLab CI, Docker Compose, Airflow, Snakemake, libraries for
# models) by what orc has for them, only where one thing is clearly meant.
_WORDS_OF_STEPS = {
    "run": "script command commands cmd shell bash_command entrypoint exec",
    "needs": "depends_on depends dependson dependencies after requires upstream",
    "python": "python_callable function callable",
    "args": "kwargs op_kwargs arguments",
    "env": "environment variables vars",
    "if": "when only_if condition rules trigger_rule",
    "for_each": "foreach with_items expand map",
    "matrix": "strategy",
    "steps": "tasks jobs stages",
    "workflow": "uses",
    "loop: {until: ..., max_iterations: ...}": "until",
    "retry: {max_attempts: ...}": "retries max_retries max_attempts attempts",
    "retry: {initial: ...}": "retry_delay",
    "timeout": "timeout_minutes timeout_seconds execution_timeout",
    "continue_on_error": "allow_failure ignore_errors",
    "cwd": "working_directory working_dir workdir",
    "files": "artifacts",
    "executor": "runs_on",
    "prompt": "user user_prompt prompt_template",
    "system": "system_prompt instructions",
    "model": "llm model_name",
    "output: {format: json, schema: ...}": "schema json_schema output_schema response_format",
    "tools": "functions",
}
_WORDS_OF_JOBS = {
    "project": "name title workflow pipeline dag dag_id",
    "task_description": "description",
    "steps": "jobs tasks stages nodes services rules",
    "env": "environment variables vars",
    "inputs": "parameters arguments args",
    "concurrency": "max_parallel parallelism threads cores",
    "output_dir": "output outputs outdir out_dir output_path",
}
_STARTS = "on schedule schedule_interval cron trigger triggers"
_NUMBER_OR_BOOLEAN = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?|true|false", re.ASCII)


def foreign_word(key: str, known: Collection[str]) -> str:
    """A hint for a key that other tools have: what it is in orc; empty for any other key.

    `known` are the keys of the mapping: that of a whole spec, a step, or its defaults.
    """
    word = key.lower().replace("-", "_")
    is_job = "project" in known
    if is_job and word in _STARTS.split():
        return "; a spec does not say when it starts: start it by cron or CI"
    if word == "name" and "needs" in known:
        return "; the name of a step is its key under `steps`"
    words_of = _WORDS_OF_JOBS if is_job else _WORDS_OF_STEPS
    if not is_job and "continue_on_error" not in known:
        return ""
    for meant, words in words_of.items():
        if word in words.split() and meant.partition(":")[0] in known:
            return f"; in orc this is `{meant}`"
    return ""


def is_wrong_type(item: Mapping[str, Any]) -> bool:
    """Whether an error of pydantic says only that the value has another type."""
    return str(item["type"]).endswith("_type")


def is_other_form(item: Mapping[str, Any]) -> bool:
    """Whether an error of pydantic is about a form of the value that it does not have."""
    is_word = isinstance(item["input"], str)
    return is_wrong_type(item) or (item["type"] == "literal_error" and not is_word)


def describe(
    items: Sequence[Mapping[str, Any]], place: Sequence[str | int], written: str | None
) -> str:
    """What is wrong at the place, from the errors of pydantic there: `must be a text; got 7`.

    `written` is the value as it stands in the document, if that is known.
    """
    said = next((each for each in items if not is_wrong_type(each)), None)
    return _wrong_type(items[0]["input"], place, written) if said is None else explain(said)


def _wrong_type(got: Any, place: Sequence[str | int], written: str | None) -> str:
    wanted = wanted_at(place)
    said = f"must be {_alternatives(wanted)}; got {shown_value(got)}"
    if written is None:
        written = got if isinstance(got, str) else shown_value(got)
    if "a text" in wanted and isinstance(got, int | float):
        said += f"; to give it as a text, write '{written}'"
    elif wanted == ["a list"] and isinstance(got, int | float | str) and got != "":
        said += f"; for a list of one, write [{written}]"
    elif wanted == ["a mapping"] and (key := _only_key(place)):
        said += f"; write {{{key}: ...}}"
    elif wanted == ["a mapping"] and isinstance(got, str) and (key := _key_with(got, place)):
        said += f"; write {{{key}: {got}}}"
    elif isinstance(got, str) and _NUMBER_OR_BOOLEAN.fullmatch(got):
        said += "; write it without quotes"
    return said


def _alternatives(wanted: Sequence[str]) -> str:
    """`a text`, `a text or a list`, `a text, true or false`."""
    if len(wanted) > 1 and wanted[-1] == "true or false":
        return f"{', '.join(wanted[:-1])}, true or false"
    return " or ".join(wanted)


def wanted_at(place: Sequence[str | int]) -> list[str]:
    """What may stand at a place of a spec: `a text`, `a list`. At an unknown place, `another value`."""
    found = dict.fromkeys(_wanted(_shapes_at(place)))
    if "a number" in found:
        found.pop("a whole number", None)
    if {"a text", "a number", "true or false"} <= {*found}:
        # A word for a process: what else may stand there is written as a text, too.
        del found["a number"], found["true or false"]
    # The forms that need most words come last.
    last = [word for word in ("a mapping", "{file: PATH}", "true or false") if word in found]
    return [*(word for word in found if word not in last), *last] or ["another value"]


def _wanted(shapes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for shape in shapes:
        if shape.get("$ref") == _FILE:
            yield "{file: PATH}"
        elif shape.get("pattern") == TEMPLATE_PATTERN:
            continue
        elif "enum" in shape or "const" in shape:
            values = shape.get("enum") or [shape["const"]]
            yield f"one of {', '.join(map(str, values))}"
        elif _resolved(shape).get("type") in _NAMES:
            yield _NAMES[_resolved(shape)["type"]]


def _shapes_at(place: Sequence[str | int]) -> list[Mapping[str, Any]]:
    """The shapes, one of which a value at the place must have."""
    shapes = _forms(_schema())
    for part in place:
        inside = []
        for shape in map(_resolved, shapes):
            found = (
                shape.get("items")
                if isinstance(part, int)
                else shape.get("properties", {}).get(part, _other_keys(shape))
            )
            if isinstance(found, dict):
                inside += _forms(found)
        shapes = inside
    return shapes


def _other_keys(shape: Mapping[str, Any]) -> Any:
    """The shape of the values under keys that are not listed; names with a pattern have their own."""
    named = shape.get("patternProperties", {})
    return shape.get("additionalProperties", next(iter(named.values()), None))


def _only_key(place: Sequence[str | int]) -> str:
    """The key of a mapping that needs exactly one key; else empty."""
    found = [_resolved(shape).get("required", ()) for shape in _shapes_at(place)]
    return str(found[0][0]) if len(found) == 1 and len(found[0]) == 1 else ""


def _key_with(word: str, place: Sequence[str | int]) -> str:
    """The key of a mapping whose value may be this word, one of a few; else empty."""
    for shape in _shapes_at(place):
        for key, inner in _resolved(shape).get("properties", {}).items():
            if any(word in form.get("enum", ()) for form in map(_resolved, _forms(inner))):
                return str(key)
    return ""


def _forms(shape: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The alternatives of a shape; a mapping with a `$ref` stays as it is, for its name."""
    if "anyOf" in shape:
        return [form for inner in shape["anyOf"] for form in _forms(inner)]
    if "$ref" in shape and "anyOf" in _resolved(shape):
        return _forms(_resolved(shape))
    return [shape]


def _resolved(shape: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in shape:
        shape = _schema()["$defs"][shape["$ref"].rpartition("/")[2]]
    return shape


@cache
def _schema() -> dict[str, Any]:
    return JobSpec.model_json_schema()


def problem_in_file(
    item: Mapping[str, Any],
    path: Path,
    document: Document,
    *,
    known: Iterable[str],
    wanted: Mapping[str, str] = WANTED,
) -> Problem:
    """The problem at the path of a file that is no spec, from an error of pydantic.

    `known` are the keys of the mapping there, `wanted` what must be there by the type of the error.
    """
    where = dotted(path)
    if item["type"] == "extra_forbidden":
        message = f"{where}: unknown key{nearest(str(path[-1]), known)}"
        return Problem(message, *document.place(path, key=True))
    if item["type"] == "missing":
        return Problem(f"{where}: this key is required", *document.place(path[:-1]))
    form = wanted.get(item["type"])
    if item["input"] is None:
        said = no_value()
    elif form is not None:
        said = f"must be {form}; got {shown_value(item['input'])}"
    else:
        said = explain(item)
    return Problem(f"{where}: {said}", *document.place(path))


def explain(item: Mapping[str, Any]) -> str:
    """What is wrong, from an error of pydantic that is not about the type: `must be at least 1`."""
    context = item.get("ctx", {})
    got = item["input"]
    shown = shown_value(got)
    match item["type"]:
        case "value_error" if got is None or isinstance(got, Mapping):
            return str(context["error"])
        case "value_error":
            return f"{context['error']}; got {shown}"
        case "literal_error":
            allowed = context["expected"].replace("'", "").replace(" or ", ", ").split(", ")
            if len(allowed) == 1:
                return f"must be {allowed[0]!r}; got {shown}"
            return f"{shown} is not allowed here{nearest(str(got), allowed)}"
        case "string_pattern_mismatch" | "string_too_short" if not got:
            return "is empty"
        case "string_pattern_mismatch" if context["pattern"] == VARIABLE_PATTERN:
            # The text may be a key, which must not be shown.
            return _PATTERNS[VARIABLE_PATTERN]
        case "string_pattern_mismatch":
            return f"{_PATTERNS[context['pattern']]}; got {shown}"
        case "string_too_long":
            most = count_text(context["max_length"], "character")
            return f"may have at most {most}; got {number_text(len(got))}"
        case "too_short":
            return f"must have at least {_entries(context['min_length'])}; got {shown}"
        case "too_long":
            most = _entries(context["max_length"])
            return f"may have at most {most}; got {number_text(context['actual_length'])}"
        case "greater_than_equal":
            return f"must be at least {_bound(context['ge'])}; got {shown}"
        case "greater_than":
            return f"must be greater than {_bound(context['gt'])}; got {shown}"
        case "less_than_equal":
            return f"must be at most {_bound(context['le'])}; got {shown}"
        case "finite_number":
            return f"must be a finite number; got {shown}"
    return f"does not fit here; got {shown}"


def _bound(number: float) -> str:
    """A bound as it is written: `1,000`, `0`, `0.5`."""
    return number_text(int(number)) if number == int(number) else str(number)


def _entries(number: int) -> str:
    return count_text(number, "entry")
