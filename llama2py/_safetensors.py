"""Safetensors files: the length of a header, the header in JSON, then the tensors' data, which stays where it lies.

A file is not trusted: its header must be whole, each type known, each shape as large as its data, and the data must
fill the file without overlaps and holes, as the format demands. Names of parts may not lead out of the folder.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from llama2py._json import parse_object, read_object, short
from llama2py.errors import CheckpointError, FileError, FileMissingError

__all__ = ["Tensor", "read", "read_parts"]

_LENGTH_BYTES = 8
_HEADER_MOST = 100_000_000  # as the format's authors have it
_BYTES = {"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2}
_BYTES |= dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2"), 1)


@dataclass(frozen=True)
class Tensor:
    """A tensor where it lies: little endian, row-major, at any alignment."""

    path: str
    name: str
    dtype: str
    shape: tuple[int, ...]
    data: npt.NDArray[np.uint8]


def read(path: str) -> dict[str, Tensor]:
    """The tensors of a file, by name. The file stays mapped while one of them is held."""
    mapped = _map(path)
    if mapped.size < _LENGTH_BYTES:
        raise CheckpointError(f"{path}: {mapped.size} bytes are too few for a safetensors file, expected at least 8")
    length = int(mapped[:_LENGTH_BYTES].view("<u8")[0])
    room = min(mapped.size - _LENGTH_BYTES, _HEADER_MOST)
    if length > room:
        raise CheckpointError(
            f"{path}: its header says that it has {length} bytes, expected at most {room}; "
            "the file is cut short or damaged, or no safetensors file"
        )
    header = parse_object(mapped[_LENGTH_BYTES : _LENGTH_BYTES + length].tobytes(), f"{path}: its header")
    data = mapped[_LENGTH_BYTES + length :]
    spans: list[tuple[int, int, str]] = []
    tensors: dict[str, Tensor] = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        dtype, shape, begin, end = _entry(path, name, entry)
        spans.append((begin, end, name))
        if end <= data.size:
            tensors[name] = Tensor(path, name, dtype, shape, data[begin:end])
    _check_spans(path, spans, data.size)
    return tensors


def read_parts(index: str) -> dict[str, Tensor]:
    """The tensors of all files that an index names."""
    places = read_object(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise CheckpointError(f"{index}: no weight_map, expected an object that names each tensor's file")
    for name, file in places.items():
        if not isinstance(file, str) or not _is_plain(file):
            raise CheckpointError(
                f"{index}: the tensor {short(name)} is in {short(file)}, "
                "expected the name of a .safetensors file beside it"
            )
    tensors: dict[str, Tensor] = {}
    for file in dict.fromkeys(places.values()):
        path = os.path.join(os.path.dirname(index), file)
        for name, tensor in read(path).items():
            if places.get(name) != file:
                raise CheckpointError(f"{path}: has the tensor {short(name)}, which is not there as the index says")
            tensors[name] = tensor
    for name, file in places.items():
        if name not in tensors:
            raise CheckpointError(f"{index}: the tensor {short(name)} is not in {file}")
    return tensors


def _is_plain(file: str) -> bool:
    return file.endswith(".safetensors") and os.path.basename(file) == file and "\0" not in file


def _map(path: str) -> npt.NDArray[np.uint8]:
    try:
        size = os.stat(path).st_size
        return np.memmap(path, np.uint8, mode="r") if size else np.empty(0, np.uint8)
    except OSError as error:
        kind = FileMissingError if isinstance(error, FileNotFoundError) else FileError
        failure = kind(f"{path}: cannot read: {error.strerror}")
        failure.errno, failure.filename = error.errno, path
        raise failure from None


def _are_sizes(values: Any) -> bool:
    """Whether it is a list of whole numbers that 63 bits hold."""
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**63 for value in values)


def _entry(path: str, name: str, entry: Any) -> tuple[str, tuple[int, ...], int, int]:
    """Type, shape, and where the data begins and ends."""
    where = f"{path}: the tensor {short(name)}"
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise CheckpointError(f"{where}: expected dtype, shape and data_offsets in the header, and nothing else")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _BYTES:
        raise CheckpointError(f"{where}: is of type {short(dtype)}, expected one of {', '.join(_BYTES)}")
    if not _are_sizes(shape) or not _are_sizes(offsets) or len(offsets) != 2:
        raise CheckpointError(
            f"{where}: has the shape {short(shape)} and the offsets {short(offsets)}, expected whole numbers"
        )
    begin, end = offsets
    expected = prod(shape) * _BYTES[dtype]
    if end - begin != expected:
        raise CheckpointError(
            f"{where}: lies from byte {begin} to {end}, but {short(shape)} of {dtype} takes {expected} bytes"
        )
    return dtype, tuple(shape), begin, end


def _check_spans(path: str, spans: list[tuple[int, int, str]], size: int) -> None:
    at, before = 0, "the header"
    for begin, end, name in sorted(spans):
        if begin != at:
            what = "overlaps with" if begin < at else "leaves a hole after"
            raise CheckpointError(
                f"{path}: the tensor {short(name)} begins at byte {begin} of the data and {what} {before}, "
                f"which ends at {at}"
            )
        at, before = end, short(name)
    if at != size:
        more = "is cut short" if at > size else "has more than its tensors"
        raise CheckpointError(
            f"{path}: its tensors end at byte {at} of the data, but there are {size} bytes; it {more}, or is damaged"
        )
