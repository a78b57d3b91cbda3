"""What a checkpoint is, and what running it takes."""

from __future__ import annotations

from dataclasses import dataclass

from llama2py import _core
from llama2py._core import StrPath

__all__ = ["ModelInfo", "Plan", "describe", "plan"]


@dataclass(frozen=True)
class ModelInfo:
    """A model's numbers. Sizes are bytes; dtype and weight_bytes are those in memory."""

    dim: int
    hidden_dim: int
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


def plan(
    path: StrPath,
    *,
    quantize: str | None = None,
    threads: int | None = None,
    context: int | None = None,
    isa: str | None = None,
    batch: int | None = None,
) -> Plan:
    """Says what `Llama(path, …)` with the same options would take. Reads the file's header only."""
    planned, _ = _core.plan(path, quantize=quantize, threads=threads, isa=isa, context=context, batch=batch)
    return Plan(**planned)


def describe(path: StrPath, *, quantize: str | None = None, isa: str | None = None) -> ModelInfo:
    """Says what a checkpoint holds, and its type and size in memory. Reads the file's header only."""
    _, info = _core.plan(path, quantize=quantize, threads=None, isa=isa, context=None, batch=None)
    return ModelInfo(**info)
