"""LoRA adapters made up from a seed, as PEFT's folders and as GGUF files, and what they make of a model's weights.

adapter = random_adapter(shape, seed=1)         of all matrices; an Adapter
write_folder(path, adapter, "llama")            adapter_config.json and adapter_model.safetensors
write_gguf(path, adapter, "llama")              as llama.cpp has it
weights = merged(weights, [(adapter, 0.5)])     for the oracle
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from checkpoints import LAYER_MATRICES, Array, Shape, Weights, tensor_shapes
from folders import halves, save
from gguf import GGMLQuantizationType as Kind
from test_gguf import NAMES

PEFT = {
    "wq": "self_attn.q_proj",
    "wk": "self_attn.k_proj",
    "wv": "self_attn.v_proj",
    "wo": "self_attn.o_proj",
    "w1": "mlp.gate_proj",
    "w3": "mlp.up_proj",
    "w2": "mlp.down_proj",
    "classifier": "lm_head",
}
GGUF = {field: name for name, field in NAMES.items()} | {"classifier": "output"}
ALL = (*LAYER_MATRICES, "classifier")


@dataclass(frozen=True)
class Adapter:
    """pairs: A (rank, columns) and B (rows, rank), by the field of Weights and the layer, 0 for the classifier."""

    shape: Shape
    pairs: dict[tuple[str, int], tuple[Array, Array]]
    rank: int
    alpha: float

    def name(self, field: str, layer: int) -> str:
        """PEFT's."""
        inside = PEFT[field] if field == "classifier" else f"model.layers.{layer}.{PEFT[field]}"
        return f"base_model.model.{inside}"


def random_adapter(
    shape: Shape, seed: int, rank: int = 8, alpha: float = 16, fields: Iterable[str] = ALL, gain: float = 0.4
) -> Adapter:
    """What it adds is about `gain` of what is there, at a factor of 2."""
    rng = np.random.default_rng([seed, 7])
    pairs: dict[tuple[str, int], tuple[Array, Array]] = {}
    dims_of = tensor_shapes(shape)
    for field in fields:
        *layers, rows, cols = dims_of[field]
        for layer in range(layers[0] if layers else 1):
            a = rng.standard_normal((rank, cols), dtype=np.float32) / np.float32(np.sqrt(cols))
            b = rng.standard_normal((rows, rank), dtype=np.float32) * np.float32(gain / 2 / np.sqrt(rank))
            pairs[field, layer] = a, b
    return Adapter(shape, pairs, rank, alpha)


def merged(weights: Weights, adapters: Iterable[tuple[Adapter, float]]) -> Weights:
    """The same with what they add, in float64."""
    fields: dict[str, Any] = {field: np.array(getattr(weights, field), np.float64) for field in ALL}
    for adapter, scale in adapters:
        for (field, layer), (a, b) in adapter.pairs.items():
            added = scale * adapter.alpha / adapter.rank * (b.astype(np.float64) @ a.astype(np.float64))
            fields[field][... if field == "classifier" else layer] += added
    return replace(weights, **fields)


def config_of(adapter: Adapter) -> dict[str, Any]:
    fields = dict.fromkeys(field for field, _ in adapter.pairs)
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "somebody/something",
        "r": adapter.rank,
        "lora_alpha": adapter.alpha,
        "target_modules": [PEFT[field].rpartition(".")[2] for field in fields],
        "bias": "none",
        "inference_mode": True,
        "fan_in_fan_out": False,
        "loftq_config": {},
    }


def tensors_of(adapter: Adapter, model_type: str) -> dict[str, Array]:
    """By PEFT's names, with heads as they lie there."""
    tensors: dict[str, Array] = {}
    for (field, layer), (a, b) in adapter.pairs.items():
        split = model_type in ("llama", "mistral") and field in ("wq", "wk")
        name = adapter.name(field, layer)
        tensors[f"{name}.lora_A.weight"] = a
        tensors[f"{name}.lora_B.weight"] = halves(b, adapter.shape.head_dim) if split else b
    return tensors


def write_folder(
    path: Path,
    adapter: Adapter,
    model_type: str = "llama",
    dtype: str = "F32",
    config: dict[str, Any] | None = None,
    tensors: dict[str, Array | None] | None = None,
) -> Path:
    """config and tensors: what differs; a tensor that is None is left out."""
    path.mkdir(exist_ok=True)
    (path / "adapter_config.json").write_text(json.dumps(config_of(adapter) | (config or {})))
    chosen: dict[str, Array | None] = {**tensors_of(adapter, model_type), **(tensors or {})}
    save(path / "adapter_model.safetensors", {name: t for name, t in chosen.items() if t is not None}, dtype)
    return path


def write_gguf(
    path: Path,
    adapter: Adapter,
    architecture: str = "llama",
    kind: Kind = Kind.F32,
    metadata: dict[str, str | float | None] | None = None,
    tensors: dict[str, Array | None] | None = None,
) -> Path:
    """metadata and tensors: what differs; None takes one away."""
    writer = gguf.GGUFWriter(path, architecture)
    keys: dict[str, str | float | None] = {"general.type": "adapter", "adapter.type": "lora"}
    for key, value in (keys | {"adapter.lora.alpha": float(adapter.alpha)} | (metadata or {})).items():
        if isinstance(value, str):
            writer.add_string(key, value)
        elif value is not None:
            writer.add_float32(key, value)
    lying: dict[str, Array | None] = {}
    for (field, layer), (a, b) in adapter.pairs.items():
        name = "output.weight" if field == "classifier" else f"blk.{layer}.{GGUF[field]}.weight"
        lying |= {f"{name}.lora_a": a, f"{name}.lora_b": b}
    for name, tensor in (lying | (tensors or {})).items():
        if tensor is not None:
            writer.add_tensor(name, gguf.quants.quantize(tensor.astype(np.float32), kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
