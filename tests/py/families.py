"""Models of the families near Llama, made up from a seed: what each has besides, and how its heads are rotated.

FAMILIES                        by name: an architecture, a shape, and what is special
path = family.write(path)       as GGUF, float32 or another type
family.weights()                for the oracle
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from checkpoints import SHAPES, Rope, Shape, Weights, family_weights, with_experts
from gguf import GGMLQuantizationType as Kind
from test_gguf import write

BIASES = ("bq", "bk", "bv")
NORMS = ("q_norm", "k_norm")
USUAL = Rope()
HALVES = Rope(halves=True)
GROUPED = SHAPES["grouped"]
WIDE = Shape(dim=40, hidden_dim=52, n_layers=2, n_heads=3, n_kv_heads=1, vocab_size=77, context=96, head_width=24)
SEPARATE = Shape(dim=48, hidden_dim=100, n_layers=2, n_heads=6, n_kv_heads=3, vocab_size=132, context=96, shared=False)


@dataclass(frozen=True)
class Family:
    """A made-up model of an architecture."""

    architecture: str
    shape: Shape
    rope: Rope = USUAL
    vectors: tuple[str, ...] = ()
    window: int = 0
    experts: tuple[int, int] | None = None  # how many there are, and how many a row is computed by

    def weights(self) -> Weights:
        dense = family_weights(self.shape, 1, self.vectors, self.rope, self.window)
        return with_experts(dense, 1, *self.experts) if self.experts else dense

    def write(self, path: Path, kind: Kind = Kind.F32) -> Path:
        return write(path, self.weights(), kind, architecture=self.architecture)


def llama3_divisors(theta: float, dim: int, factor: float, low: float, high: float, context: int) -> tuple[float, ...]:
    """What a converter puts into rope_freqs.weight for Llama 3's scaling: numbers that float32 holds."""
    turns = context * theta ** (-2 * np.arange(dim // 2) / dim) / (2 * np.pi)
    kept = np.clip((turns - low) / (high - low), 0, 1)
    return tuple(float(divisor) for divisor in (1 / ((1 - kept) / factor + kept)).astype(np.float32))


FAMILIES = {
    "llama, biases": Family("llama", GROUPED, USUAL, (*BIASES, "bo")),
    "llama, a bias": Family("llama", SHAPES["odd grouped"], USUAL, ("bk",)),
    "llama, linear": Family("llama", GROUPED, Rope(scaling="linear", factor=4.0)),
    "llama, yarn": Family("llama", GROUPED, Rope(theta=500.0, scaling="yarn", factor=8.0, context=64)),
    "llama, yarn of its own": Family(
        "llama",
        WIDE,
        Rope(
            scaling="yarn",
            factor=2.5,
            context=48,
            beta_fast=8.0,
            beta_slow=0.5,
            extrapolation=0.5,
            log_multiplier=0.75,
            magnitude=1.25,
        ),
    ),
    "llama, factors": Family(
        "llama", SEPARATE, Rope(theta=500.0, divisors=llama3_divisors(500.0, 8, 8.0, 1.0, 4.0, 64))
    ),
    "llama, factors and linear": Family(
        "llama", SEPARATE, Rope(scaling="linear", factor=2.0, divisors=(1.0, 1.5, 8.0, 8.0), magnitude=0.5)
    ),
    "llama, window": Family("llama", GROUPED, window=20),
    "llama, experts": Family("llama", GROUPED, experts=(8, 2)),
    "llama, one expert of three": Family("llama", WIDE, experts=(3, 1)),
    "llama, all experts": Family("llama", SHAPES["odd grouped"], window=20, experts=(4, 4)),
    "llama, a single expert": Family("llama", SEPARATE, experts=(1, 1)),
    "llama, many experts": Family("llama", SEPARATE, Rope(theta=1e6), (*BIASES, "bo"), experts=(33, 17)),
    "mistral": Family("mistral", WIDE, Rope(theta=1e6)),
    "mistral, window": Family("mistral", WIDE, Rope(theta=1e6), window=3),
    "mistral, long window": Family("mistral", SHAPES["long"], window=530),
    "qwen2": Family("qwen2", GROUPED, Rope(theta=1e6, halves=True), BIASES),
    "qwen2, separate": Family("qwen2", SEPARATE, HALVES, BIASES),
    "qwen2, no biases": Family("qwen2", SHAPES["one head"], HALVES),
    "qwen2, yarn": Family("qwen2", GROUPED, Rope(halves=True, scaling="yarn", factor=4.0, context=32), BIASES),
    "qwen2, part of a head": Family("qwen2", WIDE, Rope(halves=True, dim=10), BIASES),
    "qwen3": Family("qwen3", GROUPED, HALVES, NORMS),
    "qwen3, wide heads": Family("qwen3", WIDE, Rope(theta=1e6, halves=True), NORMS),
    "qwen3, biases": Family("qwen3", SEPARATE, HALVES, (*NORMS, *BIASES, "bo")),
    "qwen3, linear": Family("qwen3", SHAPES["many heads"], Rope(halves=True, scaling="linear", factor=3.0), NORMS),
}
