"""LoRA adapters: PEFT's folders (adapter_config.json and adapter_model.safetensors or .bin), told to the core in GGUF's
terms, and GGUF files of adapters, which the core opens itself.

Nothing is converted here. Each tensor is found by its name, its shape is compared with the model's, and it is handed
over where it lies. What would make of the same tensors another adapter is refused by name; so is a tensor that is left
over, and one that is missing.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from llama2py import _safetensors, _torch, sources
from llama2py._core import Source, StrPath
from llama2py._files import names_in
from llama2py._json import Settings, read_object, short
from llama2py._tensors import Tensor, check_float, same_numbers, shape_text
from llama2py.errors import CheckpointError, FileMissingError, InvalidArgumentError
from llama2py.info import ModelInfo

__all__ = ["Adapters", "Lora", "adapters_of", "open_adapter", "parse"]

Lora: TypeAlias = "StrPath | tuple[StrPath, float]"
Adapters: TypeAlias = "Lora | Sequence[Lora]"

CONFIG = "adapter_config.json"

# Files of tensors, the better one first, and how each is read.
_WEIGHTS: tuple[tuple[str, Callable[[str], dict[str, Tensor]]], ...] = (
    ("adapter_model.safetensors", _safetensors.read),
    ("adapter_model.bin", _torch.read_tensors),
)

# Keys of a configuration that say nothing of what is to be computed, or are asked for below. Any other that has a value
# is refused.
_KNOWN = {
    "alpha_pattern",
    "auto_mapping",
    "base_model_name_or_path",
    "bias",
    "corda_config",
    "ensure_weight_tying",
    "eva_config",
    "exclude_modules",
    "fan_in_fan_out",
    "inference_mode",
    "init_lora_weights",
    "layers_pattern",
    "layers_to_transform",
    "loftq_config",
    "lora_alpha",
    "lora_bias",
    "lora_dropout",
    "lora_ga_config",
    "megatron_config",
    "megatron_core",
    "modules_to_save",
    "peft_type",
    "peft_version",
    "qalora_group_size",
    "r",
    "rank_pattern",
    "revision",
    "runtime_config",
    "target_modules",
    "task_type",
    "use_dora",
    "use_qalora",
    "use_rslora",
}
_OFF = (
    ("use_dora", "DoRA"),
    ("lora_bias", "biases of an adapter"),
    ("fan_in_fan_out", "weights that lie the other way round"),
    ("use_qalora", "QALoRA"),
    ("ensure_weight_tying", "an embedding that is adapted"),
)
_STARTS = (True, False, "gaussian", "eva", "orthogonal")  # those that leave the model's own weights as they are

# The matrices that may be adapted: how PEFT names one within a layer, and GGUF's name of it.
_LAYER = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_HEAD = "lm_head"
_TARGETS = {name.rpartition(".")[2] for name in _LAYER} | {_HEAD}
_BEFORE = "base_model.model."
_HALVES = (".lora_A.weight", ".lora_B.weight")

_COPIES = {"lm_head.weight": "output.weight", "model.embed_tokens.weight": "token_embd.weight"}

_PATTERN_MOST = 256
_REPEATS_MOST = 3


def parse(text: str) -> Lora:
    """What the command line says: DIR, or DIR:SCALE, unless there is something of that name."""
    path, colon, scale = text.rpartition(":")
    if not (colon and path) or os.path.lexists(text):
        return text
    try:
        return path, float(scale)
    except ValueError:
        return text


def adapters_of(said: Adapters | None) -> tuple[tuple[str, float], ...]:
    """Paths and scales: of one adapter, or of several in their order."""
    if said is None:
        return ()
    scaled = isinstance(said, tuple) and len(said) == 2 and isinstance(said[1], int | float)
    several = isinstance(said, Sequence) and not isinstance(said, str | bytes) and not scaled
    items: Iterable[Any] = said if several else [said]  # type: ignore[assignment]
    return tuple(_item(item) for item in items)


def _item(item: Any) -> tuple[str, float]:
    path, scale = item if isinstance(item, tuple) and len(item) == 2 else (item, 1.0)
    if not isinstance(path, str | os.PathLike) or not isinstance(scale, int | float):
        raise InvalidArgumentError(f"lora has {short(item)}; expected a path, or a path and a scale")
    if not abs(scale) <= 3e38:
        raise InvalidArgumentError(f"{os.fspath(path)}: its scale is {scale}, expected a finite number")
    return os.fspath(path), float(scale)


def open_adapter(path: str, model: ModelInfo, base: StrPath) -> StrPath | Source:
    """What the core reads an adapter from: the path of a file, or what was put together. base: where the model is."""
    if not os.path.isdir(path):
        return path
    names = names_in(path)
    if CONFIG not in names:
        raise FileMissingError(f"{path}: a folder without {CONFIG}, expected one of PEFT's or a GGUF file")
    for name, read in _WEIGHTS:
        if name in names:
            said = _Said(path, model, base)
            return said.source(read(os.path.join(path, name)), os.path.join(path, name))
    raise FileMissingError(f"{path}: holds neither {' nor '.join(name for name, _ in _WEIGHTS)}")


def _copied(name: str) -> str:
    """GGUF's name of the model's tensor that PEFT saves under such a name; empty: it is another."""
    return _COPIES.get(name.removeprefix(_BEFORE).replace(".base_layer.", "."), "")


@dataclass(frozen=True)
class _Matrix:
    """One that an adapter adds to: PEFT's name, and GGUF's without its ending."""

    name: str
    gguf: str


class _Said:
    """What adapter_config.json says."""

    def __init__(self, path: str, model: ModelInfo, base: StrPath) -> None:
        self.path = path
        self.model = model
        self.base = base
        self.config = config = Settings(os.path.join(path, CONFIG), read_object(os.path.join(path, CONFIG)))
        if config.get("peft_type") != "LORA":
            raise config.wrong("peft_type", "'LORA', the only kind that can be computed")
        for name, what in _OFF:
            if config.flag(name):
                raise config.wrong(name, f"false: {what} cannot be computed yet")
        if config.get("bias") not in (None, "none"):
            raise config.wrong("bias", "'none': biases that were trained cannot be computed yet")
        if config.get("modules_to_save"):
            raise config.wrong("modules_to_save", "none: whole modules that were trained cannot be computed yet")
        if config.get("init_lora_weights") not in (None, *_STARTS):
            raise config.wrong("init_lora_weights", "one that leaves the model's own weights as they are; convert it")
        for name in config.names():
            if name not in _KNOWN and config.get(name) not in (False, [], {}):
                raise config.wrong(name, "nothing: what it asks for is not known here")
        self.rank = config.whole("r", 8)
        self.alpha = config.real("lora_alpha", 8)
        self.rooted = config.flag("use_rslora")
        self._ranks, self._alphas = self._patterns("rank_pattern"), self._patterns("alpha_pattern")
        self.layers = self._layers()
        self._check_targets()

    def _patterns(self, name: str) -> list[tuple[re.Pattern[str], float]]:
        """Which matrices are named, and the number that they have. The expressions are a file's that is not trusted, so
        they must be short, and no part that repeats may be repeated.
        """
        said = self.config.part(name)
        found: list[tuple[re.Pattern[str], float]] = []
        for text in [] if said is None else said.names():
            expected = "a name, or a plain expression for names"
            assert said is not None
            if len(text) > _PATTERN_MOST or re.search(r"\)[*+?{]|\\\d|\(\?", text):
                raise CheckpointError(f"{self.config.path}: {name} has {short(text)}, expected {expected}")
            if len(re.findall(r"[*+{]", text)) > _REPEATS_MOST:
                raise CheckpointError(f"{self.config.path}: {name} has {short(text)}, expected {expected}")
            try:
                found.append((re.compile(rf"(.*\.)?({text})$"), said.real(text, 0)))
            except (re.error, RecursionError, OverflowError):
                raise CheckpointError(f"{self.config.path}: {name} has {short(text)}, expected {expected}") from None
        return found

    def _layers(self) -> set[int]:
        """Those that may be adapted."""
        said = self.config.get("layers_to_transform")
        layers = range(self.model.n_layers) if said in (None, []) else [said] if type(said) is int else said
        if not isinstance(layers, range | list) or any(
            type(layer) is not int or not 0 <= layer < self.model.n_layers for layer in layers
        ):
            raise self.config.wrong("layers_to_transform", f"numbers from 0 to {self.model.n_layers - 1}")
        return set(layers)

    def _check_targets(self) -> None:
        """Names of modules that the model has; an expression, or all-linear, says nothing that tensors do not."""
        said = self.config.get("target_modules")
        if said is None or isinstance(said, str):
            return
        if not isinstance(said, list) or not all(isinstance(name, str) for name in said):
            raise self.config.wrong("target_modules", "a list of names, or an expression")
        for name in said:
            if name.rpartition(".")[2] not in _TARGETS:
                raise CheckpointError(
                    f"{self.config.path}: target_modules names {short(name)}, which cannot be adapted; "
                    f"what can: {', '.join(sorted(_TARGETS))}"
                )

    def _number(self, patterns: list[tuple[re.Pattern[str], float]], name: str, usual: float) -> float:
        return next((number for pattern, number in patterns if pattern.match(name)), usual)

    def _matrix(self, tensor: Tensor, ending: str) -> _Matrix:
        """The one that a tensor is of."""
        name = tensor.name[len(_BEFORE) : -len(ending)]
        if name == _HEAD:
            return _Matrix(name, "output")
        found = re.fullmatch(r"model\.layers\.(0|[1-9][0-9]{0,8})\.(.+)", name)
        if not found or found[2] not in _LAYER:
            raise CheckpointError(
                f"{tensor.path}: the tensor {short(tensor.name)} adds to what cannot be adapted; "
                f"what can: {', '.join(sorted(_TARGETS))}"
            )
        layer = int(found[1])
        if layer not in self.layers:
            allowed = "as layers_to_transform says" if self.config.get("layers_to_transform") is not None else "there"
            raise CheckpointError(
                f"{tensor.path}: the tensor {tensor.name} is of layer {layer}, which is not {allowed}; "
                f"the model has {self.model.n_layers}"
            )
        return _Matrix(name, f"blk.{layer}.{_LAYER[found[2]]}")

    def _without_copies(self, found: dict[str, Tensor]) -> dict[str, Tensor]:
        """PEFT puts the model's own embedding or classifier beside an adapter of these, trained or not."""
        copies = {name: tensor for name, tensor in found.items() if _copied(name)}
        if not copies:
            return found
        opened = sources.open_checkpoint(self.base, tokenizer=False)
        for name, tensor in copies.items():
            own = None
            if opened is not None:
                own = opened.tensors.get(_copied(name), opened.tensors["token_embd.weight"])
            if own is None or len(own.pieces) != 1 or not same_numbers(tensor, own.pieces[0]):
                raise CheckpointError(
                    f"{tensor.path}: the tensor {name} is not known to be the model's own, which {self.base} holds; "
                    "save the adapter with save_embedding_layers=False"
                )
        return {name: tensor for name, tensor in found.items() if name not in copies}

    def _pairs(self, found: dict[str, Tensor], file: str) -> dict[_Matrix, tuple[Tensor, Tensor]]:
        halves: list[dict[_Matrix, Tensor]] = [{}, {}]
        for name, tensor in found.items():
            ending = next((half for half in _HALVES if name.endswith(half)), None)
            if ending is None or not name.startswith(_BEFORE):
                raise CheckpointError(
                    f"{file}: the tensor {short(name)} is not one that can be computed with, "
                    f"expected {_BEFORE}NAME{_HALVES[0]} and {_HALVES[1]}"
                )
            halves[_HALVES.index(ending)][self._matrix(tensor, ending)] = tensor
        for half, other, missing in ((halves[0], halves[1], _HALVES[1]), (halves[1], halves[0], _HALVES[0])):
            for matrix, tensor in half.items():
                if matrix not in other:
                    raise CheckpointError(f"{file}: {tensor.name} has no {_BEFORE}{matrix.name}{missing} beside it")
        if not found:
            raise CheckpointError(f"{file}: holds no tensors, expected an adapter's")
        return {matrix: (tensor, halves[1][matrix]) for matrix, tensor in halves[0].items()}

    def _check_whole(self, pairs: dict[_Matrix, tuple[Tensor, Tensor]], file: str) -> None:
        """Where plain names say what is adapted, all of it must be there."""
        said = self.config.get("target_modules")
        if not isinstance(said, list) or self.config.get("exclude_modules"):
            return
        if any(name not in _TARGETS for name in said):
            return
        names = {matrix.name for matrix in pairs}
        wanted = [f"model.layers.{i}.{name}" for i in sorted(self.layers) for name in _LAYER]
        for name in [*wanted, _HEAD]:
            if name.rpartition(".")[2] in said and name not in names:
                raise CheckpointError(
                    f"{file}: the tensor {_BEFORE}{name}{_HALVES[0]} is missing, which is to be there by {CONFIG}, "
                    f"for a model of {self.model.n_layers} layers"
                )

    def _shape(self, matrix: _Matrix) -> tuple[int, int]:
        """Rows and columns of the model's matrix."""
        m = self.model
        q, kv = m.n_heads * m.head_dim, m.n_kv_heads * m.head_dim
        shapes = {
            "attn_q": (q, m.dim),
            "attn_k": (kv, m.dim),
            "attn_v": (kv, m.dim),
            "attn_output": (m.dim, q),
            "ffn_gate": (m.hidden_dim, m.dim),
            "ffn_up": (m.hidden_dim, m.dim),
            "ffn_down": (m.dim, m.hidden_dim),
            "output": (m.vocab_size, m.dim),
        }
        return shapes[matrix.gguf.rpartition(".")[2]]

    def source(self, found: dict[str, Tensor], file: str) -> Source:
        """What the tensors are with this configuration, for the core."""
        pairs = self._pairs(self._without_copies(found), file)
        self._check_whole(pairs, file)
        source = Source(self.path)
        source.put("general.type", "adapter")
        source.put("general.architecture", self.model.architecture)
        source.put("adapter.type", "lora")
        source.put("llama2py.lora.halves", True)
        for matrix, (a, b) in pairs.items():
            rank = int(self._number(self._ranks, matrix.name, self.rank))
            alpha = self._number(self._alphas, matrix.name, self.alpha)
            rows, cols = self._shape(matrix)
            for tensor, shape in ((a, (rank, cols)), (b, (rows, rank))):
                check_float(tensor)
                if tensor.shape != shape:
                    raise CheckpointError(
                        f"{tensor.path}: the tensor {tensor.name} is {shape_text(tensor.shape)}, expected "
                        f"{shape_text(shape)} for this model and the rank {rank} that {CONFIG} says"
                    )
            name = f"{matrix.gguf}.weight"
            source.put(f"llama2py.lora.scale.{name}", alpha / (math.sqrt(rank) if self.rooted else rank))
            source.put_tensor(f"{name}.lora_a", a.dtype, a.shape, a.data)
            source.put_tensor(f"{name}.lora_b", b.dtype, b.shape, b.data)
        return source
