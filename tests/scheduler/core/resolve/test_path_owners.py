"""A path that two steps or two items write is refused, where a spec shows that both will write it."""

from __future__ import annotations

import pytest

from orc.scheduler.core.errors import SpecError
from orc.scheduler.core.resolve.job import build_job
from tests.builders import settings

W = "value: 1, files: [{path: x.txt}]"
C = "run: make, files: [x.txt]"


def problems(steps: str) -> list[str]:
    text = f"project: demo\nsteps: {{{steps}}}\n"
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
    assert problems(steps) == [message]


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
