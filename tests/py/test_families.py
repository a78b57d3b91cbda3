"""Families near Llama and scaled rotary embeddings: each against the oracle, and a row for each thing refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import checkpoints
import numpy as np
import oracle
import pytest
from checkpoints import SHAPES, Rope, Shape, map_matrices
from families import BIASES, FAMILIES, GROUPED, HALVES, NORMS, Family, llama3_divisors
from gguf import GGMLQuantizationType as Kind
from test_gguf import F32, STR, U32, Metadata, Tensors, logits, refused, rounded, write
from test_oracle import TOLERANCE, TOLERANCE_OTHER_WAY, errors

import llama2py
from llama2py import CheckpointError, Llama, NumericError


@pytest.mark.parametrize("name", FAMILIES)
def test_logits_match_the_oracle(name: str, tmp_path: Path) -> None:
    family = FAMILIES[name]
    tokens = checkpoints.prompt_ids(family.shape, family.shape.context)
    with Llama(family.write(tmp_path / "model.gguf"), kv="f32") as llama:
        found = llama.logits(tokens)
    assert errors(found, oracle.logits(family.weights(), tokens)).max() <= TOLERANCE


@pytest.mark.parametrize("kv", ["f16", "q8_0"])
@pytest.mark.parametrize("name", FAMILIES)
def test_keys_and_values_are_rounded_as_the_oracle_does(name: str, kv: str, tmp_path: Path) -> None:
    """Half of short prompts see no value that lies where float32's error decides how it is rounded."""
    family = FAMILIES[name]
    prompts = [checkpoints.prompt_ids(family.shape, 2, seed) for seed in range(20)]
    prompts.append(checkpoints.prompt_ids(family.shape, family.shape.context))
    with Llama(family.write(tmp_path / "model.gguf"), kv=kv) as llama:
        found = [errors(llama.logits(t), oracle.logits(family.weights(), t, kv=kv)).max() for t in prompts]
    assert np.median(found) <= TOLERANCE
    assert np.max(found) <= TOLERANCE_OTHER_WAY


@pytest.mark.parametrize("name", ["llama, biases", "llama, experts", "qwen2", "qwen3, wide heads", "qwen3, biases"])
def test_int8_matches_the_oracle(name: str, tmp_path: Path) -> None:
    """Vectors and frequencies stay as they are."""
    family = FAMILIES[name]
    computed = map_matrices(family.weights(), oracle.quantize_q8_0)
    path = family.write(tmp_path / "model.gguf")
    prompts = [checkpoints.prompt_ids(family.shape, 3, seed) for seed in range(20)]
    with Llama(path, quantize="q8_0", kv="f32") as llama:
        found = [errors(llama.logits(t), oracle.logits(computed, t, lambda columns: True)) for t in prompts]
    assert np.max(found) <= TOLERANCE_OTHER_WAY
    assert np.median(found) <= TOLERANCE


@pytest.mark.parametrize(("kv", "size"), [("f16", 1e5), ("q8_0", 1e8)])
def test_values_that_are_too_large(kv: str, size: float, tmp_path: Path) -> None:
    """float32 holds them; the others say so, and what would."""
    family = FAMILIES["llama, biases"]
    weights = family.weights()
    assert weights.bv is not None
    weights.bv[0, 3] = size
    path = write(tmp_path / "model.gguf", weights)
    with Llama(path, kv="f32") as llama:
        assert np.isfinite(llama.logits([1, 2, 3])).all()
    complaint = r"exceed what (float16|q8_0) can hold; ask for kv f32$"
    with Llama(path, kv=kv) as llama, pytest.raises(NumericError, match=complaint):
        llama.score([1, 2, 3])


@pytest.mark.parametrize("kind", [Kind.F16, Kind.BF16], ids=lambda kind: kind.name)
def test_vectors_of_other_types(kind: Kind, tmp_path: Path) -> None:
    """As the float32 file of the values that they hold."""
    family = replace(FAMILIES["qwen3, biases"], rope=replace(HALVES, divisors=(1.0, 1.5, 2.0, 8.0)))
    weights = family.weights()
    values: dict[str, Any] = {name: rounded(getattr(weights, name), kind) for name in family.vectors}
    same = replace(weights, **values)
    reference = write(tmp_path / "plain.gguf", same, architecture="qwen3")
    other = {"rope_freqs": kind} | dict.fromkeys(("attn_q_norm", "attn_k_norm", "bias"), kind)
    path = write(
        tmp_path / "model.gguf",
        weights,
        lambda name: next((kind for part, kind in other.items() if part in name), Kind.F32),
        architecture="qwen3",
    )
    tokens = checkpoints.prompt_ids(family.shape, 30)
    assert (logits(path, tokens) == logits(reference, tokens)).all()


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_special_is_not_ignored(name: str, tmp_path: Path) -> None:
    """Without its vectors, and with heads rotated as in llama2.c, a model is another one."""
    family = FAMILIES[name]
    tokens = checkpoints.prompt_ids(family.shape, 40 + family.window)
    weights = family.weights()
    expected = oracle.logits(weights, tokens)
    changes: list[dict[str, Any]] = [{vector: None} for vector in family.vectors if vector not in ("bk", *NORMS)]
    changes += [{vector: 1 + 0 * getattr(weights, vector)} for vector in family.vectors if vector in NORMS]
    changes += [{"window": 0}] if family.window else []
    changes += [{"rope": Rope()}] if family.rope != Rope() and family.shape.head_dim > 1 else []
    for change in changes:
        other = oracle.logits(replace(weights, **change), tokens)
        assert errors(other.astype(np.float32), expected).max() > 100 * TOLERANCE, change


@pytest.mark.parametrize("shape", [GROUPED, FAMILIES["qwen2, separate"].shape], ids=["tied", "separate"])
def test_what_info_says(shape: Shape, tmp_path: Path) -> None:
    def describe(family: Family) -> llama2py.ModelInfo:
        return llama2py.describe(family.write(tmp_path / "model.gguf"))

    plain = describe(Family("llama", shape))
    assert (plain.architecture, plain.rope_scaling) == ("llama", "none")
    rope = Rope(scaling="yarn", factor=4.0, context=32, divisors=(1.0,) * (shape.head_dim // 2))
    full = describe(Family("qwen3", shape, replace(rope, halves=True), (*BIASES, "bo", *NORMS)))
    assert (full.architecture, full.rope_scaling, full.shared_classifier) == ("qwen3", "yarn", shape.shared)
    per_layer = shape.q_dim + 2 * shape.kv_dim + shape.dim + 2 * shape.head_dim
    assert full.parameters - plain.parameters == shape.n_layers * per_layer
    assert full.weight_bytes > plain.weight_bytes
    assert describe(Family("mistral", shape, replace(rope, scaling="linear"))).rope_scaling == "linear"
    assert describe(Family("mistral", shape, Rope(divisors=rope.divisors))).rope_scaling == "factors"
    chosen = describe(Family("llama", shape, experts=(5, 2)))
    assert (chosen.n_experts, chosen.n_experts_used, plain.n_experts, plain.n_experts_used) == (5, 2, 0, 0)
    beyond = 4 * 3 * shape.hidden_dim * shape.dim + 5 * shape.dim
    assert chosen.parameters - plain.parameters == shape.n_layers * beyond


SAME: list[tuple[str, str, Metadata]] = [
    ("not set", "llama, yarn", {".rope.scaling.yarn_ext_factor": (F32, -1.0)}),
    (
        "YaRN's own",
        "llama, yarn",
        {".rope.scaling.yarn_beta_fast": (F32, 32.0), ".rope.scaling.attn_factor": (F32, 1.0)},
    ),
    ("a default", "llama, yarn", {".rope.scaling.yarn_attn_factor": (F32, 1.0)}),
    ("the old name", "llama, linear", {".rope.scaling.factor": None, ".rope.scale_linear": (F32, 4.0)}),
    ("no type", "llama, linear", {".rope.scaling.type": None}),
    ("two names", "llama, linear", {".rope.scale_linear": (F32, 7.0)}),
    ("rotated as wide as heads", "qwen3, wide heads", {".rope.dimension_count": None}),
]


@pytest.mark.parametrize(("name", "metadata"), [pytest.param(*row, id=title) for title, *row in SAME])
def test_the_same_model_said_otherwise(name: str, metadata: Metadata, tmp_path: Path) -> None:
    family = FAMILIES[name]
    other = write(tmp_path / "other.gguf", family.weights(), architecture=family.architecture, metadata=metadata)
    tokens = checkpoints.prompt_ids(family.shape, 40)
    assert (logits(other, tokens) == logits(family.write(tmp_path / "model.gguf"), tokens)).all()


def test_a_context_that_is_not_named_is_the_models_own(tmp_path: Path) -> None:
    rope = Rope(theta=500.0, scaling="yarn", factor=8.0, context=GROUPED.context)
    said = Family("llama", GROUPED, rope).write(tmp_path / "said.gguf")
    unsaid = write(tmp_path / "unsaid.gguf", Family("llama", GROUPED, replace(rope, context=0)).weights())
    tokens = checkpoints.prompt_ids(GROUPED, 40)
    assert (logits(unsaid, tokens) == logits(said, tokens)).all()


def test_factors_are_llama_3s_scaling() -> None:
    """Dividing by the factors is what the paper's authors write: whole turns are kept, long waves are divided."""
    theta, dim, context = 500000.0, 128, 8192
    trained = theta ** (-2 * np.arange(64) / dim)
    found = oracle.frequencies(Rope(theta=theta, divisors=llama3_divisors(theta, dim, 8.0, 1.0, 4.0, context)), dim)
    for f, scaled in zip(trained, found, strict=True):
        wavelength = 2 * np.pi / f
        smooth = (context / wavelength - 1) / 3
        expected = (
            f if wavelength < context / 4 else f / 8 if wavelength > context else (1 - smooth) * f / 8 + smooth * f
        )
        assert abs(scaled / expected - 1) < 1e-6


def test_experts_of_texts_that_are_computed_together(tmp_path: Path) -> None:
    """Each gets the tokens that it gets alone; what was kept is of no use where rows go to more experts."""
    family = FAMILIES["llama, experts"]
    prompts = [checkpoints.prompt_ids(family.shape, 5 + 9 * i, i) for i in range(6)]
    with Llama(family.write(tmp_path / "two.gguf"), threads=2) as llama:
        together = llama.generate(prompts, 30, 0.8, seed=1, progress=False)
        session = llama.session(prompts[5])
        session.generate(max_tokens=1)
        session.save(tmp_path / "kept")
    with Llama(tmp_path / "two.gguf", threads=1, batch=7, prefix_cache=False) as llama:
        alone = [llama.generate(prompt, 30, 0.8, seed=1, progress=False) for prompt in prompts]
    assert [result.tokens for result in together] == [result.tokens for result in alone]
    more = replace(family.weights(), experts_used=3)
    with Llama(write(tmp_path / "three.gguf", more)) as llama, pytest.raises(CheckpointError, match="another model"):
        llama.load_session(tmp_path / "kept")


# What is refused.

ONES = np.ones(64, np.float32)
YARN: Metadata = {".rope.scaling.type": (STR, "yarn"), ".rope.scaling.factor": (F32, 4.0)}
Q_BIASES: Tensors = {"blk.0.attn_q.bias": ONES, "blk.1.attn_q.bias": ONES}


def factors(*values: float) -> Tensors:
    return {"rope_freqs.weight": np.array([*values, *[1.0] * (8 - len(values))], np.float32)}


REFUSED: list[tuple[str, str, str, Metadata, Tensors]] = [
    (
        "longrope",
        "llama",
        r"type is 'longrope', .* that can: none, linear, yarn",
        {".rope.scaling.type": (STR, "longrope")},
        {},
    ),
    ("su", "qwen2", r"qwen2\.rope\.scaling\.type is 'su'", {".rope.scaling.type": (STR, "su")}, {}),
    ("a type of another type", "llama", r"scaling\.type is of type uint32", {".rope.scaling.type": (U32, 1)}, {}),
    ("a whole factor", "llama", r"factor is of type uint32, expected float", {".rope.scaling.factor": (U32, 4)}, {}),
    ("a factor below 0", "llama", r"scaling\.factor is -1, expected 0 to", {".rope.scaling.factor": (F32, -1.0)}, {}),
    (
        "a small factor",
        "llama",
        r"factor is 0\.25, expected 0 .* at least 0\.5",
        {".rope.scaling.factor": (F32, 0.25)},
        {},
    ),
    ("the old name, small", "llama", r"scale_linear is 0\.25, expected", {".rope.scale_linear": (F32, 0.25)}, {}),
    ("a factor without end", "llama", r"factor is inf", {".rope.scaling.factor": (F32, float("inf"))}, {}),
    ("a factor not a number", "qwen3", r"factor is -?nan", YARN | {".rope.scaling.factor": (F32, float("nan"))}, {}),
    ("no size", "llama", r"attn_factor is 0, expected 0\.0009", {".rope.scaling.attn_factor": (F32, 0.0)}, {}),
    ("beta of 0", "llama", r"yarn_beta_fast is 0, expected", YARN | {".rope.scaling.yarn_beta_fast": (F32, 0.0)}, {}),
    ("beta below 0", "llama", r"yarn_beta_slow is -1", YARN | {".rope.scaling.yarn_beta_slow": (F32, -1.0)}, {}),
    ("all and more", "llama", r"yarn_ext_factor is 1\.5", YARN | {".rope.scaling.yarn_ext_factor": (F32, 1.5)}, {}),
    (
        "another magnitude",
        "llama",
        r"yarn_attn_factor asks for a magnitude other than YaRN's own",
        YARN | {".rope.scaling.yarn_attn_factor": (F32, 1.2)},
        {},
    ),
    (
        "a context as float",
        "llama",
        r"original_context_length is of type float32",
        YARN | {".rope.scaling.original_context_length": (F32, 64.0)},
        {},
    ),
    (
        "a context without end",
        "llama",
        r"original_context_length is 4294967295",
        YARN | {".rope.scaling.original_context_length": (U32, 2**32 - 1)},
        {},
    ),
    ("an odd half", "qwen2", r"15 dimensions .* an even number in qwen2", {".rope.dimension_count": (U32, 15)}, {}),
    ("no norms", "qwen3", r"blk\.0\.attn_q_norm\.weight is missing", {}, {"blk.0.attn_q_norm.weight": None}),
    ("a norm too few", "qwen3", r"blk\.1\.attn_k_norm\.weight is missing", {}, {"blk.1.attn_k_norm.weight": None}),
    (
        "a norm of all heads",
        "qwen3",
        r"attn_q_norm\.weight is 1 x 64, expected 1 x 16",
        {},
        {"blk.0.attn_q_norm.weight": ONES},
    ),
    (
        "norms of a llama",
        "llama",
        r"attn_q_norm\.weight \(further norms\) .* a llama of",
        {},
        {"blk.0.attn_q_norm.weight": ONES},
    ),
    ("a bias too few", "llama", r"blk\.1\.attn_q\.bias is missing", {}, {"blk.0.attn_q.bias": ONES}),
    (
        "a bias too late",
        "qwen2",
        r"blk\.1\.attn_v\.bias \(which the first layer lacks\)",
        {},
        {"blk.1.attn_v.bias": ONES},
    ),
    (
        "a short bias",
        "llama",
        r"attn_q\.bias is 1 x 8, expected 1 x 64",
        {},
        Q_BIASES | {"blk.1.attn_q.bias": ONES[:8]},
    ),
    (
        "a tall bias",
        "llama",
        r"attn_q\.bias is 64 x 1, expected 1 x 64",
        {},
        Q_BIASES | {"blk.1.attn_q.bias": ONES[:, None]},
    ),
    ("biases of the gate", "qwen2", r"ffn_gate\.bias \(further biases\)", {}, {"blk.0.ffn_gate.bias": ONES}),
    ("biases of logits", "qwen2", r"output\.bias \(further biases\)", {}, {"output.bias": ONES}),
    ("few factors", "llama", r"rope_freqs\.weight is 1 x 7, expected 1 x 8", {}, {"rope_freqs.weight": ONES[:7]}),
    ("a factor of 0", "llama", r"value 2 of the tensor rope_freqs\.weight is 0, expected 0\.5", {}, factors(1, 1, 0)),
    ("a factor of nan", "llama", r"value 0 of the tensor rope_freqs\.weight is -?nan", {}, factors(float("nan"))),
    ("a factor of infinity", "llama", r"value 1 .* is inf", {}, factors(1, float("inf"))),
    ("a factor below 0", "llama", r"value 0 .* is -8", {}, factors(-8)),
    ("long factors", "llama", r"rope_factors_long\.weight \(scaled rotary", {}, {"rope_factors_long.weight": ONES[:8]}),
]


@pytest.mark.parametrize(
    ("architecture", "complaint", "metadata", "tensors"), [pytest.param(*row, id=name) for name, *row in REFUSED]
)
def test_models_that_are_refused(
    architecture: str, complaint: str, metadata: Metadata, tensors: Tensors, tmp_path: Path
) -> None:
    family = Family(architecture, SHAPES["plain"], HALVES, NORMS if architecture == "qwen3" else ())
    path = tmp_path / "model.gguf"
    refused(write(path, family.weights(), architecture=architecture, metadata=metadata, tensors=tensors), complaint)


def test_biases_in_blocks_are_refused(tmp_path: Path) -> None:
    weights = FAMILIES["qwen2"].weights()
    path = tmp_path / "model.gguf"
    write(path, weights, lambda name: Kind.Q8_0 if "attn_q.bias" in name else Kind.F32, architecture="qwen2")
    refused(path, r"blk\.0\.attn_q\.bias is Q8_0, expected F32, F16 or BF16")
