"""A text that a person gives is stored with secrets masked, whatever command it is given to."""

from __future__ import annotations

from pathlib import Path

import pytest

from orc.cli.jobs.assess.browse_scores import scorer
from orc.cli.jobs.browse_decisions import decider
from orc.cli.jobs.places import Places
from orc.ledger import LedgerReader
from orc.projections.pages.decisions import DecisionRequest, ScoreRequest
from tests.cli.command_line import orc, submit, write

OF_JOB = "canary-of-the-job-51f3"
OF_PROVIDER = "sk-canary-of-a-provider-7d"
BOTH = f"because {OF_JOB} and {OF_PROVIDER}"
HIDDEN = "because [secret JOB_TOKEN] and [secret OPENAI_API_KEY]"
SPEC = """\
project: people
inputs: {note: {default: none}}
steps:
  used: {run: 'echo "${{ inputs.note }}" | cut -c 1-1000', secrets: [JOB_TOKEN]}
  gate: {needs: used, approval: {message: Continue?}}
"""
LARGE = "x" * 2000


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOB_TOKEN", OF_JOB)
    monkeypatch.setenv("OPENAI_API_KEY", OF_PROVIDER)


def waiting(note: str = LARGE) -> str:
    return str(submit(SPEC, "-i", f"note={note}"))


def check(here: Path) -> None:
    """No byte of the folder has a secret; an event or a note has the masked text."""
    found = [path for path in here.rglob("*") if path.is_file()]
    for path in found:
        content = path.read_bytes()
        assert OF_JOB.encode() not in content, path
        assert OF_PROVIDER.encode() not in content, path


def stored(here: Path, job: str) -> str:
    with LedgerReader.open(here / "runs.db") as ledger:
        rows = ledger.connection.execute("SELECT data FROM events WHERE job_id = ?", (job,))
        signals = ledger.connection.execute("SELECT data FROM signals WHERE job_id = ?", (job,))
        return "\n".join(row[0] for row in (*rows.fetchall(), *signals.fetchall()))


@pytest.mark.parametrize(
    "arguments",
    [
        ("cancel", "JOB", "--reason", BOTH),
        ("prune", "--job", "JOB", "--yes", "--reason", BOTH),
        ("approve", "JOB", "gate", "--comment", BOTH),
        ("reject", "JOB", "gate", "--comment", BOTH),
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_reason_or_a_comment_is_masked(arguments: tuple[str, ...], here: Path) -> None:
    job = waiting()
    said = orc(*(job if argument == "JOB" else argument for argument in arguments))
    assert said.code in (0, 1, 3), said.err
    assert HIDDEN in stored(here, job)
    check(here)


def test_the_reason_of_a_redaction_is_masked(here: Path) -> None:
    job = waiting()
    orc("cancel", job)
    with LedgerReader.open(here / "runs.db") as ledger:
        digest = ledger.connection.execute(
            "SELECT sha256 FROM blobs WHERE instr(content, 'xxxx') ORDER BY size_bytes LIMIT 1"
        ).fetchone()[0]
    said = orc("redact", digest, "--yes", "--reason", BOTH)
    assert said.code == 0, said.err
    assert HIDDEN in stored(here, job)
    check(here)


def test_the_secrets_of_every_pruned_job_are_masked(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = waiting()
    monkeypatch.setenv("OTHER_TOKEN", "canary-of-another-job")
    second = submit(SPEC.replace("JOB_TOKEN", "OTHER_TOKEN"), "-i", f"note={LARGE}")
    both = f"{OF_JOB}, canary-of-another-job"
    said = orc("prune", "--job", first, "--job", second, "--yes", "--reason", both)
    assert said.code == 0, said.err
    for job in (first, second):
        assert '"reason":"[secret JOB_TOKEN], [secret OTHER_TOKEN]"' in stored(here, job)
    check(here)


def test_the_reason_is_masked_for_a_job_whose_definition_cannot_be_loaded(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = waiting()
    monkeypatch.setattr("orc.ledger.definition.job.load", None)
    said = orc("prune", "--job", job, "--yes", "--reason", BOTH)
    assert HIDDEN in stored(here, job), said.err


def test_inputs_are_masked(here: Path) -> None:
    job = waiting(BOTH)
    assert HIDDEN in stored(here, job)
    said = orc("fork", job, "--set", f"inputs.note=now {BOTH}", "--no-run", "--json")
    assert said.code == 0, said.err
    assert f"now {HIDDEN}" in stored(here, said.lines()[0]["job_id"])
    said = orc("resume", job, "--spec", write("same.yaml", SPEC), "-i", f"note=then {BOTH}")
    assert f"then {HIDDEN}" in stored(here, job), said.err
    check_events(here)


def check_events(here: Path) -> None:
    """The files of a job may name what a person wrote, but never unmasked."""
    for path in here.rglob("*"):
        if path.is_file():
            assert OF_JOB.encode() not in path.read_bytes(), path


def test_the_name_of_who_decides_is_masked(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = waiting()
    monkeypatch.setattr("getpass.getuser", lambda: OF_JOB)
    assert orc("approve", job, "gate").code == 0
    assert '"by":"[secret JOB_TOKEN]"' in stored(here, job)
    check(here)


def test_a_comment_from_the_pages_is_masked(here: Path) -> None:
    job = waiting()
    decide = decider(Places.find(database=here / "runs.db"))
    decide(DecisionRequest(job_id=job, step="gate", option="approve", comment=BOTH))
    assert HIDDEN in stored(here, job)
    check(here)


def test_a_score_from_the_pages_is_masked(here: Path) -> None:
    job = waiting()
    score = scorer(Places.find(database=here / "runs.db"))
    score(ScoreRequest(job_id=job, step="used", name="taste", value="3", why=BOTH))
    assert HIDDEN in stored(here, job)
    check(here)


def test_the_path_of_an_imported_bundle_is_masked(here: Path) -> None:
    job = waiting()
    assert orc("bundle", job, "job.orc").code == 0
    folder = here / BOTH
    folder.mkdir()
    (here / "job.orc").rename(folder / "job.orc")
    said = orc("import", folder / "job.orc", "--db", here / "other.db")
    assert said.code == 0, said.err
    with LedgerReader.open(here / "other.db") as ledger:
        query = "SELECT value FROM orc_meta WHERE key = 'imported:' || ?"
        note = ledger.connection.execute(query, (job,)).fetchone()[0]
    assert HIDDEN in note
    check(here)


def test_the_name_of_a_spec_file_is_masked(here: Path) -> None:
    said = orc("run", write(f"{OF_JOB}.yaml", SPEC), "--json")
    assert "[secret JOB_TOKEN].yaml" in stored(here, said.lines()[0]["job_id"]), said.err
    check(here)


@pytest.mark.parametrize("what", ["the spec's folder", "the folder for run folders"])
def test_a_path_that_a_resume_needs_is_refused_before_there_is_a_job(what: str, here: Path) -> None:
    folder = here / OF_PROVIDER
    folder.mkdir()
    spec = write("spec.yaml", SPEC)
    options = ["--runs-dir", str(folder)]
    if what == "the spec's folder":
        spec, options = spec.rename(folder / "spec.yaml"), []
    said = orc("run", spec, *options)
    assert said.code == 2
    assert f"the path of {what} contains the value of OPENAI_API_KEY" in said.err
    assert OF_PROVIDER not in said.err
    with LedgerReader.open(here / "runs.db") as ledger:
        assert ledger.connection.execute("SELECT count(*) FROM events").fetchone() == (0,)


def test_a_message_about_an_argument_hides_keys(here: Path) -> None:
    waiting()
    said = orc("show", OF_PROVIDER)
    assert said.code != 0
    assert OF_PROVIDER not in said.out + said.err
    assert "[secret OPENAI_API_KEY]" in said.err
