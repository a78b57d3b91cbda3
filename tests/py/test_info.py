"""What is in a file: the walk over keys and tensors, and `llama2py info`."""

from __future__ import annotations

import json
from pathlib import Path

import checkpoints
import numpy as np
import pytest
from checkpoints import SHAPES
from conftest import Cli
from gguf import GGMLQuantizationType as Kind
from gguf import GGUFValueType as Type
from test_gguf import LIST, STR, U32, Metadata, tensors_of
from test_gguf import write as write_gguf

import llama2py
from llama2py import ArrayInfo, CheckpointError, TypeTotal

METADATA: Metadata = {
    "general.name": (STR, "a \x1b[31mred\x1b[0m name"),
    "general.file_type": (U32, 7),
    "a.flag": (Type.BOOL, False),
    "an.int8": (Type.INT8, -3),
    "a.uint64": (Type.UINT64, 2**64 - 1),
    "a.float64": (Type.FLOAT64, 0.1),
    "a.list": (LIST, [1, 2, 3]),
    ".attention.head_count_kv": (LIST, [4, 4]),
    "tokenizer.ggml.model": (STR, "llama"),
    "tokenizer.ggml.pre": (STR, "default"),
    "tokenizer.ggml.tokens": (LIST, [7] * 320),
    "tokenizer.ggml.bos_token_id": (U32, 1),
    "tokenizer.ggml.eot_token_id": (U32, 5),
    "tokenizer.ggml.padding_token_id": (U32, 2**32 - 1),
    "tokenizer.chat_template": (STR, "{{ x }}"),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    weights = checkpoints.random_weights(SHAPES["plain"], 1)
    return write_gguf(tmp_path / "model.gguf", weights, Kind.Q8_0, metadata=METADATA)


def test_every_kind_of_value(path: Path) -> None:
    contents = llama2py.inspect(path)
    for key, entry in METADATA.items():
        found = contents.metadata[f"llama{key}" if key.startswith(".") else key]
        assert entry and found == (ArrayInfo("int", len(entry[1])) if entry[0] == LIST else entry[1])
        assert type(found) is (ArrayInfo if entry[0] == LIST else type(entry[1]))
    assert contents.metadata["llama.attention.layer_norm_rms_epsilon"] == np.float32(1e-5)
    assert contents.hyperparameters["attention.head_count_kv"] == ArrayInfo("int", 2)
    assert (contents.format, contents.alignment, contents.parts) == ("GGUF v3", 32, 1)
    assert contents.file_bytes == path.stat().st_size
    assert contents.vocabulary == llama2py.VocabularyInfo("llama", "default", 320, {"bos": 1, "eot": 5}, True)


def test_tensors_are_told_alike_of_any_format(path: Path, tmp_path: Path) -> None:
    weights = checkpoints.random_weights(SHAPES["plain"], 1)
    expected = {name: tensor.shape for name, tensor in tensors_of(weights).items()}
    files = {
        "GGUF v3": path,
        "llama2.c v0": checkpoints.write_v0(tmp_path / "0.bin", weights),
        "llama2.c v1": checkpoints.write_v1(tmp_path / "1.bin", weights),
        "llama2.c v2": checkpoints.write_v2(tmp_path / "2.bin", weights, 16),
    }
    for name, file in files.items():
        contents = llama2py.inspect(file)
        assert contents.format == name
        assert {t.name: t.shape for t in contents.tensors} == expected
        assert sum(t.values for t in contents.tensors) == llama2py.describe(file).parameters
        matrix = {"GGUF v3": "q8_0", "llama2.c v2": "q8_f"}.get(name, "f32")
        assert {t.dtype for t in contents.tensors if len(t.shape) == 2} == {matrix}
        vectors = TypeTotal(5, 5 * 64, 5 * 64 * 4)
        assert contents.types["f32"] == vectors or matrix == "f32"


def test_parts_are_one_file(tmp_path: Path) -> None:
    weights = checkpoints.random_weights(SHAPES["plain"], 1)
    write_gguf(tmp_path / "model.gguf", weights, split_max_tensors=6)
    parts = sorted(tmp_path.glob("*.gguf"))
    contents = llama2py.inspect(parts[0])
    assert contents.parts == len(parts) == 4
    assert contents.file_bytes == sum(part.stat().st_size for part in parts)
    assert [t.name for t in contents.tensors] == list(tensors_of(weights))


def test_what_cannot_be_run_can_be_told(tmp_path: Path, call: Cli) -> None:
    weights = checkpoints.random_weights(SHAPES["plain"], 1)
    path = write_gguf(tmp_path / "model.gguf", weights, architecture="nonesuch")
    contents = llama2py.inspect(path)
    assert contents.hyperparameters["block_count"] == 2
    done = call("info", str(path))
    assert done.code == 0
    for shown in ("nonesuch", "block_count", "f32", "cannot run"):
        assert shown in done.out
    told = json.loads(call("info", str(path), "--json").out)
    assert "nonesuch" in told["error"] and told["memory"] is None
    assert told["hyperparameters"]["embedding_length"] == 64


def test_the_command(path: Path, call: Cli) -> None:
    done = call("info", str(path))
    assert (done.code, done.err) == (0, "")
    for shown in ("GGUF v3, 23 keys", "aligned to 32", "20 tensors", "128 tokens", "llama (default)", "eot 5"):
        assert shown in done.out
    assert "with a chat template" in done.out and "padding" not in done.out
    assert "a ?[31mred?[0m name" in done.out
    told = json.loads(call("info", str(path), "--json").out)
    assert told["tensors"]["q8_0"]["tensors"] == 15
    assert (told["architecture"], told["file_type"], told["alignment"]) == ("llama", "q8_0", 32)
    plan = llama2py.plan(path)
    assert (told["memory"]["total"], told["memory"]["fits"]) == (plan.total, True)
    assert told["tokenizer"]["special"] == {"bos": 1, "eot": 5}
    assert told["error"] is None


def test_a_checkpoint_of_llama2c(call: Cli, tmp_path: Path) -> None:
    path = str(checkpoints.write_v0(tmp_path / "model.bin", checkpoints.random_weights(SHAPES["plain"], 1)))
    assert json.loads(call("info", path, "--json").out)["tokenizer"] is None
    checkpoints.write_tokenizer(tmp_path / "tokenizer.bin", SHAPES["plain"].vocab_size)
    told = json.loads(call("info", path, "--json").out)
    assert told["tokenizer"]["vocab_size"] == 320
    assert (told["format"], told["architecture"], told["hyperparameters"]) == ("llama2.c v0", "llama", {})
    assert told["memory"]["total"] == llama2py.plan(path).total


@pytest.mark.parametrize(
    ("name", "model", "size"), [("llama-bpe", "gpt2", 128256), ("gpt-2", "gpt2", 50257), ("llama-spm", "llama", 32000)]
)
def test_real_vocabularies(name: str, model: str, size: int, data: Path, call: Cli) -> None:
    path = data / f"tokenizers/ggml-vocab-{name}.gguf"
    vocabulary = llama2py.inspect(path).vocabulary
    assert vocabulary and (vocabulary.model, vocabulary.vocab_size) == (model, size)
    done = call("info", str(path))
    assert done.code == 0 and f"{size:,} tokens" in done.out and "cannot run" in done.out


def test_a_damaged_file_is_not_told(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="cut short"):
        llama2py.inspect(path)
