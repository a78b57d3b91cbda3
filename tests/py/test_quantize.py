"""Checkpoints written as GGUF files: read again by the gguf package and by this one, and nothing left of a failure."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import checkpoints
import gguf
import numpy as np
import pytest
from checkpoints import SHAPES, Array, Shape
from conftest import Cli
from gguf import GGMLQuantizationType as Kind
from gguf import GGUFValueType as Type
from test_gguf import LIST, STR, U32, Metadata, logits, metadata_of, tensors_of
from test_gguf import write as write_gguf

import llama2py
from llama2py import QUANTIZE_TYPES, FileError, InvalidArgumentError, Llama, NumericError, TokenizerError, quantize
from llama2py.errors import TargetExistsError

# Rows of whole blocks of 256, and enough layers for all that depends on a layer's number.
WIDE = Shape(dim=256, hidden_dim=256, n_layers=8, n_heads=4, n_kv_heads=1, vocab_size=300, context=32, shared=False)
TIED = Shape(dim=256, hidden_dim=256, n_layers=8, n_heads=4, n_kv_heads=1, vocab_size=300, context=32)

# The most that a type may leave of a normal distribution's square, about a tenth above what it does.
ERRORS = {"f16": 1e-7, "bf16": 4e-6, "q8_0": 5e-5, "q6_k": 3.2e-4, "q5_k": 1.3e-3, "q5_1": 1.4e-3, "q5_0": 1.8e-3}
ERRORS |= {"q4_k": 5.1e-3, "q4_1": 5.8e-3, "q4_0": 7.6e-3, "q3_k": 2.3e-2, "q2_k": 7.5e-2, "f32": 0}

# The layers whose attn_v and ffn_down are better in the mixtures that end in _m.
SPREAD = {0, 3, 6, 7}


def types_of(name: str, shape: Shape) -> Callable[[str], str]:
    """What llama.cpp 0.3.36's own quantiser makes of the tensors of WIDE and TIED."""
    base, _, kind = name.partition("_k_")
    base += "_k" if kind else ""

    def of(tensor: str) -> str:
        if "norm" in tensor:
            return "f32"
        if tensor == ("token_embd.weight" if shape.shared else "output.weight"):
            return base if base in ("f32", "f16", "bf16", "q8_0") else "q6_k"
        layer = int(tensor.split(".")[1]) if tensor.startswith("blk.") else -1
        if name == "q2_k" and any(part in tensor for part in ("attn_v", "attn_output", "ffn_down")):
            return "q4_k" if "attn_v" in tensor and shape.n_heads >= 4 * shape.n_kv_heads else "q3_k"
        for part, first in (("attn_v", 4), ("ffn_down", 1)):
            if part in tensor and kind == "m" and layer in SPREAD:
                return "q6_k"
            if part in tensor and name == "q4_k_s" and layer < first:
                return "q5_k"
        return base

    return of


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wide")
    checkpoints.write_tokenizer(folder / "tokenizer.bin", WIDE.vocab_size)
    return checkpoints.write_v0(folder / "model.bin", checkpoints.random_weights(WIDE, 1))


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tied")
    return checkpoints.write_v0(folder / "model.bin", checkpoints.random_weights(TIED, 1))


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return checkpoints.write_v0(tmp_path / "model.bin", checkpoints.random_weights(SHAPES["plain"], 1))


def parts_of(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if "part" in path.suffix)


def error(expected: Array, found: Array) -> float:
    """The squared error over the square."""
    x, y = expected.astype(np.float64).ravel(), found.astype(np.float64).ravel()
    return float(np.sum((x - y) ** 2) / np.sum(x**2))


# What is written.


@pytest.mark.parametrize("name", QUANTIZE_TYPES)
@pytest.mark.parametrize("shape", [WIDE, TIED], ids=["separate", "tied"])
def test_the_gguf_package_reads_what_was_meant(name: str, shape: Shape, wide: Path, tied: Path, tmp_path: Path) -> None:
    source = tied if shape.shared else wide
    result = quantize(source, tmp_path / "model.gguf", name)
    reader = gguf.GGUFReader(tmp_path / "model.gguf")
    expected, of = tensors_of(checkpoints.read(source)), types_of(name, shape)
    assert {t.name: t.tensor_type.name.lower() for t in reader.tensors} == {t: of(t) for t in expected}
    assert [t.name for t in reader.tensors] == [t.name for t in result.tensors]
    for t in reader.tensors:
        assert tuple(t.shape)[::-1] == expected[t.name].shape
        if not re.match(r"blk\.[2-7]", t.name):
            found = gguf.quants.dequantize(t.data, t.tensor_type)
            assert error(expected[t.name], found) <= ERRORS[of(t.name)], t.name
    assert result.bytes_out == (tmp_path / "model.gguf").stat().st_size
    assert result.bytes_in == source.stat().st_size
    assert sum(total.tensors for total in result.types.values()) == len(expected)
    assert not result.fallbacks and not result.requantized
    fields = {key: field.contents() for key, field in reader.fields.items()}
    said = {key.replace("llama.", "."): fields[key] for key in fields if key.startswith("llama.")}
    assert said.items() >= {key: value for key, (_, value) in _numbers(shape).items()}.items()
    assert said[".attention.layer_norm_rms_epsilon"] == np.float32(1e-5)
    assert (fields["general.architecture"], fields["general.name"]) == ("llama", "model")
    assert fields["general.file_type"] == gguf.LlamaFileType[_file_type(name)].value
    assert fields["general.quantization_version"] == gguf.GGML_QUANT_VERSION


def _numbers(shape: Shape) -> dict[str, tuple[Any, int]]:
    return {key: entry for key, entry in metadata_of(shape).items() if entry and entry[0] == U32}


def _file_type(name: str) -> str:
    if name == "f32":
        return "ALL_F32"
    return f"MOSTLY_{ {'q3_k': 'q3_k_s', 'q4_k': 'q4_k_s', 'q5_k': 'q5_k_s'}.get(name, name).upper() }"


@pytest.mark.parametrize("shape", SHAPES)
def test_float32_stays_the_same_model(shape: str, tmp_path: Path) -> None:
    weights = checkpoints.random_weights(SHAPES[shape], 1)
    source = checkpoints.write_v1(tmp_path / "model.bin", weights)
    quantize(source, tmp_path / "model.gguf", "f32")
    tokens = checkpoints.prompt_ids(weights.shape, min(20, weights.shape.context))
    assert (logits(source, tokens) == logits(tmp_path / "model.gguf", tokens)).all()
    info, other = llama2py.describe(tmp_path / "model.gguf"), llama2py.describe(source)
    for field in ("dim", "hidden_dim", "head_dim", "n_kv_heads", "vocab_size", "context", "parameters"):
        assert getattr(info, field) == getattr(other, field)


def test_groups_of_int8_become_what_they_stand_for(tmp_path: Path) -> None:
    weights = checkpoints.random_weights(SHAPES["grouped"], 1)
    source = checkpoints.write_v2(tmp_path / "model.bin", weights, group_size=8)
    result = quantize(source, tmp_path / "model.gguf", "f32")
    exact = tensors_of(checkpoints.read(source))
    for t in gguf.GGUFReader(tmp_path / "model.gguf").tensors:
        assert (t.data == exact[t.name].astype(np.float32)).all()
    assert {t.had for t in result.requantized} == {"q8_f"}


@pytest.mark.parametrize("name", ["q4_k_m", "f32"])
def test_any_number_of_threads_writes_the_same_bytes(name: str, wide: Path, tmp_path: Path) -> None:
    for threads in (1, 2, 5):
        quantize(wide, tmp_path / f"{threads}.gguf", name, threads=threads)
    one = (tmp_path / "1.gguf").read_bytes()
    assert one == (tmp_path / "2.gguf").read_bytes() == (tmp_path / "5.gguf").read_bytes()


FITTING = [
    ("q4_k", 256, "q4_k"),
    ("q4_k", 96, "q5_0"),
    ("q5_k", 96, "q5_1"),
    ("q3_k", 96, "q4_0"),
    ("q6_k", 96, "q8_0"),
    ("q4_k", 40, "f16"),
    ("q4_0", 40, "f16"),
    ("q8_0", 40, "f16"),
    ("f16", 40, "f16"),
]


@pytest.mark.parametrize(("name", "columns", "dtype"), FITTING)
def test_rows_that_are_not_made_of_whole_blocks(name: str, columns: int, dtype: str, tmp_path: Path) -> None:
    weights = checkpoints.random_weights(Shape(256, columns, 1, 4, 2, 64, 32), 1)
    result = quantize(checkpoints.write_v0(tmp_path / "model.bin", weights), tmp_path / "model.gguf", name)
    down = next(t for t in result.tensors if t.name == "blk.0.ffn_down.weight")
    assert (down.wanted, down.dtype) == (name, dtype)
    assert [t.name for t in result.fallbacks] == ([] if name == dtype else [down.name])
    with Llama(tmp_path / "model.gguf") as llama:
        assert np.isfinite(llama.logits([1, 2, 3])).all()


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    dense = checkpoints.random_weights(replace(WIDE, vocab_size=32), 1)
    return write_gguf(tmp_path_factory.mktemp("experts") / "model.gguf", checkpoints.with_experts(dense, 1, 8, 2))


@pytest.mark.parametrize("name", ["bf16", "q8_0", "q4_0", "q2_k", "q4_k_s", "q5_k_m"])
def test_experts_have_the_types_that_llama_cpp_gives_them(name: str, chosen: Path, tmp_path: Path) -> None:
    """What chooses them stays as it is; beside eight of them, attention is small."""
    of = types_of(name, WIDE)

    def expected(tensor: str) -> str:
        if "ffn_gate_inp" in tensor:
            return "f32"
        if name != "bf16" and any(part in tensor for part in ("attn_k", "attn_v")):
            return "q8_0"
        if name in ("q2_k", "q4_k_s") and "attn_output" in tensor:
            return "q5_k"
        return of(tensor)

    result = quantize(chosen, tmp_path / "model.gguf", name)
    before, after = gguf.GGUFReader(chosen), gguf.GGUFReader(tmp_path / "model.gguf")
    assert {t.name: t.tensor_type.name.lower() for t in after.tensors} == {
        t.name: expected(t.name) for t in before.tensors
    }
    assert {t.name: tuple(t.shape) for t in after.tensors} == {t.name: tuple(t.shape) for t in before.tensors}
    stack = next(t for t in after.tensors if t.name == "blk.7.ffn_down_exps.weight")
    values = next(t.data for t in before.tensors if t.name == stack.name)
    assert error(values, gguf.quants.dequantize(stack.data, stack.tensor_type)) <= ERRORS[expected(stack.name)]
    info = llama2py.describe(tmp_path / "model.gguf")
    assert (info.n_experts, info.n_experts_used) == (8, 2)
    assert info.parameters == sum(total.values for total in result.types.values())
    assert np.isfinite(logits(tmp_path / "model.gguf", [1, 2, 3]).view(np.float32)).all()


def test_rows_that_are_not_made_of_whole_blocks_in_a_mixture(tmp_path: Path) -> None:
    weights = checkpoints.random_weights(Shape(96, 256, 1, 4, 2, 64, 32), 1)
    result = quantize(checkpoints.write_v0(tmp_path / "model.bin", weights), tmp_path / "model.gguf", "q2_k")
    found = {t.name: (t.wanted, t.dtype) for t in result.tensors}
    assert found["blk.0.attn_q.weight"] == ("q2_k", "q4_0")
    assert found["blk.0.attn_v.weight"] == ("q3_k", "q4_0")
    assert found["blk.0.ffn_down.weight"] == ("q3_k", "q3_k")


@pytest.mark.parametrize("shape", ["odd grouped", "vocab 1", "all ones", "head_dim 1"])
@pytest.mark.parametrize("name", ["q4_k_m", "q8_0"])
def test_odd_shapes(name: str, shape: str, tmp_path: Path) -> None:
    weights = checkpoints.random_weights(SHAPES[shape], 1)
    quantize(checkpoints.write_v0(tmp_path / "model.bin", weights), tmp_path / "model.gguf", name)
    with Llama(tmp_path / "model.gguf") as llama:
        assert np.isfinite(llama.logits([0])).all()


@pytest.mark.parametrize("name", QUANTIZE_TYPES)
def test_real_checkpoints(name: str, data: Path, tmp_path: Path) -> None:
    folder = data / "stories260K"
    said = []
    for source in ("stories260K.bin", "stories260K-q8.bin", "stories260K.gguf"):
        result = quantize(folder / source, tmp_path / source, name)
        assert Path(result.tokenizer or "").name == ("stories260K.gguf" if source.endswith("gguf") else "tok512.bin")
        with Llama(tmp_path / source) as llama:
            said.append(llama.generate("", max_tokens=60, temperature=0, echo=True).text)
    assert all(text.startswith("Once upon a time, there was a little girl named Lily.") for text in said)
    if name == "f32":
        with Llama(folder / "stories260K.bin") as llama:
            assert llama.generate("", max_tokens=60, temperature=0, echo=True).text == said[0] == said[2]


# Tokenizers.


def test_the_tokenizer_beside_goes_in(data: Path, tmp_path: Path) -> None:
    """As the one that others put into the same checkpoint's GGUF file."""
    folder = data / "stories260K"
    quantize(folder / "stories260K.bin", tmp_path / "model.gguf", "f16")
    ours, theirs = (_fields(path) for path in (tmp_path / "model.gguf", folder / "stories260K.gguf"))
    for key in ("model", "tokens", "scores", "bos_token_id", "eos_token_id"):
        assert ours[f"tokenizer.ggml.{key}"] == theirs[f"tokenizer.ggml.{key}"]
    kinds = ours["tokenizer.ggml.token_type"]
    assert kinds == [2, 3, 3, *[6] * 256, *[1] * (512 - 259)]
    before = llama2py.Tokenizer(folder / "tok512.bin")
    after = llama2py.Tokenizer(tmp_path / "model.gguf")
    for text in ("Once upon a time", " two  spaces ", "Lily, 42 ünï ¡🦙", "\n\tx", ""):
        assert after.encode(text) == before.encode(text)
        assert after.decode(after.encode(text)) == text


def _fields(path: Path) -> dict[str, Any]:
    return {key: field.contents() for key, field in gguf.GGUFReader(path).fields.items()}


def test_a_tokenizer_that_is_named(wide: Path, small: Path, tmp_path: Path) -> None:
    shape = SHAPES["plain"]
    tokens = tmp_path / "named.bin"
    checkpoints.write_tokenizer(tokens, shape.vocab_size)
    assert quantize(small, tmp_path / "none.gguf", "f16").tokenizer is None
    assert llama2py.inspect(tmp_path / "none.gguf").vocabulary is None
    assert quantize(small, tmp_path / "a.gguf", "f16", tokenizer=tokens).tokenizer == str(tokens)
    assert quantize(small, tmp_path / "b.gguf", "f16", tokenizer=tmp_path / "a.gguf").tokenizer == str(
        tmp_path / "a.gguf"
    )
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()
    assert quantize(tmp_path / "none.gguf", tmp_path / "c.gguf", "f16", tokenizer=tokens).tokenizer == str(tokens)
    assert quantize(tmp_path / "a.gguf", tmp_path / "d.gguf", "f16").tokenizer == str(tmp_path / "a.gguf")
    with pytest.raises(InvalidArgumentError, match="of its own"):
        quantize(tmp_path / "a.gguf", tmp_path / "e.gguf", "f16", tokenizer=tokens)
    for other in (tokens, tmp_path / "a.gguf"):
        with pytest.raises(TokenizerError, match=r"(320|at least 301) tokens, but the model has 300"):
            quantize(wide, tmp_path / "e.gguf", "f16", tokenizer=other)
    assert not (tmp_path / "e.gguf").exists()


# From GGUF to GGUF.


def test_what_a_file_says_is_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gguf.gguf_writer.GGUF_DEFAULT_ALIGNMENT", 128)
    weights = checkpoints.random_weights(SHAPES["plain"], 1)
    metadata: Metadata = {
        "general.alignment": (U32, 128),
        "general.name": (STR, "ein Name, größer"),
        "a.list": (LIST, [1, 2, 3]),
        "a.flag": (Type.BOOL, True),
        "an.int8": (Type.INT8, -3),
        "a.uint64": (Type.UINT64, 2**63),
        "a.float64": (Type.FLOAT64, 0.1),
        "tokenizer.chat_template": (STR, "{{ x }}\n"),
        "general.file_type": (U32, 0),
    }
    source = write_gguf(tmp_path / "model.gguf", weights, metadata=metadata)
    quantize(source, tmp_path / "new.gguf", "q8_0")
    before, after = gguf.GGUFReader(source), gguf.GGUFReader(tmp_path / "new.gguf")
    expected = {key: (f.types, f.contents()) for key, f in before.fields.items() if not key.startswith("GGUF.")}
    expected["general.file_type"] = ([U32], 7)
    expected["general.quantization_version"] = ([U32], 2)
    assert {k: (f.types, f.contents()) for k, f in after.fields.items() if not k.startswith("GGUF.")} == expected
    assert [t.name for t in before.tensors] == [t.name for t in after.tensors]
    assert all(t.data_offset % 128 == 0 for t in after.tensors)


def test_nested_arrays_are_taken_over(tmp_path: Path) -> None:
    """Which the package does not write: one takes the place of a text."""
    weights = checkpoints.random_weights(SHAPES["plain"], 1)

    def number(n: int) -> bytes:
        return n.to_bytes(8, "little")

    def kind(n: int) -> bytes:
        return n.to_bytes(4, "little")

    text = b"x" * 100
    source = write_gguf(tmp_path / "model.gguf", weights, metadata={"a.key": (STR, text.decode()), "z.after": (U32, 7)})
    before = kind(Type.STRING) + number(100) + text
    inner = kind(Type.STRING) + number(2) + number(4) + b"abcd"
    nested = 2 * kind(Type.ARRAY) + number(2) + inner + number(5) + b"fghij" + inner
    rest = len(before) - len(nested) - 8  # what follows stays where it is
    nested += number(rest) + b"y" * rest
    data = source.read_bytes()
    assert data.count(before) == 1 and len(nested) == len(before)
    source.write_bytes(data.replace(before, nested))
    quantize(source, tmp_path / "new.gguf", "f16")
    assert nested in (tmp_path / "new.gguf").read_bytes()
    said = llama2py.inspect(tmp_path / "new.gguf").metadata
    assert (said["a.key"], said["z.after"]) == (llama2py.ArrayInfo("array", 2), 7)


@pytest.mark.parametrize("kind", [Kind.F16, Kind.BF16, Kind.Q8_0, Kind.Q4_0, Kind.Q4_1, Kind.Q5_0, Kind.Q5_1])
def test_tensors_that_have_the_type_already_are_copied(kind: Kind, tmp_path: Path) -> None:
    weights = checkpoints.random_weights(Shape(64, 96, 2, 4, 2, 77, 96, shared=False), 1)
    source = write_gguf(tmp_path / "model.gguf", weights, kind)
    result = quantize(source, tmp_path / "new.gguf", kind.name.lower())
    before = {t.name: t.data.tobytes() for t in gguf.GGUFReader(source).tensors}
    for t in gguf.GGUFReader(tmp_path / "new.gguf").tensors:
        if t.name != "output.weight":
            assert t.data.tobytes() == before[t.name]
    assert [t.name for t in result.requantized] == (["output.weight"] if kind.name[1] in "45" else [])


def test_quantised_tensors_are_quantised_from_what_they_stand_for(wide: Path, tmp_path: Path) -> None:
    quantize(wide, tmp_path / "k.gguf", "q6_k")
    result = quantize(tmp_path / "k.gguf", tmp_path / "0.gguf", "q4_0")
    quantize(tmp_path / "k.gguf", tmp_path / "f.gguf", "f32")
    quantize(tmp_path / "f.gguf", tmp_path / "1.gguf", "q4_0")
    assert {t.had for t in result.requantized} == {"q6_k"} and len(result.requantized) == 7 * 8 + 1
    k, zero, one = ({t.name: t.data.tobytes() for t in gguf.GGUFReader(tmp_path / f"{n}.gguf").tensors} for n in "k01")
    assert (
        zero.pop("output.weight") == k["output.weight"]
    )  # of the wanted type already, and so better than it can be made
    del one["output.weight"]
    assert zero == one


def test_files_in_parts(tmp_path: Path) -> None:
    weights = checkpoints.random_weights(SHAPES["plain"], 1)
    write_gguf(tmp_path / "split.gguf", weights, Kind.F16, split_max_tensors=6)
    whole = write_gguf(tmp_path / "whole.gguf", weights, Kind.F16)
    first, second, *_ = sorted(tmp_path.glob("split-*.gguf"))
    for source, target in ((first, "a.gguf"), (whole, "b.gguf")):
        quantize(source, tmp_path / target, "q8_0")
    a, b = (gguf.GGUFReader(tmp_path / name) for name in ("a.gguf", "b.gguf"))
    assert [(t.name, t.data.tobytes()) for t in a.tensors] == [(t.name, t.data.tobytes()) for t in b.tensors]
    assert not [key for key in a.fields if key.startswith("split.")]
    for part in (first, second):
        with pytest.raises(InvalidArgumentError, match="is read from"):
            quantize(first, part, "q8_0", force=True)


# Refusals.


def test_a_file_is_not_replaced_unasked(small: Path, tmp_path: Path) -> None:
    target = tmp_path / "model.gguf"
    target.write_text("mine", encoding="utf-8")
    with pytest.raises(TargetExistsError, match="is there already") as caught:
        quantize(small, target, "f16")
    assert isinstance(caught.value, FileExistsError) and caught.value.errno == errno.EEXIST
    assert caught.value.filename == str(target)
    assert target.read_text(encoding="utf-8") == "mine"
    quantize(small, target, "f16", force=True)
    assert llama2py.describe(target).format == "GGUF v3"
    assert parts_of(tmp_path) == []


def test_a_link_that_leads_nowhere_is_refused_before_the_work(small: Path, tmp_path: Path) -> None:
    target = tmp_path / "model.gguf"
    target.symlink_to(tmp_path / "nowhere.gguf")
    told: list[int] = []
    with pytest.raises(TargetExistsError, match="is there already"):
        quantize(small, target, "f16", progress=lambda done, total: told.append(done))
    assert told == [] and target.is_symlink() and parts_of(tmp_path) == []
    quantize(small, target, "f16", force=True)
    assert not target.is_symlink() and llama2py.describe(target).format == "GGUF v3"


def test_a_file_that_came_meanwhile_is_not_replaced(small: Path, tmp_path: Path) -> None:
    target = tmp_path / "model.gguf"

    def progress(done: int, total: int) -> None:
        if done == total:
            target.write_text("mine", encoding="utf-8")

    with pytest.raises(TargetExistsError):
        quantize(small, target, "f16", progress=progress)
    assert target.read_text(encoding="utf-8") == "mine" and parts_of(tmp_path) == []


def test_the_input_is_not_the_output(small: Path, tmp_path: Path) -> None:
    (tmp_path / "linked.gguf").hardlink_to(small)
    (tmp_path / "symbolic.gguf").symlink_to(small)
    before = small.read_bytes()
    for target in (small, tmp_path / "linked.gguf", tmp_path / "symbolic.gguf"):
        with pytest.raises(InvalidArgumentError, match="is read from"):
            quantize(small, target, "f16", force=True)
    assert small.read_bytes() == before


@pytest.mark.parametrize("name", ["q4_k_l", "", "Q8_0", "q8_0\0", "x" * 1000])
def test_an_unknown_type_lists_the_types(name: str, small: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=", ".join(QUANTIZE_TYPES)):
        quantize(small, tmp_path / "model.gguf", name)
    assert not (tmp_path / "model.gguf").exists()


def test_places_that_cannot_be_written(small: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, number in ((".", errno.EISDIR), ("pipe", errno.EINVAL), ("no/x", errno.ENOENT)):
        with pytest.raises(FileError) as caught:
            quantize(small, tmp_path / name, "f16", force=True)
        assert (caught.value.errno, caught.value.filename) == (number, str(tmp_path / name))
    with pytest.raises(FileNotFoundError, match="no name"):
        quantize(small, "", "f16")
    with pytest.raises(FileNotFoundError) as missing:
        quantize(tmp_path / "missing.bin", tmp_path / "model.gguf", "f16")
    assert missing.value.filename == str(tmp_path / "missing.bin")
    for threads in (-1, 257):
        with pytest.raises(InvalidArgumentError, match="threads"):
            quantize(small, tmp_path / "model.gguf", "f16", threads=threads)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["f32", "f16", "q8_0", "q4_k_m"])
def test_values_that_are_not_finite(name: str, value: float, tmp_path: Path) -> None:
    weights = checkpoints.random_weights(SHAPES["plain"], 1)
    weights.w2[1, 17, 33] = value
    source = checkpoints.write_v0(tmp_path / "model.bin", weights)
    with pytest.raises(NumericError, match=r"blk\.1\.ffn_down\.weight .* row 17, column 33"):
        quantize(source, tmp_path / "model.gguf", name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.bin"]
    weights.w2[1, 17, 33] = 0
    weights.final_norm[3] = value
    with pytest.raises(NumericError, match="output_norm"):
        quantize(checkpoints.write_v0(source, weights), tmp_path / "model.gguf", name)


def test_scales_that_are_not_finite(tmp_path: Path) -> None:
    weights = checkpoints.random_weights(SHAPES["plain"], 1)
    source = write_gguf(tmp_path / "model.gguf", weights, Kind.Q8_0)
    tensor = next(t for t in gguf.GGUFReader(source).tensors if t.name == "blk.0.attn_k.weight")
    data = bytearray(source.read_bytes())
    data[tensor.data_offset + 34 : tensor.data_offset + 36] = np.float16(np.nan).tobytes()
    source.write_bytes(data)
    for name in ("q8_0", "q4_0"):
        with pytest.raises(NumericError, match=r"blk\.0\.attn_k\.weight .* row 0, column 32"):
            quantize(source, tmp_path / "new.gguf", name)
    assert parts_of(tmp_path) == []


def test_a_cancelled_call_leaves_nothing(wide: Path, tmp_path: Path) -> None:
    class EnoughError(Exception):
        pass

    told: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        told.append((done, total))
        raise EnoughError

    with pytest.raises(EnoughError):
        quantize(wide, tmp_path / "model.gguf", "q4_k_m", progress=progress)
    assert len(told) == 1
    assert list(tmp_path.iterdir()) == []


def test_progress_ends_at_the_size_of_the_file(wide: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    result = quantize(wide, tmp_path / "model.gguf", "q8_0", progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (result.bytes_out, result.bytes_out)
    assert told == sorted(told)


@contextlib.contextmanager
def files_of_at_most(limit: int) -> Iterator[None]:
    """In this process, for as short as can be: what pytest writes may go to a file too. Python has SIGXFSZ ignored."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("limit", [0, 100, 5000, 200_000])
def test_a_disk_that_fills_up(limit: int, small: Path, tmp_path: Path) -> None:
    assert limit < quantize(small, tmp_path / "whole.gguf", "f32").bytes_out
    with (
        pytest.raises(FileError, match=f"cannot write on after {limit} bytes") as caught,
        files_of_at_most(limit),
    ):
        quantize(small, tmp_path / "model.gguf", "f32")
    assert caught.value.errno == errno.EFBIG
    assert not (tmp_path / "model.gguf").exists() and parts_of(tmp_path) == []


def test_a_disk_that_is_too_small(small: Path, tmp_path: Path) -> None:
    """It is refused before anything is written. Where this process may not mount a small one it cannot be tried."""
    folder = tmp_path / "disk"
    folder.mkdir()
    script = (
        f"mount -t tmpfs -o size=64k tmpfs {folder} && {sys.executable} -m llama2py quantize {small} {folder}/m.gguf"
        f" --type f32; code=$?; ls -A {folder}; exit $code"
    )
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c", script]
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=Path(sys.executable).parent, check=False)
    except FileNotFoundError:
        pytest.skip("unshare is not installed")
    if "llama2py:" not in done.stderr:
        pytest.skip(f"cannot mount a small disk: {done.stderr.strip()}")
    size = quantize(small, tmp_path / "whole.gguf", "f32").bytes_out
    assert done.returncode == 1 and done.stdout == "" and done.stderr.count("\n") == 1
    assert f"takes {size} bytes" in done.stderr and "65536 (0 MiB) are free" in done.stderr


# The command.


def test_the_command(call: Cli, wide: Path, tmp_path: Path) -> None:
    target = str(tmp_path / "model.gguf")
    done = call("quantize", str(wide), target, "--type", "q4_k_m", "--threads", "2")
    assert (done.code, done.err) == (0, "")
    for shown in (target, "q4_k_m", "bits a weight", "  q4_k ", "  q6_k ", "  f32 ", "tokenizer.bin"):
        assert shown in done.out
    assert "--force" in call.fails("quantize", str(wide), target)
    told = json.loads(call("quantize", str(wide), target, "--force", "--json").out)
    assert told["type"] == "q8_0" and told["types"]["q8_0"]["tensors"] == 7 * 8 + 2
    assert told["bytes_out"] == Path(target).stat().st_size
    assert told["fallbacks"] == told["requantized"] == []


def test_the_command_says_what_is_not_as_hoped(call: Cli, small: Path, tmp_path: Path) -> None:
    one, two = str(tmp_path / "one.gguf"), str(tmp_path / "two.gguf")
    call("quantize", str(small), one)
    done = call("quantize", one, two, "--type", "q4_k")
    assert done.code == 0
    assert "q5_0 for q4_k" in done.err and "had been quantised before (q8_0)" in done.err
    assert "none was found" in done.out


def test_the_command_says_what_is_wrong(call: Cli, small: Path, tmp_path: Path) -> None:
    target = str(tmp_path / "model.gguf")
    assert "/nowhere.bin" in call.fails("quantize", "/nowhere.bin", target)
    assert "q5_k_m" in call.fails("quantize", str(small), target, "--type", "q5_k_l")
    assert "OUT" in call.fails("quantize", str(small))
    assert "-1" in call.fails("quantize", str(small), target, "--threads", "-1")
    assert not Path(target).exists()


def test_the_command_takes_any_name(call: Cli, small: Path, tmp_path: Path) -> None:
    target = os.fsdecode(os.fsencode(tmp_path / "of ") + b"\xff\n\x1b[31m.gguf")
    assert "of ???[31m.gguf, q4_0" in call("quantize", str(small), target, "--type", "Q4_0").out
    assert "of ???[31m.gguf\n" in call("info", target).out
    assert "of ???[31m.gguf: is there already" in call.fails("quantize", str(small), target)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGHUP, -signal.SIGHUP)]
)
def test_a_signal_leaves_nothing(number: int, code: int, tmp_path: Path) -> None:
    shape = Shape(dim=512, hidden_dim=1024, n_layers=4, n_heads=4, n_kv_heads=4, vocab_size=2000, context=32)
    source = checkpoints.write_v0(tmp_path / "model.bin", checkpoints.random_weights(shape, 1))
    command = [sys.executable, "-m", "llama2py", "quantize", str(source), str(tmp_path / "m.gguf"), "--type", "q5_k_m"]
    command += ["--threads", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=Path(sys.executable).parent)
    while not parts_of(tmp_path) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (code, b"", b"")
    assert [path.name for path in tmp_path.iterdir()] == ["model.bin"]
