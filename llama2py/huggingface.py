"""Hugging Face folders: config.json, safetensors or torch files, and a tokenizer, told to the core in GGUF's terms.

Nothing is converted here. Each tensor is found by its name, its shape is compared with what config.json says, and it is
handed over where it lies. A part of a model that is not known is refused by name; so is a tensor that is left over.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from llama2py import _safetensors, _tokenizer_folder, _torch
from llama2py._core import SourceValue
from llama2py._files import names_in
from llama2py._json import Settings, read_object, short
from llama2py._opened import Opened, Shape, name_keys
from llama2py._tensors import (
    Placed,
    Tensor,
    check_float,
    cut,
    llama3_factors,
    rope_factors,
    same_values,
    shape_text,
    yarn_ramp,
)
from llama2py.errors import CheckpointError, FileMissingError, TokenizerError

__all__ = ["CONFIG", "is_folder", "open_folder", "tokenizer_keys"]

CONFIG = "config.json"

# Files of weights, the better ones first: of a name, or in parts that an index of that name lists; how each is read.
_WEIGHTS: tuple[tuple[str, Callable[[str], dict[str, Tensor]]], ...] = (
    ("model.safetensors", _safetensors.read),
    ("pytorch_model.bin", _torch.read_tensors),
)


@dataclass(frozen=True)
class _Family:
    """What the name of a model's type says.

    architecture: GGUF's name of it.
    pairs: whether GGUF wants neighbours as the pairs that are rotated, where these files have the halves of a head.
    windows: which layers attend in a sliding window where the configuration has one: "all", "asked" (those from
        max_window_layers on, if use_sliding_window says so) or "none", whatever it says, as transformers has it.
    biases: whether attention has biases where the configuration says so.
    window: of a configuration that does not mention any, not even as null; 0: none.
    experts: whether they stand in place of the feed-forward layer.
    theta: the base of rotary frequencies where the configuration has none.
    """

    architecture: str
    pairs: bool = False
    qkv_biases: bool = False
    qk_norms: bool = False
    windows: str = "asked"
    biases: bool = True
    window: int = 0
    experts: bool = False
    theta: float = 10000


_FAMILIES = {
    "llama": _Family("llama", pairs=True, windows="none"),
    "mistral": _Family("llama", pairs=True, windows="all", biases=False, window=4096),
    "mixtral": _Family("llama", pairs=True, windows="all", biases=False, experts=True, theta=1e6),
    "qwen2": _Family("qwen2", qkv_biases=True),
    "qwen3": _Family("qwen3", qk_norms=True),
}


ROPE_FACTOR_LEAST = 0.5  # that the core can divide frequencies by


@dataclass(frozen=True)
class _Yarn:
    """YaRN in GGUF's terms: keys, and tensors where there are no keys for it."""

    keys: dict[str, SourceValue]
    factors: dict[str, Placed]


def is_folder(path: str) -> bool:
    """Whether it is one."""
    return os.path.lexists(os.path.join(path, CONFIG))


def open_folder(path: str, tokenizer: bool) -> Opened:
    """Reads what a folder says of its model and, if that is wanted, of its tokenizer, as a GGUF file can say it."""
    config = _read_config(path)
    model = _Model(config)
    keys = name_keys(path, model.family.architecture) | model.model_keys()
    tensors = model.choose(_read_tensors(path, names_in(path)))
    found = _tokenizer_folder.read(path, config, model.vocab_size) if tokenizer else None
    if found is None:
        return Opened(path, "Hugging Face folder", model.vocab_size, keys, tensors, None, [])
    whole = keys | found.keys
    return Opened(path, "Hugging Face folder", model.vocab_size, whole, tensors, found.path, found.written())


def tokenizer_keys(path: str, vocab_size: int, written: bool) -> dict[str, SourceValue]:
    """A folder's tokenizer alone. vocab_size: of its model; 0: which config.json says. written: to a GGUF file."""
    config = _read_config(path)
    found = _tokenizer_folder.read(path, config, vocab_size or config.whole("vocab_size"))
    if found is None:
        raise TokenizerError(f"{path}: {_tokenizer_folder.MISSING}")
    if written:
        found.written()
    return found.keys


def _read_config(path: str) -> Settings:
    file = os.path.join(path, CONFIG)
    return Settings(file, read_object(file))


def _read_tensors(folder: str, names: list[str]) -> dict[str, Tensor]:
    for name, read in _WEIGHTS:
        if name in names:
            return read(os.path.join(folder, name))
        if f"{name}.index.json" in names:
            return _read_parts(os.path.join(folder, f"{name}.index.json"), os.path.splitext(name)[1], read)
    wanted = (f"{name} nor {name}.index.json" for name, _ in _WEIGHTS)
    raise FileMissingError(f"{folder}: holds neither {', nor '.join(wanted)}")


def _read_parts(index: str, ending: str, read: Callable[[str], dict[str, Tensor]]) -> dict[str, Tensor]:
    """The tensors of all files that an index names."""
    places = read_object(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise CheckpointError(f"{index}: no weight_map, expected an object that names each tensor's file")
    for name, file in places.items():
        if not isinstance(file, str) or not file.endswith(ending) or os.path.basename(file) != file or "\0" in file:
            raise CheckpointError(
                f"{index}: the tensor {short(name)} is in {short(file)}, expected the name of a {ending} file beside it"
            )
    tensors: dict[str, Tensor] = {}
    folder = os.path.dirname(index)
    there = set(names_in(folder or "."))
    files = list(dict.fromkeys(places.values()))
    for file in files:
        if file not in there:
            raise FileMissingError(f"{index}: names {short(file)[1:-1]}, which is not beside it")
    for file in files:
        path = os.path.join(folder, file)
        for name, tensor in read(path).items():
            if places.get(name) != file:
                raise CheckpointError(f"{path}: has the tensor {short(name)}, which is not there as the index says")
            tensors[name] = tensor
    for name, file in places.items():
        if name not in tensors:
            raise CheckpointError(f"{index}: the tensor {short(name)} is not in {file}")
    return tensors


class _Model(Shape):
    """What config.json makes of the tensors."""

    def __init__(self, config: Settings) -> None:
        self.config = config
        kind = config.get("model_type")
        if not isinstance(kind, str) or kind not in _FAMILIES:
            raise config.wrong("model_type", f"one of {', '.join(_FAMILIES)}")
        self.family = _FAMILIES[kind]
        super().__init__(
            config,
            dim="hidden_size",
            layers="num_hidden_layers",
            heads="num_attention_heads",
            kv_heads="num_key_value_heads",
        )
        self.hidden = config.whole("intermediate_size")
        self.vocab_size = config.whole("vocab_size")
        self.experts = config.whole("num_local_experts") if self.family.experts else 0
        self.biases = self.family.biases and config.flag("attention_bias")
        self.tied = config.flag("tie_word_embeddings")
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

    def model_keys(self) -> dict[str, SourceValue]:
        """GGUF's keys of the model."""
        config = self.config
        own = self.keys(
            hidden=self.hidden,
            vocab_size=self.vocab_size,
            context=config.whole("max_position_embeddings"),
            epsilon=config.real("rms_norm_eps", 1e-6),
        )
        if "sliding_window" not in config.values and self.family.window:
            own["attention.sliding_window"] = self.family.window
        if config.get("sliding_window") is not None and self._has_windows():
            own["attention.sliding_window"] = config.whole("sliding_window")
        if self.experts:
            own |= {"expert_count": self.experts, "expert_used_count": config.whole("num_experts_per_tok")}
        own |= self._rope_keys()
        return {f"{self.family.architecture}.{name}": value for name, value in own.items()}

    def _has_windows(self) -> bool:
        config, windows = self.config, self.family.windows
        if windows != "asked" or not config.flag("use_sliding_window"):
            return windows == "all"
        first = 0 if config.get("max_window_layers") == 0 else config.whole("max_window_layers", 28)
        return first < self.layers

    def _rope(self) -> tuple[Settings, str]:
        """What says how heads are rotated, and by what rule."""
        found = self.config.part("rope_parameters") or self.config.part("rope_scaling")
        if found is None:
            return self.config, "default"
        name = "rope_type" if found.get("rope_type") is not None else "type"
        kind = found.get(name)
        if kind is None and set(found.names()) <= {"rope_theta", "partial_rotary_factor"}:
            kind = "default"
        if kind not in ("default", "linear", "llama3", "yarn", "dynamic"):
            raise found.wrong(name, "default, linear, llama3, yarn or dynamic; others cannot be read yet")
        # Dynamic scaling begins beyond max_position_embeddings, which is the context here.
        return found, "default" if kind == "dynamic" else kind

    def _theta(self) -> float:
        said, _ = self._rope()
        return (said if said.get("rope_theta") is not None else self.config).real("rope_theta", self.family.theta)

    def _trained_context(self) -> int:
        """Tokens that the model was first trained for."""
        said, _ = self._rope()
        name = "original_max_position_embeddings"
        usual = self.config.whole("max_position_embeddings")
        return self.config.whole(name) if self.config.get(name) is not None else said.whole(name, usual)

    def _rope_keys(self) -> dict[str, SourceValue]:
        said, kind = self._rope()
        keys: dict[str, SourceValue] = {"rope.freq_base": self._theta()}
        if kind == "linear":
            keys |= {"rope.scaling.type": "linear", "rope.scaling.factor": said.real("factor", 0)}
        return keys | self._yarn().keys if kind == "yarn" else keys

    def _yarn(self) -> _Yarn:
        said, _ = self._rope()
        context = self._trained_context()
        factor = said.real("factor", self.config.whole("max_position_embeddings") / context)
        if factor < ROPE_FACTOR_LEAST:
            raise said.wrong("factor", f"at least {ROPE_FACTOR_LEAST}")
        fast, slow = said.real("beta_fast", 0) or 32.0, said.real("beta_slow", 0) or 1.0
        scales = [said.real(name, 0) for name in ("mscale", "mscale_all_dim")]
        log = 0.1 * math.log(factor) if factor > 1 else 0
        magnitude = (1 + scales[0] * log) / (1 + scales[1] * log) if all(scales) else 1 + log
        magnitude = said.real("attention_factor", magnitude)
        if not 1 / 1024 <= magnitude <= 1024:
            raise said.wrong("attention_factor", "a number from 1/1024 to 1024")
        whole = said.flag("truncate", usual=True)
        low, high = yarn_ramp(self._theta(), self.head_dim, context, fast, slow, whole)
        if whole and low <= high:
            own: dict[str, SourceValue] = {
                "rope.scaling.type": "yarn",
                "rope.scaling.factor": factor,
                "rope.scaling.original_context_length": context,
                "rope.scaling.yarn_beta_fast": fast,
                "rope.scaling.yarn_beta_slow": slow,
            }
            # What GGUF calls YaRN multiplies by 1 + log of itself.
            return _Yarn(own if magnitude == 1 + log else own | {"rope.scaling.attn_factor": magnitude / (1 + log)}, {})
        pairs = np.arange(self.head_dim // 2)
        ramp = np.clip((pairs - low) / (high - low if high != low else 0.001), 0, 1)
        factors = {"rope_freqs.weight": rope_factors(factor, 1 - ramp)}
        return _Yarn({"rope.scaling.type": "none", "rope.scaling.attn_factor": magnitude}, factors)

    def _rope_factors(self) -> dict[str, Placed]:
        said, kind = self._rope()
        if kind == "yarn":
            return self._yarn().factors
        if kind != "llama3":
            return {}
        factor, low, high = (said.real(name, 0) for name in ("factor", "low_freq_factor", "high_freq_factor"))
        context = self._trained_context()
        factors = llama3_factors(
            said.path, self._theta(), self.head_dim, factor=factor, low=low, high=high, context=context
        )
        return {"rope_freqs.weight": factors}

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
            if self.experts:
                continue
            yield f"{theirs}mlp.gate_proj.weight", f"{ours}ffn_gate.weight", (self.hidden, self.dim), 0
            yield f"{theirs}mlp.up_proj.weight", f"{ours}ffn_up.weight", (self.hidden, self.dim), 0
            yield f"{theirs}mlp.down_proj.weight", f"{ours}ffn_down.weight", (self.dim, self.hidden), 0
        yield "model.norm.weight", "output_norm.weight", (self.dim,), 0
        if not self.tied:
            yield "lm_head.weight", "output.weight", (self.vocab_size, self.dim), 0

    def choose(self, found: dict[str, Tensor]) -> dict[str, Placed]:
        """The tensors by GGUF's names. All must be there as config.json says, and no others."""
        left = {name: tensor for name, tensor in found.items() if not name.endswith(".rotary_emb.inv_freq")}
        chosen: dict[str, Placed] = {}
        for name, gguf, shape, split in self._expected():
            chosen[gguf] = Placed((self._take(left, name, shape),), split=split)
        for layer in range(self.layers if self.experts else 0):
            chosen |= self._experts_of(layer, left)
        self._drop_tied(left, chosen["token_embd.weight"])
        for name, tensor in left.items():
            raise CheckpointError(
                f"{tensor.path}: the tensor {short(name)} is not one that a {self.config.get('model_type')} of "
                f"{self.layers} layers can be computed with yet"
            )
        return chosen | self._rope_factors()

    def _take(self, left: dict[str, Tensor], name: str, shape: tuple[int, ...]) -> Tensor:
        """A tensor that must be there."""
        tensor = left.pop(name, None)
        if tensor is None:
            raise CheckpointError(
                f"{os.path.dirname(self.config.path)}: the tensor {name} is missing, "
                f"expected {shape_text(shape)} as {CONFIG} says"
            )
        if tensor.shape != shape:
            raise CheckpointError(
                f"{tensor.path}: the tensor {name} is {shape_text(tensor.shape)}, "
                f"expected {shape_text(shape)} as {CONFIG} says"
            )
        check_float(tensor)
        return tensor

    def _experts_of(self, layer: int, left: dict[str, Tensor]) -> dict[str, Placed]:
        """What chooses experts, and the three matrices of each: in a tensor each, or all experts' in one, where the
        first matrix and the third of each are one behind the other, as transformers has them in memory from 5 on.
        """
        theirs, ours = f"model.layers.{layer}.", f"blk.{layer}."
        n, up, down = self.experts, (self.hidden, self.dim), (self.dim, self.hidden)
        stacks: dict[str, list[Tensor]]
        if f"{theirs}mlp.experts.gate_up_proj" in left:
            router = self._take(left, f"{theirs}mlp.gate.weight", (n, self.dim))
            both = self._take(left, f"{theirs}mlp.experts.gate_up_proj", (n, 2 * self.hidden, self.dim))
            w2 = self._take(left, f"{theirs}mlp.experts.down_proj", (n, *down))
            stacks = {"gate": cut(both, up)[::2], "down": cut(w2, down), "up": cut(both, up)[1::2]}
        else:
            sparse = f"{theirs}block_sparse_moe."
            router = self._take(left, f"{sparse}gate.weight", (n, self.dim))
            stacks = {
                name: [self._take(left, f"{sparse}experts.{e}.{w}.weight", shape) for e in range(n)]
                for name, w, shape in (("gate", "w1", up), ("down", "w2", down), ("up", "w3", up))
            }
        for pieces in stacks.values():
            for piece in pieces:
                if piece.dtype != pieces[0].dtype:
                    raise CheckpointError(
                        f"{piece.path}: the tensor {piece.name} is {piece.dtype}, "
                        f"expected {pieces[0].dtype} as in the first expert"
                    )
        placed = {f"{ours}ffn_{name}_exps.weight": Placed(tuple(of), stacked=True) for name, of in stacks.items()}
        return {f"{ours}ffn_gate_inp.weight": Placed((router,)), **placed}

    def _drop_tied(self, left: dict[str, Tensor], embedding: Placed) -> None:
        """A classifier that is the embedding may be stored all the same."""
        again = left.get("lm_head.weight")
        if not self.tied or again is None:
            return
        if not same_values(Placed((again,)), embedding):
            raise CheckpointError(
                f"{again.path}: the tensor lm_head.weight is not the embedding, though {CONFIG} says that they are tied"
            )
        del left["lm_head.weight"]
