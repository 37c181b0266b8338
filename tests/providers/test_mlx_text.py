"""Splitting the output of a local model, independent of its tokens."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from orc.providers.mlx_text import Marks, Splitter

THOUGHT = ("<think>", "</think>")
CALL = ("<tool_call>", "</tool_call>")
WORDS = ["<think>", "</think>", "<tool_call>", "</tool_call>", "END", "<", "E", "EN", "thi", "aß\n"]


def split(
    pieces: list[str],
    *,
    stops: tuple[str, ...] = (),
    call: Marks | None = CALL,
    thinking: bool = False,
) -> tuple[str, list[str], bool]:
    splitter = Splitter(stops=stops, thought=THOUGHT, call=call, thinking=thinking)
    given = "".join([splitter.feed(piece) for piece in pieces] + [splitter.finish()])
    assert given == splitter.text
    return given, splitter.calls, splitter.stopped


@given(words=st.lists(st.sampled_from(WORDS), max_size=12), data=st.data())
def test_the_result_does_not_depend_on_the_pieces(words: list[str], data: st.DataObject) -> None:
    text = "".join(words)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    ends = [0, *cuts, len(text)]
    pieces = [text[start:end] for start, end in pairwise(ends)]
    assert split(pieces, stops=("END",)) == split([text], stops=("END",))
    assert split(list(text), stops=("END",)) == split([text], stops=("END",))


def test_plain_text_is_returned_at_once() -> None:
    splitter = Splitter(stops=("END",), thought=THOUGHT, call=CALL)
    assert [splitter.feed(piece) for piece in ("Be", "cause ", "E")] == ["Be", "cause ", ""]
    assert splitter.feed("h") == "Eh"


def test_thoughts_are_not_part_of_the_answer() -> None:
    assert split(["<think>Hm. <tool_call> END</think>So."], stops=("END",)) == ("So.", [], False)


def test_a_thought_that_began_in_the_prompt_ends_at_the_end_mark() -> None:
    assert split(["Hm.", "</think>", "So."], thinking=True) == ("So.", [], False)


def test_a_thought_without_an_end_gives_no_answer() -> None:
    assert split(["<think>Hm."]) == ("", [], False)


def test_calls_are_taken_out_of_the_text() -> None:
    text = 'Look:<tool_call>{"a": 1}</tool_call> and <tool_call>2</tool_call>.'
    assert split([text]) == ("Look: and .", ['{"a": 1}', "2"], False)


def test_without_tools_the_marks_of_a_call_are_text() -> None:
    assert split(["<tool_call>2</tool_call>"], call=None)[0] == "<tool_call>2</tool_call>"


def test_a_call_whose_mark_has_no_end_lasts_to_the_end() -> None:
    assert split(["Look [CALL]", "{}"], call=("[CALL]", "")) == ("Look ", ["{}"], False)


def test_the_first_stop_text_ends_the_answer_and_is_not_in_it() -> None:
    assert split(["one EN", "D two END"], stops=("two", "END")) == ("one ", [], True)


def test_of_two_stop_texts_at_one_index_the_longer_is_used() -> None:
    assert split(["one ENDE"], stops=("END", "ENDE")) == ("one ", [], True)


def test_an_incomplete_stop_text_is_part_of_the_answer() -> None:
    assert split(["one EN"], stops=("END",)) == ("one EN", [], False)
