"""The compiled module `llama2py._llama2`: its declarations, cut from csrc/llama2.h, and the C sources behind them.

setup.py runs this file from the root of the source tree; the installed package does not use it.
"""

from __future__ import annotations

import sysconfig
from pathlib import Path

from cffi import FFI

HEADER = Path("csrc/llama2.h")
FLAGS = ["-std=c11", "-O3", "-fopenmp", "-ffp-contract=off", "-fvisibility=hidden"]


def declarations() -> str:
    """What stands between the header's two cffi marks, without the macro that cffi does not know."""
    _, _, rest = HEADER.read_text(encoding="utf-8").partition("cffi: begin */")
    declared, mark, _ = rest.partition("/* cffi: end */")
    if not mark:
        raise ValueError(f"{HEADER} lacks the marks `cffi: begin` and `cffi: end`")
    return declared.replace("LLAMA2_API ", "")


def sources() -> list[str]:
    """Every C file of the core; ./run's main is not one of them."""
    return sorted(str(path) for path in Path("csrc").rglob("*.c") if path != Path("csrc/run.c"))


ffibuilder = FFI()
ffibuilder.cdef(declarations())
ffibuilder.cdef('extern "Python" int llama2py_poll(void *context);')
ffibuilder.cdef('extern "Python" int llama2py_progress(void *context, uint64_t done, uint64_t total);')
ffibuilder.cdef('extern "Python" int llama2py_quantized(void *context, const llama2_quantized *tensor);')
ffibuilder.set_source(
    "llama2py._llama2",
    '#include "llama2.h"',
    sources=sources(),
    depends=sorted(str(path) for path in Path("csrc").rglob("*.*") if path.suffix in {".h", ".inc"}),
    include_dirs=["csrc"],
    extra_compile_args=FLAGS,
    extra_link_args=["-fopenmp"],
    py_limited_api=not sysconfig.get_config_var("Py_GIL_DISABLED"),
)
