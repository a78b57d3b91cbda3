"""One generation on its way: prompt, draws, stop strings, figures."""

from __future__ import annotations

import resource
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import TYPE_CHECKING, TypeAlias

from llama2py import _core
from llama2py.errors import CancelledError, ClosedError, InvalidArgumentError, Llama2Error, NumericError
from llama2py.result import Chunk, FinishReason, Result, Top
from llama2py.tokenizer import Tokenizer

if TYPE_CHECKING:
    from llama2py.llama import Llama

__all__ = ["Stream"]

Told: TypeAlias = "list[_core.Event] | Llama2Error"

_FINISH: dict[int, FinishReason] = {
    _core.END_STOP: "stop",
    _core.END_LENGTH: "length",
    _core.END_CANCELLED: "cancelled",
}


@dataclass(frozen=True)
class Request:
    """What is to be generated. tokenizer: None where there is none, and tokens are all that comes out."""

    asked: _core.Asked
    seed: int
    stops: list[str]
    echo: bool
    tokenizer: Tokenizer | None


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

    It is computed from the start, whether or not it is read, beside all others of its Llama. It ends by itself, by
    close() or by leaving its `with` block; one that is just dropped ends too. Any thread may call it.
    """

    def __init__(
        self,
        llama: Llama,
        request: Request,
        inbox: SimpleQueue[tuple[Stream, Told]] | None = None,
        on_chunk: Callable[[Chunk], object] | None = None,
    ) -> None:
        """inbox: where what becomes of it is put, to be given to take(), if not into one of its own.
        on_chunk: called on the thread that computes, instead.
        """
        if request.stops and request.tokenizer is None:
            raise InvalidArgumentError("stop strings need a tokenizer, and there is none; stop by max_tokens")
        self._llama = llama
        self._request = request
        self._stop_filter = StopFilter(request.stops)
        self._text = None if request.tokenizer is None else request.tokenizer.text_stream()
        self._inbox: SimpleQueue[Told] = SimpleQueue()
        self._on_chunk = on_chunk
        self._ready: deque[Chunk] = deque()
        self._chunks: list[Chunk] = []
        self._prompt_logprobs: list[float | None] | None = [None] if request.asked.score else None
        self._prompt_top: list[Top | None] | None = [None] if request.asked.score and request.asked.top else None
        self._first: _core.Event | None = None
        self._last: _core.Event | None = None
        self._seconds_last = 0.0
        self._finish: FinishReason | None = None
        self._error: BaseException | None = None
        self._result: Result | None = None
        self._done = threading.Event()
        self._lock = threading.RLock()
        prompt = request.asked.prompt
        if self._text is not None:
            before = "".join([self._text.push(token) for token in prompt])
            if request.echo and before:
                self._ready.append(Chunk(before, None))
        self._began = time.monotonic()
        self._engine = llama._computer()
        with self._lock:  # a callback waits until there is a number
            self._number = self._engine.submit(request.asked, self._sink_for(inbox))
        self._drop = weakref.finalize(self, self._engine.cancel, self._number)
        self._drop.atexit = False

    def _sink_for(self, inbox: SimpleQueue[tuple[Stream, Told]] | None) -> Callable[[Told], None]:
        """Only where somebody is sure to read does it keep the stream alive."""
        if inbox is not None:
            return lambda told: inbox.put((self, told))
        return self._tell_callback if self._on_chunk is not None else self._inbox.put

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Chunk:
        with self._lock:
            while not self._ready:
                if self._finish is not None:
                    self._raise_or_stop()
                self.take(self._await())
            if self._llama.closed:
                self._end("cancelled")
                self._llama._check_open()
            return self._hand_out()

    def _hand_out(self) -> Chunk:
        chunk = self._ready.popleft()
        self._chunks.append(chunk)
        return chunk

    def drain(self) -> list[Chunk]:
        """The chunks that are there; it ends with the last of them."""
        with self._lock:
            chunks = [self._hand_out() for _ in range(len(self._ready))]
            if self._finish is not None:
                self._end(self._finish)
            return chunks

    def _raise_or_stop(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        self._end(self._finish or "cancelled")
        raise StopIteration

    def _await(self) -> Told:
        """What comes next; whatever a signal handler raises meanwhile ends the request."""
        try:
            while True:
                if self._engine.abandoned:
                    return CancelledError("this process was forked from the one that computes it; ask for it anew")
                try:
                    return self._inbox.get(timeout=1.0)
                except Empty:
                    continue
        except BaseException:
            self._end("cancelled")
            raise

    def take(self, told: Told) -> None:
        """Makes chunks of what has become of the request."""
        if isinstance(told, Llama2Error):
            self._fail(told)
            return
        for event in told:
            if self._finish is None:
                self._take_event(event)

    def _take_event(self, event: _core.Event) -> None:
        prompt = self._request.asked.prompt
        self._last = event
        if event.end == _core.END_NONE:
            if event.place < len(prompt):
                assert self._prompt_logprobs is not None
                self._prompt_logprobs.append(event.logprob)
                if self._prompt_top is not None:
                    self._prompt_top.append(event.top)
                return
            self._first = self._first or event
            self._seconds_last = event.seconds
            piece, stopped = "", False
            if self._text is not None:
                piece, stopped = self._stop_filter.push(self._text.push(event.token))
            asked = self._request.asked
            self._ready.append(
                Chunk(piece, event.token, event.logprob if asked.logprobs else None, event.top if asked.top else None)
            )
            if stopped:
                self._finish = "stop"
                self._engine.cancel(self._number)
            return
        if event.end == _core.END_NUMERIC:
            self._fail(NumericError(event.message))
            return
        if self._text is not None and event.end != _core.END_CANCELLED:
            rest = self._stop_filter.push(self._text.end())[0] + self._stop_filter.end()
            if rest:
                self._ready.append(Chunk(rest, None))
        self._finish = _FINISH[event.end]

    def _fail(self, error: BaseException) -> None:
        if self._finish is None:
            ended = isinstance(error, CancelledError) and self._llama._ended
            self._error = SystemExit() if ended else error  # the interpreter ends: a thread does without a word
            if isinstance(error, CancelledError) and self._llama.closed and not ended:
                self._error = ClosedError(f"{self._llama!r} was closed while it computed")
            self._finish = "cancelled"

    def _tell_callback(self, told: Told) -> None:
        """On the engine's thread. What the callback raises ends this request, and comes out of wait()."""
        with self._lock:
            self.take(told)
            try:
                while self._ready and self._on_chunk is not None:
                    self._on_chunk(self._hand_out())
            except BaseException as error:
                self._on_chunk = None
                self._ready.clear()
                self._engine.cancel(self._number)
                self._finish, self._error = "cancelled", error
            if self._finish is not None:
                self._end(self._finish)

    @property
    def done(self) -> bool:
        """Whether it has ended, or what was read of it has."""
        return self._result is not None

    @property
    def result(self) -> Result:
        """The whole of it, once the stream has ended."""
        if self._result is None:
            raise InvalidArgumentError("the stream has not ended; read it to its end, wait() for it or close() it")
        return self._result

    def wait(self, timeout: float | None = None) -> Result:
        """Reads to the end, and gives the whole. Raises TimeoutError after `timeout` seconds; it goes on then."""
        until = None if timeout is None else time.monotonic() + timeout
        if self._on_chunk is not None or (self._error is not None and self._result is not None):
            if not self._done.wait(timeout):
                raise TimeoutError(f"the text was not finished within {timeout} seconds")
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            return self.result
        if until is not None:
            while self._finish is None:
                left = until - time.monotonic()
                try:
                    told = self._inbox.get(timeout=max(0.0, left))
                except Empty:
                    raise TimeoutError(f"the text was not finished within {timeout} seconds") from None
                with self._lock:
                    self.take(told)
        for _ in self:
            pass
        return self.result

    def close(self) -> None:
        """Ends the stream. Its result is what was read so far.

        What another thread reads from it at the time ends.
        """
        self._engine.cancel(self._number)
        with self._lock:
            self._ready.clear()
            self._end("cancelled")

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __copy__(self) -> Stream:
        raise TypeError("a Stream cannot be copied or pickled; make a new one")

    def __reduce__(self) -> str:
        raise TypeError("a Stream cannot be copied or pickled; make a new one")

    def _end(self, finish: FinishReason) -> None:
        self._drop()  # cancels it, if there is anything to cancel
        self._finish = self._finish or finish
        if self._result is not None:
            return
        drawn = [chunk for chunk in self._chunks if chunk.token is not None]
        n_prompt = len(self._request.asked.prompt)
        asked, first, last = self._request.asked, self._first, self._last
        read = first.seconds - first.began if first else 0.0
        decode = self._seconds_last - first.seconds if first else 0.0
        self._result = Result(
            text="".join(chunk.text for chunk in self._chunks),
            tokens=[chunk.token for chunk in drawn if chunk.token is not None],
            finish_reason=finish,
            prompt_tokens=n_prompt,
            prompt_tps=(n_prompt - first.cached) / read if first and read > 0 else 0.0,
            decode_tps=(len(drawn) - 1) / decode if len(drawn) > 1 and decode > 0 else 0.0,
            time_to_first_token=max(0.0, first.seconds - self._began) if first else 0.0,
            peak_memory=peak_memory(),
            seed=self._request.seed,
            cached_tokens=last.cached if last else 0,
            drafted=last.drafted if last else 0,
            accepted=last.accepted if last else 0,
            logprobs=[chunk.logprob or 0.0 for chunk in drawn] if asked.logprobs else None,
            top_logprobs=[chunk.top or () for chunk in drawn] if asked.top else None,
            prompt_logprobs=self._prompt_logprobs,
            prompt_top_logprobs=self._prompt_top,
        )
        self._done.set()
