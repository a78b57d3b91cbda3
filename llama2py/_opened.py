"""A checkpoint that was put together from files that are not the core's own."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from math import prod

from llama2py._core import Source, SourceValue
from llama2py._files import names_in
from llama2py._json import Settings
from llama2py._tensors import Placed
from llama2py.errors import CheckpointError

__all__ = ["Opened", "Shape", "name_keys"]


@dataclass(frozen=True)
class Opened:
    """What files hold, checked and ready to be read.

    path: what was named.
    keys: GGUF's. tensors: by GGUF's names.
    tokenizer: the file that it is in, if there is one that can be read.
    notes: what is there and is left aside, a line each.
    """

    path: str
    format: str
    vocab_size: int
    keys: dict[str, SourceValue]
    tensors: dict[str, Placed]
    tokenizer: str | None
    notes: list[str]

    @property
    def files(self) -> list[str]:
        """The files that tensors are in."""
        pieces = (piece for placed in self.tensors.values() for piece in placed.pieces)
        return list(dict.fromkeys(piece.path for piece in pieces if piece.path))

    @property
    def read(self) -> list[str]:
        """What must not be written to: those, the tokenizer, and all in a folder that is no GGUF file."""
        read = [*self.files, *([] if self.tokenizer is None else [self.tokenizer])]
        if os.path.isdir(self.path):
            read += [os.path.join(self.path, name) for name in names_in(self.path) if not name.endswith(".gguf")]
        return read

    @property
    def bytes(self) -> int:
        """The size of these."""
        return sum(os.stat(file).st_size for file in self.files)

    @property
    def dtype(self) -> str:
        """The type of most of what matrices hold."""
        values: Counter[str] = Counter()
        for placed in self.tensors.values():
            if len(placed.shape) > 1:
                values[placed.dtype.lower()] += prod(placed.shape)
        return values.most_common(1)[0][0]

    def source(self) -> Source:
        """The same for the core."""
        source = Source(self.path, format=self.format, file_bytes=self.bytes)
        for key, value in self.keys.items():
            source.put(key, value)
        for name, placed in self.tensors.items():
            data = [piece.data for piece in placed.pieces]
            if len(data) == 1:
                source.put_tensor(name, placed.dtype, placed.shape, data[0], placed.split)
            else:
                source.join_tensor(name, placed.dtype, placed.shape, data, placed.axis)
        return source


def name_keys(path: str, architecture: str) -> dict[str, SourceValue]:
    """GGUF's keys that say what it is, and what it is called: the last of its path, where that can be shown."""
    name = os.path.basename(os.path.abspath(path))
    named: dict[str, SourceValue] = {"general.name": name} if name and name.isprintable() else {}
    return {"general.architecture": architecture, **named}


class Shape:
    """The sizes that a file of settings says, as each of the formats calls them."""

    def __init__(self, said: Settings, *, dim: str, layers: str, heads: str, kv_heads: str) -> None:
        self.dim = said.whole(dim)
        self.layers = said.whole(layers)
        self.heads = said.whole(heads)
        self.kv_heads = said.whole(kv_heads, self.heads)
        self.head_dim = self.dim // self.heads if said.get("head_dim") is None else said.whole("head_dim")
        if self.head_dim < 2 or self.head_dim % 2:
            raise CheckpointError(f"{said.path}: heads of {self.head_dim}, expected an even number from 2 on")

    def keys(self, *, hidden: int, vocab_size: int, context: int, epsilon: float) -> dict[str, SourceValue]:
        """GGUF's keys of it, by what follows the architecture's name."""
        keys: dict[str, SourceValue] = {
            "context_length": context,
            "embedding_length": self.dim,
            "block_count": self.layers,
            "feed_forward_length": hidden,
            "attention.head_count": self.heads,
            "attention.head_count_kv": self.kv_heads,
            "attention.layer_norm_rms_epsilon": epsilon,
            "rope.dimension_count": self.head_dim,
            "vocab_size": vocab_size,
        }
        if self.head_dim * self.heads != self.dim:
            keys |= {"attention.key_length": self.head_dim, "attention.value_length": self.head_dim}
        return keys
