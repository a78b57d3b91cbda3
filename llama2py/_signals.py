"""Signals that end a command: it goes, but leaves nothing half made."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

__all__ = ["tidy_end"]


class _EndedError(BaseException):
    """A signal asks this process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def tidy_end() -> Iterator[None]:
    """Has SIGTERM and SIGHUP, where they would end the process at once, end it as soon as all is tidied up."""
    numbers: list[int] = []
    if threading.current_thread() is threading.main_thread():
        numbers = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) is signal.SIG_DFL]

    def handle(handler: signal.Handlers) -> None:
        for number in numbers:
            signal.signal(number, handler)

    def end(number: int, frame: FrameType | None) -> None:
        handle(signal.SIG_IGN)  # a second one would come in the midst of tidying up
        raise _EndedError(number)

    for number in numbers:
        signal.signal(number, end)
    ended = None
    try:
        yield
    except _EndedError as error:
        ended = error.number
    finally:
        handle(signal.SIG_DFL)
    if ended is not None:
        os.kill(os.getpid(), ended)
