"""`llama2py pull`: a checkpoint of the Hugging Face Hub into its cache."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict

from llama2py._terminal import plain, tell, write
from llama2py.hub import SHORT_NAMES, pull

__all__ = ["register"]


def register(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Adds the command."""
    made = command(
        "pull",
        _pull,
        "download a checkpoint from the Hugging Face Hub, and print its path",
        "llama2py pull TinyLlama/TinyLlama-1.1B-Chat-v1.0; llama2py run hf:TinyLlama/TinyLlama-1.1B-Chat-v1.0",
    )
    made.add_argument("name", metavar="REPO[/FILE]", help=f"OWNER/NAME, a file in it, or {', '.join(SHORT_NAMES)}")
    made.add_argument("--include", action="append", default=[], metavar="PATTERN", help="files like '*Q4_K_M*'")
    made.add_argument("--revision", metavar="REV", help="a branch, tag or commit (main)")
    made.add_argument("--json", action="store_true", help="print a JSON object")


def _pull(args: argparse.Namespace) -> int:
    pulled = pull(args.name, include=args.include, revision=args.revision)
    write(f"{json.dumps(asdict(pulled)) if args.json else pulled.path}\n")
    for line in pulled.notes:
        tell(plain(line))
    return 0
