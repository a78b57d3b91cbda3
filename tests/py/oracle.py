"""The transformer of Llama in NumPy float64, written to be obviously right: what the C core is measured against.

logits() rounds nothing but the activations that it is told to, as the integer kernels do, and quantize_q8_0() gives a
matrix as it is after that rounding. With both, what is left to tolerate is float32 arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from checkpoints import Array, Weights

Float64 = npt.NDArray[np.float64]

EPSILON = 1e-5
ROPE_THETA = 10000.0
BLOCK = 32
LEVELS = 127


def nothing(columns: int) -> bool:
    return False


def logits(weights: Weights, tokens: Sequence[int], in_integers: Callable[[int], bool] = nothing) -> Float64:
    """What the model expects after each token: (len(tokens), vocab_size).

    in_integers: whether activations are quantised before they meet a matrix of so many columns.
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
        q = rotate(product(normed, weights.wq[layer]).reshape(n, shape.n_heads, head_dim))
        k = rotate(product(normed, weights.wk[layer]).reshape(n, shape.n_kv_heads, head_dim))
        v = product(normed, weights.wv[layer]).reshape(n, shape.n_kv_heads, head_dim)
        heads = [attend(q[:, h], k[:, h // group], v[:, h // group]) for h in range(shape.n_heads)]
        x = x + product(np.concatenate(heads, axis=1), weights.wo[layer])
        normed = rms_norm(x, weights.ffn_norm[layer])
        hidden = silu(product(normed, weights.w1[layer])) * product(normed, weights.w3[layer])
        x = x + product(hidden, weights.w2[layer])
    return product(rms_norm(x, weights.final_norm), weights.classifier)


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


def rotate(heads: Float64) -> Float64:
    """Turns the pairs (2i, 2i + 1) of each head by position * theta ** (-2i / head_dim); an odd last element stays."""
    n, _, head_dim = heads.shape
    even = np.arange(0, head_dim - 1, 2)
    angle = np.outer(np.arange(n), ROPE_THETA ** (-even / head_dim))[:, None, :]
    a, b = heads[..., even], heads[..., even + 1]
    turned: Float64 = heads.copy()
    turned[..., even] = a * np.cos(angle) - b * np.sin(angle)
    turned[..., even + 1] = a * np.sin(angle) + b * np.cos(angle)
    return turned


def attend(q: Float64, k: Float64, v: Float64) -> Float64:
    """Causal attention of one head: q, k and v are (n, head_dim)."""
    n, head_dim = q.shape
    scores = q @ k.T / np.sqrt(head_dim)
    scores[np.triu_indices(n, 1)] = -np.inf
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
