"""One generation on its way: prompt, draws, stop strings, figures."""

from __future__ import annotations

import resource
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from llama2py import _core
from llama2py.errors import InvalidArgumentError
from llama2py.result import Chunk, FinishReason, Result

if TYPE_CHECKING:
    from llama2py.llama import Llama

__all__ = ["Stream"]

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """What is to be generated. The sampling's random state belongs to this request alone."""

    prompt: list[int]
    max_tokens: int
    sampling: _core.Sampling
    seed: int
    stops: list[str]
    echo: bool


@dataclass
class Progress:
    """How far a generation has come. Seconds are of computing."""

    llama: Llama
    session: _core.Session | None = None
    finish: FinishReason = "length"
    prompt_seconds: float = 0.0
    first_seconds: float = 0.0
    decode_seconds: float = 0.0

    def compute(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> tuple[T, float]:
        """What the call gives, and the seconds that it took."""
        assert self.session is not None
        with self.llama._computing(self.session):
            began = time.perf_counter()
            value = call(*args, **kwargs)
            return value, time.perf_counter() - began


class StopFilter:
    """Lets text through up to the first stop string, and holds back what may become one."""

    def __init__(self, stops: Sequence[str]) -> None:
        if "" in stops:
            raise InvalidArgumentError("a stop string is empty; expected at least one character")
        self._stops = stops
        self._held = ""

    def push(self, text: str) -> tuple[str, bool]:
        """The text that is certain now, and whether a stop string has come."""
        if not self._stops:
            return text, False
        text = self._held + text
        found = [at for at in map(text.find, self._stops) if at >= 0]
        if found:
            self._held = ""
            return text[: min(found)], True
        keep = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep], False

    def end(self) -> str:
        """What was held back in vain."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """The length of the longest end of `text` that `stop` begins with."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)


def peak_memory() -> int:
    """The most memory that this process has used, in bytes."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class Stream(Iterator[Chunk]):
    """A text as it is made: an iterator of chunks, one a token, that has a `result` when it has ended.

    It owns a sequence of its own, so that several may be read in turn. It ends by itself, by close() or by leaving its
    `with` block; one that is just dropped gives its memory back too.
    """

    def __init__(self, llama: Llama, request: Request, stride: int) -> None:
        """stride: how many tokens to draw before the first of them is handed out."""
        self._llama = llama
        self._request = request
        self._result: Result | None = None
        self._texts: list[str] = []
        self._tokens: list[int] = []
        self._progress = Progress(llama)
        self._lock = threading.RLock()
        self._chunks = _run(llama, request, stride, self._progress)

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Chunk:
        with self._lock:
            try:
                chunk = next(self._chunks)
            except StopIteration:
                self._end(self._progress.finish)
                raise
            except BaseException:
                self._end("cancelled")
                raise
            self._texts.append(chunk.text)
            if chunk.token is not None:
                self._tokens.append(chunk.token)
            return chunk

    def __copy__(self) -> Stream:
        raise TypeError("a Stream cannot be copied or pickled; make a new one")

    def __reduce__(self) -> str:
        raise TypeError("a Stream cannot be copied or pickled; make a new one")

    @property
    def result(self) -> Result:
        """The whole of it, once the stream has ended."""
        if self._result is None:
            raise InvalidArgumentError("the stream has not ended; read it to its end or close() it first")
        return self._result

    def close(self) -> None:
        """Ends the stream and gives its sequence back. Its result is what was read so far.

        What another thread reads from it at the time is cancelled.
        """
        while not self._lock.acquire(timeout=0.02):
            session = self._progress.session
            if session is not None:
                session.cancel()
        try:
            self._chunks.close()
            self._end("cancelled")
        finally:
            self._lock.release()

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _end(self, finish: FinishReason) -> None:
        progress = self._progress
        if progress.session is not None:
            self._llama._give_back(progress.session)
            progress.session = None
        if self._result is not None:
            return
        n_prompt, n_decoded = len(self._request.prompt), len(self._tokens) - 1
        self._result = Result(
            text="".join(self._texts),
            tokens=self._tokens,
            finish_reason=finish,
            prompt_tokens=n_prompt,
            prompt_tps=n_prompt / progress.prompt_seconds if progress.prompt_seconds else 0.0,
            decode_tps=n_decoded / progress.decode_seconds if n_decoded > 0 else 0.0,
            time_to_first_token=progress.prompt_seconds + progress.first_seconds,
            peak_memory=peak_memory(),
            seed=self._request.seed,
        )


def _run(llama: Llama, request: Request, stride: int, progress: Progress) -> Generator[Chunk, None, None]:
    """It must not refer to its Stream: in a cycle, a dropped stream would keep its memory until the collector comes."""
    tokenizer = llama.tokenizer
    text, stop_filter = tokenizer.text_stream(), StopFilter(request.stops)
    prompt = "".join([text.push(token) for token in request.prompt])
    if request.echo and prompt:
        yield Chunk(prompt, None)

    session = progress.session = llama._take_session()
    _, progress.prompt_seconds = progress.compute(session.eval, request.prompt)
    stop_ids = [tokenizer.bos_id, tokenizer.eos_id]
    n = 0
    while n < request.max_tokens:
        capacity = min(stride, request.max_tokens - n) if n else 1
        (tokens, finish), seconds = progress.compute(session.generate, request.sampling, stop_ids, capacity)
        if n == 0:
            progress.first_seconds = seconds
        else:
            progress.decode_seconds += seconds
        n += len(tokens)
        for token in tokens:
            piece, stopped = stop_filter.push(text.push(token))
            if stopped:
                progress.finish = "stop"
            yield Chunk(piece, token)
            if stopped:
                return
        if finish != _core.FINISH_NONE:
            progress.finish = "stop" if finish == _core.FINISH_STOP else "length"
            break
    rest = stop_filter.push(text.end())[0] + stop_filter.end()
    if rest:
        yield Chunk(rest, None)
