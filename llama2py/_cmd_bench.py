"""`llama2py bench`: how fast a checkpoint is here, beside what the machine allows."""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import product
from typing import Any

from llama2py import _core
from llama2py._bench import Bench
from llama2py._bench_plot import check_figure, check_place, save_figure, saved
from llama2py._bench_runs import Lookup, Task
from llama2py._terminal import UsageError, add_checkpoint, loading, plain, progress_bar, write
from llama2py.info import describe

__all__ = ["aligned", "limits_table", "other_tables", "register"]

PROMPT, DECODE, ROUNDS = 512, 128, 5


def register(command: Callable[..., argparse.ArgumentParser], add_sizes: Callable[..., None]) -> None:
    """Adds the command to those there are."""
    example = (
        "llama2py bench model.gguf --prompt 512 --decode 128 --depth 0,1024 --batch 1,4,16 --threads 1,2 "
        "--plot speed.png; llama2py bench model.gguf --prompt 0 --decode 128 --hit 1000 --speculate 8 --json"
    )
    bench = command("bench", _bench, "measure speed beside what the machine allows", example)
    add_checkpoint(bench)
    lists: dict[str, Any] = {"type": _numbers, "metavar": "N,…"}
    fitting = "or what the context holds"
    bench.add_argument("--prompt", help=f"tokens of a prompt; 0: none ({PROMPT}, {fitting})", **lists)
    bench.add_argument("--decode", help=f"tokens drawn; 0: none ({DECODE}, {fitting})", **lists)
    bench.add_argument("--depth", default=[0], help="tokens that come before each (0)", **lists)
    bench.add_argument(
        "--batch", default=[1], help="sequences that are decoded together; tok/s are those of all (1)", **lists
    )
    bench.add_argument("--threads", default=[0], help="threads that compute; 0: the cores there are (0)", **lists)
    bench.add_argument(
        "--hit", default=[], help="the time to the first token of a prompt of so many that was read before", **lists
    )
    bench.add_argument(
        "--speculate",
        default=[],
        help="decode with so many tokens guessed ahead, at most, from a text that is told twice, beside decode without",
        **lists,
    )
    bench.add_argument("--rounds", "--repeat", type=int, default=ROUNDS, metavar="N", help=f"measurements ({ROUNDS})")
    bench.add_argument("--isa", choices=_core.ISAS, help="instruction set (the fastest there is)")
    add_sizes(bench, batch=False)
    bench.add_argument("--json", action="store_true", help="print a JSON object")
    bench.add_argument("--csv", metavar="OUT", help="write a row for each test to a file")
    bench.add_argument("--plot", metavar="OUT", help="draw them: a .png, .svg or .pdf; takes matplotlib")


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not whole numbers with commas between them") from None


def _tests(args: argparse.Namespace, room: int) -> list[Task]:
    """Each prompt and each number of draws, at each depth, in each batch, on each number of threads. Defaults are
    capped."""
    deepest = max(args.depth)
    if deepest >= room > 0:
        raise UsageError(f"--depth is {deepest}, but the context holds {room} tokens; see llama2py bench --help")
    tests = []
    for threads in args.threads:
        for depth in args.depth:
            prompts = [min(PROMPT, room - depth)] if args.prompt is None else args.prompt
            draws = [min(DECODE, room - max(1, depth))] if args.decode is None else args.decode
            tests += [Task(False, tokens, depth, threads) for tokens in prompts if tokens]
            tests += [Task(True, tokens, depth, threads, batch) for tokens in draws if tokens for batch in args.batch]
    return list(dict.fromkeys(tests))


def _bench(args: argparse.Namespace) -> int:
    if args.rounds < 1:
        raise UsageError(f"--rounds is {args.rounds}, expected at least 1; see llama2py bench --help")
    if args.csv:
        check_place(args.csv)
    if args.plot:
        check_figure(args.plot)
    room = args.context or describe(args.checkpoint).context
    args.threads = [asked or _core.cpu_count() for asked in args.threads]
    drawn = min(DECODE, Lookup.most(room)) if args.decode is None else max(args.decode)
    with loading(args.checkpoint) as progress:
        bench = Bench(
            args.checkpoint,
            _tests(args, room),
            hits=list(product(args.hit, args.threads)),
            lookups=list(product(args.speculate, [drawn], args.threads)),
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
            "hits": [hit.result() for hit in bench.hits],
            "lookups": [lookup.result() for lookup in bench.lookups],
            "rounds": args.rounds,
            "model": {"path": args.checkpoint, **asdict(bench.info)},
            "kv": bench.kv,
            "machine": bench.machine(),
            "checked": checked,
        }
    finally:
        bench.close()
    write(f"{json.dumps(report)}\n" if args.json else _page(report))
    if args.csv:
        saved(args.csv, lambda part: _write_csv(report, part))
    if args.plot:
        save_figure(report, args.plot)
    return 0


def _write_csv(report: dict[str, Any], path: str) -> None:
    """A row for each test; what is not said of a test is empty."""
    shared = {"model": report["model"]["path"], "dtype": report["model"]["dtype"], "kv": report["kv"]}
    rows = [
        shared | {name: value for name, value in row.items() if not isinstance(value, list | dict)}
        for row in (*report["results"], *report["hits"], *report["lookups"])
    ]
    with open(path, "w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
        table.writeheader()
        table.writerows(rows)


def _page(report: dict[str, Any]) -> str:
    model, machine = report["model"], report["machine"]
    rows = [["test", "batch", "threads", "tok/s", "least to greatest", "of the limit"]]
    for result in report["results"]:
        rate, between = spread_of(result, "tokens_per_second")
        counts = str(result["batch"]), str(result["threads"])
        rows.append([result["test"], *counts, rate, between, f"{result['share']:.0%} {result['limit']}"])
    parts = [aligned(rows)] if len(rows) > 1 else []
    parts += other_tables(report["hits"], report["lookups"])
    parts += [limits_table(machine["limits"])] if machine["limits"] else []
    tables = "\n\n".join(parts)
    return (
        f"{plain(model['path'])}: {model['parameters'] / 1e6:,.1f} million parameters, {model['dtype']} in memory, "
        f"keys and values {report['kv']}\n"
        f"{machine['processor']}, {machine['cores']} cores; {report['rounds']} rounds\n"
        f"checked: {report['checked']}\n\n{tables}\n"
    )


def spread_of(row: dict[str, Any], name: str, prefix: str = "") -> tuple[str, str]:
    """A row's median rate, and its least and greatest."""
    form = ",.1f" if row[name] < 1000 else ",.0f"
    return format(row[name], form), f"{row[f'{prefix}least']:{form}} to {row[f'{prefix}greatest']:{form}}"


def other_tables(hits: Sequence[dict[str, Any]], lookups: Sequence[dict[str, Any]]) -> list[str]:
    """Prompts that were read before, and guesses, if there are any."""
    tables = []
    if hits:
        rows = [["read before", "threads", "first token, ms", "least to greatest", "a step, ms", "steps", "unread, ms"]]
        for hit in hits:
            first, step, unread = (f"{hit[f'{name}_seconds'] * 1e3:,.2f}" for name in ("hit", "step", "read"))
            between = f"{hit['hit_least'] * 1e3:,.2f} to {hit['hit_greatest'] * 1e3:,.2f}"
            rows.append([hit["test"], str(hit["threads"]), first, between, step, f"{hit['steps']:.2f}", unread])
        tables.append(aligned(rows))
    if lookups:
        head = [
            "guessed ahead",
            "threads",
            "tok/s",
            "least to greatest",
            "without, tok/s",
            "ratio",
            "least to greatest",
        ]
        rows = [[*head, "guesses that were right"]]
        for lookup in lookups:
            line = [lookup["test"], str(lookup["threads"])]
            line += spread_of(lookup, "guessed_tokens_per_second", "guessed_")
            line += [spread_of(lookup, "plain_tokens_per_second", "plain_")[0], f"{lookup['ratio']:.2f}"]
            line.append(f"{min(lookup['ratios']):.2f} to {max(lookup['ratios']):.2f}")
            share = f" ({lookup['accepted_share']:.0%})" if lookup["drafted"] else ""
            rows.append([*line, f"{lookup['accepted']} of {lookup['drafted']}{share}"])
        tables.append(aligned(rows))
    return tables


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
