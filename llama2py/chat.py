"""A dialog in Llama 2's chat format, over one sequence that grows by a prompt and an answer a turn."""

from __future__ import annotations

from collections.abc import Iterator

from llama2py import _core
from llama2py.errors import ContextOverflowError
from llama2py.llama import Llama
from llama2py.lora import Adapters
from llama2py.stream import Request, Stream

__all__ = ["Chat"]


class Chat:
    """Draws the random numbers that llama2.c's chat draws, hence gives its answers.

    left: how many tokens the sequence may still take.
    prompt_tokens, prompt_seconds: what was read so far.
    draws, decode_seconds: what was drawn so far, after the first token of each answer.
    """

    def __init__(
        self,
        llama: Llama,
        temperature: float,
        top_p: float,
        seed: int,
        steps: int,
        lora: Adapters | None = None,
    ) -> None:
        """lora: as in Llama.generate()."""
        self._llama = llama
        self._adapters = llama._adapted(lora)
        self._said: list[int] = []
        self._sampling = _core.Sampling(temperature, top_p, seed)
        self._random = temperature > 0
        self._text = llama.tokenizer.text_stream()
        self._begun = False
        self.left = steps
        self.prompt_tokens = 0
        self.prompt_seconds = 0.0
        self.draws = 0
        self.decode_seconds = 0.0

    def answer(self, system: bytes, user: bytes) -> Iterator[str]:
        """The answer to what the user says, piece by piece. system: how to behave, said once, or empty."""
        tokens = self._read(system, user)
        if len(tokens) > self.left:
            message = f"the prompt has {len(tokens)} tokens, but -n leaves {self.left}; shorten it or raise -n"
            raise ContextOverflowError(message, len(tokens), self.left)
        return self._answer(tokens)

    def _answer(self, tokens: list[int]) -> Iterator[str]:
        # llama2.c draws a number for each token of a prompt as well.
        for _ in tokens[1:]:
            self._skip()
        for token in tokens:
            self._text.push(token)
        self.prompt_tokens += len(tokens)
        self.left -= len(tokens)
        self._said += tokens
        asked = _core.Asked(
            self._said, self.left + 1, self._sampling, self._llama.tokenizer.eos_ids, adapters=self._adapters
        )
        draws = 0
        with Stream(self._llama, Request(asked, 0, [], False, None)) as stream:
            for chunk in stream:
                assert chunk.token is not None
                draws += 1
                self._said.append(chunk.token)
                yield self._text.push(chunk.token)
            result = stream.wait()
        if result.finish_reason == "stop":
            draws += 1
            self.left -= draws - 1
        else:
            self.left = 0
        for _ in range(draws):
            self._skip()
        self.draws += max(0, len(result.tokens) - 1)
        if result.prompt_tps:
            self.prompt_seconds += (result.prompt_tokens - result.cached_tokens) / result.prompt_tps
        if result.decode_tps:
            self.decode_seconds += (len(result.tokens) - 1) / result.decode_tps
        yield self._text.end()

    def _skip(self) -> None:
        """Advances the random state as drawing a token does."""
        if self._random:
            self._sampling.skip()

    def _read(self, system: bytes, user: bytes) -> list[int]:
        tokenizer, context = self._llama.tokenizer, self._llama.context
        asked = b"<<SYS>>\n%b\n<</SYS>>\n\n%b" % (system, user) if system else user
        tokens = tokenizer.encode(b"[INST] %b [/INST]" % asked)
        if len(tokens) > context:
            message = f"the prompt has {len(tokens)} tokens, but the context holds {context}; shorten it"
            raise ContextOverflowError(message, len(tokens), context)
        # The token that ended the last answer was not computed.
        if self._begun:
            tokens.insert(0, tokenizer.eos_id)
        self._begun = True
        return tokens
