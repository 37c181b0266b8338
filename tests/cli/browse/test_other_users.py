"""Another user of the machine, played with a real user id: no address answers, no decision is made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.other_users import shared_folder
from tests.processes import end_process, run_orc, start_orc

OTHER = 65534
SPEC = """\
project: asks
steps:
  gate: {approval: {message: "May I?"}}
"""

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root can act as another user"
)

# Reads requests from stdin, sends each of them, and writes the statuses.
CLIENT = """
import json, os, socket, sys
user, family, place, requests = json.load(sys.stdin)
if user:
    os.setgroups([]); os.setgid(user); os.setuid(user)
answers = []
for method, path, headers, body in requests:
    with socket.socket(getattr(socket, family)) as client:
        client.settimeout(30)
        try:
            client.connect(tuple(place) if isinstance(place, list) else place)
        except OSError as error:
            answers.append([error.errno, ""])
            continue
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost:8001", "Connection: close", *headers]
        head = "\\r\\n".join([*lines, f"Content-Length: {len(body)}", "", ""])
        client.sendall((head + body).encode())
        answer = b""
        while piece := client.recv(65536):
            answer += piece
        answers.append([int(answer.split()[1]), answer.decode("utf-8", "replace")])
print(json.dumps(answers))
"""


Asked = tuple[str, str, list[str], str]
"""The method, the address, the headers and the body of a request."""


def ask(user: int, place: Any, *requests: Asked) -> list[tuple[int, str]]:
    """The status (or the error number) and the text of each answer to a process of this user."""
    family = "AF_UNIX"
    if isinstance(place, tuple):
        family = "AF_INET6" if ":" in place[0] else "AF_INET"
    said = subprocess.run(
        [sys.executable, "-c", CLIENT],
        input=json.dumps([user, family, place, requests]),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd="/",
    )
    return [(status, text) for status, text in json.loads(said.stdout)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a job that waits for human review."""
    folder = tmp_path_factory.mktemp("others")
    (folder / "spec.yaml").write_text(SPEC)
    assert run_orc("run", "spec.yaml", cwd=folder).returncode == 3
    return folder


def browse(folder: Path, *options: str) -> Iterator[dict[str, Any]]:
    process = start_orc("browse", "--no-open", "--allow-decisions", "--json", *options, cwd=folder)
    assert process.stdout is not None
    yield json.loads(process.stdout.readline())
    end_process(process)


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[dict[str, Any]]:
    """`orc browse` on a port."""
    yield from browse(folder, "--port", "0")


@pytest.fixture
def unix(folder: Path) -> Iterator[dict[str, Any]]:
    """`orc browse` on a Unix socket."""
    # Others may enter this folder, so that the mode of the socket alone decides.
    with shared_folder(0o711) as own:
        yield from browse(folder, "--uds", f"{own}/orc.sock")


def test_another_user_sees_nothing_and_decides_nothing(port: dict[str, Any], folder: Path) -> None:
    link = urlsplit(port["url"])
    place = ("127.0.0.1", link.port)
    opening: Asked = ("POST", "/-/orc-open", ["Sec-Fetch-Site: same-origin"], link.fragment)
    listed = json.loads(run_orc("list", "--json", cwd=folder).stdout.splitlines()[0])
    job = listed["job_id"]
    decide = f"/-/orc/runs/decide/{job}"
    form = "step=gate&option=approve&csrftoken=x"
    form_headers = [
        "Content-Type: application/x-www-form-urlencoded",
        "Origin: http://localhost:8001",
        "Sec-Fetch-Site: same-origin",
        "Cookie: ds_csrftoken=x",
    ]
    addresses = ["/", "/runs.json", "/runs.db", "/runs?sql=select+1", f"/-/orc/runs/{job}", decide]
    addresses += ["/-/static/app.css", "/-/orc-static/x/orc.css", "/-/databases.json", "/nothing"]
    requests: list[Asked] = [(m, p, [], "") for p in addresses for m in ("GET", "HEAD", "OPTIONS")]
    requests += [("POST", decide, form_headers, form)]

    # The other user has even the link, which stays usable for its owner. A socket of IPv6 can
    # connect to an address of IPv4, too.
    mapped = ("::ffff:127.0.0.1", link.port)
    asked = [*ask(OTHER, place, opening, *requests), *ask(OTHER, mapped, opening, *requests)]
    for status, text in asked:
        assert status == 403
        assert "May I?" not in text
        assert job not in text
        assert "et-cookie" not in text
    ((status, text),) = ask(0, place, opening)
    assert status == 200
    cookie = next(line for line in text.splitlines() if line.lower().startswith("set-cookie"))
    with_cookie = [f"Cookie: {cookie.partition(': ')[2].partition(';')[0]}; ds_csrftoken=x"]

    # It knows the used link and the cookie now.
    stolen = [(m, p, [*h, *with_cookie], b) for m, p, h, b in requests]
    # A header that a proxy would add says nothing about the connection.
    stolen += [("GET", "/", [*with_cookie, "X-Forwarded-For: 10.0.0.1"], "")]
    asked = [*ask(OTHER, place, opening, *stolen), *ask(OTHER, mapped, opening, *stolen)]
    for status, text in asked:
        assert status == 403
        assert "May I?" not in text
    events = run_orc("tail", "latest", "--type", "approval.decided", "--json", cwd=folder).stdout
    assert events == ""

    pages = [("GET", "/runs.json", with_cookie, ""), ("GET", decide, with_cookie, "")]
    answers = ask(0, place, *pages)
    assert [status for status, _ in answers] == [200, 200]
    assert "May I?" in answers[1][1]


def test_another_user_cannot_connect_to_the_socket(unix: dict[str, Any]) -> None:
    link = urlsplit(unix["url"])
    path = unix["socket"]
    opening: Asked = ("POST", "/-/orc-open", [], link.fragment)
    ((status, _),) = ask(OTHER, path, opening)
    assert status == 13, "EACCES"
    answers = ask(0, path, ("GET", "/", [], ""), opening)
    assert [status for status, _ in answers] == [403, 200]


def test_the_link_is_in_the_arguments_of_no_process(port: dict[str, Any]) -> None:
    token = urlsplit(port["url"]).fragment.partition("=")[2]
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert token.encode() not in path.read_bytes()
        except OSError:
            continue
