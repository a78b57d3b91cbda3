"""`llama2py convert`: a folder, or any checkpoint, as a GGUF file."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from llama2py._cmd_quantize import add_arguments, write_file
from llama2py._terminal import CHECKPOINT
from llama2py.convert import convert

__all__ = ["register"]


def register(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Adds the command."""
    made = command(
        "convert",
        _convert,
        "write a folder of Hugging Face's or Meta's, or any checkpoint, as a GGUF file",
        "llama2py convert TinyLlama-1.1B-Chat-v1.0 tinyllama.gguf",
    )
    made.add_argument("source", metavar="IN", help=CHECKPOINT)
    add_arguments(made, None, "the one that most of IN has")


def _convert(args: argparse.Namespace) -> int:
    return write_file(convert, args)
