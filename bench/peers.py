"""`python -m bench.peers`: the same GGUF files through llama2py and through llama.cpp, in turn, pair by pair.

    python -m bench.peers --llama-cpp PYTHON [--llama-cpp PYTHON …] [--only llama1B] [--types q8_0 q4_0]
    python -m bench.peers --llama-cpp PYTHON --only llama1B --types q8_0 --tests pp512 tg32 tg32x8 tg32@d1800 --hit 1000

PYTHON is an interpreter that has llama-cpp-python; `make bench-peers` makes one. For each model and type: prefill,
decode, and for some decode at a depth, or the tests that are named: x8 is of eight sequences that are decoded together,
whose tokens per second are those of all. Nothing is timed before it is checked: our logits equal those of the slow way
bit for bit, each of our sequences draws what it draws alone, and llama.cpp's logits are close to ours, of sequences
side by side too. Both keep keys and values in float16. All are warm. In a round the limits are measured, then each test
by all engines in turn; who is first changes from round to round. A ratio is taken within a round. The tables are
Markdown.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

import llama2py
from bench.common import FOLDER, BenchError, spread
from bench.models import MODELS, Model, make_file
from bench.peer import LlamaCpp
from llama2py._bench import Bench
from llama2py._bench_runs import Hit, Task
from llama2py._cmd_bench import aligned, limits_table, other_tables

KV = "f16"
TEST = re.compile(r"(pp|tg)(\d+)(?:x(\d+))?(?:@d(\d+))?")
COMPARED = [1, *range(1000, 1015)]  # token ids

# The root mean square of what logits may differ by, as a share of their own. Both engines round activations for integer
# products, but not alike, and llama.cpp rounds keys and values to float16.
TOLERANCE = {"f16": 0.01}
TOLERANCE_INTEGERS = 0.1


def _distance(found: npt.NDArray[np.floating[Any]], expected: npt.NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean((found - expected) ** 2) / np.mean(expected**2)))


@dataclass
class Pair:
    """A type of a model: what all engines have done with its file."""

    model: Model
    kind: str
    bench: Bench
    peers: list[LlamaCpp]
    checked: list[str] = field(default_factory=list)
    rates: dict[Task, list[list[float]]] = field(default_factory=dict)  # of each peer
    found: dict[str, list[list[tuple[float, float]]]] = field(default_factory=dict)  # the same, of prompts read before

    def check(self) -> None:
        """Compares logits; BenchError where they are not what they should be."""
        self.checked.append(f"{self.model.name} {self.kind}: {self.bench.check()}")
        ours = self.bench.logits(COMPARED).astype(np.float64)
        for peer in self.peers:
            rows, batch = peer.logits(COMPARED)
            off = max(_distance(rows, ours), _distance(batch, ours[-1]))
            alike = int(np.sum(np.argmax(rows, axis=1) == np.argmax(ours, axis=1)))
            said = (
                f"{self.model.name} {self.kind}: logits of {peer.name} are off ours by {off:.2%} of their root mean "
                f"square; {alike} of {len(ours)} likeliest tokens are the same"
            )
            together = max(test.batch for test in self.bench.rates)
            if together > 1:
                texts = [COMPARED[i % len(COMPARED) :] + COMPARED[: i % len(COMPARED)] for i in range(together)]
                alone = np.stack([self.bench.logits(text)[-1] for text in texts]).astype(np.float64)
                side_by_side = _distance(peer.together(texts), alone)
                said += f"; of {together} sequences side by side, {side_by_side:.2%}"
                off = max(off, side_by_side)
            if not off <= TOLERANCE.get(self.kind, TOLERANCE_INTEGERS):
                raise BenchError(f"{said}; that is too much to compare their speed")
            self.checked.append(said)

    def warm_up(self) -> None:
        """Has everything computed once by everyone."""
        self.bench.warm_up()
        for test in self.bench.rates:
            for peer in self.peers:
                peer.seconds(test.short())

    def round(self, number: int) -> None:
        """Measures the limits and each test once by everyone."""
        self.bench.measure_limits()
        for test, ours in self.bench.rates.items():
            theirs = self.rates.setdefault(test, [[] for _ in self.peers])
            turns = [(ours, partial(self.bench.rate, test))]
            turns += [(rates, partial(peer.rate, test)) for rates, peer in zip(theirs, self.peers, strict=True)]
            first = number % len(turns)
            for rates, measure in (*turns[first:], *turns[:first]):
                rates.append(measure())
        for hit in self.bench.hits:
            hit.round()
            for seconds, peer in zip(
                self.found.setdefault(hit.name, [[] for _ in self.peers]), self.peers, strict=True
            ):
                seconds.append(peer.hit(hit.tokens))
        for lookup in self.bench.lookups:
            lookup.round()

    def hits(self) -> list[dict[str, Any]]:
        """A row for each prompt that was read before."""
        return [
            {"model": self.model.name, "type": self.kind, **hit.result(), "peers": self._of_peers(hit)}
            for hit in self.bench.hits
        ]

    def _of_peers(self, hit: Hit) -> list[dict[str, Any]]:
        rows = []
        for peer, found in zip(self.peers, self.found[hit.name], strict=True):
            hits, reads = (list(seconds) for seconds in zip(*found, strict=True))
            ratios = [theirs / ours for theirs, ours in zip(hits, hit.figures["hit"], strict=True)]
            row = {"name": peer.name, "version": peer.version, "hit_seconds": statistics.median(hits)}
            row |= {"read_seconds": statistics.median(reads), "figures": {"hit": hits, "read": reads}}
            rows.append(row | {"ratio": statistics.median(ratios), "ratios": ratios})
        return rows

    def lookups(self) -> list[dict[str, Any]]:
        """A row for each number of tokens guessed ahead, which only we do."""
        return [{"model": self.model.name, "type": self.kind, **one.result()} for one in self.bench.lookups]

    def results(self) -> list[dict[str, Any]]:
        """A row for each test."""
        rows = []
        for figures, (test, theirs) in zip(self.bench.results(), self.rates.items(), strict=True):
            ours = self.bench.rates[test]
            row: dict[str, Any] = {"model": self.model.name, "type": self.kind, **figures, "peers": []}
            for peer, rates in zip(self.peers, theirs, strict=True):
                ratios = [a / b for a, b in zip(ours, rates, strict=True)]
                row["peers"].append(
                    {
                        "name": peer.name,
                        "version": peer.version,
                        "tokens_per_second": statistics.median(rates),
                        "rates": rates,
                        "ratio": statistics.median(ratios),
                        "ratios": ratios,
                    }
                )
            rows.append(row)
        return rows

    def close(self) -> None:
        """Gives the memory back."""
        self.bench.close()
        for peer in self.peers:
            peer.close()


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    kinds = sorted({kind for model in MODELS.values() for kind in model.types})
    parser = argparse.ArgumentParser(
        prog="python -m bench.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--llama-cpp", type=Path, metavar="PYTHON", action="append", required=True, help="may be given several times"
    )
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=llama2py.cpu_count(), metavar="N", help="default: the cores")
    parser.add_argument("--only", nargs="+", choices=MODELS, default=list(MODELS), help="models; default: all")
    parser.add_argument("--types", nargs="+", choices=kinds, default=kinds, help="default: all")
    parser.add_argument(
        "--tests", nargs="+", type=_test, metavar="TEST", help="pp512, tg32x8@d1800; default: the model's"
    )
    parser.add_argument("--hit", type=int, metavar="N", help="time to the first token of a prompt that was read before")
    parser.add_argument(
        "--speculate", type=int, metavar="N", help="ours with N tokens guessed ahead beside ours without"
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of the models' files; default: build/bench")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write every figure as JSON too, such as bench/results/NAME.json"
    )
    chosen = parser.parse_args(argv)
    if chosen.rounds < 1 or chosen.threads < 1:
        parser.error("expected at least 1 round and 1 thread")
    return chosen


def _test(name: str) -> Task:
    """On as many threads as will be said."""
    found = TEST.fullmatch(name)
    if not found:
        raise argparse.ArgumentTypeError(f"{name!r} is no test; expected such as pp512, tg32, tg32x8 or tg32@d1800")
    kind, tokens, batch, depth = found.groups()
    if kind == "pp" and batch:
        raise argparse.ArgumentTypeError(f"{name!r}: prompts are read one at a time; leave x{batch} out")
    return Task(kind == "tg", int(tokens), int(depth or 0), 1, int(batch or 1))


def measure(options: argparse.Namespace, model: Model, kind: str) -> Pair:
    """Makes the file, checks, and times in rounds."""
    path = make_file(model, kind, options.folder)
    tests = options.tests or [Task(False, model.prompt, 0, 1), Task(True, model.decode, 0, 1)]
    if kind in model.deep and not options.tests:
        tests.append(Task(True, model.decode, model.deep[kind], 1))
    bench = Bench(
        path,
        [replace(test, threads=options.threads) for test in tests],
        hits=[(options.hit, options.threads)] if options.hit else [],
        lookups=[(options.speculate, model.decode, options.threads)] if options.speculate else [],
        kv=KV,
    )
    pair = Pair(model, kind, bench, [])
    try:
        for python in options.llama_cpp:
            peer = LlamaCpp(python, path, options.threads)
            pair.peers.append(peer)
            others = [other.name for other in pair.peers[:-1]]
            if peer.name in others:
                peer.name += f" ({len(others) + 1})"
        pair.check()
        pair.warm_up()
        for number in tqdm(range(options.rounds), desc=f"{model.name} {kind}", unit="round", disable=None):
            pair.round(number)
        return pair
    finally:
        pair.close()


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    names = [peer["name"] for peer in rows[0]["peers"]]
    head = ["model, type", "test", "tok/s", "least to greatest", "of the limit"]
    for name in names:
        head += [f"{name}, tok/s", "ratio", "least to greatest"]
    lines = [head]
    for row in rows:
        form = ",.1f" if row["tokens_per_second"] < 1000 else ",.0f"
        line = [f"{row['model']} {row['type'].upper()}", row["test"], *spread(row["rates"], form)]
        line.append(f"{row['share']:.0%} {row['limit']}")
        for peer in row["peers"]:
            ratio, between = spread(peer["ratios"], ".2f")
            line += [format(peer["tokens_per_second"], form), ratio, between]
        lines.append(line)
    return aligned(lines)


def hits_table(rows: list[dict[str, Any]]) -> str:
    """Markdown; a ratio is their time over ours."""
    lines = [["read before", "who", "first token, ms", "ratio", "least to greatest"]]
    for row in rows:
        for peer in row["peers"]:
            ratio = spread(peer["ratios"], ".2f")
            lines.append([row["test"], peer["name"], f"{peer['hit_seconds'] * 1e3:,.2f}", *ratio])
    return aligned(lines)


def page(report: dict[str, Any]) -> str:
    """The whole."""
    machine = report["machine"]
    about = (
        f"llama2py {report['llama2py']}, {machine['processor']}, {machine['cores']} cores, {report['rounds']} rounds"
    )
    return "\n\n".join(
        [
            about,
            table(report["results"]),
            "The limit of tg: weights, keys and values read once a step, or the matrix products at peak, if that is "
            "less. That of pp: the latter. "
            "A ratio is ours over theirs.",
            *other_tables(report["hits"], report["lookups"]),
            *([hits_table(report["hits"])] if report["hits"] else []),
            limits_table(report["limits"], "type"),
            "\n".join(report["checked"]),
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the report; returns the exit status."""
    options = arguments(argv)
    report: dict[str, Any] = {
        "llama2py": llama2py.__version__,
        "time": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "rounds": options.rounds,
        "kv": KV,
        "results": [],
        "hits": [],
        "lookups": [],
        "limits": [],
        "checked": [],
    }
    try:
        for name in options.only:
            for kind in (kind for kind in MODELS[name].types if kind in options.types):
                pair = measure(options, MODELS[name], kind)
                machine = pair.bench.machine()
                report["limits"].append({"type": f"{name} {kind}", **machine.pop("limits")[0]})
                report["machine"] = machine
                report["results"] += pair.results()
                report["hits"] += pair.hits()
                report["lookups"] += pair.lookups()
                report["checked"] += pair.checked
                if options.out:  # after each type, since all take long
                    options.out.parent.mkdir(parents=True, exist_ok=True)
                    options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    except (BenchError, llama2py.Llama2Error) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    if not report["results"]:
        print(f"bench: {' and '.join(options.only)} has none of the types {' '.join(options.types)}", file=sys.stderr)
        return 1
    print(page(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
