"""What the commands share: text to stdout, lines to stderr, tables, how far a load has come; and the argument FILE."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from llama2py.lora import parse

__all__ = [
    "CHECKPOINT",
    "StreamError",
    "UsageError",
    "add_checkpoint",
    "add_lora",
    "loading",
    "plain",
    "progress_bar",
    "size",
    "table",
    "tell",
    "write",
]


CHECKPOINT = "a llama2.c .bin or ckpt.pt, a GGUF file, a folder of Hugging Face's or Meta's, or hf:OWNER/NAME[/FILE]"


class UsageError(Exception):
    """The command line cannot be understood."""


class StreamError(Exception):
    """stdin or stdout cannot be used."""


def add_checkpoint(parser: argparse.ArgumentParser, what: str = CHECKPOINT) -> None:
    """The checkpoint of a command that does with the model in the box where none is named; main() puts it in."""
    parser.add_argument("checkpoint", metavar="FILE", nargs="?", help=f"{what} (the model in the box)")


def add_lora(parser: argparse.ArgumentParser) -> None:
    """The adapters of a command that computes texts: args.lora."""
    parser.add_argument(
        "--lora",
        action="append",
        type=parse,
        default=[],
        metavar="DIR[:SCALE]",
        help="a LoRA adapter, of PEFT's or a GGUF file, and what it is scaled by (1); again for another",
    )


def write(text: str) -> None:
    """Writes to stdout at once, past Python's buffer, which would fail a second time at exit."""
    data = memoryview(text.encode("utf-8"))
    try:
        while data:
            data = data[os.write(1, data) :]
    except OSError as error:
        raise StreamError(f"cannot write to stdout: {error.strerror}") from None


def tell(line: str) -> None:
    """Writes a line to stderr, if there is one: print() would take stdout instead."""
    with contextlib.suppress(OSError, AttributeError):
        os.write(sys.stderr.fileno(), f"{line}\n".encode("utf-8", "replace"))


@contextlib.contextmanager
def progress_bar(what: str, **options: Any) -> Iterator[Callable[[int, int], object] | None]:
    """What shows how far something has come: on a terminal, once it has lasted half a second, where tqdm is there."""
    try:
        from tqdm import tqdm  # noqa: PLC0415
    except ImportError:
        yield None
        return
    if sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    bar = tqdm(desc=what, leave=False, delay=0.5, **options)

    def progress(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    try:
        yield progress
    finally:
        bar.close()


def loading(name: str) -> contextlib.AbstractContextManager[Callable[[int, int], object] | None]:
    """The bar of a load."""
    return progress_bar(os.path.basename(name), unit="B", unit_scale=True, unit_divisor=1024)


def size(n: int) -> str:
    """Bytes, as people read them."""
    if n >= 2**30:
        return f"{n / 2**30:.2f} GiB"
    return f"{n / 2**20:.1f} MiB" if n >= 2**20 else f"{n / 2**10:.1f} KiB"


def table(rows: Sequence[tuple[str, str]]) -> str:
    """Names and values in two columns."""
    width = max(len(name) for name, _ in rows)
    return "".join(f"{name:<{width}}  {value}\n" for name, value in rows)


def plain(text: str) -> str:
    """A file's own words without what would play with the terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)
