"""Writes a value as YAML that `yaml_source.py` reads as the same value."""

from __future__ import annotations

import json
from typing import Any

import yaml

from orc.scheduler.core.errors import SpecError
from orc.scheduler.core.source.plain_scalars import read_plain
from orc.scheduler.core.source.yaml_source import parse_yaml


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        """The reader refuses large values behind aliases."""
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # PyYAML writes YAML 1.1, where 1e5 is a text.
    try:
        style = None if isinstance(read_plain(text), str) else "'"
    except ValueError:
        style = "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def write_yaml(document: Any) -> str:
    """The value as YAML; as JSON where YAML cannot write it, such as some control characters."""
    text = str(yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100))
    try:
        if json.dumps(parse_yaml(text, source_name="").value) == json.dumps(document):
            return text
    except SpecError:
        pass
    return json.dumps(document, indent=2) + "\n"
