"""`llama2py bench`: how fast a checkpoint is here, beside what the machine allows."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from llama2py import _core
from llama2py._bench import Bench, Task
from llama2py._terminal import UsageError, add_checkpoint, loading, plain, progress_bar, write
from llama2py.info import describe

__all__ = ["aligned", "limits_table", "register"]

PROMPT, DECODE, ROUNDS = 512, 128, 5


def register(command: Callable[..., argparse.ArgumentParser], add_sizes: Callable[..., None]) -> None:
    """Adds the command to those there are."""
    example = "llama2py bench model.gguf --prompt 512 --decode 128 --depth 0,1024 --threads 1,2"
    bench = command("bench", _bench, "measure speed beside what the machine allows", example)
    add_checkpoint(bench)
    lists: dict[str, Any] = {"type": _numbers, "metavar": "N,…"}
    fitting = "or what the context holds"
    bench.add_argument("--prompt", help=f"tokens of a prompt; 0: none ({PROMPT}, {fitting})", **lists)
    bench.add_argument("--decode", help=f"tokens drawn; 0: none ({DECODE}, {fitting})", **lists)
    bench.add_argument("--depth", default=[0], help="tokens that come before each (0)", **lists)
    bench.add_argument("--threads", default=[0], help="threads that compute; 0: the cores there are (0)", **lists)
    bench.add_argument("--rounds", "--repeat", type=int, default=ROUNDS, metavar="N", help=f"measurements ({ROUNDS})")
    bench.add_argument("--isa", choices=_core.ISAS, help="instruction set (the fastest there is)")
    add_sizes(bench, batch=False)
    bench.add_argument("--json", action="store_true", help="print a JSON object")


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not whole numbers with commas between them") from None


def _tests(args: argparse.Namespace) -> list[Task]:
    """Each prompt and each number of draws, at each depth, on each number of threads. Defaults are capped."""
    room = args.context or describe(args.checkpoint).context
    deepest = max(args.depth)
    if deepest >= room > 0:
        raise UsageError(f"--depth is {deepest}, but the context holds {room} tokens; see llama2py bench --help")
    tests = []
    for threads in (asked or _core.cpu_count() for asked in args.threads):
        for depth in args.depth:
            prompts = [min(PROMPT, room - depth)] if args.prompt is None else args.prompt
            draws = [min(DECODE, room - max(1, depth))] if args.decode is None else args.decode
            tests += [Task(False, tokens, depth, threads) for tokens in prompts if tokens]
            tests += [Task(True, tokens, depth, threads) for tokens in draws if tokens]
    return list(dict.fromkeys(tests))


def _bench(args: argparse.Namespace) -> int:
    if args.rounds < 1:
        raise UsageError(f"--rounds is {args.rounds}, expected at least 1; see llama2py bench --help")
    tests = _tests(args)
    with loading(args.checkpoint) as progress:
        bench = Bench(
            args.checkpoint,
            tests,
            quantize=args.quant,
            isa=args.isa,
            context=args.context,
            kv=args.kv,
            progress=progress,
        )
    try:
        checked = bench.check()
        bench.warm_up()
        with progress_bar("timing", unit="round") as progress:
            for done in range(args.rounds):
                bench.round()
                if progress:
                    progress(done + 1, args.rounds)
        report = {
            "results": bench.results(),
            "rounds": args.rounds,
            "model": {"path": args.checkpoint, **asdict(bench.info)},
            "machine": bench.machine(),
            "checked": checked,
        }
    finally:
        bench.close()
    write(f"{json.dumps(report)}\n" if args.json else _page(report))
    return 0


def _page(report: dict[str, Any]) -> str:
    model, machine = report["model"], report["machine"]
    rows = [["test", "threads", "tok/s", "least to greatest", "of the limit"]]
    for result in report["results"]:
        form = ",.1f" if result["tokens_per_second"] < 1000 else ",.0f"
        rows.append(
            [
                result["test"],
                str(result["threads"]),
                format(result["tokens_per_second"], form),
                f"{result['least']:{form}} to {result['greatest']:{form}}",
                f"{result['share']:.0%} {result['limit']}",
            ]
        )
    return (
        f"{plain(model['path'])}: {model['parameters'] / 1e6:,.1f} million parameters, {model['dtype']} in memory\n"
        f"{machine['processor']}, {machine['cores']} cores; {report['rounds']} rounds\n"
        f"checked: {report['checked']}\n\n{aligned(rows)}\n\n{limits_table(machine['limits'])}\n"
    )


def limits_table(limits: Sequence[dict[str, Any]], name: str = "isa") -> str:
    """The limits that Bench.machine() tells. name: the key of what stands before a row."""
    columns = {"read": "GB/s", "f32": "Gop/s", "int8": "Gop/s", "amx_int8": "Gop/s"}
    if not any(one["amx_int8_ops_per_second"] for one in limits):
        del columns["amx_int8"]
    rows = [["limit", "threads", *(f"{column.replace('_', ' ')}, {unit}" for column, unit in columns.items())]]
    for one in limits:
        keys = (f"{column}_{'bytes' if column == 'read' else 'ops'}_per_second" for column in columns)
        rows.append([one[name], str(one["threads"]), *(f"{one[key] / 1e9:,.1f}" for key in keys)])
    return aligned(rows)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        first, *rest = (
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append(" | ".join(["| " + first, *rest]) + " |")
    rule = "|" + "|".join("-" * (w + 1) + (":" if i else "-") for i, w in enumerate(widths)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])
