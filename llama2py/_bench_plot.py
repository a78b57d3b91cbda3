"""The figure of `llama2py bench`: tokens per second against batch and against depth, beside the machine's limits."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from llama2py.errors import FileError, FileMissingError, InvalidArgumentError, PackageMissingError

__all__ = ["check_figure", "check_place", "save_figure", "saved"]

# Okabe and Ito's, which all eyes can tell apart.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
MARKS = "os^Dv<>"
KINDS = ("png", "svg", "pdf")
TICKS = (1, 2, 5)  # first digits of what is written at the axis


def saved(path: str, write: Callable[[str], object]) -> None:
    """Has a file written under a name of its own, and renamed once it is whole."""
    part = f"{path}.{os.getpid()}.part"
    try:
        write(part)
        os.replace(part, path)
    except OSError as error:
        failure = FileError(f"{path}: cannot write: {error.strerror}")
        failure.errno, failure.filename = error.errno, path
        raise failure from None
    finally:
        with suppress(OSError):
            os.remove(part)


def check_place(path: str) -> None:
    """Raises what would keep a file from being written there, before anything is timed for it."""
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        missing = FileMissingError(f"{path}: there is no folder {folder}; make it, or name another")
        missing.errno, missing.filename = errno.ENOENT, path
        raise missing
    if os.path.isdir(path):
        raise FileError(f"{path}: a directory, expected the name of a file to write")


def _canvas(path: str) -> tuple[Any, Any]:
    if _kind(path) not in KINDS:
        raise InvalidArgumentError(f"{path}: a figure cannot be of that kind; expected a name in .png, .svg or .pdf")
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError:
        raise PackageMissingError("a figure takes matplotlib; pip install 'llama2py[plot]'") from None
    figure = Figure(figsize=(11, 6), layout="constrained")
    return figure, FigureCanvasAgg(figure)


def _kind(path: str) -> str:
    return os.path.splitext(path)[1].removeprefix(".").lower()


def check_figure(path: str) -> None:
    """The same, of a figure."""
    check_place(path)
    _canvas(path)


def save_figure(report: dict[str, Any], path: str) -> None:
    """Draws what was measured. report: that of the command, with its results.

    Raises PackageMissingError without matplotlib, InvalidArgumentError for a kind of file that it does not write.
    """
    figure, canvas = _canvas(path)
    drawn = [row for row in report["results"] if row["test"].startswith("tg")]
    read = [row for row in report["results"] if row["test"].startswith("pp")]
    by_batch = _lines(drawn, "batch", lambda row: f"decode{_depth(row)}{_threads(report, row)}")
    by_depth = _lines(read, "depth", lambda row: f"prompt of {row['tokens']}{_threads(report, row)}")
    by_depth |= _lines(drawn, "depth", lambda row: f"decode{_batch(row)}{_threads(report, row)}")
    left, right = figure.subplots(1, 2)
    _panel(left, by_batch, "batch", "sequences decoded together")
    _panel(right, by_depth, "depth", "tokens before (depth)")
    model, machine = report["model"], report["machine"]
    figure.suptitle(
        f"{os.path.basename(model['path'])}, {model['dtype']}, keys and values {report['kv']}; {machine['processor']}\n"
        f"medians of {report['rounds']} rounds, bars from the least to the greatest; dashed: what the machine allows",
        fontsize=10,
    )
    saved(path, lambda part: canvas.print_figure(part, format=_kind(path), dpi=150))


def _depth(row: dict[str, Any]) -> str:
    return f" at depth {row['depth']:,}" if row["depth"] else ""


def _batch(row: dict[str, Any]) -> str:
    return f" of {row['batch']}" if row["batch"] > 1 else ""


def _threads(report: dict[str, Any], row: dict[str, Any]) -> str:
    alike = len({other["threads"] for other in report["results"]}) == 1
    return "" if alike else f", {row['threads']} thread{'s' if row['threads'] > 1 else ''}"


def _lines(
    rows: Sequence[dict[str, Any]], across: str, name: Callable[[dict[str, Any]], str]
) -> dict[str, list[dict[str, Any]]]:
    """The rows of each line, from left to right."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: (row["tokens"], row[across])):
        found.setdefault(name(row), []).append(row)
    return found


def _panel(axes: Any, lines: dict[str, list[dict[str, Any]]], across: str, label: str) -> None:
    for i, (name, rows) in enumerate(lines.items()):
        n = len(COLOURS)
        colour, mark = COLOURS[i % n], MARKS[(i + i // n) % n]  # the same colour never has the same mark
        at, rates = [row[across] for row in rows], [row["tokens_per_second"] for row in rows]
        below = [row["tokens_per_second"] - row["least"] for row in rows]
        above = [row["greatest"] - row["tokens_per_second"] for row in rows]
        axes.errorbar(at, rates, yerr=(below, above), color=colour, marker=mark, capsize=3, label=name)
        limits = [row["limit_tokens_per_second"] for row in rows]
        axes.plot(at, limits, color=colour, linestyle="--", marker="_", linewidth=1)
    axes.set_xlabel(label)
    axes.set_ylabel("tokens per second (logarithmic)")
    axes.set_yscale("log")
    for axis in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        axis(lambda value, _: f"{value:,.10g}" if int(f"{value:e}"[0]) in TICKS else "")
    axes.set_xticks(sorted({row[across] for rows in lines.values() for row in rows}))
    axes.grid(alpha=0.3, which="both")
    if lines:
        axes.legend(fontsize=8, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.14), frameon=False)
