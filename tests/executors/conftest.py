"""One cluster for the tests that harm neither its scheduler nor its two workers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.executors.clusters import LoopbackCluster, loopback_cluster


@pytest.fixture(scope="session")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackCluster]:
    """A scheduler and two workers."""
    with loopback_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster
