"""Times decode and prefill on a model of stories15M's shape, and sets them against what the machine allows.

The weights are random but have a trained model's scale; the files are made once, under build/bench. Nothing is timed
before it is checked: logits are, bit for bit, those of the scalar kernels on one thread, which match the float64
oracle, and ./run tells what the Python class tells.

All that is timed takes turns, round after round, so that what else the machine does falls on all alike: ./run for
decode, with llama2.c's interface; the Python class for prefill, warm; the machine's limits; llama2.c's own programs, if
they were named. Figures are medians, with the least and the greatest; a ratio is taken within a round. A limit is the
best that any round saw, since other work can only lower it, and a share is a median over that.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import llama2py
from bench.common import FOLDER, ROOT, BenchError, spread, write_once
from llama2py import Limits, Llama, measure_limits
from llama2py._bench import best, processor
from llama2py._cmd_bench import aligned

import checkpoints  # isort: skip
import oracle  # isort: skip

SHAPE = checkpoints.Shape(dim=288, hidden_dim=768, n_layers=6, n_heads=6, n_kv_heads=6, vocab_size=32000, context=256)
GROUP_SIZE = 32
BOS, EOS = 1, 2
DECODE_TOKENS = 255
PREFILL_TOKENS = 128
PREFILL_REPEATS = 8
CHECKED_TOKENS = 8

# Shares of the logits' root mean square. In integers an activation near the middle between two of them may go the other
# way than the oracle's, which is wrong by 1/127 of one term.
TOLERANCE = {"f32": 3e-5, "q8_0": 3e-2}
QUANTIZE = {"f32": None, "q8_0": "q8_0"}

CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")  # what ./run keeps from the terminal


# The model.


@dataclass(frozen=True)
class Files:
    """The same weights in the formats that the engines read."""

    float32: Path
    int8: Path
    tokenizer: Path


def weights() -> checkpoints.Weights:
    """Random ones, with which greedy decoding never ends a text."""
    made = checkpoints.random_weights(SHAPE, seed=15)
    made.embedding[[BOS, EOS]] *= np.float32(1e-3)  # the classifier too: their logits are near 0, far from the greatest
    return made


def make_files(folder: Path) -> Files:
    """Makes those that are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    files = Files(*(folder / name for name in ("model-f32.bin", "model-v2.bin", "tokenizer.bin")))
    steps: list[tuple[Path, Callable[[Path], object]]] = [
        (files.tokenizer, lambda part: checkpoints.write_tokenizer(part, SHAPE.vocab_size)),
        (files.float32, lambda part: checkpoints.write_v0(part, weights())),
        (files.int8, lambda part: checkpoints.write_v2(part, weights(), GROUP_SIZE)),
    ]
    missing = [step for step in steps if not step[0].exists()]
    for path, write in tqdm(missing, desc="making the model", unit="file", disable=not missing or None):
        write_once(path, write)
    return files


def matrix_values() -> tuple[int, int]:
    """Values in the matrices that each token meets, and in the classifier, which a prompt's last token meets."""
    layer = SHAPE.dim * (2 * SHAPE.q_dim + 2 * SHAPE.kv_dim + 3 * SHAPE.hidden_dim)
    return SHAPE.n_layers * layer, SHAPE.vocab_size * SHAPE.dim


# Correctness.


def tell(run: Path, files: Files, dtype: str, threads: int, steps: int) -> subprocess.CompletedProcess[bytes]:
    """./run's greedy text from <s>."""
    quantize = ["--quant", dtype] if QUANTIZE[dtype] else []
    return execute(run, files.float32, "-z", files.tokenizer, "-t", 0, "-n", steps, "--threads", threads, *quantize)


def check(dtype: str, run: Path, files: Files, threads: Sequence[int]) -> None:
    """Raises BenchError unless what is going to be timed computes what it should."""
    tokens = [BOS, *checkpoints.prompt_ids(SHAPE, CHECKED_TOKENS - 1)]
    quantize = QUANTIZE[dtype]
    with Llama(files.float32, files.tokenizer, quantize, 1, isa="scalar") as scalar:
        expected = scalar.logits(tokens)
        story = scalar.generate([BOS], 2 * CHECKED_TOKENS, temperature=0).tokens
    for count in threads:
        with Llama(files.float32, files.tokenizer, quantize, count) as best:
            isa = best.info.isa
            if not np.array_equal(best.logits(tokens).view(np.uint32), expected.view(np.uint32)):
                raise BenchError(f"{dtype}: logits with {isa} on {count} threads differ from the scalar kernels'")
            result = best.generate([BOS], temperature=0)
        if result.tokens[: len(story)] != story:
            raise BenchError(f"{dtype}: {isa} on {count} threads draws other tokens than the scalar kernels")
        told = tell(run, files, dtype, count, SHAPE.context).stdout.decode("utf-8")
        if told != CONTROL.sub("", result.text) + "\n":
            raise BenchError(f"{dtype}: {run} on {count} threads tells another text than llama2py; build both anew")
    computed = checkpoints.read(files.float32)
    if quantize:
        exact = oracle.logits(checkpoints.map_matrices(computed, oracle.quantize_q8_0), tokens, lambda columns: True)
    else:
        exact = oracle.logits(computed, tokens)
    error = np.max(np.abs(expected - exact)) / np.sqrt(np.mean(exact**2))
    if not error <= TOLERANCE[dtype]:
        raise BenchError(
            f"{dtype}: logits are off the oracle by {error:.1e} of their spread; at most {TOLERANCE[dtype]:.0e}"
        )


# Measuring.


def execute(*command: str | int | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    """Runs a program to its end; BenchError with its last line if it fails."""
    arguments = [str(argument) for argument in command]
    try:
        done = subprocess.run(
            arguments, stdin=subprocess.DEVNULL, capture_output=True, env=os.environ | (env or {}), check=False
        )
    except OSError as error:
        raise BenchError(f"cannot run {arguments[0]}: {error.strerror}; `make bench` builds what it needs") from None
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise BenchError(f"`{' '.join(arguments)}` failed ({done.returncode}): {lines[-1] if lines else 'no message'}")
    return done


def figure(pattern: str, done: subprocess.CompletedProcess[bytes]) -> float:
    """The number in what a program wrote to its standard error."""
    text = done.stderr.decode(errors="replace")
    found = re.search(pattern, text)
    if not found:
        raise BenchError(f"`{' '.join(done.args)}` printed no `{pattern}`: {text.strip()[-200:]}")
    return float(found[1])


@dataclass
class Subject:
    """Something that is timed."""

    name: str
    threads: int
    measure: Callable[[], float]  # tokens per second
    footprint: int = 0  # bytes of weights that a token reads
    limit: Callable[[Limits], float] | None = None  # the tokens per second that the machine allows
    rates: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.name}, {self.threads} thread{'s' if self.threads > 1 else ''}"


def decode(dtype: str, threads: int, run: Path, files: Files, weight_bytes: int) -> Subject:
    """./run's figure. The limit is that of reading all weights once a token."""

    def measure() -> float:
        done = tell(run, files, dtype, threads, DECODE_TOKENS)
        drawn = figure(r"decode: (\d+) tokens", done)
        if drawn < DECODE_TOKENS - 1:
            raise BenchError(f"{dtype}: the text ended after {drawn:.0f} tokens, expected {DECODE_TOKENS - 1}")
        return figure(r"decode: \d+ tokens, ([\d.]+) tok/s", done)

    def limit(limits: Limits) -> float:
        return limits.read_bytes / weight_bytes

    return Subject(f"decode {dtype}", threads, measure, weight_bytes, limit)


def prefill(dtype: str, llama: Llama, threads: int) -> Subject:
    """A prompt on a model that is loaded and has run. The limit is that of the matrix products alone."""
    prompt = checkpoints.prompt_ids(SHAPE, PREFILL_TOKENS)

    def measure() -> float:
        return statistics.median(llama.generate(prompt, 1, temperature=0).prompt_tps for _ in range(PREFILL_REPEATS))

    def limit(limits: Limits) -> float:
        layers, classifier = matrix_values()
        peak = limits.int8_ops if QUANTIZE[dtype] else limits.f32_ops
        return peak / (2 * (layers + classifier / PREFILL_TOKENS))

    return Subject(f"prefill {dtype}", threads, measure, llama.info.weight_bytes, limit)


def llama2c(name: str, program: Path, threads: int, model: Path, tokenizer: Path) -> Subject:
    """llama2.c's own figure for the same text."""

    def measure() -> float:
        env = {"OMP_NUM_THREADS": str(threads)}
        done = execute(program, model, "-z", tokenizer, "-t", 0, "-n", DECODE_TOKENS, env=env)
        return figure(r"achieved tok/s: ([\d.]+)", done)

    return Subject(name, threads, measure)


def one_token(run: Path, files: Files) -> float:
    """Seconds that ./run takes in all for one token of the float32 file."""
    start = time.perf_counter()
    execute(run, files.float32, "-z", files.tokenizer, "-t", 0, "-n", 1)
    return time.perf_counter() - start


# The report.


@dataclass
class Report:
    """What the rounds gave."""

    subjects: list[Subject]
    pairs: list[tuple[Subject, Subject]]
    limits: dict[tuple[int, int], list[Limits]]  # by threads and footprint
    one_token: list[float]  # seconds of a whole ./run
    file_bytes: int
    cores: int

    def ratios(self) -> dict[str, list[float]]:
        """Pairs of subjects, divided round by round."""
        return {f"{a} / {b}": [x / y for x, y in zip(a.rates, b.rates, strict=True)] for a, b in self.pairs}

    def share(self, subject: Subject) -> float | None:
        """Its median over what the machine allows; None where that was not asked for."""
        if subject.limit is None:
            return None
        found = self.limits[min(subject.threads, self.cores), subject.footprint]
        return statistics.median(subject.rates) / subject.limit(best(found))

    def table(self) -> str:
        """Markdown."""
        rows = [["what", "threads", "tok/s", "least to greatest", "of the limit"]]
        for s in sorted(self.subjects, key=lambda s: (s.limit is None, s.name, s.threads)):
            share = self.share(s)
            rows.append([s.name, str(s.threads), *spread(s.rates, ",.0f"), f"{share:.0%}" if share else ""])
        ratios = [["ratio, pair by pair", "median", "least to greatest"]]
        ratios += [[name, *spread(values, ".2f")] for name, values in self.ratios().items()]
        limits = [["limit", "threads", "best", "least to greatest"]]
        for threads in dict.fromkeys(threads for threads, _ in self.limits):
            of_threads = {size: found for (n, size), found in self.limits.items() if n == threads}
            every = [one for found in of_threads.values() for one in found]
            kinds = {
                f"read {size / 1e6:.1f} MB, GB/s": [one.read_bytes for one in found]
                for size, found in of_threads.items()
            }
            kinds["float32, GFLOP/s"] = [one.f32_ops for one in every]
            kinds["int8, Gop/s"] = [one.int8_ops for one in every]
            for name, rates in kinds.items():
                giga = [rate / 1e9 for rate in rates]
                limits.append([name, str(threads), f"{max(giga):,.1f}", spread(giga, ",.1f")[1]])
        seconds, between = spread(self.one_token, ".3f")
        return "\n\n".join(
            [
                f"{self.machine()}; {len(self.one_token)} rounds",
                aligned(rows),
                "The limit of decode: all weights read once a token. That of prefill: the matrix products at peak.",
                *([aligned(ratios)] if len(ratios) > 1 else []),
                aligned(limits),
                f"./run, from its start to its end, for one token of a {self.file_bytes / 1e6:.0f} MB file: "
                f"{seconds} s ({between})",
            ]
        )

    def machine(self) -> str:
        """What ran on what."""
        isa = next(iter(self.limits.values()))[0].isa
        return f"llama2py {llama2py.__version__}, {processor()}, {self.cores} cores, {isa}"

    def as_json(self) -> str:
        """Every figure of every round."""
        return json.dumps(
            {
                "machine": self.machine(),
                "timed": [
                    {"what": s.name, "threads": s.threads, "tokens_per_s": s.rates, "share_of_limit": self.share(s)}
                    for s in self.subjects
                ],
                "ratios": self.ratios(),
                "limits": [
                    {"footprint": footprint, **asdict(one)}
                    for (_, footprint), found in self.limits.items()
                    for one in found
                ],
                "one_token_s": self.one_token,
            },
            indent=2,
        )


# The whole.


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    cores = llama2py.cpu_count()
    parser = argparse.ArgumentParser(
        prog="bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )

    def add(name: str, help: str, **options: Any) -> None:
        parser.add_argument(name, help=help, **options)

    count = {"type": int, "metavar": "N"}
    program = {"type": Path, "metavar": "PROGRAM"}
    add("--rounds", "default: %(default)s", default=7, **count)
    add(
        "--threads",
        "all cores are always among them; default: %(default)s",
        default=[1, cores, 4 * cores],
        nargs="+",
        **count,
    )
    add("--json", "print JSON instead of tables", action="store_true")
    add("--run", "default: ./run", default=ROOT / "run", **program)
    add("--llama2c", "llama2.c's run: timed too", **program)
    add("--runq", "llama2.c's runq: timed too", **program)
    add("--tokenizer", "a tokenizer.bin of 32000 entries; default: made up", type=Path, metavar="FILE")
    chosen = parser.parse_args(argv)
    if chosen.rounds < 1 or min(chosen.threads) < 1:
        parser.error("expected at least 1 round and at least 1 thread")
    chosen.threads = sorted({*chosen.threads, cores})
    return chosen


def line_up(options: argparse.Namespace, files: Files, cores: int) -> Report:
    """What is timed, a peer right after what it is compared with."""
    report = Report([], [], {}, [], files.float32.stat().st_size, cores)
    llama2c_peers = {"f32": (options.llama2c, files.float32), "q8_0": (options.runq, files.int8)}

    def add(subject: Subject, *rivals: Subject) -> None:
        report.subjects.extend([subject, *rivals])
        report.pairs.extend((subject, rival) for rival in rivals)

    for dtype, quantize in QUANTIZE.items():
        decoded: dict[int, Subject] = {}
        for n in options.threads:
            llama = Llama(files.float32, files.tokenizer, quantize, n)
            report.limits[min(n, cores), llama.info.weight_bytes] = []
            decoded[n] = decode(dtype, n, options.run, files, llama.info.weight_bytes)
            program, model = llama2c_peers[dtype]
            if n == cores and program:
                add(decoded[n], llama2c(f"llama2.c {program.name}", program, n, model, files.tokenizer))
            else:
                add(decoded[n])
            add(prefill(dtype, llama, n))
        report.pairs += [(decoded[n], decoded[cores]) for n in options.threads if n > cores]
    return report


def measure(options: argparse.Namespace) -> Report:
    """Makes the model, checks, and times in rounds."""
    cores = llama2py.cpu_count()
    files = make_files(FOLDER)
    if options.tokenizer:
        files = replace(files, tokenizer=options.tokenizer)
    for dtype in tqdm(QUANTIZE, desc="checking", unit="type", disable=None):
        check(dtype, options.run, files, options.threads)
    report = line_up(options, files, cores)
    for _ in tqdm(range(options.rounds), desc="timing", unit="round", disable=None):
        for (threads, footprint), found in report.limits.items():
            found.append(measure_limits(footprint, threads))
        for subject in report.subjects:
            subject.rates.append(subject.measure())
        report.one_token.append(one_token(options.run, files))
    return report


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the report; returns the exit status."""
    options = arguments(argv)
    try:
        report = measure(options)
    except (BenchError, llama2py.Llama2Error) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(report.as_json() if options.json else report.table())
    return 0


if __name__ == "__main__":
    sys.exit(main())
