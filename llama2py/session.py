"""A text that grows in turns, and that can be saved, forked and cut."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from llama2py import _core
from llama2py._core import StrPath
from llama2py.errors import InvalidArgumentError
from llama2py.lora import Adapters
from llama2py.result import Result

if TYPE_CHECKING:
    from llama2py.llama import Llama

__all__ = ["Session"]

Prompt: TypeAlias = "str | bytes | bytearray | memoryview | Sequence[int]"


class Session:
    """What has been said so far, as tokens.

    Their keys and values are kept by the Llama while there is room, so that going on reads only what is new; what went
    is computed again, to the same bits. One thread at a time may call it.
    """

    def __init__(self, llama: Llama, tokens: Sequence[int], lora: Adapters = ()) -> None:
        """lora: the adapters that it is computed with, where a turn does not say others."""
        self._llama = llama
        self._lora = lora
        self._tokens = list(tokens)

    @property
    def tokens(self) -> list[int]:
        """All ids so far, as a copy."""
        return list(self._tokens)

    @property
    def text(self) -> str:
        """What they say."""
        return self._llama.detokenize(self._tokens)

    def __len__(self) -> int:
        return len(self._tokens)

    def generate(self, prompt: Prompt = "", max_tokens: int | None = None, **options: Any) -> Result:
        """Goes on with a prompt, if there is one, and what the model makes of it; takes Llama.generate()'s options.

        A text is encoded with <s> before it only where it is the first. After a failure the session is as before.
        """
        if isinstance(prompt, str | bytes | bytearray | memoryview):
            new = (
                self._llama.tokenize(prompt, None if not self._tokens else False) if prompt or not self._tokens else []
            )
        else:
            new = _core.token_ids(prompt)
        result = self._llama.generate(self._tokens + new, max_tokens, **{"lora": self._lora} | options)
        self._tokens += new + result.tokens
        return result

    def truncate(self, length: int) -> None:
        """Forgets all but the first `length` tokens."""
        if not 0 <= operator.index(length) <= len(self._tokens):
            raise InvalidArgumentError(f"cannot truncate to {length} tokens; expected 0 to {len(self._tokens)}")
        del self._tokens[length:]

    def fork(self) -> Session:
        """Another session that begins with all this one has."""
        return Session(self._llama, self._tokens, self._lora)

    def save(self, path: StrPath, replace: bool = False) -> int:
        """Writes it to a file, for Llama.load_session(); returns how many tokens' keys and values are in it.

        The file is for the same model and adapters, with the same kind of keys and values (kv=), on any machine.
        replace: whether a file of that name may be there.
        """
        engine, adapters = self._llama._computer(), self._llama._adapted(self._lora)
        return engine.call(lambda: engine.core.save(self._tokens, adapters, path, replace)) * _core.PAGE

    def __repr__(self) -> str:
        return f"Session({self._llama!r}, {len(self._tokens)} tokens)"
