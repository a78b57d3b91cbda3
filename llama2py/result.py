"""What a generation gives: its chunks while it runs, its result when it has ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["Chunk", "FinishReason", "Result"]

FinishReason: TypeAlias = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True)
class Chunk:
    """A piece of a text that is being made. Its str() is the text.

    text: whole characters; empty while one is unfinished, or while it may become a stop string.
    token: the token that was drawn; None for an echoed prompt, and for text that was held back to the end.
    """

    text: str
    token: int | None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Result:
    """A finished generation. Its str() is the text.

    text: what was made, after the prompt if that was to be echoed, and up to the stop string if one came.
    tokens: the ids that were drawn.
    finish_reason: "stop" (the model ended the text, or a stop string came), "length" (max_tokens, or the context is
        full), "cancelled" (a stream was closed or interrupted).
    prompt_tokens: how many tokens the prompt had, <s> included.
    prompt_tps, decode_tps: tokens per second of the prompt, and of the tokens after the first; 0.0 if there are none.
    time_to_first_token: seconds of computing until the first token was drawn.
    peak_memory: the most memory that this process has used so far, in bytes.
    seed: give it again with the same prompt and settings, and the text is the same.
    """

    text: str
    tokens: list[int]
    finish_reason: FinishReason
    prompt_tokens: int
    prompt_tps: float
    decode_tps: float
    time_to_first_token: float
    peak_memory: int
    seed: int

    def __str__(self) -> str:
        return self.text
