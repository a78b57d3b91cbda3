"""tiktoken's tokens of the same ranks. `make test-peers` runs it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch_files import rank_tokens, recorded_ranks, write_ranks
from vocabularies import read_metadata

from llama2py import Tokenizer

tiktoken = pytest.importorskip("tiktoken", reason="tiktoken is not installed; make test-peers has it")

# How words are cut, of Meta's llama3/llama/tokenizer.py.
WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
WORDS += r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
TEXT = st.text(st.sampled_from("thenca 'sT\n\r\t 0123é🦙.,!?-_") | st.characters(codec="utf-8"), max_size=60)


def pair(tokens: list[bytes], path: Path) -> tuple[Tokenizer, Any]:
    ranks = {token: rank for rank, token in enumerate(tokens)}
    theirs = tiktoken.Encoding("theirs", pat_str=WORDS, mergeable_ranks=ranks, special_tokens={})
    return Tokenizer(write_ranks(path, tokens)), theirs


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tokenizer, Any]:
    return pair(rank_tokens(), tmp_path_factory.mktemp("small") / "tokenizer.model")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tokenizer, Any]:
    """Llama 3's own."""
    folder = os.environ.get("LLAMA2PY_TEST_DATA")
    if not folder:
        pytest.skip("LLAMA2PY_TEST_DATA is not set to the folder with real checkpoints")
    said = read_metadata(Path(folder) / "tokenizers" / "ggml-vocab-llama-bpe.gguf")["tokenizer.ggml.tokens"]
    return pair(recorded_ranks(said), tmp_path_factory.mktemp("large") / "tokenizer.model")


@settings(max_examples=300, deadline=None)
@given(text=TEXT)
@example(text=" the then hen thenthe aaaaaaa  aaaa")
@example(text="it's 12345\n\n  \n é🦙")
def test_small(text: str, small: tuple[Tokenizer, Any]) -> None:
    ours, theirs = small
    assert ours.encode(text, bos=False) == theirs.encode(text, disallowed_special=())


@settings(max_examples=500, deadline=None)
@given(text=TEXT)
@example(text="Once upon a time, the little dog ran under the big tree; antidisestablishmentarianism!")
def test_large(text: str, large: tuple[Tokenizer, Any]) -> None:
    ours, theirs = large
    assert ours.encode(text, bos=False) == theirs.encode(text, disallowed_special=())
