"""Values of secrets are in the environment of the command, and nowhere else."""

from __future__ import annotations

import base64
import json

from hypothesis import given
from hypothesis import strategies as st

from orc.worker.masking import SecretMask
from tests.worker.engine import FakeEngine, file_item, text, wait_until

CANARY = 'kanarien-vogel"quoted\nline'
MODULE = b"""
import os
def tell():
    print(os.environ["TOKEN"])
    return [os.environ["TOKEN"]]
"""


def assert_nowhere(engine: FakeEngine) -> None:
    events = json.dumps([copy.events for copy in engine.copies])
    for part in ("kanarien", base64.b64encode(b"kanarien").decode()[:10]):
        assert part not in events
    for path in engine.files():
        assert b"kanarien" not in path.read_bytes(), path
    for copy in engine.copies:
        outcome = copy.control("outcome")["outcome"]
        assert "kanarien" not in json.dumps(outcome)
        for name in ("stdout", "stderr_tail", "answer"):
            assert b"kanarien" not in base64.b64decode(outcome[name] or ""), name


def test_a_command_has_the_value_and_nothing_else_keeps_it(engine: FakeEngine) -> None:
    script = (
        'printf "%s" "$TOKEN" | wc -c; echo "$TOKEN"; echo "$TOKEN" >&2; printf "%s" "${TOKEN%??}"; '
        'sleep 0.2; printf "%s" "${TOKEN#"${TOKEN%??}"}"'
    )
    copy = engine.shell(script, secrets=["TOKEN"])
    outcome = copy.result(secrets={"TOKEN": CANARY, "OTHER": "not asked for"})
    assert outcome["exit_code"] == 0
    assert text(outcome) == f"{len(CANARY)}\n[secret TOKEN]\n[secret TOKEN]"
    assert text(outcome, "stderr_tail") == "[secret TOKEN]\n"
    assert copy.log().count(b"[secret TOKEN]") == 3
    assert_nowhere(engine)
    assert engine.agent._table.find(copy.ticket, copy.run).secrets == {}


def test_a_function_has_the_value_and_nothing_else_keeps_it(engine: FakeEngine) -> None:
    engine.put(MODULE)
    copy = engine.submit(
        kind="function",
        function="mine:tell",
        shipped=[file_item("mine.py", MODULE)],
        secrets=["TOKEN"],
    )
    outcome = copy.result(secrets={"TOKEN": CANARY})
    assert json.loads(base64.b64decode(outcome["answer"])) == {"value": ["[secret TOKEN]"]}
    assert_nowhere(engine)


def test_messages_and_names_of_files_do_not_show_it(engine: FakeEngine) -> None:
    named = engine.shell('touch "$A/$TOKEN"', secrets=["TOKEN"], places={"A": "artifacts"})
    outcome = named.result(secrets={"TOKEN": "kanarien-vogel"})
    assert outcome["broken"] == {
        "kind": "path",
        "message": "the name of a file contains a secret",
    }
    assert outcome["artifacts"] == []
    named.control("forget")
    wait_until(lambda: engine.spools() == [])


def test_a_permission_without_a_value_is_refused(engine: FakeEngine) -> None:
    copy = engine.submit(["true"], secrets=["TOKEN"])
    assert copy.allow()["error"] == "secrets"
    assert copy.result(secrets={"TOKEN": "12345678"})["exit_code"] == 0


VALUES = st.lists(st.text("abc", min_size=8, max_size=14), min_size=1, max_size=3)


@given(VALUES, st.data())
def test_a_stream_hides_every_value_however_it_is_cut(
    values: list[str], data: st.DataObject
) -> None:
    mask = SecretMask({f"S{n}": value for n, value in enumerate(values)})
    parts = data.draw(st.lists(st.one_of(st.sampled_from(values), st.text("abcx", max_size=9))))
    content = "".join(parts).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=8)))
    stream = mask.stream()
    shown = b"".join(
        stream.feed(content[start:end])
        for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True)
    )
    shown += stream.close()
    assert not any(value.encode() in shown for value in values)
    assert shown == mask.data(content)
    assert mask.text(content.decode()).encode() == shown


@given(st.text(min_size=8).filter(lambda text: len(text.strip()) >= 8))
def test_a_value_is_hidden_in_json(value: str) -> None:
    mask = SecretMask({"S": value})
    for is_ascii in (True, False):
        line = json.dumps({"value": [f"a{value.strip()}b"]}, ensure_ascii=is_ascii)
        shown = mask.data(line.encode("utf-8", "surrogatepass"))
        assert value.strip().encode("utf-8", "surrogatepass") not in shown
        assert b"[secret S]" in shown


def test_short_values_are_not_masked() -> None:
    assert SecretMask({"S": "1234567"}).data(b"1234567") == b"1234567"
    assert SecretMask({}).stream().feed(b"all of it") == b"all of it"
