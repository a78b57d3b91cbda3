"""`llama2py quantize`: a checkpoint as a smaller GGUF file; and what any command says of a file that it wrote."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict

from llama2py._terminal import CHECKPOINT, UsageError, loading, plain, size, table, tell, write
from llama2py.errors import TargetExistsError
from llama2py.quantize import QUANTIZE_TYPES, QuantizeResult, quantize

__all__ = ["add_arguments", "register", "write_file"]


def register(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Adds the command."""
    made = command(
        "quantize",
        _quantize,
        "write a checkpoint as a smaller GGUF file",
        "llama2py quantize stories15M.bin stories15M-q4_k_m.gguf --type q4_k_m",
    )
    made.add_argument("source", metavar="IN", help=f"{CHECKPOINT}, quantised or not")
    add_arguments(made, "q8_0", "q8_0")


def add_arguments(made: argparse.ArgumentParser, usual: str | None, told: str) -> None:
    """Adds all but the source. usual, told: the type that is meant where none is named, and what help calls it."""
    made.add_argument("target", metavar="OUT", help="the file to write")
    made.add_argument(
        "--type", type=str.lower, default=usual, metavar="TYPE", help=f"{', '.join(QUANTIZE_TYPES)} ({told})"
    )
    made.add_argument("--force", action="store_true", help="replace OUT if it is there")
    made.add_argument("-z", "--tokenizer", metavar="FILE", help="else the one in IN or beside it")
    made.add_argument("--threads", type=int, metavar="N", help="threads that compute (the cores there are)")
    made.add_argument("--json", action="store_true", help="print a JSON object")


def _quantize(args: argparse.Namespace) -> int:
    return write_file(quantize, args)


def write_file(function: Callable[..., QuantizeResult], args: argparse.Namespace) -> int:
    """Has a function write the file that the arguments ask for, and says what it has become."""
    try:
        with loading(args.target) as progress:
            result = function(
                args.source,
                args.target,
                args.type,
                threads=args.threads,
                force=args.force,
                tokenizer=args.tokenizer,
                progress=progress,
            )
    except TargetExistsError:
        raise UsageError(f"{args.target}: is there already; replace it with --force, or name another") from None
    if args.json:
        write(f"{json.dumps(_as_json(result))}\n")
        return 0
    rows = [("file", f"{plain(result.path)}, {result.type}, {result.bits_per_weight:.2f} bits a weight")]
    rows.append(("size", f"{size(result.bytes_out)}, from {size(result.bytes_in)}"))
    for dtype, total in result.types.items():
        rows.append((f"  {dtype}", f"{_tensors(total.tensors)}, {total.values:,} values, {size(total.bytes)}"))
    rows.append(("tokenizer", plain(result.tokenizer or "none was found; name one with --tokenizer")))
    write(table(rows))
    for line in _remarks(result):
        tell(plain(line))
    return 0


def _tensors(n: int) -> str:
    return f"{n} tensor" if n == 1 else f"{n} tensors"


def _as_json(result: QuantizeResult) -> dict[str, object]:
    return {
        **asdict(result),
        "types": {dtype: asdict(total) for dtype, total in result.types.items()},
        "bits_per_weight": result.bits_per_weight,
        "fallbacks": [tensor.name for tensor in result.fallbacks],
        "requantized": [tensor.name for tensor in result.requantized],
    }


def _remarks(result: QuantizeResult) -> list[str]:
    """What the result is not, that was asked for or is hoped for."""
    lines = list(result.notes)
    changes = list(dict.fromkeys((tensor.wanted, tensor.dtype) for tensor in result.fallbacks))
    if changes:
        instead = ", ".join(f"{dtype} for {wanted}" for wanted, dtype in changes)
        many = _tensors(len(result.fallbacks))
        lines.append(f"{many} with rows that are not made of whole blocks have another type: {instead}")
    if result.requantized:
        before = ", ".join(dict.fromkeys(tensor.had for tensor in result.requantized))
        lines.append(f"{_tensors(len(result.requantized))} had been quantised before ({before}): that loss stays")
    return lines
