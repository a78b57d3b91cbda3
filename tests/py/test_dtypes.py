"""Blocks of every type against the gguf package: what they stand for, bit for bit, and how well they are quantised."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

gguf: Any = pytest.importorskip("gguf", reason="the gguf package is not installed")

ROOT = Path(__file__).resolve().parents[2]

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

# Where a block's float16 numbers are: scales, and minima or offsets.
HALVES = {
    "F32": [],
    "F16": [0],
    "BF16": [],
    "Q8_0": [0],
    "Q4_0": [0],
    "Q4_1": [0, 2],
    "Q5_0": [0],
    "Q5_1": [0, 2],
    "Q2_K": [80, 82],
    "Q3_K": [108],
    "Q4_K": [0, 2],
    "Q5_K": [0, 2],
    "Q6_K": [208],
    "IQ4_NL": [0],
    "IQ4_XS": [0],
    "MXFP4": [],
}
TYPES = sorted(HALVES)
# Zeros, subnormals, the least normal, the largest, infinities, NaNs.
EXTREME_HALVES = (0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x0400, 0x7BFF, 0xFBFF, 0x7C00, 0xFC00, 0x7E00, 0xFD01)

IN_BRIDGE = """
#include "format/dequantize.h"
#include "format/dtype.h"
#include "format/quantize.h"
__attribute__((visibility("default"))) const dtype_traits *type(int id) { return dtype_find(id); }
__attribute__((visibility("default"))) void dequantize(int id, const void *blocks, int64_t n, float *out) {
  dequantize_row(id, blocks, n, out);
}
__attribute__((visibility("default"))) int quantize(int id, const float *x, int64_t n, void *blocks) {
  return quantize_knows(id) ? quantize_row(id, x, n, blocks) : -1;
}
"""


class Traits(ctypes.Structure):
    _fields_ = (
        ("id", ctypes.c_int32),
        ("name", ctypes.c_char_p),
        ("block_values", ctypes.c_int32),
        ("block_bytes", ctypes.c_int32),
    )


class Core(NamedTuple):
    """format/ of the C core, which is no public interface, behind a shared library made for these tests."""

    library: ctypes.CDLL

    def traits(self, name: str) -> Traits:
        found: Traits = self.library.type(_type(name).value).contents
        return found

    def dequantize(self, name: str, blocks: Bytes) -> Floats:
        values, size = gguf.GGML_QUANT_SIZES[_type(name)]
        out = np.empty(blocks.size // size * values, dtype=np.float32)
        self.library.dequantize(_type(name).value, blocks.ctypes.data, out.size, out.ctypes.data)
        return out

    def quantize(self, name: str, x: Floats) -> Bytes:
        values, size = gguf.GGML_QUANT_SIZES[_type(name)]
        out = np.empty(x.size // values * size, dtype=np.uint8)
        assert self.library.quantize(_type(name).value, x.ctypes.data, x.size, out.ctypes.data) in (0, 1)
        return out


def _type(name: str) -> Any:
    return gguf.GGMLQuantizationType[name]


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Core:
    folder = tmp_path_factory.mktemp("bridge")
    (folder / "bridge.c").write_text(IN_BRIDGE, encoding="utf-8")
    compiler = os.environ.get("CC", "cc")
    archive = "build/release/libllama2.a"
    for command in (
        ["make", "config=release", "lib"],
        [compiler, "-shared", "-fPIC", "-Icsrc", str(folder / "bridge.c"), archive, "-o", str(folder / "bridge.so")],
    ):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}"
    library = ctypes.CDLL(str(folder / "bridge.so"))
    library.type.restype = ctypes.POINTER(Traits)
    library.dequantize.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)
    library.dequantize.restype = None
    library.quantize.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)
    return Core(library)


# What blocks stand for.


def check_dequantize(core: Core, name: str, blocks: Bytes) -> None:
    """The package's bits, NaNs apart: which of those it is depends on the processor."""
    with np.errstate(all="ignore"):
        expected = np.ascontiguousarray(gguf.quants.dequantize(blocks, _type(name)), dtype=np.float32).ravel()
    found = core.dequantize(name, blocks)
    nan = np.isnan(expected)
    assert np.array_equal(np.isnan(found), nan)
    different = np.flatnonzero((found.view(np.uint32) != expected.view(np.uint32)) & ~nan)
    assert not different.size, f"value {different[0]} is {found[different[0]]!r}, expected {expected[different[0]]!r}"


@pytest.mark.parametrize("name", TYPES)
def test_ids_and_sizes(core: Core, name: str) -> None:
    traits = core.traits(name)
    assert (traits.block_values, traits.block_bytes) == gguf.GGML_QUANT_SIZES[_type(name)]
    assert (traits.id, traits.name) == (_type(name).value, name.lower().encode())


@pytest.mark.parametrize("name", TYPES)
def test_any_bytes_as_blocks(core: Core, name: str) -> None:
    _, size = gguf.GGML_QUANT_SIZES[_type(name)]
    rng = np.random.default_rng(1)
    check_dequantize(core, name, rng.integers(0, 256, (4000, size), dtype=np.uint8))
    check_dequantize(core, name, np.repeat(np.arange(256, dtype=np.uint8)[:, None], size, axis=1))


@pytest.mark.parametrize("name", [name for name in TYPES if HALVES[name]])
def test_extreme_scales(core: Core, name: str) -> None:
    _, size = gguf.GGML_QUANT_SIZES[_type(name)]
    rng = np.random.default_rng(2)
    choices = np.array(EXTREME_HALVES, dtype="<u2")
    blocks = rng.integers(0, 256, (1000, size), dtype=np.uint8)
    for at in HALVES[name]:
        blocks[:, at : at + 2] = rng.choice(choices, (1000, 1)).view(np.uint8)
    check_dequantize(core, name, blocks)


# How well values are quantised.

Make = Callable[[np.random.Generator, tuple[int, int]], npt.NDArray[np.float64]]

WEIGHTS: dict[str, Make] = {
    "normal": lambda rng, shape: rng.normal(0, 0.02, shape),
    "laplace": lambda rng, shape: rng.laplace(0, 1, shape),
    "uniform": lambda rng, shape: rng.uniform(-1, 1, shape),
    "heavy": lambda rng, shape: rng.standard_t(3, shape),
    "positive": lambda rng, shape: rng.uniform(0.5, 1, shape),
    "negative": lambda rng, shape: -rng.uniform(0.5, 1, shape),
    "far from zero": lambda rng, shape: rng.normal(3, 0.01, shape),
    "sparse": lambda rng, shape: rng.normal(0, 1, shape) * (rng.random(shape) < 0.05),
    "whole": lambda rng, shape: rng.integers(-3, 4, shape).astype(np.float64),
    "tiny": lambda rng, shape: rng.normal(0, 1e-6, shape),
    "of many sizes": lambda rng, shape: rng.normal(0, 1, shape) * 2.0 ** rng.integers(-12, 6, (shape[0], 1)),
    "zero": lambda rng, shape: np.zeros(shape),
}
SHAPE = (256, 1024)


def weights(kind: str) -> Floats:
    return WEIGHTS[kind](np.random.default_rng(3), SHAPE).astype(np.float32)


def block_errors(x: Floats, y: Floats, block: int) -> npt.NDArray[np.float64]:
    """Each block's sum of squared errors."""
    difference = x.astype(np.float64).ravel() - y.astype(np.float64).ravel()
    errors: npt.NDArray[np.float64] = np.sum(difference.reshape(-1, block) ** 2, axis=1)
    return errors


@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("name", ["F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"])
def test_no_block_is_worse_than_the_package_s(core: Core, name: str, kind: str) -> None:
    x = weights(kind)
    block, _ = gguf.GGML_QUANT_SIZES[_type(name)]
    with np.errstate(all="ignore"):
        theirs = gguf.quants.dequantize(gguf.quants.quantize(x, _type(name)), _type(name))
    found = block_errors(x, core.dequantize(name, core.quantize(name, x)), block)
    # The search adds in float32, and so may take one of two that differ by less than that can tell.
    assert np.all(found <= block_errors(x, theirs, block) * (1 + 1e-5) + 1e-30)


# The squared error over the square that llama.cpp's own quantiser (llama-cpp-python 0.3.36) leaves in these weights.
K_TYPES = ("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K")
LLAMA_CPP = {
    "normal": (8.8288e-2, 2.2755e-2, 5.1023e-3, 1.3048e-3, 3.1447e-4),
    "laplace": (1.1868e-1, 3.0917e-2, 7.1432e-3, 1.8291e-3, 4.6909e-4),
    "uniform": (5.4153e-2, 1.5725e-2, 2.9822e-3, 7.6290e-4, 1.7530e-4),
    "heavy": (1.2505e-1, 3.5609e-2, 8.6001e-3, 2.2036e-3, 6.6210e-4),
    "positive": (9.2220e-3, 7.2774e-3, 4.8778e-4, 1.2191e-4, 9.7404e-5),
    "negative": (2.1273e-3, 6.5416e-3, 1.1970e-4, 3.3599e-5, 9.7404e-5),
    "far from zero": (1.1460e-4, 1.3479e-5, 4.1371e-5, 1.5622e-5, 1.2617e-5),
    "sparse": (1.4660e-1, 2.7165e-3, 1.7988e-3, 1.1158e-3, 3.8333e-5),
    "whole": (7.2085e-2, 1.7139e-2, 2.3051e-3, 2.7324e-6, 1.5422e-4),
    "of many sizes": (8.8190e-2, 2.3056e-2, 5.1013e-3, 1.3114e-3, 3.1915e-4),
}


@pytest.mark.parametrize("kind", LLAMA_CPP)
@pytest.mark.parametrize("name", K_TYPES)
def test_k_types_are_as_good_as_llama_cpp_s(core: Core, name: str, kind: str) -> None:
    x = weights(kind)
    found = np.sum(block_errors(x, core.dequantize(name, core.quantize(name, x)), 256))
    assert found <= LLAMA_CPP[kind][K_TYPES.index(name)] * np.sum(x.astype(np.float64) ** 2)


@pytest.mark.parametrize("name", ["F16", "BF16"])
def test_halves_are_the_package_s(core: Core, name: str) -> None:
    """Those that fit: what is too large is cut here, and becomes infinite there."""
    rng = np.random.default_rng(4)
    x = rng.integers(0, 2**32, 100_000, dtype=np.uint32).view(np.float32)
    x = x[~(np.abs(x) > (65504 if name == "F16" else 3.38e38))]
    with np.errstate(all="ignore"):
        expected = gguf.quants.quantize(x.reshape(1, -1), _type(name)).view(np.uint16).ravel()
    found = core.quantize(name, x).view(np.uint16)
    same = (found == expected) | np.isnan(x)
    assert np.all(same)
    assert np.array_equal(np.isnan(core.dequantize(name, found.view(np.uint8))), np.isnan(x))
