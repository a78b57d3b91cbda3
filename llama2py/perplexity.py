"""How well a model foretells a text."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from llama2py.errors import InvalidArgumentError
from llama2py.llama import Llama

__all__ = ["DEFAULT_CONTEXT", "Perplexity", "perplexity"]

DEFAULT_CONTEXT = 2048  # where the model's own is longer


@dataclass(frozen=True)
class Perplexity:
    """exp(nll), where nll is the mean of -ln p over the tokens that were scored.

    error: the standard error of perplexity, which is that of nll times perplexity; NaN for a single token. It takes
        tokens for independent.
    tokens: how many were scored. context, stride: of the windows.
    """

    perplexity: float
    error: float
    nll: float
    tokens: int
    context: int
    stride: int


def perplexity(
    llama: Llama,
    text: str | bytes | Sequence[int],
    *,
    context: int | None = None,
    stride: int | None = None,
    limit: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Perplexity:
    """Scores a text in windows of `context` tokens, each `stride` tokens after the one before.

    A window scores the tokens that the windows before it have not; the rest of it is what they follow. The first token
    of a window is never scored. This is how transformers' documentation does it; a stride of half the context costs
    twice a single pass. The text is encoded as the vocabulary is used to, with <s> before it where that is so; token
    ids are taken as they are.

    context: None takes the model's, at most 2048. stride: None takes half of it.
    limit: how many tokens of the text are used; None uses all.
    progress: called after each window with the tokens that are done and the tokens in all.
    """
    if context is None:
        context = min(llama.context, DEFAULT_CONTEXT)
    if stride is None:
        stride = max(1, context // 2)
    if context < 2:
        raise InvalidArgumentError(f"context is {context}; expected at least 2 tokens")
    if context > llama.context:
        raise InvalidArgumentError(f"context is {context}; expected at most {llama.context}, the model's")
    if not 1 <= stride <= context:
        raise InvalidArgumentError(f"stride is {stride}; expected 1 to {context}, the context")
    if limit is not None and limit < 2:
        raise InvalidArgumentError(f"limit is {limit}; expected at least 2 tokens")
    ids = llama.tokenize(text) if isinstance(text, str | bytes | bytearray | memoryview) else list(text)
    ids = ids[:limit]
    if len(ids) < 2:
        raise InvalidArgumentError(f"tokens in the text: {len(ids)}; expected at least 2, so that one follows another")
    scores, scored = [], 0  # scored: tokens up to here are done
    for begin in range(0, len(ids), stride):
        window = ids[begin : begin + context]
        scores.append(llama.score(window, max(1, scored - begin)))
        scored = begin + len(window)
        if progress is not None:
            progress(scored, len(ids))
        if scored == len(ids):
            break
    losses = -np.concatenate(scores)
    nll = float(losses.mean())
    value = math.exp(nll) if nll < 700 else math.inf
    error = float(losses.std(ddof=1)) / math.sqrt(losses.size) if losses.size > 1 else math.nan
    return Perplexity(value, value * error, nll, int(losses.size), context, stride)
