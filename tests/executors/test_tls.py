"""A cluster with TLS: only who has its certificate may speak with it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio

from orc.cli.cluster.certificates import write_certificates
from orc.scheduler.executors.contract import Asked, Ended
from orc.scheduler.executors.driver import open_engine
from orc.scheduler.executors.errors import EngineProblem, EngineUnreachable
from tests.executors.clusters import (
    LEASE_S,
    WAIT_S,
    Listener,
    LoopbackCluster,
    attempt,
    command,
    loopback_cluster,
    needs_dask,
)

pytestmark = needs_dask
RUN = "0123abcd"


def certificates(folder: Path, *, now: datetime | None = None) -> dict[str, str]:
    made = write_certificates(folder, now=now)
    return {"ca": str(made.ca), "cert": str(made.cert), "key": str(made.key)}


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackCluster]:
    """A cluster with TLS and one worker."""
    folder = tmp_path_factory.mktemp("encrypted")
    with loopback_cluster(folder, workers=1, tls=certificates(folder / "certs")) as cluster:
        yield cluster


async def test_a_command_runs_over_tls(encrypted: LoopbackCluster, tmp_path: Path) -> None:
    one = attempt(tmp_path, "sealed")
    async with open_engine("dask", encrypted.site(), lease_s=LEASE_S) as engine:
        assert engine.facts["is_encrypted"] is True
        listener = Listener(engine)
        await engine.submit(one.ticket, RUN, command("echo sealed"), one)
        asked = await listener.wait(Asked)
        await engine.allow(one.ticket, RUN, asked.worker, epoch=1, secrets={})
        ended = await listener.wait(Ended)
        assert ended.outcome.stdout == b"sealed\n"
        await engine.forget(one.ticket, RUN, ended.worker, epoch=1)


async def test_a_client_without_a_certificate_is_refused(encrypted: LoopbackCluster) -> None:
    with trio.fail_after(WAIT_S), pytest.raises(EngineProblem, match="TLS only"):
        async with open_engine("dask", encrypted.site(tls=None), lease_s=LEASE_S):
            pass


async def test_a_certificate_of_another_authority_is_refused(
    encrypted: LoopbackCluster, tmp_path: Path
) -> None:
    foreign = encrypted.site(tls=certificates(tmp_path / "foreign"))
    with trio.fail_after(WAIT_S), pytest.raises(EngineUnreachable, match="certificate"):
        async with open_engine("dask", foreign, lease_s=LEASE_S):
            pass


async def test_certificates_that_have_ended_are_said(tmp_path: Path) -> None:
    ended = certificates(tmp_path / "certs", now=datetime.now(UTC) - timedelta(days=400))
    with (
        loopback_cluster(tmp_path, workers=0, tls=ended) as cluster,
        trio.fail_after(WAIT_S),
        pytest.raises(EngineUnreachable, match="have ended; make new"),
    ):
        async with open_engine("dask", cluster.site(), lease_s=LEASE_S):
            pass


async def test_a_plain_connection_does_not_reach_what_is_behind_tls(
    encrypted: LoopbackCluster,
) -> None:
    address = encrypted.address.replace("tls://", "tcp://")
    plain = encrypted.site(tls=None, scheduler_file=None, address=address)
    with trio.fail_after(WAIT_S), pytest.raises(EngineUnreachable, match="if it speaks TLS, use"):
        async with open_engine("dask", plain, lease_s=LEASE_S):
            pass
