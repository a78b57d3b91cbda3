"""The transformer of Llama in NumPy float64, written to be obviously right: what the C core is measured against.

logits() rounds nothing but the activations that it is told to, as the integer kernels do, and keys and values to the
kind that is asked for; quantize_q8_0() gives a matrix as it is after that rounding. With both, what is left to tolerate
is float32 arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from checkpoints import Array, Rope, Weights

Float64 = npt.NDArray[np.float64]

EPSILON = 1e-5
BLOCK = 32
LEVELS = 127


def nothing(columns: int) -> bool:
    return False


def logits(
    weights: Weights, tokens: Sequence[int], in_integers: Callable[[int], bool] = nothing, kv: str = "f32"
) -> Float64:
    """What the model expects after each token: (len(tokens), vocab_size).

    in_integers: whether activations are quantised before they meet a matrix of so many columns.
    kv: what keys and values are kept as: "f32", "f16" or "q8_0".
    """
    shape = weights.shape
    n, head_dim = len(tokens), shape.head_dim
    group = shape.n_heads // shape.n_kv_heads

    def product(x: Float64, matrix: Array) -> Float64:
        seen = round_activations(x) if in_integers(matrix.shape[1]) else x
        y: Float64 = seen @ matrix.T.astype(np.float64)
        return y

    x = weights.embedding[np.asarray(tokens, dtype=np.int64)].astype(np.float64)
    for layer in range(shape.n_layers):
        normed = rms_norm(x, weights.attention_norm[layer])
        q = plus(product(normed, weights.wq[layer]), weights.bq, layer).reshape(n, shape.n_heads, head_dim)
        k = plus(product(normed, weights.wk[layer]), weights.bk, layer).reshape(n, shape.n_kv_heads, head_dim)
        v = plus(product(normed, weights.wv[layer]), weights.bv, layer).reshape(n, shape.n_kv_heads, head_dim)
        q = q if weights.q_norm is None else rms_norm(q, weights.q_norm[layer])
        k = k if weights.k_norm is None else rms_norm(k, weights.k_norm[layer])
        q, k = rotate(q, weights.rope), rotate(k, weights.rope)
        k, v = round_kv(k, kv), round_kv(v, kv)
        heads = [attend(q[:, h], k[:, h // group], v[:, h // group], weights.window) for h in range(shape.n_heads)]
        x = x + plus(product(np.concatenate(heads, axis=1), weights.wo[layer]), weights.bo, layer)
        normed = rms_norm(x, weights.ffn_norm[layer])
        if weights.router is None:
            x = x + feed_forward(normed, weights.w1[layer], weights.w2[layer], weights.w3[layer], product)
            continue
        # The router is kept as it is in the file, and meets activations that are not rounded.
        shares = expert_shares(normed @ weights.router[layer].T.astype(np.float64), weights.experts_used)
        for expert in range(shares.shape[1]):
            w1, w2, w3 = (of[layer][expert] for of in (weights.w1, weights.w2, weights.w3))
            x = x + shares[:, expert, None] * feed_forward(normed, w1, w2, w3, product)
    return product(rms_norm(x, weights.final_norm), weights.classifier)


def feed_forward(x: Float64, w1: Array, w2: Array, w3: Array, product: Callable[[Float64, Array], Float64]) -> Float64:
    return product(silu(product(x, w1)) * product(x, w3), w2)


def expert_shares(scores: Float64, used: int) -> Float64:
    """What each expert counts for each row, (n, n_experts): the softmax of all scores, of the likeliest alone, over
    their sum.
    """
    chances = np.exp(scores - scores.max(axis=1, keepdims=True))
    left_out = np.argsort(-chances, axis=1, kind="stable")[:, used:]
    np.put_along_axis(chances, left_out, 0, axis=1)
    shares: Float64 = chances / chances.sum(axis=1, keepdims=True)
    return shares


def greedy(weights: Weights, tokens: Sequence[int], n: int) -> list[int]:
    """The n likeliest tokens after `tokens`, each chosen in turn; of equals the one with the lower id."""
    sequence = list(tokens)
    for _ in range(n):
        sequence.append(int(np.argmax(logits(weights, sequence)[-1])))
    return sequence[len(tokens) :]


def rms_norm(x: Float64, gain: Array) -> Float64:
    """Each row of x over its root mean square, times gain."""
    root: Float64 = np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + EPSILON)
    return x / root * gain.astype(np.float64)


def plus(x: Float64, biases: Array | None, layer: int) -> Float64:
    return x if biases is None else x + biases[layer].astype(np.float64)


def rotate(heads: Float64, rope: Rope) -> Float64:
    """Turns each pair of a head by position * frequency; what is in no pair stays."""
    n, _, head_dim = heads.shape
    dim = rope.dim or head_dim
    first = np.arange(dim // 2) * (1 if rope.halves else 2)
    second = first + (dim // 2 if rope.halves else 1)
    angle = np.outer(np.arange(n), frequencies(rope, dim))[:, None, :]
    cos, sin = np.cos(angle) * magnitude(rope), np.sin(angle) * magnitude(rope)
    a, b = heads[..., first], heads[..., second]
    turned: Float64 = heads.copy()
    turned[..., first] = a * cos - b * sin
    turned[..., second] = a * sin + b * cos
    return turned


def frequencies(rope: Rope, dim: int) -> Float64:
    """theta ** (-2i / dim), and as scaling changes it: YaRN as in its paper (arXiv 2309.00071) with the bounds of the
    ramp rounded outwards, as its authors' code and llama.cpp do.
    """
    i = np.arange(dim // 2)
    trained: Float64 = rope.theta ** (-2 * i / dim) / (np.array(rope.divisors) if rope.divisors else 1.0)
    if rope.scaling == "none":
        return trained
    interpolated: Float64 = trained / rope.factor
    if rope.scaling == "linear":
        return interpolated
    turns = np.array([rope.beta_fast, rope.beta_slow])
    bounds = dim * np.log(rope.context / (turns * 2 * np.pi)) / (2 * np.log(rope.theta))
    low, high = max(np.floor(bounds[0]), 0.0), min(np.ceil(bounds[1]), dim - 1.0)
    ramp = np.clip((i - low) / max(high - low, 0.001), 0, 1)
    kept = (1 - ramp) * rope.extrapolation
    scaled: Float64 = interpolated * (1 - kept) + trained * kept
    return scaled


def magnitude(rope: Rope) -> float:
    if rope.scaling != "yarn" or rope.extrapolation == 0 or rope.factor <= 1:
        return rope.magnitude
    log = 0.1 * float(np.log(rope.factor))
    return rope.magnitude * (1 + log) / (1 + rope.log_multiplier * log)


def attend(q: Float64, k: Float64, v: Float64, window: int = 0) -> Float64:
    """Causal attention of one head: q, k and v are (n, head_dim). window: keys that a query sees; 0: all before it."""
    n, head_dim = q.shape
    scores = q @ k.T / np.sqrt(head_dim)
    scores[np.triu_indices(n, 1)] = -np.inf
    if window:
        scores[np.tril_indices(n, -window)] = -np.inf
    weight: Float64 = np.exp(scores - np.max(scores, axis=1, keepdims=True))
    y: Float64 = weight @ v / np.sum(weight, axis=1, keepdims=True)
    return y


def silu(x: Float64) -> Float64:
    y: Float64 = x / (1 + np.exp(-x))
    return y


def _blocks(matrix: Array) -> Array:
    """Rows cut into blocks of 32 values, the last one filled up with zeros: (rows, blocks, 32)."""
    rows, columns = matrix.shape
    padded = np.pad(matrix, ((0, 0), (0, -columns % BLOCK)))
    return padded.reshape(rows, -1, BLOCK)


def _round_blocks(matrix: Array, scales: Array) -> Float64:
    """Each value rounded to a whole multiple, at most 127, of its block's scale."""
    scales = scales[..., None]
    inverse = np.divide(1, scales, out=np.zeros_like(scales), where=scales > 0)
    q = np.rint(np.clip(_blocks(matrix) * inverse, -LEVELS, LEVELS))
    rounded = q.astype(np.float64) * scales.astype(np.float64)
    return rounded.reshape(matrix.shape[0], -1)[:, : matrix.shape[1]]


def round_activations(x: Float64) -> Float64:
    """x as the integer kernels see it: per 32 values of a row int8 times a float32 scale of max|x| / 127."""
    return _round_blocks(x, (np.abs(_blocks(x)).max(axis=2) / LEVELS).astype(np.float32))


def quantize_q8_0(matrix: Array) -> Array:
    """A matrix, or a stack of them, as Q8_0 holds it: per 32 values of a row int8 times a float16 scale."""
    rows = matrix.reshape(-1, matrix.shape[-1]).astype(np.float32)
    scales = (np.abs(_blocks(rows)).max(axis=2) / np.float32(LEVELS)).astype(np.float16).astype(np.float32)
    return _round_blocks(rows, scales).reshape(matrix.shape)


def round_kv(heads: Float64, kind: str) -> Float64:
    """Keys or values, (n, heads, head_dim), as they are kept."""
    if kind == "q8_0":
        return quantize_q8_0(heads).astype(np.float64)
    return heads.astype(np.float32).astype(np.float16).astype(np.float64) if kind == "f16" else heads
