"""Checkpoints of any kind that is known, as GGUF files."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

from llama2py import huggingface
from llama2py._core import StrPath
from llama2py.errors import InvalidArgumentError
from llama2py.info import describe
from llama2py.quantize import QUANTIZE_TYPES, QuantizeResult, quantize, write

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
    """Writes a model as a GGUF file `target`: a Hugging Face folder, or any checkpoint that quantize() takes.

    type: one of QUANTIZE_TYPES; None takes the one that most of the weights have.
    tokenizer: a tokenizer.bin or GGUF file; None takes what is in the folder, or what quantize() finds.

    threads, force, progress, and what is left of a failure: as in quantize().
    """
    if not huggingface.is_folder(source):
        kept = _kept_type(source) if type is None else type
        return quantize(source, target, kept, threads=threads, force=force, tokenizer=tokenizer, progress=progress)
    folder = huggingface.open_folder(source, tokenizer is None)
    read = [entry.path for entry in os.scandir(source) if not entry.name.endswith(".gguf")]
    for file in (*folder.files, *read, *([] if tokenizer is None else [tokenizer])):
        if os.path.exists(target) and os.path.exists(file) and os.path.samefile(file, target):
            raise InvalidArgumentError(f"{os.fspath(target)}: is read from; expected another name to write to")
    kept = folder.dtype if type is None else type
    size = folder.bytes
    result = write(folder.source(), target, kept, threads=threads, force=force, tokenizer=tokenizer, progress=progress)
    found = folder.tokenizer if tokenizer is None else os.fspath(tokenizer)
    return replace(result, bytes_in=size, tokenizer=found, notes=folder.notes)


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
