"""Compiles the C core into llama2py and packs the model in the box; everything else is said in pyproject.toml."""

import os
import re
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.errors import FileError

MODEL = Path("models/stories.gguf")


class BuildPy(build_py):
    """Puts a copy of the model beside the modules. An editable install uses the one in the source tree."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        if not MODEL.is_file():
            raise FileError(f"{MODEL}: not there, but it belongs into the package; get it with `git checkout {MODEL}`")
        self.copy_file(str(MODEL), self._packed())

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        return [*super().get_outputs(include_bytecode), *([] if self.editable_mode else [self._packed()])]

    def _packed(self) -> str:
        return str(Path(self.build_lib, "llama2py", MODEL.name))


class BuildExt(build_ext):
    """Compiles on all cores that may be used, and begins with the kernels, which take longest."""

    def build_extension(self, ext: Extension) -> None:
        compile_in_turn = self.compiler.compile

        def compile_side_by_side(sources: list[str], **options: Any) -> list[str]:
            ordered = sorted(sources, key=lambda source: (not Path(source).name.startswith("kernels_"), source))
            with ThreadPoolExecutor(self.parallel or len(os.sched_getaffinity(0))) as pool:
                compiled = pool.map(lambda source: compile_in_turn([source], **options), ordered)
                return [made for objects in compiled for made in objects]

        self.compiler.compile = compile_side_by_side
        super().build_extension(ext)


header = Path("csrc/llama2.h").read_text(encoding="utf-8")
version = re.search(r'^#define LLAMA2_VERSION "([^"]+)"', header, re.MULTILINE)
if version is None:
    raise ValueError("csrc/llama2.h does not define LLAMA2_VERSION")

# One wheel serves every CPython from 3.10 on, except the builds without a GIL, which have no limited API.
abi3 = {} if sysconfig.get_config_var("Py_GIL_DISABLED") else {"bdist_wheel": {"py_limited_api": "cp310"}}

setup(
    version=version[1],
    cffi_modules=["llama2py/_build.py:ffibuilder"],
    cmdclass={"build_py": BuildPy, "build_ext": BuildExt},
    options=abi3,
)
