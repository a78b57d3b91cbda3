"""The one obvious object: a checkpoint that continues texts."""

from __future__ import annotations

import atexit
import operator
import os
import secrets
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType

import numpy as np
import numpy.typing as npt

from llama2py import _core, sources
from llama2py._core import StrPath
from llama2py.box import model_in_the_box
from llama2py.errors import (
    CancelledError,
    ClosedError,
    ContextOverflowError,
    InvalidArgumentError,
    TokenizerError,
)
from llama2py.info import ModelInfo
from llama2py.result import Result
from llama2py.stream import Request, Stream
from llama2py.tokenizer import Tokenizer

__all__ = ["Llama", "generate"]

# The random generator cannot start from 0, so seed 0 stands for this state (2**64 divided by the golden ratio).
_STATE_OF_SEED_0 = 0x9E3779B97F4A7C15
_MOST = 3e38  # close to what a float32 can hold

# The child of a fork has the locks of threads that it does not have.
_alive: weakref.WeakSet[Llama] = weakref.WeakSet()


def _forget_threads() -> None:
    for llama in list(_alive):
        llama._start_anew()


os.register_at_fork(after_in_child=_forget_threads)


@atexit.register
def _end_threads() -> None:
    """What daemon threads compute must not call back into an interpreter that is gone."""
    for llama in list(_alive):
        llama._end()


class Llama:
    """A model, ready to run.

    path: a checkpoint: llama2.c's .bin or ckpt.pt, a GGUF file (of several, the first), a Hugging Face folder, or one
        of Meta's, with params.json and consolidated.NN.pth; None takes the model in the box.
    tokenizer: a Tokenizer or the path of one; None looks beside the checkpoint once text is wanted.
    quantize: "q8_0" makes a float checkpoint's matrices int8 while loading, 8.5 bits a weight.
    threads: how many compute; None takes the cores this process may really use. Never changes a result.
    context: how many tokens a sequence may have; None takes what the model was trained for.
    isa: "scalar", "avx2", "avx512", "amx" or "neon"; None takes the fastest. Never changes a result.
    batch: how many tokens of a prompt are computed at once; None takes 256. Never changes a result.
    progress: called now and then while it loads, with the bytes that are done and the bytes in all.

    Any thread may call it: one call computes at a time, and the others wait. Use `with`, or close(), to give the memory
    back at a known moment.
    """

    def __init__(
        self,
        path: StrPath | None = None,
        tokenizer: StrPath | Tokenizer | None = None,
        quantize: str | None = None,
        threads: int | None = None,
        context: int | None = None,
        *,
        isa: str | None = None,
        batch: int | None = None,
        progress: Callable[[int, int], object] | None = None,
    ) -> None:
        self._path = model_in_the_box() if path is None else os.fspath(path)
        self._lock = threading.RLock()
        self._depth = 0
        self._closed = False
        self._ended = False  # the interpreter is about to
        self._active: _core.Session | None = None
        self._idle: list[_core.Session] = []
        self._sessions: weakref.WeakSet[_core.Session] = weakref.WeakSet()
        self._session_options = {"context": context, "batch": batch, "threads": threads}
        self._model = _core.Model(
            sources.opened(self._path),
            quantize=quantize,
            threads=threads,
            isa=isa,
            context=context,
            batch=batch,
            progress=progress,
        )
        self._info = ModelInfo(**self._model.describe())
        self._tokenizer: Tokenizer | None = None
        if isinstance(tokenizer, Tokenizer):
            if tokenizer.vocab_size != self._info.vocab_size:
                raise TokenizerError(
                    f"{tokenizer.path}: {tokenizer.vocab_size} tokens, but {self._path} has {self._info.vocab_size}"
                )
            self._tokenizer = tokenizer
        elif tokenizer is not None:
            self._tokenizer = Tokenizer(tokenizer, self._info.vocab_size)
        _alive.add(self)
        first = self._take_session()
        self._context = first.context
        self._give_back(first)

    # What it is.

    @property
    def info(self) -> ModelInfo:
        """The model's shape, sizes, format and instruction set."""
        return self._info

    @property
    def context(self) -> int:
        """How many tokens a sequence may have."""
        return self._context

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer in use."""
        if self._tokenizer is None:
            self._tokenizer = Tokenizer.find(self._path, self._info.vocab_size)
        return self._tokenizer

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._closed

    def __repr__(self) -> str:
        return f"Llama({self._path!r}{', closed' if self._closed else ''})"

    # Text.

    def generate(
        self,
        prompt: str | bytes | Sequence[int] = "",
        max_tokens: int | None = None,
        temperature: float = 1.0,
        top_p: float = 0.9,
        seed: int | None = None,
        stop: str | Sequence[str] | None = None,
        echo: bool = False,
    ) -> Result:
        """Continues a text.

        prompt: text (bytes: in UTF-8), which is encoded with <s> before it, or token ids, which are taken as they are.
        max_tokens: the most to draw; None draws until the model ends the text or the context is full.
        temperature: 0 always takes the likeliest token.
        top_p: draws from the smallest set of tokens whose probabilities exceed it; 0 and 1 draw from all.
        seed: from 0 to 2**64 - 1; None takes a fresh one, which the result tells.
        stop: a string, or several, before which the text is cut.
        echo: whether the text begins with the prompt.

        Raises ContextOverflowError, before it computes anything, if the prompt is longer than the context.
        """
        with self._exclusive():
            # A stop string is looked for after each token, so that none is drawn in vain.
            stride = 1 if stop else self._context
            with self._stream(prompt, max_tokens, temperature, top_p, seed, stop, echo, stride) as stream:
                for _ in stream:
                    pass
                return stream.result

    def stream(
        self,
        prompt: str | bytes | Sequence[int] = "",
        max_tokens: int | None = None,
        temperature: float = 1.0,
        top_p: float = 0.9,
        seed: int | None = None,
        stop: str | Sequence[str] | None = None,
        echo: bool = False,
    ) -> Stream:
        """The same as generate(), as an iterator that gives each piece of the text as soon as it is made."""
        return self._stream(prompt, max_tokens, temperature, top_p, seed, stop, echo, 1)

    __call__ = generate

    def tokenize(
        self,
        text: str | bytes | bytearray | memoryview,
        bos: bool | None = None,
        eos: bool | None = None,
        special: bool = False,
    ) -> list[int]:
        """The ids of a text; see Tokenizer.encode."""
        return self.tokenizer.encode(text, bos, eos, special)

    def detokenize(self, ids: Sequence[int]) -> str:
        """The text of these ids."""
        return self.tokenizer.decode(ids)

    def logits(self, tokens: Sequence[int]) -> npt.NDArray[np.float32]:
        """What the model expects after each of these tokens: float32, (tokens, vocab_size)."""
        ids = _core.token_ids(tokens)
        with self._exclusive():
            self._check_context(len(ids))
            session = self._take_session()
            try:
                with self._computing(session):
                    return session.eval_logits(ids, self._info.vocab_size)
            finally:
                self._give_back(session)

    def score(self, tokens: Sequence[int], first: int = 1) -> npt.NDArray[np.float64]:
        """How likely the model finds tokens[first:]: the natural logarithm of each one's probability after all before
        it. float64, (len(tokens) - first,). What comes before is context only; the first token of all has none.
        """
        ids = _core.token_ids(tokens)
        first = operator.index(first)
        if not 1 <= first <= len(ids):
            raise InvalidArgumentError(f"first is {first}; expected 1 to {len(ids)}, the number of tokens")
        if first == len(ids):
            return np.empty(0)
        with self._exclusive():
            self._check_context(len(ids) - 1)
            session = self._take_session()
            try:
                with self._computing(session):
                    targets = [-1] * (first - 1) + ids[first:]
                    return session.score(ids[:-1], targets)[first - 1 :]
            finally:
                self._give_back(session)

    def _stream(
        self,
        prompt: str | bytes | Sequence[int],
        max_tokens: int | None,
        temperature: float,
        top_p: float,
        seed: int | None,
        stop: str | Sequence[str] | None,
        echo: bool,
        stride: int,
    ) -> Stream:
        self._check_open()
        if isinstance(prompt, str | bytes | bytearray | memoryview):
            ids = self.tokenize(prompt)
        else:
            ids = _core.token_ids(prompt)
        if not ids:
            raise InvalidArgumentError("the prompt has no token; expected at least one, for example <s>")
        self._check_context(len(ids))
        # The last token drawn is not computed, so that one more than the context holds can be drawn.
        room = self._context - len(ids) + 1
        wanted = room if max_tokens is None else operator.index(max_tokens)
        if wanted < 0:
            raise InvalidArgumentError(f"max_tokens is {wanted}; expected 0 or more, or None")
        if not 0 <= temperature <= _MOST:
            raise InvalidArgumentError(f"temperature is {temperature}; expected 0 to {_MOST:g}")
        if not 0 <= top_p <= 1:
            raise InvalidArgumentError(f"top_p is {top_p}; expected 0 to 1")
        seed = secrets.randbits(64) if seed is None else operator.index(seed)
        if not 0 <= seed < 2**64:
            raise InvalidArgumentError(f"seed is {seed}; expected 0 to 2**64 - 1, or None")
        sampling = _core.Sampling(temperature, top_p, seed or _STATE_OF_SEED_0)
        stops = [] if stop is None else [stop] if isinstance(stop, str) else list(stop)
        return Stream(self, Request(ids, min(wanted, room), sampling, seed, stops, echo), stride)

    def _check_context(self, n: int) -> None:
        if n > self._context:
            raise ContextOverflowError(f"{n} tokens, but the context holds {self._context}", n, self._context)

    # Memory and turns.

    def close(self) -> None:
        """Frees the model and its sequences; what another thread is computing is cancelled.

        Later calls raise ClosedError; a second close does nothing.
        """
        self._closed = True
        while not self._lock.acquire(timeout=0.02):
            self._cancel()
        try:
            # Within a call this is a signal handler: that call ends first, and frees.
            if self._depth:
                self._cancel()
            else:
                self._free()
        finally:
            self._lock.release()

    def __copy__(self) -> Llama:
        raise TypeError("a Llama cannot be copied or pickled; make a new one")

    def __reduce__(self) -> str:
        raise TypeError("a Llama cannot be copied or pickled; make a new one")

    def __enter__(self) -> Llama:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError(f"{self._path} was closed; make a new Llama")

    def _start_anew(self) -> None:
        """In a forked child: what another thread was computing, and held, is left alone."""
        self._lock = threading.RLock()
        self._depth, self._active = 0, None
        for session in list(self._sessions):
            session.start_anew()

    def _end(self) -> None:
        """Cancels what is computing, and lets nothing compute any more."""
        self._ended = True
        for _ in range(100):
            if self._lock.acquire(timeout=0.02):
                return
            self._cancel()

    def _cancel(self) -> None:
        active = self._active
        if active is not None:
            active.cancel()

    def _free(self) -> None:
        for session in list(self._sessions):
            session.close()
        self._idle.clear()
        self._model.close()

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """This thread's turn."""
        with self._lock:
            self._check_open()
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if self._closed and not self._depth:
                    self._free()

    @contextmanager
    def _computing(self, session: _core.Session) -> Iterator[None]:
        """This thread's turn, in which close() may cancel what the session computes."""
        with self._exclusive():
            outer, self._active = self._active, session
            try:
                yield
            except CancelledError:
                if self._ended:
                    raise SystemExit from None  # ends a thread without a word
                self._check_open()
                raise
            finally:
                self._active = outer

    def _take_session(self) -> _core.Session:
        """An empty session that belongs to the caller alone."""
        with self._exclusive():
            if self._idle:
                session = self._idle.pop()
                session.truncate(0)
                return session
            session = _core.Session(self._model, **self._session_options)
            self._sessions.add(session)
            return session

    def _give_back(self, session: _core.Session) -> None:
        """Keeps one session for the next call; another is freed as soon as nobody refers to it."""
        with self._lock:
            if not self._closed and not self._idle:
                self._idle.append(session)


def generate(
    checkpoint: StrPath | None = None,
    prompt: str | bytes | Sequence[int] = "",
    *,
    max_tokens: int | None = None,
    temperature: float = 1.0,
    top_p: float = 0.9,
    seed: int | None = None,
    tokenizer: StrPath | Tokenizer | None = None,
    quantize: str | None = None,
    threads: int | None = None,
    context: int | None = None,
    stop: str | Sequence[str] | None = None,
) -> Result:
    """Loads a checkpoint, continues a text, and frees it again. For more than one text, keep a Llama.

    checkpoint: None takes the model in the box, as in generate(prompt="Once upon a time").
    """
    with Llama(checkpoint, tokenizer, quantize, threads, context) as llama:
        return llama.generate(prompt, max_tokens, temperature, top_p, seed, stop)
