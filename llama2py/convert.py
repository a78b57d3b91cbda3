"""Checkpoints of any kind that is known, as GGUF files or as llama2.c's."""

from __future__ import annotations

import filecmp
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from llama2py import sources
from llama2py._core import StrPath
from llama2py.errors import InvalidArgumentError, TokenizerError
from llama2py.info import describe
from llama2py.quantize import QuantizeResult, write
from llama2py.tokenizer import Tokenizer

__all__ = ["convert"]

_LLAMA2C_TYPES = ("f32", "f32", "q8_0")  # of each version of llama2.c's checkpoints
_LLAMA2C_EPS = np.float32(1e-5)


def convert(
    source: StrPath,
    target: StrPath,
    type: str | None = None,
    *,
    version: int | None = None,
    threads: int | None = None,
    force: bool = False,
    tokenizer: StrPath | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> QuantizeResult:
    """quantize(), but that a model keeps the type that it has: None takes the one that most of the weights have.

    version: 0, 1 or 2 writes a llama2.c checkpoint of that version, for its `./run` (0, float32) and `./runq` (2, int8)
        and all that reads its files. None does so where `target` ends in .bin: version 2 for the type q8_0, else 0. A
        model that such a file cannot say is refused. The tokenizer is written beside it as tokenizer.bin, or as
        tok-NAME.bin where another tokenizer.bin is there already.
    """
    if version is None and os.fsdecode(target).endswith(".bin"):
        version = 2 if type == "q8_0" else 0
    if version is None:
        return write(source, target, type, threads=threads, force=force, tokenizer=tokenizer, progress=progress)
    if version not in (0, 1, 2):
        raise InvalidArgumentError(f"version is {version!r}; expected 0, 1 or 2, or None for a GGUF file")
    if type not in (None, _LLAMA2C_TYPES[version]):
        raise InvalidArgumentError(
            f"type is {type!r}; a llama2.c checkpoint of version {version} is {_LLAMA2C_TYPES[version]}; write a GGUF "
            "file instead, or another version"
        )
    result = write(
        source,
        target,
        _LLAMA2C_TYPES[version],
        version=version,
        threads=threads,
        force=force,
        tokenizer=tokenizer,
        progress=progress,
    )
    notes = list(result.notes)
    if np.float32(result.norm_eps) != _LLAMA2C_EPS:
        notes.append(
            f"the model normalises with an epsilon of {result.norm_eps:.2g}; such a file cannot say it, and is "
            f"computed with {_LLAMA2C_EPS:.2g}: its logits differ a little"
        )
    written = None
    try:
        written = _write_tokenizer(source, target, tokenizer, force)
    except TokenizerError as error:
        notes.append(f"no tokenizer was written: {error}")
    return replace(result, tokenizer=written, notes=notes)


def _write_tokenizer(source: StrPath, target: StrPath, tokenizer: StrPath | None, force: bool) -> str:
    """Where the tokenizer is that belongs to a llama2.c checkpoint."""
    vocab_size = describe(target).vocab_size
    source = sources.located(source)
    found = Tokenizer.find(source, vocab_size) if tokenizer is None else Tokenizer(tokenizer, vocab_size)
    folder, name = os.path.split(os.fsdecode(target))
    own = f"tok-{os.path.splitext(name)[0]}.bin"
    with tempfile.TemporaryDirectory(dir=folder or ".") as made:
        fresh = os.path.join(made, "tokenizer.bin")
        found.save(fresh)
        for path in (os.path.join(folder, "tokenizer.bin"), os.path.join(folder, own)):
            there = os.path.lexists(path)
            if there and os.path.isfile(path) and filecmp.cmp(fresh, path, shallow=False):
                return path
            if not there or (force and path.endswith(own)):
                os.replace(fresh, path)
                return path
    raise TokenizerError(f"{own} is there already beside it, and holds another; it is replaced with force")
