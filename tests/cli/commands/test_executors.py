"""`orc executors`, and the site file that it reads."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from orc.cli.jobs.caller import sites
from orc.cli.jobs.caller.sites import find_site_file, read_sites
from orc.scheduler.executors.contract import PROTOCOL
from orc.scheduler.executors.site import parse_sites
from tests.cli.command_line import orc, write
from tests.executors.clusters import LoopbackCluster, loopback_cluster, needs_dask
from tests.processes import read_events

ENTRY = "engine: dask, scheduler_file: dask.json"


def site_file(entry: str, *, more: str = "") -> Path:
    """A site file beside the ledger, with one executor."""
    return write("executors.yaml", f"executors:\n  cluster: {{{entry}}}\n{more}")


@pytest.fixture(scope="module")
def small_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackCluster]:
    """A scheduler with a worker."""
    with loopback_cluster(tmp_path_factory.mktemp("small"), workers=0) as cluster:
        cluster.start_worker(label="a100")
        yield cluster


@needs_dask
def test_an_executor_says_what_it_has(small_cluster: LoopbackCluster) -> None:
    site_file(f"engine: dask, scheduler_file: {small_cluster.scheduler_file}, lease: 5s")
    for _ in range(100):
        said = orc("executors", "--json")
        (found,) = said.json()["executors"]
        if found["workers"]:
            break
    assert said.code == 0
    assert found["usable"] is True
    assert found["tls"] is False
    assert found["capacity"] == {"cpu": 2.0, "a100": 1.0, "slots": 2.0}
    assert found["workers"][0]["protocol"] == found["protocol"] == PROTOCOL
    assert found["lease_s"] == 5.0
    # Addresses stay in the site file.
    assert "tcp://" not in said.out

    shown = orc("executors", "cluster", "--clean")
    assert "ok    cluster: dask, no TLS; 1 worker, cpu 2, a100 1, 2 slots; lease 5 s" in shown.out
    assert "removed: 0 folders" in shown.out
    # The scheduler of this test has the engine's own setting.
    assert "worker-ttl 60s" in shown.out
    health = orc("doctor", "--json").json()
    (finding,) = [one for one in health["findings"] if one["level"] == "ok" and one.get("usable")]
    assert finding["message"] == "cluster answers without TLS; 1 worker"


@needs_dask
def test_a_scheduler_that_does_not_answer_ends_with_7_and_says_what_to_look_at() -> None:
    site_file(ENTRY)
    said = orc("executors")
    assert said.code == 7
    assert "bad   cluster: " in said.out
    assert "is the scheduler running?" in said.out
    write("dask.json", '{"address": "tcp://127.0.0.1:1"}')
    said = orc("executors", "--json")
    assert said.code == 7
    assert "is the address right?" in said.json()["executors"][0]["problem"]
    health = orc("doctor")
    assert health.code == 7
    assert "bad   executor: cluster: the scheduler does not answer" in health.out


def test_an_engine_that_is_not_installed_is_named_with_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site_file(ENTRY)
    monkeypatch.setattr(sites, "_EXTRAS", {"dask": ("no_such_package", "dask")})
    said = orc("executors")
    assert said.code == 7
    assert "install it with pip install 'orc-ledger[dask]'" in said.out


def test_without_a_site_file_there_is_only_this_machine() -> None:
    said = orc("executors")
    assert (said.code, said.out) == (0, "")
    assert "no executors besides this machine" in said.err
    assert orc("executors", "--json").json() == {"site_file": None, "local": {}, "executors": []}
    unknown = orc("executors", "cluster")
    assert unknown.code == 2
    assert "no site file executors.yaml beside the ledger" in unknown.err


def test_an_unknown_name_is_refused_with_the_nearest_one() -> None:
    site_file(ENTRY)
    said = orc("executors", "clutser")
    assert said.code == 2
    assert "has no executor 'clutser'; did you mean 'cluster'?" in said.err


def test_what_this_machine_has_is_shown() -> None:
    site_file(ENTRY, more="  local: {cpu: 8, memory: 32G, gpu: 1}\n")
    local = read_sites(Path("runs.db"), os.environ).local
    assert local == {"cpu": 8.0, "memory": 32.0 * 1024**3, "gpu": 1.0}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("engine: x", ":1:1: the file must be a mapping with the key `executors`"),
        ("executors: []", ":1:1: the file must be a mapping with the key `executors`"),
        ("executors: {}\nexcutors: {}", ":2:1: excutors: unknown key; did you mean 'executors'?"),
        ("executors:\n  Big: {}", ":2:3: executors.Big: a name has a-z, 0-9, _ and -"),
        ("executors:\n  c: 3", ":2:6: executors.c: must be a mapping; got 3"),
        ("executors:\n  c: {}", ":2:6: executors.c.engine: this key is required"),
        ("executors:\n  c: {engine: ray}", ":2:15: executors.c.engine: must be 'dask'; got 'ray'"),
        ("executors:\n  c: {engine: dask}", ":2:6: executors.c: name either `scheduler_file` or"),
        (
            "executors:\n  c: {engine: dask, adress: x}",
            ":2:21: executors.c.adress: unknown key; did you mean 'address'?",
        ),
        (
            "executors:\n  c: {engine: dask, address: 'head:8786'}",
            ":2:30: executors.c.address: must be such as tls://head:8786",
        ),
        (
            "executors:\n  c: {engine: dask, address: 'tls://head'}",
            ":2:30: executors.c.address: must be such as tls://head:8786",
        ),
        (
            "executors:\n  c: {engine: dask, address: 'tls://head:8786'}",
            ":2:30: executors.c.address: tls:// needs `tls: {ca, cert, key}`",
        ),
        (
            "executors:\n  c:\n    engine: dask\n    scheduler_file: a\n    tls: {ca: x}",
            ":5:10: executors.c.tls.cert: this key is required",
        ),
        (
            "executors:\n  c:\n    engine: dask\n    scheduler_file: a\n    files: copy",
            ":5:12: executors.c.files: must be 'ship'",
        ),
        (
            "executors:\n  c:\n    engine: dask\n    scheduler_file: a\n    lease: soon",
            ":5:12: executors.c.lease: must be a duration above zero",
        ),
        (
            "executors:\n  c:\n    engine: dask\n    scheduler_file: a\n    lease: 100ms",
            ":5:12: executors.c.lease: must be at least 1s",
        ),
        (
            "executors:\n  c:\n    engine: dask\n    scheduler_file: a\n    keep: 1s",
            ":5:11: executors.c.keep: must not be shorter than `lease`",
        ),
        (
            "executors:\n  c:\n    engine: dask\n    scheduler_file: a\n    files: {shared: b}",
            ":5:12: executors.c.files: `shared` must be an absolute path, the same on all machines",
        ),
        ("executors:\n  local: {cpu: many}", ":2:16: executors.local.cpu: must be a number"),
        ("executors:\n  local: 3", ":2:10: executors.local: must be a mapping such as"),
        ("executors: {c: &a {}, c: *a}", "duplicate key 'c'"),
    ],
)
def test_each_problem_of_a_site_file_is_said_with_its_place(text: str, problem: str) -> None:
    path = write("executors.yaml", text)
    said = orc("executors")
    assert said.code == 2
    assert f"executors.yaml{problem}" in said.err.replace(f"{path.absolute().parent}/", "") or (
        problem in said.err
    )
    assert "bad   executors: " in orc("doctor").out


def test_an_open_address_of_another_machine_needs_a_word_from_the_user() -> None:
    site_file("engine: dask, address: 'tcp://192.0.2.1:8786'")
    said = orc("executors")
    assert said.code == 7
    assert "say `insecure: true`" in said.out
    refused = orc("cluster", "scheduler", "cluster", "--print")
    assert (refused.code, refused.out) == (7, "")
    site_file("engine: dask, address: 'tcp://192.0.2.1:8786', insecure: true")
    printed = orc("cluster", "scheduler", "cluster", "--print")
    assert printed.code == 0
    assert "run commands as you" in printed.err


def test_a_site_file_that_others_can_change_is_refused() -> None:
    path = site_file(ENTRY)
    path.chmod(0o666)
    said = orc("executors")
    assert said.code == 2
    assert f"chmod go-w {path.absolute()}" in said.err


def test_a_site_file_in_a_folder_where_others_can_write_is_refused(here: Path) -> None:
    site_file(ENTRY)
    here.chmod(0o777)
    said = orc("executors", "--db", str(here / "runs.db"))
    assert said.code == 2
    assert "can be written by others" in said.err


@needs_dask
def test_a_key_that_others_can_read_is_refused() -> None:
    assert orc("cluster", "certs", "certs").code == 0
    tls = "tls: {ca: certs/ca.pem, cert: certs/cert.pem, key: certs/key.pem}"
    site_file(f"{ENTRY}, {tls}")
    Path("certs/key.pem").chmod(0o640)
    said = orc("executors")
    assert said.code == 7
    assert f"chmod 600 {Path('certs/key.pem').absolute()}" in said.out
    Path("certs/key.pem").unlink()
    assert "`orc cluster certs DIR` makes these files" in orc("executors").out


def test_a_named_file_comes_before_one_beside_the_ledger_and_that_before_the_users(
    here: Path,
) -> None:
    environment = {"HOME": str(here / "home")}
    own = here / "home" / ".config" / "orc"
    own.mkdir(parents=True)
    database = here / "ledgers" / "runs.db"
    database.parent.mkdir()
    assert find_site_file(database, environment) is None
    (own / "executors.yaml").write_text("executors: {}")
    assert find_site_file(database, environment) == own / "executors.yaml"
    (database.parent / "executors.yaml").write_text("executors: {}")
    assert find_site_file(database, environment) == database.parent / "executors.yaml"
    environment["ORC_EXECUTORS"] = str(here / "named.yaml")
    assert find_site_file(database, environment) == here / "named.yaml"
    with pytest.raises(Exception, match="or name another file in ORC_EXECUTORS"):
        read_sites(database, environment)


def test_paths_of_a_site_file_are_relative_to_it() -> None:
    text = f"executors:\n  c: {{{ENTRY}, tls: {{ca: a, cert: /b, key: c/d}}}}"
    site = parse_sites(text, path=Path("/site/executors.yaml")).executors["c"]
    assert site.scheduler_file == Path("/site/dask.json")
    assert site.tls is not None
    assert (site.tls.ca, site.tls.cert, site.tls.key) == (
        Path("/site/a"), Path("/b"), Path("/site/c/d"),
    )  # fmt: skip
    assert (site.lease_s, site.keep_s) == (30.0, 86400.0)
    assert json.loads(json.dumps(site.for_driver()))["tls"]["key"] == "/site/c/d"


def test_a_shared_folder_is_an_absolute_path_and_private(tmp_path: Path) -> None:
    def shared(value: str) -> Path | None:
        text = f"executors: {{c: {{{ENTRY}, files: {value}}}}}"
        return parse_sites(text, path=tmp_path / "executors.yaml").executors["c"].shared

    assert shared("ship") is None
    assert shared(f"{{shared: {tmp_path}}}") == tmp_path
    assert shared("{shared: ~/orc}") == Path("~/orc").expanduser()
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o755)
    site_file(f"{ENTRY}, files: {{shared: {folder}}}")
    said = orc("executors")
    assert said.code == 7
    assert f"the shared folder {folder} can be used by other users; run `chmod 700" in said.out


ON_CLUSTER = "project: far\nsteps: {a: {run: 'true', executor: cluster}}\n"


@needs_dask
def test_an_executor_that_cannot_be_reached_leaves_no_job(here: Path) -> None:
    site_file(ENTRY)
    write("spec.yaml", ON_CLUSTER)
    before = sorted(here.iterdir())
    said = orc("run", "spec.yaml")
    assert said.code == 7
    assert "the executor 'cluster' cannot be used: the scheduler file cannot be read" in said.err
    assert sorted(here.iterdir()) == before

    write("local.yaml", ON_CLUSTER.replace(", executor: cluster", ""))
    assert orc("run", "local.yaml").code == 0
    said = orc("fork", "latest", "--spec", "spec.yaml")
    assert said.code == 7
    assert len(orc("list", "--json").lines()) == 1


@needs_dask
def test_an_executor_that_cannot_be_reached_leaves_a_job_unamended(here: Path) -> None:
    site_file(ENTRY)
    write("spec.yaml", "project: far\nsteps: {a: {run: 'true'}}\n")
    assert orc("run", "spec.yaml").code == 0
    before = [event["type"] for event in read_events(here / "runs.db")]
    write("spec.yaml", ON_CLUSTER)
    said = orc("resume", "latest", "--spec", "spec.yaml")
    assert said.code == 7
    assert "the executor 'cluster' cannot be used: the scheduler file cannot be read" in said.err
    assert [event["type"] for event in read_events(here / "runs.db")] == before
