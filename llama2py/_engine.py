"""The thread that computes: it takes requests from any thread, and tells each what becomes of it.

Private. Nothing here knows of texts.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeAlias, TypeVar

from llama2py import _core
from llama2py.errors import CancelledError, ClosedError, Llama2Error

__all__ = ["Engine", "Sink"]

T = TypeVar("T")

# What becomes of a request: its events, or why there will be no more. Called on the engine's thread; it must be quick.
Sink: TypeAlias = "Callable[[list[_core.Event] | Llama2Error], object]"

_abandoned: list[_core.Engine] = []

# Events are handed out this often, if not with each step: a thread that is woken costs more than a small model's step.
_SECONDS = 0.004


class Engine:
    """Owns a _core.Engine and its thread, which begins with the first request and ends with close()."""

    def __init__(self, core: _core.Engine, at_end: Callable[[], object]) -> None:
        """at_end: called once nothing computes any more, and the core engine is closed."""
        self.core = core
        self.abandoned = False  # by a fork: its thread is not in this process
        self._at_end = at_end
        self._changed = threading.Condition()
        self._sinks: dict[int, tuple[Sink, _core.Asked]] = {}  # what was asked lives as long as C may write to it
        self._jobs: list[tuple[Callable[[], Any], Future[Any]]] = []
        self._busy = False
        self._closing = False
        self._thread: threading.Thread | None = None

    def submit(self, asked: _core.Asked, sink: Sink) -> int:
        """The request's number."""
        with self._changed:
            self._check_open()
            number = self.core.submit(asked)
            self._sinks[number] = sink, asked
            self._wake()
            return number

    def cancel(self, number: int) -> None:
        """Has the request end soon, if it has not; its sink is told."""
        if self.abandoned:
            return
        with self._changed:
            if number in self._sinks and not self._closing:
                self.core.cancel(number)

    def abandon(self) -> None:
        """In a forked child, where its locks may be held by threads that are not there: it is never touched again."""
        self.abandoned = True
        _abandoned.append(self.core)

    def call(self, function: Callable[[], T]) -> T:
        """What the function gives when it is called between two steps."""
        done: Future[T] = Future()
        with self._changed:
            self._check_open()
            if threading.current_thread() is self._thread:
                return function()
            self._jobs.append((function, done))
            self._wake()
        return done.result()

    def close(self, wait: float | None = None) -> None:
        """Ends what computes and frees it, at the latest when a callback that is running returns.

        wait: seconds at most; None waits for the end. The engine's own thread does not wait.
        """
        if self.abandoned:
            return
        with self._changed:
            first = not self._closing
            self._closing = True
            thread = self._thread
            self._changed.notify_all()
            if first and thread is not None:
                self.core.interrupt()
        if thread is None:
            if first:
                self._end()
        elif thread is not threading.current_thread():
            thread.join(wait)

    def _check_open(self) -> None:
        if self._closing:
            raise ClosedError("the Llama was closed; make a new one")

    def _wake(self) -> None:
        self._busy = True
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="llama2py engine", daemon=True)
            self._thread.start()
        self._changed.notify()

    def _serve(self) -> None:
        try:
            while self._await_work():
                try:
                    events, busy = self.core.step(_SECONDS)
                except Llama2Error as error:
                    self._tell_all(error)
                    continue
                with self._changed:
                    self._busy = self._busy or busy
                self._tell(events)
        finally:
            self._end()

    def _await_work(self) -> bool:
        """Whether there is a step to compute; False: it is the end."""
        while True:
            with self._changed:
                while not (self._busy or self._jobs or self._closing):
                    self._changed.wait()
                if self._closing:
                    return False
                jobs, self._jobs = self._jobs, []
                busy, self._busy = self._busy, False
            for function, done in jobs:
                try:
                    done.set_result(function())
                except Exception as error:
                    done.set_exception(error)
            if busy:
                return True

    def _tell(self, events: list[_core.Event]) -> None:
        told: dict[int, list[_core.Event]] = {}
        for event in events:
            told.setdefault(event.request, []).append(event)
        with self._changed:
            sinks = [(self._sinks[number][0], list_of) for number, list_of in told.items() if number in self._sinks]
            for number, list_of in told.items():
                if list_of[-1].end != _core.END_NONE:
                    self._sinks.pop(number, None)
        for sink, list_of in sinks:
            sink(list_of)

    def _tell_all(self, error: Llama2Error) -> None:
        with self._changed:
            sinks, self._sinks = self._sinks, {}
            for number in sinks:
                self.core.cancel(number)
        for sink, _ in sinks.values():
            sink(error)

    def _end(self) -> None:
        with self._changed:
            sinks, self._sinks = self._sinks, {}
            jobs, self._jobs = self._jobs, []
            self._closing = True
            self.core.close()
        for sink, _ in sinks.values():
            sink(CancelledError("the Llama was closed"))
        for _, done in jobs:
            done.set_exception(ClosedError("the Llama was closed; make a new one"))
        self._at_end()

    def state(self) -> dict[str, Any]:
        """The fields of llama2_engine_state."""
        with self._changed:
            self._check_open()
            return self.core.state()
