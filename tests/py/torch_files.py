"""torch's checkpoint files without torch: a small writer of what torch.save() writes, and of what it never would.

write_torch(path, value)            value: plain ones, and tensors of saved()
write_meta(path, weights, 4)        a folder of params.json and consolidated.NN.pth, cut as fairscale's layers are
write_ranks(path)                   a tokenizer.model as Llama 3's is
pickle_of(value), write_zip(path, members)   the two halves, with room for lies
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from checkpoints import Array, Shape, Weights
from folders import bits

STORAGES = {"F32": "FloatStorage", "F16": "HalfStorage", "BF16": "BFloat16Storage", "I64": "LongStorage"}
FULL = 0xFFFFFFFF


# Pickles.


@dataclass(frozen=True)
class Global:
    module: str
    name: str


@dataclass(frozen=True)
class Call:
    function: Any
    given: tuple[Any, ...]
    state: Any = None


@dataclass(frozen=True)
class Persistent:
    said: Any


@dataclass(frozen=True)
class Raw:
    """Instructions as they are."""

    code: bytes


@dataclass(eq=False)
class Storage:
    data: bytes
    kind: str


@dataclass(frozen=True)
class Saved:
    """A tensor; offset and strides in values."""

    storage: Storage
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0


def saved(values: Array, dtype: str = "F32") -> Saved:
    """A tensor with a storage of its own."""
    stored = np.ascontiguousarray(values).astype("<i8") if dtype == "I64" else bits(values, dtype)
    return part(Storage(stored.tobytes(), STORAGES[dtype]), stored.shape)


def part(storage: Storage, shape: tuple[int, ...], offset: int = 0) -> Saved:
    """A tensor that lies in a storage, maybe with others."""
    strides = tuple(int(np.prod(shape[i + 1 :], dtype=np.int64)) for i in range(len(shape)))
    return Saved(storage, shape, strides, offset)


class Pickler:
    """Protocol 2, as torch.save() has it. Storages are numbered as they come."""

    def __init__(self) -> None:
        self.storages: list[Storage] = []

    def code(self, value: Any) -> bytes:
        if value is None or isinstance(value, bool):
            return {None: b"N", True: b"\x88", False: b"\x89"}[value]
        if isinstance(value, int):
            if 0 <= value < 256:
                return b"K" + bytes([value])
            return b"J" + struct.pack("<i", value) if -(2**31) <= value < 2**31 else self.long(value)
        if isinstance(value, float):
            return b"G" + struct.pack(">d", value)
        if isinstance(value, str):
            return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
        if isinstance(value, tuple):
            return b"(" + self.codes(value) + b"t"
        if isinstance(value, list):
            return b"](" + self.codes(value) + b"e"
        if isinstance(value, dict):
            return b"}(" + self.codes([x for pair in value.items() for x in pair]) + b"u"
        if isinstance(value, Raw):
            return value.code
        if isinstance(value, Global):
            return f"c{value.module}\n{value.name}\n".encode()
        if isinstance(value, Persistent):
            return self.code(value.said) + b"Q"
        if isinstance(value, Call):
            called = self.code(value.function) + self.code(value.given) + b"R"
            return called if value.state is None else called + self.code(value.state) + b"b"
        if isinstance(value, Saved):
            return self.code(self.rebuilt(value))
        raise TypeError(type(value).__name__)

    def codes(self, values: Sequence[Any]) -> bytes:
        return b"".join(map(self.code, values))

    def long(self, value: int) -> bytes:
        n = value.bit_length() // 8 + 1
        return b"\x8a" + bytes([n]) + value.to_bytes(n, "little", signed=True)

    def rebuilt(self, tensor: Saved) -> Call:
        if tensor.storage not in self.storages:
            self.storages.append(tensor.storage)
        key, kind = str(self.storages.index(tensor.storage)), tensor.storage.kind
        size = {"FloatStorage": 4, "HalfStorage": 2, "BFloat16Storage": 2, "LongStorage": 8}[kind]
        storage = Persistent(("storage", Global("torch", kind), key, "cpu", len(tensor.storage.data) // size))
        hooks = Call(Global("collections", "OrderedDict"), ())
        given = (storage, tensor.offset, tensor.shape, tensor.strides, False, hooks)
        return Call(Global("torch._utils", "_rebuild_tensor_v2"), given)


def pickle_of(value: Any) -> tuple[bytes, list[Storage]]:
    pickler = Pickler()
    code = pickler.code(value)
    return b"\x80\x02" + code + b".", pickler.storages


# Archives.


@dataclass
class Member:
    """A file in an archive. The rest is what the directory or the local header say, where that is a lie."""

    name: str
    data: bytes
    directory: dict[str, Any] = field(default_factory=dict)
    local: dict[str, Any] = field(default_factory=dict)


def write_zip(
    path: Path,
    members: Sequence[Member],
    *,
    behind: bool = False,
    long: bool = False,
    end: dict[str, int] | None = None,
    comment: bytes = b"",
) -> Path:
    """An archive in which data begins at multiples of 64, as torch aligns it.

    behind: local headers do not say sizes. long: sizes are in the 64-bit fields. end: what the end says, where it lies.
    """
    out, directory = b"", b""
    for member in members:
        usual: dict[str, Any] = {"flags": 0x800 | (8 if behind else 0), "method": 0, "crc": zlib.crc32(member.data)}
        usual |= {"packed": len(member.data), "size": len(member.data), "name": member.name.encode(), "at": len(out)}
        usual |= {"disk": 0}
        local = usual | ({"crc": 0, "packed": 0, "size": 0} if behind else {}) | member.local
        said = usual | member.directory
        extra = struct.pack("<2H2Q", 1, 16, local["size"], local["packed"]) if long and not behind else b""
        sizes = (FULL, FULL) if extra else (local["packed"], local["size"])
        gap = -(len(out) + 30 + len(local["name"]) + len(extra) + 4) % 64
        extra += struct.pack("<2H", 0x4246, gap) + b"Z" * gap
        head = (b"PK\3\4", 20, local["flags"], local["method"], 0, 0, local["crc"], *sizes)
        out += struct.pack("<4s5H3L2H", *head, len(local["name"]), len(extra)) + local["name"] + extra + member.data
        if behind:
            out += struct.pack("<4s3L", b"PK\7\x08", usual["crc"], usual["size"], usual["packed"])
        extra = struct.pack("<2H3Q", 1, 24, said["size"], said["packed"], said["at"]) if long else b""
        sizes, at = ((FULL, FULL), FULL) if long else ((said["packed"], said["size"]), said["at"])
        head = (b"PK\1\2", 20, 20, said["flags"], said["method"], 0, 0, said["crc"], *sizes)
        directory += struct.pack(
            "<4s6H3L5H2L", *head, len(said["name"]), len(extra), 0, said["disk"], 0, 0, at
        ) + said["name"] + extra  # fmt: skip
    told = {"n": len(members), "size": len(directory), "begin": len(out), "disk": 0} | (end or {})
    place = len(out) + len(directory)
    out += directory
    out += struct.pack(
        "<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, told["disk"], 0, told["n"], told["n"], told["size"], told["begin"]
    )
    out += struct.pack("<4sLQL", b"PK\6\7", 0, told.get("record", place), 1)
    short = (0xFFFF, 0xFFFF, FULL, FULL) if long else (told["n"], told["n"], told["size"], told["begin"])
    out += struct.pack("<4s4H2LH", b"PK\5\6", told["disk"], 0, *short, len(comment)) + comment
    path.write_bytes(out)
    return path


def members_of(value: Any, folder: str = "archive") -> list[Member]:
    code, storages = pickle_of(value)
    members = [Member(f"{folder}/data.pkl", code), Member(f"{folder}/byteorder", b"little")]
    members += [Member(f"{folder}/data/{key}", storage.data) for key, storage in enumerate(storages)]
    return [*members, Member(f"{folder}/version", b"3\n")]


def write_torch(path: Path, value: Any, **how: Any) -> Path:
    return write_zip(path, members_of(value), **how)


# Checkpoints.

# Meta's names of a layer's tensors, ours, and the axis along which fairscale's layer cuts it: ColumnParallelLinear its
# outputs, RowParallelLinear its inputs; a norm is in each processor.
META = {
    "attention_norm": ("attention_norm", None),
    "attention.wq": ("wq", 0),
    "attention.wk": ("wk", 0),
    "attention.wv": ("wv", 0),
    "attention.wo": ("wo", 1),
    "ffn_norm": ("ffn_norm", None),
    "feed_forward.w1": ("w1", 0),
    "feed_forward.w2": ("w2", 1),
    "feed_forward.w3": ("w3", 0),
}


def meta_tensors(weights: Weights) -> dict[str, tuple[Array, int | None]]:
    """Each with the axis along which it is cut; that of VocabParallelEmbedding would be 0."""
    found: dict[str, tuple[Array, int | None]] = {"tok_embeddings.weight": (weights.embedding, 1)}
    for i in range(weights.shape.n_layers):
        for name, (ours, axis) in META.items():
            found[f"layers.{i}.{name}.weight"] = getattr(weights, ours)[i], axis
    found["norm.weight"] = weights.final_norm, None
    return found | {"output.weight": (weights.classifier, 0)}


def params_of(shape: Shape, multiple: int = 16) -> dict[str, Any]:
    return {
        "dim": shape.dim,
        "n_layers": shape.n_layers,
        "n_heads": shape.n_heads,
        "n_kv_heads": shape.n_kv_heads,
        "vocab_size": -1,
        "multiple_of": multiple,
        "norm_eps": 1e-5,
    }


def write_meta(
    path: Path,
    weights: Weights,
    shards: int = 1,
    dtype: str = "F32",
    *,
    params: dict[str, Any] | None = None,
    embedding_axis: int = 1,
    tensors: dict[str, Any] | None = None,
) -> Path:
    """params and tensors: what differs; one that is None is left out. tensors are in each file as they are."""
    path.mkdir(parents=True, exist_ok=True)
    said = params_of(weights.shape) | (params or {})
    (path / "params.json").write_text(json.dumps({key: value for key, value in said.items() if value is not None}))
    for rank in range(shards):
        state: dict[str, Any] = {}
        for name, (tensor, usual) in meta_tensors(weights).items():
            axis = embedding_axis if name == "tok_embeddings.weight" else usual
            state[name] = saved(tensor if axis is None else np.split(tensor, shards, axis)[rank], dtype)
        if weights.shape.shared:
            state["output.weight"] = state["tok_embeddings.weight"]
        state["rope.freqs"] = saved(np.ones(weights.shape.head_dim // 2, np.float32), dtype)
        state |= tensors or {}
        kept = {name: tensor for name, tensor in state.items() if tensor is not None}
        write_torch(path / f"consolidated.{rank:02}.pth", kept)
    return path


SEEN = (*range(33, 127), *range(161, 173), *range(174, 256))
SHOWN = (*SEEN, *(byte for byte in range(256) if byte not in SEEN))  # bytes in the order of what GPT-2 shows them as


def recorded_ranks(tokens: Sequence[bytes]) -> list[bytes]:
    """The bytes of the 128000 tokens that Llama 3 has ranks for, in a vocabulary that shows them as GPT-2 does."""
    alphabet = {chr(byte if byte in SEEN else 256 + i - len(SEEN)): byte for i, byte in enumerate(SHOWN)}
    return [bytes(alphabet[c] for c in token.decode()) for token in tokens[:128000]]


def rank_tokens() -> list[bytes]:
    """All bytes, and some words with what they are merged from."""
    tokens = [bytes([byte]) for byte in SHOWN]
    words = (b" the", b" then", b" cat", b"aaaa", "é".encode(), "🦙".encode(), b" 123", b"\n\n", b"ing")
    for word in words:
        tokens += [word[:n] for n in range(2, len(word) + 1) if word[:n] not in tokens]
    return [*tokens, b"at", b"he", b"hen"]


def write_ranks(path: Path, tokens: Sequence[bytes] | None = None) -> Path:
    ranked = enumerate(rank_tokens() if tokens is None else tokens)
    path.write_text("".join(f"{base64.b64encode(token).decode()} {rank}\n" for rank, token in ranked))
    return path
