"""Python steps: a function in a worker process, which serves one call after another."""

from __future__ import annotations

import math
import os
import textwrap
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import trio
import trio.testing

from orc.ledger.secrets.masking import NO_MASK
from orc.scheduler.effects import python
from orc.scheduler.effects.contract import FunctionRequest, Result
from orc.scheduler.effects.function_process import FunctionProcess, start_process
from orc.scheduler.effects.groups import ProcessGroups
from orc.scheduler.effects.log import Log
from orc.scheduler.effects.python import WorkerPool
from tests.processes import have_grown, in_use, members_of, needs_proc, wait_for
from tests.scheduler.effects.conftest import GRACE_S, Function

WITHIN_S = 20


class Workers(WorkerPool):
    """A worker pool whose calls have a time limit."""

    async def get(self, request: FunctionRequest) -> Result:
        with trio.fail_after(WITHIN_S):
            return await self.call(request)


@pytest.fixture
async def workers(groups: ProcessGroups) -> AsyncIterator[Workers]:
    pool = Workers(groups, mask=NO_MASK)
    yield pool
    await pool.aclose()


@pytest.fixture
def code(tmp_path: Path, function: Function) -> Path:
    """The folder of the spec, with one module in it."""
    folder = tmp_path / "code"
    (folder / "given.py").write_text(
        textwrap.dedent("""
            import asyncio, os, signal, sys, time

            class Grouped:
                @staticmethod
                def inner(): return "inner"

            def echo(**arguments): return arguments
            def pid(): return os.getpid()
            def say(word, pause_s=0):
                print(word, flush=True)
                time.sleep(pause_s)
                return os.getpid()
            def where(): return [os.getcwd(), sys.path[0], sys.stdin.read()]
            def environment(): return dict(os.environ)
            def speak():
                print("to stdout")
                print("to stderr", file=sys.stderr)
                os.system("echo from a child")
            def fail(): raise ValueError("a reason")
            def leave(): sys.exit(3)
            def vanish(): os._exit(3)
            def killed(): os.kill(os.getpid(), signal.SIGKILL)
            def unserialisable(): return {1, 2}
            def not_a_number(): return float("nan")
            def endless():
                found = []
                found.append(found)
                return found
            def odd_text(): return "a\\ud800b"
            def of_size(chars): return "x" * chars
            def large(): return "x" * 3_000_000
            async def slowly(word):
                await asyncio.sleep(0)
                return word
            def hang(path):
                os.system("sleep 60 &")
                with open(path, "w") as file: file.write(str(os.getpid()))
                time.sleep(60)
            def hang_stubbornly(path):
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                hang(path)
            def sockets(): return sorted(os.listdir("/proc/self/fd"))
            def compute_beside(own, other):
                open(own, "w").close()
                while not os.path.exists(other): pass
                return os.getpid()
        """)
    )
    (folder / "broken.py").write_text("import no_such_module_anywhere\n")
    (folder / "raising.py").write_text("raise RuntimeError('at import')\n")
    (folder / "leaving.py").write_text("raise SystemExit(4)\n")
    return folder


@pytest.mark.usefixtures("code")
async def test_a_function_gets_keyword_arguments_and_gives_a_json_value(
    workers: Workers, function: Function
) -> None:
    arguments = {"text": "z\u00fcrich\n", "items": [1, 2.5, None, {"a": True}]}
    result = await workers.get(function("given:echo", arguments))
    assert (result.value, result.failed) == (arguments, None)


@pytest.mark.usefixtures("code")
async def test_a_function_may_be_asynchronous_or_inside_a_class(
    workers: Workers, function: Function
) -> None:
    assert (await workers.get(function("given:slowly", {"word": "x"}))).value == "x"
    assert (await workers.get(function("given:Grouped.inner"))).value == "inner"


@pytest.mark.usefixtures("code")
async def test_the_next_call_goes_to_the_same_process(workers: Workers, function: Function) -> None:
    pids = {(await workers.get(function("given:pid"))).value for _ in range(3)}
    assert len(pids) == 1
    assert pids != {os.getpid()}


@pytest.mark.usefixtures("code")
async def test_calls_at_one_time_have_processes_of_their_own(
    workers: Workers, function: Function
) -> None:
    pids: list[object] = []

    async def call() -> None:
        pids.append((await workers.get(function("given:pid"))).value)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call)
        nursery.start_soon(call)
    assert len(set(pids)) == 2


@pytest.mark.usefixtures("code")
async def test_functions_that_only_compute_run_at_the_same_time_in_two_processes(
    workers: Workers, function: Function, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each computes until the other has begun, so that one after the other would never end."""
    monkeypatch.setattr(python, "STARTS_MAX", 1)
    monkeypatch.setattr(python, "START_S_MAX", math.inf)
    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    pids: list[object] = []

    async def call(own: str, other: str) -> None:
        request = function("given:compute_beside", {"own": own, "other": other})
        pids.append((await workers.get(request)).value)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call, first, second)
        nursery.start_soon(call, second, first)
    assert len(set(pids)) == 2


@pytest.mark.usefixtures("code")
async def test_few_processes_start_at_once_and_calls_wait_for_the_first_idle_one(
    workers: Workers, function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(python, "STARTS_MAX", 1)
    monkeypatch.setattr(python, "START_S_MAX", math.inf)
    starting, most = 0, 0

    async def start(
        request: FunctionRequest, groups: ProcessGroups, *, on_ready: Callable[[], None]
    ) -> FunctionProcess:
        nonlocal starting, most
        starting += 1
        most = max(most, starting)

        def note() -> None:
            nonlocal starting
            starting -= 1
            on_ready()

        return await start_process(request, groups, on_ready=note)

    monkeypatch.setattr(python, "start_process", start)
    pids: list[object] = []

    async def call() -> None:
        pids.append((await workers.get(function("given:pid"))).value)

    async with trio.open_nursery() as nursery:
        for _ in range(12):
            nursery.start_soon(call)
    assert (most, starting, len(pids)) == (1, 0, 12)
    assert len(set(pids)) < 12


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder for PYTHONPATH. With it and STUCK in its environment, a process does not start."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        "import os, time\nif 'STUCK' in os.environ: time.sleep(60)\n"
    )
    return folder


@pytest.mark.usefixtures("code")
async def test_a_process_that_does_not_start_keeps_no_other_from_starting(
    workers: Workers, function: Function, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(python, "STARTS_MAX", 1)
    monkeypatch.setattr(python, "START_S_MAX", 0.2)
    async with trio.open_nursery() as nursery:
        stuck = function("given:pid", env={"PYTHONPATH": str(site), "STUCK": "1"})
        nursery.start_soon(workers.call, stuck)
        await trio.testing.wait_all_tasks_blocked()
        assert (await workers.get(function("given:echo"))).value == {}
        nursery.cancel_scope.cancel()


@pytest.mark.usefixtures("code")
async def test_a_call_that_waits_gets_the_process_of_a_call_that_ends(
    workers: Workers, function: Function, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(python, "STARTS_MAX", 1)
    monkeypatch.setattr(python, "START_S_MAX", math.inf)
    begun, end = site / "begun", site / "end"
    pids: list[object] = []

    async def call(name: str, args: Mapping[str, str]) -> None:
        pids.append((await workers.get(function(name, args))).value)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call, "given:compute_beside", {"own": str(begun), "other": str(end)})
        await wait_for(begun.exists)
        stuck = function("given:pid", env={"PYTHONPATH": str(site), "STUCK": "1"})
        nursery.start_soon(workers.call, stuck)
        await trio.testing.wait_all_tasks_blocked()
        # One that gives up loses its place in the queue, and no other does.
        with trio.move_on_after(0.01):
            await workers.call(function("given:pid"))
        nursery.start_soon(call, "given:pid", {})
        nursery.start_soon(call, "given:pid", {})
        await trio.testing.wait_all_tasks_blocked()
        end.touch()
        await wait_for(lambda: len(pids) == 3)
        nursery.cancel_scope.cancel()
    assert len(set(pids)) == 1


async def test_a_function_works_in_the_given_folder_and_imports_from_the_specs(
    workers: Workers, function: Function, code: Path, tmp_path: Path
) -> None:
    result = await workers.get(function("given:where"))
    assert result.value == [str(tmp_path / "work"), str(code), ""]


@pytest.mark.usefixtures("code")
async def test_each_call_sees_its_own_environment_and_nothing_else(
    workers: Workers, function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_CALLER", "x")
    first = await workers.get(function("given:environment", env={"ONE": "1"}))
    second = await workers.get(function("given:environment", env={"TWO": "2"}))
    assert first.value == {"PATH": os.environ["PATH"], "ONE": "1"}
    assert second.value == {"PATH": os.environ["PATH"], "TWO": "2"}


@pytest.mark.usefixtures("code")
async def test_what_a_function_and_its_children_print_goes_to_the_log(
    workers: Workers, function: Function
) -> None:
    request = function("given:speak")
    assert (await workers.get(request)).failed is None
    assert sorted(Path(request.log_path).read_text().splitlines()) == [
        "from a child",
        "to stderr",
        "to stdout",
    ]


@pytest.mark.usefixtures("code")
@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("given:fail", "exit_code", "given:fail raised ValueError: a reason"),
        ("given:leave", "exit_code", "given:leave raised SystemExit: 3"),
        ("given:nothing", "environment", "has no attribute 'nothing'"),
        ("nowhere:at_all", "environment", "No module named 'nowhere'"),
        ("broken:any", "environment", "No module named 'no_such_module_anywhere'"),
        ("raising:any", "exit_code", "importing raising raised RuntimeError: at import"),
        ("leaving:any", "exit_code", "importing leaving raised SystemExit: 4"),
        ("given:unserialisable", "schema", "is not JSON"),
        ("given:not_a_number", "schema", "is not JSON"),
        ("given:endless", "schema", "is not JSON"),
    ],
)
async def test_a_failure_of_the_function_is_reported_and_its_process_serves_the_next_call(
    workers: Workers, function: Function, name: str, kind: str, message: str
) -> None:
    pid = (await workers.get(function("given:pid"))).value
    failed = (await workers.get(function(name))).failed
    assert failed is not None
    assert failed.kind == kind
    assert message in failed.message
    assert (await workers.get(function("given:pid"))).value == pid


@pytest.mark.usefixtures("code")
async def test_a_call_with_wrong_arguments_is_reported(
    workers: Workers, function: Function
) -> None:
    failed = (await workers.get(function("given:pid", {"extra": 1}))).failed
    assert failed is not None
    assert failed.kind == "exit_code"
    assert "unexpected keyword argument 'extra'" in failed.message


@pytest.mark.usefixtures("code")
async def test_the_log_has_the_traceback_of_a_failure(workers: Workers, function: Function) -> None:
    request = function("given:fail")
    await workers.get(request)
    assert 'raise ValueError("a reason")' in Path(request.log_path).read_text()


@pytest.mark.usefixtures("code")
async def test_a_worker_that_exits_at_once_is_reported_with_its_status_and_replaced(
    workers: Workers, function: Function
) -> None:
    failed = (await workers.get(function("given:vanish"))).failed
    assert failed is not None
    assert (failed.kind, failed.exit_code) == ("exit_code", 3)
    assert (await workers.get(function("given:echo"))).value == {}


@pytest.mark.usefixtures("code")
async def test_a_worker_that_was_killed_is_reported_with_the_signals_name(
    workers: Workers, function: Function
) -> None:
    failed = (await workers.get(function("given:killed"))).failed
    assert failed is not None
    assert (failed.kind, failed.signal) == ("signal", "SIGKILL")


@pytest.mark.usefixtures("code")
async def test_a_worker_that_dies_between_two_calls_is_replaced(
    workers: Workers, function: Function
) -> None:
    pid = (await workers.get(function("given:pid"))).value
    os.kill(pid, 9)
    await wait_for(lambda: not members_of(pid))
    again = await workers.get(function("given:pid"))
    assert again.failed is None
    assert again.value != pid


@pytest.mark.usefixtures("code")
async def test_invalid_unicode_and_large_values_are_passed_through(
    workers: Workers, function: Function
) -> None:
    assert (await workers.get(function("given:odd_text"))).value == "a\ufffdb"
    assert len((await workers.get(function("given:large"))).value) == 3_000_000


@pytest.mark.usefixtures("code")
async def test_the_time_to_read_an_answer_grows_with_its_size_only(
    workers: Workers, function: Function
) -> None:
    async def took_s(chars: int) -> float:
        began_s = time.process_time()
        await workers.get(function("given:of_size", {"chars": chars}))
        return time.process_time() - began_s

    small_s = min([await took_s(10_000_000) for _ in range(2)])
    assert await took_s(60_000_000) < 40 * small_s


@pytest.mark.usefixtures("code")
@pytest.mark.parametrize("pause_s", [0, 60])
async def test_output_that_cannot_be_kept_ends_the_call_and_its_process(
    workers: Workers, function: Function, monkeypatch: pytest.MonkeyPatch, pause_s: int
) -> None:
    def refuse(log: Log, content: bytes) -> None:
        if content:
            raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(Log, "write", refuse)
        with pytest.raises(MemoryError):
            await workers.get(function("given:say", {"word": "x", "pause_s": pause_s}))
    assert workers.idle == 0
    assert (await workers.get(function("given:say", {"word": "x"}))).failed is None


@pytest.mark.usefixtures("code")
@pytest.mark.parametrize("name", ["given:hang", "given:hang_stubbornly"])
async def test_cancelling_a_call_ends_the_worker_and_its_children(
    workers: Workers, function: Function, tmp_path: Path, name: str
) -> None:
    there = tmp_path / "pid"
    with trio.fail_after(WITHIN_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(workers.call, function(name, {"path": str(there)}))
            await wait_for(lambda: there.exists() and there.read_text())
            begun_s = time.monotonic()
            nursery.cancel_scope.cancel()
        assert time.monotonic() - begun_s < GRACE_S + 5
        await wait_for(lambda: not members_of(int(there.read_text())))
        assert (await workers.call(function("given:echo"))).value == {}


@pytest.mark.usefixtures("code")
async def test_closing_the_pool_ends_its_idle_workers(workers: Workers, function: Function) -> None:
    pid = (await workers.get(function("given:pid"))).value
    with trio.fail_after(WITHIN_S):
        await workers.aclose()
    await wait_for(lambda: not members_of(pid))


@needs_proc
@pytest.mark.usefixtures("code")
async def test_many_calls_leave_no_descriptor_thread_or_process(
    workers: Workers, function: Function
) -> None:
    await workers.get(function("given:say", {"word": "first"}))
    await workers.aclose()
    before = in_use()
    limiter = trio.CapacityLimiter(4)

    async def call() -> None:
        async with limiter:
            await workers.get(function("given:say", {"word": "x"}))

    async with trio.open_nursery() as nursery:
        for _ in range(300):
            nursery.start_soon(call)
    await workers.aclose()
    assert not have_grown(before)


@pytest.mark.usefixtures("code")
async def test_a_worker_has_its_own_three_descriptors_and_no_other(
    workers: Workers, function: Function
) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("lists descriptors by /proc, which Linux has")
    # stdin, stdout, stderr, the copy of stdout, requests, answers, and the folder being listed.
    assert len((await workers.get(function("given:sockets"))).value) == 7


@pytest.mark.usefixtures("code")
async def test_a_worker_imports_nothing_of_orc(workers: Workers, function: Function) -> None:
    (Path(function("x:y").import_dir) / "look.py").write_text(
        "import sys\ndef modules(): return sorted(sys.modules)\n"
    )
    modules = (await workers.get(function("look:modules"))).value
    assert not {"ledger", "scheduler", "trio", "pydantic"} & set(modules)


HOSTILE = """
    import decimal, sys

    class Items(dict):
        def items(self): raise KeyError("hostile")
        def __iter__(self): raise KeyError("hostile")
        def __len__(self): return 1
    class Silent(Exception):
        def __str__(self): raise RuntimeError("no words")
    class Text(str): pass

    def items():
        found = Items()
        dict.__setitem__(found, "a", 1)
        return found
    def silent(): raise Silent()
    def without_words(): raise ValueError()
    def huge(): return 10 ** 100_000
    def unlimited():
        sys.set_int_max_str_digits(0)
        return 10 ** 100_000
    def largest(): return 10 ** 4300 - 1
    def deep(levels):
        found = []
        for _ in range(levels - 1): found = [found]
        return found
    def repeated(): return {1: "a", "1": "b"}
    def pairs(): return {(1, 2): 3}
    def number(): return decimal.Decimal(1)
    def content(): return b"x"
    def text(): return Text("a\\ud800b")
    def bits(): return Text("y" * 70_000_000)
    def memory(): raise MemoryError
"""


@pytest.fixture
def hostile(tmp_path: Path, function: Function) -> None:
    (tmp_path / "code" / "hostile.py").write_text(textwrap.dedent(HOSTILE))


@pytest.mark.parametrize(
    ("call", "kind", "said"),
    [
        ("items", "schema", "the return value of hostile:items is not JSON: KeyError: 'hostile'"),
        ("silent", "exit_code", "hostile:silent raised Silent"),
        ("without_words", "exit_code", "hostile:without_words raised ValueError"),
        ("huge", "schema", "Exceeds the limit (4300 digits)"),
        ("unlimited", "schema", "it has an integer of more than 4,300 digits"),
        ("deep 201", "schema", "nested more than 200 levels deep"),
        ("deep 100000", "schema", "RecursionError"),
        ("repeated", "schema", "a key appears twice"),
        ("pairs", "schema", "keys must be str"),
        ("number", "schema", "Decimal is not JSON serializable"),
        ("content", "schema", "bytes is not JSON serializable"),
        ("bits", "output_too_large", "it has more than 64 MiB as JSON; write a file"),
        ("memory", "exit_code", "hostile:memory raised MemoryError"),
    ],
)
@pytest.mark.usefixtures("hostile")
async def test_no_return_value_ends_the_worker(
    workers: Workers, function: Function, call: str, kind: str, said: str
) -> None:
    name, _, levels = call.partition(" ")
    request = function(f"hostile:{name}", {"levels": int(levels)} if levels else {})
    failed = (await workers.get(request)).failed
    assert failed is not None
    assert failed.kind == kind
    assert said in failed.message
    assert (await workers.get(function("hostile:text"))).value == "a\ufffdb"
    assert workers.idle == 1


@pytest.mark.usefixtures("hostile")
async def test_a_return_value_at_the_bounds_is_passed_on(
    workers: Workers, function: Function
) -> None:
    assert (await workers.get(function("hostile:largest"))).value == 10**4300 - 1
    assert (await workers.get(function("hostile:deep", {"levels": 200}))).failed is None
