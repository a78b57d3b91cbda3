"""Llama 3's tokenizer.model: lines of a token in base64 and its rank, as tiktoken has them. Words are cut, and special
tokens follow the ranks, as Meta's llama-models/models/llama3/tokenizer.py has it.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode

import numpy as np

from llama2py._core import SourceValue
from llama2py._files import first_bytes, read_bytes
from llama2py._json import short
from llama2py._sentencepiece import Kind, padded
from llama2py.errors import TokenizerError

__all__ = ["is_tiktoken", "keys"]

_MOST = 64 * 2**20
_LINE = re.compile(rb"([A-Za-z0-9+/]+={0,2}) (\d{1,9})\r?$")
_SPECIAL = 256

# What stands at which place behind the ranks; reserved_special_token_N has the others, in turn.
_ALWAYS = {0: "begin_of_text", 1: "end_of_text", 6: "start_header_id", 7: "end_header_id", 9: "eot_id"}
_LATER = {4: "finetune_right_pad_id", 5: "step_id", 8: "eom_id", 10: "python_tag", 11: "image"}  # from 3.1 on


def is_tiktoken(path: str) -> bool:
    """Whether a file begins as such a file does."""
    return _LINE.match(first_bytes(path, 1024).split(b"\n")[0]) is not None


def keys(path: str, vocab_size: int, notes: list[str], later: bool) -> dict[str, SourceValue]:
    """GGUF's keys of it, by what follows tokenizer.ggml. later: of Llama 3.1, and not of Llama 3."""
    tokens = _tokens(path)
    named = _ALWAYS | (_LATER if later else {})
    reserved = iter(range(_SPECIAL))
    special = [named.get(i) or f"reserved_special_token_{next(reserved)}" for i in range(_SPECIAL)]
    letters = _letters()
    texts = ["".join([letters[byte] for byte in token]).encode() for token in tokens]
    kinds = [Kind.NORMAL] * len(texts) + [Kind.CONTROL] * _SPECIAL
    texts += [f"<|{name}|>".encode() for name in special]
    fill = padded(path, texts, vocab_size, notes)
    return {
        "model": "gpt2",
        "pre": "llama-bpe",
        "tokens": texts + fill,
        "token_type": np.array(kinds + [Kind.UNUSED] * len(fill), np.int32),
        "merges": [left + b" " + right for left, right in _merges(tokens, texts)],
        "bos_token_id": len(tokens),
        "eos_token_id": len(tokens) + 1,
        "eot_token_id": len(tokens) + 9,
        **({"eom_token_id": len(tokens) + 8} if later else {}),
        "add_bos_token": True,
    }


def _tokens(path: str) -> list[bytes]:
    """By rank."""
    ranks: dict[int, bytes] = {}
    for number, line in enumerate(read_bytes(path, _MOST, TokenizerError).split(b"\n"), 1):
        if not line.strip():
            continue
        found = _LINE.match(line)
        try:
            token = b64decode(found[1], validate=True) if found else b""
        except binascii.Error:
            token = b""
        if found is None or not token:
            raise TokenizerError(f"{path}: line {number} is {short(line)}, expected a token in base64 and its rank")
        if ranks.setdefault(int(found[2]), token) is not token:
            raise TokenizerError(f"{path}: line {number} has the rank {int(found[2])}, which is there twice")
    tokens = [ranks[rank] for rank in sorted(ranks)]
    if tokens and max(ranks) != len(tokens) - 1:
        missing = next(rank for rank in range(len(tokens)) if rank not in ranks)
        raise TokenizerError(f"{path}: no token has the rank {missing}, expected one for each up to {max(ranks)}")
    lacking = {bytes([byte]) for byte in range(256)}.difference(tokens)
    if lacking:
        raise TokenizerError(f"{path}: {len(lacking)} single bytes are no tokens, as {min(lacking)!r}; it is cut short")
    places = {token: rank for rank, token in enumerate(tokens)}
    for rank, token in enumerate(tokens):
        if places[token] != rank:
            raise TokenizerError(f"{path}: the token {short(token)} has the ranks {rank} and {places[token]}")
    return tokens


def _letters() -> list[str]:
    """A character that can be seen for each byte, as GPT-2 has them."""
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in seen]
    return [chr(byte if byte in seen else 256 + hidden.index(byte)) for byte in range(256)]


def _merges(tokens: list[bytes], texts: list[bytes]) -> list[tuple[bytes, bytes]]:
    """Each two tokens that become one, by the rank of what they become, and then by their own."""
    ranks = {token: rank for rank, token in enumerate(tokens)}
    merges: list[tuple[bytes, bytes]] = []
    for token in tokens:
        halves = ((ranks.get(token[:i], -1), ranks.get(token[i:], -1)) for i in range(1, len(token)))
        merges += [(texts[left], texts[right]) for left, right in sorted(halves) if left >= 0 and right >= 0]
    return merges
