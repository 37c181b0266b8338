"""The templates of `orc init` at other sizes than their own: 0, 1, 3 and 12 items, offline."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.cli.command_line import orc, write

OPTIONS = ("-p", "replay", "--no-input", "--json")
SIZES = (1, 3, 12, pytest.param(200, marks=pytest.mark.torture))


def notes(count: int) -> None:
    for number in range(count):
        write(f"notes/{number}.md", f"Note {number}.")


def texts(count: int) -> None:
    for number in range(count):
        write(f"texts/{number}.txt", f"River {number} is {number} km long.")


def pages(count: int) -> None:
    for number in range(count):
        write(f"pages/{number}.md", f"Page {number}.")


def questions(count: int) -> None:
    rows = "".join(f"q{number},What is {number}?,I do not know.\n" for number in range(count))
    write("questions.csv", f"id,question,answer\n{rows}")


def messages(count: int) -> None:
    rows = "".join(f"m{number},Message {number},question\n" for number in range(count))
    write("messages.csv", f"id,text,label\n{rows}")


def changes(count: int) -> None:
    """A repository with this number of changed files, one of them in a folder with a space."""
    for number in range(count):
        write(f"{number}.py" if number else "a folder/0.py", "one\n")
    for command in (
        "init -q",
        "add .",
        "-c user.name=a -c user.email=a@example.org commit -q --allow-empty -m one",
    ):
        subprocess.run(["git", *command.split()], check=True)
    for number in range(count):
        write(f"{number}.py" if number else "a folder/0.py", "two\ndiff --git a/x b/x\n")


MAKE = {
    "summarise-folder": ("notes", notes),
    "extract-table": ("texts", texts),
    "translate": ("pages", pages),
    "eval": ("", questions),
    "compare-prompts": ("", messages),
    "review-diff": ("a folder", changes),
}


def start(name: str, count: int) -> None:
    """The template, with this number of items of one's own for it."""
    folder, make = MAKE[name]
    Path(folder).mkdir(exist_ok=True)
    make(count)
    said = orc("init", name)
    assert said.code == 0, said.err
    if not count and folder:
        # Into an empty folder, init writes its examples.
        shutil.rmtree(folder)
        Path(folder).mkdir()


def items() -> Counter[str]:
    """How many items each step of the latest job has."""
    (line,) = orc("show", "latest", "--json").lines()
    return Counter(
        step["step"].partition("[")[0]
        for step in line["steps"]
        if step["step"].endswith("]") and step["status"] == "succeeded"
    )


def output(path: str) -> str:
    [found] = Path("runs").glob(f"*/outputs/*/{path}")
    return found.read_text("utf-8")


@pytest.mark.parametrize("count", SIZES)
def test_a_folder_of_any_size_is_summed_up(here: Path, count: int) -> None:
    start("summarise-folder", count)
    assert orc("run", "summarise-folder.yaml", *OPTIONS).code == 0
    assert items() == {"note": count, "part": -(-count // 10), "row": count}
    assert output("summary.md").startswith("# The folder")
    assert output("notes.md").count("A file, in three sentences.") == count


@pytest.mark.parametrize("count", SIZES)
def test_a_table_of_any_size_is_shown_decided_and_written(here: Path, count: int) -> None:
    start("extract-table", count)
    said = orc("run", "extract-table.yaml", *OPTIONS)
    assert said.code == 3, said.err
    [waiting] = said.lines()[-1]["waiting"]
    assert f"Are these {count} rows right?" in waiting["question"]
    assert waiting["question"].count(".txt | A river |  |  |") == count
    assert orc("approve", "latest", "check").code == 0
    assert orc("resume", "latest").code == 0
    head, *rows = output("table.csv").splitlines()
    assert head == "file,name,km,mouth"
    assert sorted(rows) == sorted(f"{number}.txt,A river,," for number in range(count))


@pytest.mark.parametrize("count", SIZES)
def test_each_question_is_answered_by_each_model_and_judged(here: Path, count: int) -> None:
    start("eval", count)
    assert orc("run", "eval.yaml", *OPTIONS).code == 0
    assert items() == {"answer": 2 * count, "judge": 2 * count}
    groups = orc("scores", "latest", "--by", "model", "--json").json()["groups"]
    assert [(group["score"], group["n"]) for group in groups] == [
        (name, count) for name in ("exact", "close", "quality") for _ in range(2)
    ]
    assert {group["mean"] for group in groups} == {1}


@pytest.mark.parametrize("count", SIZES)
def test_each_prompt_is_tried_on_each_message(here: Path, count: int) -> None:
    start("compare-prompts", count)
    assert orc("run", "compare-prompts.yaml", *OPTIONS).code == 0
    assert items() == {"label": 2 * count}
    said = orc("scores", "latest", "--by", "prompt", "--fail-under", "right=0.9")
    assert (said.code, said.out.count("100 %")) == (0, 4)


@pytest.mark.parametrize("count", SIZES)
def test_each_page_is_translated_into_each_language(here: Path, count: int) -> None:
    start("translate", count)
    languages = '["German", "Brazilian Portuguese", "日本語"]' if count < 200 else '["German"]'
    said = orc("run", "translate.yaml", "-i", f"languages={languages}", *OPTIONS)
    assert said.code == 0, said.err
    found = list(Path("runs").glob("*/outputs/translations/*/*.md"))
    assert len(found) == count * (3 if count < 200 else 1)


@pytest.mark.parametrize("count", SIZES)
def test_each_changed_file_is_reviewed(here: Path, count: int) -> None:
    start("review-diff", count)
    said = orc("run", "review-diff.yaml", *OPTIONS)
    assert said.code == 3, said.err
    assert orc("approve", "latest", "accept").code == 0
    assert orc("resume", "latest").code == 0
    review = output("review.md")
    assert review.count("There is nothing to do.") == count
    assert "## a folder/0.py\n" in review


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("summarise-folder", (), "notes/**/*.md"),
        ("extract-table", (), "texts/*.txt"),
        ("translate", (), "pages/*.md"),
        ("eval", (), "questions.csv"),
        ("compare-prompts", (), "messages.csv"),
    ],
)
def test_nothing_to_work_on_is_an_error_before_there_is_a_job(
    here: Path, name: str, options: tuple[str, ...], words: str
) -> None:
    start(name, 0)
    said = orc("run", f"{name}.yaml", *OPTIONS, *options)
    assert (said.code, said.out) == (2, "")
    assert words in said.err
    assert "allow_empty: true" in said.err
    assert orc("list").code != 0


@pytest.mark.parametrize(
    ("name", "option"),
    [("eval", "models=[]"), ("compare-prompts", "prompts={}"), ("translate", "languages=[]")],
)
def test_an_empty_list_gives_an_empty_result(here: Path, name: str, option: str) -> None:
    start(name, 3)
    assert orc("run", f"{name}.yaml", "-i", option, *OPTIONS).code == 0
    assert items() == {}
    said = orc("scores", "latest")
    assert said.code == 0
    assert "no scores" in said.out + said.err


def test_a_review_without_changes_says_so(here: Path) -> None:
    start("review-diff", 0)
    assert orc("run", "review-diff.yaml", *OPTIONS).code == 0
    assert output("review.md") == "There are no changes."


def test_a_review_outside_of_a_repository_fails_with_the_words_of_git(here: Path) -> None:
    assert orc("init", "review-diff").code == 0
    assert orc("run", "review-diff.yaml", *OPTIONS).code == 1
    assert "not a git repository" in orc("logs", "latest", "diff").out.lower()


@pytest.mark.parametrize("continues", [False, True])
def test_answers_are_judged_when_all_are_there_or_the_spec_goes_on_without(
    here: Path, continues: bool
) -> None:
    start("eval", 3)
    if continues:
        spec = Path("eval.yaml").read_text("utf-8")
        write("eval.yaml", spec.replace("  judge:\n", "    continue_on_error: true\n  judge:\n"))
    replies = Path("eval.replay.yaml")
    failing = "answer[q1-llama3-2]: [{error: {kind: refused}}, one]\n  answer[*]:"
    replies.write_text(replies.read_text("utf-8").replace("answer[*]:", failing), "utf-8")
    assert orc("run", "eval.yaml", *OPTIONS).code == (0 if continues else 1)
    assert items() == ({"answer": 5, "judge": 5} if continues else {"answer": 5})
    assert "FAILED" in orc("scores", "latest").out
    if not continues:
        assert orc("resume", "latest").code == 0
        assert items() == {"answer": 6, "judge": 6}
