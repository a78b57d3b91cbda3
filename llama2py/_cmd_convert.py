"""`llama2py convert`: a folder, or any checkpoint, as a GGUF file or a llama2.c checkpoint."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

from llama2py._cmd_quantize import add_arguments, write_file
from llama2py._terminal import CHECKPOINT
from llama2py.convert import convert

__all__ = ["register"]


def register(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Adds the command."""
    made = command(
        "convert",
        _convert,
        "write a folder of Hugging Face's or Meta's, or any checkpoint, as a GGUF file or a llama2.c checkpoint",
        "llama2py convert TinyLlama-1.1B-Chat-v1.0 tinyllama.gguf",
    )
    made.add_argument("source", metavar="IN", help=CHECKPOINT)
    add_arguments(made, None, "the one that most of IN has")
    made.add_argument(
        "--bin",
        type=int,
        choices=(0, 1, 2),
        metavar="VERSION",
        help="write a llama2.c checkpoint of that version, 0 or 1 in f32, 2 in q8_0 "
        "(where OUT ends in .bin: 2 with --type q8_0, else 0)",
    )


def _convert(args: argparse.Namespace) -> int:
    return write_file(partial(convert, version=args.bin), args)
