"""What `llama2py bench` measures: prefill and decode of a model, beside what the machine allows.

Nothing is timed before it is checked. All that is timed takes turns, round after round, so that what else the machine
does falls on all alike. A limit is the best that any round saw, since other work can only lower it.
"""

from __future__ import annotations

import platform
import random
import re
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from llama2py import _core, sources
from llama2py._core import StrPath
from llama2py.errors import ContextOverflowError, InsufficientMemoryError, InvalidArgumentError, Llama2Error
from llama2py.info import ModelInfo, plan
from llama2py.limits import Limits, measure_limits

__all__ = ["Bench", "Task", "best", "processor", "steady"]

CHECKED_TOKENS = 8
SCALAR_WORK = 10**9  # parameters times tokens that the scalar kernels are asked for: some seconds
WARM_UP_DRAWS = 8
RATE_SECONDS, RUNS_MOST = 0.1, 9
READ_MOST = 2**30  # bytes; larger than any cache
RATES = ("read_bytes", "f32_ops", "int8_ops", "amx_int8_ops")
FLOATS = ("f32", "f16", "bf16")


@dataclass(frozen=True)
class Task:
    """Tokens that are computed after `depth` others: a prompt's, or drawn ones one by one."""

    draws: bool
    tokens: int
    depth: int
    threads: int

    @property
    def name(self) -> str:
        """As llama.cpp's users write it: pp512, tg128@d1800."""
        return f"{'tg' if self.draws else 'pp'}{self.tokens}" + (f"@d{self.depth}" if self.depth else "")

    def short(self) -> Task:
        """One that computes the same."""
        return replace(self, tokens=min(self.tokens, WARM_UP_DRAWS)) if self.draws else self

    @property
    def needs(self) -> int:
        """Tokens of context. Decoding goes on from at least one token."""
        return max(self.depth, int(self.draws)) + self.tokens


def steady(seconds: Callable[[], float]) -> float:
    """What takes so many seconds, run once, or some times where that is too short to be told from a disturbance: then
    the median."""
    runs: list[float] = []
    while len(runs) < RUNS_MOST and sum(runs) < RATE_SECONDS:
        runs.append(seconds())
    return statistics.median(runs)


class _Runner:
    """A sequence that is kept at some depth."""

    def __init__(self, model: _core.Model, vocab_size: int, tests: Sequence[Task], kv: str | None) -> None:
        needs = max(test.needs for test in tests)
        self._session = _core.Session(model, context=needs, batch=None, threads=tests[0].threads, kv=kv)
        draw = random.Random(1)
        self._tokens = [draw.randrange(vocab_size) for _ in range(needs)]
        self._kept = 0  # how many of the tokens the session holds

    def _go_to(self, depth: int) -> None:
        if self._kept < depth:
            self._session.truncate(self._kept)
            self._session.eval(self._tokens[self._kept : depth])
        else:
            self._session.truncate(depth)
        self._kept = depth

    def seconds(self, test: Task) -> float:
        """How long it took."""
        if not test.draws:
            self._go_to(test.depth)
            prompt = self._tokens[test.depth : test.needs]
            begin = time.perf_counter()
            self._session.eval(prompt)
            return time.perf_counter() - begin
        greedy = _core.Sampling(0.0, 1.0, 1)
        depth = max(1, test.depth)
        self._go_to(depth - 1)
        self._session.eval(self._tokens[depth - 1 : depth])
        self._kept = depth
        self._session.generate(greedy, [], 1)  # what is drawn last is not computed yet
        begin = time.perf_counter()
        self._session.generate(greedy, [], test.tokens)
        return time.perf_counter() - begin

    def close(self) -> None:
        self._session.close()


def _logits(
    model: _core.Model, tokens: list[int], threads: int, batch: int | None, kv: str | None
) -> npt.NDArray[np.float32]:
    session = _core.Session(model, context=len(tokens), batch=batch, threads=threads, kv=kv)
    try:
        return session.eval_logits(tokens, model.describe()["vocab_size"])
    finally:
        session.close()


class Bench:
    """A loaded model and the tests to be run on it."""

    def __init__(
        self,
        path: StrPath,
        tests: Sequence[Task],
        *,
        quantize: str | None = None,
        isa: str | None = None,
        context: int | None = None,
        kv: str | None = None,
        progress: Callable[[int, int], object] | None = None,
    ) -> None:
        """context: what the tests may use; None takes the model's own. progress: of the load."""
        self._path, self._opened, self._quantize, self._kv = path, sources.opened(path), quantize, kv
        _, described = _core.plan(self._opened, quantize=quantize, threads=None, isa=isa, context=context, batch=None)
        room = int(described["context"]) if context is None else context
        for test in tests:
            if test.tokens < 1 or test.depth < 0 or test.threads < 1:
                raise InvalidArgumentError(
                    f"{test.name} on {test.threads} threads; expected at least 1 token, depth 0 and 1 thread"
                )
            if test.needs > room:
                raise ContextOverflowError(f"{test.name} takes a context of {test.needs}, not {room}", test.needs, room)
        if not tests:
            raise InvalidArgumentError("nothing to measure; ask for tokens of prompt or decode")
        needs = max(test.needs for test in tests)
        self._model = _core.Model(
            self._opened, quantize=quantize, threads=None, isa=isa, context=needs, kv=kv, progress=progress
        )
        self.info = ModelInfo(**self._model.describe())
        self._kv_token = plan(path, quantize=quantize, isa=isa, context=room, kv=kv, pool=0).kv / room
        self.rates: dict[Task, list[float]] = {test: [] for test in tests}
        self.limits: dict[int, list[Limits]] = {test.threads: [] for test in tests}
        places = dict.fromkeys((test.threads, test.depth) for test in tests)
        self._runners = {
            (threads, depth): _Runner(
                self._model,
                self.info.vocab_size,
                [test for test in tests if (test.threads, test.depth) == (threads, depth)],
                kv,
            )
            for threads, depth in places
        }

    def close(self) -> None:
        """Frees the model."""
        for runner in self._runners.values():
            runner.close()
        self._model.close()

    # Correctness.

    def check(self) -> str:
        """Says what was compared; Llama2Error unless what is going to be timed computes what it should."""
        draw = random.Random(2)
        tokens = [draw.randrange(self.info.vocab_size) for _ in range(min(CHECKED_TOKENS, self.info.context))]
        slow = "the scalar kernels on one thread, one token at a time"
        scalar = tokens[: SCALAR_WORK // self.info.parameters]
        expected = None
        if scalar and self.info.isa != "scalar":
            with suppress(InsufficientMemoryError):
                model = _core.Model(self._opened, quantize=self._quantize, threads=None, isa="scalar", context=1)
                try:
                    tokens, expected = scalar, _logits(model, scalar, 1, 1, self._kv)
                finally:
                    model.close()
        if expected is None:
            slow = "one thread, one token at a time"
            expected = _logits(self._model, tokens, 1, 1, self._kv)
        if not np.isfinite(expected).all():
            raise Llama2Error(f"{self._path}: logits that are not finite; a model that is damaged is not timed")
        n = len(tokens)
        for threads in self.limits:
            for batch in (None, 1):
                found = _logits(self._model, tokens, threads, batch, self._kv)
                if not np.array_equal(found.view(np.uint32), expected.view(np.uint32)):
                    how = "one at a time" if batch else "at once"
                    raise Llama2Error(
                        f"{self._path}: logits of {n} tokens {how} with {self.info.isa} on {threads} threads differ "
                        f"from those of {slow}; what is wrong is not timed"
                    )
        return f"logits of {n} tokens are finite, and equal those of {slow}, bit for bit"

    def logits(self, tokens: list[int]) -> npt.NDArray[np.float32]:
        """What the model expects after each token."""
        return _logits(self._model, tokens, next(iter(self.limits)), None, self._kv)

    # Measuring.

    def warm_up(self) -> None:
        """Has everything computed once."""
        for test in self.rates:
            self._runner(test).seconds(test.short())

    def measure_limits(self) -> None:
        """On each number of threads."""
        for threads, found in self.limits.items():
            found.append(measure_limits(max(512 * threads, min(self.token_bytes, READ_MOST)), threads, self.info.isa))

    def round(self) -> None:
        """Measures the limits and each test once."""
        self.measure_limits()
        for test, rates in self.rates.items():
            rates.append(self.rate(test))

    def rate(self, test: Task) -> float:
        """Tokens per second."""
        return test.tokens / steady(lambda: self._runner(test).seconds(test))

    def _runner(self, test: Task) -> _Runner:
        return self._runners[test.threads, test.depth]

    # Beside the limits.

    @property
    def _layers_and_classifier(self) -> tuple[int, int]:
        """Parameters that each token of a prompt meets, and those that its last token meets besides."""
        embedding = self.info.vocab_size * self.info.dim
        return self.info.parameters - (1 if self.info.shared_classifier else 2) * embedding, embedding

    @property
    def token_bytes(self) -> int:
        """Bytes of weights that are read for each token drawn: all but an embedding that is not the classifier too."""
        layers, classifier = self._layers_and_classifier
        return self.info.weight_bytes * (layers + classifier) // self.info.parameters

    @property
    def resource(self) -> str:
        """What multiplies: "f32" or "int8"."""
        return "f32" if self.info.dtype in FLOATS else "int8"

    def limit(self, test: Task) -> float | None:
        """Tokens per second that the machine allows, once a round was measured: for a token drawn, reading the weights
        and the keys and values so far; for a prompt, the matrix products at peak."""
        if not self.limits[test.threads]:
            return None
        allowed = best(self.limits[test.threads])
        if test.draws:
            read = self.token_bytes + self._kv_token * (max(1, test.depth) + test.tokens / 2)
            return allowed.read_bytes / read
        layers, classifier = self._layers_and_classifier
        peak = allowed.f32_ops if self.resource == "f32" else allowed.int8_ops
        return peak / (2 * (layers + classifier / test.tokens))

    def results(self) -> list[dict[str, Any]]:
        """A row for each test."""
        rows = []
        for test, rates in self.rates.items():
            rate, limit = statistics.median(rates), self.limit(test)
            rows.append(
                {
                    "test": test.name,
                    "tokens": test.tokens,
                    "depth": test.depth,
                    "threads": test.threads,
                    "tokens_per_second": rate,
                    "least": min(rates),
                    "greatest": max(rates),
                    "rates": rates,
                    "limit": "read" if test.draws else self.resource,
                    "limit_tokens_per_second": limit,
                    "share": rate / limit if limit else None,
                }
            )
        return rows

    def machine(self) -> dict[str, Any]:
        """What it ran on, and the best of each limit."""
        limits = []
        for allowed in (best(found) for found in self.limits.values() if found):
            rates = {f"{name}_per_second": getattr(allowed, name) for name in RATES}
            limits.append({"threads": allowed.threads, "isa": allowed.isa, **rates})
        return {"processor": processor(), "cores": _core.cpu_count(), "limits": limits}


def best(found: Sequence[Limits]) -> Limits:
    """The greatest of each rate."""
    return replace(found[0], **{name: max(getattr(one, name) for one in found) for name in RATES})


def processor() -> str:
    """Its name, or else its architecture."""
    try:
        found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.machine()
