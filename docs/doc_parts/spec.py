"""Parts about the spec: the keys of its mappings, and the language of templates."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from doc_parts.markup import choice, code_names, table


def render_filters() -> str:
    """The filters of the template language."""
    from orc.scheduler.core.language.evaluation import FILTERS

    return code_names(FILTERS)


def render_examples() -> str:
    """An example of each filter and test that is orc's own, with its result."""
    from orc.scheduler.core.language.filter_examples import FILTER_EXAMPLES, TEST_EXAMPLES

    of_both = [*FILTER_EXAMPLES.items(), *((f"is {n}", e) for n, e in TEST_EXAMPLES.items())]
    rows = [(f"`{name}`", f"`{text}`", f"`{result}`") for name, (text, result) in of_both]
    return table(("", "example", "gives"), rows)


def render_tests() -> str:
    """The tests of the template language."""
    from orc.scheduler.core.language.evaluation import TESTS

    return code_names(TESTS)


def render_later_keys() -> str:
    """Keys that are refused as not supported yet."""
    from orc.scheduler.core.spec.model import LATER_JOB_KEYS, LATER_STEP_KEYS

    of_job, of_step = code_names(sorted(LATER_JOB_KEYS)), code_names(sorted(LATER_STEP_KEYS))
    return f"Of a job: {of_job}\n\nOf a step: {of_step}"


def spec_models() -> dict[str, type[BaseModel]]:
    """Every mapping of the spec, by the name of its keys' part: `retry` for `RetrySpec`."""
    from orc.scheduler.core.spec import model as spec_model

    # Python lists them in the order in which they were loaded, which is not always the same.
    first = ("JobSpec", "StepSpec", "DefaultsSpec")
    models = sorted(
        spec_model.Strict.__subclasses__(),
        key=lambda each: (each.__name__ not in first, each.__name__),
    )
    return {
        model.__name__.removesuffix("Spec").lower(): model
        for model in models
        if model.__name__.endswith("Spec")
    }


def keys_of(model: type[BaseModel]) -> Callable[[], str]:
    """A renderer of one mapping of the spec, key by key."""

    def render() -> str:
        of_step = _own_schema(spec_models()["step"])["properties"]
        schema = _own_schema(model)
        required = schema.get("required", [])
        rows = []
        for key, shape in schema["properties"].items():
            about = shape.get("description") or of_step.get(key, {}).get("description", "")
            default = shape.get("default")
            if key in required:
                about = f"Required. {about}"
            elif default not in (None, [], {}) and not isinstance(default, dict):
                about = f"{about} Default: `{json.dumps(default)}`."
            rows.append((f"`{key}`", _shape_name(shape), about.strip()))
        return table(("key", "type", ""), rows)

    return render


def _own_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of the model; a recursive model has it under `$defs`."""
    schema = model.model_json_schema()
    return schema if "properties" in schema else schema["$defs"][model.__name__]


def render_rendered_keys() -> str:
    """When each key that is not plain data is rendered, mapping by mapping."""
    from orc.scheduler.core.spec.rendered_keys import Rendered, rendered

    whens = [when for when in Rendered if when not in (Rendered.INSIDE, Rendered.NEVER)]
    rows = []
    for name, model in spec_models().items():
        found = [
            " ".join(
                f"`{field.alias or key}`"
                for key, field in model.model_fields.items()
                if rendered(model, key) == when
            )
            for when in whens
        ]
        if any(found):
            rows.append((_TITLES.get(name, f"`{name}`"), *found))
    return table(("of", *whens), rows)


_TITLES = {
    "job": "the job",
    "step": "a step",
    "target": "`fallback`",
    "tool": "a tool",
    "file": "`files`",
    "message": "a message",
    "hook": "a hook",
    "part": "a part of it",
}


def _shape_name(shape: dict[str, Any]) -> str:
    """A JSON Schema in words; that a template can stand there is said elsewhere."""
    from orc.scheduler.core.spec.base import TEMPLATE_PATTERN

    forms = [one for one in shape.get("anyOf", []) if one.get("pattern") != TEMPLATE_PATTERN]
    if len(forms) < len(shape.get("anyOf", [])):
        return _shape_name(forms[0] if len(forms) == 1 else {"anyOf": forms})
    if "$ref" in shape:
        name = shape["$ref"].rpartition("/")[2]
        return _MAPPINGS.get(name, f"[mapping](#{name.removesuffix('Spec').lower()})")
    if "anyOf" in shape:
        from orc.scheduler.core.sizes import SIZE_PATTERN

        kinds = [each for each in shape["anyOf"] if each.get("type") != "null"]
        if {"number", "integer", "string"} == {each.get("type") for each in kinds}:
            return "duration"
        if [each.get("type") for each in kinds[:3]] == ["string", "number", "boolean"]:
            # Numbers and booleans stand for the text that they are written as.
            return " or ".join(["text", *(_shape_name(each) for each in kinds[3:])])
        if [each.get("pattern") for each in kinds] == [None, SIZE_PATTERN]:
            return "size"
        return " or ".join(dict.fromkeys(_shape_name(each) for each in kinds))
    if "enum" in shape:
        return "failure kind" if len(shape["enum"]) > 10 else choice(shape["enum"])
    kind = shape.get("type")
    if kind == "array":
        return f"list of {_shape_name(shape['items'])}"
    if kind == "object" and isinstance(shape.get("additionalProperties"), dict):
        return f"mapping to {_shape_name(shape['additionalProperties'])}"
    words = {"string": "text", "object": "mapping", None: "any value"}
    return words.get(kind) or str(kind)


_MAPPINGS = {
    "EmbedSpec": "[mapping](#embed)",
    "FileSpec": "[mapping](#files)",
    "HookSpec": "[mapping](#hooks)",
    "InputSpec": "[input](#inputs)",
    "MessageSpec": "[message](#messages)",
    "PartSpec": "[part](#messages)",
    "StepSpec": "[step](#steps)",
    "TargetSpec": "[mapping](#fallback)",
    "FileText": "`{file: PATH}`",
    "ToolSpec": "[mapping](#tools)",
}
"""The mappings whose section has not their name."""
