"""Writes what the fuzz targets begin with: small good files of every kind, made up from a seed.

    python tests/fuzz/make_corpus.py        into tests/fuzz/corpus, one folder for each target

Files in parts are one input: the parts, one after the other.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "py"))

import checkpoints
from checkpoints import Array, Shape
from gguf import GGML_QUANT_SIZES
from gguf import GGMLQuantizationType as Kind
from gguf import GGUFValueType as Type
from test_dtypes import HALVES
from test_gguf import Metadata, array, info, key, metadata_of, raw, tensors_of, text

FOLDER = Path(__file__).resolve().parent / "corpus"
FORMATS = {
    Type.UINT8: "B",
    Type.INT8: "b",
    Type.UINT16: "H",
    Type.INT16: "h",
    Type.UINT32: "I",
    Type.INT32: "i",
    Type.FLOAT32: "f",
    Type.BOOL: "?",
    Type.UINT64: "Q",
    Type.INT64: "q",
    Type.FLOAT64: "d",
}
U32, F32, STR, LIST = Type.UINT32, Type.FLOAT32, Type.STRING, Type.ARRAY
SMALL = Shape(dim=8, hidden_dim=12, n_layers=1, n_heads=2, n_kv_heads=1, vocab_size=6, context=16)

SESSION_PAGE = 576  # bytes of a page of the model in session.c

Files = Iterator[tuple[str, bytes]]


class WideHeads(Shape):
    """One head whose width is that of a block, whatever the model's is."""

    @property
    def head_dim(self) -> int:
        return 256


class NarrowHeads(Shape):
    @property
    def head_dim(self) -> int:
        return 2


def entry(name: str, type: Type, value: object) -> bytes:
    if type == STR:
        return key(name, type, text(str(value)))
    if type == LIST:
        assert isinstance(value, list)
        return key(name, type, array(U32, len(value), struct.pack(f"<{len(value)}I", *value)))
    return key(name, type, struct.pack("<" + FORMATS[type], value))


def blocks(tensor: Array, kind: Kind, rng: np.random.Generator) -> bytes:
    """Floats as they are; blocks of any bits, but for scales that keep them small."""
    if kind == Kind.F32:
        return tensor.astype("<f4").tobytes()
    if kind == Kind.F16:
        return tensor.astype("<f2").tobytes()
    if kind == Kind.BF16:
        return (tensor.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    values, size = GGML_QUANT_SIZES[kind]
    data = rng.integers(0, 256, (tensor.size // values, size), np.uint8)
    for at in HALVES[kind.name]:
        data[:, at + 1] = 0x10
    if kind == Kind.MXFP4:
        data[:, 0] = 122
    return data.tobytes()


def model(
    shape: Shape,
    kind: Kind | Callable[[str], Kind] = Kind.F32,
    architecture: str = "llama",
    metadata: Metadata | None = None,
    tensors: Mapping[str, Array | None] | None = None,
    align: int = 32,
    version: int = 3,
    parts: int = 1,
) -> bytes:
    """A model; vectors, and matrices whose rows are no whole number of blocks, are float32."""
    rng = np.random.default_rng(1)
    keys = [entry("general.architecture", STR, architecture)]
    for name, said in (metadata_of(shape) | (metadata or {})).items():
        if said is not None:
            keys.append(entry(architecture + name if name.startswith(".") else name, *said))
    named_tensors: dict[str, Array | None] = {**tensors_of(checkpoints.random_weights(shape, 1)), **(tensors or {})}
    all_tensors = [(name, tensor) for name, tensor in named_tensors.items() if tensor is not None]
    files = []
    for part in range(parts):
        infos, data = [], b""
        for name, tensor in all_tensors[part::parts]:
            wanted = kind if isinstance(kind, Kind) else kind(name)
            fits = tensor.ndim > 1 and tensor.shape[-1] % GGML_QUANT_SIZES[wanted][0] == 0
            chosen = wanted if fits else Kind.F32
            infos.append(info(name, tensor.shape[::-1], chosen.value, len(data)))
            data += blocks(tensor, chosen, rng)
            data += bytes(-len(data) % align)
        split = [
            entry("split.no", Type.UINT16, part),
            entry("split.count", Type.UINT16, parts),
            entry("split.tensors.count", Type.INT32, len(all_tensors)),
        ]
        named = [*(keys if part == 0 else []), *(split if parts > 1 else [])]
        head = raw(named, infos, head=b"GGUF" + struct.pack("<I", version), data=0)
        files.append(head + bytes(-len(head) % align) + data)
    return b"".join(files)


def everything() -> list[bytes]:
    """Keys of every type, alone and in arrays."""
    keys = [key("text", STR, text("Grüße\0\n")), key("texts", LIST, array(STR, 3, text("") + text("a") + text("\n")))]
    for type, code in FORMATS.items():
        keys.append(entry(f"one {type.name}", type, 1))
        keys.append(key(f"many {type.name}", LIST, array(type, 3, struct.pack(f"<3{code}", 0, 1, 1))))
    nested = array(LIST, 2, array(Type.UINT8, 2, b"ab") + array(LIST, 1, array(STR, 1, text("deep"))))
    return [*keys, key("nested", LIST, nested), key("none", LIST, array(STR, 0))]


def checkpoint_files() -> Files:
    rng = np.random.default_rng(2)
    for name in HALVES:
        kind = Kind[name]
        values, _ = GGML_QUANT_SIZES[kind]
        shape = {
            1: SMALL,
            32: Shape(dim=32, hidden_dim=32, n_layers=1, n_heads=2, n_kv_heads=1, vocab_size=5, context=16),
            256: NarrowHeads(dim=256, hidden_dim=3, n_layers=1, n_heads=2, n_kv_heads=1, vocab_size=4, context=16),
        }[values]
        yield f"{name.lower()}.gguf", model(shape, kind)
    deep = WideHeads(dim=2, hidden_dim=256, n_layers=3, n_heads=1, n_kv_heads=1, vocab_size=4, context=16)
    kinds = {"blk.0.": Kind.Q3_K, "blk.1.": Kind.Q5_K, "blk.2.": Kind.IQ4_XS}
    yield (
        "mixed.gguf",
        model(deep, lambda name: next((k for start, k in kinds.items() if name.startswith(start)), Kind.F16)),
    )
    for kind in (Kind.F32, Kind.F16):
        separate = Shape(
            dim=8, hidden_dim=5, n_layers=2, n_heads=2, n_kv_heads=2, vocab_size=7, context=9, shared=False
        )
        yield f"separate-{kind.name.lower()}.gguf", model(separate, kind)
    yield "version-2.gguf", model(SMALL, version=2)
    yield "alignment-8.gguf", model(SMALL, metadata={"general.alignment": (U32, 8)}, align=8)
    yield "alignment-64.gguf", model(SMALL, metadata={"general.alignment": (U32, 64)}, align=64)
    for parts in (2, 3):
        yield f"parts-{parts}.gguf", model(SMALL, parts=parts)
    layered: Metadata = {".feed_forward_length": (LIST, [12]), ".attention.head_count_kv": (LIST, [1])}
    yield "layered.gguf", model(SMALL, metadata=layered)
    scalings: dict[str, Metadata] = {
        "linear": {".rope.scaling.type": (STR, "linear"), ".rope.scaling.factor": (F32, 4.0)},
        "yarn": {
            ".rope.scaling.type": (STR, "yarn"),
            ".rope.scaling.factor": (F32, 4.0),
            ".rope.scaling.original_context_length": (U32, 8),
        },
    }
    for name, scaling in scalings.items():
        yield f"{name}.gguf", model(SMALL, metadata=scaling)
    yield "factors.gguf", model(SMALL, tensors={"rope_freqs.weight": np.array([1.0, 8.0])})
    biases: dict[str, Array] = {
        f"blk.0.attn_{name}.bias": rng.standard_normal(n) for name, n in (("q", 8), ("k", 4), ("v", 4))
    }
    yield "qwen2.gguf", model(SMALL, architecture="qwen2", tensors=biases)
    norms: dict[str, Array] = {f"blk.0.attn_{name}_norm.weight": np.ones(4) for name in "qk"}
    yield "qwen3.gguf", model(SMALL, architecture="qwen3", tensors=norms)
    experts = checkpoints.with_experts(checkpoints.random_weights(SMALL, 1), 1, 3, 2)
    chosen: Metadata = {".expert_count": (U32, 3), ".expert_used_count": (U32, 2)}
    dense: dict[str, Array | None] = {f"blk.0.ffn_{name}.weight": None for name in ("gate", "up", "down")}
    yield "experts.gguf", model(SMALL, metadata=chosen, tensors=dense | tensors_of(experts))
    yield "mistral.gguf", model(SMALL, architecture="mistral", metadata={".rope.freq_base": (F32, 1e6)})
    yield "everything.gguf", raw(everything(), data=0)
    for shared in (True, False):
        shape = Shape(dim=6, hidden_dim=8, n_layers=2, n_heads=3, n_kv_heads=1, vocab_size=8, context=9, shared=shared)
        weights = checkpoints.random_weights(shape, 1)
        name = "tied" if shared else "separate"
        yield f"{name}-v0.bin", b"".join(data for _, data in checkpoints.v0_parts(weights))
        yield f"{name}-v1.bin", b"".join(data for _, data in checkpoints.v1_parts(weights))
        yield f"{name}-v2.bin", b"".join(data for _, data in checkpoints.v2_parts(weights, group_size=4))


NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = range(1, 7)


def vocabulary(
    name: str,
    pieces: list[tuple[str | bytes, int]],
    merges: list[str] | None = None,
    scores: bool = True,
    kinds: bool = True,
    extra: Metadata | None = None,
    own: Metadata | None = None,
    added: list[int] | None = None,
) -> bytes:
    """own, added: keys of llama2py's, and the flags of added tokens."""

    def column(what: str, type: Type, n: int, items: bytes) -> bytes:
        return key(f"tokenizer.{what if '.' in what else f'ggml.{what}'}", LIST, array(type, n, items))

    n = len(pieces)
    keys = [
        entry("tokenizer.ggml.model", STR, name),
        column("tokens", STR, n, b"".join(text(piece) for piece, _ in pieces)),
    ]
    if scores:
        keys.append(column("scores", F32, n, struct.pack(f"<{n}f", *(-float(i) for i in range(n)))))
    if kinds:
        keys.append(column("token_type", Type.INT32, n, struct.pack(f"<{n}i", *(kind for _, kind in pieces))))
    if merges is not None:
        keys.append(column("merges", STR, len(merges), b"".join(text(merge) for merge in merges)))
    for what, said in (extra or {}).items():
        assert said is not None
        keys.append(entry(f"tokenizer.ggml.{what}", *said))
    for what, said in (own or {}).items():
        assert said is not None
        keys.append(entry(f"tokenizer.llama2py.{what}", *said))
    if added is not None:
        keys.append(column("llama2py.added", Type.INT32, n, struct.pack(f"<{n}i", *added)))
        keys.append(column("llama2py.eos_token_ids", Type.INT32, 2, struct.pack("<2i", 2, 0)))
    return raw(keys, data=0) + "Hello, the ab abab é 1234 <s> don't\n".encode()


def byte_names() -> list[str]:
    """The characters by which GPT-2's vocabularies name the 256 bytes."""
    printed = {byte for byte in range(256) if 0x20 < byte < 0x7F or (byte > 0xA0 and byte != 0xAD)}
    others = iter(range(256, 512))
    return [chr(byte if byte in printed else next(others)) for byte in range(256)]


def tokenizer_files() -> Files:
    special: list[tuple[str | bytes, int]] = [("<unk>", UNKNOWN), ("<s>", CONTROL), ("</s>", CONTROL)]
    words = ["▁", "a", "b", "é", "▁a", "ab", "▁ab", "▁▁", "he", "the", "b\x80"]
    pieces = [*special, *((word, NORMAL) for word in words), ("<|user|>", USER), ("unused", UNUSED), ("<0x0A>", BYTE)]
    yield "spm.gguf", vocabulary("llama", pieces)
    yield "spm-bare.gguf", vocabulary("llama", pieces, scores=False, kinds=False)
    every = [*special, *((f"<0x{byte:02X}>", BYTE) for byte in range(256)), *((word, NORMAL) for word in words)]
    rules: Metadata = {
        "bos_token_id": (U32, 1),
        "eos_token_id": (U32, 2),
        "unknown_token_id": (U32, 0),
        "add_bos_token": (Type.BOOL, True),
        "add_eos_token": (Type.BOOL, True),
        "add_space_prefix": (Type.BOOL, False),
    }
    yield "spm-bytes.gguf", vocabulary("llama", every, extra=rules)
    ranked_words = ["▁ a", "a b", "▁a b", "h e", "t he", "▁ ▁"]
    ways = [1, 1, 1, *[0] * (len(pieces) - 3)]
    ways[-3:] = [1 | 2 | 4, 1 | 8 | 32, 1 | 16]
    pieces += [("h", NORMAL), ("t", NORMAL), ("e", NORMAL)]
    flag: Metadata = {"ranked": (Type.BOOL, True), "normalizer": (STR, "nfc"), "each_unknown": (Type.BOOL, True)}
    for scheme in ("wanting", "first"):
        way: Metadata = {**flag, "space_prefix": (STR, scheme), "split_spaces": (Type.BOOL, scheme == "wanting")}
        yield f"ranked-{scheme}.gguf", vocabulary("llama", pieces, ranked_words, own=way, added=[*ways, 0, 0, 0])
    yield "ranked.gguf", vocabulary("llama", every, ["▁ a", "a b"], own={"ranked": (Type.BOOL, True)})
    letters = [*"abdehlotn'1234", "Ġ", "Ċ", "Ã", "©"]
    merged = ["ab", "he", "the", "Ġa", "Ġab", "12", "123", "é", "ĠĠ"]
    merges = ["a b", "h e", "t he", "Ġ a", "Ġa b", "1 2", "12 3", "Ã ©", "Ġ Ġ"]
    spelled = [*letters, *(piece if piece != "é" else "Ã©" for piece in merged)]
    ranked: list[tuple[str | bytes, int]] = [*((piece, NORMAL) for piece in spelled), ("<s>", CONTROL), ("Ã", USER)]
    for rule in ("llama-bpe", "qwen2", "gpt-2", "smollm", "default"):
        extra: Metadata = {"pre": (STR, rule), "bos_token_id": (U32, len(spelled))}
        yield f"bpe-{rule}.gguf", vocabulary("gpt2", ranked, merges, scores=False, extra=extra)
    turns: Metadata = {
        "pre": (STR, "qwen2"),
        "eos_token_id": (U32, len(spelled)),
        "eot_token_id": (U32, len(spelled) + 1),
        "eom_token_id": (U32, len(spelled)),
    }
    whole: Metadata = {"normalizer": (STR, "nfc"), "whole_words": (Type.BOOL, True)}
    yield "bpe-nfc.gguf", vocabulary("gpt2", ranked, merges, scores=False, extra=turns, own=whole)
    full: list[tuple[str | bytes, int]] = [(name, NORMAL) for name in [*byte_names(), *dict.fromkeys(spelled[-9:])]]
    yield "bpe-bytes.gguf", vocabulary("gpt2", full, merges, kinds=False)
    for n in (1, 40, 300):
        tokens = checkpoints.made_up_tokens(n)
        yield f"tokenizer-{n}.bin", b"".join(data for _, data in checkpoints.tokenizer_parts(tokens))


def session_files() -> Files:
    """Of the model in session.c, which puts in what it hashes to, what a page takes, and the hash at the end."""
    for n_tokens, n_pages in ((0, 0), (7, 0), (16, 1), (40, 2), (64, 4)):
        tokens = [(3 * i + i * i // 7) % 5 for i in range(n_tokens)]
        head = b"llama2py" + struct.pack("<IIQQIIQ", 1, 1, 0, 0, n_tokens, n_pages, 0)
        padded = struct.pack(f"<{n_tokens + n_tokens % 2}i", *tokens, *[0] * (n_tokens % 2))
        values = np.random.default_rng(n_tokens).normal(size=n_pages * SESSION_PAGE // 2).astype("<f2")
        yield f"tokens-{n_tokens}", head + padded + values.tobytes() + bytes(8)


def main() -> None:
    total = 0
    for target, files in (
        ("checkpoint", checkpoint_files()),
        ("session", session_files()),
        ("tokenizer", tokenizer_files()),
    ):
        folder = FOLDER / target
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        for name, data in files:
            (folder / name).write_bytes(data)
            total += len(data)
    print(f"{total} bytes in {FOLDER}")


if __name__ == "__main__":
    main()
