"""`orc browse` before it serves: its arguments. `tests/cli/browse` and `tests/browser` have the rest."""

from __future__ import annotations

import socket

from tests.cli.command_line import orc


def test_browse_without_a_ledger_fails_before_it_listens() -> None:
    said = orc("browse", "--no-open")

    assert said.code == 6
    assert "there is no ledger" in said.err


def test_a_port_and_a_socket_cannot_both_be_named() -> None:
    said = orc("browse", "--no-open", "--port", "0", "--uds", "orc.sock")

    assert said.code == 2
    assert "leave out one of them" in said.err


def test_a_folder_of_specs_needs_actions_and_must_exist() -> None:
    said = orc("browse", "--no-open", "--specs", ".")
    assert (said.code, "add it, or leave out --specs" in said.err) == (2, True)
    said = orc("browse", "--no-open", "--allow-actions", "--specs", "nowhere")
    assert (said.code, "there is no such folder" in said.err) == (2, True)


def test_with_a_folder_of_specs_the_first_job_can_be_started_on_a_page() -> None:
    # A port of another program ends the command when the ledger is there.
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = orc("browse", "--no-open", "--allow-actions", "--specs", ".", "--port", port)
    assert (said.code, "already in use" in said.err) == (2, True), said.err
    assert orc("verify").code == 0
    assert orc("list", "--json").out == ""
