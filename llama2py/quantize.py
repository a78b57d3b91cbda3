"""Checkpoints written anew, smaller: any that loads, as a GGUF file of another type."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from llama2py import _core
from llama2py._core import StrPath
from llama2py.info import TypeTotal, totals

__all__ = ["QUANTIZE_TYPES", "QuantizeResult", "QuantizedTensor", "quantize"]

QUANTIZE_TYPES = _core.quantize_types()

_FLOATS = ("f32", "f16", "bf16")


@dataclass(frozen=True)
class QuantizedTensor:
    """A tensor that was written: the types that it had, was to have, and has."""

    name: str
    had: str
    wanted: str
    dtype: str
    values: int
    bytes: int


@dataclass(frozen=True)
class QuantizeResult:
    """What quantize() wrote.

    tensors: each with its types, in the order of the file.
    bytes_in, bytes_out: of the two checkpoints.
    tokenizer: the file that the new one's tokenizer is from; None if it has none.
    notes: what was in the old one and is not in the new one, a line each.
    """

    type: str
    path: str
    tensors: list[QuantizedTensor]
    bytes_in: int
    bytes_out: int
    tokenizer: str | None
    notes: list[str] = field(default_factory=list)

    @property
    def types(self) -> dict[str, TypeTotal]:
        """What there is of each type."""
        return totals((tensor.dtype, tensor.values, tensor.bytes) for tensor in self.tensors)

    @property
    def fallbacks(self) -> list[QuantizedTensor]:
        """Those whose rows are not made of whole blocks of the wanted type, and have another."""
        return [tensor for tensor in self.tensors if tensor.dtype != tensor.wanted]

    @property
    def requantized(self) -> list[QuantizedTensor]:
        """Those that were quantised before to another type: what that has lost stays lost."""
        return [tensor for tensor in self.tensors if tensor.had not in (*_FLOATS, tensor.dtype)]

    @property
    def bits_per_weight(self) -> float:
        """Of all tensors."""
        return 8 * sum(tensor.bytes for tensor in self.tensors) / sum(tensor.values for tensor in self.tensors)


def quantize(
    source: StrPath,
    target: StrPath,
    type: str = "q8_0",
    *,
    threads: int | None = None,
    force: bool = False,
    tokenizer: StrPath | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> QuantizeResult:
    """Writes the checkpoint `source` as a GGUF file `target`, its matrices quantised.

    type: one of QUANTIZE_TYPES, as llama.cpp names them.
    threads: how many compute; None takes the cores this process may really use. Never changes the file.
    force: replace `target` if it is there.
    tokenizer: a tokenizer.bin or GGUF file; None takes the checkpoint's own or, for llama2.c's, the one beside it.
    progress: called now and then with the bytes that are written and the bytes in all; what it raises ends it.

    One tensor and a few megabytes are in memory at a time. The file takes its name when it is whole; nothing is left of
    a failure.
    """
    return write(source, target, type, threads=threads, force=force, tokenizer=tokenizer, progress=progress)


def write(
    source: StrPath | _core.Source,
    target: StrPath,
    type: str,
    *,
    threads: int | None,
    force: bool,
    tokenizer: StrPath | None,
    progress: Callable[[int, int], object] | None,
) -> QuantizeResult:
    """quantize() of a file, or of what was put together from others."""
    tensors: list[QuantizedTensor] = []
    result = _core.quantize(
        source,
        target,
        type=type,
        tokenizer=tokenizer,
        threads=threads,
        replace=force,
        progress=progress,
        tensor=lambda *fields: tensors.append(QuantizedTensor(*fields)),
    )
    return QuantizeResult(type, os.fspath(target), tensors, **result)
