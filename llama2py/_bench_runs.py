"""What `llama2py bench` times, once each: a prompt, sequences that are decoded together, a prompt that was read before,
and tokens that are guessed ahead. Each says of itself whether what it did is what was to be timed.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from llama2py import _core
from llama2py.errors import InvalidArgumentError, Llama2Error

__all__ = ["HIT_DRAWS", "Batches", "Hit", "Lookup", "Prompts", "Task", "engine_logits", "steady"]

WARM_UP_DRAWS = 8
RATE_SECONDS, RUNS_MOST = 0.1, 9
STEP_SECONDS = 0.1  # after which an interrupt is seen
HIT_DRAWS = 8
QUOTED = 4  # the second time a text is told to a fourth of it, and the model goes on


@dataclass(frozen=True)
class Task:
    """Tokens computed after `depth` others: a prompt's, or drawn ones one by one, in each of `batch` sequences."""

    draws: bool
    tokens: int
    depth: int
    threads: int
    batch: int = 1

    @property
    def name(self) -> str:
        """As llama.cpp's users write it: pp512, tg128@d1800; of eight sequences, tg128x8@d1800."""
        many = f"x{self.batch}" if self.batch > 1 else ""
        return f"{'tg' if self.draws else 'pp'}{self.tokens}{many}" + (f"@d{self.depth}" if self.depth else "")

    def short(self) -> Task:
        """One that computes the same."""
        return replace(self, tokens=min(self.tokens, WARM_UP_DRAWS)) if self.draws else self

    @property
    def needs(self) -> int:
        """Tokens of context. Decoding goes on from at least one token."""
        return max(self.depth, int(self.draws)) + self.tokens

    @property
    def computed(self) -> int:
        """Tokens of all sequences."""
        return self.tokens * self.batch


def steady(seconds: Callable[[], float]) -> float:
    """What takes so many seconds, run once, or some times where that is too short to be told from a disturbance: then
    the median."""
    runs: list[float] = []
    while len(runs) < RUNS_MOST and sum(runs) < RATE_SECONDS:
        runs.append(seconds())
    return statistics.median(runs)


def _text(vocab_size: int, n: int, which: int = 0) -> list[int]:
    """Tokens without a meaning; texts of other numbers begin with other tokens."""
    draw = random.Random(which + 1)
    return [(vocab_size // 2 + which) % vocab_size, *(draw.randrange(vocab_size) for _ in range(n - 1))]


class Prompts:
    """A sequence that is kept at some depth, and to which prompts are appended."""

    def __init__(self, model: _core.Model, vocab_size: int, tests: Sequence[Task], kv: str | None) -> None:
        needs = max(test.needs for test in tests)
        self._session = _core.Session(model, context=needs, batch=None, threads=tests[0].threads, kv=kv)
        self._tokens = _text(vocab_size, needs)
        self._kept = 0  # how many of the tokens the session holds

    def seconds(self, test: Task) -> float:
        """How long it took."""
        if self._kept < test.depth:
            self._session.truncate(self._kept)
            self._session.eval(self._tokens[self._kept : test.depth])
        else:
            self._session.truncate(test.depth)
        self._kept = test.depth
        prompt = self._tokens[test.depth : test.needs]
        begin = time.perf_counter()
        self._session.eval(prompt)
        return time.perf_counter() - begin

    def close(self) -> None:
        """Frees the sequence."""
        self._session.close()


class _Engine:
    """An engine, and what its requests drew so far."""

    def __init__(
        self,
        model: _core.Model,
        needs: int,
        *,
        threads: int,
        kv: str | None,
        sequences: int = 1,
    ) -> None:
        """needs: tokens of each sequence."""
        # A page for what each draws, and one for what it drew the last time, until that is found to be the same.
        pages = sequences * (-(-needs // _core.PAGE) + 2)
        self.core = _core.Engine(
            model,
            context=needs,
            batch=None,
            threads=threads,
            kv=kv,
            pool=pages * _core.PAGE,
            sequences=sequences,
            chunk=None,
            keep=True,
            draft=None,
        )
        self.drawn: dict[int, list[int]] = {}
        self.last: dict[int, _core.Event] = {}

    def submit(self, prompt: list[int], tokens: int, speculate: int = 0) -> int:
        """The likeliest tokens after a prompt."""
        sampling = _core.Sampling(0.0, 1.0, 1)
        number = self.core.submit(_core.Asked(prompt, tokens, sampling, [], speculate=speculate))
        self.drawn[number] = []
        return number

    def step(self, seconds: float) -> bool:
        """Computes steps for so long, one at least, but not when one has ended; whether one has, or nothing is left."""
        events, busy = self.core.step(seconds)
        ended = not busy
        for event in events:
            self.last[event.request] = event
            ended = ended or event.end != _core.END_NONE
            if event.token >= 0:
                self.drawn[event.request].append(event.token)
        return ended

    def first(self, number: int) -> None:
        """Steps until a request has drawn a token."""
        while not self.drawn[number] and not self.step(0.0):
            pass

    def finish(self) -> float:
        """Steps until one has ended: how long that took."""
        begin = time.perf_counter()
        while not self.step(STEP_SECONDS):
            pass
        return time.perf_counter() - begin

    def take(self, number: int) -> list[int]:
        """What a request drew."""
        self.last.pop(number, None)
        return self.drawn.pop(number)


def engine_logits(model: _core.Model, tokens: list[int], threads: int, kv: str | None) -> npt.NDArray[np.float32]:
    """After each token, as an engine computes them: (tokens, vocab_size)."""
    logits = np.empty((len(tokens), model.describe()["vocab_size"]), dtype=np.float32)
    engine = _Engine(model, len(tokens), threads=threads, kv=kv)
    engine.core.submit(_core.Asked(tokens, 0, _core.Sampling(0.0, 1.0, 1), [], logits=logits))
    engine.finish()
    engine.core.close()
    return logits


class Batches:
    """Sequences at a depth, of which so many as a test asks for are decoded together. Each has a text of its own before
    it, which is read when it is first decoded, and kept."""

    def __init__(self, model: _core.Model, vocab_size: int, tests: Sequence[Task], kv: str | None) -> None:
        self.tests = list(tests)
        most = max(test.batch for test in tests)
        needs = max(test.needs for test in tests)
        self._depth = max(1, tests[0].depth)
        self._engine = _Engine(model, needs, threads=tests[0].threads, kv=kv, sequences=most)
        together = self._engine.core.sequences
        if together < most:
            self.close()
            raise InvalidArgumentError(f"--batch is {most}; expected at most {together}, what can be decoded together")
        self._texts = [_text(vocab_size, self._depth, which) for which in range(most)]

    def alone(self, which: int, tokens: int) -> list[int]:
        """What one of the sequences draws while there is no other."""
        return self._run([which], tokens)[1][0]

    def together(self, batch: int, tokens: int) -> list[list[int]]:
        """What each of the first draws while all of them are decoded."""
        return self._run(range(batch), tokens)[1]

    def seconds(self, test: Task) -> float:
        """How long the steps took in which all decode. Each reads what it drew before, and draws."""
        return self._run(range(test.batch), test.tokens)[0]

    def _run(self, which: Sequence[int], tokens: int) -> tuple[float, list[list[int]]]:
        engine = self._engine
        numbers = [engine.submit(self._texts[i], tokens + 1) for i in which]
        engine.first(numbers[0])
        began = [len(engine.drawn[number]) for number in numbers]
        seconds = engine.finish()
        drawn = [engine.take(number) for number in numbers]
        if began != [1] * len(drawn) or any(len(text) != tokens + 1 for text in drawn):
            raise Llama2Error(
                f"{len(drawn)} sequences at depth {self._depth} did not draw {tokens} tokens together, but "
                f"{sorted({len(text) - 1 for text in drawn})}; what is not decoded together is not timed"
            )
        return seconds, drawn

    def close(self) -> None:
        """Frees the engine."""
        self._engine.core.close()


@dataclass
class Hit:
    """The time to the first token of a prompt that was read before, beside those of reading it, and of a step that
    decodes after it."""

    model: _core.Model
    vocab_size: int
    tokens: int
    threads: int
    kv: str | None
    figures: dict[str, list[float]] = field(default_factory=lambda: {"hit": [], "read": [], "step": []})

    def __post_init__(self) -> None:
        if self.tokens < 1:
            raise InvalidArgumentError(f"--hit is {self.tokens}; expected at least 1 token")
        needs = self.tokens + HIT_DRAWS
        # Two sequences: the one of this round, while what is left of the one before goes.
        self._engine = _Engine(self.model, needs, threads=self.threads, kv=self.kv, sequences=2)
        self._read = 0

    @property
    def name(self) -> str:
        """hit1000."""
        return f"hit{self.tokens}"

    def _first(self, prompt: list[int], cached: int, draws: int = 1) -> float:
        begin = time.perf_counter()
        number = self._engine.submit(prompt, draws)
        self._engine.first(number)
        seconds = time.perf_counter() - begin
        event = self._engine.last[number]
        if not self._engine.drawn[number] or event.cached != cached:
            raise Llama2Error(
                f"of a prompt of {self.tokens} tokens {event.cached} were found, expected {cached}; what is not found "
                "as it should be is not timed"
            )
        if draws > 1:
            seconds = self._engine.finish() / (draws - 1)
        self._engine.take(number)
        return seconds

    def round(self) -> None:
        """Measures each once, on a text that was not read before."""
        self._read += 1
        prompt = _text(self.vocab_size, self.tokens, self._read)
        found = self.tokens - 1  # the last one is computed again, for what follows it
        self.figures["read"].append(self._first(prompt, 0))
        self.figures["hit"].append(steady(lambda: self._first(prompt, found)))
        self.figures["step"].append(steady(lambda: self._first(prompt, found, HIT_DRAWS)))

    def result(self) -> dict[str, Any]:
        """Its row."""
        row: dict[str, Any] = {"test": self.name, "tokens": self.tokens, "threads": self.threads}
        for name, seconds in self.figures.items():
            row[f"{name}_seconds"] = statistics.median(seconds)
            row[f"{name}_least"], row[f"{name}_greatest"] = min(seconds), max(seconds)
        ratios = [hit / step for hit, step in zip(self.figures["hit"], self.figures["step"], strict=True)]
        return row | {"steps": statistics.median(ratios), "ratios": ratios, "figures": self.figures}

    def close(self) -> None:
        """Frees the engine."""
        self._engine.core.close()


@dataclass
class Lookup:
    """Decoding with tokens guessed ahead from the text so far, beside decoding without. The text: what the model tells
    by itself, and then its beginning once more, so that a model that can copy goes on copying."""

    model: _core.Model
    start: int  # the token that texts begin with
    ahead: int
    tokens: int
    threads: int
    kv: str | None
    rates: dict[str, list[float]] = field(default_factory=lambda: {"plain": [], "guessed": []})

    def __post_init__(self) -> None:
        if not 1 <= self.ahead <= _core.SPECULATE_MOST:
            raise InvalidArgumentError(f"--speculate is {self.ahead}; expected 1 to {_core.SPECULATE_MOST} tokens")
        if self.tokens < 2:
            raise InvalidArgumentError(f"--speculate draws {self.tokens} tokens; expected at least 2 of --decode")
        self._engine = _Engine(self.model, Lookup.needs(self.tokens), threads=self.threads, kv=self.kv)
        self.drafted = self.accepted = 0
        self._prompt: list[int] = []

    @staticmethod
    def needs(tokens: int) -> int:
        """Tokens of context: the text, a part of it, and what is drawn."""
        return 1 + tokens + 1 + tokens // QUOTED + tokens

    @staticmethod
    def most(context: int) -> int:
        """Tokens that can be drawn within a context."""
        return (context - 2) * QUOTED // (2 * QUOTED + 1)

    @property
    def name(self) -> str:
        """tg128+8: eight are guessed ahead at most."""
        return f"tg{self.tokens}+{self.ahead}"

    def _draw(self, prompt: list[int], ahead: int) -> tuple[float, list[int]]:
        number = self._engine.submit(prompt, self.tokens, ahead)
        self._engine.first(number)
        seconds = self._engine.finish()
        if ahead:
            event = self._engine.last[number]
            self.drafted, self.accepted = event.drafted, event.accepted
        return seconds, self._engine.take(number)

    def check(self) -> str:
        """Makes the text; Llama2Error unless guessing changes nothing."""
        _, told = self._draw([self.start], 0)
        self._prompt = [self.start, *told, self.start, *told[: self.tokens // QUOTED]]
        plain, guessed = (self._draw(self._prompt, ahead)[1] for ahead in (0, self.ahead))
        if plain != guessed or len(plain) != self.tokens:
            raise Llama2Error(
                f"{self.name} on {self.threads} threads: with tokens guessed ahead another text is told; what is wrong "
                "is not timed"
            )
        return f"{self.name} tells the {self.tokens} tokens that are told without guesses"

    def round(self) -> None:
        """Measures both once."""
        for name, ahead in (("plain", 0), ("guessed", self.ahead)):
            seconds = steady(lambda ahead=ahead: self._draw(self._prompt, ahead)[0])  # type: ignore[misc]
            self.rates[name].append((self.tokens - 1) / seconds)

    def result(self) -> dict[str, Any]:
        """Its row."""
        row: dict[str, Any] = {"test": self.name, "tokens": self.tokens, "ahead": self.ahead, "threads": self.threads}
        for name, rates in self.rates.items():
            row[f"{name}_tokens_per_second"] = statistics.median(rates)
            row[f"{name}_least"], row[f"{name}_greatest"] = min(rates), max(rates)
        ratios = [guessed / plain for plain, guessed in zip(*self.rates.values(), strict=True)]
        row |= {"drafted": self.drafted, "accepted": self.accepted}
        row["accepted_share"] = self.accepted / self.drafted if self.drafted else None
        return row | {"ratio": statistics.median(ratios), "ratios": ratios, "rates": self.rates}

    def close(self) -> None:
        """Frees the engine."""
        self._engine.core.close()
