"""Files and folders that are not trusted: what is read must be a regular file, so that nothing waits for a pipe, and
all that can fail is one FileError with the path.
"""

from __future__ import annotations

import mmap
import os
import stat
from contextlib import suppress
from typing import BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt

from llama2py.errors import CheckpointError, FileError, FileMissingError, TokenizerError

__all__ = ["Failure", "first_bytes", "map_bytes", "names_in", "read_bytes"]


Failure: TypeAlias = "type[CheckpointError | TokenizerError]"


def _failed(path: str, error: OSError | ValueError) -> FileError:
    """ValueError: the path cannot be one, as it has a NUL or half of a surrogate pair."""
    said = error.strerror if isinstance(error, OSError) else "no such name can be"
    kind = FileMissingError if isinstance(error, FileNotFoundError | ValueError) else FileError
    failure = kind(f"{path}: cannot read: {said}")
    failure.errno = error.errno if isinstance(error, OSError) else None
    failure.filename = path
    return failure


def _open(path: str) -> tuple[BinaryIO, int]:
    """A regular file and its size."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        raise _failed(path, error) from None
    found = os.fstat(handle)
    if stat.S_ISREG(found.st_mode):
        return os.fdopen(handle, "rb"), found.st_size
    os.close(handle)
    what = "a directory" if stat.S_ISDIR(found.st_mode) else "not a regular file"
    raise FileError(f"{path}: {what}, expected a file")


def names_in(folder: str) -> list[str]:
    """What a folder holds, in order."""
    try:
        return sorted(os.listdir(folder))
    except (OSError, ValueError) as error:
        raise _failed(folder, error) from None


def read_bytes(path: str, most: int, failure: Failure = CheckpointError) -> bytes:
    """All of a file that is read whole. failure: what is raised of one that is larger."""
    file, size = _open(path)
    with file:
        if size > most:
            raise failure(f"{path}: {size} bytes, expected at most {most}")
        try:
            return file.read(most)
        except OSError as error:
            raise _failed(path, error) from None


def first_bytes(path: str, n: int) -> bytes:
    """What a file begins with; nothing where it cannot be read."""
    with suppress(FileError, OSError):
        file, _ = _open(path)
        with file:
            return file.read(n)
    return b""


def map_bytes(path: str) -> npt.NDArray[np.uint8]:
    """A file where it lies. It stays mapped while what is returned, or a part of it, is held."""
    file, size = _open(path)
    with file:
        try:
            if not size:
                return np.empty(0, np.uint8)
            mapped = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
        except OSError as error:
            raise _failed(path, error) from None
        mapped.madvise(mmap.MADV_SEQUENTIAL)
        return np.frombuffer(mapped, np.uint8)
