"""Files into the folder of an attempt, and what of them is captured."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from orc.worker.content_cache import ContentCache, limit_from
from orc.worker.problems import RequestProblem
from orc.worker.wire import PROTOCOL, read_payload
from tests.worker.engine import (
    LIMITS,
    FakeEngine,
    digest,
    file_item,
    payload,
    text,
    wait_until,
)


def test_inputs_and_shipped_files_are_laid_out_with_their_modes(engine: FakeEngine) -> None:
    script = b"#!/bin/sh\ncat data/in.txt\n"
    engine.put(script)
    copy = engine.shell(
        'stat -c %a data/in.txt "$S/bin/go"; "$S/bin/go"; ls',
        contents={"data/in.txt": b"input\n"},
        shipped=[file_item("bin/go", script, "755")],
        places={"S": "spec"},
    )
    assert text(copy.result()) == "644\n755\ninput\ndata\n"


def test_contents_that_are_missing_are_named_and_can_be_put(engine: FakeEngine) -> None:
    content = os.urandom(100_000)
    copy = engine.shell("cat big", inputs=[file_item("big", content)])
    assert copy.wait_asked()["missing"] == [digest(content)]
    answer = copy.allow()
    assert (answer["error"], answer["missing"]) == ("missing", [digest(content)])
    half = len(content) // 2
    assert engine.put(content, data=content[:half])["received"] == half
    # A piece that comes again changes nothing, and one from later on is refused.
    assert engine.put(content, data=content[:half]) == {
        "ok": True,
        "protocol": PROTOCOL,
        "complete": False,
        "received": half,
    }
    gap = engine.put(content, offset=half + 1, data=content[half + 1 :])
    assert (gap["error"], gap["received"]) == ("offset", half)
    assert engine.put(content, offset=half, data=content[half:])["complete"]
    assert engine.put(content)["complete"]
    outcome = engine.shell(
        "sha256sum < big", inputs=[file_item("big", content)], ticket="job_a/b/1"
    )
    assert text(outcome.result()).split()[0] == digest(content)
    copy.control("refuse")


def test_a_content_with_a_wrong_digest_is_dropped(engine: FakeEngine) -> None:
    right = b"right content"
    answer = engine.put(right, data=b"wrong content")
    assert answer["error"] == "digest"
    assert not [path for path in engine.files() if b"content" in path.read_bytes()]
    longer = engine.put(right, data=right + b"x")
    assert longer["error"] == "digest"
    copy = engine.submit(inputs=[file_item("a", right)])
    assert copy.wait_asked()["missing"] == [digest(right)]
    assert engine.put(right)["complete"]
    assert copy.result()["exit_code"] == 0


def test_a_content_in_the_payload_with_a_wrong_digest_counts_as_missing(
    engine: FakeEngine,
) -> None:
    copy = engine.submit(inputs=[file_item("a", b"right")])
    copy.wait_asked()
    copy.control("refuse")
    message = {**copy.message, "run": "00000001", "contents": {digest(b"right"): "d3Jvbmc="}}
    copy.message = message
    again = engine.again(copy)
    assert again.wait_asked()["missing"] == [digest(b"right")]
    again.control("refuse")


def test_a_damaged_content_of_the_cache_is_not_used(engine: FakeEngine) -> None:
    engine.put(b"right content")
    (path,) = [path for path in engine.files() if path.name == digest(b"right content")]
    path.write_bytes(b"wrong content")
    copy = engine.submit(["cat", "a"], inputs=[file_item("a", b"right content")])
    # Nothing ran, and another attempt can bring it anew.
    assert copy.result()["lost"] == "the content of 'a' is not here any more"
    assert not path.exists()


def test_a_command_cannot_change_the_cache(engine: FakeEngine) -> None:
    engine.put(b"right content")
    changed = engine.shell("echo x >> a; cat a", inputs=[file_item("a", b"right content")])
    assert text(changed.result()) == "right contentx\n"
    again = engine.shell("cat a", inputs=[file_item("a", b"right content")], ticket="job_a/2/1")
    assert text(again.result()) == "right content"


def test_new_and_changed_files_that_match_are_captured(engine: FakeEngine) -> None:
    same, old = b"same", b"old"
    copy = engine.shell(
        "printf new > new.txt; printf more > sub/more.txt; printf changed > old.txt; "
        "printf same > same.txt; printf x > other.bin; mkdir -p deep/er; printf y > deep/er/y.txt; "
        "chmod +x sub/more.txt; printf z > deep/z.md",
        contents={"same.txt": same, "old.txt": old, "sub/keep.md": b"kept"},
        globs=["*.txt", "sub/*", "deep/**"],
    )
    outcome = copy.result()
    assert {file["path"]: (file["sha256"], file["mode"]) for file in outcome["files"]} == {
        "new.txt": (digest(b"new"), None),
        "old.txt": (digest(b"changed"), None),
        "sub/more.txt": (digest(b"more"), "755"),
        "deep/er/y.txt": (digest(b"y"), None),
        "deep/z.md": (digest(b"z"), None),
    }
    assert copy.read("work", "sub/more.txt") == b"more"
    assert outcome["warning"] is None


def test_a_changed_input_that_is_not_captured_is_a_warning(engine: FakeEngine) -> None:
    copy = engine.shell(
        "echo more >> a; rm b; touch c; chmod +x d", contents=dict.fromkeys("abcd", b"x")
    )
    outcome = copy.result()
    assert outcome["files"] == []
    assert "files of other steps were changed and not captured: a, b" in outcome["warning"]


def test_a_failed_command_leaves_artifacts_only(engine: FakeEngine) -> None:
    copy = engine.shell(
        'echo x > a.txt; mkdir "$O/sub"; echo y > "$O/sub/b"; exit 1',
        globs=["*.txt"],
        places={"O": "artifacts"},
    )
    outcome = copy.result()
    assert (outcome["exit_code"], outcome["files"]) == (1, [])
    assert [file["path"] for file in outcome["artifacts"]] == ["sub/b"]
    assert copy.read("artifacts", "sub/b") == b"y\n"


def test_links_and_special_files_are_never_followed(engine: FakeEngine, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("not ours")
    copy = engine.shell(
        f"ln -s {outside}/secret.txt link.txt; ln -s {outside} folder; mkfifo pipe.txt; "
        f'ln -s {outside} "$O/folder"; ln -s {outside}/secret.txt "$O/l"; echo x > plain.txt',
        globs=["*.txt", "folder/*", "**"],
        places={"O": "artifacts"},
    )
    outcome = copy.result()
    assert [file["path"] for file in outcome["files"]] == ["plain.txt"]
    assert outcome["artifacts"] == []
    assert (
        "links and special files are not captured: folder, link.txt, pipe.txt"
        in (outcome["warning"])
    )


def test_only_captured_files_can_be_read_and_no_link_in_their_place(
    engine: FakeEngine, tmp_path: Path
) -> None:
    (tmp_path / "secret.txt").write_text("not ours")
    copy = engine.shell("mkdir d; echo x > d/a.txt; echo y > other", globs=["d/*.txt"])
    copy.result()
    read = {"offset": 0, "length": 100}
    for place, path in (
        ("work", "other"),
        ("work", "../log"),
        ("work", "../../../../../../etc/passwd"),
        ("artifacts", "d/a.txt"),
        ("work", None),
        ("work", ["d/a.txt"]),
    ):
        assert copy.control("read", place=place, path=path, **read)["error"] == "path"
    assert copy.control("read", place="spec", path="x", **read)["error"] == "request"
    assert copy.control("read", place="work", path="d/a.txt", offset=0)["error"] == "request"
    assert copy.control("read", place="log", offset=1 << 63, length=1)["error"] == "request"
    assert copy.control("read", place="work", path="d/a.txt", offset=1, length=9)["data"] == b"\n"
    (spool,) = engine.spools()
    # What left the process group could still do this.
    (spool / "work/d/a.txt").unlink()
    (spool / "work/d/a.txt").symlink_to(tmp_path / "secret.txt")
    assert copy.control("read", place="work", path="d/a.txt", **read)["error"] == "path"
    (spool / "log").unlink(missing_ok=True)
    (spool / "log").symlink_to(tmp_path / "secret.txt")
    assert copy.control("read", place="log", path="", **read)["error"] == "path"


@pytest.mark.parametrize(
    "path", ["../up", "/etc/x", "a/../../b", ".git/hooks/x", "a//b", "CON", ""]
)
def test_inputs_stay_inside_their_folder(engine: FakeEngine, path: str) -> None:
    for place in ("inputs", "shipped"):
        item = file_item(path, b"x")
        engine.put(b"x")
        outcome = engine.submit(**{place: [item]}, ticket=f"job_a/{place}/1").result()  # type: ignore[arg-type]
        assert outcome["broken"]["kind"] == "path"


@pytest.mark.parametrize("paths", [("a", "a"), ("a", "a/b"), ("a/b", "a")])
def test_inputs_that_are_in_each_others_way(engine: FakeEngine, paths: tuple[str, str]) -> None:
    engine.put(b"x")
    outcome = engine.submit(inputs=[file_item(path, b"x") for path in paths]).result()
    assert outcome["broken"]["kind"] == "path"
    assert "in the way" in outcome["broken"]["message"]


def test_a_name_that_is_not_allowed_fails_the_attempt(engine: FakeEngine) -> None:
    outcome = engine.shell("touch 'a:b.txt'", globs=["*.txt"]).result()
    assert outcome["broken"]["kind"] == "path"
    odd = engine.shell("touch \"$(printf 'a\\377.txt')\"", globs=["*.txt"], ticket="job_a/2/1")
    assert odd.result()["broken"]["kind"] == "path"
    odd.control("outcome")["outcome"]["broken"]["message"].encode()


def test_a_file_over_its_limit_fails_the_attempt(engine: FakeEngine) -> None:
    limits = {**LIMITS, "file_bytes": 1000}
    outcome = engine.shell(
        "head -c 1001 /dev/zero > a.txt", globs=["*.txt"], limits=limits
    ).result()
    assert outcome["broken"]["kind"] == "path"
    assert "a.txt is larger" in outcome["broken"]["message"]
    fits = engine.shell(
        "head -c 1000 /dev/zero > a.txt", globs=["*.txt"], limits=limits, ticket="job_a/2/1"
    )
    assert fits.result()["files"][0]["size_bytes"] == 1000


def test_each_copy_has_an_empty_private_folder(engine: FakeEngine) -> None:
    first = engine.shell("echo x > left; ls -A")
    first.result()
    second = engine.shell("ls -A", ticket="job_a/2/1")
    assert text(second.result()) == ""
    for spool in engine.spools():
        assert spool.stat().st_mode & 0o777 == 0o700
        for parent in list(spool.parents)[:3]:
            assert parent.stat().st_mode & 0o077 == 0


def test_the_cache_drops_what_was_not_used_for_longest_but_nothing_that_is_needed(
    tmp_path: Path,
) -> None:
    needed: set[str] = set()
    cache = ContentCache(tmp_path, limit_bytes=1000, needed=lambda: needed)
    contents = [bytes([n]) * 300 for n in range(5)]
    for n, content in enumerate(contents[:3]):
        cache.put(digest(content), offset=0, size=300, data=content)
        (path,) = tmp_path.glob(f"*/{digest(content)}")
        os.utime(path, (n + 1, n + 1))
    needed.add(digest(contents[0]))
    cache.put(digest(contents[3]), offset=0, size=300, data=contents[3])
    assert here(tmp_path) == {digest(contents[n]) for n in (0, 2, 3)}
    # What is used becomes new.
    with (tmp_path / "out").open("w+b") as out:
        assert cache.copy_to(digest(contents[2]), out.fileno())
    needed.clear()
    cache.put(digest(contents[4]), offset=0, size=300, data=contents[4])
    assert here(tmp_path) == {digest(contents[n]) for n in (2, 3, 4)}
    # What a copy asks about is used, too: the agents of one machine share the cache.
    (path,) = tmp_path.glob(f"*/{digest(contents[2])}")
    os.utime(path, (1, 1))
    assert cache.missing([digest(contents[1]), digest(contents[2])]) == [digest(contents[1])]
    cache.put(digest(contents[0]), offset=0, size=300, data=contents[0])
    assert digest(contents[2]) in here(tmp_path)
    cache.close()


def here(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("??/*")}


def test_unfinished_contents_are_bounded_and_removed(tmp_path: Path) -> None:
    cache = ContentCache(tmp_path, limit_bytes=10**9, needed=set)
    for n in range(100):
        cache.put(digest(bytes([n])), offset=0, size=10, data=b"x")
    assert len(list(tmp_path.glob("*.partial"))) == 64
    cache.close()
    assert list(tmp_path.glob("*.partial")) == []


def test_the_limit_of_the_cache_is_a_setting() -> None:
    assert limit_from(None) == limit_from("") == 10 * 1024**3
    assert limit_from("5") == 5
    assert limit_from("2 gb") == 2 * 1000**3
    for wrong in ("much", "-1", "1.5X", "1" * 40):
        with pytest.raises(ValueError, match="ORC_WORKER_CACHE must be a size"):
            limit_from(wrong)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of one megabyte in memory; the test is skipped if it cannot be mounted."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(place)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("a filesystem may not be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_is_named_with_its_host(small_disk: Path) -> None:
    engine = FakeEngine(small_disk)
    limits = {**LIMITS, "log_bytes": 1 << 30}
    flood = engine.shell("exec yes >&2", limits=limits, timeout_s=60)
    broken = flood.result()["broken"]
    assert broken["kind"] == "environment"
    assert "h1: No space left on device; free some space" in broken["message"]
    flood.control("forget")
    wait_until(lambda: not [path for path in engine.files() if path.name == "log"])
    content = os.urandom(900_000)
    engine.put(content)
    inputs = [file_item("a", content)]
    copy = engine.submit(inputs=inputs, ticket="job_a/2/1")
    broken = copy.result()["broken"]
    assert (broken["kind"], broken["message"].partition(":")[0]) == ("environment", "h1")
    other = os.urandom(900_000)
    answer = engine.put(other)
    assert answer["error"] == "environment"
    assert "No space left" in answer["message"]
    engine.close()


def test_a_step_of_a_workflow_gets_the_part_of_the_spec_folder_to_which_it_belongs(
    engine: FakeEngine,
) -> None:
    tool, beside = b'#!/bin/sh\npwd; echo "$S"; cat ../beside.txt\n', b"beside"
    copy = engine.submit(
        ["./tool.sh"],
        contents={"a": tool, "b": beside},
        shipped=[file_item("lib/tool.sh", tool, "755"), file_item("beside.txt", beside)],
        places={"S": "spec"},
        folder="lib",
        cwd="spec",
    )
    outcome = copy.result()
    spec = engine.spools()[0] / "spec"
    assert text(outcome) == f"{spec}/lib\n{spec}/lib\nbeside"


@pytest.mark.parametrize("folder", ["..", "/tmp", "a/../b"])
def test_a_folder_outside_of_the_spec_folder_is_refused(folder: str) -> None:
    with pytest.raises(RequestProblem, match="folder"):
        read_payload(json.dumps(payload(run="0000000a", folder=folder)).encode())
