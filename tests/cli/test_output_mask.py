"""A job's secrets are hidden in all output of the process."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from orc.cli.named_secrets import FILE_BYTES_MAX, hide_named_secrets
from orc.cli.output_mask import mask_output, widen_output_mask
from orc.cli.terminal.excerpts import excerpt
from orc.cli.terminal.tables.table import table
from orc.cli.terminal.text import safe
from orc.ledger.secrets.masking import Mask
from tests.cli.command_line import orc, write
from tests.processes import ORC, WAIT_S, orc_environment

VALUE = "qzx-value-of-a-secret"


def test_a_secret_in_the_message_of_an_error_is_hidden_on_the_terminal(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN_OF_MINE", VALUE)
    steps = "{a: {run: 'true', secrets: [TOKEN_OF_MINE]}, b: {prompt: hello}}"
    spec = write("spec.yaml", f"project: p\nprovider: replay\nsteps: {steps}\n")
    said = orc("run", spec, "--replies", f"{VALUE}.yaml")

    assert said.code == 2
    assert "no recorded replies at [secret TOKEN_OF_MINE].yaml" in said.err
    assert VALUE not in said.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "spec.yaml", "-i", "VALUE"),
        ("run", "spec.yaml", "-i", "xVALUE"),
        ("run", "--VALUE"),
        ("run", "VALUE"),
        ("--VALUE",),
        ("VALUE",),
        ("validate", "spec.yaml", "-i", "VALUE"),
        ("graph", "spec.yaml", "--format", "VALUE"),
    ],
    ids=" ".join,
)
def test_an_error_prints_no_part_of_a_key_that_is_an_argument(
    here: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    key = "sk-first-part=second-part/third=="
    monkeypatch.setenv("OPENAI_API_KEY", key)
    write("spec.yaml", "project: p\nsteps: {a: {run: 'true'}}\n")
    said = orc(*(argument.replace("VALUE", key) for argument in arguments))

    assert said.code == 2
    for part in ("first-part", "second-part", "third"):
        assert part not in said.err + said.out


SECRET = "hidden-part=second-part/third,,"
NAMED = "project: p\nsteps: {a: {run: 'true', secrets: [TOKEN_OF_MINE]}}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "spec.yaml", "--VALUE"),
        ("run", "VALUE.yaml", "--inputs", "spec.yaml"),
        ("run", "spec.yaml", "VALUE"),
        ("run", "spec.yaml", "-i", "VALUE"),
        ("submit", "--VALUE", "spec.yaml"),
        ("VALUE", "spec.yaml"),
        ("--VALUE", "spec.yaml"),
        ("graph", "spec.yaml", "--format", "VALUE"),
        ("validate", "spec.yaml", "VALUE.yaml"),
        ("validate", "spec.yaml", "VALUE.yaml", "--json"),
        ("resume", "--VALUE", "--spec=spec.yaml"),
    ],
    ids=" ".join,
)
def test_an_error_prints_no_part_of_a_secret_that_only_a_spec_names(
    here: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("TOKEN_OF_MINE", SECRET)
    write("spec.yaml", NAMED)
    said = orc(*(argument.replace("VALUE", SECRET) for argument in arguments))

    assert said.code != 0
    assert "[secret TOKEN_OF_MINE]" in said.err + said.out
    for part in ("hidden-part", "second-part", "third"):
        assert part not in said.err + said.out


@pytest.mark.parametrize(
    "text",
    [
        NAMED,
        "project: p\nsecrets:\n- TOKEN_OF_MINE\nsteps: {a: {run: 'true'}}\n",
        "secrets:  # of a server\n  # and\n\n  - 'OTHER'\n  - \"TOKEN_OF_MINE\"\n",
        '{"steps": {"a": {"run": "# no comment", "secrets": ["OTHER",\n "TOKEN_OF_MINE"]}}}',
        "steps:\n  a: {env: &names [TOKEN_OF_MINE]}\n  b: {secrets: *names}\n",
        "secrets: &names\n  - TOKEN_OF_MINE\n",
        "steps: {a: {workflow: inner.yaml}}\n",
        "}} no YAML: [ secrets: [TOKEN_OF_MINE]",
        "- secrets: [TOKEN_OF_MINE]\n- \udcff",
    ],
)
def test_secrets_are_found_in_each_form_of_a_spec_also_in_a_broken_one(
    here: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("TOKEN_OF_MINE", VALUE)
    Path("inner.yaml").write_text(NAMED)
    Path("spec.yaml").write_bytes(text.encode("utf-8", "surrogateescape"))
    said = orc("run", "spec.yaml", f"--{VALUE}")

    assert said.code == 2
    assert "No such option: --[secret TOKEN_OF_MINE]" in said.err


@pytest.mark.parametrize(
    "text", ["project: $TOKEN_OF_MINE\nsecrets: []\n", "secrets: [OTHER]\nenv: [TOKEN_OF_MINE]\n"]
)
def test_a_variable_that_is_no_secret_is_shown(
    here: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("TOKEN_OF_MINE", VALUE)
    write("spec.yaml", text)
    assert f"No such option: --{VALUE}" in orc("run", "spec.yaml", f"--{VALUE}").err


def test_no_pipe_or_large_file_is_read_for_the_names_of_secrets(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN_OF_MINE", VALUE)
    os.mkfifo("pipe.yaml")
    Path("large.yaml").write_text(NAMED + " " * FILE_BYTES_MAX)
    Path("others.yaml").write_text("pipe.yaml ../../../etc\0.yaml large.yaml others.yaml")
    reader = os.open("pipe.yaml", os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open("pipe.yaml", os.O_WRONLY)
    os.write(writer, NAMED.encode())
    files = ("pipe.yaml", "large.yaml", "others.yaml", "/dev/zero", "")
    said = orc("run", f"--{VALUE}", *files)

    assert os.read(reader, 1000) == NAMED.encode()
    os.close(reader)
    os.close(writer)
    assert said.code == 2
    assert f"No such option: --{VALUE}" in said.err


@pytest.mark.parametrize(
    "piece",
    ["secrets:\n- ", "secrets: *a\n", "secrets:&", "&a ", "- - ", "[", "a", "secrets: [", "\n"],
)
def test_any_text_is_searched_for_secrets_in_short_time(here: Path, piece: str) -> None:
    Path("spec.yaml").write_text((piece * FILE_BYTES_MAX)[:FILE_BYTES_MAX])
    started = time.process_time()
    hide_named_secrets(["spec.yaml"], {})
    assert time.process_time() - started < 5


def test_a_text_is_masked_before_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    widen_output_mask(Mask({"TOKEN_OF_MINE": VALUE}))
    text = f"{'x' * 10} {VALUE} and more"
    for width in range(12, 50):
        # What is not cut is masked when it is printed.
        assert VALUE[:2] not in mask_output(safe(text, width=width))
    assert VALUE[:4] not in table(["name"], [[f"{'x' * 70}{VALUE}"]])
    line, _ = excerpt(f"{'x' * 70}{VALUE}{'y' * 80}", is_full=False)
    assert VALUE[:4] not in line
    lines = [*excerpt(f"a\n{VALUE[:9]}\nb", is_full=False)]
    assert len(lines) == 3


def test_a_secret_of_several_lines_is_hidden_before_it_is_split(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its first line is too short to be found alone.
    secret = "q7q\nsecond-line-of-it"
    monkeypatch.setenv("TOKEN_OF_MINE", secret)
    write("spec.yaml", NAMED)
    said = orc("run", secret, "--inputs", "spec.yaml")
    assert said.code == 2
    assert "the spec [secret TOKEN_OF_MINE]: " in said.err
    (line,) = excerpt(f"see {secret}", is_full=False)
    assert line.strip() == "| see [secret TOKEN_OF_MINE]"


def test_the_excerpt_of_a_spec_shows_no_line_with_a_secret(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN_OF_MINE", VALUE)
    for command in ("run", "validate"):
        for padding in (0, 15, 30, 35, 60, 110):
            space = "y" * padding
            for inner in (f"no_key: {space} {VALUE}", f"name: {VALUE} {space}, no_key: 1"):
                step = f"a: {{run: 'true', secrets: [TOKEN_OF_MINE], {inner}}}"
                spec = write("spec.yaml", f"project: p\nsteps:\n  {step}\n")
                said = orc(command, spec)
                assert said.code == 2
                assert "spec.yaml:3:" in said.err
                assert VALUE[:3] not in said.err.replace("spec.yaml", "")
                assert VALUE[-7:-3] not in said.err


@pytest.mark.parametrize("command", ["validate", "run", "plan"])
def test_the_excerpt_of_a_spec_from_a_pipe_shows_no_line_with_a_secret(
    here: Path, command: str
) -> None:
    said = subprocess.run(
        [ORC, command, "-"],
        input=f"project: p\nsecrets: [TOKEN_OF_MINE]\nsteps: {{a: {{run: 'echo {VALUE}', b: 1}}}}\n",
        env=orc_environment(TOKEN_OF_MINE=VALUE),
        timeout=WAIT_S,
        text=True,
        capture_output=True,
        check=False,
    )
    assert said.returncode == 2
    assert "-:3:" in said.stderr
    assert VALUE not in said.stderr + said.stdout
