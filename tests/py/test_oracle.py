"""The C core against the float64 oracle, over formats and odd shapes; and the oracle and its kit against real files.

The tolerances are shares of the logits' spread, their root mean square. A logit ends a chain of some hundred float32
operations, each wrong by 6e-8 at most. In integers the oracle rounds as the kernels do, so that most tokens agree as
closely; but an activation that lies within float32's error of the middle between two integers may go the other way,
which is wrong by 1/127 of a term of each sum, for that token and those after it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import checkpoints
import numpy as np
import numpy.typing as npt
import oracle
import pytest
from checkpoints import SHAPES, Variant, Weights, map_matrices

from llama2py import Llama

TOLERANCE = 1e-5
TOLERANCE_OTHER_WAY = 1e-1
OPENING = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park."

VARIANTS = [
    *(Variant(shape, version) for shape in SHAPES for version in (0, 1)),
    *(Variant(shape, quantize="q8_0") for shape in SHAPES),
    *(Variant("plain", 2, group) for group in (8, 32, 64, 128)),
    *(Variant("grouped", 2, group) for group in (8, 32, 64)),
    *(Variant("even", 2, group) for group in (1, 5, 16, 80, 160)),
    *(Variant("separate", 2, group) for group in (8, 24, 48)),
    Variant("plain", 2, 32, quantize="q8_0"),
    Variant("plain", 2, 32, loud=True),
    Variant("plain", quantize="q8_0", loud=True),
    Variant("grouped", 2, 32, quantize="q8_0"),
]


def as_computed(variant: Variant, weights: Weights) -> tuple[Weights, Callable[[int], bool]]:
    """The weights in memory, and which products run in integers: int8 stays where whole blocks of 32 share a scale."""

    def kept(columns: int) -> bool:
        return variant.version == 2 and variant.group_size % oracle.BLOCK == 0 and columns % oracle.BLOCK == 0

    if variant.quantize is None:
        return weights, kept
    return map_matrices(weights, lambda m: m if kept(m.shape[-1]) else oracle.quantize_q8_0(m)), lambda columns: True


def errors(found: npt.NDArray[np.float32], expected: oracle.Float64) -> oracle.Float64:
    """The worst error after each token, as a share of the logits' spread."""
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    worst: oracle.Float64 = np.max(np.abs(found - expected), axis=1) / np.sqrt(np.mean(expected**2))
    return worst


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_logits_match_the_oracle(variant: Variant, model_file: Callable[[Variant], Path]) -> None:
    path = model_file(variant)
    weights = checkpoints.read(path)
    shape = weights.shape
    computed, in_integers = as_computed(variant, weights)
    long = checkpoints.prompt_ids(shape, 1100 if variant.shape == "long" else min(shape.context, 70))
    short = [checkpoints.prompt_ids(shape, min(shape.context, 3), seed) for seed in range(20)]
    with Llama(path, quantize=variant.quantize) as llama:
        first, *rest = [errors(llama.logits(t), oracle.logits(computed, t, in_integers)) for t in (long, *short)]
    brief = np.concatenate(rest)
    if any(in_integers(columns) for columns in (shape.dim, shape.q_dim, shape.hidden_dim)):
        assert max(first.max(), brief.max()) <= TOLERANCE_OTHER_WAY
        assert np.median(brief) <= TOLERANCE
    else:
        assert max(first.max(), brief.max()) <= TOLERANCE


@pytest.mark.parametrize("quantize", [None, "q8_0"])
def test_rows_of_zeros(quantize: str | None, tmp_path: Path) -> None:
    """Blocks without a greatest value, in weights and in activations, have no scale to divide by."""
    weights = checkpoints.random_weights(SHAPES["odd"], 1)
    weights.embedding[5] = 0
    weights.w1[0, 3:20] = 0
    weights.wq[0, :, 32:] = 0
    path = checkpoints.write_v0(tmp_path / "model.bin", weights)
    tokens = [5, 5, 1, 5]
    with Llama(path, quantize=quantize) as llama:
        found = llama.logits(tokens)
    computed, in_integers = as_computed(Variant("odd", quantize=quantize), weights)
    assert errors(found, oracle.logits(computed, tokens, in_integers)).max() <= TOLERANCE


@pytest.mark.parametrize("isa", ["scalar", None])
def test_the_lowest_int8(isa: str | None, tmp_path: Path) -> None:
    """-128, which llama2.c's export never writes, though the format can hold it."""
    variant = Variant("plain", 2, 32, loud=True)
    parts = checkpoints.v2_parts(checkpoints.loud_weights(SHAPES[variant.shape], 1), variant.group_size)
    kept = ("header", *checkpoints.NORMS)
    path = tmp_path / "model.bin"
    path.write_bytes(
        b"".join(d if name in kept or name.endswith("scales") else d.replace(b"\x81", b"\x80") for name, d in parts)
    )
    weights = checkpoints.read(path)
    tokens = checkpoints.prompt_ids(weights.shape, 20)
    with Llama(path, isa=isa) as llama:
        found = llama.logits(tokens)
    computed, in_integers = as_computed(variant, weights)
    assert weights.wq.min() < -1
    assert np.median(errors(found, oracle.logits(computed, tokens, in_integers))) <= TOLERANCE


def test_a_wrong_logit_is_noticed() -> None:
    expected = np.random.default_rng(0).standard_normal((3, 50))
    found = expected.astype(np.float32)
    found[1, 7] += 1e-3
    assert (errors(found, expected) > TOLERANCE).tolist() == [False, True, False]


@pytest.mark.parametrize("name", ["stories260K.bin", "stories260K_v1.bin", "stories260K-q8.bin"])
def test_the_oracle_tells_the_story(name: str, data: Path) -> None:
    folder = data / "stories260K"
    weights = checkpoints.read(folder / name)
    pieces = [piece for _, piece in checkpoints.read_tokenizer(folder / "tok512.bin")]
    text = b"".join(pieces[token] for token in oracle.greedy(weights, [1], 35)).decode()
    assert text.strip().startswith(OPENING)


@pytest.mark.parametrize(
    "name", ["stories260K/stories260K.bin", "stories260K/stories260K-q8.bin", "llama2xs/model.bin"]
)
def test_real_checkpoints_match_the_oracle(name: str, data: Path) -> None:
    weights = checkpoints.read(data / name)
    tokens = oracle.greedy(weights, [1], 40)
    with Llama(data / name) as llama:
        found = llama.logits(tokens)
    assert errors(found, oracle.logits(weights, tokens)).max() <= TOLERANCE


def test_the_kit_writes_real_files_byte_for_byte(data: Path, tmp_path: Path) -> None:
    folder = data / "stories260K"
    weights = checkpoints.read(folder / "stories260K.bin")
    written = {
        "stories260K_v1.bin": checkpoints.write_v1(tmp_path / "v1.bin", weights),
        "stories260K-q8.bin": checkpoints.write_v2(tmp_path / "v2.bin", weights, group_size=8),
    }
    for name, path in written.items():
        assert path.read_bytes() == (folder / name).read_bytes(), name
