"""A dialog in Llama 2's chat format, over one sequence that grows by a prompt and an answer a turn."""

from __future__ import annotations

import time
from collections.abc import Iterator

from llama2py import _core
from llama2py.errors import ContextOverflowError
from llama2py.llama import Llama

__all__ = ["Chat"]


class Chat:
    """Draws the random numbers that llama2.c's chat draws, hence gives its answers.

    left: how many tokens the sequence may still take.
    prompt_tokens, prompt_seconds: what was read so far.
    draws, decode_seconds: what was drawn so far, after the first token of each answer.
    """

    def __init__(self, llama: Llama, temperature: float, top_p: float, seed: int, steps: int) -> None:
        self._llama = llama
        self._session = llama._take_session()
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
            if self._random:
                self._sampling.skip()
        for token in tokens:
            self._text.push(token)
        with self._llama._computing(self._session):
            began = time.perf_counter()
            self._session.eval(tokens)
            self.prompt_seconds += time.perf_counter() - began
        self.prompt_tokens += len(tokens)
        self.left -= len(tokens)

        stops = self._llama.tokenizer.eos_ids
        for i in range(self.left + 1):
            with self._llama._computing(self._session):
                began = time.perf_counter()
                drawn, finish = self._session.generate(self._sampling, stops, 1)
                seconds = time.perf_counter() - began
            if i > 0:
                self.draws += 1
                self.decode_seconds += seconds
                self.left -= 1
            if finish == _core.FINISH_STOP:
                break
            yield from map(self._text.push, drawn)
        else:
            self.left = 0
        yield self._text.end()

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
