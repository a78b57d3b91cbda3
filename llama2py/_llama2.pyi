"""The compiled module: cffi's two objects. _core is the only module that uses them."""

from typing import Any

ffi: Any
lib: Any
