"""Log-probabilities and perplexity: against their definition and the oracle, and the same bits whatever computes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import oracle
import pytest
from checkpoints import SHAPES, Shape, Variant, prompt_ids, random_weights, write_tokenizer, write_v0
from conftest import Cli
from test_law import BATCHES, ISAS, THREADS

import llama2py
from llama2py import Llama, Perplexity, _core

SMALL = Shape(dim=40, hidden_dim=52, n_layers=2, n_heads=4, n_kv_heads=2, vocab_size=320, context=64)
TEXT = "One day a bird sat on a tree. It was happy, and it sang. " * 6


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("perplexity")
    write_tokenizer(folder / "tokenizer.bin", SMALL.vocab_size)
    return write_v0(folder / "model.bin", random_weights(SMALL, seed=1))


@pytest.fixture(scope="module")
def text(checkpoint: Path) -> str:
    path = checkpoint.with_name("text.txt")
    path.write_text(TEXT, encoding="utf-8")
    return str(path)


def log_softmax(logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    result: npt.NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result


def chosen(logits: npt.NDArray[np.floating], tokens: list[int]) -> npt.NDArray[np.float64]:
    """The definition: ln p of each token but the first."""
    return log_softmax(logits[:-1])[np.arange(len(tokens) - 1), tokens[1:]]


# Scores.


@pytest.mark.parametrize("name", ["plain", "odd grouped", "separate", "vocab 1", "head_dim 1"])
def test_scores_are_logarithms_of_probabilities(name: str, tmp_path: Path) -> None:
    weights = random_weights(SHAPES[name], seed=3)
    tokens = prompt_ids(SHAPES[name], 70)
    with Llama(write_v0(tmp_path / "model.bin", weights)) as llama:
        scores = llama.score(tokens)
        assert scores.dtype == np.float64
        np.testing.assert_allclose(scores, chosen(llama.logits(tokens), tokens), rtol=0, atol=3e-7)
    np.testing.assert_allclose(scores, chosen(oracle.logits(weights, tokens), tokens), rtol=0, atol=3e-4)


def test_scores_have_the_same_bits_whatever_computes(tmp_path: Path) -> None:
    path = Variant("grouped").write(tmp_path / "model.bin")
    tokens = prompt_ids(SHAPES["grouped"], 90)
    expected = None
    for isa in ISAS:
        try:
            loaded = Llama(path, threads=1, isa=isa, batch=1)
        except llama2py.DeviceError:
            continue
        with loaded as llama:
            scores = llama.score(tokens)
            expected = scores if expected is None else expected
            assert np.array_equal(scores, expected), isa
    assert expected is not None
    for threads, batch in zip(THREADS, BATCHES, strict=True):
        with Llama(path, threads=threads, batch=batch) as llama:
            assert np.array_equal(llama.score(tokens), expected)
            for first in (2, 65, 89, 90):
                assert np.array_equal(llama.score(tokens, first), expected[first - 1 :])


def test_score_appends(checkpoint: Path) -> None:
    """A sequence may be scored in pieces, and goes on as if it had been computed any other way."""
    tokens = prompt_ids(SMALL, 50)
    model = _core.Model(checkpoint, quantize=None, threads=1, isa=None)
    session, other = (_core.Session(model, context=None, batch=None, threads=2) for _ in range(2))
    whole = session.score(tokens[:-1], tokens[1:])
    other.eval(tokens[:7])
    pieces = [other.score(tokens[7:20], tokens[8:21]), other.score(tokens[20:-1], tokens[21:])]
    assert np.array_equal(np.concatenate(pieces), whole[7:])
    assert np.array_equal(other.eval_logits(tokens[-1:], 320), session.eval_logits(tokens[-1:], 320))
    session.truncate(0)
    some = [token if i % 3 == 0 else -1 for i, token in enumerate(tokens[1:])]
    scored = session.score(tokens[:-1], some)
    assert np.array_equal(scored[::3], whole[::3])
    assert np.isnan(np.delete(scored, np.s_[::3])).all()


def test_a_failed_score_leaves_the_sequence(checkpoint: Path) -> None:
    tokens = prompt_ids(SMALL, 40)
    model = _core.Model(checkpoint, quantize=None, threads=1, isa=None)
    session = _core.Session(model, context=None, batch=None, threads=1)
    session.eval(tokens[:30])
    refused = [
        ([1, 2], [1, 320], llama2py.InvalidArgumentError),
        ([1, -1], [1, 1], llama2py.InvalidArgumentError),
        ([], [], llama2py.InvalidArgumentError),
        ([1] * 35, [1] * 35, llama2py.ContextOverflowError),
    ]
    for appended, targets, kind in refused:
        with pytest.raises(kind):
            session.score(appended, targets)
    fresh = _core.Session(model, context=None, batch=None, threads=1)
    assert np.array_equal(session.eval_logits(tokens[30:], 320), fresh.eval_logits(tokens, 320)[30:])


def test_score_refuses(checkpoint: Path, tmp_path: Path) -> None:
    with Llama(checkpoint) as llama:
        assert llama.score([1]).shape == (0,)
        assert llama.score([1] * 64).shape == (63,)
        for tokens, first in (([], 1), ([1, 2], 0), ([1, 2], 3)):
            with pytest.raises(llama2py.InvalidArgumentError, match="first"):
                llama.score(tokens, first)
        with pytest.raises(llama2py.ContextOverflowError):
            llama.score([1] * 65)
    weights = random_weights(SMALL, seed=1)
    weights.final_norm[0] = np.inf
    with Llama(write_v0(tmp_path / "model.bin", weights)) as llama, pytest.raises(llama2py.NumericError):
        llama.score([1, 2, 3])


# Perplexity.


def by_definition(llama: Llama, ids: list[int], context: int, stride: int) -> npt.NDArray[np.float64]:
    """-ln p of each token that is scored: windows as transformers' documentation has them, labels shifted by one."""
    losses: list[float] = []
    done = 0
    for begin in range(0, len(ids), stride):
        end = min(begin + context, len(ids))
        window = ids[begin:end]
        labels = [-100] * (len(window) - (end - done)) + window[len(window) - (end - done) :]
        table = log_softmax(llama.logits(window))
        losses += [-table[i, labels[i + 1]] for i in range(len(window) - 1) if labels[i + 1] != -100]
        done = end
        if end == len(ids):
            break
    return np.array(losses)


@pytest.mark.parametrize(
    ("n", "context", "stride"),
    [
        (90, 64, 32),
        (90, 64, 64),
        (90, 64, 1),
        (90, 2, 1),
        (90, 2, 2),
        (90, 33, 7),
        (64, 64, 64),
        (65, 64, 64),
        (2, 64, 5),
    ],
)
def test_perplexity_is_the_strided_mean(checkpoint: Path, n: int, context: int, stride: int) -> None:
    with Llama(checkpoint) as llama:
        ids = prompt_ids(SMALL, n)
        losses = by_definition(llama, ids, context, stride)
        seen: list[tuple[int, int]] = []
        found = llama2py.perplexity(
            llama, ids, context=context, stride=stride, progress=lambda done, total: seen.append((done, total))
        )
    assert found.tokens == len(losses)
    assert found.nll == pytest.approx(losses.mean(), rel=1e-6)
    assert found.perplexity == pytest.approx(math.exp(losses.mean()), rel=1e-6)
    if len(losses) > 1:
        error = losses.std(ddof=1) / math.sqrt(len(losses))
        assert found.error == pytest.approx(found.perplexity * error, rel=1e-5)
    else:
        assert math.isnan(found.error)
    assert seen[-1] == (n, n) and seen == sorted(seen)


def test_perplexity_takes_text_and_defaults(checkpoint: Path) -> None:
    with Llama(checkpoint) as llama:
        ids = llama.tokenize(TEXT)
        found = llama2py.perplexity(llama, TEXT)
        assert found == llama2py.perplexity(llama, ids, context=64, stride=32)
        assert found.tokens == len(ids) - 1
        assert llama2py.perplexity(llama, TEXT, limit=20) == llama2py.perplexity(llama, ids[:20])
        refused: tuple[dict[str, Any], ...] = (
            {"context": 1},
            {"context": 65},
            {"stride": 0},
            {"stride": 65},
            {"limit": 1},
        )
        for options in refused:
            with pytest.raises(llama2py.InvalidArgumentError):
                llama2py.perplexity(llama, TEXT, **options)
        with pytest.raises(llama2py.InvalidArgumentError, match="tokens in the text: 1;"):
            llama2py.perplexity(llama, "")


def test_a_trained_model_foretells_its_own_story(data: Path) -> None:
    with Llama(data / "stories260K/stories260K.gguf", context=512) as llama:
        story = llama.generate("Once upon a time", 200, temperature=0.5, seed=1, echo=True).text
        ids = llama.tokenize(story)
        shuffled = [ids[0], *np.random.default_rng(1).permutation(ids[1:]).tolist()]
        known, unknown = llama2py.perplexity(llama, ids), llama2py.perplexity(llama, shuffled)
    assert known.perplexity + 3 * known.error < 5
    assert unknown.perplexity - 3 * unknown.error > 50


# The command.


def test_eval_perplexity(call: Cli, checkpoint: Path, text: str) -> None:
    with Llama(checkpoint) as llama:
        ids = llama.tokenize(TEXT)
        expected = llama2py.perplexity(llama, ids, context=48, stride=16, limit=90)
    options = ("--context", "48", "--stride", "16", "--limit", "90", "--threads", "2")
    done = call("eval", "perplexity", str(checkpoint), text, *options, "--json")
    told = json.loads(done.out)
    assert (done.code, done.err) == (0, "")
    assert told.pop("seconds") > 0 and told.pop("tokens_per_second") > 0
    assert Perplexity(**told) == expected
    page = call("eval", "perplexity", str(checkpoint), text, *options).out
    assert f"{expected.perplexity:.4f} ± {expected.error:.4f}" in page
    assert f"{expected.tokens:,} of 90 tokens" in page


def test_eval_perplexity_quantizes(call: Cli, checkpoint: Path, text: str) -> None:
    with Llama(checkpoint, quantize="q8_0") as llama:
        expected = llama2py.perplexity(llama, TEXT)
    told = json.loads(call("eval", "perplexity", str(checkpoint), text, "--quant", "q8_0", "--json").out)
    assert told["perplexity"] == expected.perplexity


@pytest.mark.parametrize("written", ["One day a bird sat on a tree.\n", "Eintagsfliege,", "né à côté "])
@pytest.mark.parametrize("limit", [2, 90, 1000])
def test_eval_reads_what_it_takes(call: Cli, checkpoint: Path, tmp_path: Path, written: str, limit: int) -> None:
    path = tmp_path / "long.txt"
    whole = written * 3000
    path.write_text(whole, encoding="utf-8")
    with Llama(checkpoint) as llama:
        expected = llama2py.perplexity(llama, whole, limit=limit)
    options = ("eval", "perplexity", str(checkpoint), str(path), "--json")
    told = json.loads(call(*options, "--limit", str(limit)).out)
    assert (told["perplexity"], told["tokens"]) == (expected.perplexity, expected.tokens)
    with path.open("ab") as file:
        file.write(b"\xff")
    assert "long.txt: " in call.fails(*options)
    if " " in written:
        assert json.loads(call(*options, "--limit", str(limit)).out)["perplexity"] == expected.perplexity


def test_eval_refuses(call: Cli, checkpoint: Path, text: str, tmp_path: Path) -> None:
    model = str(checkpoint)
    bad = tmp_path / "latin1.txt"
    bad.write_bytes("né".encode("latin-1"))
    (tmp_path / "empty.txt").write_bytes(b"")
    assert "latin1.txt: " in call.fails("eval", "perplexity", model, str(bad))
    assert "none.txt: cannot read the text" in call.fails("eval", "perplexity", model, str(tmp_path / "none.txt"))
    assert "cannot read the text" in call.fails("eval", "perplexity", model, str(tmp_path))
    assert "tokens in the text: 1;" in call.fails("eval", "perplexity", model, str(tmp_path / "empty.txt"))
    assert "context is 1; expected at least 2" in call.fails("eval", "perplexity", model, text, "--context", "1")
    assert "stride is 0" in call.fails("eval", "perplexity", model, text, "--stride", "0")
    assert "context" in call.fails("eval", "perplexity", model, text, "--context", "65")
    assert "limit is -1" in call.fails("eval", "perplexity", model, text, "--limit", "-1")
    assert "WHAT" in call.fails("eval")
