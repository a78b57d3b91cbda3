"""The model in the box: a small Llama of our own that tells children's stories, and comes with the package."""

from __future__ import annotations

import errno
from pathlib import Path

from llama2py.errors import FileMissingError

__all__ = ["model_in_the_box"]

_NAME = "stories.gguf"


def model_in_the_box() -> str:
    """The path of the checkpoint that is used where none is named.

    Raises FileMissingError if somebody has taken it out.
    """
    here = Path(__file__).resolve().parent
    packed, in_the_source_tree = here / _NAME, here.parent / "models" / _NAME
    for path in (packed, in_the_source_tree):
        if path.is_file():
            return str(path)
    message = f"{packed}: the model in the box is not there; install llama2py anew, or name a checkpoint"
    error = FileMissingError(message)
    error.errno, error.filename = errno.ENOENT, str(packed)
    raise error
