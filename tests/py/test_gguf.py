"""GGUF files as the gguf package writes them: equal to the same weights in llama2.c's format, bit for bit; what only
GGUF can say, against the oracle; files in parts; and a row for each thing that is refused.
"""

from __future__ import annotations

import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import checkpoints
import gguf
import numpy as np
import numpy.typing as npt
import oracle
import pytest
from checkpoints import SHAPES, Array, Rope, Shape, Weights, map_matrices
from conftest import Run
from gguf import GGMLQuantizationType as Kind
from gguf import GGUFValueType as Type
from test_oracle import TOLERANCE, TOLERANCE_OTHER_WAY, errors

import llama2py
from llama2py import CheckpointError, DeviceError, FileError, Llama, Tokenizer, _core

Metadata: TypeAlias = dict[str, tuple[Type, Any] | None]
Tensors: TypeAlias = dict[str, Array | None]

U32, F32, STR, LIST = Type.UINT32, Type.FLOAT32, Type.STRING, Type.ARRAY
KINDS = [Kind.F32, Kind.F16, Kind.BF16, Kind.Q8_0]
NAMES = {
    "attn_norm": "attention_norm",
    "attn_q": "wq",
    "attn_k": "wk",
    "attn_v": "wv",
    "attn_output": "wo",
    "ffn_norm": "ffn_norm",
    "ffn_gate": "w1",
    "ffn_down": "w2",
    "ffn_up": "w3",
}
VECTOR_NAMES = {
    "attn_q.bias": "bq",
    "attn_k.bias": "bk",
    "attn_v.bias": "bv",
    "attn_output.bias": "bo",
    "attn_q_norm.weight": "q_norm",
    "attn_k_norm.weight": "k_norm",
}


def metadata_of(shape: Shape) -> Metadata:
    """Keys that begin with a dot belong to the architecture."""
    numbers = {
        "context_length": shape.context,
        "embedding_length": shape.dim,
        "block_count": shape.n_layers,
        "feed_forward_length": shape.hidden_dim,
        "attention.head_count": shape.n_heads,
        "attention.head_count_kv": shape.n_kv_heads,
        "rope.dimension_count": shape.head_dim,
    }
    if shape.q_dim != shape.dim:
        numbers |= {"attention.key_length": shape.head_dim, "attention.value_length": shape.head_dim}
    return {
        **{f".{name}": (U32, number) for name, number in numbers.items()},
        ".attention.layer_norm_rms_epsilon": (F32, oracle.EPSILON),
    }


def rope_metadata(rope: Rope) -> Metadata:
    """What differs from llama2.c's way."""
    usual = Rope()
    scaling = ".rope.scaling"
    keys: dict[str, tuple[Type, Any]] = {
        "dim": (U32, ".rope.dimension_count"),
        "theta": (F32, ".rope.freq_base"),
        "scaling": (STR, f"{scaling}.type"),
        "factor": (F32, f"{scaling}.factor"),
        "context": (U32, f"{scaling}.original_context_length"),
        "beta_fast": (F32, f"{scaling}.yarn_beta_fast"),
        "beta_slow": (F32, f"{scaling}.yarn_beta_slow"),
        "extrapolation": (F32, f"{scaling}.yarn_ext_factor"),
        "log_multiplier": (F32, f"{scaling}.yarn_log_multiplier"),
        "magnitude": (F32, f"{scaling}.attn_factor"),
    }
    return {
        key: (kind, getattr(rope, name))
        for name, (kind, key) in keys.items()
        if getattr(rope, name) != getattr(usual, name)
    }


def tensors_of(weights: Weights) -> dict[str, Array]:
    tensors = {"token_embd.weight": weights.embedding, "output_norm.weight": weights.final_norm}
    if not weights.shape.shared:
        tensors["output.weight"] = weights.classifier
    for name, field in NAMES.items():
        for layer, tensor in enumerate(getattr(weights, field)):
            tensors[f"blk.{layer}.{name}{'_exps' if tensor.ndim > 2 else ''}.weight"] = tensor
    for layer, router in enumerate(() if weights.router is None else weights.router):
        tensors[f"blk.{layer}.ffn_gate_inp.weight"] = router
    for name, field in VECTOR_NAMES.items():
        for layer, tensor in enumerate(() if getattr(weights, field) is None else getattr(weights, field)):
            tensors[f"blk.{layer}.{name}"] = tensor
    if weights.rope.divisors:
        tensors["rope_freqs.weight"] = np.array(weights.rope.divisors, np.float32)
    return tensors


def write(
    path: Path,
    weights: Weights,
    kind: Kind | Callable[[str], Kind] = Kind.F32,
    architecture: str = "llama",
    metadata: Metadata | None = None,
    tensors: Tensors | None = None,
    **options: Any,
) -> Path:
    """Writes matrices as `kind` and vectors as float32, unless `kind` says it for each name. metadata and tensors: what
    differs; None takes one away.
    """
    writer = gguf.GGUFWriter(path, architecture, **options)
    own: Metadata = {".attention.sliding_window": (U32, weights.window)} if weights.window else {}
    if weights.router is not None:
        own |= {".expert_count": (U32, weights.router.shape[1]), ".expert_used_count": (U32, weights.experts_used)}
    for key, entry in (metadata_of(weights.shape) | rope_metadata(weights.rope) | own | (metadata or {})).items():
        if entry is not None:
            name = architecture + key if key.startswith(".") else key
            numbers = entry[0] == LIST and isinstance(entry[1][0], int)
            writer.add_key_value(name, entry[1], entry[0], sub_type=U32 if numbers else None)
    for name, tensor in (dict[str, Array | None](tensors_of(weights)) | (tensors or {})).items():
        if tensor is None:
            continue
        chosen = kind(name) if not isinstance(kind, Kind) else kind if tensor.ndim > 1 else Kind.F32
        writer.add_tensor(name, gguf.quants.quantize(tensor.astype(np.float32), chosen), raw_dtype=chosen)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def with_tensors(weights: Weights, tensors: dict[str, Array]) -> Weights:
    """The weights with other values, named as in files."""
    changed = map_matrices(weights, np.array)
    for name, tensor in tensors.items():
        _, layer, part, _ = name.split(".") if name.startswith("blk.") else ("", "", "", "")
        if part and tensor.ndim > 1:
            getattr(changed, NAMES[part])[int(layer)] = tensor
    changed.embedding[:] = tensors["token_embd.weight"]
    return changed


def rounded(matrix: Array, kind: Kind) -> Array:
    """A matrix, or a stack of them, as a type holds it."""
    rows = matrix.reshape(-1, matrix.shape[-1]).astype(np.float32)
    values: Array = gguf.quants.dequantize(gguf.quants.quantize(rows, kind), kind).reshape(matrix.shape)
    return values


def logits(path: Path, tokens: list[int], **options: Any) -> npt.NDArray[np.int32]:
    """Their bits, so that == compares all of them. Keys and values are float32, as llama2.c's, unless it is said."""
    with Llama(path, **{"kv": "f32"} | options) as llama:
        return llama.logits(tokens).view(np.int32)


# What loads.


@pytest.mark.parametrize("quantize", [None, "q8_0"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("name", ["plain", "odd grouped", "grouped", "separate", "one head", "many heads"])
def test_the_same_numbers_give_the_same_logits(name: str, kind: Kind, quantize: str | None, tmp_path: Path) -> None:
    shape = SHAPES[name]
    if kind == Kind.Q8_0:
        shape = Shape(64, 96, 2, 4, 2, 77, 96, shape.shared)
    weights = checkpoints.random_weights(shape, 1)
    same = map_matrices(weights, lambda matrix: rounded(matrix, kind))
    if kind == Kind.Q8_0:
        reference = checkpoints.write_v2(tmp_path / "model.bin", same, group_size=32)
    else:
        reference = checkpoints.write_v0(tmp_path / "model.bin", same)
    path = write(tmp_path / "model.gguf", weights, kind)
    tokens = checkpoints.prompt_ids(shape, 40)
    assert (logits(path, tokens, quantize=quantize) == logits(reference, tokens, quantize=quantize)).all()
    info = llama2py.describe(path, quantize=quantize)
    expected = llama2py.describe(reference)
    assert info.dtype == (quantize or kind.name.lower())
    assert info.format == "GGUF v3"
    assert info.file_bytes == path.stat().st_size
    for field in ("dim", "head_dim", "vocab_size", "context", "shared_classifier", "parameters"):
        assert getattr(info, field) == getattr(expected, field)


BLOCKS = [Kind.Q4_0, Kind.Q4_1, Kind.Q5_0, Kind.Q5_1, Kind.Q2_K, Kind.Q3_K, Kind.Q4_K, Kind.Q5_K, Kind.Q6_K]
BLOCKS += [Kind.IQ4_NL, Kind.IQ4_XS, Kind.MXFP4]


@pytest.mark.parametrize("kind", BLOCKS, ids=lambda kind: kind.name)
def test_every_type_stands_for_its_values(kind: Kind, tmp_path: Path) -> None:
    """A file of blocks gives the logits of what the gguf package says they are, as integer kernels see activations; and
    the same bits on any instruction set, by any number of threads, in batches of any size.
    """
    shape = Shape(256, 512, 1, 4, 2, 64, 32)
    random, (values, size) = np.random.default_rng(5), gguf.GGML_QUANT_SIZES[kind]
    blocks: dict[str, npt.NDArray[np.uint8]] = {}

    def of_blocks(name: str, matrix: Array) -> Array:
        rows, cols = matrix.reshape(-1, matrix.shape[-1]).shape
        raw = random.integers(0, 256, (rows, cols // values * size), np.uint8)
        for at in range(
            0, raw.shape[1], size
        ):  # float16 scales near 1/256, and MXFP4's exponent, so that all is finite
            raw[:, at] = 122 if kind == Kind.MXFP4 else raw[:, at]
            for scale in SCALES.get(kind, (0,)):
                raw[:, at + scale + 1] = 0x1C
        blocks[name] = raw
        found: Array = gguf.quants.dequantize(raw, kind)
        return found

    weights = checkpoints.random_weights(shape, 1)
    tensors = tensors_of(weights)
    plain = {name: t if t.ndim == 1 else of_blocks(name, t) for name, t in tensors.items()}
    writer = gguf.GGUFWriter(tmp_path / "blocks.gguf", "llama")
    for key, entry in metadata_of(shape).items():
        assert entry is not None
        writer.add_key_value("llama" + key if key.startswith(".") else key, entry[1], entry[0])
    for name, tensor in tensors.items():
        if tensor.ndim == 1:
            writer.add_tensor(name, tensor.astype(np.float32))
        else:
            writer.add_tensor(name, blocks[name], raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    stood_for = with_tensors(weights, plain)
    tokens = checkpoints.prompt_ids(shape, 20)
    with Llama(tmp_path / "blocks.gguf", isa="scalar", kv="f32") as llama:
        found = llama.logits(tokens)
        assert llama.info.dtype == kind.name.lower()
    assert np.isfinite(found).all()
    worst = errors(found, oracle.logits(stood_for, tokens, lambda columns: True))
    assert worst.max() <= TOLERANCE_OTHER_WAY
    assert np.median(worst) <= TOLERANCE
    for isa in _core.ISAS:
        for threads, batch in ((1, 1), (2, 7), (3, 20)):
            try:
                again = logits(tmp_path / "blocks.gguf", tokens, isa=isa, threads=threads, batch=batch)
            except DeviceError:
                continue  # not on this machine
            assert (again == found.view(np.int32)).all(), f"{isa}, {threads} threads, batches of {batch}"


# Where a block's float16 scales stand, if not at its beginning alone.
SCALES: dict[Kind, tuple[int, ...]] = {
    Kind.Q4_1: (0, 2),
    Kind.Q5_1: (0, 2),
    Kind.Q2_K: (80, 82),
    Kind.Q3_K: (108,),
    Kind.Q4_K: (0, 2),
    Kind.Q5_K: (0, 2),
    Kind.Q6_K: (208,),
    Kind.MXFP4: (),
}


@pytest.mark.parametrize("isa", ["scalar", None])
def test_q8_0_is_kept_as_it_lies(isa: str | None, tmp_path: Path) -> None:
    """Down to the lowest int8, which a writer would not choose: what is requantised would differ."""
    weights = checkpoints.loud_weights(Shape(64, 96, 1, 4, 2, 77, 96), 1)
    path = write(tmp_path / "model.gguf", weights, Kind.Q8_0)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"\x81", b"\x80"))
    lowest = map_matrices(weights, lambda m: np.where(m < 0, np.float32(-128 / 127), m).astype(np.float32))
    scale = float(np.float16(1 / 127))
    exact = map_matrices(lowest, lambda m: np.rint(m * 127).astype(np.float64) * scale)
    tokens = checkpoints.prompt_ids(weights.shape, 20)
    with Llama(path, isa=isa, kv="f32") as llama:
        found = llama.logits(tokens)
    assert np.median(errors(found, oracle.logits(exact, tokens, lambda columns: True))) <= TOLERANCE


@pytest.mark.parametrize("quantize", [None, "q8_0"])
@pytest.mark.parametrize("part", ["attn_q", "attn_v", "ffn_gate", "ffn_up"])
def test_parts_of_a_matrix_in_different_types(part: str, quantize: str | None, tmp_path: Path) -> None:
    weights = checkpoints.random_weights(SHAPES["plain"], 1)
    setattr(weights, NAMES[part], rounded(getattr(weights, NAMES[part]), Kind.Q8_0))
    reference = checkpoints.write_v0(tmp_path / "model.bin", weights)
    path = write(tmp_path / "model.gguf", weights, lambda name: Kind.Q8_0 if part in name else Kind.F32)
    tokens = checkpoints.prompt_ids(weights.shape, 40)
    found, expected = (logits(file, tokens, quantize=quantize).view(np.float32) for file in (path, reference))
    if quantize:
        assert (found == expected).all()
    else:  # in integers for this part alone
        worst = errors(found, expected.astype(np.float64)).max()
        assert TOLERANCE < worst <= TOLERANCE_OTHER_WAY


SAID_OTHERWISE: list[tuple[str, Metadata]] = [
    ("other integers", {".context_length": (Type.UINT64, 128), ".block_count": (Type.INT16, 2)}),
    ("float64", {".attention.layer_norm_rms_epsilon": (Type.FLOAT64, oracle.EPSILON)}),
    ("no heads for keys", {".attention.head_count_kv": None}),
    ("no rope dimensions", {".rope.dimension_count": None}),
    ("heads per layer", {".attention.head_count_kv": (LIST, [4, 4])}),
    ("hidden per layer", {".feed_forward_length": (LIST, [128, 128])}),
    ("lengths of heads", {".attention.key_length": (U32, 16), ".attention.value_length": (U32, 16)}),
    ("the usual theta", {".rope.freq_base": (F32, Rope().theta)}),
    ("no scaling", {".rope.scaling.type": (STR, "none"), ".rope.scaling.factor": (F32, 8.0)}),
    ("scaling by 1", {".rope.scaling.type": (STR, "linear"), ".rope.scaling.factor": (F32, 1.0)}),
    ("no experts", {".expert_count": (U32, 0)}),
    ("a wide window", {".attention.sliding_window": (U32, 128)}),
    ("another alignment", {"general.alignment": (U32, 32)}),
    ("what nobody asks for", {"a.key": (LIST, [1, 2, 3]), "another": (Type.BOOL, True)}),
]


@pytest.mark.parametrize("metadata", [pytest.param(row, id=name) for name, row in SAID_OTHERWISE])
def test_the_same_model_said_otherwise(metadata: Metadata, tmp_path: Path) -> None:
    weights = checkpoints.random_weights(SHAPES["plain"], 1)
    reference = checkpoints.write_v0(tmp_path / "model.bin", weights)
    path = write(tmp_path / "model.gguf", weights, metadata=metadata)
    tokens = checkpoints.prompt_ids(weights.shape, 20)
    assert (logits(path, tokens) == logits(reference, tokens)).all()


def test_mistral_is_a_llama(tmp_path: Path) -> None:
    weights = checkpoints.random_weights(SHAPES["grouped"], 1)
    reference = checkpoints.write_v0(tmp_path / "model.bin", weights)
    path = write(tmp_path / "model.gguf", weights, architecture="mistral")
    tokens = checkpoints.prompt_ids(weights.shape, 20)
    assert (logits(path, tokens) == logits(reference, tokens)).all()


@pytest.mark.parametrize("rope_dim", [24, 16, 2])
def test_what_only_gguf_can_say(rope_dim: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The width of heads, how much of them is rotated, theta and epsilon."""
    shape = Shape(40, 52, 2, 3, 1, 77, 96, head_width=24)
    weights = checkpoints.family_weights(shape, 1, (), Rope(theta=500000.0, dim=rope_dim))
    monkeypatch.setattr(oracle, "EPSILON", 0.25)
    path = write(tmp_path / "model.gguf", weights)
    tokens = checkpoints.prompt_ids(weights.shape, 50)
    with Llama(path, kv="f32") as llama:
        assert llama.info.head_dim == 24
        assert errors(llama.logits(tokens), oracle.logits(weights, tokens)).max() <= TOLERANCE


def test_a_real_file(data: Path, run: Run) -> None:
    """It says another context and has the embedding twice; the weights are the same."""
    folder = data / "stories260K"
    path, reference = folder / "stories260K.gguf", folder / "stories260K.bin"
    tokens = checkpoints.prompt_ids(SHAPES["grouped"], 500)
    for quantize in (None, "q8_0"):
        found = logits(path, tokens, context=512, quantize=quantize)
        assert (found == logits(reference, tokens, quantize=quantize)).all()
    info = llama2py.describe(path)
    assert (info.context, info.shared_classifier, info.format) == (2048, False, "GGUF v3")
    said = [run(file, "-t", "0", "-n", "100", "-z", folder / "tok512.bin").stdout for file in (path, reference)]
    assert said[0] == said[1]
    assert said[0].startswith(b"Once upon a time")
    with Llama(path, tokenizer=Tokenizer(folder / "tok512.bin")) as llama:
        assert llama.tokenizer.vocab_size == info.vocab_size


@pytest.mark.parametrize(("name", "complaint"), [("llama-bpe", "token_embd.weight"), ("gpt-2", "'gpt2'")])
def test_a_vocabulary_is_no_model(name: str, complaint: str, data: Path) -> None:
    with pytest.raises(CheckpointError, match=complaint):
        Llama(data / f"tokenizers/ggml-vocab-{name}.gguf")


# Files in parts.


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    write(tmp_path / "model.gguf", checkpoints.random_weights(SHAPES["plain"], 1), Kind.Q8_0, split_max_tensors=6)
    found = sorted(tmp_path.glob("model-*.gguf"))
    assert [path.name for path in found] == [f"model-{i:05}-of-00004.gguf" for i in range(1, 5)]
    return found


def test_files_in_parts(parts: list[Path], tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.gguf", checkpoints.random_weights(SHAPES["plain"], 1), Kind.Q8_0)
    tokens = checkpoints.prompt_ids(SHAPES["plain"], 20)
    assert (logits(parts[0], tokens) == logits(whole, tokens)).all()
    assert llama2py.describe(parts[0]).file_bytes == sum(path.stat().st_size for path in parts)


def test_another_part_names_the_first(parts: list[Path]) -> None:
    for number, path in enumerate(parts[1:], 2):
        with pytest.raises(CheckpointError, match=re.escape(f"part {number} of 4; open the first one, {parts[0]}")):
            Llama(path)
    renamed = parts[1].rename(parts[1].with_name("other.gguf"))
    with pytest.raises(CheckpointError, match=r"part 2 of 4; open the first one, \*-00001-of-00004\.gguf$"):
        Llama(renamed)


def test_parts_that_do_not_belong_together(parts: list[Path]) -> None:
    renamed = shutil.copy(parts[0], parts[0].with_name("model.gguf"))
    with pytest.raises(CheckpointError, match=r"does not end in -00001-of-00004\.gguf"):
        Llama(renamed)
    third = parts[2].read_bytes()
    shutil.copy(parts[1], parts[2])
    with pytest.raises(CheckpointError, match=r"00003-of-00004\.gguf: it says that it is part 2 of 4, expected 3 of 4"):
        Llama(parts[0])
    parts[2].write_bytes(third[:-40])
    with pytest.raises(CheckpointError, match=re.escape(str(parts[2]))):
        Llama(parts[0])
    parts[2].unlink()
    with pytest.raises(FileError, match=re.escape(str(parts[2]))):
        Llama(parts[0])
    parts[2].write_bytes(third)
    Llama(parts[0]).close()
    first = parts[0].read_bytes()
    at = first.index(b"split.tensors.count") + len(b"split.tensors.count") + 4
    parts[0].write_bytes(first[:at] + struct.pack("<i", 7) + first[at + 4 :])
    with pytest.raises(CheckpointError, match="have 20 tensors, expected the 7 that"):
        Llama(parts[0])


# What is refused.

MATRIX = np.zeros((8, 8), np.float32)

REFUSED_MODELS: list[tuple[str, str, Metadata, Tensors]] = [
    (
        "architecture",
        r"'qwen9' is not known; those that are: llama, mistral, qwen2, qwen3$",
        {"general.architecture": (STR, "qwen9")},
        {},
    ),
    (
        "architecture of another type",
        r"general\.architecture is of type uint32, expected a string",
        {"general.architecture": (U32, 1)},
        {},
    ),
    ("no layers", r"llama\.block_count is missing, expected a whole number", {".block_count": None}, {}),
    ("0 layers", r"llama\.block_count is 0, expected 1 to", {".block_count": (U32, 0)}, {}),
    ("a layer too many", r"blk\.2\.attn_norm\.weight is missing", {".block_count": (U32, 3)}, {}),
    ("2^31 layers", r"block_count is 2147483648, expected 1 to 2147483647", {".block_count": (U32, 2**31)}, {}),
    ("a layer too few", r"blk\.1\.\w+\.weight .* of 1 layers", {".block_count": (U32, 1)}, {}),
    ("width as text", r"embedding_length is of type string", {".embedding_length": (STR, "64")}, {}),
    ("width as float", r"embedding_length is of type float32", {".embedding_length": (F32, 64.0)}, {}),
    ("negative width", r"embedding_length is -64", {".embedding_length": (Type.INT32, -64)}, {}),
    ("huge width", r"is 18446744073709551615", {".embedding_length": (Type.UINT64, 2**64 - 1)}, {}),
    ("another width", r"token_embd\.weight is 320 x 64, expected 320 x 128", {".embedding_length": (U32, 128)}, {}),
    (
        "another hidden width",
        r"ffn_gate\.weight is 128 x 64, expected 64 x 64",
        {".feed_forward_length": (U32, 64)},
        {},
    ),
    ("hidden widths that differ", r"64 in one layer and 128 in", {".feed_forward_length": (LIST, [64, 128])}, {}),
    (
        "too many hidden widths",
        r"has 3 numbers, expected 1 for each of the 2",
        {".feed_forward_length": (LIST, [1] * 3)},
        {},
    ),
    ("a hidden width of 0", r"no whole number from 1", {".feed_forward_length": (LIST, [0, 0])}, {}),
    ("heads that do not group", r"4 heads are not a multiple of 3", {".attention.head_count_kv": (U32, 3)}, {}),
    ("more groups than heads", r"head_count_kv is 8, expected 1 to 4", {".attention.head_count_kv": (U32, 8)}, {}),
    ("fewer groups", r"attn_k\.weight is 64 x 64, expected 32 x 64", {".attention.head_count_kv": (U32, 2)}, {}),
    (
        "heads that do not divide",
        r"64 is not a multiple of the 5 heads",
        {".attention.head_count": (U32, 5), ".attention.head_count_kv": (U32, 5)},
        {},
    ),
    ("wide keys", r"attn_q\.weight is 64 x 64, expected 128 x 64", {".attention.key_length": (U32, 32)}, {}),
    ("short values", r"values of length 8 and keys of length 16", {".attention.value_length": (U32, 8)}, {}),
    ("rotated beyond the head", r"dimension_count is 17, expected 1 to 16", {".rope.dimension_count": (U32, 17)}, {}),
    ("no context", r"context_length is 0", {".context_length": (U32, 0)}, {}),
    ("a context without end", r"context_length is 4294967295", {".context_length": (U32, 2**32 - 1)}, {}),
    ("epsilon", r"epsilon is missing", {".attention.layer_norm_rms_epsilon": None}, {}),
    (
        "epsilon not a number",
        r"epsilon is -?nan, expected",
        {".attention.layer_norm_rms_epsilon": (F32, float("nan"))},
        {},
    ),
    ("theta of 0", r"freq_base is 0, expected 1 to", {".rope.freq_base": (F32, 0.0)}, {}),
    ("theta without end", r"freq_base is inf", {".rope.freq_base": (F32, float("inf"))}, {}),
    ("experts", r"llama\.expert_used_count", {".expert_count": (U32, 8)}, {}),
    (
        "more experts used",
        r"expert_used_count is 9, expected 1 to 8",
        {".expert_count": (U32, 8), ".expert_used_count": (U32, 9)},
        {},
    ),
    (
        "experts that are not there",
        r"blk\.0\.ffn_gate_inp\.weight is missing among its",
        {".expert_count": (U32, 8), ".expert_used_count": (U32, 2)},
        {},
    ),
    (
        "experts in tensors of their own",
        r"each expert has tensors of its own, as blk\.0\.ffn_gate\.0\.weight; .* convert the model anew",
        {".expert_count": (U32, 8), ".expert_used_count": (U32, 2)},
        {f"blk.{layer}.ffn_gate_inp.weight": np.ones((8, 64)) for layer in range(2)}
        | {"blk.0.ffn_gate.0.weight": MATRIX},
    ),
    (
        "windows in some layers",
        r"sliding_window_pattern asks for attention in a sliding window in some layers",
        {".attention.sliding_window": (U32, 64), ".attention.sliding_window_pattern": (U32, 2)},
        {},
    ),
    ("a window below 0", r"sliding_window is -1", {".attention.sliding_window": (Type.INT32, -1)}, {}),
    ("no whole window", r"sliding_window is .*float32", {".attention.sliding_window": (F32, 64.0)}, {}),
    ("experts' matrices", r"ffn_gate_exps\.weight \(experts\)", {}, {"blk.1.ffn_gate_exps.weight": MATRIX}),
    ("a stray tensor", r"blk\.00\.attn_q\.weight", {}, {"blk.00.attn_q.weight": MATRIX}),
    ("no matrix", r"blk\.1\.ffn_down\.weight is missing", {}, {"blk.1.ffn_down.weight": None}),
    ("no embedding", r"no tensor token_embd\.weight", {}, {"token_embd.weight": None}),
    ("a classifier of another shape", r"output\.weight is 8 x 8", {}, {"output.weight": MATRIX}),
]


MODEL_ROWS = [pytest.param(*row, id=name) for name, *row in REFUSED_MODELS]


@pytest.mark.parametrize(("complaint", "metadata", "tensors"), MODEL_ROWS)
def test_models_that_are_refused(complaint: str, metadata: Metadata, tensors: Tensors, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    write(path, checkpoints.random_weights(SHAPES["plain"], 1), metadata=metadata, tensors=tensors)
    refused(path, complaint)


@pytest.mark.parametrize("kind", [Kind.IQ2_XXS, Kind.IQ3_S, Kind.TQ1_0], ids=lambda kind: kind.name)
def test_types_that_cannot_be_computed_with(kind: Kind, tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "llama")
    shape = Shape(256, 256, 1, 4, 4, 4, 16)
    for key, entry in metadata_of(shape).items():
        assert entry is not None
        writer.add_key_value("llama" + key, entry[1], entry[0])
    values, size = gguf.GGML_QUANT_SIZES[kind]
    writer.add_tensor("token_embd.weight", np.zeros((4, 256 // values * size), np.uint8), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    refused(tmp_path / "model.gguf", rf"token_embd\.weight is {kind.name} \(type {kind.value}\)")


def refused(path: Path, complaint: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        Llama(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    assert re.search(complaint, message), message


def text(value: str | bytes) -> bytes:
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(data)) + data


def key(name: str | bytes, type: int, value: bytes) -> bytes:
    return text(name) + struct.pack("<I", type) + value


def array(type: int, count: int, items: bytes = b"") -> bytes:
    return struct.pack("<IQ", type, count) + items


def info(name: str | bytes, dims: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)


def raw(
    keys: list[bytes] | None = None,
    infos: list[bytes] | None = None,
    n_keys: int | None = None,
    n_tensors: int | None = None,
    head: bytes = b"GGUF" + struct.pack("<I", 3),
    data: int = 1024,
) -> bytes:
    """A file from its pieces, with `data` zeros after them; the counts are what there is unless they lie."""
    keys, infos = keys or [], infos or []
    counts = (len(infos) if n_tensors is None else n_tensors, len(keys) if n_keys is None else n_keys)
    content = head + struct.pack("<QQ", *counts) + b"".join(keys) + b"".join(infos)
    return content + bytes(-len(content) % 32 + data)


def alignment(value: int) -> bytes:
    return key("general.alignment", 4, struct.pack("<I", value))


nested = array(0, 1, b"\0")
for _ in range(8):
    nested = array(9, 1, nested)

REFUSED_FILES: list[tuple[str, str, bytes]] = [
    ("magic alone", r"4 bytes are too few", b"GGUF"),
    ("half a header", r"23 bytes are too few for a GGUF header, expected at least 24", raw()[:23]),
    ("version 1", r"version 1, expected 2 or 3", raw(head=b"GGUF" + struct.pack("<I", 1))),
    ("version 4", r"version 4, expected 2 or 3", raw(head=b"GGUF" + struct.pack("<I", 4))),
    ("version 0", r"version 0, expected 2 or 3", raw(head=b"GGUF" + struct.pack("<I", 0))),
    ("big-endian", r"a big-endian GGUF file", raw(head=b"GGUF" + struct.pack(">I", 3))),
    ("2^63 keys", r"9223372036854775808 keys in the header, but the file has 1032 bytes", raw(n_keys=2**63)),
    ("2^63 tensors", r"9223372036854775808 tensors in the header", raw(n_tensors=2**63)),
    ("a key too many", r"key 2 of 2, byte \d+: its name has 0 bytes", raw([alignment(32)], n_keys=2)),
    ("no name", r"key 1 of 1.* its name has 0 bytes, expected 1 to", raw([key("", 0, b"\0")])),
    ("a long name", r"its name has 65536 bytes", raw([key("k" * 65536, 0, b"\0")])),
    (
        "a name past the end",
        r"key 1 of 1.* its name takes 9223372036854775807 bytes",
        raw([struct.pack("<Q", 2**63 - 1)]),
    ),
    (
        "a string past the end",
        r"a string takes 18446744073709551615 bytes",
        raw([key("k", 8, struct.pack("<Q", 2**64 - 1))]),
    ),
    ("a type that is not known", r"a value of type 13, expected 0 to 12", raw([key("k", 13, b"\0")])),
    ("an array of none", r"a value of type 4294967295", raw([key("k", 9, array(2**32 - 1, 0))])),
    ("an array of 2^63", r"an array of 9223372036854775808 uint64s", raw([key("k", 9, array(10, 2**63))])),
    ("an array of 2^61 uint64s", r"an array of 2305843009213693952 uint64s", raw([key("k", 9, array(10, 2**61))])),
    ("strings without end", r"an array of 1152921504606846976 strings", raw([key("k", 9, array(8, 2**60))])),
    ("arrays without end", r"an array of 18446744073709551615 arrays", raw([key("k", 9, array(9, 2**64 - 1))])),
    ("deep arrays", r"arrays in arrays, 9 deep", raw([key("k", 9, nested)])),
    ("a bool of 2", r"a bool is 2, expected 0 or 1", raw([key("k", 7, b"\2")])),
    ("bools of 2", r"a bool is 2, expected 0 or 1", raw([key("k", 9, array(7, 2, b"\1\2"))])),
    (
        "a key twice",
        r"the key k is there twice, at byte 32 and at byte 60",
        raw([key("k", 0, b"\0"), key("j", 0, b"\0"), key("k", 0, b"\0")]),
    ),
    ("a key with a line's end", r"the key k\?\? is there twice", raw([key(b"k\n\xff", 0, b"\0")] * 2)),
    ("alignment 0", r"general\.alignment is 0, expected 1 to 65536", raw([alignment(0)])),
    ("alignment 24", r"general\.alignment is 24, expected a power of two", raw([alignment(24)])),
    ("alignment 2^17", r"general\.alignment is 131072", raw([alignment(2**17)])),
    ("alignment as text", r"general\.alignment is of type string", raw([key("general.alignment", 8, text("32"))])),
    ("a point", r"t has 0 dimensions, expected 1 to 4", raw([], [info("t", ())])),
    ("5 dimensions", r"t has 5 dimensions, expected 1 to 4", raw([], [info("t", (1,) * 5)])),
    ("a dimension of 0", r"dimension 1 of t is 0", raw([], [info("t", (4, 0))])),
    ("a dimension of 2^63", r"dimension 0 of t is 9223372036854775808", raw([], [info("t", (2**63,))])),
    (
        "dimensions that overflow",
        r"4294967296 x 4294967296 x .* overflows",
        raw([], [info("t", (2**32, 2**32))]),
    ),
    ("values that overflow", r"overflows", raw([], [info("t", (2**62,))])),
    ("a type of tensor", r"t is of type 31, which is not known", raw([], [info("t", (32,), 31)])),
    ("part of a block", r"t has rows of 48 values, expected a multiple of Q8_0's 32", raw([], [info("t", (48,), 8)])),
    (
        "not aligned",
        r"the offset of t is 16, expected a multiple of the alignment, 32",
        raw([], [info("t", (8,), 0, 16)]),
    ),
    (
        "past the end",
        r"the tensor t has 128 bytes at offset 1024 of the data, .* but the file ends",
        raw([], [info("t", (32,), 0, 1024)]),
    ),
    ("an offset without end", r"at offset 18446744073709551584 of", raw([], [info("t", (32,), 0, 2**64 - 32)])),
    (
        "overlap",
        r"the tensors a, which ends at byte 224, and b, which begins at byte 128",
        raw([], [info("b", (8,), 0, 32), info("a", (32,))]),
    ),
    (
        "a tensor twice",
        r"the tensor t is there twice, with data at byte",
        raw([], [info("t", (8,)), info("t", (8,), 0, 32)]),
    ),
    ("an empty file", r"the key general\.architecture is missing", raw()),
]


@pytest.mark.parametrize(("complaint", "content"), [pytest.param(*row, id=name) for name, *row in REFUSED_FILES])
def test_files_that_are_refused(complaint: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    refused(path, complaint)
