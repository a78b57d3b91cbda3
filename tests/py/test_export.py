"""Checkpoints of every kind that say the same model: the same logits from each, and llama2.c's files made of all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import checkpoints
import numpy as np
import numpy.typing as npt
import pytest
import test_gguf
from checkpoints import NORMS, SHAPES, Rope, Shape, Weights
from conftest import Cli
from families import BIASES, HALVES, Family, llama3_divisors
from folders import train_tokenizer, write_folder
from test_meta_folder import ckpt
from torch_files import write_meta

import llama2py
from llama2py import CheckpointError, InvalidArgumentError, Llama, NumericError, Tokenizer, TokenizerError, convert
from llama2py.errors import TargetExistsError

SHAPE = Shape(dim=64, hidden_dim=176, n_layers=2, n_heads=4, n_kv_heads=2, vocab_size=320, context=96, shared=False)


def logits_of(path: Path, tokens: list[int]) -> npt.NDArray[np.float32]:
    with Llama(path, kv="f32") as llama:
        return llama.logits(tokens)


KINDS: dict[str, Callable[[Path, Weights], Path]] = {
    "v0": lambda path, weights: checkpoints.write_v0(path / "0.bin", weights),
    "v1": lambda path, weights: checkpoints.write_v1(path / "1.bin", weights),
    "ckpt.pt": lambda path, weights: ckpt(path / "ckpt.pt", weights, hidden_dim=weights.shape.hidden_dim),
    "GGUF": lambda path, weights: test_gguf.write(path / "model.gguf", weights),
    "Hugging Face": lambda path, weights: write_folder(path / "folder", weights, parts=3),
    "Meta": lambda path, weights: write_meta(
        path / "meta", weights, 2, params={"vocab_size": weights.shape.vocab_size, "max_seq_len": weights.shape.context}
    ),
}


def made(kind: str, path: Path, weights: Weights) -> Path:
    path.mkdir(exist_ok=True)
    return KINDS[kind](path, weights)


def test_one_model_in_every_kind_of_checkpoint(tmp_path: Path) -> None:
    """All in one process, one beside the other, to the last bit."""
    weights = checkpoints.random_weights(SHAPE, 3)
    tokens = checkpoints.prompt_ids(SHAPE, 50)
    models = {kind: Llama(made(kind, tmp_path, weights), kv="f32") for kind in KINDS}
    try:
        found = {kind: model.logits(tokens) for kind, model in models.items()}
        texts = {kind: model.generate(tokens[:5], 40, 0.8, seed=7).tokens for kind, model in models.items()}
    finally:
        for model in models.values():
            model.close()
    for kind in KINDS:
        assert (found[kind] == found["v0"]).all(), kind
        assert texts[kind] == texts["v0"], kind


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("version", [0, 1])
def test_float32_is_kept(kind: str, version: int, tmp_path: Path) -> None:
    weights = checkpoints.random_weights(SHAPE, 3)
    source = made(kind, tmp_path / "in", weights)
    result = convert(source, tmp_path / "out.bin", version=version)
    assert result.bytes_out == (tmp_path / "out.bin").stat().st_size
    assert {tensor.dtype for tensor in result.tensors} == {"f32"} and len(result.tensors) == 3 + 9 * SHAPE.n_layers
    found = checkpoints.read(tmp_path / "out.bin")
    assert found.shape == SHAPE
    for name in checkpoints.tensor_shapes(SHAPE):
        assert (getattr(found, name) == getattr(weights, name)).all(), name
    assert llama2py.describe(tmp_path / "out.bin").format == f"llama2.c v{version}"


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("version", [0, 1, 2])
def test_the_bytes_are_those_of_the_format(shape: str, version: int, tmp_path: Path) -> None:
    """Of version 2: values and scales as a NumPy of export.py's rule makes them, in the largest group that fits."""
    weights = checkpoints.random_weights(SHAPES[shape], 5)
    width = weights.shape.dim
    group = next(group for group in (64, 32, 16, 8, 4, 2, 1) if width % group == 0)
    parts = checkpoints.v2_parts(weights, group)
    if version < 2:
        parts = (checkpoints.v1_parts if version else checkpoints.v0_parts)(weights)
    source = test_gguf.write(tmp_path / "in.gguf", weights)
    convert(source, tmp_path / "out.bin", version=version, threads=2)
    left = (tmp_path / "out.bin").read_bytes()
    for name, expected in parts:
        found, left = left[: len(expected)], left[len(expected) :]
        assert name == "rope tables" or found == expected, name
    assert not left


def test_rotary_tables_of_version_0(tmp_path: Path) -> None:
    weights = checkpoints.random_weights(SHAPES["long"], 5)
    shape = weights.shape
    convert(test_gguf.write(tmp_path / "in.gguf", weights), tmp_path / "out.bin")
    data = (tmp_path / "out.bin").read_bytes()
    tables = np.frombuffer(data, "<f4", offset=len(data) - 8 * shape.context * (shape.head_dim // 2))
    pairs = np.arange(shape.head_dim // 2) * 2 / shape.head_dim
    angles = np.outer(np.arange(shape.context), 10000.0**-pairs)
    expected = np.stack([np.cos(angles), np.sin(angles)])
    assert np.abs(tables.reshape(expected.shape) - expected).max() < 1e-6


def test_int8_and_back(tmp_path: Path) -> None:
    """What version 2 holds is written as float32 without a change, and again as what it was."""
    weights = checkpoints.random_weights(SHAPE, 3)
    first = checkpoints.write_v2(tmp_path / "2.bin", weights, 64)
    convert(first, tmp_path / "f.bin", "f32")
    values = checkpoints.read(tmp_path / "f.bin")
    exact = checkpoints.read(first)
    for name in checkpoints.MATRICES:
        assert (getattr(values, name) == getattr(exact, name).astype(np.float32)).all(), name
    result = convert(tmp_path / "f.bin", tmp_path / "again.bin", "q8_0")
    assert result.type == "q8_0" and {tensor.dtype for tensor in result.tensors} == {"f32", "q8_f"}
    again = checkpoints.read(tmp_path / "again.bin")
    for name in NORMS:
        assert (getattr(again, name) == getattr(exact, name)).all()
    tokens = checkpoints.prompt_ids(SHAPE, 30)
    difference = logits_of(tmp_path / "again.bin", tokens) - logits_of(first, tokens)
    assert np.abs(difference).max() < 1e-4


REFUSED: dict[str, tuple[Family, str]] = {
    "halves": (Family("qwen2", SHAPES["grouped"], HALVES), "rotated by halves"),
    "biases": (Family("llama", SHAPES["grouped"], vectors=BIASES), "biases"),
    "wide heads": (
        Family("llama", Shape(40, 52, 2, 3, 1, 77, 96, head_width=24)),
        "heads that are not the width divided by their number",
    ),
    "base": (Family("llama", SHAPES["grouped"], Rope(theta=5e5)), "a rotary base that is not 10000"),
    "linear": (Family("llama", SHAPES["grouped"], Rope(scaling="linear", factor=4.0)), "scaled rotary embeddings"),
    "factors": (
        Family("llama", SHAPES["grouped"], Rope(divisors=llama3_divisors(10000, 8, 8.0, 1.0, 4.0, 64))),
        "scaled rotary embeddings",
    ),
    "window": (Family("llama", SHAPES["grouped"], window=7), "a sliding window"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_models_that_the_format_cannot_say(name: str, tmp_path: Path) -> None:
    family, complaint = REFUSED[name]
    source = family.write(tmp_path / "in.gguf")
    with pytest.raises(CheckpointError, match=rf"in\.gguf: the model has .*{complaint}.*write a GGUF file instead"):
        convert(source, tmp_path / "out.bin")
    assert [path.name for path in tmp_path.iterdir()] == ["in.gguf"]


def test_another_epsilon_is_told(tmp_path: Path) -> None:
    weights = checkpoints.random_weights(SHAPE, 3)
    folder = write_folder(tmp_path / "in", weights, config={"rms_norm_eps": 1e-6})
    result = convert(folder, tmp_path / "out.bin")
    assert any("epsilon of 1e-06" in note and "1e-05" in note for note in result.notes)
    assert not any("epsilon" in note for note in convert(folder, tmp_path / "out.gguf").notes)


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({"version": 3}, "version is 3; expected 0, 1 or 2"),
        ({"version": 0, "type": "q8_0"}, "a llama2.c checkpoint of version 0 is f32"),
        ({"version": 2, "type": "f32"}, "a llama2.c checkpoint of version 2 is q8_0"),
        ({"type": "q4_k_m"}, "a llama2.c checkpoint of version 0 is f32"),
    ],
)
def test_what_cannot_be_asked_for(asked: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    source = checkpoints.write_v0(tmp_path / "in.bin", checkpoints.random_weights(SHAPE, 3))
    with pytest.raises(InvalidArgumentError, match=complaint):
        convert(source, tmp_path / "out.bin", **asked)
    assert [path.name for path in tmp_path.iterdir()] == ["in.bin"]


def test_nothing_is_lost(tmp_path: Path) -> None:
    weights = checkpoints.random_weights(SHAPE, 3)
    source = checkpoints.write_v0(tmp_path / "in.bin", weights)
    before = source.read_bytes()
    with pytest.raises(InvalidArgumentError, match="is read from"):
        convert(source, source, version=1, force=True)
    (tmp_path / "out.bin").write_bytes(b"mine")
    with pytest.raises(TargetExistsError):
        convert(source, tmp_path / "out.bin")
    weights.w2[1, 3, 5] = np.nan
    with pytest.raises(NumericError, match=r"blk\.1\.ffn_down\.weight .* row 3, column 5"):
        convert(checkpoints.write_v0(tmp_path / "nan.bin", weights), tmp_path / "out.bin", "q8_0", force=True)
    assert source.read_bytes() == before and (tmp_path / "out.bin").read_bytes() == b"mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.bin", "nan.bin", "out.bin"]


# Tokenizers.


def test_a_tokenizer_bin_comes_out_as_it_was(tmp_path: Path) -> None:
    tokens = checkpoints.write_tokenizer(tmp_path / "tokenizer.bin", 320)
    Tokenizer(tmp_path / "tokenizer.bin").save(tmp_path / "again.bin")
    assert (tmp_path / "again.bin").read_bytes() == (tmp_path / "tokenizer.bin").read_bytes()
    assert checkpoints.read_tokenizer(tmp_path / "again.bin") == tokens
    with pytest.raises(TargetExistsError):
        Tokenizer(tmp_path / "tokenizer.bin").save(tmp_path / "again.bin")
    Tokenizer(tmp_path / "tokenizer.bin").save(tmp_path / "again.bin", force=True)


def test_the_tokenizer_goes_along(tmp_path: Path) -> None:
    """Beside the file, as tokenizer.bin if that name is free or has the same in it."""
    folder = tmp_path / "in"
    folder.mkdir()
    model = train_tokenizer(folder / "tokenizer.model")
    size = Tokenizer(model).vocab_size
    weights = checkpoints.random_weights(Shape(48, 64, 1, 4, 2, size, 96), 3)
    write_folder(folder, weights)
    out = tmp_path / "out"
    out.mkdir()
    for name in ("a.bin", "b.bin"):
        assert convert(folder, out / name).tokenizer == str(out / "tokenizer.bin")
    with Llama(folder, kv="f32") as before, Llama(out / "a.bin") as after:
        text = "the cat saw a little tree"
        assert after.tokenizer.path == str(out / "tokenizer.bin")
        assert after.tokenize(text) == before.tokenize(text)
        assert after.generate(text, 20, 0).text == before.generate(text, 20, 0).text
    (out / "tokenizer.bin").write_bytes(b"another")
    assert convert(folder, out / "c.bin").tokenizer == str(out / "tok-c.bin")
    assert Tokenizer(out / "tok-c.bin", size).encode(text) == Tokenizer(model).encode(text)
    (out / "tok-c.bin").write_bytes(b"another")
    result = convert(folder, out / "c.bin", force=True)
    assert result.tokenizer == str(out / "tok-c.bin") and Tokenizer(out / "tok-c.bin").vocab_size == size
    (out / "tok-d.bin").write_bytes(b"another")
    result = convert(folder, out / "d.bin")
    assert result.tokenizer is None and any(r"tok-d.bin is there already" in note for note in result.notes)
    assert (out / "tok-d.bin").read_bytes() == (out / "tokenizer.bin").read_bytes() == b"another"


def test_tokenizers_that_such_a_file_cannot_say(data: Path, tmp_path: Path) -> None:
    tokenizer = Tokenizer(data / "tokenizers" / "ggml-vocab-llama-bpe.gguf")
    with pytest.raises(TokenizerError, match=r"x\.bin: the tokenizer has merges .* a tokenizer\.bin cannot say"):
        tokenizer.save(tmp_path / "x.bin")
    assert not list(tmp_path.iterdir())


def test_the_command(call: Cli, tmp_path: Path) -> None:
    checkpoints.write_tokenizer(tmp_path / "tokenizer.bin", SHAPE.vocab_size)
    source = test_gguf.write(tmp_path / "in.gguf", checkpoints.random_weights(SHAPE, 3))
    done = call("convert", str(source), str(tmp_path / "out.bin"), "--bin", "2")
    assert done.code == 0 and "q8_f" in done.out and str(tmp_path / "tokenizer.bin") in done.out
    assert llama2py.describe(tmp_path / "out.bin").format == "llama2.c v2"
    done = call("convert", str(source), str(tmp_path / "out.bin"), "--bin", "4")
    assert done.code == 1 and "--bin" in done.err
