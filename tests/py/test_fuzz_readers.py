"""Hostile files for the readers in Python, made up from good ones by seeded mutations: each must load, or be refused
with a Llama2Error, and never with anything else. `make fuzz-readers` goes on for LLAMA2PY_FUZZ_SECONDS.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import checkpoints
import pytest
from checkpoints import Shape
from folders import tensors_in, train_tokenizer, write_folder
from torch_files import Member, members_of, rank_tokens, saved, write_meta, write_ranks, write_torch, write_zip

import llama2py
from llama2py import Llama2Error

MUTATIONS = 400
SHAPE = Shape(dim=8, hidden_dim=16, n_layers=1, n_heads=2, n_kv_heads=1, vocab_size=12, context=16, shared=False)

# What stands in pickles, archives and JSON and is likely to matter.
WORDS = [
    b"\x80\x02",
    b"}(",
    b"Q",
    b"R",
    b"u.",
    b"b",
    b"\xff\xff\xff\xff",
    b"\xff" * 8,
    b"\0",
    b"q\0",
    b"h\0",
    b"t",
    b"(",
    b"N",
]
WORDS += [
    b"cos\nsystem\n",
    b"ctorch\nFloatStorage\n",
    b"ccollections\nOrderedDict\n)R",
    b"PK\1\2",
    b"PK\3\4",
    b"PK\5\6",
]
WORDS += [
    b"PK\6\6",
    b"PK\6\7",
    b"-1",
    b"1e999",
    b"null",
    b"true",
    b"[]",
    b"{}",
    b'"x"',
    b"2147483648",
    b"NaN",
    b"9" * 400,
]
WORDS += [b"\\ud800", b"../", b"[" * 50, b"-", b"0", b"1", b"F16", b"64"]


def mutated(data: bytes, draw: random.Random) -> bytes:
    """A few bytes changed, taken out, put in, moved, or the end cut off."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 4))):
        at = draw.randrange(len(changed) + 1)
        n = min(draw.choice((1, 1, 2, 4, 8, 40)), len(changed) - at)
        way = draw.randrange(6)
        if way == 0:
            changed[at : at + n] = draw.randbytes(n)
        elif way == 1:
            del changed[at : at + n]
        elif way == 2:
            changed[at:at] = draw.choice(WORDS)
        elif way == 3:
            word = draw.choice(WORDS)
            changed[at : at + len(word)] = word
        elif way == 4:
            place = draw.randrange(len(changed) + 1)
            changed[place:place] = changed[at : at + n]
        elif draw.random() < 0.2:
            del changed[at:]
    return bytes(changed)


def spoil_pickle(folder: Path, name: str) -> Callable[[random.Random], None]:
    """The pickle alone: in a whole archive with the right checksums, or little would come past those."""
    code, *rest = members_of({n: saved(t) for n, t in tensors_in(WEIGHTS, "llama").items()})

    def spoil(draw: random.Random) -> None:
        write_zip(folder / name, [Member(code.name, mutated(code.data, draw)), *rest])

    return spoil


def spoil_file(path: Path, most: int | None = None) -> Callable[[random.Random], None]:
    """most: of the beginning; None: anywhere."""
    data = path.read_bytes()

    def spoil(draw: random.Random) -> None:
        path.write_bytes(mutated(data[:most], draw) + (b"" if most is None else data[most:]))

    return spoil


WEIGHTS = checkpoints.random_weights(SHAPE, 1)


def torch_pickle(path: Path) -> Callable[[random.Random], None]:
    (write_folder(path, WEIGHTS) / "model.safetensors").unlink()
    return spoil_pickle(path, "pytorch_model.bin")


def torch_archive(path: Path) -> Callable[[random.Random], None]:
    (write_folder(path, WEIGHTS) / "model.safetensors").unlink()
    state = {name: saved(tensor) for name, tensor in tensors_in(WEIGHTS, "llama").items()}
    return spoil_file(write_torch(path / "pytorch_model.bin", state))


def meta_params(path: Path) -> Callable[[random.Random], None]:
    return spoil_file(write_meta(path, WEIGHTS, 2, params={"hidden_dim": 16}) / "params.json")


def meta_ranks(path: Path) -> Callable[[random.Random], None]:
    shape = replace(SHAPE, vocab_size=len(rank_tokens()) + 256)
    folder = write_meta(path, checkpoints.random_weights(shape, 1), params={"hidden_dim": 16})
    return spoil_file(write_ranks(folder / "tokenizer.model"))


def sentencepiece_model(path: Path) -> Callable[[random.Random], None]:
    shape = replace(SHAPE, vocab_size=320)
    return spoil_file(train_tokenizer(write_folder(path, checkpoints.random_weights(shape, 1)) / "tokenizer.model"))


def config(path: Path) -> Callable[[random.Random], None]:
    file = write_folder(path, WEIGHTS) / "config.json"
    said = json.loads(file.read_text())
    said |= {
        "rope_scaling": {"rope_type": "linear", "factor": 2.0},
        "layer_types": ["full_attention"],
        "eos_token_id": [1],
    }
    file.write_text(json.dumps(said))
    return spoil_file(file)


def safetensors(path: Path) -> Callable[[random.Random], None]:
    return spoil_file(write_folder(path, WEIGHTS) / "model.safetensors", 1600)


def index(path: Path) -> Callable[[random.Random], None]:
    return spoil_file(write_folder(path, WEIGHTS, parts=2) / "model.safetensors.index.json")


TARGETS = (torch_pickle, torch_archive, meta_params, meta_ranks, sentencepiece_model, config, safetensors, index)


def seeds() -> Iterator[int]:
    seconds = float(os.environ.get("LLAMA2PY_FUZZ_SECONDS", "0")) / len(TARGETS)
    end, seed = time.monotonic() + seconds, 0
    while seed < MUTATIONS or time.monotonic() < end:
        yield seed
        seed += 1


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: str(target.__name__))
def test_hostile_files(target: Callable[[Path], Callable[[random.Random], None]], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    spoil = target(folder)
    loaded = refused = 0
    for seed in seeds():
        spoil(random.Random(seed))
        try:
            llama2py.inspect(folder)
            llama2py.describe(folder)
            loaded += 1
        except Llama2Error as error:
            assert "\n" not in error.message and len(error.message) < 4000, f"seed {seed}: {error.message[:4000]}"
            refused += 1
        except BaseException:
            kept = shutil.copytree(folder, tmp_path / f"seed {seed}")
            print(f"seed {seed} of {target.__name__}: kept in {kept}")
            raise
    assert loaded and refused, f"{loaded} loaded and {refused} were refused; expected both"
    print(f"{target.__name__}: {loaded} files load, {refused} are refused")
