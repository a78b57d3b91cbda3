"""The arguments of the examples in Meta's repository, in the ways in which Fire takes them: --max_seq_len 128,
--max-seq-len=128, or all in order without their names. One that is None may be given as None.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Arguments", "parse"]


@dataclass
class Arguments:
    """ckpt_dir, tokenizer_path: None takes the model in the box, and the checkpoint's own tokenizer.

    max_gen_len: None draws until a text has max_seq_len tokens.
    """

    ckpt_dir: str | None
    tokenizer_path: str | None
    temperature: float
    top_p: float
    max_seq_len: int
    max_gen_len: int | None
    max_batch_size: int


_KINDS = {
    **{"ckpt_dir": str, "tokenizer_path": str, "temperature": float, "top_p": float},
    **{"max_seq_len": int, "max_gen_len": int, "max_batch_size": int},
}


def parse(description: str, usual: Arguments, order: Sequence[str], argv: Sequence[str] | None = None) -> Arguments:
    """usual: what is meant where nothing is said. order: that of arguments without names."""
    parser = argparse.ArgumentParser(description=description, argument_default=argparse.SUPPRESS)
    for name in order:
        names = dict.fromkeys((f"--{name}", f"--{name.replace('_', '-')}"))
        parser.add_argument(*names, help=f"default: {getattr(usual, name)}")
    parser.add_argument("values", nargs="*", default=[], metavar="VALUE", help=f"in this order: {', '.join(order)}")
    given = vars(parser.parse_intermixed_args(argv))
    values = given.pop("values")
    unnamed = [name for name in order if name not in given]
    if len(values) > len(unnamed):
        parser.error(f"{len(values)} values without a name; expected at most {len(unnamed)}")
    given |= dict(zip(unnamed, values, strict=False))
    for name, text in given.items():
        try:
            setattr(usual, name, None if text == "None" else _KINDS[name](text))
        except ValueError:
            parser.error(f"{name} is {text}; expected {'a number' if _KINDS[name] is float else 'a whole number'}")
    return usual
