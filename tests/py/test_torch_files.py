"""The reader of torch's files: what a pickle may hold comes back, and a row for each thing that is refused. Nothing
that a file asks for is ever called.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from mmap import mmap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch_files import (
    Call,
    Global,
    Member,
    Persistent,
    Raw,
    Saved,
    Storage,
    members_of,
    part,
    saved,
    write_torch,
    write_zip,
)

from llama2py import CheckpointError, FileError, Llama
from llama2py._torch import is_torch, read, read_tensors

VALUES = np.arange(12, dtype=np.float32).reshape(3, 4)
HOOKS = Call(Global("collections", "OrderedDict"), ())
PERSISTENT = Persistent(("storage", Global("torch", "FloatStorage"), "0", "cpu", 12))


def rebuilt(function: str, *given: Any) -> Call:
    return Call(Global("torch._utils", function), given)


# What is read.


@pytest.mark.parametrize("how", [{}, {"behind": True}, {"long": True}, {"comment": b"PK\5\6 and more" * 9}], ids=str)
def test_tensors_come_back(how: dict[str, Any], tmp_path: Path) -> None:
    path = write_torch(tmp_path / "x.pt", {"a": saved(VALUES), "b": saved(VALUES[0], "BF16")}, **how)
    assert is_torch(str(path))
    tensors = read_tensors(str(path))
    assert tensors["a"].data.view("<f4").reshape(3, 4).tolist() == VALUES.tolist()
    assert (tensors["a"].dtype, tensors["a"].shape, tensors["b"].dtype, tensors["b"].shape) == (
        "F32",
        (3, 4),
        "BF16",
        (4,),
    )
    assert not tensors["a"].data.flags.writeable
    held: Any = tensors["a"].data
    while isinstance(held, np.ndarray):
        held = held.base.obj if isinstance(held.base, memoryview) else held.base
    assert isinstance(held, mmap), "the file stays where it lies"


PLAIN: dict[str, Any] = {
    "none": None,
    "flags": [True, False],
    "numbers": (0, 255, 256, 65535, 65536, -1, 2**31 - 1, -(2**31), 2**63, -(2**200), 0.5, float("inf")),
    "texts": ["", "größer", "a" * 300],
    "nested": {"a": {"b": [(), {}, []]}, 7: "seven", -1: "minus one"},
}


def test_plain_values_come_back(tmp_path: Path) -> None:
    assert read(str(write_torch(tmp_path / "x.pt", PLAIN))) == PLAIN


def test_other_instructions(tmp_path: Path) -> None:
    """Of later protocols, and of the rarer kind."""
    code = b"\x95\0\0\0\0\0\0\0\0" + b"}(\x8c\x01a\x94C\x02hi" + b"\x8d\x01\0\0\0\0\0\0\0b" + b"M\x01\x02"
    code += b"X\x01\0\0\0cK\x07\x85" + b"X\x01\0\0\0dK\x07K\x08\x86" + b"X\x01\0\0\0e\x88\x89N\x87" + b"h\0" + b"N0"
    code += b"B\x01\0\0\0z" + b"X\x01\0\0\0fN" + b"u" + b"X\x01\0\0\0g(K\x01K\x021Ns"
    expected = {"a": b"z", "b": 513, "c": (7,), "d": (7, 8), "e": (True, False, None), "f": None, "g": None}
    assert read(str(write_torch(tmp_path / "x.pt", Raw(code)))) == expected


def test_names_from_the_stack(tmp_path: Path) -> None:
    code = b"\x8c\x0bcollections\x8c\x0bOrderedDict\x93)R"
    assert read(str(write_torch(tmp_path / "x.pt", Raw(code)))) == {}


def test_all_ways_to_rebuild(tmp_path: Path) -> None:
    """Of torch 1.6 up to now: parameters, storages without a type, and dicts that know versions of modules."""
    one = rebuilt("_rebuild_tensor_v2", PERSISTENT, 4, (2, 4), (4, 1), False, HOOKS)
    bare = Persistent(("storage", Global("torch.storage", "UntypedStorage"), "1", "cpu", 48))
    state = {
        "old": rebuilt("_rebuild_tensor", PERSISTENT, 4, (2, 4), (4, 1)),
        "more": rebuilt("_rebuild_tensor_v2", PERSISTENT, 4, (2, 4), (4, 1), False, HOOKS, None),
        "parameter": rebuilt("_rebuild_parameter", one, True, HOOKS),
        "with state": rebuilt("_rebuild_parameter_with_state", one, True, HOOKS, {"a": 1}),
        "typed": rebuilt("_rebuild_tensor_v3", bare, 4, (2, 4), (4, 1), False, HOOKS, Global("torch", "float32")),
        "size": rebuilt("_rebuild_tensor", PERSISTENT, 4, Call(Global("torch", "Size"), ((2, 4),)), (4, 1)),
        "one row": rebuilt("_rebuild_tensor", PERSISTENT, 4, (1, 4), (99, 1)),
        "none": rebuilt("_rebuild_tensor", PERSISTENT, 12, (0, 4), (7, 7)),
        "scalar": rebuilt("_rebuild_tensor", PERSISTENT, 5, (), ()),
    }
    versions = {"_metadata": Call(Global("collections", "OrderedDict"), ())}
    ordered = Call(Global("collections", "OrderedDict"), (), versions)
    members = members_of([ordered, state])
    members[2:2] = [Member(f"archive/data/{key}", VALUES.tobytes()) for key in (0, 1)]
    path = str(write_zip(tmp_path / "x.pt", members))
    empty, values = read(path)
    members = members_of(state)
    members[2:2] = [Member(f"archive/data/{key}", VALUES.tobytes()) for key in (0, 1)]
    tensors = read_tensors(str(write_zip(tmp_path / "y.pt", members)))
    assert empty == {} and values.keys() == state.keys()
    for name in list(state)[:6]:
        assert tensors[name].data.view("<f4").tolist() == VALUES.reshape(-1)[4:].tolist(), name
    assert tensors["one row"].data.view("<f4").tolist() == [4, 5, 6, 7]
    assert (tensors["none"].shape, tensors["none"].data.size, tensors["scalar"].shape) == ((0, 4), 0, ())
    assert tensors["scalar"].data.view("<f4").tolist() == [5]


def test_storages_are_shared(tmp_path: Path) -> None:
    storage = Storage(VALUES.tobytes(), "FloatStorage")
    tensors = read_tensors(
        str(write_torch(tmp_path / "x.pt", {"a": part(storage, (12,)), "b": part(storage, (2,), 3)}))
    )
    assert tensors["b"].data.ctypes.data == tensors["a"].data.ctypes.data + 12


# What is refused: pickles.


def refused(path: Path, complaint: str, reader: Callable[[str], object] = read_tensors) -> None:
    with pytest.raises((CheckpointError, FileError), match=complaint) as error:
        reader(str(path))
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value) and len(str(error.value)) < 1500


CALLS = [("os", "system"), ("posix", "system"), ("builtins", "eval"), ("__builtin__", "exec"), ("subprocess", "Popen")]
CALLS += [("torch", "load"), ("torch._utils", "_rebuild_sparse_tensor"), ("numpy.core.multiarray", "scalar")]
CALLS += [
    ("torch.storage", "_load_from_bytes"),
    ("collections", "defaultdict"),
    ("torch", "FloatStorage.x"),
    ("a\xff", "b"),
]


@pytest.mark.parametrize("name", CALLS, ids=".".join)
def test_what_would_be_executed(name: tuple[str, str], tmp_path: Path) -> None:
    """One line names the file and what it asks for; from the stack too."""
    mark = tmp_path / "executed"
    call = Call(Global(*name), (f"touch {mark}",))
    refused(
        write_torch(tmp_path / "x.pt", {"a": call}), rf"asks for .*{name[1]}, which is not .*nothing of it was executed"
    )
    module, attribute = (bytes([0x8C, len(part.encode())]) + part.encode() for part in name)
    refused(write_torch(tmp_path / "y.pt", Raw(module + attribute + b"\x93")), rf"asks for .*{name[1]}, which is not")
    with pytest.raises(CheckpointError, match=rf"x\.pt: .* asks for .*{name[1]}"):
        Llama(tmp_path / "x.pt")
    assert not mark.exists()


BAD_CODE: list[tuple[str, bytes, str]] = [
    ("nothing", b"", r"a value is wanted, and there is none"),
    ("no end", b"N" * 7 + b"X\xff\xff\xff\xff", r"4294967295 bytes are wanted and 1 are left"),
    ("a name without end", b"ctorch", r"a name that does not end"),
    ("protocol 1", b"\x80\x01N", r"protocol 1, expected 2 to 5"),
    ("protocol 6", b"\x80\x06N", r"protocol 6, expected 2 to 5"),
    ("an object", b"(ios\nsystem\n", r"the instruction b'i' is not one that tensors need"),
    ("a new object", b"N)\x81", r"the instruction b'\\x81' is not"),
    ("an extension", b"\x82\x01", r"the instruction b'\\x82'"),
    ("a buffer", b"\x97", r"the instruction b'\\x97'"),
    ("a set", b"\x8f", r"the instruction b'\\x8f'"),
    ("a long number", b"\x8b\xff\xff\xff\x7f", r"the instruction b'\\x8b'"),
    ("numbers as text", b"I42\n", r"the instruction b'I'"),
    ("nothing kept", b"h\x07", r"the value 7 is wanted, which was not kept"),
    ("nothing to keep", b"q\0", r"a value is wanted"),
    ("no mark", b"t", r"a mark is wanted"),
    ("below the mark", b"N(0", r"a value is wanted"),
    ("no UTF-8", b"X\x01\0\0\0\xff", r"a text that is not UTF-8"),
    ("half a surrogate", b"X\x03\0\0\0\xed\xa0\x80", r"a text that is not UTF-8"),
    ("append to none", b"NNa", r"appended to what is of type nonetype"),
    ("put into a list", b"](NNu", r"2 keys and values are put into what is of type list"),
    ("half a pair", b"}(Nu", r"1 keys and values are put into what is of type dict"),
    ("a key of a tuple", b"})Ns", r"a key is of type tuple, expected a text or a small"),
    ("a key of a list", b"}]Ns", r"a key is of type list"),
    ("a large key", b"}\x8a\x05\0\0\0\0\x01Ns", r"a key is of type int"),
    ("a key of 1.0", b"}G\x3f\xf0\0\0\0\0\0\0Ns", r"a key is of type float"),
    ("a state for none", b"N}b", r"a state is given to what is of type nonetype"),
    ("a state of a tuple", b"})b", r"a state is given to what is of type dict"),
    ("a call of a text", b"X\x01\0\0\0a)R", r"a call of what is of type str"),
    ("a call with a list", b"ccollections\nOrderedDict\n]R", r"a call of what is of type name"),
    ("a dict of pairs", b"ccollections\nOrderedDict\n]\x85R", r"a call of collections\.OrderedDict with \(\[\],\)"),
    ("a call of a storage", b"ctorch\nFloatStorage\n)R", r"a call of torch\.FloatStorage with \(\)"),
    ("a size of text", b"ctorch\nSize\nX\x01\0\0\0a\x85R", r"a call of torch\.Size with \('a',\)"),
    ("no tensor to rebuild", b"ctorch._utils\n_rebuild_parameter\n(NNNtR", r"a call of .*_rebuild_parameter with"),
    ("a name of numbers", b"K\x01K\x02\x93", r"asks for .*\(1, 2\)"),
    ("no storage", b"NQ", r"None is wanted, expected a storage"),
    ("a module", b"(X\x06\0\0\0moduleNNNNtQ", r"'module', .* is wanted, expected a storage"),
    ("a storage of no class", b"(X\x07\0\0\0storageNX\x01\0\0\x000NK\x0ctQ", r"a storage is told as"),
    ("deep", b"(" * 100000 + b"t" * 99999, r"dict of tensors"),
]


@pytest.mark.parametrize(("code", "complaint"), [pytest.param(*row, id=name) for name, *row in BAD_CODE])
def test_pickles_that_are_refused(code: bytes, complaint: str, tmp_path: Path) -> None:
    refused(write_torch(tmp_path / "x.pt", Raw(code)), complaint)


def test_a_pickle_of_many_shares(tmp_path: Path) -> None:
    """Each tuple holds the one before twice: nothing may walk it."""
    code = b")q\0" + b"".join(b"0h%ch%c\x86q%c" % (i, i, i + 1) for i in range(200))
    assert isinstance(read(str(write_torch(tmp_path / "x.pt", Raw(code)))), tuple)
    refused(write_torch(tmp_path / "y.pt", Raw(code + b"}" + b"h\xc8Ns")), r"a key is of type tuple")
    refused(write_torch(tmp_path / "z.pt", Raw(code + b"h\xc8Q")), r"is wanted, expected a storage")


def tensor(*given: Any) -> dict[str, Any]:
    return {"t": rebuilt("_rebuild_tensor_v2", *given)}


def storage(*said: Any) -> dict[str, Any]:
    return tensor(Persistent(("storage", *said)), 0, (1,), (1,), False, HOOKS)


FLOATS = Global("torch", "FloatStorage")
BAD_TENSORS: list[tuple[str, Any, str]] = [
    (
        "beyond its storage",
        Saved(Storage(bytes(48), "FloatStorage"), (13,), (1,)),
        r"begins at byte 0 of 48, .* too few",
    ),
    ("far away", Saved(Storage(bytes(48), "FloatStorage"), (1,), (1,), 2**62), r"begins at byte \d+ of 48"),
    ("behind", Saved(Storage(bytes(48), "FloatStorage"), (1,), (1,), 12), r"begins at byte 48 of 48"),
    ("huge", Saved(Storage(b"", "FloatStorage"), (2**62, 2**62), (2**62, 1)), r"which is too few for it"),
    (
        "by columns",
        Saved(Storage(bytes(48), "FloatStorage"), (3, 4), (1, 3)),
        r"the tensor 't' of 3 x 4 lies in steps of 1 x 3",
    ),
    ("with gaps", Saved(Storage(bytes(48), "FloatStorage"), (3, 2), (4, 1)), r"save it with \.contiguous\(\)"),
    ("repeated", Saved(Storage(bytes(48), "FloatStorage"), (3, 4), (0, 1)), r"lies in steps of 0 x 1"),
    ("a stride less", Saved(Storage(bytes(48), "FloatStorage"), (3, 4), (1,)), r"a tensor of 3 x 4 with 1 steps"),
    (
        "a dimension of -1",
        tensor(PERSISTENT, 0, (-1,), (1,), False, HOOKS),
        r"expected an offset, a shape and its steps",
    ),
    ("a dimension of true", tensor(PERSISTENT, 0, (True,), (1,), False, HOOKS), r"expected an offset, a shape"),
    ("an offset of -4", tensor(PERSISTENT, -4, (1,), (1,), False, HOOKS), r"expected an offset, a shape"),
    ("a shape that is a list", tensor(PERSISTENT, 0, [1], (1,), False, HOOKS), r"expected an offset, a shape"),
    (
        "a hundred dimensions",
        tensor(PERSISTENT, 0, (1,) * 100, (1,) * 100, False, HOOKS),
        r"expected an offset, a shape",
    ),
    ("few arguments", tensor(PERSISTENT, 0, (1,)), r"a call of torch\._utils\._rebuild_tensor_v2 with"),
    ("no storage", tensor("0", 0, (1,), (1,), False, HOOKS), r"a call of torch\._utils\._rebuild_tensor_v2 with"),
    ("a storage that is missing", storage(FLOATS, "9", "cpu", 12), r"the storage '9' is not in the archive"),
    ("out of the folder", storage(FLOATS, "../data.pkl", "cpu", 12), r"the storage '\.\./data\.pkl' is not in"),
    ("more than there is", storage(FLOATS, "0", "cpu", 13), r"'0' is said to have 13 values of F32, but has 48 bytes"),
    ("less", storage(FLOATS, "0", "cpu", 11), r"'0' is said to have 11 values of F32"),
    ("another type", storage(Global("torch", "DoubleStorage"), "0", "cpu", 12), r"12 values of F64"),
    ("a number as key", storage(FLOATS, 0, "cpu", 12), r"a storage is told as"),
    ("no class", storage("FloatStorage", "0", "cpu", 12), r"a storage is told as"),
    ("a type as class", storage(Global("torch", "float32"), "0", "cpu", 12), r"a storage is told as"),
    ("a view", storage(FLOATS, "0", "cpu", 12, ("1", 0, 3)), r"expected a storage with its class, key, device"),
]


@pytest.mark.parametrize(("value", "complaint"), [pytest.param(*row, id=name) for name, *row in BAD_TENSORS])
def test_tensors_that_are_refused(value: Any, complaint: str, tmp_path: Path) -> None:
    members = members_of({"t": value} if isinstance(value, Saved) else value)
    if not isinstance(value, Saved):
        members.append(Member("archive/data/0", VALUES.tobytes()))
    refused(write_zip(tmp_path / "x.pt", members), complaint)


# What is refused: archives.


def usual() -> list[Member]:
    return members_of({"a": saved(VALUES), "b": saved(VALUES)})


def lies(member: int, **said: Any) -> list[Member]:
    members = usual()
    for where in ("directory", "local"):
        getattr(members[member], where).update(said.get(where, {}))
    return members


def alike(**said: Any) -> list[Member]:
    """In both places."""
    return lies(2, directory=said, local=said)


ARCHIVES: list[tuple[str, list[Member], dict[str, Any], str]] = [
    ("compressed", alike(method=8), {}, r"b'archive/data/0' is compressed, expected"),
    ("packed", lies(2, directory={"packed": 40}), {}, r"'archive/data/0' is compressed"),
    ("encrypted", lies(2, directory={"flags": 1}), {}, r"'archive/data/0' is encrypted"),
    ("compressed in one place", lies(2, local={"method": 8}), {}, r"is another one in the directory than at byte"),
    ("encrypted in one place", lies(2, local={"flags": 1}), {}, r"is another one in the directory"),
    ("of two names", lies(2, local={"name": b"archive/data/9"}), {}, r"is another one in the directory"),
    ("of two sizes", lies(2, local={"size": 40}), {}, r"is another one in the directory"),
    ("of two checksums", lies(2, local={"crc": 1}), {}, r"is another one in the directory"),
    ("no UTF-8", alike(name=b"\xff"), {}, r"b'\\xff', which is not UTF-8"),
    ("twice", [*usual(), usual()[2]], {}, r"the member 'archive/data/0' is there twice"),
    ("in another part", lies(2, directory={"disk": 1}), {}, r"in another part"),
    ("too long", alike(size=10**6, packed=10**6), {}, r"has 1000000 bytes, but"),
    ("longer than 32 bits", alike(size=2**40, packed=2**40), {"long": True}, r"has 1099511627776 bytes"),
    ("on another", lies(2, directory={"at": 0}), {}, r"'archive/data/0' is another one in the directory"),
    ("far away", lies(2, directory={"at": 10**6}), {}, r"'archive/data/0' is said to be at byte 1000000"),
    ("very far away", lies(2, directory={"at": 2**63}), {"long": True}, r"is said to be at byte 9223372036854775808"),
    ("nowhere", lies(2, directory={"at": 8}), {}, r"no member 'archive/data/0' at byte 8"),
    ("into the next", alike(size=100, packed=100), {}, r"begins at byte \d+, inside 'archive/data/0'"),
    ("a member more", usual(), {"end": {"n": 6}}, r"its directory has 5 members, but is said to have 6"),
    ("no members", usual(), {"end": {"n": 0}}, r"its directory has 5 members, but is said to have 0"),
    ("a long directory", usual(), {"end": {"size": 10**6}}, r"expected to end at"),
    ("a directory elsewhere", usual(), {"end": {"begin": 1}}, r"its directory lies from byte 1 to"),
    ("several parts", usual(), {"end": {"disk": 1}}, r"an archive of several parts"),
    ("an end elsewhere", usual(), {"end": {"record": 5}}, r"no end of its directory at byte 5"),
    ("an end far away", usual(), {"end": {"record": 2**63}}, r"is said to be at byte 9223372036854775808"),
    ("no pickle", usual()[1:], {}, r"a zip archive with 0 data\.pkl, expected 1"),
    ("two pickles", [*usual(), Member("b/data.pkl", b"")], {}, r"a zip archive with 2 data\.pkl"),
    ("a program", [*usual(), Member("archive/constants.pkl", b"")], {}, r"a program of TorchScript"),
    ("big endian", [usual()[0], Member("archive/byteorder", b"big"), *usual()[2:]], {}, r"its byte order is b'big'"),
    ("another checksum", lies(0, directory={"crc": 7}, local={"crc": 7}), {}, r"data\.pkl has another checksum"),
]


@pytest.mark.parametrize(("members", "how", "complaint"), [pytest.param(*row, id=name) for name, *row in ARCHIVES])
def test_archives_that_are_refused(members: list[Member], how: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    refused(write_zip(tmp_path / "x.pt", members, **how), complaint)


def test_a_checksum_that_was_not_computed(tmp_path: Path) -> None:
    members = lies(0, directory={"crc": 0}, local={"crc": 0})
    assert read_tensors(str(write_zip(tmp_path / "x.pt", members))).keys() == {"a", "b"}


def test_archives_cut_short_anywhere(tmp_path: Path) -> None:
    data = write_torch(tmp_path / "whole.pt", {"a": saved(VALUES)}).read_bytes()
    path = tmp_path / "x.pt"
    for n in range(len(data)):
        path.write_bytes(data[:n])
        refused(path, r"x\.pt: ")
    path.write_bytes(data + b"x")
    refused(path, r"without its directory")


def test_a_large_pickle(tmp_path: Path) -> None:
    refused(
        write_torch(tmp_path / "x.pt", Raw(b"N0" * 2**21 + b"N")),
        r"data\.pkl has 41943\d+ bytes, expected at most 4194304",
    )


def test_the_format_of_before(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(bytes.fromhex("80028a0a6cfc9c46f9206aa85019") + b".\x80\x02M\xe9\x03.")
    refused(path, r"of torch's format of before version 1\.6; load it with torch and save it again")
    with pytest.raises(CheckpointError, match=r"before version 1\.6"):
        Llama(path)


def test_other_files(tmp_path: Path) -> None:
    refused(write_zip(tmp_path / "x.pt", []), r"no zip archive, expected a file of torch")
    refused(write_zip(tmp_path / "y.pt", [Member("word/document.xml", b"<a/>")]), r"with 0 data\.pkl")
    for kind, data in (("sfx", b"MZ" + bytes(100)), ("empty", b"")):
        (tmp_path / kind).write_bytes(data)
        assert not is_torch(str(tmp_path / kind))
        refused(tmp_path / kind, r"no zip archive")
    assert not is_torch(str(tmp_path)) and not is_torch(str(tmp_path / "nowhere")) and not is_torch("\ud800")
    refused(tmp_path, r"a directory, expected a file")
    refused(tmp_path / "nowhere", r"cannot read: No such file")


def test_the_pickle_of_a_member_is_the_one_in_the_directory(tmp_path: Path) -> None:
    """Bytes between members are nobody's."""
    path = write_torch(tmp_path / "x.pt", {"a": saved(VALUES)})
    data = bytearray(path.read_bytes())
    assert struct.unpack_from("<L", data, 14)[0] == zlib.crc32(
        bytes(data[64 : 64 + struct.unpack_from("<L", data, 22)[0]])
    )
    data[40:60] = b"os\nsystem\n" * 2
    path.write_bytes(data)
    with pytest.raises(CheckpointError):
        read(str(path))
