"""transformers as the oracle of every family: its own folders, of configurations that go through what each of them can
say, give its logits and its texts. `make test-peers` runs it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from llama2py import Llama

torch = pytest.importorskip("torch", reason="torch is not installed; make test-peers has it")
transformers = pytest.importorskip("transformers", reason="transformers is not installed; make test-peers has it")

torch.set_num_threads(1)  # its threads wait for one another longer than such small models take

CONTEXT, PROMPT, DRAWN = 192, 60, 100
TOLERANCE = 2e-4  # of the largest logit

HEADS = [(3, 1), (5, 5), (6, 2), (4, 4), (8, 2), (1, 1), (4, 1), (6, 3), (7, 7), (2, 1)]
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}
SCALINGS: list[dict[str, Any]] = [
    {},
    {"rope_type": "linear", "factor": 2.5},
    {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 48,
    },
    YARN,
    YARN | {"truncate": False, "beta_fast": 8.0, "beta_slow": 0.5},
    YARN | {"attention_factor": 0.75},
    YARN | {"factor": 16.0, "mscale": 1.0, "mscale_all_dim": 0.5, "beta_fast": 4},
    YARN | {"original_max_position_embeddings": 5, "beta_slow": 2.0},
    {"rope_type": "dynamic", "factor": 2.0},
    {"rope_type": "default"},
]
N_CONFIGURATIONS = len(SCALINGS)


@dataclass(frozen=True)
class Peer:
    """A family in transformers, and what its i-th configuration says besides what all of them do."""

    config: str
    model: str
    own: Callable[[int], dict[str, Any]] = field(default=lambda i: {})


def chooses(i: int) -> dict[str, Any]:
    n = (8, 2, 3, 5, 4)[i % 5]
    return {"num_local_experts": n, "num_experts_per_tok": min(1 + i % 3, n), "sliding_window": (None, 9)[i % 4 == 1]}


FAMILIES = {
    "llama": Peer("LlamaConfig", "LlamaForCausalLM", lambda i: {"attention_bias": i % 3 == 1}),
    "mistral": Peer(
        "MistralConfig", "MistralForCausalLM", lambda i: {"sliding_window": (None, 7, 33, 1, PROMPT, 4096)[i % 6]}
    ),
    "qwen2": Peer("Qwen2Config", "Qwen2ForCausalLM"),
    "qwen3": Peer("Qwen3Config", "Qwen3ForCausalLM", lambda i: {"attention_bias": i % 3 == 1}),
    "mixtral": Peer("MixtralConfig", "MixtralForCausalLM", chooses),
}


def configuration(family: str, i: int) -> dict[str, Any]:
    """Features go round at a step of their own, so that they meet in ways that differ."""
    shift = 3 * list(FAMILIES).index(family)
    heads, kv_heads = HEADS[(i + shift) % len(HEADS)]
    head_dim = (8, 16, 24, 10)[(i + shift) % 4]
    dim = heads * (head_dim if i % 2 else (14, 9, 20)[i % 3])
    return {
        "hidden_size": dim,
        "intermediate_size": (52, 96, 33)[i % 3],
        "num_hidden_layers": 1 + i % 3,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "vocab_size": 77 + 10 * i,
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": (1e-5, 1e-6)[i % 2],
        "tie_word_embeddings": (i + shift) % 2 == 0,
        "rope_parameters": {"rope_theta": (1e4, 500.0, 1e6)[i % 3]} | SCALINGS[(i + shift) % len(SCALINGS)],
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
    } | FAMILIES[family].own(i)


def model_of(family: str, i: int) -> Any:
    """A model whose activations have the spread of a trained one's."""
    peer = FAMILIES[family]
    config = getattr(transformers, peer.config)(**configuration(family, i))
    model = getattr(transformers, peer.model)(config).eval()
    if family == "mixtral":
        model.set_experts_implementation("eager")  # the other one wants rows of a multiple of 16 bytes
    generator = torch.Generator().manual_seed(i)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            drawn = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim > 1:
                parameter.copy_(drawn * (2.0 if "embed" in name else 1.0) / parameter.shape[-1] ** 0.5)
            else:
                parameter.copy_(0.5 * drawn if "bias" in name else 1 + 0.2 * drawn)
    return model


def theirs(model: Any, tokens: list[int]) -> npt.NDArray[np.float32]:
    with torch.no_grad():
        found: npt.NDArray[np.float32] = model(torch.tensor([tokens])).logits[0].numpy()
    return found


def check(folder: Path, model: Any) -> None:
    tokens = np.random.default_rng(1).integers(0, model.config.vocab_size, PROMPT).tolist()
    expected = theirs(model, tokens)
    allowed = TOLERANCE * np.abs(expected).max()
    with Llama(folder, kv="f32", threads=1) as llama:
        assert np.abs(llama.logits(tokens) - expected).max() <= allowed
        drawn = list(llama.generate(tokens, DRAWN, temperature=0, progress=False).tokens)
    with torch.no_grad():
        text = model.generate(torch.tensor([tokens]), max_new_tokens=DRAWN, do_sample=False)[0].tolist()
    text = text[PROMPT:]
    assert len(drawn) == len(text) == DRAWN
    same = next((i for i in range(DRAWN) if drawn[i] != text[i]), DRAWN)
    if same < DRAWN:  # only where rounding decides which of two is the likelier
        last = theirs(model, [*tokens, *text[:same]])[-1]
        assert last.max() - last[drawn[same]] <= allowed, f"token {same} of the text is {drawn[same]}, not {text[same]}"


@pytest.mark.parametrize("i", range(N_CONFIGURATIONS))
@pytest.mark.parametrize("family", FAMILIES)
def test_logits_and_texts(family: str, i: int, tmp_path: Path) -> None:
    model = model_of(family, i)
    model.save_pretrained(tmp_path)
    check(tmp_path, model)


@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16(family: str, tmp_path: Path) -> None:
    """The folder's numbers, computed with in float32."""
    model = model_of(family, 4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.to(torch.bfloat16))
    copy.deepcopy(model).to(torch.bfloat16).save_pretrained(tmp_path)
    check(tmp_path, model)


def test_experts_as_they_are_in_memory(tmp_path: Path) -> None:
    model = model_of("mixtral", 2)
    model.save_pretrained(tmp_path / "many")
    model.save_pretrained(tmp_path / "one", save_original_format=False)
    logits = []
    for folder in ("many", "one"):
        with Llama(tmp_path / folder, threads=1) as llama:
            logits.append(llama.logits(list(range(40))))
    assert (logits[0].view(np.int32) == logits[1].view(np.int32)).all()
    check(tmp_path / "one", model)
