"""Safetensors files: the length of a header, the header in JSON, then the tensors' data, which stays where it lies.

A file is not trusted: its header must be whole, each type known, each shape as large as its data, and the data must
fill the file without overlaps and holes, as the format demands.
"""

from __future__ import annotations

from typing import Any

from llama2py._files import map_bytes
from llama2py._json import parse_object, short
from llama2py._tensors import BYTES, COUNT_MOST, Tensor, are_sizes, count
from llama2py.errors import CheckpointError

__all__ = ["read"]

_LENGTH_BYTES = 8
_HEADER_MOST = 100_000_000  # as the format's authors have it


def read(path: str) -> dict[str, Tensor]:
    """The tensors of a file, by name. The file stays mapped while one of them is held."""
    mapped = map_bytes(path)
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


def _entry(path: str, name: str, entry: Any) -> tuple[str, tuple[int, ...], int, int]:
    """Type, shape, and where the data begins and ends."""
    where = f"{path}: the tensor {short(name)}"
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise CheckpointError(f"{where}: expected dtype, shape and data_offsets in the header, and nothing else")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BYTES:
        raise CheckpointError(f"{where}: is of type {short(dtype)}, expected one of {', '.join(BYTES)}")
    if not all(isinstance(said, list) and are_sizes(said) for said in (shape, offsets)) or len(offsets) != 2:
        raise CheckpointError(
            f"{where}: has the shape {short(shape)} and the offsets {short(offsets)}, expected whole numbers"
        )
    begin, end = offsets
    values = count(shape)
    takes = f"{values * BYTES[dtype]} bytes" if values < COUNT_MOST else "more than can be counted"
    if end - begin != values * BYTES[dtype]:
        raise CheckpointError(f"{where}: lies from byte {begin} to {end}, but {short(shape)} of {dtype} takes {takes}")
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
