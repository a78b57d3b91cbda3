"""Files that torch itself has written, and transformers' logits of the same weights. `make test-peers` runs it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import checkpoints
import numpy as np
import pytest
from folders import config_of
from test_meta_folder import GROUPED, SHAPE, ckpt, logits_of
from torch_files import META, meta_tensors, params_of, write_meta

from llama2py import CheckpointError
from llama2py._torch import read, read_tensors

torch = pytest.importorskip("torch", reason="torch is not installed; make test-peers has it")


def tensors(**of: Any) -> dict[str, Any]:
    return {name: torch.from_numpy(np.array(value, np.float32)) for name, value in of.items()}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_state_dicts(protocol: int, tmp_path: Path) -> None:
    """Of a module, whose tensors are parameters and which tells versions; in all floating types."""
    module = torch.nn.Sequential(
        torch.nn.Linear(7, 5), torch.nn.LayerNorm(5), torch.nn.Embedding(4, 3, dtype=torch.bfloat16)
    )
    module.register_buffer("short", torch.randn(3, 2, dtype=torch.float16))
    module.register_parameter("again", module[0].weight)
    path = tmp_path / "x.pt"
    torch.save(module.state_dict(), path, pickle_protocol=protocol)
    found = read_tensors(str(path))
    for name, tensor in module.state_dict().items():
        assert found[name].shape == tuple(tensor.shape)
        assert found[name].data.tobytes() == tensor.contiguous().view(torch.uint8).numpy().tobytes(), name
    assert found["0.weight"].data.ctypes.data == found["again"].data.ctypes.data
    torch.save(dict(module.named_parameters()), path, pickle_protocol=protocol)
    assert read_tensors(str(path)).keys() == dict(module.named_parameters()).keys()


def test_all_types(tmp_path: Path) -> None:
    names = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"]
    names += ["complex64", "uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2"]
    state = {name: torch.ones(3).to(getattr(torch, name)) for name in names}
    torch.save(state, tmp_path / "x.pt")
    found = read_tensors(str(tmp_path / "x.pt"))
    for name, tensor in state.items():
        assert found[name].data.size == 3 * tensor.element_size(), name


def test_views_and_what_lies_otherwise(tmp_path: Path) -> None:
    whole = torch.arange(24.0).reshape(4, 6)
    torch.save({"rows": whole[1:3], "one": whole[0, 3], "none": whole[:0]}, tmp_path / "x.pt")
    found = read_tensors(str(tmp_path / "x.pt"))
    assert found["rows"].data.view("<f4").tolist() == whole[1:3].reshape(-1).tolist()
    assert found["one"].data.view("<f4").tolist() == [3] and found["none"].shape == (0, 6)
    torch.save({"turned": whole.T}, tmp_path / "y.pt")
    with pytest.raises(CheckpointError, match=r"'turned' of 6 x 4 lies in steps of 1 x 6, .*\.contiguous\(\)"):
        read_tensors(str(tmp_path / "y.pt"))


def test_a_whole_training_state(tmp_path: Path) -> None:
    module = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(module.parameters())
    module(torch.ones(3)).sum().backward()
    optimizer.step()
    config = {"lr": 1e-3, "name": "größer", "betas": (0.9, 0.95), "none": None, "shape": torch.Size([2, 3])}
    torch.save({"model": module.state_dict(), "optimizer": optimizer.state_dict(), "config": config}, tmp_path / "x.pt")
    found = read(str(tmp_path / "x.pt"))
    assert found["config"] == config and found["optimizer"]["param_groups"][0]["params"] == [0, 1]


def test_files_that_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    torch.save(tensors(a=1), path, _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match=r"of before version 1\.6"):
        read(str(path))
    torch.save(torch.nn.Linear(2, 2), path)
    with pytest.raises(CheckpointError, match=r"the instruction b'\\x81'|asks for torch\.nn\.modules\.linear\.Linear"):
        read(str(path))
    torch.save({"a": torch.ones(2, 2).to_sparse()}, path)
    with pytest.raises(CheckpointError, match=r"asks for torch\._utils\._rebuild_sparse_tensor"):
        read(str(path))
    torch.save({"a": np.float64(1)}, path)
    with pytest.raises(CheckpointError, match=r"asks for numpy\.\S+\.multiarray\.scalar"):
        read(str(path))


def test_without_checksums(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(tensors(a=[1, 2]), tmp_path / "x.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    assert read_tensors(str(tmp_path / "x.pt"))["a"].data.view("<f4").tolist() == [1, 2]


@pytest.mark.parametrize("shards", [1, 2, 4, 8])
def test_meta_folders(shards: int, tmp_path: Path) -> None:
    """Cut by torch.split() along the axes of fairscale's layers, and saved by torch, a layer in one storage."""
    weights = checkpoints.random_weights(SHAPE, 1)
    expected = logits_of(write_meta(tmp_path / "ours", weights), checkpoints.prompt_ids(SHAPE, 40))
    folder = write_meta(tmp_path / "theirs", weights, shards)
    for rank in range(shards):
        state = {}
        for name, (tensor, axis) in meta_tensors(weights).items():
            whole = torch.from_numpy(tensor.astype(np.float32))
            state[name] = (
                whole if axis is None else torch.split(whole, whole.shape[axis] // shards, axis)[rank].contiguous()
            )
        for i in range(SHAPE.n_layers):
            names = [f"layers.{i}.{name}.weight" for name in META]
            flat = torch.cat([state[name].reshape(-1) for name in names])
            pieces = torch.split(flat, [state[name].numel() for name in names])
            state |= {name: piece.view(state[name].shape) for name, piece in zip(names, pieces, strict=True)}
        state["rope.freqs"] = torch.ones(4)
        torch.save(state, folder / f"consolidated.{rank:02}.pth")
    assert (logits_of(folder, checkpoints.prompt_ids(SHAPE, 40)) == expected).all()


def test_a_compiled_ckpt_pt(tmp_path: Path) -> None:
    weights = checkpoints.random_weights(SHAPE, 1)
    expected = logits_of(ckpt(tmp_path / "ours.pt", weights), checkpoints.prompt_ids(SHAPE, 40))
    state = tensors(**{f"_orig_mod.{name}": tensor for name, (tensor, _) in meta_tensors(weights).items()})
    args = params_of(SHAPE) | {"vocab_size": SHAPE.vocab_size, "max_seq_len": 96}
    rest = {"iter_num": 3, "best_val_loss": torch.tensor(1.5), "config": {"compile": True}}
    torch.save({"model": state, "model_args": args | {"dropout": 0.0}, **rest}, tmp_path / "theirs.pt")
    assert (logits_of(tmp_path / "theirs.pt", checkpoints.prompt_ids(SHAPE, 40)) == expected).all()


def test_transformers(tmp_path: Path) -> None:
    """Its logits, from its own files: both kinds give the same bits here."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed; make test-peers has it")
    torch.manual_seed(1)
    shape = replace(GROUPED, context=128)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**config_of(shape, "llama"))).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    tokens = checkpoints.prompt_ids(shape, 60)
    with torch.no_grad():
        theirs = model(torch.tensor([tokens])).logits[0].numpy()
    model.save_pretrained(tmp_path / "safe")
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_text((tmp_path / "safe" / "config.json").read_text())
    state = list(model.state_dict().items())
    places = {name: f"pytorch_model-0000{i % 2 + 1}-of-00002.bin" for i, (name, _) in enumerate(state)}
    for file in set(places.values()):
        torch.save({name: tensor for name, tensor in state if places[name] == file}, pickled / file)
    (pickled / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    ours = logits_of(pickled, tokens)
    assert (ours == logits_of(tmp_path / "safe", tokens)).all()
    assert np.abs(ours.view(np.float32) - theirs).max() <= 1e-4 * np.abs(theirs).max()
