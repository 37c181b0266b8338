"""`orc cluster`: the engine's own commands with safe settings, and certificates."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cli.command_line import PASSING, orc, submit, write
from tests.executors.clusters import WAIT_S, needs_dask
from tests.processes import ORC, orc_environment, wait_until

pytestmark = needs_dask
TLS = "tls: {ca: certs/ca.pem, cert: certs/cert.pem, key: certs/key.pem}"


def site_file(entry: str) -> Path:
    return write("executors.yaml", f"executors:\n  cluster: {{engine: dask, {entry}}}\n")


def printed(*arguments: str) -> list[str]:
    said = orc("cluster", *arguments, "--print")
    assert said.code == 0, said.err
    return shlex.split(said.out)


def option(words: list[str], name: str) -> str:
    return words[words.index(name) + 1]


def test_a_scheduler_without_tls_listens_on_this_machine_only() -> None:
    site_file("scheduler_file: dask.json")
    words = printed("scheduler", "cluster")
    assert words[0] == "env"
    assert "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES=0" in words
    assert "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL=60s" in words
    assert words[words.index("dask") + 1] == "scheduler"
    assert option(words, "--host") == "127.0.0.1"
    assert option(words, "--dashboard-address") == "127.0.0.1:0"


@pytest.mark.parametrize("place", ["scheduler_file: dask.json", "address: 'tcp://127.0.0.1:8786'"])
@pytest.mark.parametrize("action", ["scheduler", "worker"])
def test_without_tls_no_host_of_other_machines_is_taken(action: str, place: str) -> None:
    site_file(place)
    for host in ("0.0.0.0", "10.0.0.7", "head", "::", "127.0.0.1.example.org"):
        refused = orc("cluster", action, "cluster", "--host", host, "--print")
        assert (refused.code, refused.out) == (2, "")
        assert "everyone who reaches that address could run commands as you" in refused.err
    for host in ("127.0.0.1", "::1", "localhost"):
        assert option(printed(action, "cluster", "--host", host), "--host") == host


def test_a_scheduler_with_tls_listens_for_all_and_asks_for_the_certificate() -> None:
    assert orc("cluster", "certs", "certs").code == 0
    site_file(f"address: 'tls://head:8786', {TLS}")
    words = printed("scheduler", "cluster")
    assert "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION=True" in words
    assert (option(words, "--host"), option(words, "--port")) == ("head", "8786")
    assert option(words, "--tls-key") == str(Path("certs/key.pem").absolute())
    worker = printed("worker", "cluster", "--host", "10.0.0.7")
    assert worker[worker.index("dask") + 1 :][:2] == ["worker", "tls://head:8786"]
    assert option(worker, "--host") == "10.0.0.7"
    assert option(worker, "--protocol") == "tls"


def test_a_worker_has_what_is_said_and_no_limit_of_memory() -> None:
    site_file("scheduler_file: dask.json")
    words = printed(
        "worker", "cluster", "--cpu", "3.5", "--memory", "2G", "--gpu", "1", "--label", "a100"
    )
    assert option(words, "--resources") == f"CPU=3.5 MEMORY={2 * 1024**3} GPU=1 a100=1"
    assert (option(words, "--nthreads"), option(words, "--memory-limit")) == ("3", "0")
    assert option(words, "--host") == "127.0.0.1"
    assert option(printed("worker", "cluster", "--slots", "9"), "--nthreads") == "9"
    as_json = orc("cluster", "worker", "cluster", "--print", "--json").json()
    assert as_json["argv"][:2] == ["dask", "worker"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["start", "cluster"], "there is no action 'start'"),
        (["schedular", "cluster"], "did you mean 'scheduler'?"),
        (["worker", "other"], "has no executor 'other'"),
        (["worker", "cluster", "--memory", "much"], "--memory must be a number"),
        (["worker", "cluster", "--label", "a=b"], "a label must be letters"),
        (["worker", "cluster", "--label", "3090"], "and begin with a letter"),
        (["worker", "cluster", "--label", "GPU"], "--label GPU: this is the name of an amount"),
        (["worker", "cluster", "--label", "slots"], "the name of an amount"),
        (["worker", "cluster", "--cpu", "inf"], "Invalid value for '--cpu'"),
        (["worker", "cluster", "--gpu", "1e300"], "Invalid value for '--gpu'"),
        (["certs", "executors.yaml/x"], "executors.yaml"),
        (["certs", "executors.yaml"], "cannot make the folder executors.yaml"),
    ],
)
def test_what_cannot_be_done_is_said(arguments: list[str], problem: str) -> None:
    site_file("scheduler_file: dask.json")
    said = orc("cluster", *arguments)
    assert said.code == 2
    assert problem in said.err
    assert "Traceback" not in said.err
    assert "next:" not in said.err


def test_what_a_killed_command_left_is_named_and_removed_by_the_next(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(PASSING)
    kept = here / "kept"
    rename = os.rename

    def copy_first(source: Path, target: Path) -> None:
        # As a process leaves it that is killed just before.
        if source.parent.parent == here and target.name == "certs":
            shutil.copytree(source.parent, kept)
            kept.rename(here / source.parent.name.replace("-", "1-", 1))
        rename(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", copy_first)
        assert orc("cluster", "certs", "certs").code == 0
    found = orc("doctor").out
    assert "a killed command that wrote certs left it" in found
    shutil.rmtree("certs")
    assert orc("cluster", "certs", "certs").code == 0
    assert [path.name for path in here.glob(".certs*")] == []


def test_certificates_are_for_their_owner_and_never_replaced() -> None:
    said = orc("cluster", "certs", "here/certs", "--json")
    assert said.code == 0
    made = said.json()
    assert datetime.fromisoformat(made["ends"]).replace(tzinfo=UTC) > datetime.now(UTC)
    for name in ("ca", "cert", "key"):
        assert stat.S_IMODE(os.stat(made[name]).st_mode) == 0o600
    assert stat.S_IMODE(os.stat("here/certs").st_mode) == 0o700
    before = Path(made["key"]).read_bytes()
    again = orc("cluster", "certs", "here/certs")
    assert again.code == 2
    assert "does not exist or is empty" in again.err
    assert [path.name for path in Path("here").iterdir()] == ["certs"]
    assert Path(made["key"]).read_bytes() == before


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("key.pem", "of another certificate"),
        ("key.pem", ""),
        ("cert.pem", "no certificate"),
        ("ca.pem", ""),
    ],
)
def test_certificates_that_do_not_fit_are_said_before_anything_connects(
    name: str, content: str
) -> None:
    assert orc("cluster", "certs", "certs").code == orc("cluster", "certs", "others").code == 0
    site_file(f"address: 'tls://127.0.0.1:1', {TLS}")
    if content == "of another certificate":
        content = Path("others", name).read_text()
    Path("certs", name).write_text(content)
    for said in (orc("executors"), orc("cluster", "worker", "cluster", "--print")):
        assert said.code == 7
        told = said.out + said.err
        assert str(Path("certs", name).absolute()) in told
        assert "which the site file names under `tls`, cannot be used: " in told
        assert "the key must be that of the certificate, without a password" in told


def test_a_key_with_a_password_asks_for_none() -> None:
    from cryptography.hazmat.primitives import serialization

    assert orc("cluster", "certs", "certs").code == 0
    site_file(f"address: 'tls://127.0.0.1:1', {TLS}")
    key = serialization.load_pem_private_key(Path("certs/key.pem").read_bytes(), None)
    Path("certs/key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"password"),
        )
    )
    said = orc("executors")
    assert said.code == 7
    assert "there is no key, or one with a password" in said.out + said.err


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """An `orc cluster` process and what it starts."""
    with Path(f"{arguments[0]}.log").open("wb") as log:
        process = subprocess.Popen(
            [ORC, "cluster", *arguments],
            env=orc_environment(OPENAI_API_KEY="key-of-a-provider"),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(WAIT_S)


def test_a_cluster_with_certificates_starts_and_can_be_used() -> None:
    assert orc("cluster", "certs", "certs").code == 0
    site_file(f"scheduler_file: dask.json, {TLS}")
    with started("scheduler", "cluster", "--host", "127.0.0.1") as scheduler:
        wait_until(Path("dask.json").exists, within_s=WAIT_S)
        with started("worker", "cluster", "--cpu", "2", "--label", "here"):
            wait_until(lambda: orc("executors", "--json").json()["executors"][0]["workers"])
            said = orc("executors")
            assert said.code == 0
            assert "ok    cluster: dask, TLS; 1 worker, cpu 2" in said.out
            # Its settings are those that orc wants.
            assert "note" not in said.out
        environment = Path(f"/proc/{scheduler.pid}/environ")
        if environment.exists():
            assert b"key-of-a-provider" not in environment.read_bytes()
