"""Secrets: a different value for each way in; then every stored and printed byte is searched for it."""

from __future__ import annotations

import base64
import json
import os
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from orc.cli import main as entry
from tests.cli.command_line import Said, orc, submit, work_in, write
from tests.cli.pseudo_terminal import run_on_a_terminal
from tests.ledger.support import submitted
from tests.model_server import Asked, Fails, ModelServer, Says

CHANNELS = (
    "PRINTED SPLIT ENCODED FAILING WRITTEN ARTIFACT RETURNED RAISED CHILD TOOL_RUN TOOL_RAISED GIVEN"
).split()
VALUES = {f"CANARY_{name}": f"{name.lower()}-Canary/7+f3 a9é&{name}" for name in CHANNELS}
PEM = "-----BEGIN KEY-----\n" + "\n".join(c * 24 + "x+/Q" for c in "abcd") + "\n-----END KEY-----"
VALUES["CANARY_LINES"] = PEM
KEY = "sk-canary-7f3a9e51c2d84b60"
GIVEN = ("-i", f"given={VALUES['CANARY_GIVEN']}")

MODULE = """\
import os, subprocess, sys

def give():
    print("python prints", os.environ["CANARY_RETURNED"])
    subprocess.run(["sh", "-c", 'echo "a child prints $CANARY_CHILD"'], check=True)
    return {"nested": [os.environ["CANARY_RETURNED"]], os.environ["CANARY_CHILD"]: 1}

def fail():
    raise ValueError("x" * 990 + os.environ["CANARY_RAISED"])

def tool(word: str) -> str:
    \"\"\"Say a word.\"\"\"
    raise RuntimeError(f"{word}: {os.environ['CANARY_TOOL_RAISED']}")
"""
SPEC = """\
project: canaries
provider: openai/model-a
inputs: {given: {}}
defaults: {retry: 1}
steps:
  printed: {run: 'printf "it is %s\\n" "$CANARY_PRINTED"', secrets: [CANARY_PRINTED, CANARY_GIVEN]}
  split:
    run: |
      half=$(printf %s "$CANARY_SPLIT" | head -c 12)
      printf %s "$half"; sleep 0.05; printf '%s\\n' "${CANARY_SPLIT#"$half"}"
      printf %s "$half" >&2; sleep 0.05; printf '%s\\n' "${CANARY_SPLIT#"$half"}" >&2
    secrets: [CANARY_SPLIT]
  encoded:
    run: [python3, --, "${{ inputs.given == '' and 'x' or 'SPEC_DIR/encode.py' }}"]
    secrets: [CANARY_ENCODED, CANARY_LINES]
  failing:
    run: 'echo "$CANARY_FAILING" >&2; exit 3'
    secrets: [CANARY_FAILING]
    continue_on_error: true
  written:
    run: |
      printf 'key=%s\\n' "$CANARY_WRITTEN" > out.txt
      printf 'key=%s\\000' "$CANARY_ARTIFACT" > "$ORC_ARTIFACTS/left.bin"
    files: [out.txt]
    secrets: [CANARY_WRITTEN, CANARY_ARTIFACT]
  returned: {python: "canaries:give", secrets: [CANARY_RETURNED, CANARY_CHILD]}
  raised: {python: "canaries:fail", secrets: [CANARY_RAISED], continue_on_error: true}
  asked:
    prompt: "Use the tools. You were given ${{ inputs.given }}."
    tools: [run_command, "canaries:tool"]
    secrets: [CANARY_TOOL_RUN, CANARY_TOOL_RAISED]
  refused: {prompt: Fail., continue_on_error: true}
  after:
    needs: [asked, written]
    run: 'cat out.txt; echo "${{ steps.printed.output }} ${{ steps.returned.output }}"'
"""
ENCODE = """\
import base64, html, json, os, urllib.parse
value = os.environ["CANARY_ENCODED"]
for before in ("", "u", "us"):
    print(base64.b64encode((before + value).encode()).decode())
    print(base64.urlsafe_b64encode((before + value + ":x").encode()).decode())
print(urllib.parse.quote(value, safe=""), urllib.parse.quote_plus(value))
print(json.dumps({"k": value}), json.dumps(value, ensure_ascii=False), html.escape(value))
print(os.environ["CANARY_LINES"])
print(json.dumps(os.environ["CANARY_LINES"]))
for line in os.environ["CANARY_LINES"].splitlines():
    print("|", line)
"""


def model(asked: Asked) -> Says | Fails:
    """A model that uses both tools, then repeats all that it was sent, with the key."""
    messages = asked.body["messages"]
    if "Fail." in asked.last:
        return Fails(400, json.dumps({"error": {"message": f"no: {asked.headers}"}}))
    if len(messages) == 1:
        return Says("", (("t-1", "run_command", {"argv": ["printenv", "CANARY_TOOL_RUN"]}),))
    if len(messages) == 3:
        return Says("", (("t-2", "tool", {"word": VALUES["CANARY_TOOL_RUN"]}),))
    # A provider streams this in two pieces, and the value is split between them.
    value = VALUES["CANARY_TOOL_RAISED"]
    return Says(f"{KEY} {value} and {value} {VALUES['CANARY_GIVEN']} {KEY}")


@dataclass(frozen=True, slots=True)
class Ran:
    """A job that uses every channel: its folder, all output of orc about it, and the requests."""

    folder: Path
    job: str
    streamed: str
    shown: list[str]
    asked: str

    def outputs(self) -> dict[str, Any]:
        return outputs_of(self.job, "--db", self.folder / "runs.db")

    def events(self, step: str) -> str:
        return orc("tail", self.job, "--json", "--step", step, "--db", self.folder / "runs.db").out


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Run the job once, and then every command that reads it."""
    with pytest.MonkeyPatch.context() as patches, ModelServer(model) as server:
        folder = work_in(tmp_path_factory.mktemp("ran"), patches)
        spec = prepare(folder, server, patches)
        run = orc("run", spec, "--stream", "asked", *GIVEN, "--record", "made.replay.yaml")
        assert run.code == 0, run.err
        job = next((folder / "runs").iterdir()).name
        asked = "".join(json.dumps(one.body, ensure_ascii=False) for one in server.seen)
        shown = [text_of(run)]
        for command in (
            ("show", job, "-e"),
            ("show", job, "--json"),
            ("tail", job),
            ("verify",),
            ("export", job, "--to", "exported"),
            ("bundle", job, "job.orc"),
            ("backup", "copy.db"),
            ("replay", job),
        ):
            one = orc(*command)
            assert one.code in (0, 1, 5), (command, one.err)
            shown.append(text_of(one))
    return Ran(folder, job, run.out, shown, asked)


def prepare(folder: Path, server: ModelServer, patches: pytest.MonkeyPatch) -> Path:
    """Write the spec and its modules; the environment that it needs."""
    for name, value in {**server.environment(key=KEY), **VALUES}.items():
        patches.setenv(name, value)
    patches.delenv("ANTHROPIC_API_KEY")
    write("canaries.py", MODULE)
    write("encode.py", ENCODE)
    return write("spec.yaml", SPEC.replace("SPEC_DIR", str(folder)))


def traces(value: str) -> Iterator[bytes]:
    """The texts that any spelling of the value contains."""
    yield from (line.encode() for line in value.splitlines() if not line.startswith("-----"))
    yield json.dumps(value)[1:-1].encode()
    yield urllib.parse.quote(value, safe="").encode()
    yield urllib.parse.quote_plus(value).encode()
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + value.encode()).decode().rstrip("=")
        core = encoded[4 if before else 0 : -1]
        yield core.encode()
        yield core.replace("+", "-").replace("/", "_").encode()


def leaks(folder: Path, *shown: str | bytes) -> list[str]:
    """The places where a value is found: files of the folder, and the output."""
    places = {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for number, text in enumerate(shown):
        places[f"shown {number}"] = text if isinstance(text, bytes) else text.encode()
    places |= {f"{place}, in one line": text.replace(b"\n", b"") for place, text in places.items()}
    return [
        f"{name} in {place}"
        for name, value in {**VALUES, "key": KEY}.items()
        for trace in set(traces(value))
        for place, content in places.items()
        if trace in content
    ]


def text_of(said: Said) -> str:
    return said.out + said.err


def outputs_of(job: str, *options: str | Path) -> dict[str, Any]:
    events = [json.loads(line) for line in orc("tail", job, "--json", *options).out.splitlines()]
    return {
        event["step"]: event["output"].get("value")
        for event in events
        if event["type"] == "step.succeeded"
    }


def test_no_secret_is_in_any_byte_that_a_job_leaves_or_shows(ran: Ran) -> None:
    assert leaks(ran.folder, *ran.shown) == []


@pytest.mark.parametrize("name", [*VALUES, "OPENAI_API_KEY"])
def test_each_way_in_was_gone_and_is_marked(name: str, ran: Ran) -> None:
    folder = ran.folder / "runs" / ran.job
    assert any(
        f"[secret {name}]".encode() in path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    )


def test_dependents_see_the_masked_text(ran: Ran) -> None:
    found = ran.outputs()
    assert found["printed"] == "it is [secret CANARY_PRINTED]"
    assert found["split"] == "[secret CANARY_SPLIT]"
    assert found["returned"] == {"nested": ["[secret CANARY_RETURNED]"], "[secret CANARY_CHILD]": 1}
    assert found["after"].startswith("key=[secret CANARY_WRITTEN]\nit is [secret CANARY_PRINTED] {")
    said = "the command exited with code 3: [secret CANARY_FAILING]"
    assert said in ran.events("failing")


def test_a_captured_file_is_masked_and_the_step_warns(ran: Ran) -> None:
    folder = ran.folder / "runs" / ran.job
    assert (folder / "outputs/canaries/out.txt").read_text() == "key=[secret CANARY_WRITTEN]\n"
    assert (folder / "artifacts/written/left.bin").read_bytes() == b"key=[secret CANARY_ARTIFACT]\0"
    assert "secrets were masked in left.bin, canaries/out.txt" in ran.events("written")
    assert orc("verify", "--db", ran.folder / "runs.db").code == 0


@pytest.mark.parametrize("place", ["files: ['*.txt']", "env: {UNUSED: x}"])
def test_a_file_with_a_secret_in_its_name_is_not_captured(
    here: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("TOKEN", KEY)
    folder = "." if place.startswith("files") else "$ORC_ARTIFACTS"
    step = f"{{run: 'echo x > {folder}/$TOKEN.txt', secrets: [TOKEN], {place}}}"
    said = orc("run", write("spec.yaml", f"project: named\nsteps:\n  step: {step}\n"))
    assert said.code == 1
    assert "the name of a file contains the value of the secret TOKEN" in said.err
    assert KEY not in said.err


def test_no_secret_reaches_a_model(ran: Ran) -> None:
    assert "[secret CANARY_TOOL_RUN]" in ran.asked
    assert "[secret CANARY_GIVEN]" in ran.asked
    for name, value in VALUES.items():
        assert value not in ran.asked, name


def test_a_text_is_hidden_while_it_streams(ran: Ran) -> None:
    assert "[secret CANARY_TOOL_RAISED] and [secret CANARY_TOOL_RAISED]" in ran.streamed


def test_the_live_table_shows_no_secret(here: Path) -> None:
    spec = """\
project: shown
steps:
  loud: {run: 'echo "because $CANARY_FAILING" >&2; exit 3', secrets: [CANARY_FAILING]}
  quoted: {run: 'echo $(echo "$CANARY_FAILING" | base64) >&2; exit 3', secrets: [CANARY_FAILING]}
"""
    code, screen = run_on_a_terminal("run", str(write("spec.yaml", spec)), cwd=here, **VALUES)

    assert code == 1
    assert b"because [secret CANARY_FAILING]" in screen
    assert leaks(here, screen) == []


WAITING = """\
project: waiting
steps:
  first: {run: 'echo "$CANARY_PRINTED"; echo "$CANARY_PRINTED" > f.txt', files: [f.txt],
          secrets: [CANARY_PRINTED]}
  ask: {needs: first, approval: "Is ${{ steps.first.output }} right?"}
  second: {needs: ask, run: 'cat f.txt; echo "${{ steps.first.output }}"'}
"""


def test_a_resumed_job_sees_what_the_first_process_saw(
    monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    monkeypatch.setenv("CANARY_PRINTED", VALUES["CANARY_PRINTED"])
    job = submit(WAITING)
    said = orc("approve", job, "ask", "--comment", f"yes, {VALUES['CANARY_PRINTED']}")
    # The step that needs the secret has succeeded, so that the resume does not need it.
    monkeypatch.delenv("CANARY_PRINTED")
    resumed = orc("resume", job)

    assert (said.code, resumed.code) == (0, 0), resumed.err
    assert outputs_of(job)["second"] == "[secret CANARY_PRINTED]\n[secret CANARY_PRINTED]"
    assert leaks(here, text_of(said), text_of(resumed)) == []
    assert "yes, [secret CANARY_PRINTED]" in orc("tail", job).out + orc("tail", job, "--json").out


ONE = """\
project: one
steps: {publish: {run: 'echo ok > "$ORC_ARTIFACTS/ran"; test -n "$TOKEN"', secrets: [TOKEN]}}
"""


@pytest.mark.parametrize(("value", "words"), [(None, "not set"), ("", "not set"), ("short", "8")])
def test_a_secret_that_is_missing_or_short_is_refused_before_there_is_a_job(
    value: str | None, words: str, monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    if value is not None:
        monkeypatch.setenv("TOKEN", value)
    said = orc("run", write("spec.yaml", ONE))

    assert said.code == 7
    assert "step 'publish' needs the secret TOKEN, and" in said.err
    assert words in said.err
    assert not (here / "runs.db").exists()


def test_a_resume_without_the_secret_is_refused_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = ONE.replace("steps: {", "steps: {ask: {approval: now}, ").replace(
        "run:", "needs: ask, run:"
    )
    monkeypatch.setenv("TOKEN", "token-canary-1")
    job = submit(spec)
    orc("approve", job, "ask")
    before = orc("tail", job, "--json").out
    monkeypatch.delenv("TOKEN")
    said = orc("resume", job)

    assert said.code == 7
    assert "TOKEN" in said.err
    assert orc("tail", job, "--json").out == before
    monkeypatch.setenv("TOKEN", "token-canary-2")
    assert orc("resume", job).code == 0


def test_a_spec_that_contains_a_secret_is_refused_and_not_quoted(
    monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    monkeypatch.setenv("TOKEN", VALUES["CANARY_PRINTED"])
    spec = ONE + f"task_description: {VALUES['CANARY_PRINTED']}\n"
    said = orc("run", write("spec.yaml", spec))
    (here / "spec.yaml").unlink()

    assert said.code == 2
    assert "line 3 contains the value of TOKEN" in said.err
    assert leaks(here, text_of(said)) == []
    write("asked.md", f"Repeat {KEY}.")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    spec = "project: x\nprovider: openai\nsteps: {a: {prompt: {file: asked.md}}}\n"
    said = orc("run", write("spec.yaml", spec))
    assert said.code == 2
    assert "asked.md contains the value of OPENAI_API_KEY" in said.err
    assert KEY not in text_of(said)


def test_an_unexpected_error_prints_its_traceback_without_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def break_down() -> str:
        raise RuntimeError(f"Authorization: Bearer {KEY}")

    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(entry, "pause_collector", lambda: None)
    monkeypatch.setattr("orc.cli.commands.list.command", break_down)
    monkeypatch.setattr("orc.cli.app.app", lambda **_: break_down())
    said = orc("list")

    assert said.code == 1
    assert "RuntimeError: Authorization: Bearer [secret OPENAI_API_KEY]" in said.err
    assert "break_down" in said.err


def test_the_ledger_refuses_an_event_with_a_secret(here: Path) -> None:
    from orc.cli.jobs.places import Places, open_for_writing
    from orc.ledger.errors import SecretFound
    from orc.ledger.events import Payload
    from orc.ledger.secrets.masking import Mask

    with open_for_writing(Places.find(database=here / "runs.db"), {}, create=True) as ledger:
        ledger.widen_mask(Mask({"TOKEN": KEY}))
        with pytest.raises(SecretFound, match="TOKEN"):
            ledger.append_blobs([f"x{KEY}".encode()])
        recorded = submitted()
        event = replace(recorded.event, source=Payload(value=f"project: {KEY}"))
        with pytest.raises(SecretFound, match="TOKEN"):
            ledger.append([recorded._replace(event=event)])
        ledger.send_signal("job_0", kind="decide", data={"comment": KEY}, created_at="now")
    assert leaks(here) == []


ENVIRONMENT = """\
project: seen
steps:
  run: {run: "env | cut -d= -f1 | sort", env: {NAMED: x}, secrets: [TOKEN]}
  python: {python: "seen:names", env: {NAMED: x}}
  with_secret: {needs: python, python: "seen:names", secrets: [TOKEN]}
  without: {needs: with_secret, python: "seen:names"}
"""
SEEN = """\
import os
def names():
    first = open("/proc/self/environ").read() if os.path.exists("/proc/self/environ") else ""
    return [sorted(os.environ), "token-canary" in first, os.getpid()]
"""
ALWAYS = {"HOME", "PATH", "ORC_JOB_ID", "ORC_STEP", "ORC_ATTEMPT"} | {
    "ORC_SPEC_DIR",
    "ORC_ARTIFACTS",
    "ORC_WORK_DIR",
}
BY_CHANCE = {"LANG", "TMPDIR", "PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE"}


def test_commands_and_functions_see_the_allowed_variables_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write("seen.py", SEEN)
    monkeypatch.setenv("TOKEN", "token-canary")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("CANARY_OF_THE_CALLER", "x")
    monkeypatch.setenv("ORC_FAILPOINTS", "trace:/dev/null")
    monkeypatch.setenv("ORC_OF_THE_CALLER", "x")
    found = outputs_of(submit(ENVIRONMENT))

    always = ALWAYS | {"ORC_OF_THE_CALLER"}
    assert set(found["run"].split()) - BY_CHANCE == always | {"NAMED", "TOKEN"}
    assert set(found["python"][0]) - BY_CHANCE == always | {"NAMED"}
    assert set(found["with_secret"][0]) - BY_CHANCE == always | {"TOKEN"}
    assert set(found["without"][0]) - BY_CHANCE == always
    # No secret is where other programs could read it, and no process got the secret of another.
    assert not any(found[step][1] for step in ("python", "with_secret", "without"))
    assert found["without"][2] == found["python"][2] != found["with_secret"][2]


def test_a_job_level_secret_is_for_every_command_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "token-canary")
    spec = "project: x\nsecrets: [TOKEN]\nsteps: {a: {run: 'echo ${#TOKEN}'}, b: {value: 1}}\n"
    assert outputs_of(submit(spec)) == {"a": str(len("token-canary")), "b": 1}


def test_a_key_that_env_passes_on_is_hidden_from_templates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    spec = (
        "project: x\nenv: {OPENAI_API_KEY: null}\n"
        "steps: {a: {value: '${{ env.OPENAI_API_KEY }}'}, b: {run: 'echo ${#OPENAI_API_KEY}'}}\n"
    )
    assert outputs_of(submit(spec)) == {"a": "[secret OPENAI_API_KEY]", "b": str(len(KEY))}
    assert os.environ["OPENAI_API_KEY"] == KEY
