"""The referee: it checks the committed events of a run against the rules, and raises Objection.

It shares no code with the scheduler, and examines all steps for each check. Times are in seconds
since the start of the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.model import NEVER, SWITCHED_ON, Plan
from tests.scheduler.scripted import USAGE
from tests.scheduler.watches import (
    OF_PEOPLE,
    CircuitWatch,
    Course,
    Objection,
    RateWatch,
    RoomWatch,
    Ruling,
    demand,
)

_OPEN = ("pending", "running", "waiting")
_JOB_ENDS = ("job.succeeded", "job.failed", "job.cancelled", "job.interrupted")


class Referee:
    """Checks the committed events of one job, including crashes and resumes.

    `epoch_s` is the start of recorded times. Call `observe` with each batch, and `crash` when the
    owner dies. While `is_stopping`, ready steps need not start.
    """

    def __init__(self, plan: Plan, *, epoch_s: float) -> None:
        self.plan = plan
        self.job = "submitted"
        self.courses = {task.id: Course(task) for task in plan.tasks}
        self.versions = 0
        self.told: dict[str, int] = {}
        self.is_stopping = False
        self._circuits = CircuitWatch(plan.threshold, plan.cooldown_s)
        self._room = RoomWatch(plan.limits, plan.total)
        used = USAGE.input_tokens + USAGE.output_tokens
        self._rates = RateWatch(plan.rates, plan.token_rates, used)
        self._ruling: Ruling | None = None
        self._following: tuple[str, str] | None = None
        self._epoch_s = epoch_s
        self._observed_at = 0.0
        self._alive = False

    @property
    def attempts(self) -> dict[str, int]:
        """The number of started attempts of each step."""
        return {name: course.attempts for name, course in self.courses.items()}

    @property
    def starts(self) -> dict[str, list[float]]:
        """The start time of each attempt."""
        return {name: course.starts for name, course in self.courses.items()}

    @property
    def running(self) -> set[str]:
        """The steps with a running attempt."""
        return {name for name, course in self.courses.items() if course.status == "running"}

    def observe(self, now: float, events: Sequence[Any]) -> None:
        """Check one commit at that time. Raises Objection."""
        if self._alive and now > self._observed_at:
            self._object_to_waiting(now, strictly_before=True)
        self._observed_at = now
        for event in events:
            self._observe_one(now, event)
        demand(self._ruling is None, f"{self._ruling} is missing from its turn")
        demand(self._following is None, f"{self._following} is missing from its turn")
        if self._alive:
            self._object_to_waiting(now, strictly_before=False)

    def recall(self, events: Sequence[Any]) -> None:
        """Take in the events of an unobserved run, which may have been cut anywhere."""
        for event in events:
            self._observe_one(NEVER, event)
        self.crash()

    def crash(self) -> None:
        """Note that the owner died."""
        self._alive = False
        self._ruling = self._following = None

    def finished(self, *, timed_out: bool = False) -> None:
        """Check the end of the run. Raises Objection if work is left."""
        statuses = {name: course.status for name, course in self.courses.items()}
        left = [name for name, status in statuses.items() if status in _OPEN]
        demand(self.job in ("succeeded", "failed"), f"the job is {self.job}")
        demand(not left, f"{left} never ended")
        lost = timed_out or any(
            course.status == "failed" and not course.is_tolerated
            for course in self.courses.values()
        )
        demand(self.job == ("failed" if lost else "succeeded"), f"{self.job} with {statuses}")

    def _observe_one(self, now: float, event: Any) -> None:
        self.versions += 1
        if event.type in OF_PEOPLE:
            return
        self.told[event.type] = self.told.get(event.type, 0) + 1
        is_due = self._check_order(now, event)
        if event.type == "job.submitted":
            demand(self.versions == 1, "submitted twice")
        elif event.type in ("job.started", "job.resumed"):
            self._opened(now, event.type)
        elif event.type in _JOB_ENDS:
            # Another process may cancel a job that is not running.
            is_open = event.type == "job.cancelled" and self.job not in ("succeeded", "failed")
            demand(self._alive or is_open, f"{event.type} of a job that is not running")
            demand(not self.running, f"{event.type} while {self.running} ran")
            self.job = event.type.removeprefix("job.")
            self._alive = False
            if self.job == "cancelled":
                for course in self.courses.values():
                    course.status = "cancelled" if course.status in _OPEN else course.status
        elif event.type.startswith("hook."):
            demand(not self._alive or event.outcome == "unknown", f"{event.type} while it runs")
        elif event.type == "circuit.opened":
            self._circuits.opened(event.target, event.retry_at - self._epoch_s, event.kind)
        elif event.type == "circuit.closed":
            self._circuits.closed(event.target)
        else:
            is_cut = event.type == "step.interrupted" and event.reason == "crash"
            demand(self._alive or is_cut, f"{event.type} of a job that is not running")
            self._observe_step(now, event, self.courses[event.step], is_due=is_due)

    def _check_order(self, now: float, event: Any) -> bool:
        """Check an event that the event before it requires; return whether it was one."""
        ruling, self._ruling = self._ruling, None
        following, self._following = self._following, None
        if ruling is not None:
            ruling.check(event, epoch_s=self._epoch_s, timed=now < NEVER)
        else:
            demand(not event.type.startswith("circuit."), f"nothing called for {event}")
        if following is not None:
            told = (event.type, getattr(event, "step", ""))
            demand(told == following, f"{told} where {following} was due")
        return following is not None

    def _opened(self, now: float, event_type: str) -> None:
        demand(not self._alive, f"{event_type} of a job that runs")
        demand((event_type == "job.started") == (self.job == "submitted"), event_type)
        self.job, self._alive = "running", True
        self._circuits.forget()
        self._room.forget()
        self._rates.forget()
        for course in self.courses.values():
            if course.is_good:
                continue
            # A recorded retry time is limited to its delay from now, because clocks jump.
            course.due = min(course.due, now + course.delay_s)
            if course.status in ("skipped", "cancelled", "failed"):
                course.status = "pending"
                course.failures = 0
            if not course.kept and course.place:
                # A step without replies begins again with its first target.
                course.place = course.failures = 0
            course.cut_by_job = False

    def _observe_step(self, now: float, event: Any, course: Course, *, is_due: bool) -> None:
        name = event.step
        match event.type:
            case "step.started":
                self._started(now, event.attempt, course)
            case "step.succeeded" | "step.failed" | "step.interrupted":
                self._ended(now, event, course)
            case "step.skipped":
                self._skipped(event.reason, course)
            case "step.switched":
                self._switched(now, event, course, is_used_up=is_due)
            case _:
                demand(name in self.running, f"{event.type} of {name}, which does not run")
                self._call(now, event, course)

    def _call(self, now: float, event: Any, course: Course) -> None:
        lane, target = course.choice.lane, course.choice.target
        match event.type:
            case "llm.requested":
                asked = f"{event.provider}/{event.model}"
                demand(asked == target, f"{event.step} asked {asked}, and was to ask {target}")
                self._room.sent(event.step, self.versions)
                self._rates.sent(event.step, lane, now)
            case "llm.responded":
                course.replies += 1
                course.kept += 1
                self._room.answered(lane)
                self._ruling = self._circuits.call_ended(event.step, target, event, now)
            case "llm.failed":
                if event.kind == "rate_limit":
                    in_flight = self._running_at(lane)
                    self._room.refused(event.step, lane, in_flight=in_flight, version=self.versions)
                self._ruling = self._circuits.call_ended(event.step, target, event, now)

    def _started(self, now: float, attempt: int, course: Course) -> None:
        name, status = course.task.id, course.status
        demand(status in ("pending", "waiting"), f"{name} began as {status}")
        for need in course.task.needs:
            demand(self.courses[need].is_good, f"{name} began before {need} had ended well")
        demand(status == "pending" or course.due <= now, f"{name} was tried again too early")
        demand(attempt == course.attempts + 1, f"{name}: {attempt} after {course.attempts}")
        beside = sorted(self.running)
        demand(len(beside) < self.plan.total, f"{name} began beside {beside}")
        related = {other for other in beside if name in self.plan.ancestors(other)}
        demand(not related, f"{name} began while {related} ran, which need it")
        if course.task.lane:
            lane = course.choice.lane
            demand(self._running_at(lane) < self._room.of(lane), f"{name} began beside {beside}")
            self._circuits.began(name, course.choice.target, now)
            self._rates.began(name, lane, now)
        course.attempts = attempt
        course.starts.append(now)
        course.status = "running"

    def _ended(self, now: float, event: Any, course: Course) -> None:
        name = course.task.id
        expired = event.type == "step.failed" and course.status in ("waiting", "pending")
        demand(course.status == "running" or expired, f"{event.type} of {name}, not running")
        demand(event.attempt == course.attempts, f"{event.type} of {name}: {event.attempt}")
        self._circuits.left(name)
        self._rates.left(name)
        if event.type == "step.interrupted":
            course.status = "pending"
        elif event.type == "step.succeeded":
            demand(not course.has_succeeded, f"{name} succeeded twice")
            course.has_succeeded = True
            course.status = "succeeded"
        else:
            self._failed(now, event, course)

    def _failed(self, now: float, event: Any, course: Course) -> None:
        name, task = course.task.id, course.task
        course.failures += 1
        if event.on_content:
            course.kept = 0
        is_retried = event.kind in task.retry_on and course.failures < task.attempts_max
        is_switched = course.place + 1 < len(task.choices) and event.kind in SWITCHED_ON
        if event.retry_at is None:
            course.status = "failed"
            course.cut_by_job = event.message.startswith("the job's timeout")
            of_time = course.cut_by_job or task.total_timeout_s < NEVER
            demand(of_time or not (is_retried or is_switched), f"{name} failed too early")
            demand(bool(event.tolerated) == course.is_tolerated, f"{name} tolerated?")
            return
        demand(is_retried or is_switched, f"{name} failed for good, and is tried again")
        course.status = "waiting"
        course.due = event.retry_at - self._epoch_s
        course.delay_s = event.delay_s
        if not is_retried:
            demand(now == NEVER or course.due == now, f"{name} waits to be switched")
            self._following = ("step.switched", name)

    def _switched(self, now: float, event: Any, course: Course, *, is_used_up: bool) -> None:
        name, choices = course.task.id, course.task.choices
        demand(course.status in ("pending", "waiting"), f"{name} switched as {course.status}")
        demand(event.from_target == course.choice.target, f"{name} left {event.from_target}")
        demand(course.place < event.fallback < len(choices), f"{name} moved to {event.fallback}")
        demand(event.to_target == choices[event.fallback].target, f"{name}: {event.to_target}")
        passed = choices[course.place : event.fallback]
        course.place = event.fallback
        course.failures = course.kept = 0
        if is_used_up:
            demand(len(passed) == 1, f"{name} passed over {passed[1:]}")
            return
        self._following = ("step.started", name)
        if now < NEVER:
            shut = [not self._circuits.may_ask(choice.target, now) for choice in passed]
            demand(all(shut), f"{name} left {event.from_target}, which may be asked")

    def _skipped(self, reason: str, course: Course) -> None:
        name, status = course.task.id, course.status
        if reason == "job_timeout":
            demand(status in ("pending", "waiting"), f"{name} skipped while it ran")
        else:
            demand(status == "pending", f"{name} skipped as {status}")
            demand(
                self._is_shut(course),
                f"{name} skipped before its needs had ended, one of them badly",
            )
        course.status = "skipped"

    def _object_to_waiting(self, now: float, *, strictly_before: bool) -> None:
        """Object if a step that may run waits although there is room for it.

        A step that only computes a value may wait for the next commit, at the same moment.
        """
        if self.is_stopping or any(course.cut_by_job for course in self.courses.values()):
            return
        for name, course in self.courses.items():
            if course.status == "waiting":
                is_ready = course.due < now if strictly_before else course.due <= now
            else:
                needs_are_met = all(self.courses[need].is_good for need in course.task.needs)
                may_wait = not course.task.lane and not strictly_before
                is_ready = course.status == "pending" and needs_are_met and not may_wait
            if is_ready and self._has_room(course, now, strictly_before=strictly_before):
                raise Objection(f"{name} could run at {now} beside {sorted(self.running)}")
            if course.status == "pending" and self._is_shut(course):
                raise Objection(f"{name} was not skipped at {now}")

    def _is_shut(self, course: Course) -> bool:
        """Whether all needs have ended, and one of them badly."""
        needs = [self.courses[need] for need in course.task.needs]
        return any(need.is_bad for need in needs) and all(
            need.is_bad or need.is_good for need in needs
        )

    def _has_room(self, course: Course, now: float, *, strictly_before: bool) -> bool:
        if len(self.running) >= self.plan.total:
            return False
        if not course.task.lane:
            return True
        for choice in course.task.choices[course.place :]:
            if self._circuits.may_ask(choice.target, now, strictly_before=strictly_before):
                has_room = self._running_at(choice.lane) < self._room.of(choice.lane)
                return has_room and self._rates.may_start(choice.lane, now, strictly_before=True)
        return False

    def _running_at(self, lane: str) -> int:
        return sum(self.courses[name].choice.lane == lane for name in self.running)
