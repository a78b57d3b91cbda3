"""Text to token ids and back."""

from __future__ import annotations

import os
from collections.abc import Iterable

from llama2py import _core, sources
from llama2py._core import StrPath
from llama2py.errors import InvalidArgumentError, TextError

__all__ = ["Tokenizer"]


class Tokenizer:
    """The vocabulary of a llama2.c tokenizer.bin, a GGUF file, a folder of Hugging Face's or Meta's, or a
    tokenizer.model of SentencePiece or of Llama 3. Immutable, so any number of threads may share it.

    vocab_size: what the model has, if it is known; a file of another size is then refused, or a tokenizer.model filled
        up with tokens that are never used.
    """

    def __init__(self, path: StrPath, vocab_size: int | None = None) -> None:
        self.path = os.fspath(sources.located(path))
        self._core = _core.Tokenizer(sources.tokenizer_source(self.path, vocab_size or 0), vocab_size or 0)

    @classmethod
    def find(cls, checkpoint: StrPath, vocab_size: int) -> Tokenizer:
        """The tokenizer of `vocab_size` entries that is in a checkpoint, or beside it, or in the working directory."""
        checkpoint = sources.located(checkpoint)
        if os.path.isdir(checkpoint):
            return cls(checkpoint, vocab_size)
        return cls(_core.find_tokenizer(checkpoint, vocab_size), vocab_size)

    @property
    def vocab_size(self) -> int:
        """How many tokens there are."""
        return self._core.vocab_size

    @property
    def bos_id(self) -> int:
        """The token that begins a text, <s>."""
        return self._core.bos_id

    @property
    def eos_id(self) -> int:
        """The token that ends a text, </s>; -1 where the vocabulary has none."""
        return self._core.eos_id

    @property
    def eos_ids(self) -> tuple[int, ...]:
        """All tokens that end a text, `eos_id` first: a chat model has one for the end of a turn too."""
        return self._core.eos_ids

    def encode(
        self,
        text: str | bytes | bytearray | memoryview,
        bos: bool | None = None,
        eos: bool | None = None,
        special: bool = False,
    ) -> list[int]:
        """The ids of a text. Bytes are text in UTF-8.

        bos, eos: whether <s> goes before it and </s> after it; None does what the vocabulary is used to.
        special: whether control tokens that are written out in the text become tokens.
        """
        if not isinstance(text, str | bytes | bytearray | memoryview):
            raise InvalidArgumentError(f"the text is a {type(text).__name__}; expected str or bytes")
        try:
            data = text.encode("utf-8") if isinstance(text, str) else bytes(text)
        except UnicodeEncodeError as error:
            found = f"U+{ord(error.object[error.start]):04X}"
            raise TextError(f"character {error.start} of the text is {found}, half of a surrogate pair") from None
        return self._core.encode(data, bos, eos, special)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of these ids. <s> and </s> give none, and what is not UTF-8 becomes U+FFFD."""
        stream = self.text_stream()
        return "".join([stream.push(token) for token in _core.token_ids(ids)]) + stream.end()

    def text_stream(self) -> _core.TextStream:
        """A decoder of single tokens: `push(token)` gives the characters that it completes, `end()` the rest."""
        return _core.TextStream(self._core)

    def save(self, path: StrPath, force: bool = False) -> None:
        """Writes it as llama2.c's tokenizer.bin, which can say SentencePiece's BPE alone: TokenizerError for others.

        force: replace a file of that name.
        """
        self._core.write(path, force)

    def __repr__(self) -> str:
        return f"Tokenizer({self.path!r}, vocab_size={self.vocab_size})"
