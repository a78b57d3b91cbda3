"""Checkpoints written anew, smaller: any that loads, as a GGUF file of another type."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from llama2py import _core, sources
from llama2py._core import StrPath
from llama2py._opened import Opened
from llama2py.errors import InvalidArgumentError, TokenizerError
from llama2py.info import TypeTotal, describe, totals

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
    tokenizer: the file that the new one's tokenizer is from, or of a llama2.c checkpoint the one beside it; None if it
        has none.
    norm_eps: what the model normalises with.
    notes: what was in the old one and is not in the new one, a line each.
    """

    type: str
    path: str
    tensors: list[QuantizedTensor]
    bytes_in: int
    bytes_out: int
    tokenizer: str | None
    norm_eps: float
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
    """Writes the checkpoint `source`, whatever Llama() takes, as a GGUF file `target`, its matrices quantised.

    type: one of QUANTIZE_TYPES, as llama.cpp names them.
    threads: how many compute; None takes the cores this process may really use. Never changes the file.
    force: replace `target` if it is there.
    tokenizer: a tokenizer.bin or GGUF file and, for folders and torch files, also another folder or a tokenizer.model;
        None takes the checkpoint's own or, for llama2.c's, the one beside it.
    progress: called now and then with the bytes that are written and the bytes in all; what it raises ends it.

    One tensor and a few megabytes are in memory at a time. The file takes its name when it is whole; nothing is left of
    a failure.
    """
    return write(source, target, type, threads=threads, force=force, tokenizer=tokenizer, progress=progress)


def write(
    source: StrPath,
    target: StrPath,
    type: str | None,
    *,
    version: int | None = None,
    threads: int | None,
    force: bool,
    tokenizer: StrPath | None,
    progress: Callable[[int, int], object] | None,
) -> QuantizeResult:
    """quantize(), but that None as a type is the one that most of the weights have. version: as convert() has it."""
    source = sources.located(source)
    tokenizer = None if tokenizer is None else sources.located(tokenizer)
    own = tokenizer is None or (os.path.isdir(source) and _is_same(tokenizer, source))
    found = sources.open_checkpoint(source, own)
    told: dict[str, Any] = {"version": version, "threads": threads, "force": force, "progress": progress}
    if found is None:
        return _write(source, target, _kept_type(source) if type is None else type, tokenizer=tokenizer, **told)
    read = [*found.read, *([] if tokenizer is None else [tokenizer])]
    if any(_is_same(file, target) for file in read):
        raise InvalidArgumentError(f"{os.fspath(target)}: is read from; expected another name to write to")
    named: StrPath | None = None
    if own:
        named = None if found.tokenizer else _beside(found)
    elif tokenizer is not None:
        keys = sources.tokenizer_keys(tokenizer, found.vocab_size, written=True)
        named = tokenizer if keys is None else None
        found = replace(found, keys=found.keys | (keys or {}), tokenizer=os.fspath(tokenizer))
    size = found.bytes
    result = _write(found.source(), target, found.dtype if type is None else type, tokenizer=named, **told)
    return replace(result, bytes_in=size, tokenizer=found.tokenizer or result.tokenizer, notes=found.notes)


def _is_same(one: StrPath, other: StrPath) -> bool:
    return os.path.exists(one) and os.path.exists(other) and os.path.samefile(one, other)


def _beside(found: Opened) -> str | None:
    """The tokenizer beside a file."""
    with suppress(TokenizerError):
        return None if os.path.isdir(found.path) else _core.find_tokenizer(found.path, found.vocab_size)
    return None


def _kept_type(path: StrPath) -> str:
    """What most matrices of a file have, in GGUF's terms."""
    dtype = describe(path).dtype
    kept = "q8_0" if dtype == "q8_f" else dtype
    if kept not in QUANTIZE_TYPES:
        raise InvalidArgumentError(
            f"{os.fspath(path)}: its matrices are {dtype}, which cannot be written; name a type, one of "
            f"{', '.join(QUANTIZE_TYPES)}"
        )
    return kept


def _write(
    source: StrPath | _core.Source,
    target: StrPath,
    type: str,
    *,
    version: int | None,
    threads: int | None,
    force: bool,
    tokenizer: StrPath | None,
    progress: Callable[[int, int], object] | None,
) -> QuantizeResult:
    """Of a file, or of what was put together from others."""
    tensors: list[QuantizedTensor] = []
    result = _core.quantize(
        source,
        target,
        type=type,
        version=version,
        tokenizer=tokenizer,
        threads=threads,
        replace=force,
        progress=progress,
        tensor=lambda *fields: tensors.append(QuantizedTensor(*fields)),
    )
    return QuantizeResult(type, os.fspath(target), tensors, **result)
