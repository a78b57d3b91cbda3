"""SentencePiece's tokenizer.model: a ModelProto in protobuf's wire format, of which a tokenizer needs a few fields.

Refused is what the core would tokenise otherwise: models that are no merges by score, and rules that change a text
before it is cut into pieces.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from llama2py._core import SourceValue
from llama2py._files import read_bytes
from llama2py.errors import TokenizerError

__all__ = ["Kind", "Vocabulary", "keys", "padded", "read"]

_MOST = 256 * 2**20
_PADDING_MOST = 2**20
_MODELS = {1: "unigram", 2: "bpe", 3: "word", 4: "char"}


class Kind(IntEnum):
    """What a token is, as GGUF numbers it too."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER = 4
    UNUSED = 5
    BYTE = 6


# How protobuf writes a field's value; groups are not in use any more.
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class Vocabulary:
    """The pieces by their ids, and what is said about them. An id of -1 is none."""

    texts: list[bytes]
    scores: list[float]
    kinds: list[int]
    unknown: int
    bos: int
    eos: int
    pad: int
    add_space: bool


def read(path: str) -> Vocabulary:
    """The vocabulary in a file that the core can tokenise with."""
    texts: list[bytes] = []
    scores: list[float] = []
    kinds: list[int] = []
    trainer: dict[tuple[int, int], Any] = {}
    normalizer: dict[tuple[int, int], Any] = {}
    for number, wire, value in _fields(path, read_bytes(path, _MOST, TokenizerError)):
        if wire != _BYTES:
            continue
        if number == 1:
            piece = _message(path, value)
            texts.append(piece.get((1, _BYTES), b""))
            scores.append(struct.unpack("<f", piece.get((2, _FIXED32), bytes(4)))[0])
            kinds.append(_int32(piece.get((3, _VARINT), Kind.NORMAL)))
        elif number == 2:
            trainer |= _message(path, value)
        elif number == 3:
            normalizer |= _message(path, value)

    def setting(message: dict[tuple[int, int], Any], number: int, usual: int) -> int:
        return _int32(message.get((number, _VARINT), usual))

    model = setting(trainer, 3, 1)
    if not texts:
        raise TokenizerError(f"{path}: holds no pieces; it is damaged, or no SentencePiece model")
    if _MODELS.get(model) != "bpe":
        raise TokenizerError(f"{path}: a model of type {_MODELS.get(model, model)}, expected bpe")
    changes = {
        "normalisation of characters (train with normalization_rule_name=identity)": normalizer.get((2, _BYTES)),
        "the removal of extra spaces (train with remove_extra_whitespaces=false)": setting(normalizer, 4, 1),
        "spaces that are not escaped": not setting(normalizer, 5, 1),
        "spaces at the end of words": setting(trainer, 24, 0),
    }
    for what, asked in changes.items():
        if asked:
            raise TokenizerError(f"{path}: asks for {what}, which cannot be done yet")
    return Vocabulary(
        texts,
        scores,
        kinds,
        unknown=setting(trainer, 40, 0),
        bos=setting(trainer, 41, 1),
        eos=setting(trainer, 42, 2),
        pad=setting(trainer, 43, -1),
        add_space=bool(setting(normalizer, 3, 1)),
    )


def keys(path: str, vocab_size: int, notes: list[str]) -> dict[str, SourceValue]:
    """GGUF's keys of a file that the core can tokenise with, by what follows tokenizer.ggml."""
    v = read(path)
    fill = padded(path, v.texts, vocab_size, notes)
    ids = {"unknown": v.unknown, "bos": v.bos, "eos": v.eos, "padding": v.pad}
    return {
        "model": "llama",
        "tokens": v.texts + fill,
        "scores": np.array(v.scores + [0.0] * len(fill), np.float32),
        "token_type": np.array(v.kinds + [Kind.UNUSED] * len(fill), np.int32),
        "add_space_prefix": v.add_space,
        "add_bos_token": True,
        "add_eos_token": False,
        **{f"{name}_token_id": number for name, number in ids.items() if number >= 0},
    }


def padded(path: str, texts: list[bytes], vocab_size: int, notes: list[str]) -> list[bytes]:
    """The tokens that a model has beyond those of its tokenizer; 0: it may have any number."""
    missing = vocab_size - len(texts) if vocab_size else 0
    if missing < 0:
        raise TokenizerError(f"{path}: holds {len(texts)} pieces, but the model has {vocab_size}")
    if missing > _PADDING_MOST:
        raise TokenizerError(
            f"{path}: holds {len(texts)} pieces, but the model has {vocab_size}; expected at most {_PADDING_MOST} more"
        )
    if missing:
        notes.append(f"{path} holds {len(texts)} pieces and the model has {vocab_size}: the last {missing} stay unused")
    return [f"[PAD{len(texts) + i}]".encode() for i in range(missing)]


def _int32(value: int) -> int:
    """Negative numbers are written as those of 64 bits."""
    return (value + 2**31) % 2**32 - 2**31


def _message(path: str, data: bytes) -> dict[tuple[int, int], Any]:
    """The last value of each field, by its number and how it is written."""
    return {(number, wire): value for number, wire, value in _fields(path, data)}


def _fields(path: str, data: bytes) -> Iterator[tuple[int, int, Any]]:
    """Number, wire type and value of each field of a message."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while at < len(data) and shift < 64:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value % 2**64
            shift += 7
        raise TokenizerError(f"{path}: a number that does not end; it is damaged, or no SentencePiece model")

    while at < len(data):
        tag = varint()
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            yield number, wire, varint()
            continue
        if wire not in (_FIXED64, _BYTES, _FIXED32):
            raise TokenizerError(f"{path}: field {number} is of wire type {wire}, expected 0, 1, 2 or 5; "
                                 "it is damaged, or no SentencePiece model")  # fmt: skip
        size = varint() if wire == _BYTES else 8 if wire == _FIXED64 else 4
        if size > len(data) - at:
            raise TokenizerError(f"{path}: field {number} has {size} bytes, but {len(data) - at} are left; "
                                 "it is cut short, or no SentencePiece model")  # fmt: skip
        yield number, wire, data[at : at + size]
        at += size
