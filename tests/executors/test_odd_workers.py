"""Workers of a cluster that are not ours, or lie: they harm no other one, and get no secrets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.executors.clusters import needs_dask

pytestmark = needs_dask

AT = "tcp://127.0.0.1:1"


def new_cluster(*, scheduler: str = AT, answer: Any = None) -> Any:
    """A cluster without a connection, whose workers give that answer to the first call."""
    from orc.scheduler.drivers.addresses import is_safe
    from orc.scheduler.drivers.dask_cluster import Cluster

    class Links:
        async def greet(self, address: str, request: Any) -> Any:
            return answer

    cluster: Any = Cluster.__new__(Cluster)
    cluster.is_private = is_safe(scheduler, is_insecure=False)
    cluster.workers, cluster.facts, cluster.faulty = {}, {}, {}
    cluster._links = Links()
    return cluster


def greeted(answer: Any) -> Any:
    cluster = new_cluster(answer=answer)

    async def greet() -> None:
        cluster._down = asyncio.Event()
        await cluster._greet(AT)

    asyncio.run(greet())
    return cluster


@pytest.mark.parametrize("answer", [[1, 2], "text", 7, {}, {"worker": 3}, {"worker": ""}])
def test_a_worker_that_answers_something_else_is_of_no_use(answer: Any) -> None:
    cluster = greeted(answer)
    assert cluster.workers == {}
    assert cluster.faulty == {AT: "the worker's answer is not that of any version of orc"}


def test_what_a_worker_says_of_itself_is_short_text() -> None:
    cluster = greeted({"worker": "w", "host": "h" * 1_000_000, "orc": [1], "protocol": object()})
    assert cluster.workers == {"w": AT}
    assert cluster.facts["w"] == {
        "host": "h" * 200,
        "orc": "[1]",
        "python": "None",
        "protocol": None,
    }


def test_an_amount_that_json_cannot_say_is_none() -> None:
    from orc.scheduler.drivers.dask_cluster import _capacity_of

    amounts = {"CPU": float("nan"), "GPU": float("inf"), "MEMORY": 5}
    assert _capacity_of({"resources": amounts, "nthreads": 2}) == {"memory": 5.0, "slots": 2.0}


@pytest.mark.parametrize(
    ("scheduler", "worker", "may_hear"),
    [
        ("tcp://127.0.0.1:1", "tcp://127.0.0.1:2", True),
        # The scheduler is at the other end of a tunnel, or listens for all.
        ("tcp://127.0.0.1:1", "tcp://10.0.0.7:2", False),
        ("tcp://10.0.0.7:1", "tcp://127.0.0.1:2", False),
        ("tls://10.0.0.7:1", "tls://10.0.0.8:2", True),
    ],
)
def test_secrets_go_to_this_machine_or_by_tls(scheduler: str, worker: str, may_hear: bool) -> None:
    cluster = new_cluster(scheduler=scheduler)
    cluster.workers["w"] = worker
    assert cluster.hears_alone("w") is may_hear


def test_a_secret_for_a_worker_of_another_machine_is_refused() -> None:
    from orc.scheduler.drivers.dask_driver import DaskDriver
    from orc.scheduler.drivers.lines import Lines, Refused

    async def allow() -> None:
        driver = DaskDriver(Lines(-1, -1))
        driver._cluster = new_cluster()
        driver._cluster.workers["w"] = "tcp://10.0.0.7:2"
        await driver.answer({"op": "allow", "worker": "w", "secrets": {"KEY": "value"}})

    with pytest.raises(Refused, match="only with TLS, or on this machine"):
        asyncio.run(allow())
