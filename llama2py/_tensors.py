"""Tensors where they lie in files, and how a model's are put together from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from llama2py.errors import CheckpointError

__all__ = [
    "BYTES",
    "COUNT_MOST",
    "Placed",
    "Tensor",
    "are_sizes",
    "check_float",
    "count",
    "cut",
    "llama3_factors",
    "rope_factors",
    "same_numbers",
    "same_values",
    "shape_text",
    "yarn_ramp",
]

# The types that files have, as safetensors names them, and the bytes of a value.
BYTES = {"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2}
BYTES |= dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2"), 1)
_FLOATS = ("F32", "F16", "BF16")  # that a model's tensors may have

COUNT_MOST = 2**63
_SAMPLE = 65536


@dataclass(frozen=True)
class Tensor:
    """A tensor where it lies: little endian, row-major, at any alignment."""

    path: str
    name: str
    dtype: str
    shape: tuple[int, ...]
    data: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Placed:
    """A tensor of a model, and the pieces of the same shape that it lies in, one behind the other along an axis.

    split: the rows of a head whose halves are to become pairs, or 0; then it is one piece.
    stacked: the pieces are the first axis, before those of each; then axis is 0.
    """

    pieces: tuple[Tensor, ...]
    axis: int = 0
    split: int = 0
    stacked: bool = False

    @property
    def dtype(self) -> str:
        """Of all pieces."""
        return self.pieces[0].dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole."""
        if self.stacked:
            return (len(self.pieces), *self.pieces[0].shape)
        shape = list(self.pieces[0].shape)
        shape[self.axis] *= len(self.pieces)
        return tuple(shape)

    @property
    def bytes(self) -> int:
        """Of all pieces."""
        return sum(piece.data.size for piece in self.pieces)


def are_sizes(values: Sequence[Any]) -> bool:
    """Whether all are whole numbers that 63 bits hold."""
    return all(type(value) is int and 0 <= value < COUNT_MOST for value in values)


def check_float(tensor: Tensor) -> None:
    """Refuses types that a model's tensors may not have."""
    if tensor.dtype not in _FLOATS:
        raise CheckpointError(f"{tensor.path}: the tensor {tensor.name} is {tensor.dtype}, expected F32, F16 or BF16")


def count(shape: Sequence[int]) -> int:
    """How many values there are, or COUNT_MOST if that is less."""
    n = 1
    for size in shape:
        n = min(n * size, COUNT_MOST)
    return 0 if 0 in shape else n


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape in a message."""
    return " x ".join(map(str, shape)) if len(shape) < 9 else f"of {len(shape)} dimensions"


def same_values(a: Placed, b: Placed) -> bool:
    """Whether two have the same bits. Those that share their memory, or differ early, are told apart at once."""
    if (a.dtype, a.shape) != (b.dtype, b.shape) or (
        len(a.pieces) > 1 and (a.axis, len(a.pieces)) != (b.axis, len(b.pieces))
    ):
        return False
    pairs = [(one.data, other.data) for one, other in zip(a.pieces, b.pieces, strict=True)]
    if all(one.ctypes.data == other.ctypes.data for one, other in pairs):
        return True
    early = all(np.array_equal(one[:_SAMPLE], other[:_SAMPLE]) for one, other in pairs)
    return early and all(np.array_equal(one, other) for one, other in pairs)


def cut(tensor: Tensor, shape: tuple[int, ...]) -> list[Tensor]:
    """The tensors of a shape that lie one behind another in one, where they lie."""
    size = count(shape) * BYTES[tensor.dtype]
    return [
        Tensor(tensor.path, tensor.name, tensor.dtype, shape, tensor.data[at : at + size])
        for at in range(0, tensor.data.size, size)
    ]


def _numbers(tensor: Tensor, first: int, n: int) -> npt.NDArray[np.float32]:
    size = BYTES[tensor.dtype]
    data = tensor.data[first * size : (first + n) * size]
    if tensor.dtype == "BF16":
        return (data.view("<u2").astype("<u4") << 16).view("<f4")
    return data.view({"F32": "<f4", "F16": "<f2"}[tensor.dtype]).astype("<f4")


def same_numbers(a: Tensor, b: Tensor) -> bool:
    """Whether two have the same finite values, of whatever types of a model's."""
    if a.shape != b.shape or not {a.dtype, b.dtype} <= {*_FLOATS}:
        return False
    steps = range(0, count(a.shape), _SAMPLE)
    return all(np.array_equal(_numbers(a, first, _SAMPLE), _numbers(b, first, _SAMPLE)) for first in steps)


def llama3_factors(
    where: str, theta: float, head_dim: int, *, factor: float, low: float, high: float, context: int
) -> Placed:
    """What Llama 3's scaling divides frequencies by: long waves by the factor, short ones by 1.

    low, high: how many turns within `context` a wave has that is long, and one that is short.
    """
    if factor < 1 or not low < high:
        raise CheckpointError(
            f"{where}: factor {factor}, from {low} to {high}; expected at least 1, and the second less"
        )
    with np.errstate(all="ignore"):  # a frequency that is no number is refused with the others
        turns = context * theta ** (-2 * np.arange(head_dim // 2) / head_dim) / (2 * np.pi)
        return rope_factors(factor, np.clip((turns - low) / (high - low), 0, 1))


def rope_factors(factor: float, kept: npt.NDArray[np.float64]) -> Placed:
    """What frequencies are divided by that become f * ((1 - kept) / factor + kept)."""
    factors = (1 / ((1 - kept) / factor + kept)).astype("<f4")
    return Placed((Tensor("", "rope factors", "F32", factors.shape, factors.view(np.uint8)),))


def yarn_ramp(theta: float, head_dim: int, context: int, fast: float, slow: float, whole: bool) -> tuple[float, float]:
    """The numbers of the pairs between which YaRN goes from keeping a frequency to dividing it, as transformers bounds
    them: those that turn `fast` and `slow` times in `context`, rounded outwards if `whole`.
    """
    turns = np.array([fast, slow])
    with np.errstate(all="ignore"):
        low, high = head_dim * np.log(context / (turns * 2 * np.pi)) / (2 * np.log(theta))
    low, high = (np.floor(low), np.ceil(high)) if whole else (low, high)
    return max(float(low), 0.0), min(float(high), head_dim - 1.0)
