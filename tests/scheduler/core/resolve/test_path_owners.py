"""A path that two steps or two items write is refused, where a spec shows that both will write it."""

from __future__ import annotations

import pytest

from orc.scheduler.core.errors import SpecError
from orc.scheduler.core.resolve.job import build_job
from orc.scheduler.core.resolve.path_owners import find_shared_patterns
from tests.builders import settings

W = "value: 1, files: [{path: x.txt}]"
C = "run: make, files: [x.txt]"


def problems(steps: str) -> list[str]:
    text = f"project: demo\ninputs: {{x: {{type: string, default: a}}}}\nsteps: {{{steps}}}\n"
    try:
        build_job(text, source_name="s.yaml", settings=settings())
    except SpecError as error:
        return [problem.message for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (f"a: {{{W}}}, b: {{{W}}}", "steps.b.files[0]: 'x.txt' is already written by step 'a'"),
        (f"a: {{{W}}}, b: {{{C}}}", "steps.b.files[0]: 'x.txt' is already written by step 'a'"),
        (f"a: {{{C}}}, b: {{{C}}}", "steps.b.files[0]: 'x.txt' is already written by step 'a'"),
        (
            f"a: {{{C}}}, b: {{needs: a, {W}}}",
            "steps.b.files[0]: 'x.txt' is already written by step 'a'",
        ),
        (
            f"g: {{steps: {{a: {{{W}}}}}}}, h: {{steps: {{b: {{{W}}}}}}}",
            "steps.h.steps.b.files[0]: 'x.txt' is already written by step 'g/a'",
        ),
        (
            f"g: {{loop: {{max_iterations: 2}}, steps: {{a: {{{W}}}, b: {{{W}}}}}}}",
            "steps.g.steps.b.files[0]: 'x.txt' is already written by step 'g/a'",
        ),
        (
            f"a: {{{W}}}, b: {{value: 1, files: [{{path: X.txt}}]}}",
            "steps.b.files[0]: 'X.txt' conflicts with 'x.txt', which step 'a' writes",
        ),
        (
            f"g: {{for_each: [1, 2], steps: {{a: {{for_each: [1], as: i, {C}}}}}}}",
            "steps.g.steps.a.files[0]: 'x.txt' is written by each item of 'g'; make the path "
            "depend on the item, by a template or a pattern",
        ),
        (
            f"n: {{value: [1]}}, a: {{for_each: '${{{{ steps.n.output }}}}', {W}}}",
            "steps.a.files[0]: 'x.txt' is written by each item of 'a'; make the path depend on "
            "the item, by a template or a pattern",
        ),
    ],
)
def test_a_path_that_is_written_twice_is_refused(steps: str, message: str) -> None:
    (found,) = problems(steps)
    assert found.removesuffix("; write another path") == message


@pytest.mark.parametrize(
    ("path", "step", "holder"),
    [
        ("job.id", "a: {FILE, for_each: [1, 2]}", "a"),
        ("project ~ inputs.x", "a: {FILE, for_each: [1, 2]}", "a"),
        ("steps.n.output", "a: {FILE, for_each: [1, 2]}", "a"),
        ("task_description", "a: {FILE, matrix: {m: [1, 2]}}", "a"),
        ("inputs.x | upper", "a: {FILE, repeat: 3}", "a"),
        ("loop.index", "a: {FILE, for_each: [1, 2], loop: {max_iterations: 2}}", "a"),
        ("loop.index", "g: {loop: {max_iterations: 2}, steps: {a: {FILE, for_each: [1, 2]}}}", "g/a"),
        ("loop.previous", "g: {loop: {max_iterations: 2}, steps: {a: {FILE, repeat: 2}}}", "g/a"),
        ("steps.n.output", "g: {for_each: [1, 2], steps: {a: {FILE}}}", "g"),
        ("item", "g: {for_each: [1, 2], as: o, steps: {a: {FILE, for_each: [3, 4]}}}", "g"),
        ("matrix.m", "g: {for_each: [1, 2], steps: {a: {FILE, matrix: {m: [3, 4]}}}}", "g"),
        ("i", "g: {repeat: 2, steps: {a: {FILE, as: i, for_each: '${{ steps.n.output }}'}}}", "g"),
        ("o", "g: {for_each: [1, 2], as: o, steps: {a: {FILE, for_each: [3, 4]}}}", "g/a"),
        ("o", "g: {for_each: [1], as: o, steps: {a: {FILE, for_each: [3, 4]}}}", "g/a"),
        ("matrix.m", "g: {matrix: {m: [1, 2]}, steps: {a: {FILE, for_each: [3, 4]}}}", "g/a"),
    ],
)  # fmt: skip
def test_a_path_that_no_item_changes_is_refused_whatever_else_changes_it(
    path: str, step: str, holder: str
) -> None:
    template = f"x-${{{{ {path} }}}}.txt"
    written = step.replace("FILE", f"value: 1, files: [{{path: '{template}'}}]")
    (message,) = problems(f"n: {{value: [1]}}, {written}")
    assert f"{template!r} is written by each item of {holder!r}; make the path depend" in message
    captured = step.replace("FILE", f"run: make, files: ['{template}']")
    is_plain = path in ("job.id", "loop.index")
    assert bool(problems(f"n: {{value: [1]}}, {captured}")) == is_plain


@pytest.mark.parametrize(
    ("path", "step", "items"),
    [
        ("matrix.m", "a: {FILE, matrix: {m: [1, 2], n: [1, 2]}}", "0 and 1"),
        ("matrix.m", "a: {FILE, for_each: [1, 2], matrix: {m: [1, 2]}}", "0 and 2"),
        ("item", "a: {FILE, for_each: [1, 2], matrix: {m: [1, 2]}}", "0 and 1"),
        ("repetition", "a: {FILE, for_each: [1, 2], repeat: 2}", "0 and 2"),
        ("each.first", "a: {FILE, for_each: [1, 2, 3]}", "1 and 2"),
        ("item", "a: {FILE, for_each: [1, 1], loop: {max_iterations: 2}}", "0 and 1"),
        ("item", "g: {for_each: [1, 1], loop: {max_iterations: 2}, steps: {a: {FILE}}}", "0 and 1"),
        ("item", "g: {for_each: [1, 1], steps: {l: {loop: {max_iterations: 2}, steps: {a: {FILE}}}}}",
         "0 and 1"),
    ],
)  # fmt: skip
def test_listed_items_that_write_one_path_are_refused(path: str, step: str, items: str) -> None:
    template = f"x-${{{{ {path} }}}}.txt"
    (message,) = problems(step.replace("FILE", f"value: 1, files: [{{path: '{template}'}}]"))
    assert f"items {items} of its `for_each` would both write 'x-" in message


@pytest.mark.parametrize(
    ("path", "step"),
    [
        ("item", "a: {FILE, for_each: [1, 2]}"),
        ("matrix.m ~ job.id", "a: {FILE, matrix: {m: [1, 2]}}"),
        ("repetition", "a: {FILE, repeat: 2}"),
        ("each.index", "a: {FILE, for_each: [1, 2]}"),
        ("each.key", "g: {repeat: 2, steps: {a: {FILE, for_each: [3, 4], key: '${{ item }}'}}}"),
        ("loop.previous", "a: {FILE, for_each: [1, 2], loop: {max_iterations: 2}}"),
        ("steps.s.output", "g: {for_each: [1, 2], steps: {s: {value: '${{ item }}'}, a: {FILE}}}"),
        ("o ~ item", "g: {for_each: [1, 2], as: o, steps: {a: {FILE, for_each: [3, 4]}}}"),
        ("i", "g: {for_each: [[1], [2]], steps: {a: {FILE, as: i, for_each: '${{ item }}'}}}"),
        ("job.id", "g: {for_each: [1, 2], steps: {a: {FILE, if: steps.n.output == 1}}}"),
        ("job.id", "a: {FILE, for_each: [1, 2], if: item == 1}"),
        ("job.id", "a: {FILE, for_each: [1]}"),
        ("item", "g: {loop: {max_iterations: 2}, steps: {a: {FILE, for_each: [1, 2]}}}"),
        ("matrix.m ~ matrix.n", "a: {FILE, matrix: {m: [1, 2], n: [1, 2]}}"),
        ("item ~ matrix.m", "a: {FILE, for_each: [1, 2], matrix: {m: [1, 2]}}"),
    ],
)  # fmt: skip
def test_a_path_that_the_items_may_change_is_accepted(path: str, step: str) -> None:
    template = f"x-${{{{ {path} }}}}.txt"
    written = step.replace("FILE", f"value: 1, files: [{{path: '{template}'}}]")
    assert problems(f"n: {{value: [1]}}, {written}") == []


@pytest.mark.parametrize(
    "steps",
    [
        # a later step may match the file of an earlier one, and leave it as it is
        f"a: {{{W}}}, b: {{needs: a, {C}}}",
        f"a: {{{C}}}, b: {{value: 1, needs: a}}, c: {{needs: b, {C}}}",
        f"a: {{{W}}}, b: {{needs: a, for_each: [1, 2], {C}}}",
        # a step may both write a file and match it
        "a: {run: make, files: [x.txt, x.txt, {path: x.txt, content: y}]}",
        # only one of them runs
        f"s: {{value: 1}}, a: {{if: steps.s.output == 1, {W}}}, b: {{if: steps.s.output == 2, {W}}}",
        f"a: {{{W}}}, b: {{needs: a, if: failure(), {W}}}",
        f"s: {{value: 1, if: false}}, a: {{needs: s, {W}}}, b: {{{W}}}",
        f"g: {{if: false, steps: {{a: {{{W}}}}}}}, b: {{{W}}}",
        # rounds replace the file of an earlier round
        f"a: {{loop: {{max_iterations: 3}}, {W}}}",
        f"g: {{loop: {{max_iterations: 3}}, steps: {{a: {{{C}}}}}}}",
        # one item
        f"a: {{for_each: [1], {W}}}",
        f"a: {{matrix: {{m: [1], n: [2]}}, {W}}}",
        # a condition chooses the item
        f"s: {{value: 1}}, a: {{for_each: [1, 2], if: item == steps.s.output, {W}}}",
        # nothing can be seen
        "a: {run: x, files: ['*.txt']}, b: {run: x, files: ['*.txt']}",
        "a: {for_each: [1, 2], value: 1, files: [{path: 'x${{ item }}.txt'}]}",
        "a: {for_each: [1, 2], run: x, files: ['x?.txt']}",
    ],
)
def test_a_path_of_which_the_spec_does_not_show_two_writers_is_accepted(steps: str) -> None:
    assert problems(steps) == []


@pytest.mark.parametrize(
    ("steps", "warned"),
    [
        ("a: {for_each: [1, 2], run: x, files: ['*.txt']}", "a"),
        ("a: {for_each: [1, 2], run: x, files: [out/]}", "a"),
        ("a: {repeat: 2, run: x, files: ['out/${{ job.id }}/*.txt']}", "a"),
        ("g: {for_each: [1, 2], steps: {a: {run: x, files: ['out/**']}}}", "g"),
        ("a: {for_each: [1, 2], run: x, files: ['${{ item }}/*.txt']}", ""),
        ("a: {for_each: [1], run: x, files: ['*.txt']}", ""),
        ("a: {loop: {max_iterations: 2}, run: x, files: [out/]}", ""),
        ("a: {run: x, files: ['*.txt', out/]}", ""),
    ],
)
def test_a_pattern_that_is_the_same_for_each_item_is_warned_of(steps: str, warned: str) -> None:
    text = f"project: demo\nsteps: {{{steps}}}\n"
    _, definition = build_job(text, source_name="s.yaml", settings=settings())
    found = list(find_shared_patterns(definition))
    assert len(found) == bool(warned)
    assert all(f"each item of {warned!r}" in message for message in found)


def test_a_broken_template_in_a_path_of_items_is_a_problem_of_the_spec() -> None:
    spec = "project: p\nsteps: {a: {for_each: [1, 2], run: x, files: ['${{ a b }}.txt']}}\n"
    with pytest.raises(SpecError, match="not a valid expression"):
        build_job(spec, source_name="s.yaml", settings=settings())
