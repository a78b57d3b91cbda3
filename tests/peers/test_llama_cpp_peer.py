"""GGUF files that convert() writes, in llama.cpp: the same logits. LLAMA2PY_LLAMA_CPP names a Python that has
llama-cpp-python, as `make bench-peers` builds one.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import checkpoints
import numpy as np
import pytest
from checkpoints import Rope, Shape
from families import BIASES, HALVES, NORMS, Family
from folders import train_tokenizer, write_folder

from bench.peer import LlamaCpp
from llama2py import Llama, Tokenizer, convert

PYTHON = os.environ.get("LLAMA2PY_LLAMA_CPP")

pytestmark = pytest.mark.skipif(not PYTHON, reason="LLAMA2PY_LLAMA_CPP is not set to a Python with llama-cpp-python")

# The most that they may differ by, as a share of the largest logit. llama.cpp has keys and values in float16 as we do,
# and activations to the blocks that each type wants.
BOUNDS = {"f32": 2e-3, "f16": 3e-3, "q8_0": 0.05, "q4_k_m": 0.08}


def models(vocab_size: int) -> dict[str, tuple[str, Family, dict[str, Any]]]:
    shape = Shape(256, 512, 2, 4, 2, vocab_size, 128, shared=False)
    scaling = {"rope_scaling": {"type": "linear", "factor": 4.0}}
    return {
        "llama": ("llama", Family("llama", shape), {}),
        "linear": ("llama", Family("llama", shape, Rope(scaling="linear", factor=4.0)), scaling),
        "qwen2": ("qwen2", Family("qwen2", shape, HALVES, BIASES), {}),
        "qwen3": ("qwen3", Family("qwen3", shape, HALVES, NORMS), {}),
    }


@pytest.mark.parametrize("kind", BOUNDS)
@pytest.mark.parametrize("name", models(1))
def test_what_convert_writes(name: str, kind: str, tmp_path: Path) -> None:
    tokenizer = train_tokenizer(tmp_path / "tokenizer.model")
    model_type, family, config = models(Tokenizer(tokenizer).vocab_size)[name]
    folder = write_folder(tmp_path / "folder", family.weights(), model_type, config=config)
    shutil.copy(tokenizer, folder)
    path = tmp_path / "model.gguf"
    convert(folder, path, kind)
    tokens = checkpoints.prompt_ids(family.shape, 40)
    with Llama(path) as llama:
        ours = llama.logits(tokens)
    peer = LlamaCpp(Path(str(PYTHON)), path, 1)
    try:
        rows, last = peer.logits(tokens)
    finally:
        peer.close()
    for found in (rows, last):
        expected = ours if found.ndim == 2 else ours[-1]
        assert np.abs(found - expected).max() < BOUNDS[kind] * np.abs(ours).max()
