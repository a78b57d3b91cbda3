"""Checkpoints and tokenizers in llama2.c's formats, written from a seed and read back, for tests and benchmarks.

    shape = Shape(dim=40, hidden_dim=52, n_layers=1, n_heads=3, n_kv_heads=1, vocab_size=77, context=32)
    weights = random_weights(shape, seed=1)        trained-like scale, float32
    weights = loud_weights(shape, seed=1)          the extremes of int8 arithmetic
    write_v0(path, weights)                        legacy float32
    write_v1(path, weights)                        float32 with a 256-byte header
    write_v2(path, weights, group_size=8)          int8 with a float32 scale per group
    weights = read(path)                           any of the three; int8 comes back as q * scale, exact in float64
    write_tokenizer(path, vocab_size)              -> the tokens it wrote, as (score, bytes)
    tokens = read_tokenizer(path)                  the same of any tokenizer.bin
    v0_parts, v1_parts, v2_parts, tokenizer_parts  the named byte runs that the writers put one after the other

    SHAPES, Variant                                odd shapes by name, and a made-up model as it is stored and run

The three writers return the path. All numbers are little endian. head_dim is dim // n_heads, so dim need not be a
multiple of n_heads.
"""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.floating[Any]]
Part: TypeAlias = tuple[str, bytes]

MAGIC = 0x616B3432
HEADER_BYTES = 256
BYTE_TOKENS_BEGIN = 3
BYTE_TOKENS_END = BYTE_TOKENS_BEGIN + 256
LETTERS = "etaoinshrdlucmfwygpbvkxqjz"


@dataclass(frozen=True)
class Shape:
    """The numbers in a checkpoint's header."""

    dim: int
    hidden_dim: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    vocab_size: int
    context: int
    shared: bool = True
    head_width: int | None = None  # where it is not dim // n_heads, which llama2.c's formats cannot say

    def __post_init__(self) -> None:
        if self.n_heads % self.n_kv_heads != 0:
            raise ValueError(f"n_heads is {self.n_heads}, which n_kv_heads, {self.n_kv_heads}, does not divide")

    @property
    def head_dim(self) -> int:
        return self.head_width or self.dim // self.n_heads

    @property
    def q_dim(self) -> int:
        return self.n_heads * self.head_dim

    @property
    def kv_dim(self) -> int:
        return self.n_kv_heads * self.head_dim


@dataclass(frozen=True)
class Rope:
    """How heads are rotated. What is not llama2.c's way can be said in GGUF only."""

    theta: float = 10000.0
    dim: int | None = None  # leading dimensions that are rotated; None: all
    halves: bool = False  # pairs are (i, dim / 2 + i), else (2i, 2i + 1)
    scaling: str = "none"  # or "linear", "yarn"
    factor: float = 1.0
    context: int = 0  # yarn: before it was scaled
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    extrapolation: float = 1.0
    log_multiplier: float = 0.0
    magnitude: float = 1.0
    divisors: tuple[float, ...] = ()  # of each pair's frequency, before it is scaled


@dataclass
class Weights:
    """A checkpoint's tensors; per layer stacked in the first axis. A matrix maps its columns to its rows."""

    shape: Shape
    embedding: Array  # (vocab_size, dim)
    attention_norm: Array  # (n_layers, dim)
    wq: Array  # (n_layers, q_dim, dim)
    wk: Array  # (n_layers, kv_dim, dim)
    wv: Array  # (n_layers, kv_dim, dim)
    wo: Array  # (n_layers, dim, q_dim)
    ffn_norm: Array  # (n_layers, dim)
    w1: Array  # (n_layers, hidden_dim, dim)
    w2: Array  # (n_layers, dim, hidden_dim)
    w3: Array  # (n_layers, hidden_dim, dim)
    final_norm: Array  # (dim,)
    classifier: Array  # (vocab_size, dim); the embedding itself when it is shared
    rope: Rope = field(default_factory=Rope)
    bq: Array | None = None  # (n_layers, q_dim) added to the queries
    bk: Array | None = None  # (n_layers, kv_dim)
    bv: Array | None = None  # (n_layers, kv_dim)
    bo: Array | None = None  # (n_layers, dim)
    q_norm: Array | None = None  # (n_layers, head_dim) of each query head, before it is rotated
    k_norm: Array | None = None  # (n_layers, head_dim)
    window: int = 0  # keys that a query sees, its own the last of them; 0: all
    router: Array | None = None  # (n_layers, n_experts, dim); then w1, w2 and w3 are (n_layers, n_experts, …)
    experts_used: int = 0


SHAPES = {
    "plain": Shape(dim=64, hidden_dim=128, n_layers=2, n_heads=4, n_kv_heads=4, vocab_size=320, context=128),
    "odd": Shape(dim=40, hidden_dim=52, n_layers=1, n_heads=3, n_kv_heads=3, vocab_size=77, context=96),
    "odd grouped": Shape(dim=40, hidden_dim=52, n_layers=2, n_heads=3, n_kv_heads=1, vocab_size=77, context=96),
    "even": Shape(dim=40, hidden_dim=52, n_layers=1, n_heads=4, n_kv_heads=2, vocab_size=96, context=96),
    "grouped": Shape(dim=64, hidden_dim=172, n_layers=3, n_heads=8, n_kv_heads=2, vocab_size=512, context=96),
    "separate": Shape(
        dim=48, hidden_dim=100, n_layers=2, n_heads=4, n_kv_heads=4, vocab_size=132, context=96, shared=False
    ),
    "one head": Shape(dim=96, hidden_dim=33, n_layers=1, n_heads=1, n_kv_heads=1, vocab_size=65, context=96),
    "vocab 1": Shape(dim=16, hidden_dim=24, n_layers=1, n_heads=2, n_kv_heads=1, vocab_size=1, context=96),
    "all ones": Shape(dim=1, hidden_dim=1, n_layers=1, n_heads=1, n_kv_heads=1, vocab_size=1, context=1),
    "head_dim 1": Shape(dim=3, hidden_dim=5, n_layers=1, n_heads=3, n_kv_heads=3, vocab_size=5, context=96),
    "many heads": Shape(dim=72, hidden_dim=31, n_layers=1, n_heads=36, n_kv_heads=2, vocab_size=50, context=96),
    "long": Shape(dim=24, hidden_dim=40, n_layers=1, n_heads=2, n_kv_heads=1, vocab_size=64, context=1200),
}


@dataclass(frozen=True)
class Variant:
    """A made-up model: the name of its shape, the version of its file, and whether to quantise while loading."""

    shape: str
    version: int = 0
    group_size: int = 0
    quantize: str | None = None
    loud: bool = False

    def __str__(self) -> str:
        return f"{self.stored} {self.quantize}" if self.quantize else self.stored

    @property
    def stored(self) -> str:
        """What is in the file, apart from how it is run."""
        group = f"-{self.group_size}" if self.version == 2 else ""
        return f"{self.shape}{', loud,' if self.loud else ''} v{self.version}{group}"

    def write(self, path: str | os.PathLike[str], seed: int = 1) -> Path:
        weights = (loud_weights if self.loud else random_weights)(SHAPES[self.shape], seed)
        if self.version == 2:
            return write_v2(path, weights, self.group_size)
        return write_v1(path, weights) if self.version == 1 else write_v0(path, weights)


LAYER_MATRICES = ("wq", "wk", "wv", "wo", "w1", "w2", "w3")
V0_ORDER = ("embedding", "attention_norm", "wq", "wk", "wv", "wo", "ffn_norm", "w1", "w2", "w3", "final_norm")
NORMS = ("attention_norm", "ffn_norm", "final_norm")
MATRICES = ("embedding", *LAYER_MATRICES)
VECTORS = ("bq", "bk", "bv", "bo", "q_norm", "k_norm")


def tensor_shapes(shape: Shape) -> dict[str, tuple[int, ...]]:
    """The NumPy shape of each tensor of Weights, by its name."""
    L, dim, hidden = shape.n_layers, shape.dim, shape.hidden_dim
    return {
        "embedding": (shape.vocab_size, dim),
        "attention_norm": (L, dim),
        "wq": (L, shape.q_dim, dim),
        "wk": (L, shape.kv_dim, dim),
        "wv": (L, shape.kv_dim, dim),
        "wo": (L, dim, shape.q_dim),
        "ffn_norm": (L, dim),
        "w1": (L, hidden, dim),
        "w2": (L, dim, hidden),
        "w3": (L, hidden, dim),
        "final_norm": (dim,),
        "classifier": (shape.vocab_size, dim),
    }


def random_weights(shape: Shape, seed: int) -> Weights:
    """Weights whose activations and logits have the spread of a trained model: a few units, never saturated."""
    rng = np.random.default_rng(seed)
    tensors: dict[str, Any] = {}
    for name, dims in tensor_shapes(shape).items():
        if name in NORMS:
            tensors[name] = 1 + np.float32(0.2) * rng.standard_normal(dims, dtype=np.float32)
        elif name == "classifier" and shape.shared:
            tensors[name] = tensors["embedding"]
        else:
            gain = {"embedding": 2.0, "classifier": 2.0, "wo": 0.5, "w2": 0.5}.get(name, 1.0)
            spread = np.float32(gain / np.sqrt(dims[-1]))
            tensors[name] = spread * rng.standard_normal(dims, dtype=np.float32)
    return Weights(shape, **tensors)


def family_weights(shape: Shape, seed: int, vectors: Iterable[str], rope: Rope, window: int = 0) -> Weights:
    """random_weights() with what other families have besides: those of VECTORS that are named."""
    rng = np.random.default_rng([seed, 1])
    widths = {"bq": shape.q_dim, "bk": shape.kv_dim, "bv": shape.kv_dim, "bo": shape.dim}
    drawn: dict[str, Any] = {}
    for name in vectors:
        values = rng.standard_normal((shape.n_layers, widths.get(name, shape.head_dim)), dtype=np.float32)
        drawn[name] = np.float32(0.5) * values if name in widths else 1 + np.float32(0.3) * values
    return replace(random_weights(shape, seed), rope=rope, window=window, **drawn)


def with_experts(weights: Weights, seed: int, n_experts: int, used: int) -> Weights:
    """The same with experts in place of each feed-forward layer. Their scores differ by a few units."""
    rng = np.random.default_rng([seed, 2])
    shape, drawn = weights.shape, {}
    for name in ("w1", "w2", "w3"):
        layers, *dims = tensor_shapes(shape)[name]
        spread = np.float32((0.5 if name == "w2" else 1.0) / np.sqrt(dims[-1]))
        drawn[name] = spread * rng.standard_normal((layers, n_experts, *dims), dtype=np.float32)
    router = rng.standard_normal((shape.n_layers, n_experts, shape.dim), dtype=np.float32)
    return replace(weights, router=router / np.float32(np.sqrt(shape.dim)), experts_used=used, **drawn)


def loud_weights(shape: Shape, seed: int) -> Weights:
    """Weights of 1 and -1 alone, whole rows of either among them: in int8 they make the largest sums there are."""
    rng = np.random.default_rng(seed)
    tensors: dict[str, Any] = {}
    for name, dims in tensor_shapes(shape).items():
        signs = rng.choice(np.array([-1, 1], dtype=np.float32), dims)
        if name in NORMS:
            signs[:] = 1
        else:
            signs[..., 0::4, :] = 1
            signs[..., 1::4, :] = -1
        tensors[name] = tensors["embedding"] if name == "classifier" and shape.shared else signs
    return Weights(shape, **tensors)


def _shape_fields(shape: Shape, vocab_size: int) -> bytes:
    return struct.pack(
        "<7i",
        shape.dim,
        shape.hidden_dim,
        shape.n_layers,
        shape.n_heads,
        shape.n_kv_heads,
        vocab_size,
        shape.context,
    )


def _float32(tensor: Array) -> bytes:
    return np.ascontiguousarray(tensor, dtype="<f4").tobytes()


def v0_parts(weights: Weights) -> Iterator[Part]:
    """The legacy format: a 28-byte header in which a negative vocab_size announces a separate classifier."""
    shape = weights.shape
    yield "header", _shape_fields(shape, shape.vocab_size if shape.shared else -shape.vocab_size)
    for name in V0_ORDER:
        yield name, _float32(getattr(weights, name))
    yield "rope tables", bytes(2 * 4 * shape.context * (shape.head_dim // 2))
    if not shape.shared:
        yield "classifier", _float32(weights.classifier)


def v1_parts(weights: Weights) -> Iterator[Part]:
    """Version 1: the norms first, then the matrices, all float32."""
    shape = weights.shape
    head = struct.pack("<Ii", MAGIC, 1) + _shape_fields(shape, shape.vocab_size) + struct.pack("<B", shape.shared)
    yield "header", head.ljust(HEADER_BYTES, b"\0")
    for name in (*NORMS, "embedding", *LAYER_MATRICES, *([] if shape.shared else ["classifier"])):
        yield name, _float32(getattr(weights, name))


def v2_parts(weights: Weights, group_size: int) -> Iterator[Part]:
    """Version 2: float32 norms, then each matrix as int8 values followed by a float32 scale per group of them."""
    shape = weights.shape
    head = struct.pack("<Ii", MAGIC, 2) + _shape_fields(shape, shape.vocab_size)
    head += struct.pack("<Bi", shape.shared, group_size)
    yield "header", head.ljust(HEADER_BYTES, b"\0")
    for name in NORMS:
        yield name, _float32(getattr(weights, name))
    yield from _v2_matrix("embedding", weights.embedding, group_size)
    for name in LAYER_MATRICES:
        for layer, matrix in enumerate(getattr(weights, name)):
            yield from _v2_matrix(f"{name}[{layer}]", matrix, group_size)
    if not shape.shared:
        yield from _v2_matrix("classifier", weights.classifier, group_size)


def _v2_matrix(name: str, matrix: Array, group_size: int) -> Iterator[Part]:
    if matrix.size % group_size != 0:
        raise ValueError(f"{name} has {matrix.size} values, no multiple of the group size {group_size}")
    groups = matrix.astype(np.float32).reshape(-1, group_size)
    scales = np.abs(groups).max(axis=1, keepdims=True) / np.float32(127)
    values = np.rint(groups / np.where(scales == 0, np.float32(1), scales)).astype(np.int8)
    yield name, values.tobytes()
    yield f"{name} scales", _float32(scales)


def _write(path: str | os.PathLike[str], parts: Iterable[Part]) -> Path:
    with open(path, "wb") as file:
        for _, data in parts:
            file.write(data)
    return Path(path)


def write_v0(path: str | os.PathLike[str], weights: Weights) -> Path:
    return _write(path, v0_parts(weights))


def write_v1(path: str | os.PathLike[str], weights: Weights) -> Path:
    return _write(path, v1_parts(weights))


def write_v2(path: str | os.PathLike[str], weights: Weights, group_size: int) -> Path:
    return _write(path, v2_parts(weights, group_size))


class _Cursor:
    """Takes arrays off the front of a file."""

    def __init__(self, data: bytes, offset: int) -> None:
        self.data = data
        self.offset = offset

    def take(self, dtype: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        count = int(np.prod(shape))
        array = np.frombuffer(self.data, dtype, count, self.offset).reshape(shape)
        self.offset += array.nbytes
        return array

    def take_groups(self, shape: tuple[int, ...], group_size: int) -> Array:
        values = self.take("<i1", (int(np.prod(shape)) // group_size, group_size)).astype(np.float64)
        scales = self.take("<f4", (values.shape[0], 1)).astype(np.float64)
        return (values * scales).reshape(shape)


def read(path: str | os.PathLike[str]) -> Weights:
    """Reads a well-formed checkpoint of version 0, 1 or 2; the file must end where its last tensor does."""
    data = Path(path).read_bytes()
    magic, version = struct.unpack_from("<Ii", data)
    tensors: dict[str, Any] = {}
    if magic != MAGIC:
        shape = Shape(*struct.unpack_from("<7i", data))
        shape = replace(shape, vocab_size=abs(shape.vocab_size), shared=shape.vocab_size > 0)
        dims_of = tensor_shapes(shape)
        cursor = _Cursor(data, 28)
        for name in V0_ORDER:
            tensors[name] = cursor.take("<f4", dims_of[name])
        cursor.take("<f4", (2, shape.context, shape.head_dim // 2))
        if not shape.shared:
            tensors["classifier"] = cursor.take("<f4", dims_of["classifier"])
    else:
        shape = replace(Shape(*struct.unpack_from("<7i", data, 8)), shared=data[36] != 0)
        dims_of = tensor_shapes(shape)
        cursor = _Cursor(data, HEADER_BYTES)
        for name in NORMS:
            tensors[name] = cursor.take("<f4", dims_of[name])
        (group_size,) = struct.unpack_from("<i", data, 37)
        for name in ("embedding", *LAYER_MATRICES, *([] if shape.shared else ["classifier"])):
            if version == 1:
                tensors[name] = cursor.take("<f4", dims_of[name])
            elif name in LAYER_MATRICES:
                layers = [cursor.take_groups(dims_of[name][1:], group_size) for _ in range(shape.n_layers)]
                tensors[name] = np.stack(layers)
            else:
                tensors[name] = cursor.take_groups(dims_of[name], group_size)
    if cursor.offset != len(data):
        raise ValueError(f"{path}: {len(data)} bytes, but its tensors end at {cursor.offset}")
    tensors.setdefault("classifier", tensors["embedding"])
    return Weights(shape, **tensors)


def map_matrices(weights: Weights, function: Callable[[Array], Array]) -> Weights:
    """The same weights with function(matrix) in place of every matrix; a shared classifier stays shared."""
    changed: dict[str, Any] = {name: function(getattr(weights, name)) for name in MATRICES}
    changed["classifier"] = changed["embedding"] if weights.shape.shared else function(weights.classifier)
    return replace(weights, **changed)


def prompt_ids(shape: Shape, n: int, seed: int = 0) -> list[int]:
    return [int(i) for i in np.random.default_rng(seed).integers(0, shape.vocab_size, n)]


def made_up_tokens(vocab_size: int, seed: int = 0) -> list[tuple[float, bytes]]:
    """Special tokens, the 256 byte tokens if vocab_size holds them all, then letters and merges of earlier pieces.

    Scores are those of a SentencePiece BPE: a merge that was learnt earlier scores higher, a letter scores lowest.
    """
    special = [(0.0, b"<unk>"), (0.0, b"\n<s>\n"), (0.0, b"\n</s>\n")]
    if vocab_size >= BYTE_TOKENS_END:
        special += [(0.0, f"<0x{byte:02X}>".encode()) for byte in range(256)]
    room = max(0, vocab_size - len(special))
    letters = [" ", *LETTERS, ".", ",", "é", "L", "O", "T"][:room]
    pieces = list(letters)
    known = set(letters)
    rng = random.Random(seed)
    while len(pieces) < room:
        merged = rng.choice(pieces) + rng.choice(pieces[:200])
        if " " not in merged[1:] and merged not in known and len(merged.encode()) <= 16:
            pieces.append(merged)
            known.add(merged)
    ranked = [*pieces[len(letters) :], *letters]
    scored = [(-float(rank), piece.encode()) for rank, piece in enumerate(ranked)]
    return [*special, *scored][:vocab_size]


def tokenizer_parts(tokens: Iterable[tuple[float, bytes]]) -> Iterator[Part]:
    """llama2.c's tokenizer.bin: the longest piece's length, then for each token its score, length and bytes."""
    tokens = list(tokens)
    yield "max_token_length", struct.pack("<i", max((len(piece) for _, piece in tokens), default=0))
    for i, (score, piece) in enumerate(tokens):
        yield f"token {i}", struct.pack("<fi", score, len(piece)) + piece


def write_tokenizer(path: str | os.PathLike[str], vocab_size: int, seed: int = 0) -> list[tuple[float, bytes]]:
    tokens = made_up_tokens(vocab_size, seed)
    _write(path, tokenizer_parts(tokens))
    return tokens


def read_tokenizer(path: str | os.PathLike[str]) -> list[tuple[float, bytes]]:
    data = Path(path).read_bytes()
    tokens: list[tuple[float, bytes]] = []
    offset = 4
    while offset < len(data):
        score, length = struct.unpack_from("<fi", data, offset)
        tokens.append((score, data[offset + 8 : offset + 8 + length]))
        offset += 8 + length
    return tokens
