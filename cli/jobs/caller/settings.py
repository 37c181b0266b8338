"""`orc fork --set PATH=VALUE`: changes values in a spec's text, by the paths of their keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from orc.cli.errors import UsageProblem
from orc.ledger.wording import count_text
from orc.scheduler.core.errors import SpecError, nearest
from orc.scheduler.core.source.yaml_source import parse_yaml
from orc.scheduler.core.source.yaml_text import write_yaml
from orc.scheduler.core.spec.app_template import app_steps
from orc.scheduler.core.spec.model import JobSpec, StepSpec


def parse_sets(pairs: Iterable[str]) -> tuple[dict[tuple[str, ...], Any], dict[str, str]]:
    """The values by path in the spec, and the values of inputs, which are texts as with `-i`.

    Raises UsageProblem.
    """
    values: dict[tuple[str, ...], Any] = {}
    inputs: dict[str, str] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        path = tuple(name.strip().split("."))
        if not equals or not all(path):
            raise UsageProblem(
                f"--set: must be PATH=VALUE, such as steps.x.model=NAME; got {pair!r}"
            )
        if path[0] == "inputs":
            if len(path) != 2:
                raise UsageProblem(f"--set {name}: the path of an input must be inputs.NAME")
            inputs[path[1]] = text
        else:
            values[path] = _parse_value(text)
    return values, inputs


def split_changes(
    changes: Mapping[str, Any],
) -> tuple[dict[tuple[str, ...], Any], dict[str, Any]]:
    """The values by path in the spec, and the values of inputs, both unchanged.

    Raises UsageProblem.
    """
    values: dict[tuple[str, ...], Any] = {}
    inputs: dict[str, Any] = {}
    for name, value in changes.items():
        path = tuple(name.split("."))
        if not all(path):
            raise UsageProblem(f"changes: a key must be a path such as steps.x.model; got {name!r}")
        if path[0] != "inputs":
            values[path] = value
        elif len(path) == 2:
            inputs[path[1]] = value
        else:
            raise UsageProblem(f"changes: {name}: the path of an input must be inputs.NAME")
    return values, inputs


def set_values(text: str, values: Mapping[tuple[str, ...], Any]) -> str:
    """The spec's text with these values; without values, the same text.

    Comments are lost. The parser of specs checks the values later. Raises UsageProblem for a path
    that the spec cannot have.
    """
    if not values:
        return text
    document = parse_yaml(text, source_name="the spec").value
    if not isinstance(document, dict):
        return text
    for path, value in values.items():
        _check(document, path)
        _put(document, path, value)
    return write_yaml(document)


def _check(document: dict[str, Any], path: tuple[str, ...]) -> None:
    name = ".".join(path)
    _check_name(name, path[0], _keys_of(JobSpec))
    if path[0] != "steps":
        return
    if document.get("steps") is None:
        # A spec without `steps` stands for the built-in steps, which are written out here so that
        # they can be changed.
        document["steps"] = {
            step_id: step.model_dump(mode="json", by_alias=True, exclude_unset=True)
            for step_id, step in app_steps().items()
        }
    steps = document["steps"]
    if len(path) < 3 or not isinstance(steps, dict):
        raise UsageProblem(f"--set {name}: the path of a step's key must be steps.STEP.KEY")
    _check_name(name, path[1], steps)
    _check_name(name, path[2], _keys_of(StepSpec))


def _check_name(path: str, name: str, known: Iterable[str]) -> None:
    names = list(known)
    if name not in names:
        raise UsageProblem(f"--set {path}: there is no key {name!r}{nearest(name, names)}")


def _keys_of(model: type[JobSpec | StepSpec]) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()]


def _put(document: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    place: Any = document
    for key in path[:-1]:
        if isinstance(place, list):
            place = _item(place, key, path)
            continue
        # A short form, such as `retry: 3`, is replaced by a mapping.
        if not isinstance(place.get(key), dict | list):
            place[key] = {}
        place = place[key]
    if isinstance(place, list):
        _item(place, path[-1], path)
        place[int(path[-1])] = value
    else:
        place[path[-1]] = value


def _item(place: list[Any], key: str, path: tuple[str, ...]) -> Any:
    if not key.isdecimal() or int(key) >= len(place):
        raise UsageProblem(
            f"--set {'.'.join(path)}: {key!r} is not an index of the list, which has "
            f"{count_text(len(place), 'element')}, counted from 0; use one of them"
        )
    return place[int(key)]


def _parse_value(text: str) -> Any:
    """The value of a YAML text; the text itself if it is invalid YAML, or a block mapping or list."""
    try:
        value = parse_yaml(text, source_name="--set").value
    except SpecError:
        return text
    is_nested = isinstance(value, dict | list)
    return text if is_nested and not text.lstrip().startswith(("{", "[")) else value
