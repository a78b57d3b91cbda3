"""Hugging Face folders, converted and loaded as they are: the same numbers as the oracle's and as other GGUF files',
the same tokens as sentencepiece's, and a row for each thing that is refused.
"""

from __future__ import annotations

import errno
import json
import os
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import checkpoints
import gguf
import numpy as np
import oracle
import pytest
import sentencepiece
import test_gguf
from checkpoints import SHAPES, Rope, Shape, Weights, map_matrices
from conftest import Cli
from families import BIASES, HALVES, NORMS, Family, llama3_divisors
from folders import config_of, held, join, joined_experts, parts_of, save, tensors_in, train_tokenizer, write_folder
from gguf import GGMLQuantizationType as Kind
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from test_gguf import tensors_of
from test_oracle import TOLERANCE, errors
from test_tokenizers import SEPARATOR
from vocabularies import read_metadata

import llama2py
from llama2py import (
    CheckpointError,
    FileError,
    FileMissingError,
    InvalidArgumentError,
    Llama,
    NumericError,
    Tokenizer,
    TokenizerError,
    convert,
)
from llama2py.errors import TargetExistsError

WIDE = Shape(dim=40, hidden_dim=52, n_layers=2, n_heads=3, n_kv_heads=1, vocab_size=77, context=96, head_width=24)
SEPARATE = Shape(dim=48, hidden_dim=100, n_layers=2, n_heads=6, n_kv_heads=3, vocab_size=132, context=96, shared=False)
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
LLAMA3 |= {"original_max_position_embeddings": 64, "rope_theta": 500.0}

YARN = {"rope_type": "yarn", "factor": 2.5, "original_max_position_embeddings": 48}
YARN_2_5 = 1 + 0.1 * float(np.log(2.5))

# By name: the type of model, what is special, what config.json says besides, and in how many files it lies.
MODELS: dict[str, tuple[str, Family, dict[str, Any], int]] = {
    "llama": ("llama", Family("llama", SHAPES["plain"]), {}, 1),
    "grouped": ("llama", Family("llama", SHAPES["grouped"]), {}, 1),
    "wide heads": ("llama", Family("llama", WIDE), {}, 3),
    "separate": ("llama", Family("llama", SEPARATE), {"rope_theta": 10000.0, "head_dim": None}, 2),
    "biases": ("llama", Family("llama", SHAPES["grouped"], vectors=(*BIASES, "bo")), {"attention_bias": True}, 1),
    "theta": ("mistral", Family("llama", WIDE, Rope(theta=1e6)), {"rope_theta": 1000000, "sliding_window": 96}, 1),
    "window": ("mistral", Family("llama", WIDE, window=7), {"sliding_window": 7, "use_sliding_window": False}, 1),
    "a llama's window": ("llama", Family("llama", WIDE), {"sliding_window": 7}, 1),
    "linear": (
        "llama",
        Family("llama", SEPARATE, Rope(scaling="linear", factor=4.0)),
        {"rope_scaling": {"type": "linear", "factor": 4.0}},
        1,
    ),
    "llama3": (
        "llama",
        Family("llama", SEPARATE, Rope(theta=500.0, divisors=llama3_divisors(500.0, 8, 8.0, 1.0, 4.0, 64))),
        {"rope_parameters": LLAMA3},
        1,
    ),
    "mixtral": (
        "mixtral",
        Family("llama", SHAPES["grouped"], Rope(theta=1e6), experts=(8, 2)),
        {"num_local_experts": 8, "num_experts_per_tok": 2},
        3,
    ),
    "mixtral, windows": (
        "mixtral",
        Family("llama", SEPARATE, Rope(theta=500.0), window=7, experts=(1, 1)),
        {"num_local_experts": 1, "num_experts_per_tok": 1, "rope_theta": 500.0, "sliding_window": 7},
        1,
    ),
    "yarn": (
        "qwen3",
        Family("qwen3", WIDE, replace(HALVES, scaling="yarn", factor=4.0, context=24), NORMS),
        {"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 24}},
        1,
    ),
    "yarn of its own": (
        "llama",
        Family(
            "llama",
            WIDE,
            Rope(
                theta=500.0,
                scaling="yarn",
                factor=2.5,
                context=48,
                beta_fast=8.0,
                beta_slow=0.5,
                magnitude=1.25 / YARN_2_5,
            ),
        ),
        {"rope_parameters": YARN | {"rope_theta": 500.0, "beta_fast": 8, "beta_slow": 0.5, "attention_factor": 1.25}},
        1,
    ),
    "dynamic": ("llama", Family("llama", WIDE), {"rope_scaling": {"type": "dynamic", "factor": 2.0}}, 1),
    "qwen2": (
        "qwen2",
        Family("qwen2", SHAPES["grouped"], HALVES, BIASES),
        {"use_sliding_window": False, "sliding_window": 8},
        1,
    ),
    "qwen2, windows in no layer": (
        "qwen2",
        Family("qwen2", SHAPES["grouped"], HALVES, BIASES),
        {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 3},
        1,
    ),
    "qwen3": ("qwen3", Family("qwen3", WIDE, HALVES, NORMS), {"rope_parameters": {"rope_type": "default"}}, 2),
}


def folder_of(name: str, path: Path, dtype: str = "F32") -> tuple[Path, Weights, str]:
    """A folder, the weights that it holds, and GGUF's name of the architecture."""
    model_type, family, config, parts = MODELS[name]
    weights = family.weights()
    write_folder(path, weights, model_type, dtype, config=config, parts=parts)
    vectors: dict[str, Any] = {
        field: held(getattr(weights, field), dtype)
        for field in (*checkpoints.NORMS, *family.vectors, *(["router"] if family.experts else []))
    }
    return path, replace(map_matrices(weights, lambda m: held(m, dtype)), **vectors), family.architecture


def values_in(path: Path) -> dict[str, Any]:
    tensors = gguf.GGUFReader(path).tensors
    return {t.name: gguf.quants.dequantize(t.data, t.tensor_type).reshape(t.shape[::-1]) for t in tensors}


# What is written, and what loads.


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("name", MODELS)
def test_a_folder_is_the_model_that_it_holds(name: str, dtype: str, tmp_path: Path) -> None:
    folder, weights, architecture = folder_of(name, tmp_path / "folder", dtype)
    result = convert(folder, tmp_path / "model.gguf", threads=2)
    assert result.type == dtype.lower() and result.tokenizer is None and not result.notes and not result.fallbacks
    assert result.bytes_in == sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    expected, found = tensors_of(weights), values_in(tmp_path / "model.gguf")
    assert found.keys() == expected.keys()
    assert all((found[key] == expected[key]).all() for key in expected)
    vectors = ("norm", "rope", "bias", "gate_inp")  # and what chooses experts
    kinds = {t.dtype for t in result.tensors if not any(part in t.name for part in vectors)}
    assert kinds == {dtype.lower()}
    tokens = checkpoints.prompt_ids(weights.shape, 40)
    options: dict[str, Any] = {"threads": 2, "kv": "f32"}
    with Llama(tmp_path / "model.gguf", **options) as llama, Llama(folder, **options) as direct:
        logits = llama.logits(tokens)
        assert (direct.logits(tokens).view(np.int32) == logits.view(np.int32)).all()
        assert direct.info.architecture == llama.info.architecture == architecture
        assert direct.info.parameters == llama.info.parameters
    assert errors(logits, oracle.logits(weights, tokens)).max() <= TOLERANCE


@pytest.mark.parametrize("dtype", ["F32", "BF16"])
def test_experts_in_one_tensor_or_in_many(dtype: str, tmp_path: Path) -> None:
    folder, weights, _ = folder_of("mixtral", tmp_path / "many", dtype)
    config = MODELS["mixtral"][2]
    one = write_folder(
        tmp_path / "one", weights, "mixtral", dtype, config=config, parts=2, tensors=joined_experts(weights)
    )
    tokens = checkpoints.prompt_ids(weights.shape, 30)
    assert (test_gguf.logits(one, tokens) == test_gguf.logits(folder, tokens)).all()
    for path in (one, folder):
        convert(path, tmp_path / "model.gguf", force=True)
        assert (test_gguf.logits(tmp_path / "model.gguf", tokens) == test_gguf.logits(folder, tokens)).all()
    contents = llama2py.inspect(folder)
    shapes = {tensor.name: tensor.shape for tensor in contents.tensors}
    assert shapes["blk.1.ffn_gate_exps.weight"] == (8, weights.shape.hidden_dim, weights.shape.dim)
    assert shapes["blk.1.ffn_down_exps.weight"] == (8, weights.shape.dim, weights.shape.hidden_dim)
    assert contents.hyperparameters.items() >= {"expert_count": 8, "expert_used_count": 2}.items()


def test_yarn_beyond_what_keys_can_say(tmp_path: Path) -> None:
    """Bounds that are not rounded, and such as no trained model has, come as factors."""
    shape = SHAPES["plain"]
    pairs, dim, theta, factor = np.arange(8), 16, 1e4, 4.0
    for context, slow, said, rounded in ((64, 1.0, {"truncate": False}, False), (4, 4.0, {}, True)):
        turns = np.array([32.0, slow])
        low, high = dim * np.log(context / (turns * 2 * np.pi)) / (2 * np.log(theta))
        low, high = (np.floor(low), np.ceil(high)) if rounded else (low, high)
        low, high = max(low, 0), min(high, dim - 1)
        kept = 1 - np.clip((pairs - low) / (high - low), 0, 1)
        rope = Rope(
            divisors=tuple((1 / ((1 - kept) / factor + kept)).astype(np.float32).tolist()),
            magnitude=1 + 0.1 * float(np.log(factor)),
        )
        weights = Family("llama", shape, rope).weights()
        scaling = {
            "rope_type": "yarn",
            "factor": factor,
            "original_max_position_embeddings": context,
            "beta_slow": slow,
        }
        folder = write_folder(tmp_path / f"{context}", weights, config={"rope_scaling": scaling | said})
        tokens = checkpoints.prompt_ids(shape, 60)
        with Llama(folder, kv="f32") as llama:
            assert errors(llama.logits(tokens), oracle.logits(weights, tokens)).max() <= TOLERANCE


def test_a_mistral_without_a_word_on_windows_has_its_types(tmp_path: Path) -> None:
    """As transformers reads it; null is none."""
    weights = checkpoints.random_weights(SHAPES["plain"], 1)
    for i, (config, window) in enumerate(((dict[str, Any](), 4096), ({"sliding_window": None}, None))):
        folder = write_folder(tmp_path / f"{i}", weights, "mistral", config=config)
        assert llama2py.inspect(folder).hyperparameters.get("attention.sliding_window") == window


def test_heads_matter(tmp_path: Path) -> None:
    """With heads as the file has them the model would be another one."""
    folder, weights, _ = folder_of("grouped", tmp_path / "folder")
    tokens = checkpoints.prompt_ids(weights.shape, 40)
    theirs = tensors_in(weights, "llama")
    layers = range(weights.shape.n_layers)
    lying: dict[str, Any] = {
        f: np.stack([theirs[f"model.layers.{i}.self_attn.{f[1]}_proj.weight"] for i in layers]) for f in ("wq", "wk")
    }
    with Llama(folder, kv="f32") as llama:
        assert errors(llama.logits(tokens), oracle.logits(replace(weights, **lying), tokens)).max() > 100 * TOLERANCE
        turned = oracle.logits(replace(weights, **lying, rope=HALVES), tokens)
        assert errors(llama.logits(tokens), turned).max() <= TOLERANCE


def test_quantised_at_once_or_later(tmp_path: Path) -> None:
    """And while it is loaded."""
    folder, weights, _ = folder_of("grouped", tmp_path / "folder", "BF16")
    convert(folder, tmp_path / "whole.gguf", "f32")
    llama2py.quantize(tmp_path / "whole.gguf", tmp_path / "later.gguf", "q8_0")
    result = convert(folder, tmp_path / "once.gguf", "q8_0", threads=3)
    at_once, later = values_in(tmp_path / "once.gguf"), values_in(tmp_path / "later.gguf")
    assert all((at_once[name] == later[name]).all() for name in later)
    assert {t.had for t in result.tensors} == {"bf16"} and not result.requantized
    tokens = checkpoints.prompt_ids(weights.shape, 20)
    with Llama(folder, quantize="q8_0") as llama, Llama(tmp_path / "whole.gguf", quantize="q8_0") as other:
        assert (llama.logits(tokens).view(np.int32) == other.logits(tokens).view(np.int32)).all()


def test_others_read_what_is_written(tmp_path: Path) -> None:
    folder, weights, _ = folder_of("wide heads", tmp_path / "a name", "F16")
    convert(folder, tmp_path / "model.gguf")
    fields = {key: field.contents() for key, field in gguf.GGUFReader(tmp_path / "model.gguf").fields.items()}
    reference = test_gguf.write(tmp_path / "other.gguf", weights, Kind.F16)
    said = {key: field.contents() for key, field in gguf.GGUFReader(reference).fields.items()}
    assert {key: fields[key] for key in said if key.startswith("llama.")} == {
        key: value for key, value in said.items() if key.startswith("llama.")
    }
    assert (fields["general.name"], fields["general.architecture"], fields["general.file_type"]) == (
        "a name",
        "llama",
        1,
    )
    assert fields["llama.rope.freq_base"] == 10000 and fields["llama.vocab_size"] == 77


@pytest.mark.parametrize("stored", [False, True], ids=["once", "twice"])
def test_a_tied_classifier_is_stored_once(stored: bool, tmp_path: Path) -> None:
    weights = checkpoints.random_weights(SHAPES["plain"], 1)
    again = {"lm_head.weight": weights.embedding} if stored else {}
    convert(write_folder(tmp_path / "folder", weights, tensors={**again}), tmp_path / "model.gguf")
    assert "output.weight" not in values_in(tmp_path / "model.gguf")
    assert llama2py.describe(tmp_path / "folder").shared_classifier


def test_tables_of_old_folders_are_not_missed(tmp_path: Path) -> None:
    weights = checkpoints.random_weights(SHAPES["plain"], 1)
    table = {"model.layers.0.self_attn.rotary_emb.inv_freq": np.ones(8, np.float32)}
    convert(write_folder(tmp_path / "folder", weights, tensors={**table}), tmp_path / "model.gguf")
    assert not [name for name in values_in(tmp_path / "model.gguf") if "inv_freq" in name]


def test_files_are_converted_too(tmp_path: Path) -> None:
    weights = checkpoints.random_weights(SHAPES["plain"], 1)
    plain = checkpoints.write_v0(tmp_path / "model.bin", weights)
    assert convert(plain, tmp_path / "a.gguf").type == "f32"
    assert convert(tmp_path / "a.gguf", tmp_path / "b.gguf", "q4_0").type == "q4_0"
    assert convert(tmp_path / "b.gguf", tmp_path / "c.gguf").type == "q4_0"
    assert (tmp_path / "b.gguf").read_bytes() == (tmp_path / "c.gguf").read_bytes()
    groups = checkpoints.write_v2(tmp_path / "groups.bin", weights, 32)
    assert convert(groups, tmp_path / "d.gguf").type == "q8_0"
    shape = Shape(256, 256, 1, 4, 2, 64, 32)
    blocks = test_gguf.write(tmp_path / "blocks.gguf", checkpoints.random_weights(shape, 1), Kind.MXFP4)
    with pytest.raises(
        InvalidArgumentError, match=r"blocks\.gguf: its matrices are mxfp4, .*; name a type, one of f32"
    ):
        convert(blocks, tmp_path / "e.gguf")


def test_the_target_is_not_one_of_the_sources(tmp_path: Path) -> None:
    folder, _, _ = folder_of("llama", tmp_path / "folder")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for name in before:
        with pytest.raises(InvalidArgumentError, match="is read from; expected another name"):
            convert(folder, folder / name, force=True)
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}
    convert(folder, folder / "model.gguf")
    with pytest.raises(TargetExistsError):
        convert(folder, folder / "model.gguf")
    convert(folder, folder / "model.gguf", force=True)


# Tokenizers.


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tokenizer, of a model that has four tokens more."""
    folder = tmp_path_factory.mktemp("spoken") / "folder"
    shape = replace(SHAPES["plain"], vocab_size=324)
    write_folder(folder, checkpoints.random_weights(shape, 1))
    train_tokenizer(folder / "tokenizer.model")
    return folder


TEXT = st.text(st.sampled_from("thecatdogsun .,\n\t▁<s>é🦙你\x00") | st.characters(codec="utf-8"), max_size=40)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXT)
@example(text="Once upon a time, the little dog ran under the big tree and saw a cat.")
@example(text="  two  spaces  ")
@example(text="</s><unk><0x41>")
def test_tokens_are_those_of_sentencepiece(text: str, both: tuple[Tokenizer, Any]) -> None:
    ours, theirs = both
    ids = ours.encode(text, bos=False)
    assert ids == theirs.encode(text)
    if "▁" not in text:
        assert ours.decode(ids) == text


@pytest.fixture(scope="module")
def both(spoken: Path) -> tuple[Tokenizer, Any]:
    """The folder's tokenizer here and there."""
    return Tokenizer(spoken), sentencepiece.SentencePieceProcessor(model_file=str(spoken / "tokenizer.model"))


def test_what_the_file_says_of_its_tokens(spoken: Path, tmp_path: Path) -> None:
    result = convert(spoken, tmp_path / "model.gguf")
    assert result.tokenizer == str(spoken / "tokenizer.model")
    assert len(result.notes) == 1 and "the last 4 stay unused" in result.notes[0]
    fields = {key: field.contents() for key, field in gguf.GGUFReader(tmp_path / "model.gguf").fields.items()}
    said = {key.removeprefix("tokenizer.ggml."): value for key, value in fields.items() if key.startswith("tokenizer.")}
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(spoken / "tokenizer.model"))
    pieces = range(theirs.get_piece_size())
    assert said["model"] == "llama"
    assert said["tokens"] == [*map(theirs.id_to_piece, pieces), *(f"[PAD{i}]" for i in range(320, 324))]
    assert said["scores"] == [*(np.float32(theirs.get_score(i)) for i in pieces), 0, 0, 0, 0]
    assert said["token_type"] == [2, 3, 3, *[6] * 256, *[1] * (320 - 259), 5, 5, 5, 5]
    assert [said[f"{name}_token_id"] for name in ("unknown", "bos", "eos")] == [0, 1, 2]
    assert (said["add_bos_token"], said["add_eos_token"], said["add_space_prefix"]) == (True, False, True)
    assert "padding_token_id" not in said
    ours = Tokenizer(tmp_path / "model.gguf")
    assert ours.encode("the cat") == [1, *theirs.encode("the cat")]
    with Llama(spoken) as llama:
        assert llama.generate("the cat", max_tokens=3, temperature=0).prompt_tokens == len(ours.encode("the cat"))


def test_what_other_files_say_of_tokens(spoken: Path, tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path / "folder", checkpoints.random_weights(SHAPES["plain"], 1), config={"eos_token_id": 7}
    )
    os.link(spoken / "tokenizer.model", folder / "tokenizer.model")
    (folder / "generation_config.json").write_text('{"bos_token_id": 5, "eos_token_id": [9, 10]}')
    (folder / "tokenizer_config.json").write_text(
        '{"add_bos_token": false, "add_eos_token": true, "chat_template": "{{ größer }}"}'
    )
    result = convert(folder, tmp_path / "model.gguf")
    assert not result.notes
    tokenizer = Tokenizer(tmp_path / "model.gguf")
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.eos_ids) == (5, 9, (9, 10))
    assert tokenizer.encode("")[:1] != [5] and tokenizer.encode("")[-1:] == [9]
    assert llama2py.inspect(tmp_path / "model.gguf").metadata["tokenizer.chat_template"] == "{{ größer }}"
    (folder / "generation_config.json").unlink()
    (folder / "chat_template.jinja").write_text("a file of its own")
    convert(folder, tmp_path / "model.gguf", force=True)
    assert Tokenizer(tmp_path / "model.gguf").eos_id == 7
    assert llama2py.inspect(tmp_path / "model.gguf").metadata["tokenizer.chat_template"] == "a file of its own"


def test_a_folder_without_a_tokenizer(spoken: Path, tmp_path: Path) -> None:
    folder, _, _ = folder_of("llama", tmp_path / "folder")
    assert convert(folder, tmp_path / "none.gguf").tokenizer is None
    with pytest.raises(
        TokenizerError, match=r"folder: holds neither tokenizer\.json nor tokenizer\.model; name another"
    ):
        Tokenizer(folder)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(TokenizerError, match=r"tokenizer\.json: model is None, expected an object"):
        convert(folder, tmp_path / "a.gguf")
    checkpoints.write_tokenizer(tmp_path / "named.bin", 320)
    result = convert(folder, tmp_path / "b.gguf", tokenizer=tmp_path / "named.bin")
    assert result.tokenizer == str(tmp_path / "named.bin") and not result.notes
    assert Tokenizer(tmp_path / "b.gguf").vocab_size == 320
    (folder / "tokenizer.model").write_bytes(b"damaged, but another one is named")
    convert(folder, tmp_path / "b.gguf", tokenizer=tmp_path / "named.bin", force=True)
    with pytest.raises(TokenizerError, match="320"):
        convert(spoken, tmp_path / "c.gguf", tokenizer=tmp_path / "named.bin")


def test_the_tokenizer_of_llama_2(data: Path, tmp_path: Path) -> None:
    """Becomes what others have made of it, and gives the ids that they have recorded."""
    recorded = data / "tokenizers" / "ggml-vocab-llama-spm.gguf"
    shape = Shape(dim=4, hidden_dim=4, n_layers=1, n_heads=2, n_kv_heads=1, vocab_size=32000, context=8)
    folder = write_folder(tmp_path / "folder", checkpoints.random_weights(shape, 1))
    os.symlink(data / "tokenizers" / "tokenizer.model", folder / "tokenizer.model")
    convert(folder, tmp_path / "model.gguf")
    ours, theirs = read_metadata(tmp_path / "model.gguf"), read_metadata(recorded)
    for key in ("model", "tokens", "scores", "token_type", "bos_token_id", "eos_token_id", "unknown_token_id"):
        assert ours[f"tokenizer.ggml.{key}"] == theirs[f"tokenizer.ggml.{key}"], key
    texts = Path(f"{recorded}.inp").read_bytes().decode().split(SEPARATOR)
    tokenizer = Tokenizer(folder)
    lines = Path(f"{recorded}.out").read_text().split("\n")
    assert [tokenizer.encode(text, bos=False) for text in texts] == [[int(i) for i in line.split()] for line in lines]


REFUSED_TOKENIZERS: dict[str, tuple[dict[str, Any], str]] = {
    "unigram": ({"model_type": "unigram"}, "a model of type unigram, expected bpe"),
    "normalised": ({"normalization_rule_name": "nmt_nfkc"}, "normalization_rule_name=identity"),
    "without extra spaces": ({"remove_extra_whitespaces": True}, "remove_extra_whitespaces=false"),
    "suffix": ({"treat_whitespace_as_suffix": True}, "spaces at the end of words"),
    "too many": ({"vocab_size": 325}, "holds 325 pieces, but the model has 320"),
}


@pytest.mark.parametrize("name", REFUSED_TOKENIZERS)
def test_tokenizers_that_the_core_would_not_equal(name: str, tmp_path: Path) -> None:
    options, complaint = REFUSED_TOKENIZERS[name]
    folder = write_folder(tmp_path / "folder", checkpoints.random_weights(SHAPES["plain"], 1))
    train_tokenizer(folder / "tokenizer.model", **options)
    with pytest.raises(TokenizerError, match=complaint) as error:
        convert(folder, tmp_path / "model.gguf")
    assert str(error.value).startswith(f"{folder / 'tokenizer.model'}: ") and not (tmp_path / "model.gguf").exists()


def test_no_space_before_a_text(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder", checkpoints.random_weights(SHAPES["plain"], 1))
    path = train_tokenizer(folder / "tokenizer.model", add_dummy_prefix=False, user_defined_symbols=["catdog"])
    ours, theirs = Tokenizer(folder), sentencepiece.SentencePieceProcessor(model_file=str(path))
    for text in ("the cat", " the cat", "a catdog ran", ""):
        assert ours.encode(text, bos=False) == theirs.encode(text)


def test_a_tokenizer_cut_short_anywhere(spoken: Path, tmp_path: Path) -> None:
    """Is refused, or is one of fewer pieces."""
    folder = write_folder(tmp_path / "folder", checkpoints.random_weights(replace(SHAPES["plain"], vocab_size=324), 1))
    data = (spoken / "tokenizer.model").read_bytes()
    for n in (*range(0, 60), *range(60, len(data), 97)):
        (folder / "tokenizer.model").write_bytes(data[:n])
        with pytest.raises(TokenizerError, match=r"tokenizer\.model: "):
            Tokenizer(folder)
    for damage in (b"\x0b", b"\x08" + b"\xff" * 11, b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x1d\x00"):
        (folder / "tokenizer.model").write_bytes(data + damage)
        with pytest.raises(TokenizerError, match=r"damaged|cut short"):
            Tokenizer(folder)


# What is refused.

CONFIGS: list[tuple[str, dict[str, Any], str]] = [
    ("no type", {"model_type": None}, r"model_type is None, expected one of llama, mistral, mixtral, qwen2, qwen3"),
    ("other experts", {"model_type": "qwen3_moe"}, r"model_type is 'qwen3_moe', expected one of llama"),
    ("a type not known", {"model_type": "gpt_bigcode"}, r"model_type is 'gpt_bigcode', expected one of llama"),
    ("a type of another type", {"model_type": ["llama"]}, r"model_type is \['llama'\]"),
    ("no width", {"hidden_size": None}, r"hidden_size is None, expected a whole number from 1"),
    ("a width of 0", {"hidden_size": 0}, r"hidden_size is 0, expected a whole number from 1"),
    ("a true width", {"hidden_size": True}, r"hidden_size is True, expected a whole"),
    ("a wide width", {"hidden_size": 2**31}, r"hidden_size is 2147483648"),
    ("layers without end", {"num_hidden_layers": 10**300}, r"num_hidden_layers is 1000"),
    (
        "layers that are missing",
        {"num_hidden_layers": 3},
        r"model\.layers\.2\.input_layernorm\.weight is missing, expected 64",
    ),
    ("a text", {"vocab_size": "320"}, r"vocab_size is '320'"),
    ("another width", {"hidden_size": 32}, r"embed_tokens\.weight is 320 x 64, expected 320 x 32 as config\.json says"),
    ("odd heads", {"head_dim": 15}, r"heads of 15, expected an even number"),
    ("other heads", {"head_dim": 32}, r"q_proj\.weight is 64 x 64, expected 128 x 64"),
    ("other kv heads", {"num_key_value_heads": 2}, r"k_proj\.weight is 64 x 64, expected 32 x 64"),
    ("many kv heads", {"num_key_value_heads": 3, "num_attention_heads": 4}, r"k_proj\.weight is 64 x 64, expected 48"),
    ("no tie", {"tie_word_embeddings": False}, r"lm_head\.weight is missing"),
    ("a tie of text", {"tie_word_embeddings": "yes"}, r"tie_word_embeddings is 'yes', expected true or false"),
    ("biases", {"attention_bias": True}, r"q_proj\.bias is missing, expected 64"),
    ("biases of the gate", {"mlp_bias": True}, r"mlp_bias is True"),
    ("another activation", {"hidden_act": "gelu"}, r"hidden_act is 'gelu', expected 'silu'"),
    ("quantised", {"quantization_config": {"quant_method": "gptq"}}, r"quantization_config is .*gptq"),
    ("part of a head", {"partial_rotary_factor": 0.5}, r"partial_rotary_factor is 0\.5, expected 1"),
    ("an epsilon of 2", {"rms_norm_eps": 2.0}, r"layer_norm_rms_epsilon is 2, expected 0 to 1"),
    ("no number", {"rms_norm_eps": float("nan")}, r"rms_norm_eps is nan, expected a number"),
    ("longrope", {"rope_scaling": {"type": "longrope"}}, r"rope_scaling: type is 'longrope', expected default, linear"),
    ("yarn shortened", {"rope_scaling": YARN | {"factor": 0.25}}, r"factor is 0\.25, expected at least 0\.5"),
    (
        "yarn without size",
        {"rope_scaling": YARN | {"attention_factor": 0}},
        r"attention_factor is 0, expected a number",
    ),
    ("yarn half cut", {"rope_scaling": YARN | {"truncate": 1}}, r"truncate is 1, expected true or false"),
    ("yarn of no context", {"rope_scaling": YARN | {"original_max_position_embeddings": 0}}, r"embeddings is 0, exp"),
    ("a list of types", {"rope_parameters": {"rope_type": ["linear"]}}, r"rope_type is \['linear'\]"),
    ("a scaling of text", {"rope_scaling": "linear"}, r"rope_scaling is 'linear', expected an object"),
    (
        "a scaling without a type",
        {"rope_scaling": {"factor": 4.0}},
        r"rope_scaling: type is None, expected",
    ),
    ("a scaling of type false", {"rope_scaling": {"type": False}}, r"rope_scaling: type is False, expected default"),
    ("a scaling of no type", {"rope_scaling": {"rope_type": ""}}, r"rope_scaling: rope_type is '', expected default"),
    (
        "scalings by layer",
        {"rope_parameters": {"full_attention": {"rope_theta": 1e4}}},
        r"type is None, expected default",
    ),
    (
        "deep",
        {"layer_types": [[[[[["x" * 99] * 9] * 9] * 9] * 9] * 9]},
        r"layer_types is .*, expected full_att",
    ),
    ("no factor", {"rope_scaling": {"type": "linear", "factor": 0.1}}, r"factor is 0\.1, expected 0 .* at least 0\.5"),
    ("llama3 upside down", {"rope_parameters": LLAMA3 | {"low_freq_factor": 4.0}}, r"factor 8\.0, from 4\.0 to 4\.0"),
    ("llama3 of no context", {"rope_parameters": LLAMA3 | {"original_max_position_embeddings": 0}}, r"is 0, exp"),
    ("no window", {"model_type": "mistral", "sliding_window": 0}, r"sliding_window is 0, expected a whole number"),
    ("windows", {"layer_types": ["full_attention", "sliding_attention"]}, r"layer_types is .*, expected full_att"),
    ("a window of text", {"layer_types": 5}, r"layer_types is 5"),
    ("a long context", {"max_position_embeddings": 2**25}, r"context_length is 33554432, expected 1 to 16777216"),
]


@pytest.mark.parametrize(("config", "complaint"), [pytest.param(*row, id=name) for name, *row in CONFIGS])
def test_configurations_that_are_refused(config: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder", checkpoints.random_weights(SHAPES["plain"], 1), config=config)
    for read in (lambda: convert(folder, tmp_path / "model.gguf"), lambda: llama2py.plan(folder)):
        with pytest.raises(CheckpointError, match=complaint) as error:
            read()
        assert str(error.value).startswith(str(folder)) and "\n" not in str(error.value)
    assert not list(tmp_path.glob("model.gguf*"))


EXPERTS: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("no number", {"num_local_experts": None}, {}, r"num_local_experts is None, expected a whole number"),
    ("none used", {"num_experts_per_tok": 0}, {}, r"num_experts_per_tok is 0, expected a whole number"),
    ("more than there are", {"num_experts_per_tok": 4}, {}, r"expert_used_count is 4, expected 1 to 3"),
    ("fewer", {"num_local_experts": 2}, {}, r"gate\.weight is 3 x 64, expected 2 x 64"),
    ("more", {"num_local_experts": 4}, {}, r"gate\.weight is 3 x 64, expected 4 x 64"),
    (
        "no router",
        {},
        {"model.layers.1.block_sparse_moe.gate.weight": None},
        r"layers\.1\.block_sparse_moe\.gate\.weight is missing, expected 3 x 64",
    ),
    (
        "one is missing",
        {},
        {"model.layers.0.block_sparse_moe.experts.2.w2.weight": None},
        r"experts\.2\.w2\.weight is missing, expected 64 x 128",
    ),
    (
        "a matrix that lies",
        {},
        {"model.layers.0.block_sparse_moe.experts.1.w1.weight": np.ones((64, 128))},
        r"experts\.1\.w1\.weight is 64 x 128, expected 128 x 64",
    ),
    (
        "a dense layer too",
        {},
        {"model.layers.0.mlp.up_proj.weight": np.ones(3)},
        r"up_proj\.weight' is not one that a mix",
    ),
    (
        "a short stack",
        {},
        {
            "model.layers.0.mlp.gate.weight": np.ones((3, 64)),
            "model.layers.0.mlp.experts.gate_up_proj": np.ones((3, 8, 64)),
        },
        r"gate_up_proj is 3 x 8 x 64, expected 3 x 256 x 64",
    ),
]


@pytest.mark.parametrize(("config", "tensors", "complaint"), [pytest.param(*row, id=name) for name, *row in EXPERTS])
def test_experts_that_are_refused(
    config: dict[str, Any], tensors: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    weights = Family("llama", SHAPES["plain"], experts=(3, 2)).weights()
    said = {"num_local_experts": 3, "num_experts_per_tok": 2}
    folder = write_folder(tmp_path / "folder", weights, "mixtral", config=said | config, tensors=tensors)
    with pytest.raises(CheckpointError, match=complaint) as error:
        llama2py.plan(folder)
    assert str(error.value).startswith(str(folder)) and "\n" not in str(error.value)


TENSORS: list[tuple[str, dict[str, Any], str]] = [
    (
        "one is missing",
        {"model.layers.1.mlp.up_proj.weight": None},
        r"folder: .*1\.mlp\.up_proj\.weight is missing, expected 128 x 64",
    ),
    (
        "one is too many",
        {"model.layers.0.mlp.experts.w": np.ones(3)},
        r"'model\.layers\.0\.mlp\.experts\.w' is not one that a llama of 2",
    ),
    ("a layer too many", {"model.layers.2.mlp.up_proj.weight": np.ones(3)}, r"layers\.2\.mlp\.up_proj.* not one"),
    ("biases nobody said", {"model.layers.0.self_attn.q_proj.bias": np.ones(64)}, r"q_proj\.bias' is not one"),
    ("a long norm", {"model.norm.weight": np.ones(65)}, r"model\.norm\.weight is 65, expected 64"),
    ("a tall norm", {"model.norm.weight": np.ones((64, 1))}, r"model\.norm\.weight is 64 x 1, expected 64"),
    (
        "a matrix that lies",
        {"model.layers.0.mlp.up_proj.weight": np.ones((64, 128))},
        r"is 64 x 128, expected 128 x 64",
    ),
    ("another classifier", {"lm_head.weight": np.ones((320, 64))}, r"lm_head\.weight is not the embedding, though"),
]


@pytest.mark.parametrize(("tensors", "complaint"), [pytest.param(*row, id=name) for name, *row in TENSORS])
def test_tensors_that_are_refused(tensors: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder", checkpoints.random_weights(SHAPES["plain"], 1), tensors=tensors)
    with pytest.raises(CheckpointError, match=complaint):
        convert(folder, tmp_path / "model.gguf")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(("name", "row"), [("blk.0.attn_q.weight", 5), ("blk.1.ffn_norm.weight", 0)])
def test_values_that_are_no_numbers(name: str, row: int, value: float, tmp_path: Path) -> None:
    """The row is the one that GGUF has."""
    weights = checkpoints.random_weights(SHAPES["plain"], 1)
    (weights.wq[0] if "attn" in name else weights.ffn_norm[1:])[row, 7] = value
    folder = write_folder(tmp_path / "folder", weights)
    with pytest.raises(NumericError, match=rf"folder: the tensor {name} has a value .* row {row}, column 7"):
        convert(folder, tmp_path / "model.gguf")
    assert not list(tmp_path.glob("model.gguf*"))


# Damaged files.


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "folder", checkpoints.random_weights(SHAPES["even"], 1), config={"head_dim": None})


def damaged(folder: Path, complaint: str) -> None:
    with pytest.raises((CheckpointError, FileError), match=complaint) as error:
        llama2py.describe(folder)
    assert "\n" not in str(error.value) and len(str(error.value)) < 1500


def test_files_cut_short_anywhere(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder", checkpoints.random_weights(Shape(4, 3, 1, 2, 1, 5, 8), 1))
    path = folder / "model.safetensors"
    data = path.read_bytes()
    for n in range(0, len(data), 7):
        path.write_bytes(data[:n])
        damaged(folder, r"model\.safetensors: ")
    path.write_bytes(data + b"x")
    damaged(folder, r"has more than its tensors")


LENGTHS = [0, 1, 2**31, 2**40, 2**63, 2**64 - 1]


@pytest.mark.parametrize("length", LENGTHS)
def test_headers_of_other_lengths(length: int, small: Path) -> None:
    path = small / "model.safetensors"
    path.write_bytes(struct.pack("<Q", length) + path.read_bytes()[8:])
    damaged(small, r"model\.safetensors: its header")


HEADERS: list[tuple[str, bytes, str]] = [
    ("a list", b"[]", r"JSON of a list, expected an object"),
    ("twice", b'{"a": {}, "a": {}}', r"'a' is there twice"),
    ("deep", b"[" * 200000, r"its header: not JSON"),
    ("not utf-8", b'{"\xff": 1}', r"its header: not JSON"),
    ("a number of digits", b'{"a": ' + b"9" * 9999 + b"}", r"its header: (not JSON|the tensor)"),
]


@pytest.mark.parametrize(("header", "complaint"), [pytest.param(*row, id=name) for name, *row in HEADERS])
def test_headers_that_are_not_such(header: bytes, complaint: str, small: Path) -> None:
    join(small / "model.safetensors", header, b"")
    damaged(small, complaint)


ENTRIES: list[tuple[str, Any, str]] = [
    ("no object", 7, r"expected dtype, shape and data_offsets"),
    ("one thing more", {"more": 1}, r"expected dtype, shape and data_offsets"),
    ("no type", {"dtype": "F33"}, r"is of type 'F33', expected one of F64"),
    ("a type of another type", {"dtype": ["F32"]}, r"is of type \['F32'\]"),
    ("whole numbers", {"dtype": "I32"}, r"model\.norm\.weight is I32, expected F32, F16 or BF16"),
    ("another type", {"dtype": "F16"}, r"takes 80 bytes"),
    ("another shape", {"shape": [41]}, r"\[41\] of F32 takes 164 bytes"),
    ("a huge shape", {"shape": [2**62, 2**62]}, r"takes more than can be counted"),
    ("a shape below 0", {"shape": [-40]}, r"expected whole numbers"),
    ("many dimensions", {"shape": [1] * 100000}, r"\[1, 1, 1, 1, 1, 1, \.\.\.\] of F32 takes 4"),
    ("a shape of text", {"shape": "40"}, r"expected whole numbers"),
    ("a shape of true", {"shape": [True, 40]}, r"expected whole numbers"),
    ("three offsets", {"data_offsets": [0, 160, 160]}, r"expected whole numbers"),
    ("far", {"data_offsets": [2**62, 2**62 + 160]}, r"leaves a hole after"),
    ("backwards", {"data_offsets": [160, 0]}, r"lies from byte 160 to 0"),
    ("on another", {"data_offsets": [0, 160]}, r"overlaps with"),
]


@pytest.mark.parametrize(("change", "complaint"), [pytest.param(*row, id=name) for name, *row in ENTRIES])
def test_entries_that_lie(change: Any, complaint: str, small: Path) -> None:
    path = small / "model.safetensors"
    text, data = parts_of(path)
    header = json.loads(text)
    entry = header["model.norm.weight"]
    header["model.norm.weight"] = entry | change if isinstance(change, dict) else change
    join(path, json.dumps(header).encode(), data)
    damaged(small, complaint)


def test_a_hole(small: Path) -> None:
    path = small / "model.safetensors"
    text, data = parts_of(path)
    header = json.loads(text)
    del header["model.norm.weight"]
    join(path, json.dumps(header).encode(), data)
    damaged(small, r"leaves a hole after|has more than its tensors")


INDEXES: list[tuple[str, Callable[[dict[str, Any]], Any], str]] = [
    ("no map", lambda places: {"metadata": {}}, r"no weight_map"),
    ("a list", lambda places: {"weight_map": list(places)}, r"no weight_map"),
    (
        "up",
        lambda places: {"weight_map": places | {"model.norm.weight": "../x.safetensors"}},
        r"in '\.\./x\.saf.* beside it",
    ),
    ("away", lambda places: {"weight_map": places | {"model.norm.weight": "/etc/x.safetensors"}}, r"in '/etc/x"),
    (
        "no file of ours",
        lambda places: {"weight_map": places | {"model.norm.weight": "config.json"}},
        r"'config\.json'",
    ),
    ("NUL", lambda places: {"weight_map": places | {"model.norm.weight": "a\0.safetensors"}}, r"expected the name"),
    ("a number", lambda places: {"weight_map": places | {"model.norm.weight": 1}}, r"is in 1, expected"),
    (
        "a file that is missing",
        lambda places: {"weight_map": places | {"x": "a.safetensors"}},
        r"a\.saf",
    ),
    (
        "a tensor more",
        lambda places: {"weight_map": places | {"x": places["model.norm.weight"]}},
        r"'x' is not in model-",
    ),
    (
        "a tensor less",
        lambda places: {"weight_map": {n: f for n, f in places.items() if n != "model.norm.weight"}},
        r"'model\.norm\.weight', which is not there as",
    ),
]


@pytest.mark.parametrize(("change", "complaint"), [pytest.param(*row, id=name) for name, *row in INDEXES])
def test_indexes_that_lie(change: Callable[[dict[str, Any]], Any], complaint: str, tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"")
    folder, _, _ = folder_of("wide heads", tmp_path / "folder")
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps(change(json.loads(index.read_text())["weight_map"])))
    damaged(folder, complaint)


def test_folders_of_other_things(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"a directory without config\.json or params\.json, expected") as error:
        convert(tmp_path, tmp_path / "model.gguf")
    assert (error.value.errno, error.value.filename) == (errno.EISDIR, str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps(config_of(SHAPES["plain"], "llama")))
    with pytest.raises(
        FileMissingError,
        match=r"holds neither model\.safetensors nor model\.safetensors\.index\.json, nor pytorch_model\.bin nor",
    ):
        convert(tmp_path, tmp_path / "model.gguf")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin: no zip archive, expected a file of torch\.save"):
        Llama(tmp_path)
    (tmp_path / "model.safetensors").mkdir()
    with pytest.raises(FileError, match=r"model\.safetensors"):
        Llama(tmp_path)
    with pytest.raises(FileMissingError):
        convert(tmp_path / "nowhere", tmp_path / "model.gguf")


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.model", "generation_config.json", "config.json"])
def test_pipes_are_not_waited_for(name: str, spoken: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for file in spoken.iterdir():
        os.link(file, folder / file.name)
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with pytest.raises(FileError, match=rf"{name}: not a regular file, expected a file"):
        convert(folder, tmp_path / "model.gguf")


def test_names_that_no_file_can_have(tmp_path: Path) -> None:
    folder, _, _ = folder_of("wide heads", tmp_path / "folder")
    index = folder / "model.safetensors.index.json"
    places = json.loads(index.read_text())["weight_map"]
    index.write_text(json.dumps({"weight_map": places | {"model.norm.weight": "\ud800.safetensors"}}))
    damaged(folder, r"names \\ud800\.safetensors, which is not beside it")
    index.write_text(json.dumps({"weight_map": places | {"\ud800": places["model.norm.weight"]}}))
    damaged(folder, r"the tensor '\\ud800' is not in")
    for read in (llama2py.describe, llama2py.inspect, Llama, Tokenizer):
        with pytest.raises(InvalidArgumentError, match=r"half of a surrogate pair: '\\ud800'"):
            read("\ud800")


def test_a_folder_that_cannot_be_read(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> list[str]:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "listdir", refuse)
    for folder in (small, small.parent):
        with pytest.raises(FileError, match=r"cannot read: Permission denied") as error:
            llama2py.describe(folder)
        assert (error.value.errno, error.value.filename) == (errno.EACCES, str(folder))


def test_a_vocabulary_of_millions(spoken: Path) -> None:
    n = 320 + 2**20
    assert Tokenizer(spoken / "tokenizer.model", n).vocab_size == n
    with pytest.raises(TokenizerError, match=rf"holds 320 pieces, but the model has {n + 1}; expected at most {2**20}"):
        Tokenizer(spoken / "tokenizer.model", n + 1)


def test_long_headers_are_quick(small: Path) -> None:
    """Neither names nor dimensions are gone through more than once."""
    path = small / "model.safetensors"
    names = ", ".join(f'"{i}": 0' for i in range(400000))
    join(path, f'{{{names}, "399999": 0}}'.encode(), b"")
    damaged(small, r"'399999' is there twice")
    shape = [2**62] * 200000
    join(path, json.dumps({"a": {"dtype": "F32", "shape": shape, "data_offsets": [0, 4]}}).encode(), bytes(4))
    damaged(small, r"takes more than can be counted")


def test_links_are_followed(tmp_path: Path) -> None:
    """As a download's cache lays them."""
    folder, weights, _ = folder_of("wide heads", tmp_path / "blobs")
    (tmp_path / "links").mkdir()
    for file in folder.iterdir():
        (tmp_path / "links" / file.name).symlink_to(file)
    assert llama2py.describe(tmp_path / "links").dim == weights.shape.dim


# The command.


def test_the_command(call: Cli, spoken: Path, tmp_path: Path) -> None:
    target = str(tmp_path / "model.gguf")
    done = call("convert", str(spoken), target)
    assert done.code == 0 and done.out.startswith(f"file       {target}, f32, 32.00 bits a weight\nsize       ")
    assert f"\ntokenizer  {spoken / 'tokenizer.model'}\n" in done.out and "the last 4 stay unused\n" in done.err
    assert "is there already; replace it with --force" in call.fails("convert", str(spoken), target)
    done = call("convert", str(spoken), target, "--type", "Q8_0", "--force", "--threads", "2", "--json")
    said = json.loads(done.out)
    assert said["type"] == "q8_0" and said["tokenizer"] == str(spoken / "tokenizer.model") and len(said["notes"]) == 1
    assert "cannot quantise to 'q9'" in call.fails("convert", str(spoken), str(tmp_path / "x.gguf"), "--type", "q9")
    assert call("run", str(spoken), "-n", "5", "-t", "0", "-i", "the cat").out.startswith("the cat")
    assert call("fit", str(spoken)).out.endswith("fits\n")


def test_the_command_without_a_tokenizer(call: Cli, tmp_path: Path) -> None:
    folder, _, _ = folder_of("llama", tmp_path / "folder")
    done = call("convert", str(folder), str(tmp_path / "model.gguf"))
    assert "\ntokenizer  none was found; name one with --tokenizer\n" in done.out and not done.err


def test_many_tensors_of_other_values(tmp_path: Path) -> None:
    """One part is half precision: the type of most is the new file's."""
    weights = checkpoints.random_weights(SEPARATE, 1)
    folder = write_folder(tmp_path / "folder", weights, "llama", "F16", parts=2)
    index = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    file = index["model.norm.weight"]
    save(folder / file, {n: t for n, t in tensors_in(weights, "llama").items() if index[n] == file}, "BF16")
    result = convert(folder, tmp_path / "model.gguf")
    assert {t.had for t in result.tensors} == {"f16", "bf16"} and result.type in ("f16", "bf16")
    tokens = checkpoints.prompt_ids(SEPARATE, 10)
    with Llama(folder) as llama:
        assert errors(llama.logits(tokens), oracle.logits(weights, tokens)).max() < 0.1
