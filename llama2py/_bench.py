"""What `llama2py bench` measures: prefill and decode of a model, beside what the machine allows.

Nothing is timed before it is checked: logits, and of what is computed together that each gets what it gets alone. All
that is timed takes turns, round after round, so that what else the machine does falls on all alike. A limit is the best
that any round saw, since other work can only lower it.
"""

from __future__ import annotations

import platform
import random
import re
import statistics
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from llama2py import _core, sources
from llama2py._bench_runs import HIT_DRAWS, Batches, Hit, Lookup, Prompts, Task, engine_logits, steady
from llama2py._core import StrPath
from llama2py.errors import (
    ContextOverflowError,
    InsufficientMemoryError,
    InvalidArgumentError,
    Llama2Error,
    TokenizerError,
)
from llama2py.info import ModelInfo, plan
from llama2py.limits import Limits, measure_limits
from llama2py.tokenizer import Tokenizer

__all__ = ["Bench", "best", "engine_logits", "processor"]

CHECKED_TOKENS = 8
SCALAR_WORK = 10**9  # parameters times tokens that the scalar kernels are asked for: some seconds
CHECKED_DRAWS = 4
READ_MOST = 2**30  # bytes; larger than any cache
RATES = ("read_bytes", "f32_ops", "int8_ops", "amx_int8_ops")
FLOATS = ("f32", "f16", "bf16")
START = 1  # what texts begin with where no tokenizer says it


def _place(test: Task) -> tuple[bool, int, int]:
    """Those of one place share what was read at it."""
    return test.draws, test.threads, test.depth


def _logits(
    model: _core.Model, tokens: list[int], threads: int, kv: str | None, batch: int | None
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
        hits: Sequence[tuple[int, int]] = (),
        lookups: Sequence[tuple[int, int, int]] = (),
        quantize: str | None = None,
        isa: str | None = None,
        context: int | None = None,
        kv: str | None = None,
        progress: Callable[[int, int], object] | None = None,
    ) -> None:
        """hits: prompts that were read before, (tokens, threads). lookups: (guessed ahead, drawn, threads).
        context: what the tests may use; None takes the model's own. progress: of the load."""
        self._path, self._opened, self._quantize, self._kv = path, sources.opened(path), quantize, kv
        _, described = _core.plan(self._opened, quantize=quantize, threads=None, isa=isa, context=context, batch=None)
        room = int(described["context"]) if context is None else context
        for test in tests:
            if test.tokens < 1 or test.depth < 0 or test.threads < 1 or test.batch < 1:
                raise InvalidArgumentError(
                    f"{test.name} of {test.batch} sequences on {test.threads} threads; expected at least 1 token, "
                    "depth 0, 1 sequence and 1 thread"
                )
        wanted = [(test.name, test.needs) for test in tests]
        wanted += [(f"hit{tokens}", tokens + HIT_DRAWS) for tokens, _ in hits]
        wanted += [(f"tg{tokens}+{ahead}", Lookup.needs(tokens)) for ahead, tokens, _ in lookups]
        if not wanted:
            raise InvalidArgumentError("nothing to measure; ask for tokens of prompt or decode")
        for name, needs in wanted:
            if needs > room:
                raise ContextOverflowError(f"{name} takes a context of {needs}, not {room}", needs, room)
        most = max(needs for _, needs in wanted)
        load: dict[str, Any] = {"quantize": quantize, "threads": None, "isa": isa, "progress": progress}
        self._model = _core.Model(self._opened, **load, context=most, kv=kv, pool=most)
        self.info = ModelInfo(**self._model.describe())
        self._kv_token = plan(path, quantize=quantize, isa=isa, context=room, kv=kv, pool=room).kv / room
        self.rates: dict[Task, list[float]] = {test: [] for test in tests}
        self.limits: dict[int, list[Limits]] = {test.threads: [] for test in tests}
        self._places: dict[tuple[bool, int, int], Prompts | Batches] = {}
        for draws, threads, depth in dict.fromkeys(map(_place, tests)):
            here = [test for test in tests if _place(test) == (draws, threads, depth)]
            where = self._model, self.info.vocab_size, here, kv
            self._places[draws, threads, depth] = Batches(*where) if draws else Prompts(*where)
        self.hits = [Hit(self._model, self.info.vocab_size, tokens, threads, kv) for tokens, threads in hits]
        self._threads = dict.fromkeys([*self.limits, *(threads for *_, threads in (*hits, *lookups))])
        start = self._start() if lookups else START
        self.lookups = [Lookup(self._model, start, ahead, tokens, threads, kv) for ahead, tokens, threads in lookups]

    def _start(self) -> int:
        with suppress(TokenizerError):
            return max(START, Tokenizer.find(self._path, self.info.vocab_size).bos_id)
        return START

    def close(self) -> None:
        """Frees the model."""
        for made in (*self._places.values(), *self.hits, *self.lookups):
            made.close()
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
                    tokens, expected = scalar, _logits(model, scalar, 1, self._kv, 1)
                finally:
                    model.close()
        if expected is None:
            slow = "one thread, one token at a time"
            expected = _logits(self._model, tokens, 1, self._kv, 1)
        if not np.isfinite(expected).all():
            raise Llama2Error(f"{self._path}: logits that are not finite; a model that is damaged is not timed")
        n = len(tokens)
        for threads in self._threads:
            for how, compute in (
                ("at once", partial(_logits, batch=None)),
                ("one at a time", partial(_logits, batch=1)),
                ("in an engine", engine_logits),
            ):
                found = compute(self._model, tokens, threads, kv=self._kv)
                if not np.array_equal(found.view(np.uint32), expected.view(np.uint32)):
                    raise Llama2Error(
                        f"{self._path}: logits of {n} tokens {how} with {self.info.isa} on {threads} threads differ "
                        f"from those of {slow}; what is wrong is not timed"
                    )
        said = [f"logits of {n} tokens are finite, and equal those of {slow}, bit for bit"]
        together = max(
            (self._check_batches(place) for place in self._places.values() if isinstance(place, Batches)), default=1
        )
        if together > 1:
            said.append(f"of up to {together} sequences, each draws together with the others what it draws alone")
        said += [lookup.check() for lookup in self.lookups]
        return "; ".join(dict.fromkeys(said))

    def _check_batches(self, place: Batches) -> int:
        """Llama2Error unless each sequence draws what it draws alone; how many there are. What comes before them is
        read by it, too."""
        test = max(place.tests, key=lambda test: test.batch)
        draws = min(CHECKED_DRAWS, *(test.tokens for test in place.tests))
        alone = [place.alone(which, draws) for which in range(test.batch)]
        for batch in sorted({test.batch for test in place.tests} - {1}):
            for which, (found, expected) in enumerate(zip(place.together(batch, draws), alone, strict=False)):
                if found != expected:
                    raise Llama2Error(
                        f"{self._path}: of {batch} sequences at depth {test.depth} on {test.threads} threads, one "
                        f"draws {found}, but {expected} alone (sequence {which}); what is wrong is not timed"
                    )
        return test.batch

    def logits(self, tokens: list[int]) -> npt.NDArray[np.float32]:
        """What the model expects after each token."""
        return _logits(self._model, tokens, next(iter(self._threads)), self._kv, None)

    # Measuring.

    def warm_up(self) -> None:
        """Has everything computed once. What is read before a hit or a guess is read in its check or its round."""
        for test in self.rates:
            self._places[_place(test)].seconds(test.short())

    def measure_limits(self) -> None:
        """On each number of threads."""
        for threads, found in self.limits.items():
            found.append(measure_limits(max(512 * threads, min(self.token_bytes, READ_MOST)), threads, self.info.isa))

    def round(self) -> None:
        """Measures the limits and each test once."""
        self.measure_limits()
        for test, rates in self.rates.items():
            rates.append(self.rate(test))
        self.round_of_others()

    def round_of_others(self) -> None:
        """Measures prompts that were read before, and guesses, once."""
        for hit in self.hits:
            hit.round()
        for lookup in self.lookups:
            lookup.round()

    def rate(self, test: Task) -> float:
        """Tokens per second, of all sequences together."""
        return test.computed / steady(lambda: self._places[_place(test)].seconds(test))

    # Beside the limits.

    @property
    def _layers_and_classifier(self) -> tuple[int, int]:
        """Parameters that each token of a prompt meets, and those that its last token meets besides. A step of several
        tokens may read more experts than each of them meets.
        """
        info = self.info
        embedding = info.vocab_size * info.dim
        passed_over = info.n_layers * (info.n_experts - info.n_experts_used) * 3 * info.dim * info.hidden_dim
        return info.parameters - (1 if info.shared_classifier else 2) * embedding - passed_over, embedding

    @property
    def token_bytes(self) -> int:
        """Bytes of weights that are read for each token drawn: all but an embedding that is not the classifier too."""
        layers, classifier = self._layers_and_classifier
        return self.info.weight_bytes * (layers + classifier) // self.info.parameters

    @property
    def resource(self) -> str:
        """What multiplies: "f32" or "int8"."""
        return "f32" if self.info.dtype in FLOATS else "int8"

    def limit(self, test: Task) -> tuple[float, str] | None:
        """Tokens per second that the machine allows, of all sequences together, and by what, once a round was
        measured: the matrix products at peak; for tokens drawn, if that is less, reading the weights once a step and
        with them the keys and values so far of each sequence."""
        if not self.limits[test.threads]:
            return None
        allowed = best(self.limits[test.threads])
        layers, classifier = self._layers_and_classifier
        peak = allowed.f32_ops if self.resource == "f32" else allowed.int8_ops
        computed = peak / (2 * (layers + (classifier if test.draws else classifier / test.tokens))), self.resource
        if not test.draws:
            return computed
        kept = self._kv_token * (max(1, test.depth) + test.tokens / 2)
        return min(computed, (test.batch * allowed.read_bytes / (self.token_bytes + test.batch * kept), "read"))

    def results(self) -> list[dict[str, Any]]:
        """A row for each test."""
        rows = []
        for test, rates in self.rates.items():
            rate = statistics.median(rates)
            limit, by = self.limit(test) or (None, None)
            rows.append(
                {
                    "test": test.name,
                    "tokens": test.tokens,
                    "depth": test.depth,
                    "batch": test.batch,
                    "threads": test.threads,
                    "tokens_per_second": rate,
                    "least": min(rates),
                    "greatest": max(rates),
                    "rates": rates,
                    "limit": by,
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

    @property
    def kv(self) -> str:
        """How keys and values are kept."""
        session = _core.Session(self._model, context=1, batch=1, threads=1, kv=self._kv)
        try:
            return session.kv
        finally:
            session.close()


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
