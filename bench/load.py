"""How long a folder of safetensors takes to load, beside reading its files once, and what memory that takes at most.

    python -m bench.load [--rounds 5] [--models FOLDER] [--json OUT]

makes a Hugging Face folder of the 1.1B shape in float16 (2.2 GB), and loads it as it is and as q8_0, each time in a
process of its own; in turn its files are read, once, by one thread. Each is done with the files on the disk, and with
them in the system's cache. Memory is the most that the process ever held (VmHWM) less what it held before.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

import llama2py
from bench.common import FOLDER, ROOT, BenchError, spread, write_once
from bench.models import MODELS, make_file

import folders  # isort: skip

MODEL = MODELS["llama1B"]
TOKENS = [1, 15, 27, 31999, 4, 8]
READ = 8 << 20
WITHIN, PEAK = 1.5, 1.1  # what is asked for: of the time that reading takes, of the weights as they are kept


def _names() -> dict[str, str]:
    """Hugging Face's name of each of GGUF's tensors."""
    names = {
        "token_embd": "model.embed_tokens",
        "output_norm": "model.norm",
        "output": "lm_head",
        "attn_norm": "input_layernorm",
        "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj",
        "ffn_norm": "post_attention_layernorm",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
    }
    found = {f"{ours}.weight": f"{theirs}.weight" for ours, theirs in list(names.items())[:3]}
    for layer in range(MODEL.shape.n_layers):
        for ours, theirs in list(names.items())[3:]:
            found[f"blk.{layer}.{ours}.weight"] = f"model.layers.{layer}.{theirs}.weight"
    return found


def _lying(path: Path) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """The tensors of a GGUF file of floats as Hugging Face's files have them, under its names."""
    names = _names()
    for tensor in gguf.GGUFReader(path).tensors:
        split = ".attn_q." in tensor.name or ".attn_k." in tensor.name
        yield names[tensor.name], folders.halves(tensor.data, MODEL.shape.head_dim) if split else tensor.data


def make_folder(models: Path) -> Path:
    """Writes it, tensor by tensor, unless it is there."""
    floats, path = make_file(MODEL, "f16", models), models / "llama1B-hf"
    path.mkdir(exist_ok=True)
    (path / "config.json").write_text(json.dumps(folders.config_of(MODEL.shape, "llama")))
    write_once(path / "model.safetensors", lambda part: _write(floats, part))
    return path


def _write(floats: Path, path: Path) -> None:
    header: dict[str, Any] = {}
    at = 0
    for name, values in _lying(floats):
        dtype = "F16" if values.dtype == np.float16 else "F32"
        header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [at, at + values.nbytes]}
        at += values.nbytes
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, values in tqdm(_lying(floats), total=len(header), desc=f"making {path.name}", disable=None):
            file.write(values.tobytes())


def _check(folder: Path, models: Path) -> None:
    """Refuses to time what is not the model that it should be."""
    found = []
    for path in (folder, MODEL.file(models, "f16")):
        with llama2py.Llama(path) as llama:
            found.append(llama.logits(TOKENS))
    if not (found[0] == found[1]).all():
        raise BenchError(f"{folder}: its logits are not those of the same model as a GGUF file")


def _held(field: str) -> int:
    """A field of /proc/self/status, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise BenchError(f"/proc/self/status: no {field}, which only Linux tells")


def _load(path: str, quantize: str | None) -> dict[str, float]:
    """In a process of its own."""
    before = _held("VmRSS")
    begin = time.perf_counter()
    with llama2py.Llama(path, quantize=quantize) as llama:
        seconds = time.perf_counter() - begin
        kept = llama.info.weight_bytes
        peak = _held("VmHWM") - before
    return {"seconds": seconds, "kept": kept, "peak": peak}


def _loaded(path: Path, quantize: str | None) -> dict[str, float]:
    asked = [sys.executable, "-m", "bench.load", "--child", str(path), *([] if quantize is None else [quantize])]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(done.stderr.strip().splitlines()[-1])
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _forget(files: list[Path]) -> None:
    """Has the system's cache hold none of them."""
    for file in files:
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _read(files: list[Path]) -> float:
    room = bytearray(READ)
    begin = time.perf_counter()
    for file in files:
        with file.open("rb", buffering=0) as opened:
            while opened.readinto(room):
                pass
    return time.perf_counter() - begin


def measure(folder: Path, rounds: int) -> dict[str, Any]:
    """Each way of loading, in turn with reading."""
    files = sorted(folder.glob("*.safetensors"))
    found: dict[str, Any] = {"bytes": sum(file.stat().st_size for file in files)}
    for place, prepare in (("disk", _forget), ("cache", _read)):
        for quantize in (None, "q8_0"):
            found[f"{quantize or 'f16'} from {place}"] = _rounds(folder, files, quantize, prepare, rounds)
    return found


def _rounds(
    folder: Path, files: list[Path], quantize: str | None, prepare: Callable[[list[Path]], object], rounds: int
) -> dict[str, Any]:
    read, loads = [], []
    for _ in tqdm(range(rounds), desc=f"loading as {quantize or 'f16'}", disable=None):
        prepare(files)
        read.append(_read(files))
        prepare(files)
        loads.append(_loaded(folder, quantize))
    kept = loads[0]["kept"]
    return {
        "read": read,
        "seconds": [load["seconds"] for load in loads],
        "ratio": statistics.median(load["seconds"] / once for load, once in zip(loads, read, strict=True)),
        "kept": kept,
        "peak": max(load["peak"] for load in loads) / kept,
    }


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Times loading.", epilog="example: python -m bench.load --rounds 5")
    parser.add_argument("--rounds", type=int, default=5, help="(%(default)s)")
    parser.add_argument("--models", type=Path, default=FOLDER, help="where models are kept (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write every figure to a file")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(_load(*options.child[:2], *([None] * (2 - len(options.child))))))
        return 0
    try:
        folder = make_folder(options.models)
        _check(folder, options.models)
        found = measure(folder, options.rounds)
    except (BenchError, llama2py.Llama2Error) as error:
        parser.exit(1, f"bench.load: {error}\n")
    print(f"{found['bytes'] / 1e9:.2f} GB of safetensors, {options.rounds} rounds")
    print(f"{'':16} {'load, s':>22} {'read, s':>22} {'ratio':>6} {'peak / kept':>12}")
    for name, row in found.items():
        if name == "bytes":
            continue
        load, read = (f"{middle} ({ends})" for middle, ends in (spread(row[k], ".2f") for k in ("seconds", "read")))
        print(f"{name:16} {load:>22} {read:>22} {row['ratio']:6.2f} {row['peak']:12.3f}")
    print(f"asked for: a ratio of at most {WITHIN}, a peak of at most {PEAK}; quantised, and one tensor")
    if options.json:
        write_once(options.json, lambda part: part.write_text(json.dumps(found, indent=1) + "\n"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
