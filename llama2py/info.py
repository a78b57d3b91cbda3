"""What a checkpoint is, what is in its file, and what running it takes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import TypeAlias

import numpy as np

from llama2py import _core, sources
from llama2py._core import StrPath
from llama2py._opened import Opened

__all__ = [
    "ArrayInfo",
    "Contents",
    "MetadataValue",
    "ModelInfo",
    "Plan",
    "TensorInfo",
    "TypeTotal",
    "VocabularyInfo",
    "describe",
    "inspect",
    "plan",
    "totals",
]

_NO_ID = 2**32 - 1


@dataclass(frozen=True)
class ModelInfo:
    """A model's numbers. Sizes are bytes; dtype and weight_bytes are those in memory."""

    dim: int
    hidden_dim: int
    n_experts: int
    n_experts_used: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    vocab_size: int
    context: int
    shared_classifier: bool
    dtype: str
    parameters: int
    file_bytes: int
    weight_bytes: int
    format: str
    isa: str
    architecture: str
    rope_scaling: str


@dataclass(frozen=True)
class Plan:
    """What running a checkpoint takes, in bytes."""

    weights: int
    load: int
    kv: int
    scratch: int
    total: int
    available: int

    @property
    def fits(self) -> bool:
        """Whether the memory that is free now suffices."""
        return self.total <= self.available


@dataclass(frozen=True)
class EngineState:
    """How what computes is, as of its last step.

    waiting, running: texts that wait for room, and that are computed.
    pages, free, idle: of the pool, 16 tokens each; idle are those that are kept in case a prompt begins with them.
    steps, rows: computed so far; a row is a token.
    prompt_tokens, cached_tokens: of the texts that began, and how many of these were found and not computed.
    pauses: how often a text gave its pages back to others, to be computed again later.
    """

    waiting: int
    running: int
    pages: int
    free: int
    idle: int
    steps: int
    rows: int
    prompt_tokens: int
    cached_tokens: int
    pauses: int


@dataclass(frozen=True)
class ArrayInfo:
    """An array in a file's metadata. items: what they are: "int", "float", "bool", "text" or "array"."""

    items: str
    length: int


MetadataValue: TypeAlias = int | float | bool | str | ArrayInfo


@dataclass(frozen=True)
class TensorInfo:
    """A tensor in a file, under its name in GGUF."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int

    @property
    def values(self) -> int:
        """How many there are."""
        return prod(self.shape)


@dataclass(frozen=True)
class TypeTotal:
    """What there is of a type."""

    tensors: int = 0
    values: int = 0
    bytes: int = 0


def totals(tensors: Iterable[tuple[str, int, int]]) -> dict[str, TypeTotal]:
    """What there is of each type among tensors of (type, values, bytes), the most bytes first."""
    found: dict[str, TypeTotal] = {}
    for dtype, values, size in tensors:
        before = found.get(dtype, TypeTotal())
        found[dtype] = TypeTotal(before.tensors + 1, before.values + values, before.bytes + size)
    return dict(sorted(found.items(), key=lambda item: -item[1].bytes))


@dataclass(frozen=True)
class VocabularyInfo:
    """What a GGUF file says of its tokenizer. special: ids by name, as in {"bos": 1}."""

    model: str
    pre: str | None
    vocab_size: int
    special: dict[str, int]
    chat_template: bool


@dataclass(frozen=True)
class Contents:
    """What is in a file, whether or not it can be run; or in a folder.

    metadata: a GGUF file's keys, or what a folder says in such; llama2.c's checkpoint has none.
    alignment: of the tensors' data; 0 where they lie as they please.
    """

    path: str
    format: str
    file_bytes: int
    alignment: int
    parts: int
    metadata: dict[str, MetadataValue]
    tensors: list[TensorInfo]

    @property
    def types(self) -> dict[str, TypeTotal]:
        """What there is of each type, the most bytes first."""
        return totals((tensor.dtype, tensor.values, tensor.bytes) for tensor in self.tensors)

    @property
    def hyperparameters(self) -> dict[str, MetadataValue]:
        """What the metadata says of the architecture, by what follows its name."""
        prefix = f"{self.metadata.get('general.architecture')}."
        return {key.removeprefix(prefix): value for key, value in self.metadata.items() if key.startswith(prefix)}

    @property
    def vocabulary(self) -> VocabularyInfo | None:
        """The tokenizer in the file, if there is one."""
        said = {key.removeprefix("tokenizer."): value for key, value in self.metadata.items()}
        tokens = said.get("ggml.tokens")
        if not isinstance(tokens, ArrayInfo):
            return None
        pre = said.get("ggml.pre")
        special = {
            key.removeprefix("ggml.").removesuffix("_token_id"): value
            for key, value in said.items()
            if key.startswith("ggml.") and key.endswith("_token_id") and isinstance(value, int) and value != _NO_ID
        }
        return VocabularyInfo(
            model=str(said.get("ggml.model")),
            pre=None if pre is None else str(pre),
            vocab_size=tokens.length,
            special=special,
            chat_template="chat_template" in said,
        )


def inspect(path: StrPath) -> Contents:
    """Says what is in a file: a checkpoint, or a GGUF file of any architecture, or one without tensors; or in a folder
    that can be run.
    """
    path = sources.located(path)
    found = sources.open_checkpoint(path)
    if found is not None:
        return _contents(found)
    info, metadata, tensors = _core.inspect(path)
    return Contents(
        path=os.fspath(path),
        format=info["format"],
        file_bytes=info["bytes"],
        alignment=info["alignment"],
        parts=info["parts"],
        metadata={key: ArrayInfo(*value) if isinstance(value, tuple) else value for key, value in metadata.items()},
        tensors=[TensorInfo(*tensor) for tensor in tensors],
    )


def _contents(found: Opened) -> Contents:
    metadata: dict[str, MetadataValue] = {}
    for key, value in found.keys.items():
        if isinstance(value, list):
            metadata[key] = ArrayInfo("text", len(value))
        elif isinstance(value, np.ndarray):
            metadata[key] = ArrayInfo("int" if value.dtype == np.int32 else "float", value.size)
        else:
            metadata[key] = value
    return Contents(
        path=found.path,
        format=found.format,
        file_bytes=found.bytes,
        alignment=0,
        parts=len(found.files),
        metadata=metadata,
        tensors=[
            TensorInfo(name, placed.dtype.lower(), placed.shape, placed.bytes) for name, placed in found.tensors.items()
        ],
    )


def plan(
    path: StrPath,
    *,
    quantize: str | None = None,
    threads: int | None = None,
    context: int | None = None,
    isa: str | None = None,
    batch: int | None = None,
    kv: str | None = None,
    pool: int | None = None,
) -> Plan:
    """Says what `Llama(path, …)` with the same options would take. Reads the file's header only."""
    opened = sources.opened(path)
    planned, _ = _core.plan(
        opened, quantize=quantize, threads=threads, isa=isa, context=context, batch=batch, kv=kv, pool=pool
    )
    return Plan(**planned)


def describe(path: StrPath, *, quantize: str | None = None, isa: str | None = None) -> ModelInfo:
    """Says what a checkpoint holds, and its type and size in memory. Reads the file's header only."""
    opened = sources.opened(path)
    _, info = _core.plan(opened, quantize=quantize, threads=None, isa=isa, context=None, batch=None)
    return ModelInfo(**info)
