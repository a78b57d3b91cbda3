"""The law: the same bits for any threads, machine, instruction set, batch, split, neighbours, and front door."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
from checkpoints import SHAPES, Variant, prompt_ids
from conftest import ROOT, Run
from families import FAMILIES

from llama2py import DeviceError, Llama, _core

Logits: TypeAlias = npt.NDArray[np.float32]

ISAS = _core.ISAS
# Processors that qemu emulates, and the instruction sets that they have, the best first.
AARCH64 = {"max": ("neon", "scalar"), "cortex-a57": ("scalar",)}
THREADS = (1, 2, 3, 8)
BATCHES = (1, 7, 64, 1024)
N_TOKENS = 90
STORIES = {
    "stories260K f32": ("stories260K/stories260K.bin", None),
    "stories260K q8_0": ("stories260K/stories260K.bin", "q8_0"),
    "stories260K v2": ("stories260K/stories260K-q8.bin", None),
}
VARIANTS = [
    Variant("odd"),
    Variant("odd", quantize="q8_0"),
    Variant("odd grouped", quantize="q8_0"),
    Variant("even", 2, 16),
    Variant("grouped", 1),
    Variant("grouped", 2, 64),
    Variant("separate", quantize="q8_0"),
    Variant("separate", 2, 48),
    Variant("plain", 2, 32, loud=True),
    Variant("plain", quantize="q8_0", loud=True),
    Variant("many heads"),
    Variant("vocab 1"),
    Variant("head_dim 1", quantize="q8_0"),
    Variant("long"),
]


@dataclass(frozen=True)
class Subject:
    """A model, tokens to compute, and the logits that the scalar kernels give on one thread, token by token."""

    path: Path
    quantize: str | None
    kv: str | None
    tokens: list[int]
    expected: Logits

    def load(self, isa: str | None = None) -> _core.Model:
        return _core.Model(self.path, quantize=self.quantize, threads=2, isa=isa)

    def session(self, model: _core.Model, batch: int | None = None, threads: int = 2) -> _core.Session:
        return _core.Session(model, context=None, batch=batch, threads=threads, kv=self.kv)

    def compute(
        self,
        model: _core.Model,
        tokens: Sequence[int],
        chunks: Sequence[int],
        batch: int | None = None,
        threads: int = 1,
    ) -> Logits:
        """The logits of tokens that one session is given in chunks of these sizes; what is left comes at the end."""
        vocab_size = model.describe()["vocab_size"]
        session = self.session(model, batch, threads)
        edges = [0, *np.cumsum(chunks).tolist(), len(tokens)]
        parts = [list(tokens[a:b]) for a, b in pairwise(edges) if a < b]
        logits = [session.eval_logits(part, vocab_size) for part in parts]
        session.close()
        return np.concatenate(logits)

    def check(self, found: Logits, first: int = 0) -> None:
        """Asserts that these are, bit for bit, the logits of the tokens from `first` on."""
        expected = self.expected[first : first + len(found)]
        assert found.shape == expected.shape
        differ = np.argwhere(found.view(np.uint32) != expected.view(np.uint32))
        assert len(differ) == 0, (
            f"{len(differ)} of {expected.size} logits differ, the first after token {first + differ[0][0]}: "
            f"{found[tuple(differ[0])]!r}, expected {expected[tuple(differ[0])]!r}"
        )


def subject_of(path: Path, quantize: str | None, kv: str | None, tokens: list[int]) -> Subject:
    model = _core.Model(path, quantize=quantize, threads=1, isa="scalar")
    bare = Subject(path, quantize, kv, tokens, np.empty(0, np.float32))
    return replace(bare, expected=bare.compute(model, tokens, [1] * len(tokens), batch=1))


FAMILY_MEMBERS = [
    ("llama, biases", None, None),
    ("llama, yarn of its own", "q8_0", None),
    ("llama, window", "q8_0", "f16"),
    ("llama, experts", None, None),
    ("llama, experts", "q8_0", None),
    ("llama, one expert of three", "q8_0", "f32"),
    ("llama, all experts", None, "q8_0"),
    ("llama, many experts", "q8_0", None),
    ("mistral, window", None, "q8_0"),
    ("mistral, long window", None, "f32"),
    ("mistral, long window", None, "f16"),
    ("mistral, long window", None, "q8_0"),
    ("qwen2", "q8_0", None),
    ("qwen2, part of a head", None, "q8_0"),
    ("qwen2, no biases", None, "q8_0"),
    ("qwen3, wide heads", None, None),
    ("qwen3, biases", "q8_0", "f32"),
]


@pytest.fixture(scope="module", params=[*STORIES, *VARIANTS, *FAMILY_MEMBERS], ids=str)
def subject(
    request: pytest.FixtureRequest, model_file: Callable[[Variant], Path], tmp_path_factory: pytest.TempPathFactory
) -> Subject:
    if isinstance(request.param, tuple):
        name, quantize, kv = request.param
        family = FAMILIES[name]
        path = family.write(tmp_path_factory.mktemp("family") / "model.gguf")
        return subject_of(path, quantize, kv, prompt_ids(family.shape, N_TOKENS if "long" not in name else 1100))
    if isinstance(request.param, str):
        name, quantize = STORIES[request.param]
        path = request.getfixturevalue("data") / name
        with Llama(path) as llama:
            tokens = np.random.default_rng(0).integers(0, llama.info.vocab_size, N_TOKENS).tolist()
        return subject_of(path, quantize, None, tokens)
    variant: Variant = request.param
    shape = SHAPES[variant.shape]
    tokens = prompt_ids(shape, 1100 if variant.shape == "long" else N_TOKENS)
    return subject_of(model_file(variant), variant.quantize, None, tokens)


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest, model_file: Callable[[Variant], Path]) -> str:
    """An instruction set that this machine has."""
    name: str = request.param
    try:
        Llama(model_file(Variant("all ones")), isa=name).close()
    except DeviceError as error:
        pytest.skip(str(error))
    return name


def test_instruction_sets_and_batches(subject: Subject, isa: str) -> None:
    model = subject.load(isa)
    for batch in BATCHES:
        subject.check(subject.compute(model, subject.tokens, [], batch, threads=2))


def test_threads(subject: Subject) -> None:
    model = subject.load()
    for threads in THREADS:
        for batch in (7, None):
            subject.check(subject.compute(model, subject.tokens[:40], [], batch, threads))


def test_more_threads_than_heads(subject: Subject) -> None:
    """Then what a token attends to is cut into runs of pages, which workers take in any order."""
    model = subject.load()
    tokens, few = subject.tokens, [1, 1, 3, 1, 8, 2]
    for threads in (5, 8):
        chunks = [len(tokens) - 20, *few]
        subject.check(subject.compute(model, tokens, chunks, threads=threads))


def test_splits_of_the_prompt(subject: Subject) -> None:
    model = subject.load()
    n = len(subject.tokens)
    for chunks in ([1] * n, [7] * (n // 7), [64] * (n // 64), [1, 30, 2, 15], [n - 1]):
        subject.check(subject.compute(model, subject.tokens, chunks, threads=2))


def test_a_sequence_cut_back_and_grown_again(subject: Subject) -> None:
    model = subject.load()
    vocab_size = model.describe()["vocab_size"]
    session = subject.session(model)
    tokens = subject.tokens
    session.eval_logits(tokens[::-1], vocab_size)
    for length in (0, 33, 16, 5):
        session.truncate(length)
        subject.check(session.eval_logits(tokens[length:], vocab_size), first=length)
    session.close()


def test_sessions_side_by_side(subject: Subject) -> None:
    model = subject.load()
    with ThreadPoolExecutor(3) as pool:
        batches = (1, 5, None)
        for logits in pool.map(
            lambda batch: subject.compute(model, subject.tokens[:30], [], batch, threads=2), batches
        ):
            subject.check(logits)


def test_the_public_class(subject: Subject) -> None:
    with Llama(subject.path, quantize=subject.quantize, threads=2, kv=subject.kv) as llama:
        subject.check(llama.logits(subject.tokens))
        subject.check(llama.logits(subject.tokens[:9]))


def test_a_draw_sees_the_same_logits(subject: Subject) -> None:
    """Tokens drawn at temperature 0 are the likeliest ones of a sequence computed at once."""
    model = subject.load()
    prompt = subject.tokens[:12]
    session = subject.session(model)
    session.eval(prompt)
    drawn, _ = session.generate(_core.Sampling(0.0, 0.9, 1), [], 20)
    session.close()
    logits = subject.compute(model, [*prompt, *drawn], [])[len(prompt) - 1 : -1]
    assert drawn == np.argmax(logits, axis=1).tolist()


def test_draws(subject: Subject, isa: str) -> None:
    drawn = []
    for name, threads in (("scalar", 1), (isa, 3)):
        model = subject.load(name)
        session = subject.session(model, threads=threads)
        session.eval(subject.tokens[:3])
        samplings = [_core.Sampling(temperature, top_p, 5) for temperature in (0.5, 1.5) for top_p in (0.5, 0.9, 1.0)]
        drawn.append([session.generate(sampling, [], 10) for sampling in samplings])
        session.close()
    assert drawn[0] == drawn[1]


def test_a_difference_of_one_bit_is_noticed() -> None:
    expected = np.ones((2, 3), dtype=np.float32)
    changed = expected.copy()
    changed[1, 2] = np.nextafter(np.float32(1), np.float32(2))
    subject = Subject(Path(), None, None, [], expected)
    subject.check(expected.copy())
    with pytest.raises(AssertionError, match="1 of 6 logits differ"):
        subject.check(changed)
    with pytest.raises(AssertionError, match="6 of 6 logits differ"):
        Subject(Path(), None, None, [], np.float32(0) * expected).check(np.float32(-0.0) * expected)


@pytest.fixture(scope="module", params=["stories260K", Variant("grouped"), Variant("separate", 2, 24)], ids=str)
def storyteller(request: pytest.FixtureRequest, model_file: Callable[[Variant], Path]) -> Path:
    """A checkpoint with its tokenizer beside it."""
    if isinstance(request.param, str):
        folder: Path = request.getfixturevalue("data")
        return folder / STORIES["stories260K f32"][0]
    return model_file(request.param)


def printable(text: str) -> str:
    """Text without the control characters that ./run keeps from the terminal."""
    return re.sub(r"[\x00-\x08\x0e-\x1f\x7f]", "", text)


@pytest.mark.parametrize("quantize", [None, "q8_0"])
@pytest.mark.parametrize(("temperature", "top_p", "seed"), [(0.0, 0.9, 1), (1.0, 0.9, 7), (0.8, 1.0, 8), (1.2, 0.5, 9)])
def test_run_and_python_tell_the_same(
    storyteller: Path, quantize: str | None, temperature: float, top_p: float, seed: int, run: Run
) -> None:
    with Llama(storyteller, quantize=quantize) as llama:
        result = llama.generate("", 64, temperature, top_p=top_p, seed=seed)
    sampling = ["-n", "64", "-t", str(temperature), "-p", str(top_p), "-s", str(seed)]
    quantized = ["--quant", quantize] if quantize else []
    for options, environment in (
        ([], {}),
        (["--threads", "1"], {}),
        (["--threads", "3", "--isa", "scalar"], {}),
        ([], {"LLAMA2_ISA": "scalar"}),
    ):
        done = run(storyteller, *sampling, *quantized, *options, env=environment)
        assert done.returncode == 0, done.stderr.decode()
        assert printable(done.stdout.decode("utf-8")) == printable(result.text) + "\n"


def test_a_seed_is_a_text(storyteller: Path) -> None:
    with Llama(storyteller) as llama:
        texts = [llama.generate("", 32, top_p=1.0, seed=seed).text for seed in (1, 2, 1)]
        drawn = llama.generate("", 32, top_p=1.0)
        again = llama.generate("", 32, top_p=1.0, seed=drawn.seed)
    assert texts[0] == texts[2] != texts[1]
    assert again.text == drawn.text


@dataclass(frozen=True)
class Emulated:
    """A processor of another kind, and the programs that `make test-neon` built for it."""

    emulator: list[str]
    isas: tuple[str, ...]

    def run(self, program: str, *arguments: object, isa: str | None = None) -> subprocess.CompletedProcess[bytes]:
        command = [*self.emulator, str(ROOT / "build/neon" / program), *map(str, arguments)]
        environment = {"LLAMA2_ISA": isa or ""}
        return subprocess.run(command, capture_output=True, env=os.environ | environment, timeout=300, check=False)


@pytest.fixture(params=AARCH64)
def aarch64(request: pytest.FixtureRequest) -> Emulated:
    emulator = os.environ.get("LLAMA2PY_TEST_AARCH64")
    if not emulator:
        pytest.skip("LLAMA2PY_TEST_AARCH64 is not set to an emulator's command line; `make test-neon` does it")
    return Emulated([*shlex.split(emulator), "-cpu", request.param], AARCH64[request.param])


def test_aarch64_computes_the_same(subject: Subject, aarch64: Emulated) -> None:
    types = _core.QUANTIZE[subject.quantize], _core.KV[subject.kv]
    for isa in (None, *aarch64.isas):
        done = aarch64.run("tests/logits", subject.path, *types, *subject.tokens, isa=isa)
        assert (done.returncode, done.stderr.decode().strip()) == (0, isa or aarch64.isas[0])
        subject.check(np.frombuffer(done.stdout, np.float32).reshape(len(subject.tokens), -1))


@pytest.mark.parametrize(("temperature", "seed"), [(0.0, 1), (1.0, 7)])
def test_aarch64_tells_the_same(storyteller: Path, temperature: float, seed: int, aarch64: Emulated, run: Run) -> None:
    arguments = (storyteller, "-n", "64", "-t", str(temperature), "-s", str(seed))
    here = run(*arguments)
    assert here.returncode == 0, here.stderr.decode()
    for isa in aarch64.isas:
        there = aarch64.run("run", *arguments, isa=isa)
        assert (there.returncode, there.stdout) == (0, here.stdout), there.stderr.decode()


def test_aarch64_says_what_it_lacks(model_file: Callable[[Variant], Path], aarch64: Emulated) -> None:
    for isa in {*ISAS} - {*aarch64.isas}:
        done = aarch64.run("run", model_file(Variant("grouped")), isa=isa)
        assert done.returncode != 0
        assert f"LLAMA2_ISA: this machine has no instruction set '{isa}'" in done.stderr.decode()
