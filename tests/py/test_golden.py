"""Real checkpoints: what the reference printed, byte for byte, by ./run and by Python; and real tokenizers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import Run

from llama2py import Llama, Tokenizer

N_CASES = 18
STORIES = "stories260K/stories260K.bin"
STORIES_TOKENIZER = "stories260K/tok512.bin"
PARTING = "\n__ggml_vocab_test__\n"


@dataclass(frozen=True)
class Recorded:
    """One command line of the reference and what it printed."""

    checkpoint: Path
    tokenizer: Path
    options: dict[str, str]
    text: str

    @property
    def arguments(self) -> list[str]:
        return [word for option in self.options.items() for word in option]


@pytest.fixture(scope="module")
def recorded(data: Path) -> list[Recorded]:
    cases = json.loads((data / "golden/llama2c/cases.json").read_text("utf-8"))
    return [
        Recorded(
            data / case["checkpoint"],
            data / case["tokenizer"],
            dict(zip(case["args"][::2], case["args"][1::2], strict=True)),
            # The reference drops the four raw bytes of the emoji, and nothing else.
            case["stdout"].replace("Lily saw a  and said", "Lily saw a 🦙 and said"),
        )
        for case in cases
    ]


def test_all_are_there(recorded: Sequence[Recorded]) -> None:
    assert len(recorded) == N_CASES
    assert sum("🦙" in case.text for case in recorded) == 2


@pytest.mark.parametrize("number", range(N_CASES))
def test_run_prints_what_the_reference_prints(number: int, recorded: Sequence[Recorded], run: Run) -> None:
    case = recorded[number]
    done = run(case.checkpoint, "-z", case.tokenizer, *case.arguments)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode("utf-8") == case.text


@pytest.mark.parametrize("number", range(N_CASES))
def test_python_says_what_the_reference_says(number: int, recorded: Sequence[Recorded]) -> None:
    case = recorded[number]
    prompt = case.options.get("-i", "")
    with Llama(case.checkpoint, case.tokenizer) as llama:
        steps = int(case.options["-n"]) or llama.context
        result = llama.generate(
            prompt,
            max_tokens=steps - (len(llama.tokenize(prompt)) - 1),
            temperature=float(case.options["-t"]),
            top_p=float(case.options.get("-p", 0.9)),
            seed=int(case.options.get("-s", 1)),
            echo=True,
        )
    assert result.text + "\n" == case.text


def test_every_version_tells_the_same_story(data: Path) -> None:
    stories = {}
    for name in ("stories260K.bin", "stories260K_v1.bin", "stories260K-q8.bin"):
        with Llama(data / "stories260K" / name, data / STORIES_TOKENIZER) as llama:
            stories[name] = llama.generate("", max_tokens=60, temperature=0).tokens
    first = stories["stories260K.bin"]
    assert len(first) == 60
    assert stories == dict.fromkeys(stories, first)


def test_quantising_while_loading_keeps_the_story(data: Path) -> None:
    texts = []
    for quantize in (None, "q8_0"):
        with Llama(data / STORIES, data / STORIES_TOKENIZER, quantize) as llama:
            texts.append(llama.generate("", max_tokens=60, temperature=0).text)
    assert texts[0] == texts[1]


@pytest.fixture(scope="module")
def vectors(data: Path) -> list[tuple[str, list[int]]]:
    """Texts and the ids that SentencePiece gives them with Llama 2's vocabulary."""
    stem = data / "tokenizers/ggml-vocab-llama-spm.gguf"
    texts = stem.with_suffix(".gguf.inp").read_text("utf-8").removesuffix(PARTING).split(PARTING)
    ids = [[int(word) for word in line.split()] for line in stem.with_suffix(".gguf.out").read_text().splitlines()]
    return list(zip(texts, ids, strict=True))


def test_llama_2s_tokenizer_encodes_as_sentencepiece(data: Path, vectors: Sequence[tuple[str, list[int]]]) -> None:
    tokenizer = Tokenizer(data / "tokenizers/tokenizer.bin")
    assert tokenizer.vocab_size == 32000
    wrong = [(text, found, ids) for text, ids in vectors if (found := tokenizer.encode(text, bos=False)) != ids]
    assert not wrong


def test_llama_2s_tokenizer_decodes_what_it_encoded(data: Path, vectors: Sequence[tuple[str, list[int]]]) -> None:
    tokenizer = Tokenizer(data / "tokenizers/tokenizer.bin")
    for text, ids in vectors:
        assert tokenizer.decode([tokenizer.bos_id, *ids]) == text


def test_the_tokenizer_beside_a_checkpoint_is_found(data: Path, run: Run, recorded: Sequence[Recorded]) -> None:
    with Llama(data / STORIES) as llama:
        assert Path(llama.tokenizer.path) == data / STORIES_TOKENIZER
    case = recorded[0]
    assert run(case.checkpoint, *case.arguments).stdout.decode("utf-8") == case.text
