"""What the benchmarks share: their failure, and tables of what they found."""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "bench"
sys.path[:0] = [str(ROOT / "tests" / "py")]  # checkpoints and the oracle


class BenchError(Exception):
    """What keeps a benchmark from saying anything: one line."""


def write_once(path: Path, write: Callable[[Path], object]) -> None:
    """Makes a file unless it is there; one that is there is whole."""
    if path.exists():
        return
    part = path.with_name(path.name + ".part")
    write(part)
    os.replace(part, path)


def spread(values: Sequence[float], form: str) -> tuple[str, str]:
    """The median, and the least and the greatest."""
    return format(statistics.median(values), form), f"{min(values):{form}} to {max(values):{form}}"
