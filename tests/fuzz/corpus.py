"""Broken specs of many kinds, each a name and a text: all are refused, and no more than that."""

from __future__ import annotations

_ONE = "project: x\nsteps: {a: {value: 1}}\n"
_STEPS = "project: x\nsteps:\n"


def _value(expression: str) -> str:
    return f"{_STEPS}  a: {{value: '${{{{ {expression} }}}}'}}\n"


BROKEN: dict[str, str | bytes] = {
    # Bytes and encodings.
    "empty": "",
    "only a mark": b"\xef\xbb\xbf",
    "zeros": b"\0" * 100,
    "a zero inside": _ONE.replace("x", "x\0").encode(),
    "an escape inside": _ONE.replace("x", "x\x1b[2J").encode(),
    "a delete inside": _ONE.replace("project: x", "project: x\x7f").encode(),
    "a c1 byte inside": _ONE.replace("project: x", "project: x\x9b5m").encode(),
    "utf-16": _ONE.encode("utf-16"),
    "utf-32": _ONE.encode("utf-32-be"),
    "ebcdic": _ONE.encode("cp037"),
    "latin-1": "project: caf\u00e9\n".encode("latin-1"),
    "half a surrogate pair": b"project: \xed\xa0\x80\n",
    "an overlong slash": b"project: \xc0\xaf\n",
    "beyond unicode": b"project: \xf4\x90\x80\x80\n",
    "an executable": b"\x7fELF\x02\x01\x01" + bytes(range(256)),
    "a gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    "carriage returns alone": _ONE.replace("\n", "\r").replace("steps", "\tsteps").encode(),
    # The shape of YAML.
    "unclosed list": "project: [x\n",
    "unclosed mapping": "project: x\nsteps: {a: {value: 1}\n",
    "unclosed quote": "project: 'x\n",
    "a tab for space": "project: x\nsteps:\n\ta: {value: 1}\n",
    "two colons": "project: x: y\n",
    "a directive of another version": "%YAML 9.9\n---\n" + _ONE,
    "a directive that nobody knows": "%\0\n---\n" + _ONE,
    "two documents": _ONE + "---\n" + _ONE,
    "a list": "- project\n- x\n",
    "a number": "17\n",
    "a text": "project\n",
    "null": "~\n",
    "a key that is a list": "? [a, b]\n: 1\n",
    "a key that is a mapping": "{{a: b}: 1}\n",
    "a key twice": "project: x\nproject: y\nsteps: {a: {value: 1}}\n",
    "a step twice": _STEPS + "  a: {value: 1}\n  a: {value: 2}\n",
    "a merge key": "project: x\nsteps:\n  a: &a {value: 1}\n  b: {<<: *a}\n",
    "an alias to nothing": "project: *nowhere\n",
    "an alias to itself": "project: x\nsteps: &a {a: *a}\n",
    "a list in itself": _STEPS + "  a: {value: &v [*v]}\n",
    "a bomb of aliases": (
        "project: x\nsteps:\n  a:\n    value:\n      - &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"      - &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))
    ),
    "deep lists": "project: " + "[" * 5_000 + "\n",
    "deep mappings": "project: " + "{a: " * 5_000 + "\n",
    "deep by indentation": "".join(f"{' ' * n}a:\n" for n in range(500)),
    "deep in a value": _STEPS + "  a: {value: " + "[" * 100 + "]" * 100 + "}\n",
    "a tag that calls": "project: !!python/object/apply:os.system ['true']\n",
    "a tag that imports": "project: !!python/name:os.system\n",
    "a tag for a set": "project: !!set {a, b}\n",
    "a tag of one's own": "project: !mine x\n",
    "a tagged key": "!!str project: x\nsteps: {a: {value: 1}}\n",
    "too large": "# " + "x" * (16 * 1024 * 1024 + 1),
    # What YAML 1.1 would read as something else.
    "an octal number": "project: x\nconcurrency: 012\nsteps: {a: {value: 1}}\n",
    "a yes for a truth": _STEPS + "  a: {value: 1, continue_on_error: yes}\n",
    "an on": "project: x\non: push\nsteps: {a: {value: 1}}\n",
    "a time for a duration": "project: x\ntimeout: 12:30:00\nsteps: {a: {value: 1}}\n",
    "a date for a project": "project: 2001-01-01 10:00\nsteps: {a: {value: 1}}\n",
    "a number of 5,000 digits": f"project: x\ntimeout: {'9' * 5000}\nsteps: {{a: {{value: 1}}}}\n",
    "an exponent of 999": "project: x\ntimeout_s: 1e999\nsteps: {a: {value: 1}}\n",
    "a nan": "project: x\ntimeout_s: .nan\nsteps: {a: {value: 1}}\n",
    "an infinity": "project: x\ntimeout_s: .inf\nsteps: {a: {value: 1}}\n",
    "a float for a whole number": _STEPS + "  a: {value: 1, retry: 1.5}\n",
    # Names.
    "a project that climbs": "project: ../x\nsteps: {a: {value: 1}}\n",
    "a project that is hidden": "project: .x\nsteps: {a: {value: 1}}\n",
    "a project with a line": '"project": "x\\n"\nsteps: {a: {value: 1}}\n',
    "a project of 10 kB": f"project: {'x' * 10_000}\nsteps: {{a: {{value: 1}}}}\n",
    "a step with a slash": _STEPS + "  a/b: {value: 1}\n",
    "a step with dots": _STEPS + "  ..: {value: 1}\n",
    "a step with a zero": _STEPS + '  "a\\0": {value: 1}\n',
    "a step that turns around": _STEPS + '  "a\\u202e": {value: 1}\n',
    "a step with half a character": _STEPS + '  "a\\ud800": {value: 1}\n',
    "a step with a line's end": _STEPS + '  "a\\n": {value: 1}\n',
    "a step of 10 kB": f"{_STEPS}  {'a' * 10_000}: {{value: 1}}\n",
    "a step without a name": _STEPS + '  "": {value: 1}\n',
    "a step of cyrillic": _STEPS + "  \u0430: {value: 1}\n",
    "two steps that differ in case": _STEPS + "  a: {value: 1}\n  A: {value: 1}\n",
    # The graph.
    "no steps": "project: x\nsteps: {}\n",
    "a step that is null": _STEPS + "  a:\n",
    "a step that is a text": _STEPS + "  a: run\n",
    "a circle": _STEPS + "  a: {value: 1, needs: b}\n  b: {value: 1, needs: a}\n",
    "a need of itself": _STEPS + "  a: {value: 1, needs: [a]}\n",
    "a need of nobody": _STEPS + "  a: {value: 1, needs: [b]}\n",
    "a need that is a number": _STEPS + "  a: {value: 1, needs: [1]}\n",
    "a workflow of itself": _STEPS + "  a: {workflow: spec.yaml}\n",
    "a template that climbs": "project: x\ntemplate: ../../../../etc/passwd.yaml\n",
    "a template with a zero": 'project: x\ntemplate: "a\\0.yaml"\n',
    # Files.
    "a prompt from a device": _STEPS + "  a: {prompt: {file: /dev/zero}}\n",
    "a prompt from a folder": _STEPS + "  a: {prompt: {file: /}}\n",
    "a prompt with a zero": _STEPS + '  a: {prompt: {file: "x\\0y"}}\n',
    "a prompt of a long name": f"{_STEPS}  a: {{prompt: {{file: {'x' * 5000}}}}}\n",
    "a file with a line separator": _STEPS + '  a: {value: 1, files: [{path: "a\\u2028b"}]}\n',
    "a file in decomposed form": _STEPS + '  a: {value: 1, files: [{path: "e\\u0301"}]}\n',
    "a reserved file with a small 1": _STEPS + '  a: {value: 1, files: [{path: "com\\u00b9"}]}\n',
    "a reserved console": _STEPS + "  a: {value: 1, files: [{path: 'x/conout$'}]}\n",
    "a short name of git's": _STEPS + "  a: {value: 1, files: [{path: 'GIT~1/hooks/x'}]}\n",
    "a temporary name": _STEPS + "  a: {value: 1, files: [{path: '.x.1-2.orc-tmp'}]}\n",
    "two paths that differ in form": (
        _STEPS
        + '  a: {value: 1, files: [{path: "stra\\u00dfe"}]}\n'
        + "  b: {value: 1, files: [{path: STRASSE}]}\n"
    ),
    # Expressions.
    "an attribute": _value("inputs.x.__class__"),
    "a call": _value("cycler(1)"),
    "a power": _value("9 ** 9"),
    "an unfinished expression": _value("1 +"),
    "a number of 5,000 digits in an expression": _value("9" * 5_000),
    "a thousand brackets": _value("(" * 1_000 + "1" + ")" * 1_000),
    "three thousand sums": _value("1" + "+1" * 3_000),
    "ten thousand nots": _value("not " * 10_000 + "1"),
    "a block": _value("%} {% for"),
    "a condition that calls": _STEPS + "  a: {value: 1, if: open('x')}\n",
    "a schema that is none": _STEPS
    + "  a: {prompt: x, output: {format: json, schema: {type: 1}}}\n",
}
"""The specs by what is wrong with them."""


def as_bytes(text: str | bytes) -> bytes:
    """The text as it stands in the file."""
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
