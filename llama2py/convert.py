"""Checkpoints of any kind that is known, as GGUF files."""

from __future__ import annotations

from collections.abc import Callable

from llama2py._core import StrPath
from llama2py.quantize import QuantizeResult, write

__all__ = ["convert"]


def convert(
    source: StrPath,
    target: StrPath,
    type: str | None = None,
    *,
    threads: int | None = None,
    force: bool = False,
    tokenizer: StrPath | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> QuantizeResult:
    """quantize(), but that a model keeps the type that it has: None takes the one that most of the weights have."""
    return write(source, target, type, threads=threads, force=force, tokenizer=tokenizer, progress=progress)
