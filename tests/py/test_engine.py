"""Many texts at once: each is what it would be alone, whatever comes and goes beside it, and no page is lost."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import llama2py
from llama2py import Chunk, Llama, Result, Stream
from llama2py.cli import main
from llama2py.llama import Options

if TYPE_CHECKING:
    from typing_extensions import Unpack

PROMPT = "Once there was a fox who lived by the sea, and"


@pytest.fixture(scope="module")
def llama() -> Iterator[Llama]:
    with Llama(threads=2) as made:
        yield made


def alone(prompt: str | list[int], max_tokens: int | None, temperature: float, **options: Unpack[Options]) -> Result:
    """What a Llama that does nothing else, and keeps nothing, makes of it."""
    with Llama(threads=1, prefix_cache=False, batch=7) as fresh:
        return fresh.generate(prompt, max_tokens, temperature, **options)


def same(one: Result, other: Result) -> bool:
    told = [(r.text, r.tokens, r.finish_reason, r.logprobs, r.top_logprobs, r.prompt_logprobs) for r in (one, other)]
    return told[0] == told[1]


def test_several_prompts_get_what_each_gets_alone(llama: Llama) -> None:
    prompts = [PROMPT, "One day", PROMPT + " a bear", "", "The end of the"]
    options: Options = {"seed": 5, "logprobs": 2, "echo": True}
    for prompt, result in zip(prompts, llama.generate(prompts, 30, 0.8, **options), strict=True):
        assert same(result, alone(prompt, 30, 0.8, **options))
    assert llama.generate([llama.tokenize(p) for p in prompts], 3, temperature=0)[1].tokens == (
        llama.generate("One day", 3, temperature=0).tokens
    )


def test_stream_many_tells_whose_piece_it_is(llama: Llama) -> None:
    prompts = ["One day", "A fox", PROMPT]
    texts = ["", "", ""]
    for index, chunk in llama.stream_many(prompts, 20, temperature=0, echo=True):
        assert isinstance(chunk, Chunk)
        texts[index] += chunk.text
    assert texts == [llama.generate(prompt, 20, temperature=0, echo=True).text for prompt in prompts]


def test_what_was_read_is_not_read_again() -> None:
    with Llama() as llama:
        first = llama.generate(PROMPT * 4, 20, temperature=0, logprobs=1)
        before = llama.state
        again = llama.generate(PROMPT * 4, 20, temperature=0, logprobs=1)
        assert first.cached_tokens == 0
        assert again.cached_tokens == again.prompt_tokens - 1
        assert same(first, again)
        assert llama.state.cached_tokens - before.cached_tokens == again.cached_tokens


def test_guessing_ahead_changes_nothing() -> None:
    with Llama() as llama, Llama(draft=llama2py.model_in_the_box()) as drafting:
        story = llama.generate("", 200, temperature=0).tokens
        prompt = llama.tokenize("") + story + story[:20]
        for temperature in (0, 0.9):
            plain = llama.generate(prompt, 60, temperature, seed=3, logprobs=1)
            guessed = llama.generate(prompt, 60, temperature, seed=3, logprobs=1, speculate=8)
            drafted = drafting.generate(prompt, 60, temperature, seed=3, logprobs=1, speculate=4)
            assert same(plain, guessed) and same(plain, drafted)
            # A model that drafts for itself, with the same random numbers, is always right.
            assert drafted.accepted >= 0.9 * drafted.drafted > 0
        assert plain.drafted == 0


def test_a_draft_model_of_another_vocabulary_is_refused(tmp_path: Path) -> None:
    data = os.environ.get("LLAMA2PY_TEST_DATA")
    if not data:
        pytest.skip("LLAMA2PY_TEST_DATA is not set to the folder with real checkpoints")
    with pytest.raises(llama2py.InvalidArgumentError, match="vocabulary"):
        Llama(draft=Path(data) / "stories260K" / "stories260K.gguf")


def test_more_than_the_pool_is_refused_and_less_waits() -> None:
    with Llama(pool=64) as llama:
        with pytest.raises(llama2py.ContextOverflowError, match="pool") as refused:
            llama.generate([5] * 80, 4)
        assert (refused.value.required, refused.value.available) == (83, 64)
        prompts = [f"Fox number {i} went" for i in range(12)]
        results = llama.generate(prompts, 40, temperature=0)
        assert [r.tokens for r in results] == [alone(p, 40, 0).tokens for p in prompts]
        assert llama.state.pauses > 0
        state = llama.state
        assert state.free + state.idle == state.pages == 4


def test_overflow_by_choice(llama: Llama) -> None:
    prompt = [5] * (llama.context - 3)
    assert llama.generate(prompt, 50, temperature=0).finish_reason in ("length", "stop")
    with pytest.raises(llama2py.ContextOverflowError) as refused:
        llama.generate(prompt, 50, overflow="error")
    assert refused.value.available == llama.context


def test_a_callback_that_raises_ends_its_text_only(llama: Llama) -> None:
    class EnoughError(Exception):
        pass

    def complain(chunk: Chunk) -> None:
        raise EnoughError

    seen: list[str] = []
    good = llama.submit(PROMPT, 40, 0, on_chunk=lambda chunk: seen.append(chunk.text))
    bad = llama.submit(PROMPT, 40, 0, on_chunk=complain)
    with pytest.raises(EnoughError):
        bad.wait()
    assert good.wait().text == "".join(seen) == llama.generate(PROMPT, 40, 0).text
    assert bad.result.finish_reason == "cancelled"


def test_submit_goes_on_while_the_caller_does(llama: Llama) -> None:
    streams = [llama.submit(PROMPT, 20, 0.8, seed=seed, priority=seed % 3) for seed in range(20)]
    with pytest.raises(TimeoutError):
        llama.submit(PROMPT, 400, 0.8, seed=1).wait(0.0)
    for seed, stream in enumerate(streams):
        assert same(stream.wait(60), alone(PROMPT, 20, 0.8, seed=seed))
        assert stream.done


def test_cancelled_from_many_threads_the_pool_is_whole() -> None:
    with Llama(pool=512) as llama:

        def work(seed: int) -> None:
            for i in range(40):
                stream = llama.submit(f"{seed} {i}", 50, seed=seed)
                if i % 3:
                    next(stream, None)
                stream.close()

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        expected = llama.generate(PROMPT, 5, 0).tokens
        state = llama.state
        assert (state.waiting, state.running) == (0, 0)
        assert state.free + state.idle == state.pages
    assert expected == alone(PROMPT, 5, 0).tokens


def test_sessions_grow_fork_and_are_saved(tmp_path: Path) -> None:
    path = tmp_path / "fox.session"
    with Llama() as llama:
        session = llama.session(PROMPT)
        session.generate(max_tokens=20, temperature=0)
        other = session.fork()
        one = session.generate(" Then", 20, temperature=0)
        assert other.generate(" Then", 20, temperature=0).tokens == one.tokens
        tokens = session.tokens
        assert session.save(path) >= len(tokens) - 17
        with pytest.raises(llama2py.TargetExistsError):
            session.save(path)
        session.save(path, replace=True)
        after = session.generate(" The end", 10, temperature=0)
        session.truncate(5)
        assert session.tokens == tokens[:5] and len(session) == 5
    with Llama() as llama:
        loaded = llama.load_session(path)
        assert loaded.tokens == tokens and loaded.text == llama.detokenize(tokens)
        result = loaded.generate(" The end", 10, temperature=0)
        assert result.tokens == after.tokens and result.cached_tokens >= len(tokens) - 17
    with Llama(kv="f32") as llama, pytest.raises(llama2py.CheckpointError, match="f16"):
        llama.load_session(path)
    path.write_bytes(path.read_bytes()[:-9] + b"123456789")
    with Llama() as llama, pytest.raises(llama2py.CheckpointError, match="damaged"):
        llama.load_session(path)


def test_logprobs_are_those_of_the_logits(llama: Llama) -> None:
    result = llama.generate(PROMPT, 6, temperature=0, logprobs=3, echo=True)
    ids = llama.tokenize(PROMPT)
    logits = llama.logits(ids + result.tokens).astype(np.float64)
    expected = logits - np.log(np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1, keepdims=True))
    expected -= logits.max(axis=1, keepdims=True)
    assert result.prompt_logprobs is not None and result.logprobs is not None and result.top_logprobs is not None
    assert result.prompt_logprobs[0] is None
    for i, token in enumerate((ids + result.tokens)[1:]):
        told = (result.prompt_logprobs + result.logprobs)[i + 1]
        assert told is not None and abs(told - expected[i, token]) < 1e-5
    for i, top in enumerate(result.top_logprobs):
        row = expected[len(ids) - 1 + i]
        assert [token for token, _ in top] == list(np.argsort(-row, kind="stable")[:3])
        assert top[0] == (result.tokens[i], result.logprobs[i])


class Courses(RuleBasedStateMachine):
    """Texts come, are read, forked, left and forgotten in any order, in a pool that is too small for all of them."""

    @initialize(pool=st.integers(6, 40), sequences=st.integers(1, 6), chunk=st.integers(1, 40), keep=st.booleans())
    def begin(self, pool: int, sequences: int, chunk: int, keep: bool) -> None:
        self.llama = Llama(pool=pool * 16, sequences=sequences, chunk=chunk, prefix_cache=keep, batch=24, context=96)
        self.streams: list[tuple[Stream, list[int], int, float, int]] = []

    @rule(
        words=st.integers(0, 30),
        other=st.integers(0, 2),
        n=st.integers(0, 24),
        seed=st.integers(0, 3),
        temperature=st.sampled_from([0.0, 0.8]),
        priority=st.integers(0, 2),
        speculate=st.sampled_from([0, 4]),
    )
    def submit(
        self, words: int, other: int, n: int, seed: int, temperature: float, priority: int, speculate: int
    ) -> None:
        ids = [1] + [300 + i for i in range(words)] + [400 + other] * other
        stream = self.llama.submit(ids, n, temperature, seed=seed, priority=priority, speculate=speculate, logprobs=1)
        self.streams.append((stream, ids, n, temperature, seed))

    @rule(which=st.integers(0, 100), n=st.integers(1, 5))
    def read(self, which: int, n: int) -> None:
        for _ in range(n if self.streams else 0):
            next(self.streams[which % len(self.streams)][0], None)

    @rule(which=st.integers(0, 100))
    def leave(self, which: int) -> None:
        if self.streams:
            self.streams.pop(which % len(self.streams))[0].close()

    @rule(which=st.integers(0, 100))
    def finish(self, which: int) -> None:
        if self.streams:
            self.check(*self.streams.pop(which % len(self.streams)))

    def check(self, stream: Stream, ids: list[int], n: int, temperature: float, seed: int) -> None:
        expected = self.reference().generate(ids, n, temperature, seed=seed, logprobs=1)
        assert same(stream.wait(), expected)

    _reference: Llama | None = None

    @classmethod
    def reference(cls) -> Llama:
        """One text at a time, nothing kept."""
        if cls._reference is None:
            cls._reference = Llama(prefix_cache=False, threads=1, context=96)
        return cls._reference

    @invariant()
    def pages_are_counted(self) -> None:
        if hasattr(self, "llama"):
            state = self.llama.state
            assert 0 <= state.free + state.idle <= state.pages

    def teardown(self) -> None:
        if not hasattr(self, "llama"):
            return
        for entry in self.streams:
            self.check(*entry)
        self.llama.generate([1], 1)
        state = self.llama.state
        assert (state.waiting, state.running) == (0, 0) and state.free + state.idle == state.pages
        self.llama.close()


TestCourses = Courses.TestCase
TestCourses.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_the_command_guesses_ahead(capfd: pytest.CaptureFixture[str]) -> None:
    told = []
    for extra in ([], ["--speculate", "8"], ["--draft", llama2py.model_in_the_box()]):
        assert main(["run", "-t", "0", "-n", "120", "-i", "One day", *extra]) == 0
        told.append(capfd.readouterr())
    assert told[0].out == told[1].out == told[2].out
    assert "guessed" not in told[0].err and "tokens right" in told[2].err
