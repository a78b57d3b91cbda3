"""`llama2py info`: what is in a file, and the memory that running it takes."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from llama2py._terminal import CHECKPOINT, add_checkpoint, plain, size, table, write
from llama2py.errors import CheckpointError, TokenizerError
from llama2py.info import ArrayInfo, Contents, MetadataValue, ModelInfo, Plan, VocabularyInfo, describe, inspect, plan
from llama2py.tokenizer import Tokenizer

__all__ = ["register"]

# general.file_type in GGUF: what most matrices are of.
FILE_TYPES = {
    **dict(enumerate(("f32", "f16", "q4_0", "q4_1"))),
    **dict(enumerate(("q8_0", "q5_0", "q5_1", "q2_k", "q3_k_s", "q3_k_m", "q3_k_l", "q4_k_s", "q4_k_m"), 7)),
    **{16: "q5_k_s", 17: "q5_k_m", 18: "q6_k", 25: "iq4_nl", 30: "iq4_xs", 32: "bf16", 38: "mxfp4"},
}


def register(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Adds the command."""
    info = command("info", _info, "describe a checkpoint", "llama2py info stories15M.bin")
    add_checkpoint(info, f"{CHECKPOINT}, also one without a model")
    info.add_argument("--json", action="store_true", help="print a JSON object")


def _info(args: argparse.Namespace) -> int:
    contents = inspect(args.checkpoint)
    model, memory, failure = None, None, None
    try:
        model, memory = describe(args.checkpoint), plan(args.checkpoint)
    except CheckpointError as error:
        failure = error.message
    vocabulary = contents.vocabulary or _vocabulary_beside(contents, model)
    if args.json:
        write(f"{json.dumps(_as_json(contents, model, memory, vocabulary, failure))}\n")
    else:
        write(table(_rows(contents, model, memory, vocabulary, failure)))
    return 0


def _vocabulary_beside(contents: Contents, model: ModelInfo | None) -> VocabularyInfo | None:
    """llama2.c's checkpoints have theirs in a file of its own."""
    if model is None:
        return None
    try:
        found = Tokenizer.find(contents.path, model.vocab_size)
    except TokenizerError:
        return None
    return VocabularyInfo("llama", None, found.vocab_size, {"bos": found.bos_id, "eos": found.eos_id}, False)


def _file_type(contents: Contents) -> str | None:
    number = contents.metadata.get("general.file_type")
    return FILE_TYPES.get(number, str(number)) if isinstance(number, int) else None


def _as_json(
    contents: Contents,
    model: ModelInfo | None,
    memory: Plan | None,
    vocabulary: VocabularyInfo | None,
    failure: str | None,
) -> dict[str, Any]:
    """The model's numbers, if it can be run, and beside them what the file says."""
    said = contents.metadata
    return {
        **(asdict(model) if model else {"file_bytes": contents.file_bytes}),
        "format": contents.format,
        "parts": contents.parts,
        "alignment": contents.alignment,
        "keys": len(said),
        "architecture": model.architecture if model else said.get("general.architecture"),
        "name": said.get("general.name"),
        "file_type": _file_type(contents),
        "hyperparameters": {
            key: asdict(value) if isinstance(value, ArrayInfo) else value
            for key, value in contents.hyperparameters.items()
        },
        "tensors": {dtype: asdict(total) for dtype, total in contents.types.items()},
        "tokenizer": asdict(vocabulary) if vocabulary else None,
        "memory": {**asdict(memory), "fits": memory.fits} if memory else None,
        "error": failure,
    }


def _rows(
    contents: Contents,
    model: ModelInfo | None,
    memory: Plan | None,
    vocabulary: VocabularyInfo | None,
    failure: str | None,
) -> list[tuple[str, str]]:
    said = contents.metadata
    rows = [("file", plain(contents.path)), ("format", contents.format)]
    if said:
        parts = f", {contents.parts} parts" if contents.parts > 1 else ""
        aligned = f", {len(said)} keys, aligned to {contents.alignment} bytes" if contents.alignment else ""
        rows[1] = ("format", f"{contents.format}{aligned}{parts}")
    rows += [(name, plain(str(said[key]))) for name, key in _NAMED.items() if key in said]
    rows += [("file type", name) for name in (_file_type(contents),) if name]
    if model:
        rows += _model_rows(model)
    else:
        rows += [(plain(key), _shown(value)) for key, value in contents.hyperparameters.items()]
    rows.append(("size", f"{size(contents.file_bytes)}, {len(contents.tensors)} tensors"))
    for dtype, total in contents.types.items():
        many = "tensors" if total.tensors != 1 else "tensor"
        rows.append((f"  {dtype}", f"{total.tensors} {many}, {total.values:,} values, {size(total.bytes)}"))
    rows.append(("tokenizer", _shown_vocabulary(vocabulary) if vocabulary else "none"))
    if memory:
        parts = f"weights {size(memory.weights)}, KV cache {size(memory.kv)}, scratch {size(memory.scratch)}"
        rows.append(("memory", f"{size(memory.total)} ({parts}) of {size(memory.available)} that are free"))
    if failure:
        rows.append(("cannot run", plain(failure.removeprefix(f"{contents.path}: "))))
    return rows


_NAMED = {"architecture": "general.architecture", "name": "general.name"}


def _model_rows(model: ModelInfo) -> list[tuple[str, str]]:
    classifier = "the embedding" if model.shared_classifier else "its own"
    experts = f" by {model.n_experts_used} of {model.n_experts} experts" if model.n_experts else ""
    return [
        ("parameters", f"{model.parameters:,}"),
        ("layers", str(model.n_layers)),
        ("dim", f"{model.dim}, feed-forward {model.hidden_dim}{experts}"),
        ("heads", f"{model.n_heads} of width {model.head_dim}; {model.n_kv_heads} of keys and values"),
        ("vocabulary", f"{model.vocab_size:,}, classifier {classifier}"),
        ("context", f"{model.context:,} tokens; rotary scaling {model.rope_scaling}"),
        ("in memory", f"{model.dtype}, {size(model.weight_bytes)}"),
    ]


def _shown(value: MetadataValue) -> str:
    return f"{value.length:,} of {value.items}" if isinstance(value, ArrayInfo) else plain(str(value))


def _shown_vocabulary(vocabulary: VocabularyInfo) -> str:
    model = f"{vocabulary.model} ({vocabulary.pre})" if vocabulary.pre else vocabulary.model
    ids = [f"{name} {number}" for name, number in vocabulary.special.items()]
    template = ["with a chat template"] if vocabulary.chat_template else []
    return plain(", ".join([model, f"{vocabulary.vocab_size:,} tokens", *ids, *template]))
