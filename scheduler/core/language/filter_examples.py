"""An example of each filter and test that is orc's own, with its result; the documentation has them."""

from __future__ import annotations

FILTER_EXAMPLES: dict[str, tuple[str, str]] = {
    "map": ("[{'n': 1}, {'n': 2}] | map(attribute='n')", "[1, 2]"),
    "select": ("[1, none, 3] | select('number')", "[1, 3]"),
    "reject": ("['a', ''] | reject('eq', '')", '["a"]'),
    "selectattr": ("[{'ok': true, 'n': 1}, {'n': 2}] | selectattr('ok')", '[{"ok": true, "n": 1}]'),
    "rejectattr": ("[{'n': 1}, {'n': 2}] | rejectattr('n', 'gt', 1)", '[{"n": 1}]'),
    "groupby": (
        "[{'k': 'a', 'n': 1}, {'k': 'a', 'n': 2}] | groupby('k')",
        '[{"key": "a", "items": [{"k": "a", "n": 1}, {"k": "a", "n": 2}]}]',
    ),
    "zip": ("[1, 2] | zip(['a', 'b'])", '[[1, "a"], [2, "b"]]'),
    "batch": ("[1, 2, 3] | batch(2)", "[[1, 2], [3]]"),
    "range": ("1 | range(4)", "[1, 2, 3]"),
    "unique": ("['b', 'B', [1], [1]] | unique", '["b", [1]]'),
    "join": ("['a', 1, none] | join(', ')", '"a, 1, null"'),
    "replace": ("'a-b' | replace('-', ' or ')", '"a or b"'),
    "string": ("[1, true] | string", '"[1, true]"'),
    "split": ("'a, b' | split(', ')", '["a", "b"]'),
    "lines": ("steps_output | lines", '["first", "second"]'),
    "slug": ("'Über die Flüsse!' | slug", '"uber-die-flusse"'),
    "fromjson": ("'[1, 2]' | fromjson", "[1, 2]"),
    "fromcsv": ("'a;b\\n1;2' | fromcsv(';')", '[{"a": "1", "b": "2"}]'),
    "tocsv": ("[{'a': 1, 'b': 'x'}] | tocsv", '"a,b\\n1,x\\n"'),
    "tomarkdown": (
        "[{'a': 1, 'b': 'x'}] | tomarkdown(['b', 'a'])",
        '"| b | a |\\n| --- | --- |\\n| x | 1 |"',
    ),
    "mean": ("[1, 2, 6] | mean", "3.0"),
    "median": ("[{'s': 1}, {'s': 4}] | median(attribute='s')", "2.5"),
    "stdev": ("[1, 2, 3] | stdev", "1.0"),
    "quantile": ("[1, 2, 3, 4, 5] | quantile(0.75)", "4.0"),
    "contains": ("'a river' | contains('river')", "true"),
    "startswith": ("'a river' | startswith('a ')", "true"),
    "endswith": ("'a river' | endswith('sea')", "false"),
    "matches": ("'order 66' | matches('[0-9]+$')", "true"),
    "similarity": ("'rivers' | similarity('river') | round(2)", "0.91"),
    "shuffle": ("[1, 2, 3] | shuffle('seed')", "[1, 3, 2]"),
    "sample": ("[1, 2, 3, 4] | sample(2, 'seed')", "[1, 3]"),
    "date": ("'2026-08-01T12:30:00Z' | date('%d %B %Y')", '"01 August 2026"'),
}
"""Expressions and their results as JSON. `steps_output` is a text of two lines."""
TEST_EXAMPLES: dict[str, tuple[str, str]] = {
    "contains": ("[1, 2] is contains(3)", "false"),
    "startswith": ("'a river' is startswith('a ')", "true"),
    "endswith": ("'a river' is endswith('river')", "true"),
    "matches": ("'b7' is matches('^[a-z][0-9]$')", "true"),
}
