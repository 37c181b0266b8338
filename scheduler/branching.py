"""Evaluates conditions, expands fan-outs, loops and groups, gathers their results, scores them.

Evaluation reads values from the ledger. The runner therefore evaluates between two turns, when
all events are committed. The result of an evaluation is a command; equal events lead to equal
commands. The rules for these commands are in `core/rules`.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Final, Literal

from msgspec.structs import replace

from orc.ledger import pack
from orc.ledger.definition import ScoreDef, StepDef
from orc.ledger.digest import clean_text
from orc.ledger.events import Payload
from orc.ledger.gathered import refer_to, size_of
from orc.ledger.kinds import UNTIL_STILL_FALSE
from orc.ledger.step_names import names_of_keys
from orc.ledger.wording import count_text
from orc.scheduler.clock import Clock
from orc.scheduler.core.assessments import RecordScores, Score
from orc.scheduler.core.commands import (
    AskAboutDoubt,
    AskPerson,
    Command,
    ConfigureStep,
    ExpandStep,
    Failed,
    FailStep,
    FinishAttempt,
    SkipStep,
    Succeeded,
)
from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.fold.containers import CHILDREN_MAX, child_ids, round_id
from orc.scheduler.core.fold.doubt import is_held_by_doubt
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.language.templates import parse_condition, parse_template, render_value
from orc.scheduler.core.language.values import to_plain, to_text
from orc.scheduler.core.resolve.item_keys import keys_of
from orc.scheduler.core.resolve.item_lists import list_items
from orc.scheduler.core.resolve.item_paths import find_collision
from orc.scheduler.core.resolve.settings import render_settings
from orc.scheduler.core.rules.doubt import doubt_failure
from orc.scheduler.core.score_values import ERROR_CHARS_MAX, explanation, number_or_boolean
from orc.scheduler.guard import failure_between_turns
from orc.scheduler.rendering import Renderer
from orc.scheduler.result_key import ResultReuse
from orc.scheduler.scopes import Variables
from orc.scheduler.turn import Message

MESSAGE_CHARS_MAX = 10_000
COPIED_BYTES_MAX = 16 * 1024 * 1024
"""Results that are larger together are not copied into that of their step, which refers to them."""
_NAMED_MAX = 3
_SHOWN_CHARS = 80


class _Verdict(Enum):
    MAY_START = "may start"


MAY_START: Final = _Verdict.MAY_START
"""The step may start as soon as the limits allow it."""


class BranchEvaluator:
    """Evaluates the steps of one job that are due for evaluation."""

    def __init__(
        self, state: JobState, renderer: Renderer, clock: Clock, results: ResultReuse
    ) -> None:
        self._state = state
        self._results = results
        self._renderer = renderer
        self._scopes = renderer.scopes()
        self._clock = clock

    def evaluate(self, step_id: str) -> Message | Literal[_Verdict.MAY_START] | None:
        """The command for a due step, MAY_START, or None when the step needs nothing now.

        An exception fails the step, unless it concerns the whole job (`guard.py`): raises
        LedgerError, and what tells that the machine lacks something.
        """
        if step_id in self._state.unscored:
            # Outside of the guard: the step has its result.
            return self._score(step_id)
        try:
            return self._evaluate(step_id)
        except Exception as error:
            is_begun = self._state.steps[step_id].status == "running"
            doing = "gather its results" if is_begun else "evaluate the step"
            failed = failure_between_turns(error, doing, self._renderer.mask)
            if is_begun:
                return self._finish(step_id, failed)
            # What is wrong with a fan-out itself is no failure of an item, which it may tolerate.
            has_items = self._state.graph.steps[step_id].for_each is not None
            return Message(FailStep(step_id, replace(failed, tolerable=not has_items)))

    def _evaluate(self, step_id: str) -> Message | Literal[_Verdict.MAY_START] | None:
        step = self._state.steps[step_id]
        if step.status == "running" and step.inside is not None:
            return None if step.inside.open else self._gather(step_id)
        if step.status != "pending":
            return None
        if step.is_shut:
            return Message(SkipStep(step_id))
        if step.needs_left:
            return None
        if is_held_by_doubt(self._state, step_id):
            if self._state.graph.steps[step_id].on_unknown == "ask":
                return Message(AskAboutDoubt(step_id))
            return Message(FailStep(step_id, doubt_failure(self._state, step_id)))
        if not self._holds(step_id):
            return Message(SkipStep(step_id))
        kept = self._results.of_item(step_id)
        return Message(kept) if kept is not None else self._begin(step_id)

    def _holds(self, step_id: str) -> bool:
        condition = self._state.graph.steps[step_id].condition
        if condition is None:
            return True
        expression = parse_condition(condition)
        return expression.holds(self._scopes.condition(step_id))

    def _begin(self, step_id: str) -> Message | Literal[_Verdict.MAY_START]:
        settings = self._new_settings(step_id)
        if settings is not None:
            return Message(ConfigureStep(step_id, settings))
        definition = self._state.graph.steps[step_id]
        if definition.for_each is not None:
            return self._expand_items(step_id, definition)
        if definition.is_loop:
            return Message(ExpandStep(step_id, (round_id(step_id, 1),)))
        if definition.has_members:
            return self._expand_group(step_id, definition)
        if definition.approval is not None:
            text = parse_template(definition.approval.message).render(self._scopes.inside(step_id))
            message = _shorten(clean_text(to_text(text)))
            return Message(AskPerson(step_id, message, self._clock.now()))
        kept = self._results.of_same_work(step_id)
        return MAY_START if kept is None else Message(kept)

    def _new_settings(self, step_id: str) -> dict[str, Any] | None:
        """The step's settings, if they have templates and the step does not have their values yet.

        They hold for its attempts until it is evaluated again, after other steps have run again.
        """
        written = self._state.graph.written(step_id)
        if not written.own_templates:
            return None
        rules = self._renderer.target_rules
        settings = render_settings(written, self._scopes.inside(step_id), rules)
        settings = self._renderer.mask.value(settings)
        return None if settings == self._state.graph.settings_of(step_id) else settings

    def _expand_items(self, step_id: str, definition: StepDef) -> Message:
        assert definition.for_each is not None
        items = list_items(definition.for_each, self._scopes.inside(step_id))
        keys = self._keys(step_id, definition, items)
        names = names_of_keys(keys) if definition.for_each.key is not None else keys
        count = len(items)
        scopes = (self._scopes.item(step_id, item, at, count) for at, item in enumerate(items))
        collision = find_collision(definition, scopes)
        if collision is not None:
            return Message(
                FailStep(step_id, Failed("path", collision, 0.0, final=True, tolerable=False))
            )
        values, blobs = _pack_all(
            [items[start : start + CHILDREN_MAX] for start in range(0, len(items), CHILDREN_MAX)]
        )
        children = child_ids(step_id, definition, names)
        given = () if names == keys else keys
        return Message(ExpandStep(step_id, children, values, given), blobs)

    def _keys(self, step_id: str, definition: StepDef, items: list[Any]) -> tuple[str, ...]:
        assert definition.for_each is not None
        if definition.for_each.key is None:
            return tuple(map(str, range(len(items))))
        count = len(items)
        return keys_of(
            definition.for_each,
            (self._scopes.item(step_id, item, at, count) for at, item in enumerate(items)),
        )

    def _expand_group(self, step_id: str, definition: StepDef) -> Message:
        values: tuple[Payload, ...] = ()
        blobs: tuple[bytes, ...] = ()
        if definition.inputs is not None:
            inputs = render_value(definition.inputs, self._scopes.inside(step_id))
            values, blobs = _pack_all([to_plain(inputs)])
        return Message(ExpandStep(step_id, child_ids(step_id, definition), values), blobs)

    def _gather(self, step_id: str) -> Message:
        """All children have ended: finish the container step, or begin the next round."""
        definition = self._state.graph.steps[step_id]
        failed = self._failure_inside(step_id, definition)
        if failed is not None:
            return self._finish(step_id, failed)
        if definition.is_loop:
            return self._end_round(step_id, definition)
        return self._finish_with_results(step_id, definition)

    def _failure_inside(self, step_id: str, definition: StepDef) -> Failed | None:
        inside = self._state.steps[step_id].inside
        assert inside is not None
        children = inside.children[-1:] if definition.is_loop else inside.children
        bad = [
            name
            for name in children
            if self._state.steps[name].status == "failed" and not self._state.steps[name].tolerated
        ]
        if not bad:
            return None
        first = self._state.steps[bad[0]].failure
        assert first is not None
        named = ", ".join(bad[:_NAMED_MAX]) + (", ..." if len(bad) > _NAMED_MAX else "")
        which = f"{len(bad)} of {len(children)} failed: {named}" if len(children) > 1 else bad[0]
        message = f"{which}: {first.message}"
        return Failed(first.kind, message, self._elapsed(step_id), final=True)

    def _finish_with_results(self, step_id: str, definition: StepDef) -> Message:
        inside = self._state.steps[step_id].inside
        assert inside is not None
        payloads = [self._state.steps[name].output for name in inside.children]
        names = None
        if definition.for_each is None:
            names = [step.id for step in definition.steps]
        if sum(map(size_of, payloads)) > COPIED_BYTES_MAX:
            # Not read: together, they may be larger than the memory.
            output = refer_to(payloads, names)
            return Message(self._end(step_id, Succeeded(output, self._elapsed(step_id))))
        outputs = [self._renderer.payload(payload) for payload in payloads]
        value = outputs if names is None else dict(zip(names, outputs, strict=True))
        return self._finish_with(step_id, value)

    def _end_round(self, step_id: str, definition: StepDef) -> Message:
        inside = self._state.steps[step_id].inside
        assert inside is not None
        assert definition.loop is not None
        last = inside.children[-1]
        number = len(inside.children)
        until = definition.loop.until
        is_over = until is not None and parse_condition(until).holds(
            self._scopes.after_round(step_id, last)
        )
        if not is_over and number < definition.loop.max_iterations:
            return Message(ExpandStep(step_id, (round_id(step_id, number + 1),)))
        warning = None
        if until is not None and not is_over:
            rounds = count_text(number, "round")
            warning = f"{UNTIL_STILL_FALSE}{rounds}: {until}"
            if definition.loop.on_exhausted == "fail":
                failed = Failed("rejected", warning, self._elapsed(step_id), final=True)
                return self._finish(step_id, failed)
        output = self._state.steps[last].output
        if output is not None and output.parts is not None:
            succeeded = Succeeded(output, self._elapsed(step_id), warning=warning)
            return Message(self._end(step_id, succeeded))
        return self._finish_with(step_id, self._renderer.payload(output), warning=warning)

    def _finish_with(self, step_id: str, value: Any, *, warning: str | None = None) -> Message:
        (output,), blobs = _pack_all([value])
        succeeded = Succeeded(output, self._elapsed(step_id), warning=warning)
        return Message(self._end(step_id, succeeded), blobs)

    def _finish(self, step_id: str, failed: Failed) -> Message:
        return Message(self._end(step_id, failed))

    def _end(self, step_id: str, outcome: Succeeded | Failed) -> Command:
        attempt = self._state.steps[step_id].attempts
        return FinishAttempt(step_id, attempt, outcome, self._clock.now())

    def _score(self, step_id: str) -> Message:
        """The command that records the scores of the step's result, with the blobs of explanations.

        A broken expression fails its score, which is recorded with the error, and not the step.
        """
        scores: list[Score] = []
        blobs: list[bytes] = []
        scope: Variables | None = None
        for name, definition in self._state.graph.steps[step_id].score.items():
            about = step_id
            try:
                if scope is None:
                    # Its output may have been removed, or be too large.
                    scope = self._scopes.score(step_id)
                about = self._about(definition, scope) or step_id
                value = number_or_boolean(parse_template(definition.value).render(scope))
                why, blob = self._explanation(definition, scope)
                scores.append(Score(name, about, value, why=why))
                blobs += [] if blob is None else [blob]
            except Exception as error:
                failed = failure_between_turns(error, "evaluate the score", self._renderer.mask)
                message = self._renderer.mask.text(clean_text(failed.message))[:ERROR_CHARS_MAX]
                scores.append(Score(name, about, None, error=message))
        return Message(RecordScores(step_id, tuple(scores)), tuple(blobs))

    def _about(self, definition: ScoreDef, scope: Variables) -> str | None:
        """The id of the step that the score is about, if it is another one."""
        if definition.of is None:
            return None
        found = to_text(parse_template(definition.of).render(scope))
        if found not in self._state.steps:
            raise TemplateError(
                f"of: there is no step {found[:_SHOWN_CHARS]!r}; give the id of a step of this job, "
                "such as answer, answer[0] or group/member"
            )
        return found

    def _explanation(
        self, definition: ScoreDef, scope: Variables
    ) -> tuple[Payload | None, bytes | None]:
        if definition.why is None:
            return None, None
        # Masked before it is cut: the beginning of a secret would not be found.
        return explanation(
            self._renderer.mask.text(
                clean_text(to_text(parse_template(definition.why).render(scope)))
            )
        )

    def _elapsed(self, step_id: str) -> float:
        began_at = self._state.steps[step_id].began_at
        return round(max(0.0, self._clock.now() - began_at), 6) if began_at else 0.0


def _shorten(message: str) -> str:
    """The message of a question, which says so if it had to be cut."""
    if len(message) <= MESSAGE_CHARS_MAX:
        return message
    said = f"\n... (cut: the message has {count_text(len(message), 'character')})"
    return message[: MESSAGE_CHARS_MAX - len(said)] + said


def _pack_all(values: list[Any]) -> tuple[tuple[Payload, ...], tuple[bytes, ...]]:
    """The payloads and blobs of the values. Raises TemplateError if one cannot be stored."""
    try:
        packed = [pack(value) for value in values]
    except ValueError as error:
        raise TemplateError(f"the value cannot be stored: {error}") from None
    blobs = tuple(blob for _, blob in packed if blob is not None)
    return tuple(payload for payload, _ in packed), blobs
