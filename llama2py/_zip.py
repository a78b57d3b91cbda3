"""Zip archives as torch writes them: members that are stored as they are, found by the central directory (PKWARE's
APPNOTE 6.3.9), with the 64-bit records where there are such.

An archive is not trusted: there must be one directory, at the end and of the length that it says; each member must be
stored, whole, in front of it, named alike in both places, and on no other's bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from llama2py._json import short
from llama2py.errors import CheckpointError

__all__ = ["BEGINNING", "Member", "members"]

BEGINNING = b"PK\3\4"

_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_COMMENT_MOST = 65535
_DIRECTORY_MOST = 16 * 2**20
_FULL_16, _FULL_32 = 0xFFFF, 0xFFFFFFFF  # stands for a number that a 64-bit field has
_ENCRYPTED, _SIZES_BEHIND = 1, 8  # flags
_SIZES_64 = 1  # what an extra field of that number has

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Member:
    """What a member holds, where it lies. crc: its checksum (zlib.crc32), as the archive has it."""

    data: Bytes
    crc: int


@dataclass(frozen=True)
class _Entry:
    name: bytes
    flags: int
    crc: int
    size: int
    begin: int  # of the local header


def members(path: str, data: Bytes) -> dict[str, Member]:
    """The members of an archive, by name. path: for messages."""
    begin, end, n = _directory(path, data)
    found: dict[str, Member] = {}
    spans: list[tuple[int, int, str]] = []
    for entry in _entries(path, data[begin:end].tobytes(), n):
        try:
            name = entry.name.decode("utf-8")
        except UnicodeDecodeError:
            raise _damaged(path, f"a member is named {short(entry.name)}, which is not UTF-8") from None
        if name in found:
            raise _damaged(path, f"the member {short(name)} is there twice")
        first = _data_begin(path, data, begin, name, entry)
        if entry.size > begin - first:
            raise _damaged(
                path, f"the member {short(name)} has {entry.size} bytes, but {begin - first} lie before the directory"
            )
        spans.append((entry.begin, first + entry.size, name))
        found[name] = Member(data[first : first + entry.size], entry.crc)
    spans.sort()
    for (_, before, one), (after, _, other) in pairwise(spans):
        if after < before:
            raise _damaged(path, f"the member {short(other)} begins at byte {after}, inside {short(one)}")
    return found


def _damaged(path: str, what: str) -> CheckpointError:
    return CheckpointError(f"{path}: {what}; the file is damaged, or torch did not write it")


def _directory(path: str, data: Bytes) -> tuple[int, int, int]:
    """Where the central directory begins and ends, and how many members it has."""
    tail = data[max(0, data.size - _END.size - _COMMENT_MOST) :].tobytes()
    at = tail.rfind(b"PK\5\6")
    while at >= 0 and (len(tail) - at < _END.size or _END.unpack_from(tail, at)[7] != len(tail) - at - _END.size):
        at = tail.rfind(b"PK\5\6", 0, at)
    if at < 0:
        raise CheckpointError(f"{path}: a zip archive without its directory; the file is cut short or damaged")
    place = data.size - len(tail) + at
    _, disk, first_disk, n_here, n, size, begin, _ = _END.unpack_from(tail, at)
    if at >= _LOCATOR.size and tail[at - _LOCATOR.size : at - _LOCATOR.size + 4] == b"PK\6\7":
        _, _, where, _ = _LOCATOR.unpack_from(tail, at - _LOCATOR.size)
        if where > place - _LOCATOR.size - _END_64.size:
            raise _damaged(path, f"the end of its directory is said to be at byte {where}")
        record = _END_64.unpack(data[where : where + _END_64.size].tobytes())
        if record[0] != b"PK\6\6" or where + 12 + record[1] != place - _LOCATOR.size:
            raise _damaged(path, f"no end of its directory at byte {where}")
        for short_one, long_one, full in zip((n, size, begin), record[7:], (_FULL_16, _FULL_32, _FULL_32), strict=True):
            if short_one not in (long_one, full):
                raise _damaged(path, f"its directory is said to be of {short_one} and of {long_one}")
        (disk, first_disk, n_here, n, size, begin), place = record[4:], where
    if disk or first_disk or n_here != n:
        raise _damaged(path, "an archive of several parts")
    if begin + size != place:
        raise _damaged(path, f"its directory lies from byte {begin} to {begin + size}, expected to end at {place}")
    if size > _DIRECTORY_MOST:
        raise _damaged(path, f"its directory has {size} bytes, expected at most {_DIRECTORY_MOST}")
    return begin, place, n


def _entries(path: str, directory: bytes, n: int) -> list[_Entry]:
    found: list[_Entry] = []
    at = 0
    while at < len(directory):
        if len(directory) - at < _ENTRY.size or directory[at : at + 4] != b"PK\1\2":
            raise _damaged(path, f"no member where the directory has its {len(found) + 1}th")
        fields = _ENTRY.unpack_from(directory, at)
        flags, method, crc, packed, size = fields[3], fields[4], *fields[7:10]
        name_bytes, extra_bytes, comment_bytes, disk = fields[10:14]
        at += _ENTRY.size
        end = at + name_bytes + extra_bytes
        if end + comment_bytes > len(directory):
            raise _damaged(path, f"the directory ends within its {len(found) + 1}th member")
        name = directory[at : at + name_bytes]
        size, packed, begin = _long(path, name, directory[at + name_bytes : end], (size, packed, fields[16]))
        what = "encrypted" if flags & _ENCRYPTED else "compressed" if method or packed != size else ""
        if what or disk:
            raise CheckpointError(
                f"{path}: the member {short(name)} is {what or 'in another part'}, expected one that is stored as it is"
            )
        found.append(_Entry(name, flags, crc, size, begin))
        at = end + comment_bytes
    if len(found) != n:
        raise _damaged(path, f"its directory has {len(found)} members, but is said to have {n}")
    return found


def _long(path: str, name: bytes, extra: bytes, values: tuple[int, ...]) -> tuple[int, ...]:
    """Numbers of which those that 32 bits do not hold stand in the extra field for such."""
    at, long_ones = 0, b""
    while at + 4 <= len(extra):
        kind, n = struct.unpack_from("<2H", extra, at)
        if kind == _SIZES_64:
            long_ones = extra[at + 4 : at + 4 + n]
        at += 4 + n
    full = [i for i, value in enumerate(values) if value == _FULL_32]
    if len(long_ones) < 8 * len(full):
        raise _damaged(path, f"the member {short(name)} lacks its 64-bit sizes")
    found = list(values)
    for i, value in zip(full, struct.unpack_from(f"<{len(full)}Q", long_ones), strict=True):
        found[i] = value
    return tuple(found)


def _data_begin(path: str, data: Bytes, directory: int, name: str, entry: _Entry) -> int:
    """Where a member's data begins, behind a local header that says the same of it."""
    if entry.begin > directory - _LOCAL.size:
        raise _damaged(path, f"the member {short(name)} is said to be at byte {entry.begin}")
    head = data[entry.begin : entry.begin + _LOCAL.size].tobytes()
    magic, _, flags, method, _, _, crc, packed, size, name_bytes, extra_bytes = _LOCAL.unpack(head)
    begin = int(entry.begin + _LOCAL.size + name_bytes + extra_bytes)
    if magic != BEGINNING or begin > directory:
        raise _damaged(path, f"no member {short(name)} at byte {entry.begin}")
    texts = data[entry.begin + _LOCAL.size : begin].tobytes()
    if _FULL_32 in (size, packed):
        size, packed = _long(path, entry.name, texts[name_bytes:], (size, packed))
    behind = flags & _SIZES_BEHIND and not (crc or packed or size)
    alike = behind or (crc, packed, size) == (entry.crc, entry.size, entry.size)
    if texts[:name_bytes] != entry.name or method or flags & _ENCRYPTED or not alike:
        raise _damaged(path, f"the member {short(name)} is another one in the directory than at byte {entry.begin}")
    return begin
