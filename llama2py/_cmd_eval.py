"""`llama2py eval`: how well a model does. So far: perplexity."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from math import isnan
from typing import Any, BinaryIO

from llama2py._terminal import CHECKPOINT, add_lora, loading, progress_bar, table, write
from llama2py.errors import FileError, FileMissingError, TextError
from llama2py.info import describe
from llama2py.llama import Llama
from llama2py.perplexity import DEFAULT_CONTEXT, perplexity

__all__ = ["register"]

_TOKEN = 16  # bytes that are read for each token that is wanted, at first
_LAST = 64  # tokens that may be others once more of a text is read


def register(command: Callable[..., argparse.ArgumentParser], add_sizes: Callable[..., None]) -> None:
    """Adds the command to those there are."""
    parser = command("eval", None, "say how well a model does", "llama2py eval perplexity model.gguf wiki.txt")
    kinds = parser.add_subparsers(required=True, metavar="WHAT")
    description = "how well a model foretells a text, in windows that overlap"
    kind = kinds.add_parser(
        "perplexity",
        help=description,
        description=f"{description[0].upper()}{description[1:]}.",
        epilog="example: llama2py eval perplexity model.gguf wiki.txt --context 512 --stride 256",
    )
    kind.set_defaults(command=_perplexity)
    kind.add_argument("checkpoint", metavar="FILE", help=CHECKPOINT)
    kind.add_argument("text", metavar="TEXT", help="a file of UTF-8 text")
    kind.add_argument("--stride", type=int, metavar="N", help="tokens from window to window (half the context)")
    kind.add_argument("--limit", type=int, metavar="N", help="tokens of the text that are used (all)")
    add_sizes(kind, batch=False, context=f"tokens of a window (the model's own context, at most {DEFAULT_CONTEXT:,})")
    kind.add_argument("-z", "--tokenizer", metavar="TOKENIZER", help="else the one of the checkpoint, or beside it")
    add_lora(kind)
    kind.add_argument("--threads", type=int, metavar="N", help="threads that compute (the cores there are)")
    kind.add_argument("--json", action="store_true", help="print a JSON object")


@contextmanager
def _reading(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kind = FileMissingError if isinstance(error, FileNotFoundError) else FileError
        raise kind(f"{path}: cannot read the text: {error.strerror}") from None


def _tokens(llama: Llama, file: BinaryIO, path: str, limit: int | None) -> list[int]:
    """All tokens of a text, or the first `limit`: then no more of the file is read than it takes."""
    text, tokens, wanted = b"", [], -1 if limit is None else _TOKEN * (max(limit, 0) + _LAST)
    whole = False
    while not whole:
        with _reading(path):
            piece = file.read(wanted)
        text += piece
        whole = limit is None or len(piece) < wanted
        word = len(text) if whole else max(0, text.rfind(b" "), text.rfind(b"\n"))
        try:
            tokens = llama.tokenize(text[:word])
        except TextError as error:
            raise TextError(f"{path}: {error}") from None
        if limit is not None and len(tokens) >= limit + _LAST:
            break
        wanted = len(text)
    return tokens if limit is None else tokens[: max(limit, 0)]


def _perplexity(args: argparse.Namespace) -> int:
    with _reading(args.text):
        file = open(args.text, "rb")  # noqa: SIM115
    with file:
        return _score(args, file)


def _score(args: argparse.Namespace, file: BinaryIO) -> int:
    context = args.context
    if context is None:
        context = min(describe(args.checkpoint).context, DEFAULT_CONTEXT)
    with loading(args.checkpoint) as progress:
        loaded = Llama(
            args.checkpoint,
            args.tokenizer,
            args.quant,
            args.threads,
            context,
            kv=args.kv,
            pool=0,
            lora=args.lora,
            progress=progress,
        )
    with loaded as llama:
        tokens = _tokens(llama, file, args.text, args.limit)
        with progress_bar("scoring", unit="token", unit_scale=True) as progress:
            begin = time.perf_counter()
            found = perplexity(llama, tokens, context=context, stride=args.stride, limit=args.limit, progress=progress)
            seconds = time.perf_counter() - begin
    rate = found.tokens / seconds
    if args.json:
        told: dict[str, Any] = {**asdict(found), "seconds": seconds, "tokens_per_second": rate}
        write(f"{json.dumps({name: _finite(value) for name, value in told.items()})}\n")
        return 0
    rows = [
        ("perplexity", f"{found.perplexity:.4f}" + ("" if isnan(found.error) else f" ± {found.error:.4f}")),
        ("nats per token", f"{found.nll:.5f}"),
        ("scored", f"{found.tokens:,} of {len(tokens):,} tokens"),
        ("windows", f"{found.context:,} tokens, every {found.stride:,}"),
        ("speed", f"{rate:,.1f} tok/s scored"),
    ]
    write(table(rows))
    return 0


def _finite(value: float) -> float | None:
    """JSON has no infinity and no NaN."""
    return value if abs(value) < float("inf") else None
