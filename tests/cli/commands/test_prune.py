"""`orc prune`: what it removes, and what the other commands print afterwards."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from orc.ledger import OwnerLock
from tests.cli.command_line import TINY_SPEC, orc, submit, write
from tests.cli.removed_jobs import FILE_DIGEST, LONG, SPEC, UNENDED, blobs


def prune(*options: str) -> dict[str, object]:
    said = orc("prune", *options, "--json")
    assert said.code == 0, said.err
    return said.json()


def test_a_plan_is_shown_and_nothing_removed_without_yes(here: Path) -> None:
    job = submit(SPEC)
    said = orc("prune", "--older-than", "1ms")
    assert said.code == 0
    assert job in said.out
    assert "nothing is removed yet; to remove it: orc prune --older-than 1ms --yes" in said.err
    assert blobs() == 0
    assert prune("--older-than", "1h")["jobs"] == []
    assert prune("--older-than", "1ms")["removed"] is False


def test_a_run_folder_that_cannot_be_written_is_named_and_the_same_command_completes_it(
    here: Path,
) -> None:
    job = submit(SPEC)
    told = here / "runs" / job / "events.jsonl"
    told.unlink()
    (told / "in the way").mkdir(parents=True)
    said = orc("prune", "--job", job, "--yes")
    assert said.code == 74
    assert f"cannot write all files of the run folder {told.parent}: events.jsonl: " in said.err
    assert "then give the same command again" in said.err
    shutil.rmtree(told)
    again = orc("prune", "--job", job, "--yes")
    assert again.code == 0, again.err
    assert orc("verify").code == 0


def test_after_a_prune_every_command_reports_what_was_removed(here: Path) -> None:
    job = submit(SPEC)
    shutil.rmtree("out")
    done = prune("--older-than", "1ms", "--yes", "--reason", "old")
    assert done["removed"] is True
    assert done["compact"] is True
    assert len(list(done["blobs"])) == blobs() > 2  # type: ignore[call-overload]
    # The published files are the last copies; without --files they stay.
    assert (here / "runs" / job / "outputs/keeping/a.txt").read_text() == LONG
    assert orc("verify").code == 0

    told = r"removed by orc prune on \d{4}-\d\d-\d\d \(event \d+ of job_\w+\): old"
    show = orc("show", job)
    assert show.code == 0
    assert re.search(
        r"removed +the bytes of \d+ blobs? \([\d.]+ K?i?B\) by orc prune on .*: old", show.out
    )
    assert "(removed)" in orc("show", job, "--files").out
    assert orc("show", job, "--json").json()["removals"][0]["cause"] == "prune"
    assert orc("rebuild").code == 0
    assert orc("verify").code == 0
    export = orc("export", job, "--to", "copy")
    assert export.code == 0
    assert re.search(f"without outputs/keeping/a.txt: .*{told}", export.err)
    assert (here / "copy/manifest.json").exists()
    assert orc("plan", "spec.yaml").code == 0
    # The job has succeeded, so that nothing runs; what cannot be delivered is reported.
    resumed = orc("resume", job)
    assert (resumed.code, bool(re.search(told, resumed.err))) == (2, True)
    rerun = orc("rerun", job, "--step", "second")
    assert rerun.code == 2
    assert re.search(f"cannot be continued: the output of step 'first' .*{told}", rerun.err)
    # A step without its result runs again in a fork.
    fork = orc("fork", job, "--json")
    assert fork.lines()[0]["runs"]["first"] == "its result is no longer in the ledger"
    assert fork.code == 0
    # The blob is stored again by the new run.
    assert orc("resume", job).code == 0
    assert orc("rerun", job, "--step", "first").code == 0
    assert orc("verify").code == 0
    assert not [said for said in (show, export, resumed, rerun) if "Traceback" in said.err]


def test_a_prune_without_files_can_be_followed_by_one_with_files(here: Path) -> None:
    job = submit(SPEC)
    file = here / "runs" / job / "outputs/keeping/a.txt"
    assert prune("--job", job, "--yes")["removed"] is True
    assert file.exists()
    planned = orc("prune", "--job", job, "--files")
    assert "would be completed: the run folder of" in planned.err
    assert f"to complete it: orc prune --job {job} --files --yes" in planned.err
    done = prune("--job", job, "--files", "--yes")
    assert (done["removed"], done["completed"], done["blobs"]) == (False, [job], [])
    assert not file.exists()
    said = orc("prune", "--job", job, "--files", "--yes")
    assert said.err == "nothing was left to do: an earlier removal had removed these bytes\n"
    assert orc("verify").code == 0


def test_what_another_job_needs_stays(here: Path) -> None:
    old = submit(SPEC)
    young = orc("fork", old, "--json").lines()[0]["job_id"]
    done = prune("--job", old, "--yes")
    assert int(str(done["shared"])) >= 3
    assert FILE_DIGEST not in list(done["blobs"])  # type: ignore[call-overload]
    assert orc("verify", young).code == 0
    shutil.rmtree("runs")
    assert orc("export", young).err.count("without") == 0


def test_with_files_the_published_files_are_removed_too(here: Path) -> None:
    job = submit(SPEC)
    done = prune("--job", job, "--files", "--yes")
    gone = {Path(path).name for path in list(done["files"])}  # type: ignore[call-overload]
    assert {"a.txt", "first.1.log"} <= gone
    assert not (here / "runs" / job / "outputs/keeping/a.txt").exists()
    # Delivered files are not removed.
    assert str(here / "out/a.txt") in list(done["files_left"])  # type: ignore[call-overload]
    assert (here / "out/a.txt").read_text() == LONG
    assert orc("verify").code == 0


def test_a_job_that_has_not_ended_is_left_out_unless_it_is_named(here: Path) -> None:
    job = submit(UNENDED)
    done = prune("--older-than", "1ms", "--yes")
    assert done["left_out"] == [{"job_id": job, "why": "it has not ended"}]
    assert orc("resume", job).code == 3
    named = prune("--job", job, "--yes")
    assert [part["job_id"] for part in named["jobs"]] == [job]  # type: ignore[attr-defined]
    resumed = orc("resume", job)
    assert resumed.code == 2
    assert "the output of step 'a' was removed" in resumed.err
    assert orc("verify").code == 0


def test_a_running_job_is_left_out_and_refused_if_it_is_named(here: Path) -> None:
    job, other = submit(SPEC), submit(UNENDED)
    submit("project: big\nsteps: {a: {run: \"head -c 500000 /dev/zero | tr '\\\\0' a\"}}")
    lock = OwnerLock(here / "runs.db", other)
    lock.acquire()
    done = prune("--older-than", "1ms", "--yes")
    assert done["left_out"] == [{"job_id": other, "why": "it is being run"}]
    # Another program uses the file, so it is not rewritten; the command says so.
    assert done["compact"] is False
    for command in (("prune", "--job", other), ("redact", FILE_DIGEST)):
        refused = orc(*command, "--yes")
        assert refused.code == 75
        assert "is being run by process" in refused.err
    lock.release()
    assert orc("verify", job).code == 0


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("prune",), "--older-than 30d, or --job JOB"),
        (("prune", "--older-than", "soon"), "--older-than soon: must be a duration"),
        (("redact", "xyz"), "is not a digest"),
        (("redact", "0" * 64), "no blob has the digest"),
        (("verify", "--head", "nonsense"), "must be JOB=HASH"),
        (("verify", "--head", "0" * 64), "must be JOB=HASH"),
    ],
)
def test_invalid_arguments_end_with_exit_code_2(
    command: tuple[str, ...], message: str, here: Path
) -> None:
    submit(SPEC)
    said = orc(*command)
    assert said.code == 2
    assert message in said.err


def test_a_resume_reports_removed_recorded_replies(here: Path) -> None:
    assert orc("run", TINY_SPEC, "--provider", "replay", "--quiet").code == 0
    assert orc("prune", "--job", "latest", "--yes").code == 0
    said = orc("fork", "latest")
    assert said.code == 2
    assert "recorded replies were removed" in said.err
    replies = TINY_SPEC.with_name("tiny_spec.replay.yaml")
    assert orc("fork", "latest", "--replies", replies, "--quiet").code == 0
    assert orc("verify").code == 0


@pytest.mark.parametrize("age", ["1d", "366d", "400d", "99999d", "30m"])
def test_an_age_may_be_any_number_of_days(here: Path, age: str) -> None:
    submit(SPEC)
    assert prune("--older-than", age)["jobs"] == []


def test_the_scores_of_a_fan_out_whose_items_were_pruned_are_compared_by_id(here: Path) -> None:
    values = f"['{'x' * 1100}', two]"
    score = "score: {good: '${{ each.index == 0 }}'}"
    spec = f"project: items\nsteps:\n  each: {{for_each: {values}, value: 1, {score}}}\n"
    jobs = [submit(spec) for _ in range(2)]
    assert prune("--older-than", "1ms", "--yes")["removed"] is True
    assert orc("verify").code == 0
    assert orc("scores", *jobs, "--json").json()["scores"][0]["equal"] == 2


def test_a_fork_of_a_job_whose_table_was_pruned_reads_it_again_with_the_spec(here: Path) -> None:
    rows = "".join(f"{number},{'x' * 100}\n" for number in range(12))
    (here / "rows.csv").write_text(f"id,text\n{rows}")
    spec = (
        "project: rows\ninputs: {rows: {type: table, default: rows.csv}}\nsteps:\n"
        "  each: {for_each: '${{ inputs.rows }}', key: '${{ item.id }}', value: '${{ item.text }}'}\n"
        "  all: {value: '${{ steps.each.output | first }}'}\n"
    )
    job = submit(spec)
    assert prune("--older-than", "1ms", "--yes")["removed"] is True
    changed = spec.replace("| first", "| last")
    (here / "changed.yaml").write_text(changed)
    refused = orc("resume", job, "--spec", "changed.yaml")
    assert refused.code == 2
    assert "amended" not in refused.err

    failed = orc("fork", job)
    assert "each: environment: the rows of rows.csv: " in failed.err
    assert "`orc fork` with --spec reads the files of inputs again" in failed.err
    assert orc("fork", job, "--spec", "changed.yaml").code == 0


def test_the_replay_of_a_pruned_job_tells_an_output_that_it_did_not_give_again(here: Path) -> None:
    job = submit("project: clock\nsteps:\n  now: {run: 'date +%s%N; printf %01050d 7'}\n")
    assert prune("--older-than", "1ms", "--yes")["removed"] is True
    said = orc("replay", job)
    assert said.code == 5, said.err
    assert "step now: output differs" in said.out
    assert "were removed by orc prune" in said.out


def test_a_prune_keeps_the_costs_of_the_prices_at_the_time_of_the_calls(here: Path) -> None:
    write(
        "spec.replay.yaml",
        "{version: 1, replies: {'ask[*]': [{text: a, provider: openai, model: known, usage: "
        "{input_tokens: 100, output_tokens: 9}}]}}",
    )
    write("prices.yaml", "models: {openai: {known: {input: 7, output: 8}}}")
    write(
        "spec.yaml",
        f"project: p\nprovider: replay/known\nsteps:\n"
        f"  ask: {{for_each: ['{'x' * 1100}', two], prompt: hi}}\n",
    )
    assert orc("run", "spec.yaml").code == 0
    before = [orc(*words.split(), "--json").out for words in ("list", "cost latest")]
    assert '"cost_usd": 0.001' in before[0]
    write("prices.yaml", "models: {openai: {known: {input: 1, output: 1}}}")
    assert prune("--older-than", "1ms", "--yes")["removed"] is True
    assert [orc(*words.split(), "--json").out for words in ("list", "cost latest")] == before
    assert orc("verify").code == 0
