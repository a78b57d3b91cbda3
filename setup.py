"""Compiles the C core into llama2py; everything else is said in pyproject.toml."""

import re
import sysconfig
from pathlib import Path

from setuptools import setup

header = Path("csrc/llama2.h").read_text(encoding="utf-8")
version = re.search(r'^#define LLAMA2_VERSION "([^"]+)"', header, re.MULTILINE)
if version is None:
    raise ValueError("csrc/llama2.h does not define LLAMA2_VERSION")

# One wheel serves every CPython from 3.10 on, except the builds without a GIL, which have no limited API.
abi3 = {} if sysconfig.get_config_var("Py_GIL_DISABLED") else {"bdist_wheel": {"py_limited_api": "cp310"}}

setup(version=version[1], cffi_modules=["llama2py/_build.py:ffibuilder"], options=abi3)
