"""What a generation gives: its chunks while it runs, its result when it has ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["Chunk", "FinishReason", "Result", "Top"]

Top: TypeAlias = "tuple[tuple[int, float], ...]"

FinishReason: TypeAlias = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True)
class Chunk:
    """A piece of a text that is being made. Its str() is the text.

    text: whole characters; empty while one is unfinished, or while it may become a stop string.
    token: the token that was drawn; None for an echoed prompt, and for text that was held back to the end.
    logprob: the natural logarithm of the token's probability; None unless logprobs were asked for.
    top: the likeliest tokens and theirs, the likeliest first; None unless some were asked for.
    """

    text: str
    token: int | None
    logprob: float | None = None
    top: Top | None = None

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
    prompt_tps, decode_tps: tokens per second of what was computed of the prompt, and of the tokens after the first,
        beside whatever else was computed; 0.0 if there are none.
    time_to_first_token: seconds from the call until the first token was drawn.
    peak_memory: the most memory that this process has used so far, in bytes.
    seed: give it again with the same prompt and settings, and the text is the same.
    cached_tokens: how many of the prompt's tokens were found and not computed.
    drafted, accepted: how many tokens were guessed ahead, and how many of them were right.
    logprobs: the natural logarithm of each drawn token's probability; None unless they were asked for.
    top_logprobs: for each drawn token the likeliest and theirs; None unless some were asked for.
    prompt_logprobs, prompt_top_logprobs: the same for the prompt's tokens, the first of which has None; None
        unless they were asked for together with echo.
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
    cached_tokens: int = 0
    drafted: int = 0
    accepted: int = 0
    logprobs: list[float] | None = None
    top_logprobs: list[Top] | None = None
    prompt_logprobs: list[float | None] | None = None
    prompt_top_logprobs: list[Top | None] | None = None

    def __str__(self) -> str:
        return self.text
