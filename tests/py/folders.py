"""Hugging Face folders, made up from the weights of other tests: safetensors by the package of that name.

write_folder(path, weights)     config.json and model.safetensors, or several files and their index
tensors_in(weights, "llama")    as such files name them, and with heads as they lie there
train_tokenizer(path)           a small tokenizer.model by sentencepiece, as Llama's is
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import oracle
import sentencepiece
from checkpoints import Array, Shape, Weights
from safetensors.numpy import save_file

LAYER = {
    "input_layernorm.weight": "attention_norm",
    "self_attn.q_proj.weight": "wq",
    "self_attn.k_proj.weight": "wk",
    "self_attn.v_proj.weight": "wv",
    "self_attn.o_proj.weight": "wo",
    "post_attention_layernorm.weight": "ffn_norm",
    "mlp.gate_proj.weight": "w1",
    "mlp.down_proj.weight": "w2",
    "mlp.up_proj.weight": "w3",
    "self_attn.q_proj.bias": "bq",
    "self_attn.k_proj.bias": "bk",
    "self_attn.v_proj.bias": "bv",
    "self_attn.o_proj.bias": "bo",
    "self_attn.q_norm.weight": "q_norm",
    "self_attn.k_norm.weight": "k_norm",
}

EXPERT = ("w1", "w2", "w3")


def halves(tensor: Array, head_dim: int) -> Array:
    """The pairs of each head's neighbours as its two halves."""
    heads = tensor.reshape(-1, head_dim // 2, 2, *tensor.shape[1:])
    lying: Array = np.swapaxes(heads, 1, 2).reshape(tensor.shape)
    return lying


def tensors_in(weights: Weights, model_type: str) -> dict[str, Array]:
    found = {"model.embed_tokens.weight": weights.embedding, "model.norm.weight": weights.final_norm}
    if not weights.shape.shared:
        found["lm_head.weight"] = weights.classifier
    for name, field in LAYER.items():
        for layer, tensor in enumerate(() if getattr(weights, field) is None else getattr(weights, field)):
            split = model_type in ("llama", "mistral", "mixtral") and field in ("wq", "wk", "bq", "bk")
            if weights.router is not None and field in EXPERT:
                sparse = f"model.layers.{layer}.block_sparse_moe"
                found |= {f"{sparse}.experts.{e}.{field}.weight": matrix for e, matrix in enumerate(tensor)}
                found[f"{sparse}.gate.weight"] = weights.router[layer]
                continue
            found[f"model.layers.{layer}.{name}"] = halves(tensor, weights.shape.head_dim) if split else tensor
    return found


def joined_experts(weights: Weights) -> dict[str, Array | None]:
    """What differs from tensors_in() where all experts' matrices are in one tensor, as transformers has them from 5 on
    in memory.
    """
    changes: dict[str, Array | None] = {
        name: None for name in tensors_in(weights, "mixtral") if ".block_sparse" in name
    }
    assert weights.router is not None
    for layer, router in enumerate(weights.router):
        mlp = f"model.layers.{layer}.mlp"
        changes[f"{mlp}.gate.weight"] = router
        changes[f"{mlp}.experts.gate_up_proj"] = np.concatenate([weights.w1[layer], weights.w3[layer]], axis=1)
        changes[f"{mlp}.experts.down_proj"] = weights.w2[layer]
    return changes


def config_of(shape: Shape, model_type: str) -> dict[str, Any]:
    return {
        "model_type": model_type,
        "hidden_act": "silu",
        "hidden_size": shape.dim,
        "intermediate_size": shape.hidden_dim,
        "num_hidden_layers": shape.n_layers,
        "num_attention_heads": shape.n_heads,
        "num_key_value_heads": shape.n_kv_heads,
        "head_dim": shape.head_dim,
        "max_position_embeddings": shape.context,
        "vocab_size": shape.vocab_size,
        "rms_norm_eps": oracle.EPSILON,
        "tie_word_embeddings": shape.shared,
    }


def bits(values: Array, dtype: str) -> npt.NDArray[Any]:
    """The numbers as a type holds them; those of bfloat16 as whole numbers."""
    single = np.ascontiguousarray(values, "<f4")
    if dtype != "BF16":
        return single.astype({"F32": "<f4", "F16": "<f2"}[dtype])
    word = single.view("<u4").astype(np.uint64)
    return ((word + 0x7FFF + (word >> 16 & 1)) >> 16).astype("<u2")


def held(values: Array, dtype: str) -> Array:
    """The numbers that a type holds."""
    stored = bits(values, dtype)
    wide = stored if dtype != "BF16" else (stored.astype("<u4") << 16).view("<f4")
    return wide.astype(np.float32)


def save(path: Path, tensors: dict[str, Array], dtype: str = "F32") -> Path:
    save_file({name: bits(t, dtype) for name, t in tensors.items()}, path)
    if dtype == "BF16":  # which NumPy does not have
        header, data = parts_of(path)
        join(path, header.replace(b'"U16"', b'"BF16"'), data)
    return path


def parts_of(path: Path) -> tuple[bytes, bytes]:
    """The header of a file, in JSON, and what comes behind it."""
    data = path.read_bytes()
    (n,) = struct.unpack_from("<Q", data)
    return data[8 : 8 + n], data[8 + n :]


def join(path: Path, header: bytes, data: bytes) -> None:
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)


def write_folder(
    path: Path,
    weights: Weights,
    model_type: str = "llama",
    dtype: str = "F32",
    *,
    parts: int = 1,
    config: dict[str, Any] | None = None,
    tensors: dict[str, Array | None] | None = None,
) -> Path:
    """config and tensors: what differs; a tensor that is None is left out."""
    path.mkdir(exist_ok=True)
    (path / "config.json").write_text(json.dumps(config_of(weights.shape, model_type) | (config or {})))
    chosen: dict[str, Array | None] = {**tensors_in(weights, model_type), **(tensors or {})}
    kept = {name: t for name, t in chosen.items() if t is not None}
    if parts == 1:
        save(path / "model.safetensors", kept, dtype)
        return path
    places = {name: f"model-{i % parts + 1:05}-of-{parts:05}.safetensors" for i, name in enumerate(sorted(kept))}
    for file in set(places.values()):
        save(path / file, {name: t for name, t in kept.items() if places[name] == file}, dtype)
    (path / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return path


WORDS = [
    "the",
    "a",
    "cat",
    "dog",
    "sat",
    "ran",
    "on",
    "under",
    "mat",
    "tree",
    "happily",
    "and",
    "then",
    "saw",
    "little",
    "big",
    "said",
    "once",
    "upon",
    "time",
    "day",
]


def train_tokenizer(path: Path, **options: Any) -> Path:
    """A tokenizer of 320 pieces, with all bytes. options: what differs from Llama's."""
    rng = np.random.default_rng(3)
    lines = (" ".join(rng.choice(WORDS, 12)).capitalize() + "." for _ in range(400))
    settings: dict[str, Any] = {
        "model_type": "bpe",
        "vocab_size": 320,
        "byte_fallback": True,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "character_coverage": 1.0,
        "minloglevel": 2,
    }
    with path.open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=lines, model_writer=file, **(settings | options))
    return path
