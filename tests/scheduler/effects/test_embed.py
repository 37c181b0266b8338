"""Steps that compute vectors: their calls, what survives a crash, their checks and their files."""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trio
from msgspec.structs import replace

import orc
from orc.ledger import Recorded
from orc.ledger.codec import dump_event
from orc.ledger.definition import BudgetDef, EmbedDef, FileDef, JobDef, RetryDef
from orc.ledger.digest import canonical_json
from orc.ledger.events import CacheHit, FileWritten, LlmFailed, LlmRequested, LlmResponded
from orc.providers import OnDelta, PermanentError, Reply, Request, TransientError, Usage, Vectors
from orc.providers.embeddings.vectors import describe_vectors, texts_of
from orc.scheduler.core.vector_files import TEXT_BYTES_MAX, split_texts
from orc.scheduler.effects import embed as embed_effect
from orc.scheduler.effects.embed import encode_vectors
from tests.builders import job, step
from tests.model import Plan
from tests.model_server import ModelServer, Says
from tests.scheduler.harness import Crash, Stand, empty_stand

TEXTS = ("a", "bb", "ccc", "dddd", "eeeee")
Answer = Callable[[list[str]], Vectors | Exception]


def lengths(texts: list[str]) -> Vectors:
    """A vector for each text: its length, and the number of the letter that it begins with."""
    numbers = [number for text in texts for number in (len(text), ord(text[0]))]
    return Vectors(struct.pack(f"<{len(numbers)}f", *numbers), 2)


class Vectorizer:
    """A provider that computes vectors, and remembers what it was asked."""

    name = "fake"
    params = frozenset({"temperature"})
    endpoint = ""

    def __init__(self, answer: Answer = lengths) -> None:
        self.asked: list[list[str]] = []
        self._answer = answer

    def recall(self, stream: Sequence[Recorded]) -> None: ...

    async def embed(self, request: Request) -> Reply:
        assert request.operation == "embeddings"
        texts = texts_of(request)
        self.asked.append(texts)
        await trio.sleep(1.0)
        found = self._answer(texts)
        if isinstance(found, Exception):
            raise found
        usage = Usage(len(texts), 0)
        return Reply(describe_vectors(found), "model-1", "stop", usage, vectors=found)

    async def send(self, request: Request, *, on_delta: OnDelta) -> Reply:
        raise AssertionError("vectors are no answer")

    async def models(self) -> tuple[str, ...]:
        return ()

    async def identify(self, model: str) -> str | None:
        return None

    async def aclose(self) -> None: ...


def embedding(*, per_request: int = 2, texts: Any = TEXTS, **fields: Any) -> JobDef:
    given = {
        "kind": "embed",
        "provider": "fake",
        "model": "m",
        "embed": EmbedDef(texts=texts, per_request=per_request),
        "files": (FileDef(path="v.npy"), FileDef(path="v.json"), FileDef(path="n", content="!")),
        "retry": RetryDef(max_attempts=3, jitter=0.0),
        "retry_on": ("timeout", "server_error", "protocol"),
    }
    return job(step("a", **{**given, **fields}))


@contextmanager
def standing(definition: JobDef, model: Vectorizer) -> Iterator[Stand]:
    with empty_stand(Plan(()), definition, {"fake": model}) as stand:
        stand.submit()
        yield stand


def files_of(stand: Stand) -> dict[str, bytes]:
    with stand.open() as ledger:
        return {
            recorded.event.path: ledger.read_blob(recorded.event.sha256)
            for recorded in ledger.read_stream(stand.job_id)
            if isinstance(recorded.event, FileWritten)
        }


def events_of(stand: Stand, kind: type) -> list[Any]:
    return [recorded.event for recorded in stand.stream() if isinstance(recorded.event, kind)]


def test_vectors_of_all_texts_are_written_in_order_by_requests_of_a_bounded_size() -> None:
    model = Vectorizer()
    with standing(embedding(), model) as stand:
        assert stand.run().status == "succeeded"
        assert model.asked == [["a", "bb"], ["ccc", "dddd"], ["eeeee"]]
        assert stand.output("a") == {"model": "m", "count": 5, "dimensions": 2}
        files = files_of(stand)
        asked = events_of(stand, LlmRequested)
        answered = events_of(stand, LlmResponded)
    expected = [[float(len(text)), float(ord(text[0]))] for text in TEXTS]
    assert json.loads(files["demo/v.json"]) == expected
    assert files["demo/v.npy"] == encode_vectors(lengths(list(TEXTS)), "v.npy")
    assert files["demo/n"] == b"!"
    assert {event.operation for event in asked} == {"embeddings"}
    assert [event.usage.input_tokens for event in answered] == [2, 2, 1]


def test_numpy_reads_the_file(tmp_path: Path) -> None:
    for vectors in (lengths(list(TEXTS)), Vectors(b"", 0), Vectors(struct.pack("<f", 0.1), 1)):
        path = tmp_path / "v.npy"
        path.write_bytes(encode_vectors(vectors, "v.npy"))
        found = np.load(path, allow_pickle=False)
        assert found.shape == (vectors.count, vectors.dimensions)
        assert found.dtype == np.float32
        assert found.tobytes() == vectors.data
        again = np.array(json.loads(encode_vectors(vectors, "V.JSON")), dtype=np.float32)
        assert again.tobytes() == vectors.data


@pytest.mark.parametrize("dies", ["before", "after"])
def test_a_vector_that_was_committed_is_never_paid_for_again(dies: str) -> None:
    with standing(embedding(), Vectorizer()) as stand:
        commits: list[float] = []
        stand.run(observe=lambda now, batch: commits.append(now))
        whole = files_of(stand)
    assert len(commits) == 8
    for commit in range(1, len(commits)):
        model = Vectorizer()
        with standing(embedding(), model) as stand:
            with pytest.raises(Crash):
                stand.run(commits=commit, dies=dies)
            assert stand.run().status == "succeeded"
            assert files_of(stand) == whole
            paid: set[str] = set()
            for recorded in stand.stream():
                match recorded.event:
                    case LlmRequested(request_sha256=digest):
                        assert digest not in paid
                    case LlmResponded(request_sha256=digest):
                        paid.add(digest)
            assert len(paid) == 3
            # What is sent is recorded before; only the reply in flight at the crash is lost.
            assert len(model.asked) <= len(events_of(stand, LlmRequested))
            assert max(Counter(map(tuple, model.asked)).values()) <= 2


def test_a_retry_asks_only_for_what_is_missing() -> None:
    failures = [TransientError("timeout", "too late")]

    def answer(texts: list[str]) -> Vectors | Exception:
        return failures.pop() if texts[0] == "ccc" and failures else lengths(texts)

    model = Vectorizer(answer)
    with standing(embedding(), model) as stand:
        assert stand.run().status == "succeeded"
        assert model.asked == [["a", "bb"], ["ccc", "dddd"], ["ccc", "dddd"], ["eeeee"]]
        assert [event.call for event in events_of(stand, CacheHit)] == [1]
        (failed,) = events_of(stand, LlmFailed)
        assert failed.is_in_doubt


def test_vectors_are_no_text_in_an_event() -> None:
    big = Vectors(bytes(4 * 4096), 4096)
    with standing(embedding(texts=("a",)), Vectorizer(lambda texts: big)) as stand:
        assert stand.run().status == "succeeded"
        (answered,) = events_of(stand, LlmResponded)
        assert answered.reply.sha256 is not None
        assert (
            max(len(canonical_json(dump_event(recorded.event))) for recorded in stand.stream())
            < 4000
        )


def test_vectors_of_another_length_than_those_before_fail_the_step() -> None:
    def answer(texts: list[str]) -> Vectors:
        size = 2 if texts[0] == "a" else 3
        return Vectors(bytes(4 * size * len(texts)), size)

    model = Vectorizer(answer)
    with standing(embedding(retry=RetryDef(max_attempts=1)), model) as stand:
        state = stand.run()
        assert state.status == "failed"
        assert "have 3 numbers, and those before have 2" in str(state.steps["a"].failure)


def test_a_step_has_no_more_vectors_than_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embed_effect, "VECTORS_BYTES_MAX", 4 * 2 * 4)
    model = Vectorizer()
    with standing(embedding(), model) as stand:
        state = stand.run()
        assert state.status == "failed"
        assert "batch(10000)" in str(state.steps["a"].failure)
        assert len(model.asked) == 1


def test_a_provider_without_embeddings_fails_the_call_with_the_remedy() -> None:
    class Talker(Vectorizer):
        embed = None  # type: ignore[assignment]

    model = Talker()
    with standing(embedding(), model) as stand:
        state = stand.run()
        assert state.status == "failed"
        assert "has no embeddings" in str(state.steps["a"].failure)


def test_a_refusal_is_not_repeated() -> None:
    model = Vectorizer(lambda texts: PermanentError("bad_request", "too long"))
    with standing(embedding(), model) as stand:
        assert stand.run().status == "failed"
        assert len(model.asked) == 1


def test_the_cache_of_replies_answers_equal_requests() -> None:
    model = Vectorizer()
    definition = embedding(cache="job")
    (first,) = definition.steps
    again = replace(first, id="b", needs=("a",), files=())
    definition = replace(definition, steps=(first, again))
    with standing(definition, model) as stand:
        assert stand.run().status == "succeeded"
        assert len(model.asked) == 3
        assert len(events_of(stand, CacheHit)) == 3


def test_a_budget_counts_the_texts_and_no_output() -> None:
    model = Vectorizer()
    # Without a limit on the answer, a worst case in tokens is that of the request alone.
    with standing(embedding(budget=BudgetDef(max_calls=2, on_exceeded="fail")), model) as stand:
        state = stand.run()
        assert state.status == "failed"
        assert "max_calls" in str(state.steps["a"].failure)
        assert len(model.asked) == 2
        worst = [event.worst_case for event in events_of(stand, LlmRequested)]
        assert [case.output_tokens for case in worst] == [0, 0]


def test_money_is_reserved_for_the_worst_case_of_the_texts() -> None:
    model = Vectorizer()
    definition = embedding(budget=BudgetDef(max_cost_usd=0.001, on_exceeded="fail"))
    with standing(definition, model) as stand:
        stand.price = lambda provider, model, usage: usage.input_tokens + 100 * usage.output_tokens
        assert stand.run().status == "succeeded"
        charged = [event.charged_nano_usd for event in events_of(stand, LlmResponded)]
        assert charged == [2, 2, 1]
        assert all(event.reserved.cost_nano_usd > 2 for event in events_of(stand, LlmRequested))


def test_texts_are_divided_by_number_and_by_size() -> None:
    def sizes(texts: list[str], per_request: int = 100) -> list[int]:
        return [len(found) for found in split_texts(texts, per_request=per_request)]

    assert sizes([]) == []
    assert sizes(["a"] * 5, per_request=2) == [2, 2, 1]
    half = "ä" * (TEXT_BYTES_MAX // 4)
    assert sizes([half, half, half]) == [2, 1]
    assert sizes(["a", half * 3, "a"]) == [1, 1, 1]


SPEC = """
project: demo
steps:
  texts: {{value: {texts}}}
  vec:
    embed: {{texts: "${{{{ steps.texts.output }}}}"}}
    provider: {provider}
    files: [{{path: {path}}}]
"""


def run(tmp_path: Path, texts: Any, *, vectors: Any, path: str = "v.json") -> orc.Job:
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC.format(texts=json.dumps(texts), provider="openai", path=path), "utf-8")
    replies = tmp_path / "replies.yaml"
    replies.write_text(json.dumps({"replies": {"vec": [{"vectors": vectors}]}}), "utf-8")
    return orc.run(spec, provider="replay", replies=replies, db=tmp_path / "runs.db")


@pytest.mark.parametrize(
    ("texts", "count"), [("one", 1), (["one", "two"], 2), ([["one"], ["two", "three"]], 3)]
)
def test_a_template_gives_a_text_or_a_list_of_texts(tmp_path: Path, texts: Any, count: int) -> None:
    found = run(tmp_path, texts, vectors=[[1.5, 2]] * count)
    assert found.status == "succeeded"
    assert found.outputs["vec"] == {
        "model": "text-embedding-3-small",
        "count": count,
        "dimensions": 2,
    }


def test_without_texts_nothing_is_sent_and_a_warning_says_so(tmp_path: Path) -> None:
    found = run(tmp_path, [], vectors=[[1.0]])
    assert found.status == "succeeded"
    assert found.outputs["vec"]["count"] == 0
    assert found.calls == 0


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["a", ""], "text 2 is empty"),
        ({"a": 1}, "got a mapping"),
        (7, "got 7"),
        (["a", 7], "embed.texts[1]: must be a text or a list of texts; got 7"),
        (["a", None], "nothing (null)"),
    ],
)
def test_what_is_no_text_fails_the_step_before_anything_is_sent(
    tmp_path: Path, texts: Any, said: str
) -> None:
    found = run(tmp_path, texts, vectors=[[1.0]])
    assert found.status == "failed"
    assert said in str(found.failures)
    assert found.calls == 0


def test_a_file_whose_name_is_rendered_must_have_a_known_end(tmp_path: Path) -> None:
    found = run(tmp_path, "a", vectors=[[1.0]], path="'v.${{ steps.texts.output }}'")
    assert found.status == "failed"
    assert ".npy or .json" in str(found.failures)
    assert found.calls == 0


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"files": []}, "add `files: [{path: vec.npy}]`"),
        ({"files": [{"path": "v.txt"}]}, "ends with .npy or .json"),
        ({"files": [{"path": "v.npy", "content": "x"}]}, "would not be written"),
        ({"provider": "anthropic/m"}, "'anthropic' has no embeddings; use"),
        ({"provider": "mlx/m"}, "'mlx' has no embeddings; use"),
        ({"provider": "groq"}, "has no default model for vectors"),
        ({"fallback": ["openai"]}, "fallback"),
        ({"params": {"temperature": 1}}, "params"),
        ({"tools": ["read_file"]}, "tools"),
        ({"embed": {"texts": []}}, "embed.texts: must have at least 1 entry"),
        ({"embed": {"texts": ["a", ""]}}, "embed.texts[1]: is empty"),
        ({"embed": {"texts": "a", "per_request": 5000}}, "per_request"),
        ({"embed": {"texts": "a", "dimensions": 0}}, "dimensions"),
        ({"embed": "a"}, "embed"),
    ],
)
def test_what_cannot_work_is_refused_in_the_spec(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], said: str
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "some-key-of-groq")
    step = {"embed": {"texts": "a"}, "provider": "openai", "files": [{"path": "v.npy"}], **fields}
    spec = tmp_path / "spec.yaml"
    spec.write_text(json.dumps({"project": "demo", "steps": {"vec": step}}), "utf-8")
    problems = orc.validate(spec)
    assert said in " ".join(problem.message for problem in problems)


def test_a_provider_without_embeddings_is_one_problem(tmp_path: Path) -> None:
    step = {"embed": {"texts": "a"}, "files": [{"path": "v.npy"}]}
    spec = tmp_path / "spec.yaml"
    for whole, own in (({"provider": "anthropic"}, {}), ({}, {"provider": "anthropic"})):
        spec.write_text(json.dumps({"project": "p", **whole, "steps": {"v": step | own}}), "utf-8")
        [problem] = orc.validate(spec)
        assert "'anthropic' has no embeddings; use" in problem.message


def test_the_model_of_the_job_is_not_that_of_its_vectors(tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    base = {"embed": {"texts": "a"}, "files": [{"path": "v.npy"}]}
    document = {
        "project": "demo",
        "provider": "openai/gpt-4o",
        "model": "gpt-4o",
        "steps": {
            "own": {**base, "provider": "ollama/bge-m3", "files": [{"path": "own.npy"}]},
            "model": {**base, "model": "large", "files": [{"path": "model.npy"}]},
            "default": base,
            "late": {
                **base,
                "provider": "${{ inputs.p }}",
                "files": [{"path": "late.npy"}],
            },
        },
        "inputs": {"p": {"default": "openai"}},
    }
    spec.write_text(json.dumps(document), "utf-8")
    models = {each.step: each.what for each in orc.plan(spec, db=tmp_path / "runs.db").steps}
    assert models == {
        "own": "ollama/bge-m3",
        "model": "openai/large",
        "default": "openai/text-embedding-3-small",
        "late": "openai/text-embedding-3-small",
    }


@pytest.mark.parametrize("provider", ["openai", "openai-responses", "ollama"])
def test_a_run_computes_vectors_at_a_server_and_an_equal_one_takes_them_from_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provider: str
) -> None:
    document = {
        "project": "demo",
        "cache": "ledger",
        "budget": {"max_tokens": 1000},
        "steps": {
            "vec": {
                "for_each": [["a", "b"], ["c", "d"]],
                "embed": {"texts": "${{ item }}", "dimensions": 2},
                "provider": f"{provider}/model-a",
                "files": [{"path": "${{ each.index }}.json"}],
            }
        },
    }
    spec = tmp_path / "spec.yaml"
    spec.write_text(json.dumps(document), "utf-8")
    with ModelServer(
        lambda asked: Says(vectors=((1.0, 2.0), (3.0, 4.5)), input_tokens=7)
    ) as models:
        for name, value in models.environment().items():
            monkeypatch.setenv(name, value)
        jobs = [orc.run(spec, db=tmp_path / "runs.db") for _ in range(2)]
        sent = sorted(tuple(asked.body["input"]) for asked in models.seen)
    assert sent == [("a", "b"), ("c", "d")]
    for done in jobs:
        assert done.status == "succeeded"
        assert [json.loads(path.read_text()) for path in done.files.values()] == [
            [[1, 2], [3, 4.5]]
        ] * 2
    assert [(done.input_tokens, done.output_tokens) for done in jobs] == [(14, 0), (0, 0)]
