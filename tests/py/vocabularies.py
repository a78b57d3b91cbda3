"""Vocabularies of GGUF files, and the C tokenizers built from them: csrc/text compiled on its own, called by ctypes."""

from __future__ import annotations

import ctypes
import os
import struct
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CSRC = Path(__file__).resolve().parents[2] / "csrc"
SOURCES = (
    *sorted(CSRC.glob("text/*.c")),
    *(CSRC / "base" / f"{name}.c" for name in ("cgroup", "file", "file_out", "hash", "memory", "status")),
)
NONE = 0xFFFFFFFF
NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = range(1, 7)

# What the rules of words are, as expressions.
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
EXPRESSIONS = {
    "gpt-2": [GPT2],
    "llama-bpe": [LLAMA3],
    "llama3": [LLAMA3],
    "llama-v3": [LLAMA3],
    "qwen2": [LLAMA3.replace("{1,3}", "")],
    "smollm": [r"\p{N}", GPT2],
    "default": [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
}

# What tells them apart, in a text.
SNIPPETS = [
    *("'s", "'T", "'re", "'VE", "'m", "'ll", "'D", "'\u017f", "'", "''", "'r", "'l"),
    *(" ", "  ", "   ", "\t", "\n", "\r\n", "\n\n", " \n", "\n ", "\v", "\x1c", "\x85", "\xa0", "\u2003", "\u3000"),
    *("1", "12", "123", "1234", "\u00b2", "\u0663", "\u2167", "a", "the", " the", "Hello", " world"),
    *("\u2581", "_", "-", "...", "$", "+", "<=>", "`", "\u20ac", "\uff01", "\U0001f999", "\u200d"),
    *("\u00e9", "e\u0301", "\u4f60\u597d", "\x00"),
]  # fmt: skip

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9


def read_metadata(path: Path) -> dict[str, Any]:
    """The key-value pairs of a GGUF file, strings as bytes."""
    data, at = path.read_bytes(), 0

    def take(code: str, count: int = 1) -> tuple[Any, ...]:
        nonlocal at
        at += struct.calcsize(f"<{count}{code}")
        return struct.unpack_from(f"<{count}{code}", data, at - struct.calcsize(f"<{count}{code}"))

    def string() -> bytes:
        nonlocal at
        (length,) = take("Q")
        at += length
        return data[at - length : at]

    def value(kind: int) -> Any:
        if kind == STRING:
            return string()
        if kind == ARRAY:
            inner, count = *take("I"), *take("Q")
            return [string() for _ in range(count)] if inner == STRING else list(take(SCALARS[inner], count))
        return take(SCALARS[kind])[0]

    magic, _, _, n_pairs = take("I") + take("I") + take("Q") + take("Q")
    assert magic == 0x46554747, f"{path} is not a GGUF file"
    pairs = {}
    for _ in range(n_pairs):
        key = string().decode()
        pairs[key] = value(*take("I"))
    return pairs


@dataclass
class Vocabulary:
    """What csrc/text/vocabulary.h describes."""

    model: bytes
    texts: list[bytes]
    kinds: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    merges: list[bytes] = field(default_factory=list)
    pre: bytes = b""
    bos: int = NONE
    eos: int = NONE
    unknown: int = NONE
    add_bos: int = -1
    add_eos: int = -1
    add_space: int = -1
    plain: bool = False

    @classmethod
    def of(cls, path: Path) -> Vocabulary:
        """That of a GGUF file."""
        pairs = read_metadata(path)

        def get(key: str, default: Any) -> Any:
            return pairs.get(f"tokenizer.ggml.{key}", default)

        return cls(
            model=get("model", b""),
            texts=get("tokens", []),
            kinds=get("token_type", []),
            scores=get("scores", []),
            merges=get("merges", []),
            pre=get("pre", b""),
            bos=get("bos_token_id", NONE),
            eos=get("eos_token_id", NONE),
            unknown=get("unknown_token_id", NONE),
            add_bos=get("add_bos_token", -1),
            add_eos=get("add_eos_token", -1),
            add_space=get("add_space_prefix", -1),
        )


class _Span(ctypes.Structure):
    _fields_ = (("text", ctypes.c_char_p), ("length", ctypes.c_size_t))


class _Piece(ctypes.Structure):
    _fields_ = (("text", _Span), ("score", ctypes.c_float), ("kind", ctypes.c_int32))


class _Vocabulary(ctypes.Structure):
    _fields_ = (
        ("path", ctypes.c_char_p),
        ("model", _Span),
        ("pre", _Span),
        ("pieces", ctypes.POINTER(_Piece)),
        ("n_pieces", ctypes.c_uint64),
        ("added", ctypes.c_void_p),
        ("merges", ctypes.POINTER(_Span)),
        ("n_merges", ctypes.c_uint64),
        *((name, ctypes.c_uint32) for name in ("bos", "unknown")),
        ("eos", ctypes.c_uint32 * 64),
        ("n_eos", ctypes.c_int32),
        *((name, ctypes.c_int) for name in ("add_bos", "add_eos", "add_space", "whole_words", "space")),
        *((name, ctypes.c_bool) for name in ("ranked", "split_spaces", "each_unknown", "normal")),
        ("plain", ctypes.c_bool),
    )


class _Stream(ctypes.Structure):
    _fields_ = (("previous", ctypes.c_int32), ("n_pending", ctypes.c_int32), ("pending", ctypes.c_ubyte * 8))


class _Words(ctypes.Structure):
    _fields_ = (
        ("rule", ctypes.c_int),
        ("text", ctypes.c_char_p),
        *((name, ctypes.c_size_t) for name in ("at", "end", "segment")),
    )


class _Error(ctypes.Structure):
    _fields_ = (
        ("status", ctypes.c_int),
        ("required", ctypes.c_uint64),
        ("available", ctypes.c_uint64),
        ("system", ctypes.c_int32),
        ("message", ctypes.c_char * 1024),
    )


class TokenizerError(Exception):
    """A status other than 0, with its line."""


def build_library(folder: Path) -> ctypes.CDLL:
    """Compiles csrc/text with what it stands on."""
    library = folder / "libtext.so"
    command = [os.environ.get("CC", "cc"), "-std=c11", "-O2", "-fPIC", "-shared", f"-I{CSRC}", "-o", str(library)]
    subprocess.run([*command, *map(str, SOURCES)], check=True)
    loaded = ctypes.CDLL(str(library))
    loaded.llama2_last_error.restype = ctypes.POINTER(_Error)
    loaded.words_next.restype = ctypes.c_bool
    for name in ("stream_bound", "stream_push", "stream_end"):
        getattr(loaded, name).restype = ctypes.c_size_t
    return loaded


def words_of(library: ctypes.CDLL, rule: str, text: str) -> list[str]:
    """A text cut as a rule cuts it."""
    data = text.encode()
    w = _Words(library.words_named(rule.encode(), ctypes.c_size_t(len(rule))), data, 0, len(data), 0)
    words, begin = [], 0
    while library.words_next(ctypes.byref(w)):
        words.append(data[begin : w.at].decode())
        begin = w.at
    return words


def _span(text: bytes) -> _Span:
    return _Span(text, len(text))


class CTokenizer:
    """A tokenizer in C."""

    def __init__(self, library: ctypes.CDLL, v: Vocabulary) -> None:
        n = len(v.texts)
        scores, kinds = v.scores or [0.0] * n, v.kinds or [NORMAL] * n
        pieces = (_Piece * n)(*(_Piece(_span(t), s, k) for t, s, k in zip(v.texts, scores, kinds, strict=True)))
        merges = (_Span * len(v.merges))(*map(_span, v.merges))
        described = _Vocabulary(
            b"test", _span(v.model), _span(v.pre), pieces, n, None, merges, len(v.merges), v.bos, v.unknown,
            (v.eos,), int(v.eos != NONE), v.add_bos, v.add_eos, v.add_space, -1, 0, False, False, False, False, v.plain,
        )  # fmt: skip
        self._library = library
        self._handle = ctypes.c_void_p()
        self._check(library.tokenizer_build(ctypes.byref(described), ctypes.byref(self._handle)))

    def _check(self, status: int) -> None:
        if status:
            raise TokenizerError(self._library.llama2_last_error().contents.message.decode())

    def close(self) -> None:
        """Frees it."""
        self._library.tokenizer_free(self._handle)

    def encode(self, text: str, bos: bool = False, eos: bool = False, special: bool = False) -> list[int]:
        """The ids of a text."""
        data = text.encode()
        capacity = 2 * len(data) + 3
        tokens, n = (ctypes.c_int32 * capacity)(), ctypes.c_size_t()
        flags = [ctypes.c_bool(flag) for flag in (bos, eos, special)]
        room = ctypes.c_size_t(capacity)
        self._check(
            self._library.tokenizer_encode(
                self._handle, data, ctypes.c_size_t(len(data)), *flags, tokens, room, ctypes.byref(n)
            )
        )
        return tokens[: n.value]

    def stream(self, ids: Iterable[int]) -> list[str]:
        """The text that each token completes, and what is left at the end."""
        state, text = _Stream(), ctypes.create_string_buffer(self._library.stream_bound(self._handle))
        parts = []
        for token in ids:
            n = self._library.stream_push(ctypes.byref(state), self._handle, token, text)
            parts.append(text.raw[:n].decode())
        n = self._library.stream_end(ctypes.byref(state), text)
        return [*parts, text.raw[:n].decode()]


def seconds(call: Callable[[], object]) -> float:
    """Of this thread's own work: other programs do not count."""

    def once() -> float:
        start = time.thread_time()
        call()
        return time.thread_time() - start

    return min(once() for _ in range(3))
