"""The tools that a model may call: files of the job, programs, Python functions."""

from __future__ import annotations

import os
import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from orc.ledger.definition import ToolDef
from orc.ledger.digest import digest_bytes
from orc.ledger.events import FileRef
from orc.ledger.files.folder import Folder
from orc.ledger.secrets.masking import NO_MASK, Mask
from orc.scheduler.effects import tool_files
from orc.scheduler.effects.contract import KnownResult, Toolbox, ToolProblem
from orc.scheduler.effects.groups import ProcessGroups
from orc.scheduler.effects.python import WorkerPool
from orc.scheduler.effects.tool_command import SHOWN_BYTES_MAX
from orc.scheduler.effects.tool_context import ToolContext
from orc.scheduler.effects.tool_files import ToolFiles
from orc.scheduler.effects.tools import RESULT_CHARS_MAX, open_toolbox
from tests.processes import wait_for

FILES = tuple(ToolDef(name=name) for name in ("read_file", "write_file", "list_files"))
COMMAND = ToolDef(name="run_command")
OpenBox = Callable[..., Toolbox]

CODE = """
    import dataclasses, os, time
    from typing import Annotated, Literal
    from typing_extensions import TypedDict
    from pydantic import BaseModel, Field

    @dataclasses.dataclass
    class Place:
        name: str
        height: float = 0.0

    class Tags(TypedDict):
        colour: str

    class Strict(BaseModel):
        size: int

    def typed(
        text: str, count: int, share: float, is_new: bool, words: list[str], table: dict[str, int],
        kind: Literal["a", "b"], place: Place, tags: Tags, note: str | None = None,
        depth: Annotated[int, Field(description="how deep")] = 3,
    ) -> str:
        '''Says what it was given.

        In more than one line.
        '''
        return f"{type(place).__name__} {count + 1} {note} {depth}"

    def bare(first, second=2): return [first, second]
    def spread(*words): return list(words)
    def by_place(first, /): return first
    def fail(): raise ValueError("a reason")
    def own_mistake(): return Strict.model_validate({"size": "no"})
    def vanish(): os._exit(3)
    def nothing_json(): return {1, 2}
    def speak(): print("was here")
    def pid(): return os.getpid()
    def hang(path: str):
        open(path, "w").close()
        time.sleep(60)
    async def later(number: int) -> int: return number * 2
"""


class Committed:
    """The job's committed files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.contents: dict[str, bytes] = {}

    def files(self) -> dict[str, FileRef]:
        return {
            path: FileRef(
                path=f"p/{path}",
                sha256=digest_bytes(content),
                size_bytes=len(content),
                media_type="text/plain",
            )
            for path, content in self.contents.items()
        }

    def read(self, file: FileRef) -> bytes:
        return self.contents[file.path.removeprefix("p/")]

    async def place(self) -> None:
        for path, content in self.contents.items():
            target = self.folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


@pytest.fixture
def committed(tmp_path: Path) -> Committed:
    (tmp_path / "work").mkdir()
    return Committed(tmp_path / "work")


@pytest.fixture
async def box(
    tmp_path: Path, committed: Committed, groups: ProcessGroups
) -> AsyncIterator[OpenBox]:
    """Makes toolboxes; the functions are in the module `given`."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "given.py").write_text(textwrap.dedent(CODE))
    workers = WorkerPool(groups, mask=NO_MASK)

    def build(*tools: ToolDef) -> Toolbox:
        around = ToolContext(
            env={"PATH": os.environ["PATH"], "GREETING": "hello"},
            secrets=(),
            cwd=tmp_path / "work",
            log_path=tmp_path / "step.log",
            import_dir=str(tmp_path / "code"),
            files=committed.files(),
            taken=committed.files,
            read=committed.read,
            open_folder=committed.place,
        )
        return open_toolbox(tools, around, workers=workers, groups=groups, mask=NO_MASK)

    yield build
    await workers.aclose()


async def opened(box: Toolbox) -> Toolbox:
    with trio.fail_after(20):
        await box.open()
    return box


async def call(box: Toolbox, name: str, **arguments: Any) -> KnownResult:
    with trio.fail_after(20):
        return await box.call(name, arguments)


async def refused(box: Toolbox, name: str, **arguments: Any) -> str:
    """Call a tool wrongly, and return the message to the model."""
    result = await call(box, name, **arguments)
    assert result.is_error
    assert isinstance(result.result, str)
    return result.result


def function(name: str, **more: Any) -> ToolDef:
    return ToolDef(name=name, function=f"given:{name}", **more)


async def test_a_file_that_was_written_is_read_and_listed_and_nothing_is_on_the_disk(
    box: OpenBox, committed: Committed
) -> None:
    committed.contents["notes.md"] = b"noted"
    files = await opened(box(*FILES))
    assert not (await call(files, "write_file", path="a/b.txt", content="Größe")).is_error
    assert (await call(files, "read_file", path="a/b.txt")).result == "Größe"
    assert (await call(files, "read_file", path="notes.md")).result == "noted"
    listed = (await call(files, "list_files")).result
    assert listed == {
        "files": [{"path": "a/b.txt", "size_bytes": 7}, {"path": "notes.md", "size_bytes": 5}]
    }
    assert (await call(files, "list_files", folder="a")).result["files"] == listed["files"][:1]
    assert files.written() == {"a/b.txt": "Größe".encode()}
    assert list(committed.folder.iterdir()) == []


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../x",
        "a/../../x",
        "~/x",
        "a\0b",
        "",
        ".git/config",
        "x" * 300,
        "a//b",
        "a\nb",
    ],
)
async def test_a_path_cannot_leave_the_jobs_files(box: OpenBox, path: str) -> None:
    files = await opened(box(*FILES, COMMAND))
    await refused(files, "read_file", path=path)
    await refused(files, "write_file", path=path, content="x")
    assert files.written() == {}


async def test_a_file_of_another_step_is_not_overwritten_and_names_do_not_clash(
    box: OpenBox, committed: Committed
) -> None:
    committed.contents["taken.md"] = b"x"
    files = await opened(box(*FILES))
    assert "another step" in await refused(files, "write_file", path="taken.md", content="y")
    assert "conflicts with" in await refused(files, "write_file", path="TAKEN.md", content="y")
    assert "conflicts with" in await refused(files, "write_file", path="taken.md/a", content="y")
    assert not (await call(files, "write_file", path="own.md", content="1")).is_error
    assert not (await call(files, "write_file", path="own.md", content="2")).is_error
    assert "conflicts with" in await refused(files, "write_file", path="own.md/a", content="y")
    assert files.written() == {"own.md": b"2"}


async def test_files_that_are_too_large_are_refused(
    box: OpenBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool_files, "FILE_BYTES_MAX", 10)
    monkeypatch.setattr(tool_files, "WRITTEN_BYTES_MAX", 15)
    files = await opened(box(*FILES))
    await refused(files, "write_file", path="a", content="x" * 11)
    assert not (await call(files, "write_file", path="a", content="x" * 10)).is_error
    await refused(files, "write_file", path="b", content="x" * 10)
    assert not (await call(files, "write_file", path="a", content="y" * 10)).is_error


async def test_a_long_file_is_read_in_parts_and_a_binary_one_not_at_all(
    box: OpenBox, committed: Committed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool_files, "READ_CHARS_MAX", 4)
    committed.contents |= {"long": "äbcdefghij".encode(), "binary": b"\xff\x00"}
    files = await opened(box(*FILES))
    first = (await call(files, "read_file", path="long")).result
    assert first == {"text": "äbcd", "total_chars": 10, "next_offset": 4}
    last = (await call(files, "read_file", path="long", offset=8)).result
    assert last == {"text": "ij", "total_chars": 10, "next_offset": None}
    assert "not a text file" in await refused(files, "read_file", path="binary")
    assert "list_files" in await refused(files, "read_file", path="gone")


def _nothing(file: FileRef) -> bytes:
    raise AssertionError(file)


def test_a_secret_in_a_file_is_masked_before_the_file_is_read_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool_files, "READ_CHARS_MAX", 20)
    (tmp_path / "left.txt").write_text("0123456789 a-secret-value, and more")
    files = ToolFiles({}, list, _nothing, Mask({"KEY": "a-secret-value"}), Folder(tmp_path))
    first = files.call("read_file", {"path": "left.txt"}).result
    second = files.call("read_file", {"path": "left.txt", "offset": 20}).result
    assert first["text"] + second["text"] == "0123456789 [secret KEY], and more"


async def test_calls_that_are_recalled_write_what_they_wrote(box: OpenBox) -> None:
    first = await opened(box(*FILES, COMMAND))
    calls: list[tuple[str, dict[str, Any], KnownResult]] = []
    for path, content in (("a", "1"), ("../b", "2"), ("a", "3"), ("c", "\ud800")):
        arguments = {"path": path, "content": content}
        calls.append(("write_file", arguments, await call(first, "write_file", **arguments)))
    second = await opened(box(*FILES, COMMAND))
    for known in calls:
        second.recall(*known)
    second.recall("run_command", {"argv": ["touch", "x"]}, KnownResult({}, is_error=False))
    assert second.written() == first.written() == {"a": b"3", "c": "\ufffd".encode()}


async def test_a_mistake_of_the_model_becomes_an_error_result(box: OpenBox) -> None:
    files = await opened(box(*FILES))
    assert "the tools are: read_file" in await refused(files, "delete_file", path="x")
    offered = await refused(files, "run_command", argv=["true"])
    assert offered.endswith("the tools are: read_file, write_file, list_files")
    assert "do not fit" in await refused(files, "read_file")
    assert "do not fit" in await refused(files, "read_file", path=3)
    assert "do not fit" in await refused(files, "read_file", path="x", colour="red")
    assert "not a JSON object" in (await files.call("read_file", "{path: x")).result


async def test_a_program_sees_the_files_and_its_output_and_exit_code_are_returned(
    box: OpenBox, committed: Committed, tmp_path: Path
) -> None:
    committed.contents["a.txt"] = b"from a step"
    tools = await opened(box(*FILES, COMMAND))
    await call(tools, "write_file", path="b.txt", content="from the model")
    done = await call(
        tools, "run_command", argv=["sh", "-c", "cat a.txt b.txt; echo $GREETING >&2"]
    )
    assert done.result == {"exit_code": 0, "output": "from a stepfrom the modelhello\n"}
    failed = await call(tools, "run_command", argv=["sh", "-c", "exit 3"])
    assert (failed.result["exit_code"], failed.is_error) == (3, True)
    assert (tmp_path / "step.log").read_text() == "from a stepfrom the modelhello\n"


async def test_files_that_a_program_leaves_are_readable_and_not_captured(
    box: OpenBox, committed: Committed
) -> None:
    tools = await opened(box(*FILES, COMMAND))
    await call(tools, "run_command", argv=["sh", "-c", "echo x > left.txt"])
    assert (await call(tools, "read_file", path="left.txt")).result == "x\n"
    assert [file["path"] for file in (await call(tools, "list_files")).result["files"]] == [
        "left.txt"
    ]
    assert tools.written() == {}


async def test_a_link_that_a_program_plants_is_not_followed(box: OpenBox, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    tools = await opened(box(*FILES, COMMAND))
    await call(tools, "run_command", argv=["ln", "-s", str(tmp_path / "secret"), "link"])
    await call(tools, "run_command", argv=["ln", "-s", str(tmp_path), "folder"])
    await refused(tools, "read_file", path="link")
    await refused(tools, "read_file", path="folder/secret")
    assert (await call(tools, "list_files")).result == {"files": []}


async def test_only_programs_that_the_spec_allows_are_started(box: OpenBox) -> None:
    tools = await opened(box(ToolDef(name="run_command", allow=("echo",))))
    assert (await call(tools, "run_command", argv=["echo", "hi"])).result["output"] == "hi\n"
    for name in ("sh", "/bin/echo", "./echo", ""):
        await refused(tools, "run_command", argv=[name, "hi"])
    await refused(tools, "run_command", argv=[])
    assert "NUL" in await refused(tools, "run_command", argv=["echo", "a\0b"])


async def test_a_missing_program_and_endless_output_are_reported(box: OpenBox) -> None:
    tools = await opened(box(COMMAND))
    assert (await call(tools, "run_command", argv=["no-such-program"])).is_error
    long = (await call(tools, "run_command", argv=["sh", "-c", "yes | head -c 300000"])).result
    assert len(long["output"]) == SHOWN_BYTES_MAX
    assert "cut" in long["note"]


async def test_a_cancelled_program_and_function_end(box: OpenBox, tmp_path: Path) -> None:
    tools = await opened(box(COMMAND, function("hang")))
    for name, arguments in (
        ("run_command", {"argv": ["sh", "-c", f"touch {tmp_path}/command; sleep 60"]}),
        ("hang", {"path": f"{tmp_path}/function"}),
    ):
        begun = tmp_path / ("command" if name == "run_command" else "function")
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(tools.call, name, arguments)
                await wait_for(begun.exists)
                nursery.cancel_scope.cancel()


async def test_a_function_is_described_by_its_annotations_and_docstring(box: OpenBox) -> None:
    with trio.fail_after(20):
        (tool,) = await box(function("typed")).open()
    assert tool["description"] == "Says what it was given.\n\nIn more than one line."
    properties = tool["parameters"]["properties"]
    types = {name: schema.get("type") for name, schema in properties.items()}
    assert types["text"] == "string"
    assert (types["count"], types["share"], types["is_new"]) == ("integer", "number", "boolean")
    assert (types["words"], types["table"]) == ("array", "object")
    assert properties["kind"]["enum"] == ["a", "b"]
    assert properties["depth"]["description"] == "how deep"
    assert set(tool["parameters"]["required"]) == set(properties) - {"note", "depth"}
    assert tool["parameters"]["additionalProperties"] is False


async def test_the_specs_own_words_come_before_the_functions(box: OpenBox) -> None:
    schema = {"type": "object", "properties": {"first": {"type": "string"}}}
    with trio.fail_after(20):
        (tool,) = await box(function("bare", description="Other words.", parameters=schema)).open()
    assert tool == {"name": "bare", "description": "Other words.", "parameters": schema}


async def test_a_function_gets_its_arguments_converted_and_answers(box: OpenBox) -> None:
    tools = await opened(box(*map(function, ("typed", "bare", "later", "pid"))))
    arguments = {
        "text": "t",
        "count": 1,
        "share": 0.5,
        "is_new": True,
        "words": ["a"],
        "table": {"a": 1},
        "kind": "a",
        "place": {"name": "Basel"},
        "tags": {"colour": "red"},
    }
    assert (await call(tools, "typed", **arguments)).result == "Place 2 None 3"
    assert (await call(tools, "bare", first=[1, None])).result == [[1, None], 2]
    assert (await call(tools, "later", number=4)).result == 8
    assert (await call(tools, "pid")).result == (await call(tools, "pid")).result
    assert "do not fit" in await refused(tools, "typed", **{**arguments, "kind": "c"})
    assert "do not fit" in await refused(tools, "bare")


async def test_a_function_that_fails_tells_the_model_and_the_log(
    box: OpenBox, tmp_path: Path
) -> None:
    tools = await opened(
        box(*map(function, ("fail", "own_mistake", "vanish", "nothing_json", "speak")))
    )
    assert await refused(tools, "fail") == "given:fail raised ValueError: a reason"
    assert "own_mistake raised ValidationError" in await refused(tools, "own_mistake")
    assert "ended without an answer" in await refused(tools, "vanish")
    assert "is not JSON" in await refused(tools, "nothing_json")
    assert (await call(tools, "speak")).result is None
    log = (tmp_path / "step.log").read_text()
    assert "Traceback" in log
    assert "was here" in log


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("gone:f", "cannot import gone:f"),
        ("given:gone", "cannot import given:gone"),
        ("given:spread", "by name"),
        ("given:by_place", "by name"),
    ],
)
async def test_a_function_that_cannot_be_offered_fails_the_step_before_any_call(
    box: OpenBox, name: str, why: str
) -> None:
    with trio.fail_after(20), pytest.raises(ToolProblem) as caught:
        await box(ToolDef(name="tool", function=name)).open()
    assert "the tool 'tool' cannot be offered" in str(caught.value)
    assert why in str(caught.value)


async def test_a_long_answer_is_cut(box: OpenBox, committed: Committed) -> None:
    committed.contents["big"] = b"x" * 90_000
    tools = await opened(box(function("bare")))
    result = (await call(tools, "bare", first="y" * (RESULT_CHARS_MAX + 10))).result
    assert result["cut_at_chars"] == RESULT_CHARS_MAX
    assert len(result["text"]) == RESULT_CHARS_MAX
