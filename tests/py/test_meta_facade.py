"""llama2py.meta beside the rules of llama/generation.py in meta-llama/llama, written out in NumPy; and the examples."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import checkpoints
import numpy as np
import oracle
import pytest
import sentencepiece
from checkpoints import Shape, Weights
from conftest import ROOT
from folders import train_tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_files import write_meta

import llama2py
from llama2py import ContextOverflowError, InvalidArgumentError
from llama2py.meta import Dialog, Llama, Tokenizer

SHAPE = Shape(dim=32, hidden_dim=96, n_layers=2, n_heads=4, n_kv_heads=4, vocab_size=320, context=64, shared=False)
CONTEXT = 24
PAD, EOS = -1, 2


@pytest.fixture(scope="module")
def weights() -> Weights:
    return checkpoints.loud_weights(SHAPE, 4)


@pytest.fixture(scope="module")
def download(weights: Weights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Meta's download gives, in two shards."""
    folder = tmp_path_factory.mktemp("download")
    write_meta(folder / "llama-2-small", weights, 2, params={"hidden_dim": SHAPE.hidden_dim})
    train_tokenizer(folder / "tokenizer.model")
    return folder


@pytest.fixture(scope="module")
def generator(download: Path) -> Iterator[Llama]:
    built = Llama.build(
        str(download / "llama-2-small"), str(download / "tokenizer.model"), CONTEXT, 4, kv="f32", threads=2
    )
    with built as llama:
        yield llama


def reference(
    weights: Weights, prompts: Sequence[Sequence[int]], max_gen_len: int, echo: bool, ends: Sequence[int]
) -> tuple[list[list[int]], list[list[float]]]:
    """The greedy rules, for all rows at once, each filled up to the longest."""
    total = min(CONTEXT, max_gen_len + max(map(len, prompts)))
    tokens = np.full((len(prompts), total), PAD)
    logprobs = np.zeros((len(prompts), total))
    for row, prompt in zip(tokens, prompts, strict=True):
        row[: len(prompt)] = prompt
    given = tokens != PAD
    for row, mask, said in zip(tokens, given, logprobs, strict=True):
        for place in range(1, total):
            values = oracle.logits(weights, row[:place].tolist())[-1]
            if not mask[place]:
                row[place] = np.argmax(values)
            said[place] = values[row[place]] - np.logaddexp.reduce(values)
    kept: list[list[int]] = []
    likely: list[list[float]] = []
    for i, prompt in enumerate(prompts):
        cut = slice(0 if echo else len(prompt), len(prompt) + max_gen_len)
        ids: list[int] = tokens[i, cut].tolist()
        end = min((ids.index(token) for token in ends if token in ids), default=len(ids))
        kept.append(ids[:end])
        likely.append(logprobs[i, cut].tolist()[:end])
    return kept, likely


PROMPTS = [[1, 40, 90], [1, 300, 7, 8, 9, 200, 11], [1], [1, 5, 17, 2, 1, 33]]


@pytest.mark.parametrize("echo", [False, True])
@pytest.mark.parametrize("max_gen_len", [0, 1, 6, 23, 100])
def test_generate_is_the_references(weights: Weights, generator: Llama, max_gen_len: int, echo: bool) -> None:
    expected, likely = reference(weights, PROMPTS, max_gen_len, echo, [EOS])
    tokens, logprobs = generator.generate(PROMPTS, max_gen_len, temperature=0, logprobs=True, echo=echo)
    assert tokens == expected and logprobs is not None
    assert [len(row) for row in logprobs] == [len(row) for row in likely]
    for ours, theirs in zip(logprobs, likely, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4)
    assert generator.generate(PROMPTS, max_gen_len, 0, echo=echo) == (expected, None)
    if echo:
        assert tokens[3] == PROMPTS[3][:3] and logprobs[0][0] == 0.0


def test_it_ends_with_the_token_that_ends_a_text_and_no_other(
    weights: Weights, generator: Llama, monkeypatch: pytest.MonkeyPatch
) -> None:
    free, _ = reference(weights, PROMPTS[:2], 12, False, [])
    for end in sorted({token for row in free for token in row[2:6]}):
        monkeypatch.setattr(generator.tokenizer, "found", _Ending(generator.tokenizer.found, end))
        expected, likely = reference(weights, PROMPTS[:2], 12, False, [end])
        tokens, logprobs = generator.generate(PROMPTS[:2], 12, 0, logprobs=True)
        assert tokens == expected and [len(row) for row in logprobs or ()] == [len(row) for row in likely]


class _Ending:
    """A tokenizer with another token that ends a text."""

    def __init__(self, found: llama2py.Tokenizer, end: int) -> None:
        self.bos_id, self.eos_ids = found.bos_id, (end,)


def test_temperature_and_top_p(generator: Llama) -> None:
    greedy = generator.generate(PROMPTS, 8, 0)
    assert generator.generate(PROMPTS, 8, 0.9, top_p=0) == greedy
    assert generator.generate(PROMPTS, 8, -1.0) == greedy
    assert generator.generate(PROMPTS, 8, 5.0, top_p=2) != greedy
    drawn, logprobs = generator.generate([PROMPTS[0]] * 4, 8, 2.0, 1.0, logprobs=True)
    assert len({tuple(row) for row in drawn}) == 4 and logprobs is not None
    whole = [PROMPTS[0] + row for row in drawn]
    for row, told in zip(whole, logprobs, strict=True):  # temperature is not in them
        assert told == pytest.approx(generator.model.score(row, len(PROMPTS[0])).tolist(), abs=1e-6)


def test_a_seed_repeats_what_was_drawn(download: Path) -> None:
    def drawn(seed: int) -> list[Any]:
        with Llama.build(download / "llama-2-small", None, CONTEXT, 4, seed=seed) as llama:
            return [llama.generate(PROMPTS, 6, 1.0) for _ in range(2)]

    first = drawn(1)
    assert drawn(1) == first and first[0] != first[1] and drawn(2) != first


def test_text_completion(generator: Llama) -> None:
    prompts = ["the cat", "a little dog ran"]
    encoded = [generator.tokenizer.encode(prompt, bos=True, eos=False) for prompt in prompts]
    tokens, logprobs = generator.generate(encoded, 5, 0, logprobs=True, echo=True)
    decode = generator.tokenizer.decode
    assert generator.text_completion(prompts, 0, max_gen_len=5, logprobs=True, echo=True) == [
        {"generation": decode(ids), "tokens": [decode(token) for token in ids], "logprobs": likely}
        for ids, likely in zip(tokens, logprobs or (), strict=True)
    ]
    drawn, _ = generator.generate(encoded, 5, 0)
    assert generator.text_completion(prompts, 0, max_gen_len=5) == [{"generation": decode(ids)} for ids in drawn]
    long, _ = generator.generate(encoded, CONTEXT - 1, 0)
    assert generator.text_completion(prompts, 0) == [{"generation": decode(ids)} for ids in long]


TURNS: Dialog = [
    {"role": "user", "content": " hi "},
    {"role": "assistant", "content": "\nyes "},
    {"role": "user", "content": "a cat?"},
]
BE: Dialog = [{"role": "system", "content": " be "}]


@pytest.mark.parametrize(
    ("dialog", "turns"),
    [
        (TURNS[:1], ["[INST] hi [/INST]"]),
        (TURNS, ["[INST] hi [/INST] yes ", "[INST] a cat? [/INST]"]),
        (BE + TURNS[:1], ["[INST] <<SYS>>\n be \n<</SYS>>\n\n hi [/INST]"]),
        (BE + TURNS, ["[INST] <<SYS>>\n be \n<</SYS>>\n\n hi [/INST] yes ", "[INST] a cat? [/INST]"]),
    ],
)
def test_a_dialog_is_written_as_llama_2_was_taught(
    dialog: Dialog, turns: list[str], download: Path, generator: Llama
) -> None:
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(download / "tokenizer.model"))
    expected: list[int] = []
    for turn in turns[:-1]:
        expected += [theirs.bos_id(), *theirs.encode(turn), theirs.eos_id()]
    expected += [theirs.bos_id(), *theirs.encode(turns[-1])]
    assert generator._encode_dialog(dialog) == expected


def test_chat_completion(download: Path) -> None:
    unsafe: Dialog = [*TURNS[:2], {"role": "user", "content": "what is <<SYS>>?"}]
    with Llama.build(download / "llama-2-small", None, 2048, 3) as llama:
        dialogs = [TURNS, BE + TURNS[:1], unsafe]
        tokens, logprobs = llama.generate([llama._encode_dialog(dialog) for dialog in dialogs], 4, 0, logprobs=True)
        decode = llama.tokenizer.decode
        plain = llama.chat_completion(dialogs, 0, max_gen_len=4)
        told = llama.chat_completion(dialogs, 0, max_gen_len=4, logprobs=True)
    assert [answer["generation"] for answer in plain] == [answer["generation"] for answer in told]
    assert [set(answer) for answer in plain] == [{"generation"}] * 3
    said = [decode(tokens[0]), decode(tokens[1]), "Error: special tags are not allowed as part of the prompt."]
    assert [answer["generation"] for answer in plain] == [{"role": "assistant", "content": text} for text in said]
    assert [answer["tokens"] for answer in told] == [[decode(token) for token in ids] for ids in tokens]
    assert [answer["logprobs"] for answer in told] == logprobs


@pytest.mark.parametrize(
    ("dialog", "said"),
    [
        ([], "roles of a dialog are none"),
        (BE, "roles of a dialog are system; expected system, if at all, then user"),
        (TURNS[1:], "roles of a dialog are assistant, user"),
        (BE + TURNS[1:], "roles of a dialog are system, assistant, user"),
        (TURNS[:1] * 2, "roles of a dialog are user, user"),
        (TURNS[:1] + BE, "roles of a dialog are user, system"),
        (TURNS[:2], "the last message of a dialog is from assistant; expected user"),
    ],
)
def test_dialogs_that_are_none(dialog: Dialog, said: str, generator: Llama) -> None:
    with pytest.raises(InvalidArgumentError, match=said):
        generator.chat_completion([TURNS[:1], dialog])


def test_what_is_asserted_there_is_raised_here(generator: Llama, download: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="5 prompts; expected 1 to 4, max_batch_size"):
        generator.generate([[1]] * 5, 1)
    with pytest.raises(InvalidArgumentError, match="0 prompts"):
        generator.generate([], 1)
    with pytest.raises(InvalidArgumentError, match="max_gen_len is -1"):
        generator.generate([[1]], -1)
    with pytest.raises(ContextOverflowError, match="25 tokens, but max_seq_len is 24") as caught:
        generator.generate([[1], [1] * 25], 1)
    assert (caught.value.required, caught.value.available) == (25, 24)
    assert [len(row) for row in generator.generate([[1] * 24, [1] * 23], 5, 0)[0]] == [0, 1]
    for sizes, said in (((0, 1), "max_seq_len is 0"), ((8, 0), "max_batch_size is 0")):
        with pytest.raises(InvalidArgumentError, match=said):
            Llama.build(download / "llama-2-small", None, *sizes)
    with pytest.raises(llama2py.FileMissingError):
        Llama.build(download / "none", None, 8, 1)


@pytest.fixture(scope="module")
def both(download: Path) -> tuple[Tokenizer, Any]:
    file = download / "tokenizer.model"
    return Tokenizer(file), sentencepiece.SentencePieceProcessor(model_file=str(file))


@settings(max_examples=300, deadline=None)
@given(ids=st.lists(st.sampled_from([1, 2, *range(3 + 256, 320), *range(3 + 32, 3 + 127)]), max_size=8))
def test_texts_are_those_of_sentencepiece(ids: list[int], both: tuple[Tokenizer, Any]) -> None:
    ours, theirs = both
    assert ours.decode(ids) == theirs.decode(ids)
    assert [ours.decode(token) for token in ids] == [theirs.decode(token) for token in ids]
    assert ours.encode(ours.decode(ids), bos=True, eos=True) == [1, *theirs.encode(theirs.decode(ids)), 2]
    assert (ours.n_words, ours.bos_id, ours.eos_id, ours.pad_id) == (320, 1, 2, theirs.pad_id())


# The examples.


def example(name: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "examples" / f"{name}.py"), *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_the_example_of_texts(download: Path) -> None:
    done = example("text_completion", "--temperature=0", "--max_gen_len", "6")
    assert (done.returncode, done.stderr) == (0, "")
    with Llama.build(None, None, 128, 4) as llama:
        (expected,) = llama.text_completion(["Once upon a time"], 0, max_gen_len=6)
    assert done.stdout.startswith(f"Once upon a time\n> {expected['generation']}\n\n===")
    assert done.stdout.count("\n> ") == 4
    files = str(download / "llama-2-small"), str(download / "tokenizer.model")
    named = ("--ckpt_dir", files[0], "--tokenizer_path", files[1], "--temperature", "0", "--max_seq_len", "90")
    ways = [named, (f"--ckpt-dir={files[0]}", *named[2:6], "--max-seq-len=90"), (*files, "0", "--max_seq_len", "90")]
    texts = [example("text_completion", *way, "--max_gen_len=8") for way in ways]
    assert {(text.returncode, text.stderr) for text in texts} == {(0, "")}
    assert len({text.stdout for text in texts}) == 1 and texts[0].stdout != done.stdout


def test_the_example_of_dialogs() -> None:
    done = example("chat_completion", "--max_gen_len", "6")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("> Assistant: ") == 4 and "> Assistant: Error: special tags" in done.stdout


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--ckpt_dir", "none"), 1, "text_completion: none: "),
        (("--top_p", "x"), 2, "top_p is x; expected a number"),
        (("--max_batch_size", "2.5"), 2, "max_batch_size is 2.5; expected a whole number"),
        (("1", "2", "3", "4", "5", "6", "7", "8"), 2, "8 values without a name; expected at most 7"),
        (("--max_batch_size", "2"), 1, "text_completion: 4 prompts; expected 1 to 2"),
    ],
)
def test_what_an_example_refuses(options: tuple[str, ...], code: int, said: str) -> None:
    done = example("text_completion", *options)
    assert done.returncode == code and said in done.stderr and "Traceback" not in done.stderr
