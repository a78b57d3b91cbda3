"""JSON objects from files that are not trusted: of a bounded size, with each name once."""

from __future__ import annotations

import json
import os
from pathlib import Path
from reprlib import Repr
from typing import Any

from llama2py.errors import CheckpointError, FileError, FileMissingError

__all__ = ["parse_object", "read_bytes", "read_object", "short"]

_MOST = 64 * 2**20

_repr = Repr()
_repr.maxstring = 160
short = _repr.repr  # any value of such a file in a message, cut where it is long


def read_bytes(path: str, most: int) -> bytes:
    """All of a file that is read whole."""
    try:
        size = os.stat(path).st_size
        if size > most:
            raise CheckpointError(f"{path}: {size} bytes, expected at most {most}")
        return Path(path).read_bytes()
    except OSError as error:
        kind = FileMissingError if isinstance(error, FileNotFoundError) else FileError
        failure = kind(f"{path}: cannot read: {error.strerror}")
        failure.errno, failure.filename = error.errno, path
        raise failure from None


def read_object(path: str) -> dict[str, Any]:
    """The object that a file holds."""
    return parse_object(read_bytes(path, _MOST), path)


def parse_object(data: bytes, where: str) -> dict[str, Any]:
    """The object that some bytes are. where: what a complaint begins with."""
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{where}: not JSON: {' '.join(str(error).split())}") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{where}: JSON of a {type(value).__name__}, expected an object")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{short(next(name for name in found if names.count(name) > 1))} is there twice")
    return found
