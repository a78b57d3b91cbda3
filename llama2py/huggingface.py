"""Hugging Face folders: config.json, safetensors and a tokenizer, told to the core in GGUF's terms.

Nothing is converted here. Each tensor is found by its name, its shape is compared with what config.json says, and it is
handed over where it lies. A part of a model that is not known is refused by name; so is a tensor that is left over.
"""

from __future__ import annotations

import errno
import math
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from llama2py import _safetensors, _tokenizer_folder
from llama2py._core import Source, SourceValue, StrPath
from llama2py._json import read_object, short
from llama2py._safetensors import Tensor
from llama2py.errors import CheckpointError, FileError, FileMissingError, TokenizerError

__all__ = ["Folder", "is_folder", "open_folder", "open_tokenizer", "opened"]

_CONFIG = "config.json"
_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class _Family:
    """What the name of a model's type says.

    architecture: GGUF's name of it.
    pairs: whether GGUF wants neighbours as the pairs that are rotated, where these files have the halves of a head.
    """

    architecture: str
    pairs: bool = False
    qkv_biases: bool = False
    qk_norms: bool = False


_FAMILIES = {
    "llama": _Family("llama", pairs=True),
    "mistral": _Family("llama", pairs=True),
    "qwen2": _Family("qwen2", qkv_biases=True),
    "qwen3": _Family("qwen3", qk_norms=True),
}


@dataclass(frozen=True)
class Folder:
    """What a folder holds, checked and ready to be read.

    keys: GGUF's.
    tensors: by GGUF's names, each with the rows of a head whose halves are to become pairs, or 0.
    tokenizer: the file that it is in, if there is one that can be read.
    notes: what is there and is left aside, a line each.
    """

    path: str
    keys: dict[str, SourceValue]
    tensors: dict[str, tuple[Tensor, int]]
    tokenizer: str | None
    notes: list[str]

    @property
    def files(self) -> list[str]:
        """The files that tensors are in."""
        return list(dict.fromkeys(tensor.path for tensor, _ in self.tensors.values() if tensor.path))

    @property
    def bytes(self) -> int:
        """The size of these."""
        return sum(os.stat(file).st_size for file in self.files)

    @property
    def dtype(self) -> str:
        """The type of most of what matrices hold."""
        values: Counter[str] = Counter()
        for tensor, _ in self.tensors.values():
            if len(tensor.shape) > 1:
                values[tensor.dtype.lower()] += math.prod(tensor.shape)
        return values.most_common(1)[0][0]

    def source(self) -> Source:
        """The same for the core."""
        source = Source(self.path)
        for key, value in self.keys.items():
            source.put(key, value)
        for name, (tensor, split) in self.tensors.items():
            source.put_tensor(name, tensor.dtype, tensor.shape, tensor.data, split)
        return source


def is_folder(path: StrPath) -> bool:
    """Whether a checkpoint is a folder, and so for open_folder() to read."""
    return os.path.isdir(path)


def opened(path: StrPath) -> StrPath | Source:
    """What the core reads a checkpoint from: the path of a file, or what a folder holds."""
    return open_folder(path, tokenizer=False).source() if is_folder(path) else path


def open_tokenizer(path: StrPath, vocab_size: int | None = None) -> Source:
    """A folder's tokenizer alone, for the core. vocab_size: of its model, which else config.json says."""
    folder = os.fspath(path)
    config = _read_config(folder)
    found = _tokenizer_folder.read(folder, config.values, config.whole("vocab_size", vocab_size))
    if found is None:
        raise TokenizerError(f"{folder}: {_tokenizer_folder.MISSING}")
    source = Source(folder)
    for key, value in found.keys.items():
        source.put(key, value)
    return source


def _read_config(folder: str) -> _Config:
    file = os.path.join(folder, _CONFIG)
    if not os.path.exists(file):
        failure = FileError(f"{folder}: a directory without {_CONFIG}, expected a file or a Hugging Face folder")
        failure.errno, failure.filename = errno.EISDIR, folder
        raise failure
    return _Config(file, read_object(file))


def open_folder(path: StrPath, tokenizer: bool = True) -> Folder:
    """Reads what a folder says of its model and, if that is wanted, of its tokenizer, as a GGUF file can say it."""
    folder = os.fspath(path)
    config = _read_config(folder)
    model = _Model(config)
    keys: dict[str, SourceValue] = {"general.architecture": model.family.architecture}
    name = os.path.basename(os.path.abspath(folder))
    if name and name.isprintable():
        keys["general.name"] = name
    keys |= model.keys()
    tensors = model.choose(_read_tensors(folder))
    found = _tokenizer_folder.read(folder, config.values, model.vocab_size) if tokenizer else None
    if found is None:
        return Folder(folder, keys, tensors, None, [])
    return Folder(folder, keys | found.keys, tensors, found.path, found.written())


def _read_tensors(folder: str) -> dict[str, Tensor]:
    single, index = (os.path.join(folder, name) for name in (_WEIGHTS, _INDEX))
    if os.path.exists(single):
        return _safetensors.read(single)
    if os.path.exists(index):
        return _safetensors.read_parts(index)
    pickled = any(name.endswith((".bin", ".pt", ".pth")) for name in os.listdir(folder))
    instead = "; pickled weights are not read: save them with safe_serialization=True" if pickled else ""
    raise FileMissingError(f"{folder}: holds neither {_WEIGHTS} nor {_INDEX}{instead}")


class _Config:
    """The values of config.json. One that is null is not there."""

    def __init__(self, path: str, values: dict[str, Any]) -> None:
        self.path = path
        self.values = values

    def get(self, name: str) -> Any:
        return self.values.get(name)

    def wrong(self, name: str, expected: str) -> CheckpointError:
        return CheckpointError(f"{self.path}: {name} is {short(self.values.get(name))}, expected {expected}")

    def whole(self, name: str, usual: int | None = None) -> int:
        value = self.get(name)
        value = usual if value is None else value
        if type(value) is not int or not 1 <= value < 2**31:
            raise self.wrong(name, "a whole number from 1 to 2147483647")
        return value

    def real(self, name: str, usual: float) -> float:
        value = self.get(name)
        value = usual if value is None else value
        if type(value) not in (int, float) or not 0 <= value <= 3e38:
            raise self.wrong(name, "a number from 0 to 3e38")
        return float(value)

    def flag(self, name: str) -> bool:
        value = self.get(name)
        if value is not None and type(value) is not bool:
            raise self.wrong(name, "true or false")
        return bool(value)

    def part(self, name: str) -> _Config | None:
        """An object inside."""
        value = self.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.wrong(name, "an object")
        return _Config(f"{self.path}: {name}", value)


class _Model:
    """What config.json makes of the tensors."""

    def __init__(self, config: _Config) -> None:
        self.config = config
        kind = config.get("model_type")
        if not isinstance(kind, str) or kind not in _FAMILIES:
            raise config.wrong("model_type", f"one of {', '.join(_FAMILIES)}")
        self.family = _FAMILIES[kind]
        self.dim = config.whole("hidden_size")
        self.hidden = config.whole("intermediate_size")
        self.layers = config.whole("num_hidden_layers")
        self.heads = config.whole("num_attention_heads")
        self.kv_heads = config.whole("num_key_value_heads", self.heads)
        self.vocab_size = config.whole("vocab_size")
        self.head_dim = config.whole("head_dim", self.dim // self.heads)
        self.biases = config.flag("attention_bias") and kind != "mistral"
        self.tied = config.flag("tie_word_embeddings")
        if self.head_dim % 2:
            raise CheckpointError(f"{config.path}: heads of {self.head_dim}, expected an even number")
        self._check_plain()

    def _check_plain(self) -> None:
        """What would make of the same tensors another model."""
        config = self.config
        if config.get("hidden_act") not in (None, "silu"):
            raise config.wrong("hidden_act", "'silu'")
        if config.flag("mlp_bias"):
            raise config.wrong("mlp_bias", "false: biases of the feed-forward layer cannot be computed yet")
        if config.get("quantization_config") is not None:
            raise config.wrong("quantization_config", "none: take the folder that is not quantised")
        for said in (config, config.part("rope_parameters")):
            if said and said.real("partial_rotary_factor", 1) != 1:
                raise said.wrong("partial_rotary_factor", "1")
        kinds = config.get("layer_types")
        if kinds is not None and (not isinstance(kinds, list) or any(kind != "full_attention" for kind in kinds)):
            raise config.wrong("layer_types", "full_attention alone")

    def keys(self) -> dict[str, SourceValue]:
        """GGUF's keys of the model."""
        config = self.config
        own: dict[str, SourceValue] = {
            "context_length": config.whole("max_position_embeddings"),
            "embedding_length": self.dim,
            "block_count": self.layers,
            "feed_forward_length": self.hidden,
            "attention.head_count": self.heads,
            "attention.head_count_kv": self.kv_heads,
            "attention.layer_norm_rms_epsilon": config.real("rms_norm_eps", 1e-6),
            "rope.dimension_count": self.head_dim,
            "vocab_size": self.vocab_size,
        }
        if self.head_dim * self.heads != self.dim:
            own |= {"attention.key_length": self.head_dim, "attention.value_length": self.head_dim}
        if config.get("sliding_window") is not None and config.get("use_sliding_window") is not False:
            own["attention.sliding_window"] = config.whole("sliding_window")
        own |= self._rope_keys()
        return {f"{self.family.architecture}.{name}": value for name, value in own.items()}

    def _rope(self) -> tuple[_Config, str]:
        """What says how heads are rotated, and by what rule."""
        found = self.config.part("rope_parameters") or self.config.part("rope_scaling")
        if found is None:
            return self.config, "default"
        name = "rope_type" if found.get("rope_type") is not None else "type"
        kind = found.get(name) or "default"
        if kind not in ("default", "linear", "llama3"):
            raise found.wrong(name, "default, linear or llama3; others cannot be computed yet")
        return found, kind

    def _rope_keys(self) -> dict[str, SourceValue]:
        said, kind = self._rope()
        theta = said if said.get("rope_theta") is not None else self.config
        keys: dict[str, SourceValue] = {"rope.freq_base": theta.real("rope_theta", 10000)}
        if kind == "linear":
            keys |= {"rope.scaling.type": "linear", "rope.scaling.factor": said.real("factor", 0)}
        return keys

    def _rope_factors(self) -> Tensor | None:
        """What Llama 3's scaling divides frequencies by: long waves by the factor, short ones by 1."""
        said, kind = self._rope()
        if kind != "llama3":
            return None
        factor, low, high = (said.real(name, 0) for name in ("factor", "low_freq_factor", "high_freq_factor"))
        context = said.whole("original_max_position_embeddings")
        if factor < 1 or not low < high:
            raise CheckpointError(
                f"{said.path}: factor {factor}, from {low} to {high}; expected at least 1, and the second less"
            )
        theta = (said if said.get("rope_theta") is not None else self.config).real("rope_theta", 10000)
        turns = context * theta ** (-2 * np.arange(self.head_dim // 2) / self.head_dim) / (2 * np.pi)
        kept = np.clip((turns - low) / (high - low), 0, 1)
        factors = (1 / ((1 - kept) / factor + kept)).astype("<f4")
        return Tensor("", "rope factors", "F32", factors.shape, factors.view(np.uint8))

    def _expected(self) -> Iterator[tuple[str, str, tuple[int, ...], int]]:
        """Each tensor's name, GGUF's name for it, shape and split."""
        q, kv, split = self.heads * self.head_dim, self.kv_heads * self.head_dim, self.head_dim * self.family.pairs
        yield "model.embed_tokens.weight", "token_embd.weight", (self.vocab_size, self.dim), 0
        qkv = (("q", "q", q, split), ("k", "k", kv, split), ("v", "v", kv, 0))
        for i in range(self.layers):
            theirs, ours = f"model.layers.{i}.", f"blk.{i}."
            yield f"{theirs}input_layernorm.weight", f"{ours}attn_norm.weight", (self.dim,), 0
            for name, gguf, rows, by in qkv:
                yield f"{theirs}self_attn.{name}_proj.weight", f"{ours}attn_{gguf}.weight", (rows, self.dim), by
                if self.biases or self.family.qkv_biases:
                    yield f"{theirs}self_attn.{name}_proj.bias", f"{ours}attn_{gguf}.bias", (rows,), by
                if self.family.qk_norms and name != "v":
                    yield f"{theirs}self_attn.{name}_norm.weight", f"{ours}attn_{gguf}_norm.weight", (self.head_dim,), 0
            yield f"{theirs}self_attn.o_proj.weight", f"{ours}attn_output.weight", (self.dim, q), 0
            if self.biases and not self.family.qkv_biases:
                yield f"{theirs}self_attn.o_proj.bias", f"{ours}attn_output.bias", (self.dim,), 0
            yield f"{theirs}post_attention_layernorm.weight", f"{ours}ffn_norm.weight", (self.dim,), 0
            yield f"{theirs}mlp.gate_proj.weight", f"{ours}ffn_gate.weight", (self.hidden, self.dim), 0
            yield f"{theirs}mlp.up_proj.weight", f"{ours}ffn_up.weight", (self.hidden, self.dim), 0
            yield f"{theirs}mlp.down_proj.weight", f"{ours}ffn_down.weight", (self.dim, self.hidden), 0
        yield "model.norm.weight", "output_norm.weight", (self.dim,), 0
        if not self.tied:
            yield "lm_head.weight", "output.weight", (self.vocab_size, self.dim), 0

    def choose(self, found: dict[str, Tensor]) -> dict[str, tuple[Tensor, int]]:
        """The tensors by GGUF's names. All must be there as config.json says, and no others."""
        left = {name: tensor for name, tensor in found.items() if not name.endswith(".rotary_emb.inv_freq")}
        chosen: dict[str, tuple[Tensor, int]] = {}
        for name, gguf, shape, split in self._expected():
            tensor = left.pop(name, None)
            if tensor is None:
                raise CheckpointError(
                    f"{os.path.dirname(self.config.path)}: the tensor {name} is missing, "
                    f"expected {_shape(shape)} as {_CONFIG} says"
                )
            if tensor.shape != shape:
                raise CheckpointError(
                    f"{tensor.path}: the tensor {name} is {_shape(tensor.shape)}, "
                    f"expected {_shape(shape)} as {_CONFIG} says"
                )
            if tensor.dtype not in ("F32", "F16", "BF16"):
                raise CheckpointError(f"{tensor.path}: the tensor {name} is {tensor.dtype}, expected F32, F16 or BF16")
            chosen[gguf] = tensor, split
        self._drop_tied(left, chosen)
        for name, tensor in left.items():
            raise CheckpointError(
                f"{tensor.path}: the tensor {short(name)} is not one that a {self.config.get('model_type')} of "
                f"{self.layers} layers can be computed with yet"
            )
        factors = self._rope_factors()
        return chosen if factors is None else {**chosen, "rope_freqs.weight": (factors, 0)}

    def _drop_tied(self, left: dict[str, Tensor], chosen: dict[str, tuple[Tensor, int]]) -> None:
        """A classifier that is the embedding may be stored all the same."""
        again, (embedding, _) = left.get("lm_head.weight"), chosen["token_embd.weight"]
        if not self.tied or again is None:
            return
        if again.dtype != embedding.dtype or not np.array_equal(again.data, embedding.data):
            raise CheckpointError(
                f"{again.path}: the tensor lm_head.weight is not the embedding, "
                f"though {_CONFIG} says that they are tied"
            )
        del left["lm_head.weight"]


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) if len(shape) < 9 else f"of {len(shape)} dimensions"
