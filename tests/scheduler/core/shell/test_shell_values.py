"""Values in commands: what is accepted keeps them data, and what would run them is refused.

The folder `commands/` has one shell text for each way in which a command uses a value.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orc.scheduler.core.errors import SpecError, TemplateError
from orc.scheduler.core.language.values import to_text
from orc.scheduler.core.shell.insertion import check_words, parse_shell
from orc.scheduler.core.spec.parse import parse_spec
from orc.scheduler.step_environment import render_env
from tests.each_case import each_case
from tests.scheduler.profiles import bounded

COMMANDS = Path(__file__).with_name("commands")
SHELLS = [shell for shell in ("dash", "bash") if shutil.which(shell)]
TOOLS = (
    "awk bash cat chmod cp cut date dash echo env find grep head ls mkdir mv perl python3 rm sed "
    "seq sh sleep sort tail tee timeout touch tr true uniq wc xargs"
).split()
HOSTILE = (
    "$(touch PWNED)'\"; touch PWNED; #`touch PWNED`\ntouch PWNED\n",
    "a[$(touch PWNED)]",
    "-etouch PWNED",
    "touch PWNED",
)


def texts(name: str) -> list[str]:
    """The shell texts in a file, without the newline at their end."""
    content = (COMMANDS / f"{name}.txt").read_text("utf-8")
    return content.removesuffix("\n").split("\n---\n")


@each_case("text", texts("values_stay_data"))
def test_an_everyday_use_of_a_value_is_accepted(text: str) -> None:
    parse_shell(text)


@pytest.mark.skipif("bash" not in SHELLS, reason="bash reads more than other shells")
def test_many_of_the_refused_commands_would_run_the_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orc.scheduler.core.shell.shell_values.check_script", lambda *_: None)
    tools = tools_in(tmp_path)
    parse_shell.cache_clear()
    ran: set[str] = set()
    for number, text in enumerate(texts("values_would_be_code")[:40]):
        for place, value in enumerate(HOSTILE):
            folder = tmp_path / f"{number}.{place}"
            with suppress(TemplateError):  # in single quotes, for instance
                ran |= {text} if runs_value("bash", text, value, folder, tools=tools) else set()
    parse_shell.cache_clear()
    assert len(ran) >= 10


@each_case("text", texts("values_would_be_code"))
def test_a_value_that_would_be_read_again_is_refused(text: str) -> None:
    with pytest.raises(TemplateError) as refused:
        parse_shell(text)
    assert "; or " not in str(refused.value)


# Each command meets two of the values; with `torture`, it meets the two others.
@pytest.mark.parametrize("first", [0, pytest.param(1, marks=pytest.mark.torture)])
@pytest.mark.parametrize("shell", SHELLS)
def test_no_accepted_command_runs_a_hostile_value(shell: str, first: int, tmp_path: Path) -> None:
    tasks = [
        (text, value, tmp_path / f"{number}.{place}")
        for number, text in enumerate(texts("values_stay_data"))
        for place, value in enumerate(HOSTILE)
        if (number + place) % 2 == first
    ]
    tools = tools_in(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        ran = list(pool.map(lambda task: runs_value(shell, *task, tools=tools), tasks))
    assert [task[:2] for task, has_run in zip(tasks, ran, strict=True) if has_run] == []


STARTS = [
    "",
    "env ",
    "timeout 5 ",
    "exec ",
    "command ",
    "x=$(",
    "if ",
    "! ",
    "echo a | ",
    "(",
    "{ ",
]
PROGRAMS = [
    "bash -c", "sh -ec", "eval", "echo", "printf %s", "awk", "sed -n", "python3 -c", "perl -e",
    "xargs -n1 sh -c", "find . -maxdepth 0 -exec sh -c", "test -n", "[ a =", "let y=1+",
    "declare", "printf -v", "trap", "bash <<<", "cat <<<", ": $((", "[[ 1 -eq", "export y=",
    "y=", "unset", "env -S", "source", "sh", "grep -e", "cat", ": ${a[", "read -r",
]  # fmt: skip
WORDS = ["${{ x }}", '"${{ x }}"', '"a ${{ x }} b"', "'echo \"$1\"' _ ${{ x }}", '"$y"', "$y",
         "'eval \"$1\"' _ ${{ x }}", "'{ print }' ${{ x }}", "- ${{ x }}", "-- ${{ x }}", "$((y))",
         "'$1' _ ${{ x }}", "<(echo ${{ x }})"]  # fmt: skip
ENDS = [
    "",
    " a",
    " | sh",
    " | cat",
    " > f; sh f",
    "; }",
    ")",
    " ]",
    " ]]",
    "))",
    "; fi",
    "]}",
    " <<< a",
]


@pytest.mark.skipif("bash" not in SHELLS, reason="bash reads more than other shells")
@bounded(150)
@given(
    st.sampled_from(["", "y=${{ x }}; ", "read -r y <<< ${{ x }}; "]),
    *(st.sampled_from(parts) for parts in (STARTS, PROGRAMS, WORDS, ENDS, HOSTILE)),
)
def test_no_command_that_is_accepted_runs_a_hostile_value(
    tmp_path_factory: pytest.TempPathFactory,
    before: str, start: str, program: str, word: str, end: str, value: str,
) -> None:  # fmt: skip
    text = f"{before}{start}{program} {word}{end}"
    try:
        parse_shell(text)
    except TemplateError:
        return
    folder = tmp_path_factory.mktemp("run")
    assert not runs_value("bash", text, value, folder / "work", tools=tools_in(folder)), text


def tools_in(folder: Path) -> str:
    """A folder with only these programs, so that no command reaches anything else."""
    tools = folder / "tools"
    tools.mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        if found is not None:
            (tools / name).symlink_to(found)
    return str(tools)


def runs_value(shell: str, text: str, value: str, folder: Path, *, tools: str) -> bool:
    """Whether a command, run with this value, makes the file PWNED."""
    folder.mkdir()
    script = parse_shell(text)
    env = {"PATH": tools, "HOME": str(folder), "ORC_SPEC_DIR": str(folder)}
    scope = {"x": value, "n": 3}
    env |= {name: to_text(part.evaluate(scope)) for name, part in script.variables}
    subprocess.run(
        [shutil.which(shell) or shell, "-ec", script.script],
        env=env, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=30,
    )  # fmt: skip
    return any("PWNED" in names for _, _, names in os.walk(folder))


@each_case(
    "words",
    [
        ["bash", "-c", 'echo "$1"', "_", "${{ x }}"],
        ["sh", "-ec", "cat", "_", "${{ x }}"],
        ["python3", "-c", "import sys; print(sys.argv[1])", "${{ x }}"],
        ["python3", "tool.py", "${{ x }}"],
        ["echo", "bash", "-c", "${{ x }}"],
        ["jq", "--arg", "x", "${{ x }}", "."],
        ["bash", "-c", "echo ${{ x | length }}"],
        ["find", ".", "-name", "${{ x }}"],
        ["git", "commit", "-m", "${{ x }}"],
        ["${{ x }}", "--version"],
        ["ssh", "--", "${{ x }}", "uptime"],
        ["npx", "prettier", "${{ x }}"],
        ["python3", "-c", "import subprocess; subprocess.run(['ls', '.'])", "${{ x }}"],
    ],
)
def test_words_in_which_a_value_stays_data_are_accepted(words: list[str]) -> None:
    check_words(tuple(words))


@each_case(
    "words",
    [
        ["bash", "-c", "echo ${{ x }}"],
        ["/bin/sh", "-lc", "echo ${{ x }}"],
        ["bash", "-c", 'eval "$1"', "_", "${{ x }}"],
        ["bash", "-c", '$1', "_", "${{ x }}"],
        ["/usr/bin/env", "bash", "-c", "${{ x }}"],
        ["env", "-S", "${{ x }}"],
        ["sudo", "-u", "a", "sh", "-c", "${{ x }}"],
        ["python3", "-c", "print('${{ x }}')"],
        ["python3.12", "-Bc", "print('${{ x }}')"],
        ["python${{ n }}", "-c", "${{ x }}"],
        ["ssh", "host", "echo ${{ x }}"],
        ["ssh", "host", "echo", "${{ x }}"],
        ["docker", "exec", "c", "sh", "-c", "${{ x }}"],
        ["docker", "run", "--rm", "image", "/bin/bash", "-ec", "${{ x }}"],
        ["find", ".", "-exec", "sh", "-c", "${{ x }}", ";"],
        ["awk", "{ print ${{ x }} }"],
        ["sed", "s/a/${{ x }}/"],
        ["jq", ".${{ x }}"],
        ["make", "X=${{ x }}"],
        ["${{ x }}", "${{ x }}"],
        ["su", "-c", "${{ x }}"],
        ["su", "a", "--", "-c", "${{ x }}"],
        ["env", "A=${{ x }}", "sh", "-c", 'eval "$A"'],
        ["xargs", "-I{}", "sh", "-c", "{} ${{ x }}"],
        ["node", "-e", "1", "${{ x }}"],
        ["bash", "${{ x }}"],
        ["python3", "-c", "import sys; exec(sys.argv[1])", "${{ x }}"],
        ["env", "A=${{ x }}", "perl", "-e", "system($ENV{A})"],
        ["go", "build", "-toolexec=${{ x }}"],
        ["kubectl", "exec", "p", "--", "psql", "-c", "${{ x }}"],
        ["docker", "run", "-e", "LD_PRELOAD=${{ x }}", "image"],
        ["fd", "-x", "sh", "-c", "${{ x }}"],
        ["env", "HOME=${{ x }}", "git", "log"],
    ],
)  # fmt: skip
def test_words_in_which_a_value_would_be_code_are_refused(words: list[str]) -> None:
    with pytest.raises(TemplateError):
        check_words(tuple(words))


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("run: 'bash -c \"echo hi ${{ inputs.x }}\"'", "bash would read the value as code"),
        ("run: 'eval \"echo ${{ inputs.x }}\"'", "eval would read the value as code"),
        ('run: [bash, -c, "${{ inputs.x }}"]', "sh -c 'echo"),
        ("{run: env, env: {BASH_ENV: '${{ inputs.x }}'}}", "BASH_ENV as code"),
        ("{run: make, env: {CC: '${{ inputs.x }}'}}", "CC as code"),
        ("run: [perl, -e, 'system(shift)', --, '${{ inputs.x }}']", "constant words"),
        ("run: 'echo $((${{ inputs.x }} + 1))'", r"\| int"),
    ],
)
def test_a_spec_with_such_a_command_is_refused_with_the_safe_form(step: str, message: str) -> None:
    body = step if step.startswith("{") else "{" + step + "}"
    text = f"project: p\ninputs: {{x: {{}}}}\nsteps:\n  a: {body}\n"
    with pytest.raises(SpecError, match=message):
        parse_spec(text)


def test_a_script_without_templates_is_its_authors_business() -> None:
    text = 'eval "$CMD"; bash -c "$CMD"; if ! a; then { b; } fi'
    assert parse_shell(text).script == text


@pytest.mark.parametrize(
    "text", ["(" * 5000, "echo " + "$(" * 300 + ")" * 300, "echo '", "if a; then"]
)
def test_a_text_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(TemplateError):
        parse_shell(f"{text} echo ${{{{ x }}}}")


def test_an_older_job_with_a_value_in_such_a_variable_fails_before_its_command() -> None:
    env = {"BASH_ENV": "${{ inputs.x }}"}
    with pytest.raises(TemplateError, match=r"env\.BASH_ENV: programs read"):
        render_env(env, {"inputs": {"x": "touch PWNED"}}, caller={})
