"""PEFT's adapters on transformers' models, from the folders that both write. `make test-peers` runs it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from checkpoints import SHAPES, Shape, prompt_ids
from folders import config_of

from llama2py import Llama

torch = pytest.importorskip("torch", reason="torch is not installed; make test-peers has it")
transformers = pytest.importorskip("transformers", reason="transformers is not installed; make test-peers has it")
peft = pytest.importorskip("peft", reason="peft is not installed; make test-peers has it")

GROUPED = replace(SHAPES["grouped"], context=128)
TIED = replace(GROUPED, shared=True)
APART = replace(GROUPED, shared=False)
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
TOLERANCE = 2e-4


def base_of(folder: Path, shape: Shape, kind: str) -> Any:
    """A model of random weights, and its folder."""
    torch.manual_seed(1)
    made = {
        "llama": (transformers.LlamaForCausalLM, transformers.LlamaConfig),
        "mistral": (transformers.MistralForCausalLM, transformers.MistralConfig),
        "qwen2": (transformers.Qwen2ForCausalLM, transformers.Qwen2Config),
        "qwen3": (transformers.Qwen3ForCausalLM, transformers.Qwen3Config),
    }[kind]
    config = made[1](**config_of(shape, kind) | {"model_type": kind, "sliding_window": None})
    model = made[0](config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    return model


def adapted(base: Any, seed: int, name: str = "default", model: Any = None, **options: Any) -> Any:
    """The model with an adapter of random numbers, loud enough to be noticed."""
    config = peft.LoraConfig(**{"r": 8, "lora_alpha": 16, "target_modules": ALL} | options)
    if model is None:
        model = peft.get_peft_model(base, config, adapter_name=name)
    else:
        model.add_adapter(name, config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for said, parameter in model.named_parameters():
            if f".{name}." in said:
                parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def theirs(model: Any, tokens: list[int]) -> npt.NDArray[np.float32]:
    with torch.no_grad():
        found: npt.NDArray[np.float32] = model(torch.tensor([tokens])).logits[0].float().numpy()
    return found


def check(found: npt.NDArray[np.float32], expected: npt.NDArray[np.float32], plain: npt.NDArray[np.float32]) -> None:
    most = np.abs(expected).max()
    assert np.abs(found - expected).max() <= TOLERANCE * most
    assert np.abs(plain - expected).max() > 50 * TOLERANCE * most, "the adapter does nothing that would be noticed"


CASES: dict[str, tuple[str, Shape, dict[str, Any]]] = {
    "llama, all": ("llama", TIED, {}),
    "llama, queries and values": ("llama", TIED, {"target_modules": ["q_proj", "v_proj"], "r": 4}),
    "llama, the classifier too": ("llama", APART, {"target_modules": [*ALL, "lm_head"], "r": 16}),
    "llama, a shared classifier": ("llama", TIED, {"target_modules": ["o_proj", "lm_head"], "r": 5}),
    "llama, rslora": ("llama", TIED, {"use_rslora": True, "r": 6}),
    "llama, patterns": (
        "llama",
        TIED,
        {
            "rank_pattern": {"down_proj": 12, r"layers\.0\.self_attn\.[qk]_proj": 4},
            "alpha_pattern": {r"^model.layers.1.mlp.up_proj": 40, "q_proj": 3},
        },
    ),
    "llama, some layers": ("llama", TIED, {"layers_to_transform": [1]}),
    "llama, an expression": ("llama", TIED, {"target_modules": r".*layers\.0\..*(q|up)_proj"}),
    "llama, all-linear": ("llama", APART, {"target_modules": "all-linear"}),
    "mistral": ("mistral", APART, {}),
    "qwen2": ("qwen2", TIED, {"r": 16}),
    "qwen2, rslora and patterns": (
        "qwen2",
        APART,
        {"target_modules": [*ALL, "lm_head"], "use_rslora": True, "rank_pattern": {"k_proj": 3}},
    ),
    "qwen3": ("qwen3", TIED, {}),
}


@pytest.mark.parametrize("case", CASES)
def test_one(case: str, tmp_path: Path) -> None:
    kind, shape, options = CASES[case]
    base = base_of(tmp_path / "base", shape, kind)
    tokens = prompt_ids(shape, 60)
    model = adapted(base, 3, **options)
    model.save_pretrained(tmp_path / "safe")
    with Llama(tmp_path / "base", kv="f32", lora=tmp_path / "safe") as llama:
        found = llama.logits(tokens)
        check(found, theirs(model, tokens), llama.logits(tokens, lora=()))
        (tmp_path / "pickled").mkdir()
        (tmp_path / "pickled" / "adapter_config.json").write_text((tmp_path / "safe/adapter_config.json").read_text())
        torch.save(peft.get_peft_model_state_dict(model), tmp_path / "pickled" / "adapter_model.bin")
        assert (llama.logits(tokens, lora=tmp_path / "pickled").view(np.uint32) == found.view(np.uint32)).all()
        with model.disable_adapter():
            plain = theirs(model, tokens)
        assert np.abs(llama.logits(tokens, lora=()) - plain).max() <= TOLERANCE * np.abs(plain).max()


def test_merged(tmp_path: Path) -> None:
    """A model into which an adapter was merged gives what the two give apart."""
    base = base_of(tmp_path / "base", TIED, "llama")
    tokens = prompt_ids(TIED, 60)
    model = adapted(base, 3)
    model.save_pretrained(tmp_path / "one")
    model.merge_and_unload().save_pretrained(tmp_path / "merged")
    with Llama(tmp_path / "merged", kv="f32") as merged, Llama(tmp_path / "base", kv="f32") as llama:
        check(llama.logits(tokens, lora=tmp_path / "one"), merged.logits(tokens), llama.logits(tokens))


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_two_at_once(kind: str, tmp_path: Path) -> None:
    """With weights, as PEFT joins them: it scales A and B by the root of a weight each, here positive ones."""
    base = base_of(tmp_path / "base", TIED, kind)
    tokens = prompt_ids(TIED, 60)
    model = adapted(base, 3, "one")
    model = adapted(base, 4, "two", model, r=4, lora_alpha=12)
    model.save_pretrained(tmp_path)
    model.add_weighted_adapter(["one", "two"], [0.5, 1.25], "both", combination_type="cat")
    model.set_adapter("both")
    expected = theirs(model, tokens)
    both = [(tmp_path / "one", 0.5), (tmp_path / "two", 1.25)]
    with Llama(tmp_path / "base", kv="f32") as llama:
        check(llama.logits(tokens, lora=both), expected, llama.logits(tokens, lora=tmp_path / "one"))


def test_types(tmp_path: Path) -> None:
    """Adapters are trained in bfloat16 too, and kept so."""
    base = base_of(tmp_path / "base", TIED, "llama")
    tokens = prompt_ids(TIED, 60)
    for dtype in (torch.bfloat16, torch.float16):
        model = adapted(base_of(tmp_path / "again", TIED, "llama"), 3)
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.data = parameter.data.to(dtype)
        folder = tmp_path / str(dtype)
        model.save_pretrained(folder)
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.data = parameter.data.float()
        with Llama(tmp_path / "base", kv="f32") as llama:
            check(llama.logits(tokens, lora=folder), theirs(model, tokens), theirs(base, tokens))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"use_dora": True}, "use_dora is True, expected false: DoRA"),
        ({"bias": "lora_only"}, "bias is 'lora_only', expected 'none'"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save is"),
        ({"target_modules": ["q_proj", "embed_tokens"]}, "target_modules names 'embed_tokens'"),
        ({"layer_replication": [(0, 2), (1, 2)], "target_modules": ["q_proj"]}, "layer_replication is"),
    ],
)
def test_what_is_refused(options: dict[str, Any], words: str, tmp_path: Path) -> None:
    model = adapted(base_of(tmp_path / "base", TIED, "llama"), 3, **options)
    model.save_pretrained(tmp_path / "one")
    from llama2py import CheckpointError  # noqa: PLC0415

    with Llama(tmp_path / "base") as llama, pytest.raises(CheckpointError) as raised:
        llama.generate([1], 1, lora=tmp_path / "one")
    assert words in str(raised.value) and json.dumps("adapter_config.json")[1:-1] in str(raised.value)
