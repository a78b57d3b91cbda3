"""Meta's folders and llama2.c's ckpt.pt: the same numbers as of the same weights in other files, however they are cut,
and a row for each thing that is refused.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import checkpoints
import numpy as np
import oracle
import pytest
import test_gguf
from checkpoints import Rope, Shape, Weights
from conftest import Cli
from families import llama3_divisors
from folders import bits, save, tensors_in, train_tokenizer, write_folder
from gguf import GGMLQuantizationType
from test_oracle import TOLERANCE, errors
from test_tokenizers import SEPARATOR
from torch_files import (
    Storage,
    meta_tensors,
    params_of,
    part,
    rank_tokens,
    recorded_ranks,
    saved,
    write_meta,
    write_ranks,
    write_torch,
)
from vocabularies import read_metadata

import llama2py
from llama2py import (
    CheckpointError,
    FileMissingError,
    InvalidArgumentError,
    Llama,
    Tokenizer,
    TokenizerError,
    convert,
    quantize,
)

SHAPE = Shape(dim=64, hidden_dim=176, n_layers=2, n_heads=8, n_kv_heads=8, vocab_size=512, context=4096, shared=False)
GROUPED = replace(SHAPE, n_kv_heads=2, hidden_dim=224, vocab_size=560)
TIED = replace(GROUPED, shared=True)
SCALED = {"use_scaled_rope": True, "rope_theta": 500000.0, "vocab_size": 560}
SCALED |= {"multiple_of": 32, "ffn_dim_multiplier": 1.3}


def scaled(factor: float) -> Rope:
    return Rope(theta=500000.0, divisors=llama3_divisors(500000.0, 8, factor, 1.0, 4.0, 8192))


def logits_of(path: Path, tokens: list[int], **options: Any) -> Any:
    with Llama(path, context=64, threads=2, kv="f32", **options) as llama:
        return llama.logits(tokens).view(np.int32)


# What loads.


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_however_it_is_cut(dtype: str, tmp_path: Path) -> None:
    """And as Hugging Face's and GGUF files, and quantised while it is loaded."""
    weights = checkpoints.random_weights(SHAPE, 1)
    tokens = checkpoints.prompt_ids(SHAPE, 40)
    theirs = write_folder(tmp_path / "safetensors", weights, "llama", dtype)
    expected = logits_of(theirs, tokens)
    reference = oracle.logits(weights, tokens)
    assert errors(expected.view(np.float32), reference).max() <= (TOLERANCE if dtype == "F32" else 0.1)
    for shards in (1, 2, 4, 8):
        for axis in (0, 1):
            folder = write_meta(tmp_path / f"{shards} {axis}", weights, shards, dtype, embedding_axis=axis)
            assert (logits_of(folder, tokens) == expected).all()
            assert llama2py.describe(folder).parameters == llama2py.describe(theirs).parameters
        assert (logits_of(folder, tokens, quantize="q8_0") == logits_of(theirs, tokens, quantize="q8_0")).all()
    convert(folder, tmp_path / "meta.gguf")
    convert(theirs, tmp_path / "theirs.gguf")
    assert (logits_of(tmp_path / "meta.gguf", tokens) == expected).all()
    data = (tmp_path / "theirs.gguf").stat().st_size
    assert (tmp_path / "meta.gguf").read_bytes()[-data // 2 :] == (tmp_path / "theirs.gguf").read_bytes()[-data // 2 :]


@pytest.mark.parametrize("dtype", ["F32", "BF16"])
def test_pickled_weights_of_hugging_face(dtype: str, tmp_path: Path) -> None:
    weights = checkpoints.random_weights(SHAPE, 1)
    tokens = checkpoints.prompt_ids(SHAPE, 40)
    expected = logits_of(write_folder(tmp_path / "safetensors", weights, "llama", dtype), tokens)
    theirs = {name: saved(tensor, dtype) for name, tensor in tensors_in(weights, "llama").items()}
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        write_folder(folder, weights, "llama")
        (folder / "model.safetensors").unlink()
    write_torch(one / "pytorch_model.bin", theirs)
    assert (logits_of(one, tokens) == expected).all()
    places = {name: f"pytorch_model-0000{i % 2 + 1}-of-00002.bin" for i, name in enumerate(theirs)}
    for file in set(places.values()):
        write_torch(two / file, {name: tensor for name, tensor in theirs.items() if places[name] == file})
    index = two / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    assert (logits_of(two, tokens) == expected).all()
    (two / "pytorch_model-00002-of-00002.bin").unlink()
    with pytest.raises(FileMissingError, match=r"index\.json: names pytorch_model-00002-of-00002\.bin, which is not"):
        Llama(two)
    index.write_text(json.dumps({"weight_map": places | {"model.norm.weight": "model.safetensors"}}))
    with pytest.raises(CheckpointError, match=r"expected the name of a \.bin file beside it"):
        Llama(two)
    save(one / "model.safetensors", tensors_in(replace(weights, final_norm=weights.final_norm * 2), "llama"))
    assert (logits_of(one, tokens) != expected).any(), "safetensors go first"


SIZES: dict[str, tuple[Shape, int, dict[str, Any], Rope, int]] = {
    "Llama 1": (SHAPE, 1, {"norm_eps": 1e-6, "n_kv_heads": None}, Rope(), 2048),
    "Llama 2": (SHAPE, 2, {"n_kv_heads": None, "vocab_size": 512}, Rope(), 4096),
    "Llama 2, large": (GROUPED, 2, {"ffn_dim_multiplier": 1.3, "multiple_of": 32}, Rope(), 4096),
    "Code Llama": (SHAPE, 1, {"rope_theta": 1000000}, Rope(theta=1e6), 16384),
    "Llama 3": (SHAPE, 2, {"rope_theta": 500000.0, "vocab_size": 512, "use_scaled_rope": False}, Rope(theta=5e5), 8192),
    "Llama 3.1": (GROUPED, 2, SCALED, scaled(8), 131072),
    "Llama 3.2": (TIED, 1, SCALED, scaled(32), 131072),
    "said": (SHAPE, 1, {"max_seq_len": 77, "max_batch_size": 3}, Rope(), 77),
    "widths of their own": (
        replace(SHAPE, hidden_dim=88, head_width=16),
        4,
        {"hidden_dim": 88, "head_dim": 16},
        Rope(),
        4096,
    ),
}


@pytest.mark.parametrize("name", SIZES)
def test_what_params_say(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shape, shards, params, rope, context = SIZES[name]
    weights = replace(checkpoints.random_weights(shape, 1), rope=rope)
    table = {"layers.0.attention.inner_attention.rope.freqs": saved(np.ones(4))} if "1" in name else {}
    folder = write_meta(
        tmp_path / "model", weights, shards, params=params, embedding_axis=0 if "3" in name else 1, tensors=table
    )
    info = llama2py.describe(folder)
    assert (info.context, info.vocab_size, info.n_kv_heads) == (context, shape.vocab_size, shape.n_kv_heads)
    assert info.shared_classifier == shape.shared
    tokens = checkpoints.prompt_ids(shape, 40)
    monkeypatch.setattr(oracle, "EPSILON", params.get("norm_eps", 1e-5))
    with Llama(folder, context=64, kv="f32") as llama:
        assert errors(llama.logits(tokens), oracle.logits(weights, tokens)).max() <= TOLERANCE


@pytest.mark.parametrize("stored", ["shared", "copied", "left out", "of its own"])
def test_a_classifier_that_is_the_embedding(stored: str, tmp_path: Path) -> None:
    weights = checkpoints.random_weights(TIED, 1)
    slightly = np.float32(1e-3) * (np.arange(560) == 559)[:, None]
    ways: dict[str, dict[str, Any]] = {
        "shared": {},
        "copied": {"output.weight": saved(weights.embedding)},
        "left out": {"output.weight": None},
        "of its own": {"output.weight": saved(weights.embedding + slightly)},
    }
    folder = write_meta(tmp_path / "model", weights, params=SCALED, tensors=ways[stored])
    assert llama2py.describe(folder).shared_classifier == (stored != "of its own")


def test_tensors_that_share_a_storage(tmp_path: Path) -> None:
    """As those of a layer do in Meta's files."""
    weights = checkpoints.random_weights(SHAPE, 1)
    folder = write_meta(tmp_path / "model", weights)
    tokens = checkpoints.prompt_ids(SHAPE, 40)
    expected = logits_of(folder, tokens)
    tensors = {name: bits(tensor, "F32") for name, (tensor, _) in meta_tensors(weights).items()}
    storage = Storage(b"".join(tensor.tobytes() for tensor in tensors.values()), "FloatStorage")
    at = 0
    state: dict[str, Any] = {}
    for name, tensor in tensors.items():
        state[name] = part(storage, tensor.shape, at)
        at += tensor.size
    write_torch(folder / "consolidated.00.pth", state)
    assert (logits_of(folder, tokens) == expected).all()


# llama2.c's ckpt.pt.


def ckpt(path: Path, weights: Weights, prefix: str = "", **args: Any) -> Path:
    state = {f"{prefix}{name}": saved(tensor) for name, (tensor, _) in meta_tensors(weights).items()}
    if weights.shape.shared:
        state[f"{prefix}output.weight"] = state[f"{prefix}tok_embeddings.weight"]
    said = params_of(weights.shape) | {"max_seq_len": weights.shape.context, "dropout": 0.0}
    said |= {"vocab_size": weights.shape.vocab_size} | args
    optimizer = {
        "state": {0: {"step": saved(np.float32(3)), "exp_avg": saved(np.ones((2, 3)))}},
        "param_groups": [{"lr": 5e-4}],
    }
    rest = {"optimizer": optimizer, "iter_num": 7, "best_val_loss": 1.5, "config": {"init_from": "scratch"}}
    return write_torch(path, {"model": state, "model_args": said, **rest})


@pytest.mark.parametrize("prefix", ["", "_orig_mod."])
@pytest.mark.parametrize("shape", [SHAPE, TIED], ids=["its own classifier", "tied"])
def test_ckpt_pt_is_the_same_as_bin(shape: Shape, prefix: str, tmp_path: Path) -> None:
    shape = replace(shape, context=96, vocab_size=512)
    weights = checkpoints.random_weights(shape, 1)
    args = {"hidden_dim": shape.hidden_dim}
    path = ckpt(tmp_path / "ckpt.pt", weights, prefix, **args)
    plain = checkpoints.write_v0(tmp_path / "model.bin", weights)
    tokens = checkpoints.prompt_ids(shape, 40)
    assert (logits_of(path, tokens) == logits_of(plain, tokens)).all()
    checkpoints.write_tokenizer(tmp_path / "tok512.bin", 512)
    with Llama(path) as llama:
        assert llama.context == 96 and llama.info.shared_classifier == shape.shared
        assert llama.tokenizer.path == str(tmp_path / "tok512.bin")
    for write in (convert, quantize):
        assert write(path, tmp_path / "x.gguf", "f32", force=True).tokenizer == str(tmp_path / "tok512.bin")
        assert Tokenizer(tmp_path / "x.gguf").vocab_size == 512
    assert (logits_of(tmp_path / "x.gguf", tokens) == logits_of(plain, tokens)).all()
    for wrong in (tmp_path / "tok512.bin", path):
        with pytest.raises(InvalidArgumentError, match="is read from"):
            convert(path, wrong, tokenizer=tmp_path / "tok512.bin", force=True)
    for ask in (lambda: Tokenizer(path), lambda: convert(path, tmp_path / "y.gguf", tokenizer=path)):
        with pytest.raises(TokenizerError, match=r"ckpt\.pt: the file has no tokenizer"):
            ask()


def test_a_real_ckpt_pt(data: Path) -> None:
    tokens = np.random.default_rng(1).integers(0, 512, 200).tolist()
    path, plain = data / "llama2xs" / "ckpt.pt", data / "llama2xs" / "model.bin"
    with Llama(path, kv="f32") as llama, Llama(plain, kv="f32") as other:
        assert (llama.logits(tokens).view(np.int32) == other.logits(tokens).view(np.int32)).all()
        assert llama.context == other.context and llama.info.parameters == other.info.parameters
        assert llama.generate("Once", 60, temperature=0).text == other.generate("Once", 60, temperature=0).text


WRONG_FILES: list[tuple[str, Any, str]] = [
    ("a list", [1, 2], r"without model and model_args, as llama2\.c's"),
    ("no arguments", {"model": {}}, r"without model and model_args"),
    ("tensors alone", {"tok_embeddings.weight": saved(np.ones((2, 2)))}, r"or the folder that the file lies in"),
    ("arguments of text", {"model": {}, "model_args": "dim=64"}, r"model_args is 'dim=64', expected a dict"),
    ("no dict", {"model": [], "model_args": {}}, r"model is of type list, expected a dict of tensors"),
    ("no tensor", {"model": {"a": 1}, "model_args": {}}, r"'a' is of type int, expected a dict of tensors"),
    ("nothing", {"model": {}, "model_args": {}}, r"model_args: dim is None, expected a whole number"),
    (
        "no embedding",
        {"model": {}, "model_args": {"dim": 8, "n_layers": 1, "n_heads": 2}},
        r"tok_embeddings\.weight is missing, expected 1 x 8 as .*model_args says",
    ),
    (
        "twice",
        {"model": dict.fromkeys(("a", "_orig_mod.a"), saved(np.ones(2))), "model_args": {}},
        r"'a' is there with and without _orig_mod\.",
    ),
]


@pytest.mark.parametrize(("value", "complaint"), [pytest.param(*row, id=name) for name, *row in WRONG_FILES])
def test_files_that_are_no_ckpt_pt(value: Any, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=complaint):
        Llama(write_torch(tmp_path / "ckpt.pt", value))


# Tokenizers.


def test_a_tokenizer_in_the_folder_or_above(tmp_path: Path) -> None:
    weights = checkpoints.random_weights(replace(SHAPE, vocab_size=320), 1)
    folder = write_meta(tmp_path / "download" / "llama-2-7b", weights)
    with pytest.raises(TokenizerError, match=r"no tokenizer\.model in the folder or above it"):
        Tokenizer(folder)
    above = train_tokenizer(tmp_path / "download" / "tokenizer.model")
    with Llama(folder, context=64, kv="f32") as llama:
        assert llama.tokenize("the cat")[0] == 1 and len(llama.tokenizer.encode("the cat")) < 8
    result = quantize(folder, tmp_path / "above.gguf", "f32")
    assert os.path.samefile(str(result.tokenizer), above)
    (folder / "tokenizer.model").write_bytes(above.read_bytes())
    assert quantize(folder, tmp_path / "in.gguf", "f32").tokenizer == str(folder / "tokenizer.model")
    assert read_metadata(tmp_path / "in.gguf") == read_metadata(tmp_path / "above.gguf")
    assert Tokenizer(above).encode("the cat") == Tokenizer(folder).encode("the cat")
    assert Tokenizer(above, 324).vocab_size == 324
    with pytest.raises(InvalidArgumentError, match="is read from"):
        convert(folder, folder / "tokenizer.model", force=True)


def test_a_named_tokenizer(tmp_path: Path) -> None:
    """Of another folder, a tokenizer.model, or the checkpoint itself."""
    weights = checkpoints.random_weights(replace(SHAPE, vocab_size=320), 1)
    folder = write_meta(tmp_path / "one", weights)
    model = train_tokenizer(tmp_path / "named.model")
    expected = Tokenizer(model).encode("the cat ran")
    other = write_meta(tmp_path / "other", weights)
    (other / "tokenizer.model").write_bytes(model.read_bytes())
    for source, named, said in (
        (folder, model, model),
        (folder, other, other),
        (other, other, other / "tokenizer.model"),
    ):
        result = convert(source, tmp_path / "x.gguf", tokenizer=named, force=True)
        assert result.tokenizer == str(said)
        assert Tokenizer(tmp_path / "x.gguf").encode("the cat ran") == expected
    with Llama(folder, tokenizer=model, context=64) as llama:
        assert llama.tokenize("the cat ran") == expected


SPECIAL = "<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|eot_id|>"


def test_ranks_of_llama_3(tmp_path: Path) -> None:
    weights = checkpoints.random_weights(replace(SHAPE, vocab_size=len(rank_tokens()) + 256 + 4), 1)
    folder = write_meta(tmp_path / "model", weights, embedding_axis=0)
    write_ranks(folder / "tokenizer.model")
    n = len(rank_tokens())
    ours = Tokenizer(folder)
    assert (ours.bos_id, ours.eos_id, ours.vocab_size) == (n, n + 1, n + 260)
    ids = ours.encode("".join(SPECIAL), special=True)
    assert ids == [n, n, n + 1, n + 6, n + 9]
    for text in (" the then hen cat", "aaaaaa aaa", "é🦙 123 1234\n\n", " thecat", "\x00"):
        ids = ours.encode(text, bos=False)
        assert ours.decode(ids) == text
        assert b"".join(rank_tokens()[i] for i in ids) == text.encode()
    assert ours.encode(" the", bos=False) == [rank_tokens().index(b" the")]
    assert ours.encode(" hen", bos=False) == [rank_tokens().index(b" "), rank_tokens().index(b"hen")]
    result = convert(folder, tmp_path / "model.gguf")
    assert result.tokenizer == str(folder / "tokenizer.model") and "the last 4 stay unused" in result.notes[0]
    said = read_metadata(tmp_path / "model.gguf")
    assert said["tokenizer.ggml.tokens"][n + 4] == b"<|reserved_special_token_2|>"
    assert said["tokenizer.ggml.tokens"][n + 255] == b"<|reserved_special_token_250|>"
    params = json.loads((folder / "params.json").read_text())
    (folder / "params.json").write_text(
        json.dumps(params | SCALED | {"multiple_of": 16, "ffn_dim_multiplier": None, "vocab_size": -1})
    )
    convert(folder, tmp_path / "model.gguf", force=True)
    said = read_metadata(tmp_path / "model.gguf")
    names = said["tokenizer.ggml.tokens"]
    later = [b"<|finetune_right_pad_id|>", b"<|eom_id|>", b"<|python_tag|>"]
    assert [names[n + i] for i in (4, 8, 10)] == later
    assert (said["tokenizer.ggml.eot_token_id"], said["tokenizer.ggml.eom_token_id"]) == (n + 9, n + 8)
    assert (names[n + 2], names[n + 12], names[n + 255]) == tuple(
        b"<|reserved_special_token_%d|>" % i for i in (0, 2, 245)
    )


def test_the_tokenizer_of_llama_3(data: Path, tmp_path: Path) -> None:
    """Its ranks alone give the merges that its makers published, and the ids that others have recorded."""
    recorded = data / "tokenizers" / "ggml-vocab-llama-bpe.gguf"
    theirs = read_metadata(recorded)
    path = write_ranks(tmp_path / "tokenizer.model", recorded_ranks(theirs["tokenizer.ggml.tokens"]))
    shape = Shape(dim=4, hidden_dim=16, n_layers=1, n_heads=2, n_kv_heads=1, vocab_size=128256, context=8)
    folder = write_meta(tmp_path / "model", checkpoints.random_weights(shape, 1), params={"multiple_of": 8})
    os.link(path, folder / "tokenizer.model")
    convert(folder, tmp_path / "model.gguf")
    ours = read_metadata(tmp_path / "model.gguf")
    for key in ("model", "pre", "merges", "token_type", "bos_token_id", "eos_token_id"):
        assert ours[f"tokenizer.ggml.{key}"] == theirs[f"tokenizer.ggml.{key}"], key
    assert ours["tokenizer.ggml.tokens"][:128000] == theirs["tokenizer.ggml.tokens"][:128000]
    texts = Path(f"{recorded}.inp").read_bytes().decode().split(SEPARATOR)
    tokenizer = Tokenizer(folder)
    lines = Path(f"{recorded}.out").read_text().split("\n")
    assert [tokenizer.encode(text, bos=False) for text in texts] == [[int(i) for i in line.split()] for line in lines]


RANKS: list[tuple[str, bytes, str]] = [
    ("no base64", b"IQ== 0\nI! 1\n", r"line 2 is b'I! 1', expected a token in base64"),
    ("half of it", b"IQ== 0\nIQ 1\n", r"line 2 is b'IQ 1'"),
    ("no rank", b"IQ== 0\nIg== \n", r"line 2 is"),
    ("a rank twice", b"IQ== 0\nIg== 0\n", r"line 2 has the rank 0, which is there twice"),
    ("a gap", b"IQ== 0\nIg== 2\n", r"no token has the rank 1, expected one for each up to 2"),
    ("cut short", b"IQ== 0\nIg== 1\n", r"254 single bytes are no tokens"),
]


@pytest.mark.parametrize(("ranks", "complaint"), [pytest.param(*row, id=name) for name, *row in RANKS])
def test_ranks_that_are_refused(ranks: bytes, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(ranks)
    with pytest.raises(TokenizerError, match=complaint):
        Tokenizer(path)


def test_a_token_of_two_ranks(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match=r"b'he' has the ranks \d+ and \d+"):
        Tokenizer(write_ranks(tmp_path / "tokenizer.model", [*rank_tokens(), b"he"]))


# What is refused.

PARAMS: list[tuple[str, dict[str, Any], str]] = [
    ("no width", {"dim": None}, r"params\.json: dim is None, expected a whole number"),
    ("no layers", {"n_layers": 0}, r"n_layers is 0, expected"),
    (
        "a layer more",
        {"n_layers": 3},
        r"layers\.2\.attention_norm\.weight is missing, expected 64 as params\.json says",
    ),
    ("a layer less", {"n_layers": 1}, r"'layers\.1\.attention_norm\.weight' is not one that a Llama of 1 layers"),
    ("other heads", {"n_kv_heads": 4}, r"attention\.wk\.weight is 32 x 64, expected 16 x 64 in each of 2 files"),
    ("another vocabulary", {"vocab_size": 500}, r"tok_embeddings\.weight is 512 x 32, expected 500 x 32"),
    ("a vocabulary of -2", {"vocab_size": -2}, r"vocab_size is -2, expected"),
    ("another multiple", {"multiple_of": 256}, r"feed_forward\.w1\.weight is 88 x 64, expected 128 x 64 .* params"),
    ("no multiple", {"multiple_of": 0}, r"multiple_of is 0"),
    ("a multiplier", {"ffn_dim_multiplier": 2.0}, r"w1\.weight is 88 x 64, expected 176 x 64"),
    ("a multiplier of text", {"ffn_dim_multiplier": "2"}, r"ffn_dim_multiplier is '2', expected a number"),
    ("a huge multiplier", {"ffn_dim_multiplier": 1e300}, r"ffn_dim_multiplier is 1e\+300, expected a number"),
    ("scaled by text", {"use_scaled_rope": "yes"}, r"use_scaled_rope is 'yes', expected true or false"),
    ("odd heads", {"head_dim": 7}, r"heads of 7, expected an even number"),
    (
        "experts",
        {"moe": {"num_experts": 8}},
        r"'moe' is \{'num_experts': 8\}, which is not known; expected some of dim",
    ),
    ("images", {"vision_chunk_size": 448}, r"'vision_chunk_size' is 448, which is not known"),
    ("quantised", {"quantization_args": {"scheme": "int4"}}, r"'quantization_args' is"),
    ("theta of 0", {"rope_theta": 0}, r"rope\.freq_base is 0"),
    ("theta of 0, scaled", {"rope_theta": 0, "use_scaled_rope": True}, r"rope\.freq_base is 0"),
    ("an epsilon of 2", {"norm_eps": 2}, r"layer_norm_rms_epsilon is 2"),
]


@pytest.mark.parametrize(("params", "complaint"), [pytest.param(*row, id=name) for name, *row in PARAMS])
def test_params_that_are_refused(params: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    folder = write_meta(tmp_path / "model", checkpoints.random_weights(SHAPE, 1), 2, params=params)
    for read in (llama2py.describe, llama2py.plan, Llama):
        with pytest.raises(CheckpointError, match=complaint) as error:
            read(folder)
        assert str(error.value).startswith(str(folder)) and "\n" not in str(error.value)


TENSORS: list[tuple[str, dict[str, Any], str]] = [
    (
        "one is missing",
        {"layers.1.ffn_norm.weight": None},
        r"00\.pth: the tensor layers\.1\.ffn_norm\.weight is missing",
    ),
    ("one is too many", {"layers.0.attention.bias": saved(np.ones(3))}, r"'layers\.0\.attention\.bias' is not one"),
    ("a long norm", {"norm.weight": saved(np.ones(65))}, r"norm\.weight is 65, expected 64 as params"),
    (
        "whole numbers",
        {"norm.weight": saved(np.ones(64), "I64")},
        r"norm\.weight is I64, expected F32, F16 or BF16",
    ),
    ("a flat embedding", {"tok_embeddings.weight": saved(np.ones(64))}, r"tok_embeddings\.weight is 64, expected"),
    ("a scalar", {"tok_embeddings.weight": saved(np.float32(1))}, r"tok_embeddings\.weight is 1, expected"),
]


@pytest.mark.parametrize(("tensors", "complaint"), [pytest.param(*row, id=name) for name, *row in TENSORS])
def test_tensors_that_are_refused(tensors: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    folder = write_meta(tmp_path / "model", checkpoints.random_weights(SHAPE, 1), 2, tensors=tensors)
    with pytest.raises(CheckpointError, match=complaint):
        Llama(folder)


def test_files_that_are_missing(tmp_path: Path) -> None:
    weights = checkpoints.random_weights(SHAPE, 1)
    folder = write_meta(tmp_path / "model", weights, 4)
    (folder / "consolidated.03.pth").rename(tmp_path / "3")
    with pytest.raises(CheckpointError, match=r"which 3 files cannot share; the model was cut in 4, and there are 3"):
        Llama(folder)
    (folder / "consolidated.02.pth").rename(tmp_path / "2")
    with pytest.raises(
        CheckpointError, match=r"512 x 16, expected 512 x 32 .*; the model was cut in 4, and there are 2"
    ):
        Llama(folder)
    (tmp_path / "3").rename(folder / "consolidated.03.pth")
    with pytest.raises(FileMissingError, match=r"holds consolidated\.03\.pth, but no consolidated\.02\.pth"):
        Llama(folder)
    (tmp_path / "2").rename(folder / "consolidated.2.pth")
    assert llama2py.describe(folder).dim == 64
    (folder / "consolidated.002.pth").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"holds consolidated\.002\.pth and consolidated\.2\.pth, which are of"):
        Llama(folder)
    for file in folder.glob("*.pth"):
        file.unlink()
    with pytest.raises(FileMissingError, match=r"holds params\.json, but no consolidated\.00\.pth"):
        Llama(folder)


def test_a_file_too_many(tmp_path: Path) -> None:
    weights = checkpoints.random_weights(SHAPE, 1)
    folder = write_meta(tmp_path / "model", weights)
    (folder / "consolidated.01.pth").write_bytes((folder / "consolidated.00.pth").read_bytes())
    with pytest.raises(CheckpointError, match=r"wq\.weight is 64 x 64, .*; the model was cut in 1, and there are 2"):
        Llama(folder)


def test_files_of_several_types(tmp_path: Path) -> None:
    weights = checkpoints.random_weights(SHAPE, 1)
    folder = write_meta(tmp_path / "model", weights, 2)
    other = write_meta(tmp_path / "other", weights, 2, "F16")
    (other / "consolidated.01.pth").rename(folder / "consolidated.01.pth")
    with pytest.raises(CheckpointError, match=r"tok_embeddings\.weight is F32, but in another file F16; expected one"):
        Llama(folder)


def test_params_that_are_missing(tmp_path: Path) -> None:
    folder = write_meta(tmp_path / "model", checkpoints.random_weights(SHAPE, 1))
    with pytest.raises(CheckpointError, match=r"or the folder that the file lies in"):
        Llama(folder / "consolidated.00.pth")
    (folder / "params.json").write_text('{"dim": 64, "dim": 64}')
    with pytest.raises(CheckpointError, match=r"'dim' is there twice"):
        Llama(folder)
    (folder / "params.json").unlink()
    with pytest.raises(FileMissingError, match=r"params\.json: cannot read"):
        Llama(folder)
    os.mkfifo(folder / "params.json")
    with pytest.raises(llama2py.FileError, match=r"params\.json: not a regular file, expected a file"):
        Llama(folder)


# Commands.


def test_all_commands_take_it(call: Cli, tmp_path: Path) -> None:
    weights = checkpoints.random_weights(replace(SHAPE, vocab_size=320), 1)
    folder = write_meta(tmp_path / "model", weights, 2, params={"max_seq_len": 64})
    train_tokenizer(folder / "tokenizer.model")
    text = tmp_path / "text"
    text.write_text("the cat sat under the big tree and saw a little dog. " * 5)
    said = json.loads(call("info", str(folder), "--json").out)
    assert (said["format"], said["parts"], said["dim"], said["name"]) == ("Meta folder", 2, 64, "model")
    assert said["tensors"]["f32"]["tensors"] == len(meta_tensors(weights)) and said["tokenizer"]["vocab_size"] == 320
    assert said["file_bytes"] == sum(file.stat().st_size for file in folder.glob("*.pth"))
    shown = call("info", str(folder)).out
    assert "\nformat        Meta folder, 2 parts\n" in shown and "\nvocabulary    320, classifier its own\n" in shown
    assert call("fit", str(folder)).out.endswith("fits\n")
    assert call("run", str(folder), "-n", "5", "-t", "0", "-i", "the cat").out.startswith("the cat")
    assert "perplexity" in call("eval", "perplexity", str(folder), str(text), "--context", "32").out
    done = call("bench", str(folder), "--rounds", "1", "--prompt", "8", "--decode", "8", "--json")
    assert json.loads(done.out)["model"]["format"] == "Meta folder"
    assert call("quantize", str(folder), str(tmp_path / "q.gguf"), "--type", "q8_0").code == 0
    assert call("convert", str(folder), str(tmp_path / "c.gguf")).code == 0
    tokens = checkpoints.prompt_ids(weights.shape, 20)
    reference = test_gguf.write(tmp_path / "r.gguf", weights, GGMLQuantizationType.F32)
    assert (logits_of(tmp_path / "c.gguf", tokens) == logits_of(reference, tokens)).all()
