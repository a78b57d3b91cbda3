"""The models that are benched: random weights of a trained model's scale, as GGUF files of each type.

A file is made once. The float16 one is written tensor by tensor, so that memory holds one of them; the others are
quantised from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

import llama2py
from bench.common import write_once

import checkpoints  # isort: skip

BOS, EOS = 1, 2
SPACE = "\u2581".encode()


@dataclass(frozen=True)
class Model:
    """A shape, and what is measured of it."""

    name: str
    shape: checkpoints.Shape
    types: tuple[str, ...]
    prompt: int
    decode: int
    deep: dict[str, int]  # types that are decoded at a depth too

    def file(self, folder: Path, kind: str) -> Path:
        """Where a type's file is."""
        return folder / f"{self.name}-{kind}.gguf"


MODELS = {
    "stories15M": Model(
        "stories15M",
        checkpoints.Shape(288, 768, n_layers=6, n_heads=6, n_kv_heads=6, vocab_size=32000, context=256),
        ("q8_0", "q4_0"),
        prompt=128,
        decode=200,
        deep={},
    ),
    "llama1B": Model(
        "llama1B",
        checkpoints.Shape(
            2048, 5632, n_layers=22, n_heads=32, n_kv_heads=4, vocab_size=32000, context=4096, shared=False
        ),
        ("f16", "q8_0", "q4_0", "q4_k_m"),
        prompt=512,
        decode=64,
        deep={"q8_0": 1800},
    ),
}


def make_file(model: Model, kind: str, folder: Path) -> Path:
    """The model's file of a type, quantised from its float16 one."""
    folder.mkdir(parents=True, exist_ok=True)
    path, floats = model.file(folder, kind), model.file(folder, "f16")
    if not path.exists():
        write_once(floats, lambda part: _write_f16(model, part))
        if kind != "f16":
            _quantize(floats, path, kind)
    return path


def _quantize(floats: Path, path: Path, kind: str) -> None:
    with tqdm(desc=f"quantising {path.name}", unit="B", unit_scale=True, disable=None) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        llama2py.quantize(floats, path, kind, progress=progress)


def _tensors(shape: checkpoints.Shape) -> Iterator[tuple[str, tuple[int, ...], float]]:
    """Each tensor's name, shape, and the scale of its products; a norm's is 0."""
    dim, hidden = shape.dim, shape.hidden_dim
    yield "token_embd.weight", (shape.vocab_size, dim), 2.0
    for layer in range(shape.n_layers):
        for name, dims, gain in (
            ("attn_norm", (dim,), 0.0),
            ("attn_q", (shape.q_dim, dim), 1.0),
            ("attn_k", (shape.kv_dim, dim), 1.0),
            ("attn_v", (shape.kv_dim, dim), 1.0),
            ("attn_output", (dim, shape.q_dim), 0.5),
            ("ffn_norm", (dim,), 0.0),
            ("ffn_gate", (hidden, dim), 1.0),
            ("ffn_up", (hidden, dim), 1.0),
            ("ffn_down", (dim, hidden), 0.5),
        ):
            yield f"blk.{layer}.{name}.weight", dims, gain
    yield "output_norm.weight", (dim,), 0.0
    if not shape.shared:
        yield "output.weight", (shape.vocab_size, dim), 2.0


def _write_f16(model: Model, path: Path) -> None:
    shape, tensors = model.shape, list(_tensors(model.shape))
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(f"{model.name}'s shape, random weights")
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.dim)
    writer.add_block_count(shape.n_layers)
    writer.add_feed_forward_length(shape.hidden_dim)
    writer.add_head_count(shape.n_heads)
    writer.add_head_count_kv(shape.n_kv_heads)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(shape.vocab_size)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    _add_tokenizer(writer, shape.vocab_size)
    for name, dims, gain in tensors:
        dtype = np.dtype(np.float16 if gain else np.float32)
        writer.add_tensor_info(name, dims, dtype, int(np.prod(dims)) * dtype.itemsize)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    rng = np.random.default_rng(15)
    classifier = "token_embd.weight" if shape.shared else "output.weight"
    for name, dims, gain in tqdm(tensors, desc=f"making {path.name}", unit="tensor", disable=None):
        writer.write_tensor_data(_draw(rng, dims, gain, name == classifier))
    writer.close()


def _draw(rng: np.random.Generator, dims: tuple[int, ...], gain: float, classifier: bool) -> npt.NDArray[Any]:
    values: npt.NDArray[np.float32] = rng.standard_normal(dims, dtype=np.float32)
    if not gain:
        norm: npt.NDArray[np.float32] = 1 + np.float32(0.2) * values
        return norm
    values *= np.float32(gain / np.sqrt(dims[-1]))
    if classifier:  # their logits near 0, far from the greatest, so that greedy decoding never ends a text
        values[[BOS, EOS]] *= np.float32(1e-3)
    return values.astype(np.float16)


def _add_tokenizer(writer: gguf.GGUFWriter, vocab_size: int) -> None:
    """SentencePiece's, made up."""
    tokens = checkpoints.made_up_tokens(vocab_size, seed=0)
    special, last_byte = [b"<unk>", b"<s>", b"</s>"], checkpoints.BYTE_TOKENS_END
    unknown, control, byte, normal = (
        gguf.TokenType.UNKNOWN,
        gguf.TokenType.CONTROL,
        gguf.TokenType.BYTE,
        gguf.TokenType.NORMAL,
    )
    writer.add_tokenizer_model("llama")
    writer.add_token_list([*special, *(piece.replace(b" ", SPACE) for _, piece in tokens[len(special) :])])
    writer.add_token_scores([score for score, _ in tokens])
    writer.add_token_types(
        [unknown, control, control] + [byte] * (last_byte - len(special)) + [normal] * (vocab_size - last_byte)
    )
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(BOS)
    writer.add_eos_token_id(EOS)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
