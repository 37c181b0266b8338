"""The steps of a crate: each step of the spec (`HowToStep`) and its attempts (`CreateAction`).

Items and rounds are actions of the step that the spec has for them; members of a group are
steps of their own. Containers have no entity.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import quote

from orc.ledger.kinds import CUT_SHORT, DONE, facts_of
from orc.ledger.step_names import log_name
from orc.projections.exports.crate_facts import (
    Entity,
    Facts,
    action_status,
    action_time,
    fragment,
    read_value,
    ref,
    refs,
)
from orc.projections.exports.source import ExportSource, spec_name
from orc.projections.tables.job_view import read_calls, read_files
from orc.projections.tables.rows import AttemptRow, CallRow, StepRow


class Actions:
    """Builds the entities of the steps that ran. `build` sets the ids that other entities refer to.

    `about` has the id of an action by the path of a file that describes it: a log, a call.
    """

    def __init__(self, source: ExportSource, facts: Facts, files: Collection[str]) -> None:
        self._source = source
        self._facts = facts
        self._files = files
        self._entities: list[Entity] = []
        self._results: dict[str, list[str]] = {}
        self._written: dict[str, list[tuple[int | None, str]]] = {}
        self._people: set[str] = set()
        self._machines: set[str] = set()
        self.tools: list[str] = []
        self.how_to_steps: list[str] = []
        self.control_actions: list[str] = []
        self.mentioned: list[str] = []
        self.results: list[str] = []
        self.about: dict[str, str] = {}

    def build(self) -> list[Entity]:
        """All entities of the steps; afterwards the lists of ids are complete."""
        view, connection = self._source.view, self._source.reader.connection
        for file in read_files(connection, self._source.job_id):
            path = f"outputs/{file.path}"
            if path in self._files:
                name = file.step_id.removeprefix(f"{self._source.job_id}/")
                self._written.setdefault(name, []).append((file.attempt, quote(path)))
                self.results.append(quote(path))
        by_spec: dict[str, list[StepRow]] = {}
        for step, _ in view.in_order():
            self._output(step)
            if not facts_of(step.kind).is_container and step.name not in view.children_of:
                by_spec.setdefault(spec_name(view, step), []).append(step)
        for position, (name, steps) in enumerate(by_spec.items()):
            self._step(position, name, steps)
        return self._entities

    def _step(self, position: int, name: str, steps: list[StepRow]) -> None:
        tools: list[str] = []
        done: list[str] = []
        for step in steps:
            for action, instruments in self._actions_of(step, name):
                done.append(action)
                tools += [tool for tool in instruments if tool not in tools]
        if not done:
            return
        how_to, control = fragment("step", name), fragment("control", name)
        self._entities.append(
            {
                "@id": how_to,
                "@type": "HowToStep",
                "name": name,
                "position": str(position),
                "workExample": refs(tools),
            }
        )
        failed = [step for step in steps if step.status == "failed"]
        self._entities.append(
            {
                "@id": control,
                "@type": "ControlAction",
                "name": f"orchestrate {name}",
                "instrument": ref(how_to),
                "object": refs(done),
                **_ending(failed[0] if failed else None, is_over=all(_is_over(s) for s in steps)),
            }
        )
        self.how_to_steps.append(how_to)
        self.control_actions.append(control)

    def _actions_of(self, step: StepRow, name: str) -> list[tuple[str, list[str]]]:
        attempts = self._source.view.attempts_of.get(step.name, [])
        calls = read_calls(self._source.reader.connection, step.step_id) if step.calls else []
        found = []
        for attempt in attempts:
            mine = [call for call in calls if call.attempt_id == attempt.attempt_id]
            tools = self._tools(step, name, mine)
            found.append((self._attempt(step, attempt, tools, attempt is attempts[-1]), tools))
        if not attempts and step.reused is not None:
            tools = self._tools(step, name, [])
            found.append((self._reused(step, tools), tools))
        return found

    def _attempt(self, step: StepRow, attempt: AttemptRow, tools: list[str], is_last: bool) -> str:
        key = fragment("attempt", step.name, attempt.attempt)
        results = [
            path for made, path in self._written.get(step.name, ()) if made == attempt.attempt
        ]
        if is_last:
            results += self._artifacts(step)
            if step.status == "succeeded":
                results += self._results.get(step.name, [])
        log = f"logs/{log_name(step.name, attempt.attempt)}"
        for path in (log, *self._facts.calls.get((step.name, attempt.attempt), ())):
            if path in self._files:
                self.about.setdefault(path, key)
        failed = attempt.status in ("failed", *CUT_SHORT)
        error = attempt.failure or f"the attempt was {attempt.status}"
        self._add(
            {
                "@id": key,
                "@type": "CreateAction",
                "name": f"{step.name}, attempt {attempt.attempt}",
                "description": f"{step.kind}: {attempt.status}",
                "startTime": action_time(attempt.started_at),
                "endTime": action_time(attempt.finished_at),
                "actionStatus": action_status("Failed" if failed else _activity(attempt)),
                "error": f"{attempt.failure_kind or attempt.status}: {error}" if failed else None,
                "agent": self._person(step.decided_by) if is_last else None,
                "location": self._machine(attempt),
            },
            step, tools, results,
        )  # fmt: skip
        return key

    def _reused(self, step: StepRow, tools: list[str]) -> str:
        key = fragment("reused", step.name)
        results = [path for _, path in self._written.get(step.name, ())]
        results += self._artifacts(step) + self._results.get(step.name, [])
        self._add(
            {
                "@id": key,
                "@type": "CreateAction",
                "name": f"{step.name}, with a reused result",
                "description": f"Reused ({step.reused}) from {step.reused_from}; the step did not run.",
                "startTime": action_time(step.finished_at),
                "endTime": action_time(step.finished_at),
                "actionStatus": action_status("Completed"),
            },
            step, tools, results,
        )  # fmt: skip
        return key

    def _add(self, action: Entity, step: StepRow, tools: list[str], results: list[str]) -> None:
        used: list[str] = []
        for name in step.needed:
            used += self._results.get(name, [])
            used += [path for _, path in self._written.get(name, ())]
        more = {"instrument": refs(tools), "object": refs(used), "result": refs(results)}
        self._entities.append(action | more)
        self.mentioned.append(str(action["@id"]))

    def _artifacts(self, step: StepRow) -> list[str]:
        paths = self._facts.artifacts.get(step.name, [])
        return [quote(path) for path in paths if path in self._files]

    def _output(self, step: StepRow) -> None:
        """The step's output as an entity: the result of its action and an object of others."""
        payload = self._facts.outputs.get(step.name)
        is_null = payload is not None and payload.value is None and payload.sha256 is None
        if payload is None or is_null or step.status != "succeeded":
            return
        key = fragment("output", step.name)
        self._results[step.name] = [key]
        self._entities.append(
            {
                "@id": key,
                "@type": "PropertyValue",
                "name": f"output of {step.name}",
                "value": read_value(self._source.reader, payload),
                "sha256": payload.sha256,
            }
        )

    def _tools(self, step: StepRow, name: str, calls: list[CallRow]) -> list[str]:
        facts = facts_of(step.kind)
        if not facts.calls_model:
            key = fragment("tool", step.kind, name)
            described = facts.described or "The ledger no longer has the definition of this step."
            self._tool(key, f"{step.kind} of {name}", described)
            return [key]
        asked: list[tuple[str | None, str | None]] = [
            (call.provider, call.model) for call in calls if call.model is not None
        ]
        found = []
        for provider, model in dict.fromkeys(asked or [(step.provider, step.model)]):
            key = fragment("model", provider or "unknown", model or "unknown")
            self._tool(key, model or "unknown", f"A language model, asked through {provider}.")
            found.append(key)
        return found

    def _tool(self, key: str, name: str, description: str) -> None:
        if key in self.tools:
            return
        self.tools.append(key)
        self._entities.append(
            {
                "@id": key,
                "@type": "SoftwareApplication",
                "name": name,
                "description": description,
            }
        )

    def _person(self, name: str | None) -> Entity | None:
        if name is None:
            return None
        key = fragment("person", name)
        if key not in self._people:
            self._people.add(key)
            self._entities.append({"@id": key, "@type": "Person", "name": name})
        return ref(key)

    def _machine(self, attempt: AttemptRow) -> Entity | None:
        """The worker of an executor that took the attempt."""
        if attempt.executor is None or attempt.host is None:
            return None
        worker = attempt.worker or ""
        key = fragment("worker", attempt.executor, attempt.host, worker)
        if key not in self._machines:
            self._machines.add(key)
            described = f"Worker {worker} of the executor {attempt.executor}."
            self._entities.append(
                {"@id": key, "@type": "Place", "name": attempt.host, "description": described}
            )
        return ref(key)


def _ending(failed: StepRow | None, *, is_over: bool) -> Entity:
    if failed is not None:
        error = f"{failed.name}: {failed.failure_kind}: {failed.failure}"
        return {"actionStatus": action_status("Failed"), "error": error}
    return {"actionStatus": action_status("Completed" if is_over else "Active")}


def _is_over(step: StepRow) -> bool:
    return step.status in DONE


def _activity(attempt: AttemptRow) -> str:
    return "Active" if attempt.finished_at is None else "Completed"
