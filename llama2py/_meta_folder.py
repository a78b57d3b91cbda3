"""Meta's folders, params.json and consolidated.NN.pth, and llama2.c's ckpt.pt, which names and shapes tensors likewise.

A folder of several files is of a model that was cut for as many processors, by fairscale's parallel layers: wq, wk, wv,
w1, w3 and output by rows, wo and w2 by columns, and the embedding by columns in Llama 1 and 2 and by rows in Llama 3.
Norms are in each file alike, and the first one's are taken. The pieces are joined where they lie. Heads are rotated by
pairs of neighbours, as GGUF has it. rope.freqs is not needed.

What params.json does not say: Llama 3.1's scaling (use_scaled_rope) has the factor 8, or 32 where the classifier is the
embedding, as in the small models of Llama 3.2 (which Meta's reference overlooks; its makers say so in
meta-llama/llama-models). A context is max_seq_len if that is said, else 131072 with the scaling; else 8192 with
Llama 3's rope_theta, 500000, and 16384 with that of Code Llama, 1000000; else 2048 with Llama 1's norm_eps, 1e-6, or
4096 as in Llama 2.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from llama2py import _sentencepiece, _tiktoken, _torch
from llama2py._core import SourceValue
from llama2py._files import names_in
from llama2py._json import Settings, read_object, short
from llama2py._opened import Opened, Shape, name_keys
from llama2py._tensors import Placed, Tensor, check_float, llama3_factors, same_values, shape_text
from llama2py.errors import CheckpointError, FileMissingError, TokenizerError

__all__ = ["PARAMS", "folder_keys", "is_folder", "no_keys", "open_file", "open_folder", "tokenizer_keys"]

PARAMS = "params.json"
_SHARD = re.compile(r"consolidated\.(\d+)\.pth")
_TOKENIZER = "tokenizer.model"
_EMBEDDING, _CLASSIFIER = "tok_embeddings.weight", "output.weight"
_TABLES = ("rope.freqs", "freqs_cos", "freqs_sin")  # how names of what is computed here end

_SETTINGS = {"dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "multiple_of", "ffn_dim_multiplier", "norm_eps"}
_SETTINGS |= {"rope_theta", "use_scaled_rope", "head_dim", "hidden_dim", "max_seq_len", "max_batch_size", "dropout"}


def is_folder(path: str) -> bool:
    """Whether it is one, or was to be."""
    return os.path.lexists(os.path.join(path, PARAMS)) or os.path.lexists(os.path.join(path, "consolidated.00.pth"))


def open_folder(path: str, tokenizer: bool) -> Opened:
    """Reads what a folder says of its model and, unless another one is to be taken, of the tokenizer in it or above."""
    params = os.path.join(path, PARAMS)
    model = _Model(Settings(params, read_object(params)))
    return model.open(path, "Meta folder", _read_shards(path), _find_tokenizer(path) if tokenizer else None)


def open_file(path: str, tokenizer: bool) -> Opened:
    """Reads llama2.c's ckpt.pt. Its tokenizer lies beside it, for the core to find."""
    del tokenizer
    values = _torch.read(path)
    if not isinstance(values, dict) or not {"model", "model_args"} <= values.keys():
        raise CheckpointError(
            f"{path}: a file of torch's without model and model_args, as llama2.c's ckpt.pt has them; "
            "expected that, or the folder that the file lies in"
        )
    if not isinstance(values["model_args"], dict):
        raise CheckpointError(f"{path}: model_args is {short(values['model_args'])}, expected a dict")
    tensors: dict[str, Tensor] = {}
    for name, tensor in _torch.tensors_of(values["model"], path, "model").items():
        plain = name.removeprefix("_orig_mod.")  # which torch.compile() puts before names
        if plain in tensors:
            raise CheckpointError(f"{path}: the tensor {short(plain)} is there with and without _orig_mod.")
        tensors[plain] = tensor
    return _Model(Settings(f"{path}: model_args", values["model_args"])).open(path, "llama2.c ckpt.pt", [tensors], None)


def folder_keys(path: str, vocab_size: int, written: bool) -> dict[str, SourceValue]:
    """GGUF's keys of a folder's tokenizer. vocab_size: 0: that of the embedding in it."""
    del written
    tokenizer, params = _find_tokenizer(path), os.path.join(path, PARAMS)
    if tokenizer is None:
        raise TokenizerError(f"{path}: no {_TOKENIZER} in the folder or above it; name another tokenizer")
    later = Settings(params, read_object(params)).flag("use_scaled_rope")
    return tokenizer_keys(tokenizer, vocab_size or open_folder(path, tokenizer=False).vocab_size, [], later)


def no_keys(path: str, vocab_size: int, written: bool) -> dict[str, SourceValue]:
    """ckpt.pt has no tokenizer."""
    del vocab_size, written
    raise TokenizerError(f"{path}: the file has no tokenizer; name another one")


def _find_tokenizer(folder: str) -> str | None:
    """In the folder, or above it, as Meta's download lays it."""
    for place in (folder, os.path.join(folder, os.pardir)):
        file = os.path.join(place, _TOKENIZER)
        if os.path.lexists(file):
            return file
    return None


def tokenizer_keys(path: str, vocab_size: int, notes: list[str], later: bool) -> dict[str, SourceValue]:
    """GGUF's keys of a tokenizer.model. vocab_size: the model's, or 0. later: of Llama 3.1 and not of Llama 3."""
    if _tiktoken.is_tiktoken(path):
        keys = _tiktoken.keys(path, vocab_size, notes, later)
    else:
        keys = _sentencepiece.keys(path, vocab_size, notes)
    return {f"tokenizer.ggml.{name}": value for name, value in keys.items()}


def _read_shards(folder: str) -> list[dict[str, Tensor]]:
    """The tensors of each file, in order."""
    found = {name: int(match[1]) for name in names_in(folder) if (match := _SHARD.fullmatch(name))}
    if not found:
        raise FileMissingError(f"{folder}: holds {PARAMS}, but no consolidated.00.pth")
    names = sorted(found, key=lambda name: (found[name], name))
    for n, name in enumerate(names):
        if found[name] > n:
            raise FileMissingError(f"{folder}: holds {name}, but no consolidated.{n:02}.pth")
        if found[name] < n:
            raise CheckpointError(f"{folder}: holds {names[n - 1]} and {name}, which are of the same number")
    return [_torch.read_tensors(os.path.join(folder, name)) for name in names]


@dataclass(frozen=True)
class _Expected:
    """A tensor of a model. axis: along which it is cut; None: it is in each file."""

    name: str
    gguf: str
    shape: tuple[int, ...]
    axis: int | None = None


class _Model(Shape):
    """What params.json makes of the tensors."""

    def __init__(self, params: Settings) -> None:
        self.params = params
        for name in params.names():
            if name not in _SETTINGS:
                raise CheckpointError(
                    f"{params.path}: {short(name)} is {short(params.get(name))}, which is not known; "
                    f"expected some of {', '.join(sorted(_SETTINGS))}"
                )
        super().__init__(params, dim="dim", layers="n_layers", heads="n_heads", kv_heads="n_kv_heads")
        self.hidden = params.whole("hidden_dim", self._usual_hidden())
        self.epsilon = params.real("norm_eps", 1e-5)
        self.theta = params.real("rope_theta", 10000)
        self.scaled = params.flag("use_scaled_rope")

    def _usual_hidden(self) -> int:
        """Two thirds of four times the width, times a factor, up to a multiple."""
        params = self.params
        hidden = int(2 * (4 * self.dim) / 3)
        if params.get("ffn_dim_multiplier") is not None:
            hidden = int(min(params.real("ffn_dim_multiplier", 1) * hidden, 2**31))
        multiple = params.whole("multiple_of", 256)
        return (hidden + multiple - 1) // multiple * multiple

    def _context(self) -> int:
        usual = 4096 if self.epsilon > 1e-6 else 2048
        usual = {500000: 8192, 1000000: 16384}.get(int(self.theta), usual)
        return self.params.whole("max_seq_len", 131072 if self.scaled else usual)

    def open(self, path: str, kind: str, shards: list[dict[str, Tensor]], tokenizer: str | None) -> Opened:
        """All that a checkpoint is. path: what was named."""
        axis, vocab_size = self._embedding(shards)
        tensors = self._choose(shards, axis, vocab_size)
        tied = _CLASSIFIER not in shards[0] or same_values(tensors["output.weight"], tensors["token_embd.weight"])
        if tied:
            tensors.pop("output.weight", None)
        if self.scaled:
            factor = 32 if tied else 8
            tensors["rope_freqs.weight"] = llama3_factors(
                self.params.path, self.theta, self.head_dim, factor=factor, low=1, high=4, context=8192
            )
        keys = self.keys(hidden=self.hidden, vocab_size=vocab_size, context=self._context(), epsilon=self.epsilon)
        keys["rope.freq_base"] = self.theta
        whole = name_keys(path, "llama") | {f"llama.{name}": value for name, value in keys.items()}
        notes: list[str] = []
        if tokenizer is not None:
            whole |= tokenizer_keys(tokenizer, vocab_size, notes, self.scaled)
        return Opened(path, kind, vocab_size, whole, tensors, tokenizer, notes)

    def _embedding(self, shards: list[dict[str, Tensor]]) -> tuple[int, int]:
        """The axis along which it is cut, and the size of the vocabulary, which params.json may leave to it (-1)."""
        found = shards[0].get(_EMBEDDING)
        shape = found.shape if found is not None else ()
        axis = 1 if len(shape) == 2 and shape[1] != self.dim else 0
        if self.params.get("vocab_size") in (None, -1):
            rows = shape[0] if shape else 1
            return axis, rows * (len(shards) if axis == 0 else 1)
        return axis, self.params.whole("vocab_size")

    def _expected(self, axis: int, vocab_size: int, classifier: bool) -> Iterator[_Expected]:
        q, kv, dim, hidden = self.heads * self.head_dim, self.kv_heads * self.head_dim, self.dim, self.hidden
        yield _Expected(_EMBEDDING, "token_embd.weight", (vocab_size, dim), axis)
        for i in range(self.layers):
            theirs, ours = f"layers.{i}.", f"blk.{i}."
            yield _Expected(f"{theirs}attention_norm.weight", f"{ours}attn_norm.weight", (dim,))
            yield _Expected(f"{theirs}attention.wq.weight", f"{ours}attn_q.weight", (q, dim), 0)
            yield _Expected(f"{theirs}attention.wk.weight", f"{ours}attn_k.weight", (kv, dim), 0)
            yield _Expected(f"{theirs}attention.wv.weight", f"{ours}attn_v.weight", (kv, dim), 0)
            yield _Expected(f"{theirs}attention.wo.weight", f"{ours}attn_output.weight", (dim, q), 1)
            yield _Expected(f"{theirs}ffn_norm.weight", f"{ours}ffn_norm.weight", (dim,))
            yield _Expected(f"{theirs}feed_forward.w1.weight", f"{ours}ffn_gate.weight", (hidden, dim), 0)
            yield _Expected(f"{theirs}feed_forward.w3.weight", f"{ours}ffn_up.weight", (hidden, dim), 0)
            yield _Expected(f"{theirs}feed_forward.w2.weight", f"{ours}ffn_down.weight", (dim, hidden), 1)
        yield _Expected("norm.weight", "output_norm.weight", (dim,))
        if classifier:
            yield _Expected(_CLASSIFIER, "output.weight", (vocab_size, dim), 0)

    def _choose(self, shards: list[dict[str, Tensor]], axis: int, vocab_size: int) -> dict[str, Placed]:
        """The tensors by GGUF's names. All must be there as params.json says, in each file, and no others."""
        chosen: dict[str, Placed] = {}
        known: set[str] = set()
        for expected in self._expected(axis, vocab_size, _CLASSIFIER in shards[0]):
            known.add(expected.name)
            pieces = tuple(self._piece(shard, expected, shards) for shard in shards)
            kinds = dict.fromkeys(piece.dtype for piece in pieces)
            if len(kinds) > 1:
                raise CheckpointError(
                    f"{pieces[0].path}: the tensor {expected.name} is {pieces[0].dtype}, but in another file "
                    f"{next(piece.dtype for piece in pieces if piece.dtype != pieces[0].dtype)}; expected one type"
                )
            cut = expected.axis is not None
            chosen[expected.gguf] = Placed(pieces if cut else pieces[:1], axis=expected.axis or 0)
        for shard in shards:
            for name, tensor in shard.items():
                if name not in known and not name.endswith(_TABLES):
                    raise CheckpointError(
                        f"{tensor.path}: the tensor {short(name)} is not one that a Llama of {self.layers} layers "
                        "can be computed with yet"
                    )
        return chosen

    def _piece(self, shard: dict[str, Tensor], expected: _Expected, shards: list[dict[str, Tensor]]) -> Tensor:
        """What one file has of a tensor."""
        n, shape = len(shards), list(expected.shape)
        said = f"as {os.path.basename(self.params.path)} says"
        tensor = shard.get(expected.name)
        cut = "" if tensor is None else self._cut_in(tensor, expected, n)
        if expected.axis is not None:
            if shape[expected.axis] % n:
                raise CheckpointError(
                    f"{self.params.path}: the tensor {expected.name} is {shape_text(expected.shape)}, "
                    f"which {n} files cannot share{cut}"
                )
            shape[expected.axis] //= n
        if tensor is None:
            raise CheckpointError(
                f"{next((held.path for held in shard.values()), self.params.path)}: the tensor {expected.name} is "
                f"missing, expected {shape_text(tuple(shape))} {said}"
            )
        if tensor.shape != tuple(shape):
            parts = f" in each of {n} files" if n > 1 and expected.axis is not None else ""
            raise CheckpointError(
                f"{tensor.path}: the tensor {expected.name} is {shape_text(tensor.shape)}, "
                f"expected {shape_text(tuple(shape))}{parts} {said}{cut}"
            )
        check_float(tensor)
        return tensor

    @staticmethod
    def _cut_in(tensor: Tensor, expected: _Expected, n: int) -> str:
        """What explains a shape, of those that come first: other files are missing, or there are too many."""
        axis, shape, found = expected.axis, expected.shape, tensor.shape
        if axis is None or "feed_forward" in expected.name or len(found) != len(shape) or not found[axis]:
            return ""
        cut, rest = divmod(shape[axis], found[axis])
        explains = not rest and cut != n and (*found[:axis], shape[axis], *found[axis + 1 :]) == shape
        return f"; the model was cut in {cut}, and there {'is' if n == 1 else 'are'} {n}" if explains else ""
