"""torch's checkpoint files of the zip format (torch.save, 1.6 and later), read without torch: a pickle that tells how
values are put together, and beside it a member for each storage, which stays where it lies.

Nothing is imported or executed. The machine below knows the few instructions and the few names that tensors and plain
values need, builds values of its own from them, and refuses all others by name. It knows protocols 2 to 5 (Python's
Lib/pickletools.py documents them).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from llama2py._files import first_bytes, map_bytes
from llama2py._json import short
from llama2py._tensors import BYTES, COUNT_MOST, Tensor, are_sizes, count, shape_text
from llama2py._zip import BEGINNING, members
from llama2py.errors import CheckpointError

__all__ = ["is_torch", "read", "read_tensors", "tensors_of"]

_LEGACY = bytes.fromhex("80028a0a6cfc9c46f9206aa85019")  # how the format of before 1.6 begins
_PICKLE_MOST = 4 * 2**20  # of which each byte may take 64 in memory; of a thousand tensors it has 0.2 MiB
_KEY_MOST = 2**31
_DIMENSIONS_MOST = 64

# By the names of torch's types, what safetensors calls them; and of old classes of storages, the types of torch.
_DTYPES = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "bool": "BOOL"}
_DTYPES |= {"float": "F32", "double": "F64", "half": "F16"}
_DTYPES |= {"int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8", "uint8": "U8"}
_DTYPES |= {"uint64": "U64", "uint32": "U32", "uint16": "U16"}
_DTYPES |= {"complex64": "C64", "complex128": "C128", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2"}
_STORAGES = {"Float": "F32", "Double": "F64", "Half": "F16", "BFloat16": "BF16", "Bool": "BOOL"}
_STORAGES |= {"Long": "I64", "Int": "I32", "Short": "I16", "Char": "I8", "Byte": "U8"}
_STORAGES |= {"ComplexFloat": "C64", "ComplexDouble": "C128"}
_SIZES = {**BYTES, "C64": 8, "C128": 16}

_OLD_TENSOR, _TENSOR, _TYPED_TENSOR = (f"torch._utils._rebuild_tensor{version}" for version in ("", "_v2", "_v3"))
_PARAMETERS = ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state")
_TYPES = {f"torch.{name}": dtype for name, dtype in _DTYPES.items()}
_CLASSES = {f"torch.{name}Storage": dtype for name, dtype in _STORAGES.items()}
_CLASSES |= {"torch.storage.UntypedStorage": "U8", "torch.UntypedStorage": "U8"}
_CONTAINERS = ("collections.OrderedDict", "torch.Size")
_NAMES = {_OLD_TENSOR, _TENSOR, _TYPED_TENSOR, *_PARAMETERS, *_TYPES, *_CLASSES, *_CONTAINERS}


@dataclass(frozen=True)
class _Name:
    """One of _NAMES, where a pickle has what Python would import."""

    name: str


@dataclass(frozen=True)
class _Storage:
    dtype: str
    data: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class _Saved:
    """A tensor as it was saved, not checked yet. offset and strides: in values."""

    storage: _Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def is_torch(path: str) -> bool:
    """Whether a file begins as torch's do, of any version."""
    return first_bytes(path, len(_LEGACY)).startswith((BEGINNING, _LEGACY))


def read(path: str) -> Any:
    """What a file holds, of None, bool, int, float, str, bytes, tuple, list, dict, and of tensors for tensors_of()."""
    if first_bytes(path, len(_LEGACY)) == _LEGACY:
        raise CheckpointError(f"{path}: of torch's format of before version 1.6; load it with torch and save it again")
    mapped = map_bytes(path)
    if mapped[:4].tobytes() != BEGINNING:
        raise CheckpointError(f"{path}: no zip archive, expected a file of torch.save(); it is cut short or damaged")
    found = members(path, mapped)
    pickles = [name for name in found if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise CheckpointError(f"{path}: a zip archive with {len(pickles)} data.pkl, expected 1 as torch.save() writes")
    folder = pickles[0].removesuffix("data.pkl")
    if f"{folder}constants.pkl" in found:
        raise CheckpointError(f"{path}: a program of TorchScript, expected the tensors alone: save its state_dict()")
    order = found.get(f"{folder}byteorder")
    if order is not None and order.data[:16].tobytes() != b"little":
        raise CheckpointError(f"{path}: its byte order is {short(order.data[:16].tobytes())}, expected b'little'")
    member = found[pickles[0]]
    if member.data.size > _PICKLE_MOST:
        raise CheckpointError(f"{path}: its data.pkl has {member.data.size} bytes, expected at most {_PICKLE_MOST}")
    program = member.data.tobytes()
    if member.crc not in (zlib.crc32(program), 0):  # 0 where torch was told not to compute it
        raise CheckpointError(f"{path}: its data.pkl has another checksum than the archive says; it is damaged")

    def storage(key: str) -> npt.NDArray[np.uint8] | None:
        named = found.get(f"{folder}data/{key}")
        return None if named is None else named.data

    return _Machine(path, program, storage).run()


def read_tensors(path: str) -> dict[str, Tensor]:
    """The tensors of a file that holds a state_dict, by name. The file stays mapped while one of them is held."""
    return tensors_of(read(path), path)


def tensors_of(values: Any, path: str, what: str = "it") -> dict[str, Tensor]:
    """The tensors of a state_dict that a file holds, each with its rows one behind another. what: for messages."""
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: {what} is {_kind(values)}, expected a dict of tensors by name")
    return {name: _tensor(path, name, saved) for name, saved in values.items()}


def _kind(value: Any) -> str:
    return "a tensor" if isinstance(value, _Saved) else f"of type {type(value).__name__.lstrip('_').lower()}"


def _tensor(path: str, name: Any, saved: Any) -> Tensor:
    where = f"{path}: the tensor {short(name)}"
    if not isinstance(name, str) or not isinstance(saved, _Saved):
        raise CheckpointError(f"{where} is {_kind(saved)}, expected a dict of tensors by name")
    values, size = count(saved.shape), _SIZES[saved.dtype]
    if not _contiguous(saved.shape, saved.strides):
        raise CheckpointError(
            f"{where} of {shape_text(saved.shape)} lies in steps of {shape_text(saved.strides)}, expected rows one "
            "behind another; save it with .contiguous()"
        )
    begin, held = saved.offset * size, saved.storage.data
    if values == COUNT_MOST or begin + values * size > held.size:
        raise CheckpointError(
            f"{where} of {shape_text(saved.shape)} begins at byte {begin} of {held.size}, which is too few for it; "
            "the file is damaged"
        )
    return Tensor(path, name, saved.dtype, saved.shape, held[begin : begin + values * size])


def _contiguous(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    step = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size != 1 and stride != step and 0 not in shape:
            return False
        step = min(step * size, COUNT_MOST)
    return True


class _Machine:
    """Runs one pickle: a stack of values, and below it those stacks that a mark has put aside."""

    def __init__(self, path: str, program: bytes, storage: Callable[[str], npt.NDArray[np.uint8] | None]) -> None:
        """storage: finds the bytes of a key."""
        self._path = path
        self._program = program
        self._storage = storage
        self._at = 0
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._storages: dict[str, _Storage] = {}

    def run(self) -> Any:
        """The value that it leaves."""
        while True:
            at = self._at
            code = self._take(1)[0]
            if code == ord("."):
                return self._pop()
            step = _STEPS.get(code)
            if step is None:
                self._at = at
                self._fail(f"the instruction {bytes([code])!r} is not one that tensors need")
            step(self)

    def _fail(self, what: str) -> NoReturn:
        raise CheckpointError(f"{self._path}: byte {self._at} of its data.pkl: {what}; nothing of it was executed")

    # What instructions are made of.

    def _take(self, n: int) -> bytes:
        data = self._program[self._at : self._at + n]
        if len(data) < n:
            self._fail(f"{n} bytes are wanted and {len(data)} are left; it is damaged")
        self._at += n
        return data

    def _number(self, n: int) -> int:
        return int.from_bytes(self._take(n), "little")

    def _decoded(self, data: bytes) -> str:
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            self._fail("a text that is not UTF-8")

    def _line(self) -> str:
        end = self._program.find(b"\n", self._at)
        if end < 0:
            self._fail("a name that does not end; it is damaged")
        line = self._decoded(self._take(end - self._at))
        self._at += 1
        return line

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _pop(self) -> Any:
        value = self._top()
        self._stack.pop()
        return value

    def _top(self) -> Any:
        if not self._stack:
            self._fail("a value is wanted, and there is none; it is damaged")
        return self._stack[-1]

    def _marked(self) -> list[Any]:
        """What lies above the last mark, which is taken away."""
        if not self._below:
            self._fail("a mark is wanted, and there is none; it is damaged")
        values, self._stack = self._stack, self._below.pop()
        return values

    # Instructions.

    def _mark(self) -> None:
        self._below.append(self._stack)
        self._stack = []

    def _proto(self) -> None:
        version = self._number(1)
        if not 2 <= version <= 5:
            self._fail(f"a pickle of protocol {version}, expected 2 to 5")

    def _real(self) -> None:
        self._push(struct.unpack(">d", self._take(8))[0])

    def _long(self) -> None:
        self._push(int.from_bytes(self._take(self._number(1)), "little", signed=True))

    def _signed(self) -> None:
        self._push(int.from_bytes(self._take(4), "little", signed=True))

    def _text(self, n: int) -> None:
        self._push(self._decoded(self._take(self._number(n))))

    def _tuple(self, n: int) -> None:
        values = [self._pop() for _ in range(n)]
        self._push(tuple(reversed(values)))

    def _append(self, values: list[Any]) -> None:
        target = self._top()
        if type(target) is not list:
            self._fail(f"a value is appended to what is {_kind(target)}")
        target.extend(values)

    def _set(self, values: list[Any]) -> None:
        target = self._top()
        if type(target) is not dict or len(values) % 2:
            self._fail(f"{len(values)} keys and values are put into what is {_kind(target)}")
        for key, value in zip(values[::2], values[1::2], strict=True):
            # What hashes to whatever a file wants would make a table slow.
            if type(key) is not str and not (type(key) is int and -_KEY_MOST <= key < _KEY_MOST):
                self._fail(f"a key is {_kind(key)}, expected a text or a small number")
            target[key] = value

    def _set_one(self) -> None:
        value, key = self._pop(), self._pop()
        self._set([key, value])

    def _get(self, key: int) -> None:
        if key not in self._memo:
            self._fail(f"the value {key} is wanted, which was not kept; it is damaged")
        self._push(self._memo[key])

    def _put(self, key: int) -> None:
        self._memo[key] = self._top()

    def _name(self, module: Any, name: Any) -> None:
        whole = f"{module}.{name}" if isinstance(module, str) and isinstance(name, str) else short((module, name))
        if whole not in _NAMES:
            self._fail(f"asks for {short(whole)[1:-1]}, which is not among the names that tensors need")
        self._push(_Name(whole))

    def _global(self) -> None:
        module = self._line()
        self._name(module, self._line())

    def _stack_global(self) -> None:
        name, module = self._pop(), self._pop()
        self._name(module, name)

    def _persistent(self) -> None:
        """torch's way to name a storage: what it is, its class, its key, the device that it was on, and its size."""
        said = self._pop()
        if type(said) is not tuple or len(said) != 5 or said[0] != "storage":
            self._fail(f"{short(said)} is wanted, expected a storage with its class, key, device and size")
        _, kind, key, _, size = said
        if not isinstance(kind, _Name) or kind.name not in _CLASSES or type(key) is not str or type(size) is not int:
            self._fail(f"a storage is told as {short(said)}, expected its class, key, device and size")
        dtype = _CLASSES[kind.name]
        if key not in self._storages:
            data = self._storage(key)
            if data is None:
                self._fail(f"the storage {short(key)} is not in the archive; it is damaged")
            self._storages[key] = _Storage(dtype, data)
        found = self._storages[key]
        if found.dtype != dtype or found.data.size != size * _SIZES[dtype]:
            self._fail(
                f"the storage {short(key)} is said to have {short(size)} values of {dtype}, but has {found.data.size} "
                f"bytes of {found.dtype}"
            )
        self._push(found)

    def _build(self) -> None:
        """What torch gives dicts besides, such as the versions of modules, is of no use here."""
        state = self._pop()
        if type(self._top()) is not dict or type(state) is not dict:
            self._fail(f"a state is given to what is {_kind(self._top())}")

    def _reduce(self) -> None:
        given, name = self._pop(), self._pop()
        if not isinstance(name, _Name) or type(given) is not tuple:
            self._fail(f"a call of what is {_kind(name)}")
        self._push(self._called(name.name, given))

    def _called(self, name: str, given: tuple[Any, ...]) -> Any:
        """What torch's function or class of that name would make."""
        if name == "collections.OrderedDict" and not given:
            return {}
        if name == "torch.Size" and len(given) == 1 and self._sizes(given[0]):
            return given[0]
        if name in _PARAMETERS and len(given) >= 3 and isinstance(given[0], _Saved):
            return given[0]
        least = {_OLD_TENSOR: 4, _TENSOR: 6, _TYPED_TENSOR: 7}.get(name)
        if least is None or len(given) < least or not isinstance(given[0], _Storage):
            self._fail(f"a call of {name} with {short(given)}, which is not one that tensors need")
        storage, offset, shape, strides = given[:4]
        dtype = storage.dtype
        if name == _TYPED_TENSOR:
            dtype = _TYPES.get(given[6].name, "") if isinstance(given[6], _Name) else ""
        if not self._sizes((offset,)) or not self._sizes(shape) or not self._sizes(strides) or not dtype:
            self._fail(f"a call of {name} with {short(given[1:])}, expected an offset, a shape and its steps")
        if len(shape) != len(strides):
            self._fail(f"a tensor of {shape_text(shape)} with {len(strides)} steps")
        return _Saved(storage, dtype, offset, shape, strides)

    @staticmethod
    def _sizes(values: Any) -> bool:
        return type(values) is tuple and len(values) <= _DIMENSIONS_MOST and are_sizes(values)


_STEPS: dict[int, Callable[[_Machine], object]] = {
    ord(code): step
    for code, step in {
        "\x80": _Machine._proto,
        "\x95": lambda m: m._take(8),  # how long a frame is
        "(": _Machine._mark,
        "0": lambda m: m._pop(),
        "1": lambda m: m._marked(),
        "N": lambda m: m._push(None),
        "\x88": lambda m: m._push(True),
        "\x89": lambda m: m._push(False),
        "J": _Machine._signed,
        "K": lambda m: m._push(m._number(1)),
        "M": lambda m: m._push(m._number(2)),
        "\x8a": _Machine._long,
        "G": _Machine._real,
        "X": lambda m: m._text(4),
        "\x8c": lambda m: m._text(1),
        "\x8d": lambda m: m._text(8),
        "B": lambda m: m._push(m._take(m._number(4))),
        "C": lambda m: m._push(m._take(m._number(1))),
        ")": lambda m: m._push(()),
        "]": lambda m: m._push([]),
        "}": lambda m: m._push({}),
        "t": lambda m: m._push(tuple(m._marked())),
        "\x85": lambda m: m._tuple(1),
        "\x86": lambda m: m._tuple(2),
        "\x87": lambda m: m._tuple(3),
        "a": lambda m: m._append([m._pop()]),
        "e": lambda m: m._append(m._marked()),
        "s": _Machine._set_one,
        "u": lambda m: m._set(m._marked()),
        "h": lambda m: m._get(m._number(1)),
        "j": lambda m: m._get(m._number(4)),
        "q": lambda m: m._put(m._number(1)),
        "r": lambda m: m._put(m._number(4)),
        "\x94": lambda m: m._put(len(m._memo)),
        "c": _Machine._global,
        "\x93": _Machine._stack_global,
        "Q": _Machine._persistent,
        "b": _Machine._build,
        "R": _Machine._reduce,
    }.items()
}
