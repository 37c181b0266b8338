"""Calls to a model API on loopback, through orc and by the vendor's SDK alone."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import jobs
from benchmarks.figures import figure_of

ROOT = Path(__file__).parents[1]


@contextmanager
def model_server() -> Iterator[str]:
    """The address of a server, in another process, that answers "ok" at once."""
    with _serving("tests.model_server") as url:
        yield url


@contextmanager
def stream_server(*, tokens: int, per_s: float) -> Iterator[str]:
    """The address of a server, in another process, that streams this many tokens in each reply."""
    with _serving("benchmarks.stream_server", str(tokens), str(per_s)) as url:
        yield url


@contextmanager
def _serving(module: str, *arguments: str) -> Iterator[str]:
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        assert process.stdin is not None
        process.stdin.close()


def environment(url: str) -> dict[str, str]:
    """The environment that makes orc's provider `openai` use this server."""
    return {"OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": "none"}


def sdk_s(url: str, *, calls: int, at_once: int) -> float:
    """Seconds for this many streamed calls of the OpenAI SDK under trio, `at_once` at a time."""
    import trio
    from openai import AsyncOpenAI

    async def call(client: AsyncOpenAI, number: int, limit: trio.CapacityLimiter) -> None:
        async with limit:
            stream = await client.chat.completions.create(
                model="model-a",
                messages=[{"role": "user", "content": f"Say {number}."}],
                stream=True,
                stream_options={"include_usage": True},
            )
            async with stream:
                async for _ in stream:
                    pass

    async def all_calls() -> float:
        client = AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        limit = trio.CapacityLimiter(at_once)
        started = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for number in range(calls):
                nursery.start_soon(call, client, number, limit)
        took_s = time.perf_counter() - started
        await client.close()
        return took_s

    return trio.run(all_calls)


def figures(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Calls to an API on loopback. The first calls are not measured, since they load the SDK."""
    durable: list[float] = []
    bare: list[float] = []
    with model_server() as url:
        spec, reached = jobs.calls(1000), environment(url)
        sdk_s(url, calls=100, at_once=100)
        jobs.run_job(folder, jobs.calls(100), environment=reached)
        for _ in range(rounds):
            before = sdk_s(url, calls=1000, at_once=100)
            durable.append(jobs.run_job(folder, spec, environment=reached)[0])
            after = sdk_s(url, calls=1000, at_once=100)
            bare.append((before + after) / 2)
    return [
        figure_of(
            "1,000 calls, 100 at once, each durable: ms a call",
            durable,
            "OpenAI SDK alone: ms a call",
            bare,
            target="<= 1.3",
        )
    ]


def stream_figures(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Processor time of streams that last as long as their server wants; the SDK is loaded before."""
    through, bare = [], []
    seconds, per_s = 10, 50
    with model_server() as url:
        sdk_s(url, calls=1, at_once=1)
        jobs.run_job(folder, jobs.calls(1), environment=environment(url))
    with stream_server(tokens=seconds * per_s, per_s=per_s) as url:
        spec, reached = jobs.calls(100), environment(url)
        for _ in range(rounds):
            before_s = time.process_time()
            sdk_s(url, calls=100, at_once=100)
            between_s = time.process_time()
            jobs.run_job(folder, spec, environment=reached)
            bare.append(100 * (between_s - before_s) / seconds)
            through.append(100 * (time.process_time() - between_s) / seconds)
    return [
        figure_of(
            "100 streams of 50 tokens/s: % of a core",
            through,
            "OpenAI SDK alone: % of a core",
            bare,
            target="at most 5 above",
        )
    ]
