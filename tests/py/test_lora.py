"""LoRA adapters: what they add is what the oracle makes of weights that they were merged into; and the law holds for
them: a text's bits depend on its own adapters alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import oracle
import pytest
from adapters import ALL, Adapter, config_of, merged, random_adapter, tensors_of, write_folder, write_gguf
from checkpoints import SHAPES, Variant, prompt_ids, random_weights
from conftest import Cli
from families import FAMILIES
from folders import held
from gguf import GGMLQuantizationType as Kind
from test_gguf import U32, write
from test_oracle import TOLERANCE, errors
from torch_files import saved, write_torch

import llama2py
from llama2py import (
    CheckpointError,
    DeviceError,
    FileMissingError,
    InvalidArgumentError,
    Llama,
    Llama2Error,
    _core,
    lora,
)

Logits: TypeAlias = npt.NDArray[np.float32]
Set: TypeAlias = "list[tuple[Path, float]]"

GROUPED = SHAPES["grouped"]
WEIGHTS = random_weights(GROUPED, 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A llama with a tokenizer, whose adapters are one.r8, two.r5 and small."""
    path = tmp_path_factory.mktemp("lora")
    write(path / "model.gguf", WEIGHTS)
    write_folder(path / "one", ONE)
    write_folder(path / "two", TWO, dtype="F16")
    write_folder(path / "small", SMALL)
    return path


ONE = random_adapter(GROUPED, 1)
TWO = random_adapter(GROUPED, 2, rank=5, alpha=3)
SMALL = random_adapter(GROUPED, 3, rank=20, alpha=40, fields=("wq", "wv"))


def same(found: Logits, expected: Logits) -> bool:
    return found.shape == expected.shape and bool((found.view(np.uint32) == expected.view(np.uint32)).all())


# What is added.


@pytest.mark.parametrize("name", ["llama, biases", "mistral", "qwen2", "qwen2, separate", "qwen3, wide heads", "qwen3"])
def test_families(name: str, tmp_path: Path) -> None:
    family = FAMILIES[name]
    adapter = random_adapter(family.shape, 4, rank=6)
    tokens = prompt_ids(family.shape, 60)
    folder = write_folder(tmp_path / "folder", adapter, family.architecture)
    file = write_gguf(tmp_path / "adapter.gguf", adapter, family.architecture)
    with Llama(family.write(tmp_path / "model.gguf"), kv="f32") as llama:
        plain = llama.logits(tokens)
        for scale in (1.0, -0.75):
            expected = oracle.logits(merged(family.weights(), [(adapter, scale)]), tokens)
            found = llama.logits(tokens, lora=(folder, scale))
            assert errors(found, expected).max() <= TOLERANCE
            assert errors(plain, expected).max() > 1000 * TOLERANCE
            assert same(llama.logits(tokens, lora=(file, scale)), found)


@pytest.mark.parametrize("shape", ["plain", "even", "separate", "many heads", "one head"])
def test_llama2c_checkpoints(shape: str, tmp_path: Path) -> None:
    """Odd widths, and heads that are padded."""
    variant, adapter = Variant(shape), random_adapter(SHAPES[shape], 5, rank=17)
    tokens = prompt_ids(SHAPES[shape], 50)
    expected = oracle.logits(merged(random_weights(SHAPES[shape], 1), [(adapter, 1)]), tokens)
    folder = write_folder(tmp_path / "folder", adapter)
    with Llama(variant.write(tmp_path / "model.bin"), lora=folder) as llama:
        assert errors(llama.logits(tokens), expected).max() <= TOLERANCE


@pytest.mark.parametrize("field", ALL)
def test_each_matrix(field: str, tmp_path: Path, folder: Path) -> None:
    adapter = random_adapter(GROUPED, 6, rank=4, alpha=8, fields=[field], gain=0.5)
    tokens = prompt_ids(GROUPED, 40)
    expected = oracle.logits(merged(WEIGHTS, [(adapter, 1)]), tokens)
    with Llama(folder / "model.gguf", kv="f32") as llama:
        found = llama.logits(tokens, lora=write_folder(tmp_path / "one", adapter))
        assert errors(found, expected).max() <= TOLERANCE
        assert errors(llama.logits(tokens), expected).max() > 100 * TOLERANCE


def test_several_at_once(folder: Path) -> None:
    tokens = prompt_ids(GROUPED, 60)
    two = Adapter(GROUPED, {k: (held(a, "F16"), held(b, "F16")) for k, (a, b) in TWO.pairs.items()}, 5, 3)
    expected = oracle.logits(merged(WEIGHTS, [(ONE, 1), (two, 0.5), (SMALL, -0.25), (ONE, 0.125)]), tokens)
    several: list[lora.Lora] = [
        folder / "one",
        (folder / "two", 0.5),
        (folder / "small", -0.25),
        (str(folder / "one"), 0.125),
    ]
    with Llama(folder / "model.gguf", kv="f32", lora=several) as llama:
        assert errors(llama.logits(tokens), expected).max() <= TOLERANCE
        scales = [("one", 1.0), ("two", 0.5), ("small", -0.25), ("one", 0.125)]
        assert llama.lora == tuple((str(folder / name), scale) for name, scale in scales)


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_types(dtype: str, tmp_path: Path, folder: Path) -> None:
    """The same numbers of whatever type, from a folder or a file, give the same bits."""
    numbers = {key: (held(a, dtype), held(b, dtype)) for key, (a, b) in ONE.pairs.items()}
    adapter = Adapter(GROUPED, numbers, ONE.rank, ONE.alpha)
    wide = write_folder(tmp_path / "wide", adapter)
    narrow = write_folder(tmp_path / "narrow", adapter, dtype=dtype)
    file = write_gguf(tmp_path / "x.gguf", adapter, kind=Kind[dtype])
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch/adapter_config.json").write_text(json.dumps(config_of(adapter)))
    state = {name: saved(tensor, dtype) for name, tensor in tensors_of(adapter, "llama").items()}
    write_torch(tmp_path / "torch/adapter_model.bin", state)
    tokens = prompt_ids(GROUPED, 40)
    with Llama(folder / "model.gguf") as llama:
        expected = llama.logits(tokens, lora=wide)
        for other in (narrow, file, tmp_path / "torch"):
            assert same(llama.logits(tokens, lora=other), expected)
        sizes = [llama._adapter(str(path)).bytes for path in (wide, narrow)]
    assert (sizes[0] == sizes[1]) == (dtype == "F32") and sizes[1] > sum(a.size + b.size for a, b in numbers.values())


def test_factors_of_their_own(tmp_path: Path, folder: Path) -> None:
    """alpha / rank, or alpha / sqrt(rank); the first pattern that fits a matrix says its alpha."""
    alphas = {r"layers\.1\.mlp\..*": 4, "q_proj": 24, "model.layers.1.mlp.up_proj": 99, "^lm_head": 2.5, "proj": 77}
    tokens = prompt_ids(GROUPED, 40)
    for rooted in (False, True):
        scaled = {}
        for (field, layer), (a, b) in ONE.pairs.items():
            of_mlp = layer == 1 and field in ("w1", "w2", "w3")
            alpha = 4 if of_mlp else 24 if field == "wq" else 2.5 if field == "classifier" else 16
            factor = alpha / (np.sqrt(8) if rooted else 8)
            scaled[field, layer] = a, b * factor
        expected = oracle.logits(merged(WEIGHTS, [(Adapter(GROUPED, scaled, 8, 8), 1)]), tokens)
        config = {"use_rslora": rooted, "alpha_pattern": alphas, "rank_pattern": {"q_proj": 8}}
        with Llama(folder / "model.gguf", kv="f32", lora=write_folder(tmp_path / "x", ONE, config=config)) as llama:
            assert errors(llama.logits(tokens), expected).max() <= 2 * TOLERANCE


def test_what_says_nothing(tmp_path: Path, folder: Path) -> None:
    said: list[dict[str, Any]] = [
        {"layers_to_transform": [], "modules_to_save": [], "rank_pattern": {}, "loftq_config": {"bits": 4}},
        {"init_lora_weights": "gaussian", "lora_dropout": 0.1, "layers_to_transform": [0, 1, 2], "arrow_config": None},
        {"target_modules": "all-linear", "trainable_token_indices": None, "exclude_modules": None, "revision": "main"},
    ]
    with Llama(folder / "model.gguf", lora=folder / "one") as llama:
        expected = llama.logits([1, 2, 3])
        for i, config in enumerate(said):
            other = write_folder(tmp_path / str(i), ONE, config=config)
            assert same(llama.logits([1, 2, 3], lora=other), expected)


# The law.

SUBJECTS = [
    ("grouped", None, "f16"),
    ("grouped", "q8_0", "q8_0"),
    ("separate", "q8_0", "f32"),
    ("odd grouped", None, None),
]
N_TOKENS = 70


class Law:
    """A model, two adapters of it, and the logits of some sets of these: of scalar code, token by token."""

    def __init__(self, path: Path, shape: str, quantize: str | None, kv: str | None) -> None:
        self.shape, self.quantize, self.kv = SHAPES[shape], quantize, kv
        kind = "llama" if shape == "odd grouped" else "qwen2"
        self.model = write(path / "model.gguf", random_weights(self.shape, 1), architecture=kind)
        self.one = write_gguf(path / "one.gguf", random_adapter(self.shape, 1, rank=8), kind)
        two = random_adapter(self.shape, 2, rank=37, alpha=20)
        self.two = write_gguf(path / "two.gguf", two, kind, Kind.BF16)
        self.sets: list[Set] = [
            [],
            [(self.one, 1.0)],
            [(self.one, 0.5)],
            [(self.two, 1.0), (self.one, -1.5)],
            [(self.one, -1.5), (self.two, 1.0)],
        ]
        self.tokens = prompt_ids(self.shape, N_TOKENS)
        model = self.load("scalar", threads=1)
        self.expected = [self.compute(model, s, [1] * N_TOKENS, batch=1, threads=1) for s in self.sets]

    def load(self, isa: str | None = None, threads: int = 2) -> _core.Model:
        return _core.Model(self.model, quantize=self.quantize, threads=threads, isa=isa)

    def compute(
        self, model: _core.Model, adapters: Set, chunks: Sequence[int], batch: int | None, threads: int
    ) -> Logits:
        session = _core.Session(model, context=None, batch=batch, threads=threads, kv=self.kv)
        session.set_adapters([(_core.Adapter(model, path), scale) for path, scale in adapters])
        edges = [0, *np.cumsum(chunks).tolist(), N_TOKENS]
        parts = [self.tokens[a:b] for a, b in pairwise(edges) if a < b]
        logits = [session.eval_logits(part, self.shape.vocab_size) for part in parts]
        session.close()
        return np.concatenate(logits)

    def llama(self, **options: Any) -> Llama:
        return Llama(self.model, quantize=self.quantize, kv=self.kv, **options)


@pytest.fixture(scope="module", params=SUBJECTS, ids=str)
def law(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Law:
    return Law(tmp_path_factory.mktemp("law"), *request.param)


def test_sets_differ(law: Law) -> None:
    for one, other in ((a, b) for i, a in enumerate(law.expected) for b in law.expected[:i]):
        assert not same(one, other)


@pytest.mark.parametrize("isa", _core.ISAS)
def test_instruction_sets_and_batches(law: Law, isa: str) -> None:
    try:
        model = law.load(isa)
    except DeviceError as error:
        pytest.skip(str(error))
    for adapters, expected in zip(law.sets, law.expected, strict=True):
        for batch in (1, 7, 64):
            assert same(law.compute(model, adapters, [], batch, threads=2), expected)


def test_threads_and_splits_of_the_prompt(law: Law) -> None:
    model = law.load()
    for adapters, expected in zip(law.sets, law.expected, strict=True):
        for threads in (1, 3, 8):
            for chunks in ([], [1, 30, 2, 15], [N_TOKENS - 1], [33] * 2):
                assert same(law.compute(model, adapters, chunks, None, threads), expected)


def test_side_by_side(law: Law) -> None:
    """Prompts of several lengths with all sets in the same steps: all logits, and what is drawn after them."""
    with law.llama(threads=2, prefix_cache=False, chunk=13) as llama, law.llama(prefix_cache=False, threads=1) as alone:
        asked = [(i, length) for length in (3, 9, 40, N_TOKENS - 20) for i in range(len(law.sets))]
        streams = [
            llama.submit(law.tokens[:length], 20, 0.7, seed=i, logprobs=2, echo=True, lora=law.sets[i])
            for i, length in asked
        ]
        for stream, (i, length) in zip(streams, asked, strict=True):
            one = alone.generate(law.tokens[:length], 20, 0.7, seed=i, logprobs=2, echo=True, lora=law.sets[i])
            other = stream.wait()
            assert (one.tokens, one.logprobs, one.prompt_logprobs) == (
                other.tokens,
                other.logprobs,
                other.prompt_logprobs,
            )
        for adapters, expected in zip(law.sets, law.expected, strict=True):
            assert same(llama.logits(law.tokens, lora=adapters), expected)


def test_paused_and_computed_again(law: Law) -> None:
    """In a pool that is too small for all of them."""
    with law.llama(pool=96, threads=2) as llama, law.llama(prefix_cache=False) as alone:
        streams = [llama.submit(law.tokens[: 8 + i], 30, 0, lora=law.sets[i % 5]) for i in range(15)]
        for i, stream in enumerate(streams):
            assert stream.wait().tokens == alone.generate(law.tokens[: 8 + i], 30, 0, lora=law.sets[i % 5]).tokens
        state = llama.state
        assert state.pauses > 0 and state.free + state.idle == state.pages


def test_guessing_ahead_changes_nothing(law: Law) -> None:
    with law.llama() as llama, law.llama(draft=law.model) as drafting:
        for adapters in law.sets[1:]:
            prompt = law.tokens[:8] * 3
            plain = llama.generate(prompt, 40, 0, lora=adapters, logprobs=1)
            for guessing in (llama, drafting):
                guessed = guessing.generate(prompt, 40, 0, lora=adapters, logprobs=1, speculate=6)
                assert (guessed.tokens, guessed.logprobs) == (plain.tokens, plain.logprobs)
                assert guessed.drafted > 0


def test_what_was_read_is_found_by_the_same_set_alone(law: Law) -> None:
    with law.llama(threads=2) as llama:
        for adapters, expected in zip(law.sets, law.expected, strict=True):
            assert llama.generate(law.tokens, 1, 0, lora=adapters).cached_tokens == 0
            assert llama.generate(law.tokens, 1, 0, lora=adapters).cached_tokens == N_TOKENS - 1
            assert same(llama.logits(law.tokens, lora=adapters), expected)
        again = [llama.generate(law.tokens, 1, 0, lora=adapters).cached_tokens for adapters in law.sets]
        assert again == [N_TOKENS - 1] * len(law.sets)


def test_a_model_stays_as_it_is(law: Law) -> None:
    with law.llama() as never, law.llama(lora=law.sets[3]) as llama:
        assert same(llama.logits(law.tokens), law.expected[3])
        assert same(llama.logits(law.tokens, lora=()), law.expected[0])
        assert same(never.logits(law.tokens), law.expected[0])


# In Python, and in files.


def test_every_way_to_ask(folder: Path) -> None:
    prompt, adapters = prompt_ids(GROUPED, 30), (folder / "one", 0.5)
    with Llama(folder / "model.gguf") as llama, Llama(folder / "model.gguf", lora=adapters) as usual:
        plain, expected = llama.generate(prompt, 20, 0), usual.generate(prompt, 20, 0)
        assert expected.tokens != plain.tokens
        for ours, options in ((llama, {"lora": adapters}), (usual, {}), (usual, {"lora": [adapters]})):
            assert ours.generate(prompt, 20, 0, **options).tokens == expected.tokens
            assert ours.stream(prompt, 20, 0, **options).wait().tokens == expected.tokens
            assert ours.submit(prompt, 20, 0, **options).wait().tokens == expected.tokens
            assert [r.tokens for r in ours.generate([prompt, prompt], 20, 0, **options)] == [expected.tokens] * 2
            many = [chunk.token for index, chunk in ours.stream_many([prompt, prompt], 20, 0, **options) if index]
            assert [token for token in many if token is not None] == expected.tokens
            assert ours.session(prompt, **options).generate(max_tokens=20, temperature=0).tokens == expected.tokens
            told = ours.generate(prompt, 1, 0, logprobs=0, echo=True, **options).prompt_logprobs
            assert told is not None and ours.score(prompt, **options).tolist() == told[1:]
        assert usual.generate(prompt, 20, 0, lora=()).tokens == plain.tokens
        assert usual.session(prompt, lora=()).generate(max_tokens=20, temperature=0).tokens == plain.tokens
        assert usual.score(prompt, lora=()).tolist() == llama.score(prompt).tolist()
        session = llama.session(prompt)
        assert session.generate(max_tokens=20, temperature=0, lora=adapters).tokens == expected.tokens


def test_sessions_are_saved_with_their_adapters(tmp_path: Path, folder: Path) -> None:
    prompt, one = prompt_ids(GROUPED, 50), [(folder / "one", 0.5)]
    with Llama(folder / "model.gguf") as llama:
        for name, adapters in (("one", one), ("plain", [])):
            session = llama.session(prompt, lora=adapters)
            session.generate(max_tokens=2, temperature=0)
            assert session.save(tmp_path / name) == 48
            assert session.fork().save(tmp_path / f"{name} again") == 48
    write_gguf(tmp_path / "copy.gguf", ONE)
    with Llama(folder / "model.gguf", lora=(tmp_path / "copy.gguf", 0.5)) as llama:
        loaded = llama.load_session(tmp_path / "one")
        result = loaded.generate(max_tokens=10, temperature=0)
        assert result.cached_tokens == 48
        assert result.tokens == llama.generate(loaded.tokens[:-10], 10, 0, lora=one).tokens
        assert llama.load_session(tmp_path / "plain", lora=()).generate(max_tokens=1).cached_tokens == 48
        others: list[tuple[str, lora.Adapters | None, str]] = [
            ("plain", None, "without adapters"),
            ("one", (), "with adapters, expected none"),
            ("one", [*one, *one], "with other adapters"),
            ("one", (folder / "one", 0.25), "with other adapters"),
            ("one", folder / "two", "with other adapters"),
        ]
        for name, wanted, words in others:
            with pytest.raises(CheckpointError, match=words):
                llama.load_session(tmp_path / name, lora=wanted)


def test_an_adapter_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Llama(folder / "model.gguf", lora=folder / "one") as llama:
        adapter = llama._adapter(str(folder / "one"))
        monkeypatch.chdir(folder)
        assert llama._adapter("one") is adapter is llama._adapter("./two/../one")
        llama.generate([1], 1, lora=["one", "two"])
    with pytest.raises(llama2py.ClosedError):
        llama.generate([1], 1, lora="one")


def test_room_for_ranks(tmp_path: Path, folder: Path) -> None:
    large = write_gguf(tmp_path / "large.gguf", random_adapter(GROUPED, 1, rank=120))
    with Llama(folder / "model.gguf") as llama:
        llama.logits([1], lora=[large] * 2)
        with pytest.raises(InvalidArgumentError, match=r"have 272 ranks together .* room for 256"):
            llama.logits([1], lora=[large, large, folder / "one"])
        expected = llama.logits([1, 2], lora=[large, (large, 0.5)])
        with pytest.raises(InvalidArgumentError, match="9 adapters; expected at most 8"):
            llama.logits([1], lora=[folder / "one"] * 9)
    with Llama(folder / "model.gguf", lora=[large] * 3) as llama:  # what it begins with has room
        llama.logits([1])
    with Llama(folder / "model.gguf", ranks=257) as llama:
        llama.logits([1], lora=[large, large, folder / "one"])
        assert same(llama.logits([1, 2], lora=[large, (large, 0.5)]), expected)
    with pytest.raises(InvalidArgumentError, match="ranks is -1, expected 0"):
        Llama(folder / "model.gguf", ranks=-1)


# What is refused.


def refused(folder: Path, adapter: Any) -> Llama2Error:
    with Llama(folder / "model.gguf") as llama:
        before = llama.generate([1, 2, 3], 5, 0).tokens
        with pytest.raises(Llama2Error) as raised:
            llama.generate([1, 2, 3], 5, 0, lora=adapter)
        assert "\n" not in str(raised.value)
        assert llama.generate([1, 2, 3], 5, 0).tokens == before
    return raised.value


Q0, UP1 = ONE.name("wq", 0), ONE.name("w3", 1)
A, B = ".lora_A.weight", ".lora_B.weight"
ONES = np.ones((8, 64), np.float32)
SAID: list[tuple[dict[str, Any], str]] = [
    ({"peft_type": "IA3"}, "peft_type is 'IA3', expected 'LORA'"),
    ({"peft_type": None}, "peft_type is None"),
    ({"use_dora": True}, "use_dora is True, expected false: DoRA"),
    ({"lora_bias": True}, "lora_bias is True"),
    ({"fan_in_fan_out": True}, "fan_in_fan_out is True"),
    ({"use_rslora": 1}, "use_rslora is 1, expected true or false"),
    ({"bias": "all"}, "bias is 'all', expected 'none'"),
    ({"modules_to_save": ["lm_head"]}, "modules_to_save is ['lm_head']"),
    ({"init_lora_weights": "pissa"}, "init_lora_weights is 'pissa'"),
    ({"alora_invocation_tokens": [5]}, "alora_invocation_tokens is [5], expected nothing"),
    ({"layer_replication": [[0, 2]]}, "layer_replication is [[0, 2]]"),
    ({"layers_to_transform": [0, 3]}, "layers_to_transform is [0, 3], expected numbers from 0 to 2"),
    ({"layers_to_transform": [True]}, "layers_to_transform is [True]"),
    ({"layers_to_transform": "0"}, "layers_to_transform is '0'"),
    ({"layers_to_transform": [0, 1]}, "of layer 2, which is not as layers_to_transform says"),
    ({"target_modules": ["q_proj", "embed_tokens"]}, "target_modules names 'embed_tokens'"),
    ({"target_modules": ["q_proj", 5]}, "target_modules is ['q_proj', 5]"),
    ({"r": 0}, "r is 0"),
    ({"r": 9}, "is 8 x 64, expected 9 x 64"),
    ({"lora_alpha": "16"}, "lora_alpha is '16'"),
    ({"lora_alpha": -1}, "lora_alpha is -1"),
    ({"rank_pattern": {"up_proj": 4}}, "expected 4 x 64"),
    ({"rank_pattern": {"up_proj": "4"}}, "up_proj is '4'"),
    ({"alpha_pattern": ["up_proj"]}, "alpha_pattern is ['up_proj'], expected an object"),
    ({"alpha_pattern": {"(a+)+": 4}}, "alpha_pattern has '(a+)+', expected a name"),
    ({"alpha_pattern": {"(q_proj": 4}}, "alpha_pattern has '(q_proj'"),
    ({"alpha_pattern": {"q" * 300: 4}}, "alpha_pattern has 'qqq"),
    ({"alpha_pattern": {".*.*.*.*": 4}}, "alpha_pattern has '.*.*.*.*'"),
]
LYING: list[tuple[dict[str, Any], str]] = [
    ({Q0 + A: None}, f"{Q0}{B} has no {Q0}{A} beside it"),
    ({UP1 + B: None}, f"{UP1}{A} has no {UP1}{B} beside it"),
    ({UP1 + A: None, UP1 + B: None}, f"the tensor {UP1}{A} is missing, which is to be there"),
    ({Q0 + A: ONES[:, :63]}, f"the tensor {Q0}{A} is 8 x 63, expected 8 x 64 for this model and the rank 8"),
    ({Q0 + B: ONES}, f"the tensor {Q0}{B} is 8 x 64, expected 64 x 8"),
    ({Q0 + A: ONES.reshape(8, 64, 1)}, "is 8 x 64 x 1"),
    ({Q0.replace(".0.", ".3.") + A: ONES}, "is of layer 3, which is not there; the model has 3"),
    ({Q0.replace(".0.", ".00.") + A: ONES}, "adds to what cannot be adapted"),
    ({"base_model.model.model.embed_tokens.lora_embedding_A": ONES}, "embed_tokens.lora_embedding_A' is not one"),
    ({"base_model.model.model.layers.0.mlp.experts.up_proj.lora_A.weight": ONES}, "cannot be adapted"),
    ({Q0 + ".lora_magnitude_vector.weight": ONES[0]}, "lora_magnitude_vector.weight' is not one"),
    ({Q0 + ".lora_B.bias": ONES[0]}, "lora_B.bias' is not one"),
    ({"model.layers.0.self_attn.q_proj" + A: ONES}, "'model.layers.0.self_attn.q_proj.lora_A.weight' is not one"),
    ({"base_model.model.lm_head.base_layer.weight": ONES}, "not known to be the model's own"),
]


@pytest.mark.parametrize(("config", "words"), SAID, ids=str)
def test_configurations_that_are_refused(config: dict[str, Any], words: str, tmp_path: Path, folder: Path) -> None:
    error = refused(folder, write_folder(tmp_path / "x", ONE, config=config))
    assert isinstance(error, CheckpointError) and str(tmp_path / "x/adapter_") in str(error)
    assert words in str(error)


@pytest.mark.parametrize(("tensors", "words"), LYING, ids=str)
def test_tensors_that_are_refused(tensors: dict[str, Any], words: str, tmp_path: Path, folder: Path) -> None:
    error = refused(folder, write_folder(tmp_path / "x", ONE, tensors=tensors))
    assert isinstance(error, CheckpointError) and str(tmp_path / "x/adapter_model.safetensors") in str(error)
    assert words in str(error)


GQ = "blk.0.attn_q.weight"
FILES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"general.type": "model"}, {}, "general.type is 'model', expected 'adapter'"),
    ({"general.type": None}, {}, "general.type"),
    ({"adapter.type": "control"}, {}, "adapter.type is 'control', expected 'lora'"),
    ({"adapter.lora.alpha": None}, {}, "adapter.lora.alpha"),
    ({"adapter.lora.alpha": "16"}, {}, "adapter.lora.alpha"),
    ({"adapter.alora.invocation_tokens": "x"}, {}, "begin in the middle of a text"),
    ({"llama2py.lora.halves": "yes"}, {}, "llama2py.lora.halves"),
    ({f"llama2py.lora.scale.{GQ}": float("inf")}, {}, f"llama2py.lora.scale.{GQ}"),
    ({}, {f"{GQ}.lora_a": None}, f"{GQ}.lora_b is not half of a pair"),
    ({}, {f"{GQ}.lora_b": None}, f"{GQ}.lora_a has no {GQ}.lora_b"),
    ({}, {f"{GQ}.lora_a": ONES[:, :60]}, f"{GQ}.lora_a is 8 x 60, expected 8 x 64"),
    ({}, {f"{GQ}.lora_a": ONES[:7]}, f"{GQ}.lora_b is 64 x 8, expected 64 x 7"),
    ({}, {"token_embd.weight.lora_a": ONES}, "token_embd.weight.lora_a adds to what cannot be adapted"),
    ({}, {"blk.3.attn_q.weight.lora_a": ONES}, "blk.3.attn_q.weight.lora_a adds to what cannot"),
    ({}, {"blk.0.attn_norm.weight.lora_a": ONES}, "blk.0.attn_norm.weight.lora_a adds"),
    ({}, {"output_norm.weight": ONES}, "output_norm.weight is not half of a pair"),
    ({}, {".lora_a": ONES}, ".lora_a is not half of a pair"),
    ({}, {f"{'x' * 60}.lora_b": ONES}, "is not half of a pair"),
]


@pytest.mark.parametrize(("metadata", "tensors", "words"), FILES, ids=str)
def test_files_that_are_refused(
    metadata: dict[str, Any], tensors: dict[str, Any], words: str, tmp_path: Path, folder: Path
) -> None:
    error = refused(folder, write_gguf(tmp_path / "x.gguf", ONE, metadata=metadata, tensors=tensors))
    assert isinstance(error, CheckpointError) and str(error).startswith(str(tmp_path / "x.gguf"))
    assert words in str(error)


def test_adapters_of_other_models_are_refused(tmp_path: Path, folder: Path) -> None:
    error = refused(folder, write_gguf(tmp_path / "x.gguf", ONE, "qwen2"))
    assert "general.architecture is 'qwen2', expected 'llama'" in str(error)
    other = random_adapter(SHAPES["plain"], 1)
    words = "layers.2.self_attn.q_proj.lora_A.weight is missing, which is to be there by adapter_config.json"
    assert words in str(refused(folder, write_folder(tmp_path / "x", other)))
    (tmp_path / "none").mkdir()
    with pytest.raises(CheckpointError, match=r"holds no tensors|is missing"):
        raise refused(folder, write_folder(tmp_path / "empty", Adapter(GROUPED, {}, 8, 16)))
    with pytest.raises(FileMissingError, match=r"a folder without adapter_config\.json"):
        raise refused(folder, tmp_path / "none")
    (tmp_path / "none/adapter_config.json").write_text("{}")
    with pytest.raises(FileMissingError, match=r"neither adapter_model\.safetensors nor adapter_model\.bin"):
        raise refused(folder, tmp_path / "none")
    with pytest.raises(FileMissingError, match="missing"):
        raise refused(folder, tmp_path / "missing")
    assert "general.type" in str(refused(folder, folder / "model.gguf"))


def test_a_folder_of_another_rotation_is_refused(tmp_path: Path) -> None:
    """Part of a head, in neighbours: Hugging Face's order of halves says nothing of it."""
    weights = random_weights(GROUPED, 1)
    path = write(tmp_path / "x.gguf", weights, metadata={".rope.dimension_count": (U32, 4)})
    with Llama(path) as llama, pytest.raises(CheckpointError, match="rotates 4 of a head's 8 dimensions"):
        llama.logits([1], lora=write_folder(tmp_path / "one", ONE))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (5, "expected a path"),
        ([5], "expected a path"),
        ([("x", "1")], "expected a path"),
        (("x", float("nan")), "its scale is nan"),
        (("x", float("inf")), "its scale is inf"),
    ],
    ids=str,
)
def test_what_is_no_adapter(said: Any, words: str, folder: Path) -> None:
    assert words in str(refused(folder, said))
    with pytest.raises(InvalidArgumentError, match=words):
        Llama(folder / "model.gguf", lora=said)


# The command line.


def test_what_the_command_line_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a:2").mkdir()
    assert lora.parse("one") == "one"
    assert lora.parse("one:0.5") == ("one", 0.5)
    assert lora.parse("one:-2") == ("one", -2)
    assert lora.parse("a:2") == "a:2"
    assert lora.parse("a:2:3") == ("a:2", 3)
    assert lora.parse("C:one") == "C:one"
    assert lora.parse(":1") == ":1"


def test_commands(call: Cli, tmp_path: Path, model_file: Callable[[Variant], Path]) -> None:
    checkpoint = str(model_file(Variant("grouped")))
    one = str(write_folder(tmp_path / "one", ONE))
    file = str(write_gguf(tmp_path / "small.gguf", SMALL))
    text = tmp_path / "text.txt"
    text.write_text("one day a fox found a door under a tree")
    with Llama(checkpoint, lora=[(one, 0.5), file]) as llama:
        expected = llama.generate("", 30, 0, echo=True)
        scored = llama2py.perplexity(llama, text.read_text())
    adapters = ["--lora", f"{one}:0.5", "--lora", file]
    done = call("run", checkpoint, "-t", "0", "-n", "30", "--json", *adapters)
    assert done.code == 0 and json.loads(done.out)["tokens"] == expected.tokens
    assert json.loads(call("run", checkpoint, "-t", "0", "-n", "30", "--json").out)["tokens"] != expected.tokens
    done = call("eval", "perplexity", checkpoint, str(text), "--json", *adapters)
    assert json.loads(done.out)["perplexity"] == scored.perplexity
    chats = [
        call("run", checkpoint, "-m", "chat", "-t", "0", "-n", "40", "-y", "", "-i", "hello", *extra).out
        for extra in (adapters, [])
    ]
    assert chats[0] != chats[1]
    assert "its scale is inf" in call.fails("run", checkpoint, "--lora", f"{one}:inf")
    assert "adapter_config.json" in call.fails("run", checkpoint, "--lora", str(tmp_path))
