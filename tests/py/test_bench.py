"""The machine's limits, `llama2py bench`, and the parts of bench/ that need no other engine."""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from checkpoints import Shape, random_weights, write_v0
from conftest import Cli

import bench.peer
import llama2py
from bench import peers
from bench.common import BenchError
from bench.models import MODELS, Model, make_file
from llama2py import Limits, Llama, _bench, _bench_plot, _bench_runs, _core
from llama2py._bench import Bench
from llama2py._bench_runs import Task

SMALL = Shape(dim=40, hidden_dim=52, n_layers=2, n_heads=4, n_kv_heads=2, vocab_size=320, context=64)
SEPARATE = replace(SMALL, shared=False)
FAKE = Limits(read_bytes=1e9, f32_ops=1e9, int8_ops=4e9, amx_int8_ops=0.0, threads=1, isa="scalar")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_v0(tmp_path_factory.mktemp("bench") / "model.bin", random_weights(SMALL, seed=1)))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits without their second."""
    monkeypatch.setattr(
        _bench, "measure_limits", lambda size, threads, isa: replace(FAKE, threads=threads, isa=isa or "scalar")
    )


# Limits.


def test_limits_are_measured() -> None:
    found = llama2py.measure_limits(2**20, 2)
    assert found.threads == 2 and found.isa in _core.ISAS
    assert min(found.read_bytes, found.f32_ops, found.int8_ops) > 0
    scalar = llama2py.measure_limits(2**20, 1, "scalar")
    assert (scalar.isa, scalar.threads, scalar.amx_int8_ops) == ("scalar", 1, 0)
    if found.isa != "scalar":
        assert scalar.f32_ops < found.f32_ops and scalar.int8_ops < found.int8_ops


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"threads": 257}, llama2py.InvalidArgumentError, "threads is 257"),
        ({"threads": -1}, llama2py.InvalidArgumentError, "threads is -1"),
        ({"threads": 2, "buffer_bytes": 1023}, llama2py.InvalidArgumentError, "at least 1024"),
        ({"buffer_bytes": -1}, llama2py.InvalidArgumentError, "-1 bytes"),
        ({"isa": "sse9"}, llama2py.DeviceError, "sse9"),
        ({"isa": 5}, llama2py.InvalidArgumentError, "isa is 5"),
        ({"buffer_bytes": 2**62}, llama2py.InsufficientMemoryError, "MiB are free"),
    ],
)
def test_limits_refuse(options: dict[str, Any], kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        llama2py.measure_limits(**options)


# The command.


def test_bench_prints_json(call: Cli, checkpoint: str) -> None:
    done = call("bench", checkpoint, "--prompt", "8", "--decode", "4", "--rounds", "2", "--threads", "1", "--json")
    assert (done.code, done.err) == (0, "")
    told = json.loads(done.out)
    assert told.keys() == {"results", "hits", "lookups", "rounds", "model", "kv", "machine", "checked"}
    assert (told["hits"], told["lookups"], told["kv"]) == ([], [], "f32")
    for row, name, tokens, limit in zip(told["results"], ("pp8", "tg4"), (8, 4), ("f32", "read"), strict=True):
        assert (row["test"], row["tokens"], row["depth"], row["threads"], row["limit"]) == (name, tokens, 0, 1, limit)
        assert row["batch"] == 1
        assert len(row["rates"]) == 2 and row["least"] == min(row["rates"]) and row["greatest"] == max(row["rates"])
        assert 0 < row["least"] <= row["tokens_per_second"] <= row["greatest"]
        assert row["share"] == pytest.approx(row["tokens_per_second"] / row["limit_tokens_per_second"])
    (limits,) = told["machine"]["limits"]
    assert limits["threads"] == 1 and limits["isa"] == told["model"]["isa"]
    assert all(limits[f"{name}_per_second"] > 0 for name in ("read_bytes", "f32_ops", "int8_ops"))
    assert told["machine"]["cores"] == llama2py.cpu_count() and told["machine"]["processor"]
    assert told["model"]["parameters"] > 0 and told["rounds"] == 2
    assert "scalar" in told["checked"] or told["model"]["isa"] == "scalar"


@pytest.mark.usefixtures("quick")
def test_bench_takes_lists(call: Cli, checkpoint: str) -> None:
    options = ("--prompt", "4,8", "--decode", "0", "--depth", "0,20", "--threads", "1,2", "--rounds", "1")
    told = json.loads(call("bench", checkpoint, *options, "--json").out)
    names = [(row["test"], row["threads"]) for row in told["results"]]
    assert names == [(test, n) for n in (1, 2) for test in ("pp4", "pp8", "pp4@d20", "pp8@d20")]
    page = call("bench", checkpoint, *options).out
    assert all(f"| {test} " in page for test, _ in names) and "least to greatest" in page and "checked: " in page


@pytest.mark.usefixtures("quick")
def test_bench_on_all_cores(call: Cli, checkpoint: str) -> None:
    options = ("--prompt", "4", "--decode", "0", "--rounds", "1", "--json")
    for threads in ([], ["--threads", "0"]):
        (row,) = json.loads(call("bench", checkpoint, *options, *threads).out)["results"]
        assert row["threads"] == llama2py.cpu_count()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], [64, 63]),
        (["--context", "32"], [32, 31]),
        (["--depth", "60"], [4, 4]),
        (["--prompt", "0", "--depth", "1"], [63]),
    ],
)
def test_bench_caps_what_was_not_asked_for(call: Cli, checkpoint: str, options: list[str], expected: list[int]) -> None:
    told = json.loads(call("bench", checkpoint, *options, "--rounds", "1", "--json").out)
    assert [row["tokens"] for row in told["results"]] == expected


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--prompt", "65"], "pp65 takes a context of 65, not 64"),
        (["--decode", "64"], "tg64 takes a context of 65, not 64"),
        (["--depth", "64"], "--depth is 64, but the context holds 64"),
        (["--depth", "0,65"], "--depth is 65"),
        (["--depth", "60", "--prompt", "8"], "pp8@d60 takes a context of 68"),
        (["--prompt", "0", "--decode", "0"], "nothing to measure"),
        (["--prompt", "-4"], "at least 1 token"),
        (["--prompt", "4,x"], "--prompt: '4,x' is not whole numbers"),
        (["--threads", "-1"], "1 thread"),
        (["--rounds", "0"], "--rounds is 0"),
        (["--isa", "sse9"], "--isa"),
        (["--context", "65"], "65"),
        (["--batch", "0"], "1 sequence"),
        (["--batch", "2,65"], "--batch is 65; expected at most 64"),
        (["--hit", "57"], "hit57 takes a context of 65, not 64"),
        (["--hit", "0"], "--hit is 0"),
        (["--speculate", "64"], "--speculate is 64; expected 1 to 63"),
        (["--speculate", "4", "--decode", "28"], "tg28+4 takes a context of 65, not 64"),
        (["--speculate", "4", "--decode", "1"], "--speculate draws 1 tokens; expected at least 2"),
        (["--plot", "speed.docx"], "speed.docx: a figure cannot be of that kind"),
    ],
)
def test_bench_refuses(call: Cli, checkpoint: str, options: list[str], said: str) -> None:
    assert said in call.fails("bench", checkpoint, *options)


def test_bench_refuses_what_is_no_checkpoint(call: Cli, tmp_path: Path) -> None:
    assert "none.gguf" in call.fails("bench", str(tmp_path / "none.gguf"))


# What is timed.


def test_what_computes_wrongly_is_not_timed(
    call: Cli, checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = random_weights(SMALL, seed=1)
    weights.final_norm[0] = np.nan
    damaged = write_v0(tmp_path / "model.bin", weights)
    assert "not finite" in call.fails("bench", str(damaged))

    right: Callable[..., npt.NDArray[np.float32]] = _core.Session.eval_logits

    def off_by_a_bit(self: _core.Session, tokens: list[int], vocab_size: int) -> npt.NDArray[np.float32]:
        logits = right(self, tokens, vocab_size)
        if self.threads == 2:
            logits[-1, -1] = np.nextafter(logits[-1, -1], np.float32(9))
        return logits

    monkeypatch.setattr(_core.Session, "eval_logits", off_by_a_bit)
    assert "on 2 threads differ from those of" in call.fails("bench", checkpoint, "--threads", "2")


@pytest.mark.usefixtures("quick")
def test_a_large_model_is_checked_without_the_scalar_kernels(checkpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_bench, "SCALAR_WORK", 1)
    made = Bench(checkpoint, [Task(False, 8, 0, 2)])
    assert made.check() == (
        "logits of 8 tokens are finite, and equal those of one thread, one token at a time, bit for bit"
    )
    made.close()


@pytest.mark.usefixtures("quick")
def test_prompts_compute_what_they_say(checkpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call on a session, as (tokens, length before)."""
    calls: list[tuple[int, int]] = []
    lengths: dict[int, int] = {}
    session = _core.Session
    really_truncate, really_eval = session.truncate, session.eval

    def truncate(self: _core.Session, length: int) -> None:
        assert length <= lengths.get(id(self), 0)
        lengths[id(self)] = length
        really_truncate(self, length)

    def evaluate(self: _core.Session, tokens: list[int]) -> None:
        calls.append((len(tokens), lengths.get(id(self), 0)))
        lengths[id(self)] = lengths.get(id(self), 0) + len(tokens)
        really_eval(self, tokens)

    monkeypatch.setattr(session, "truncate", truncate)
    monkeypatch.setattr(session, "eval", evaluate)
    monkeypatch.setattr(_bench_runs, "RUNS_MOST", 1)
    prompt, deep = Task(False, 8, 0, 1), Task(False, 5, 20, 1)
    made = Bench(checkpoint, [prompt, deep])
    for _ in range(2):
        calls.clear()
        assert made.rate(prompt) > 0 and calls[-1] == (8, 0)
        assert made.rate(deep) > 0 and calls[-1] == (5, 20)
    assert (20, 0) not in calls  # the depth is kept from round to round
    made.close()


@dataclass
class Watched:
    """What engines are asked for, and what comes of it."""

    submitted: list[_core.Asked] = field(default_factory=list)
    steps: list[list[_core.Event]] = field(default_factory=list)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    seen = Watched()
    really_submit, really_step = _core.Engine.submit, _core.Engine.step

    def submit(self: _core.Engine, asked: _core.Asked) -> int:
        seen.submitted.append(asked)
        return really_submit(self, asked)

    def step(self: _core.Engine, seconds: float) -> tuple[list[_core.Event], bool]:
        events, busy = really_step(self, 0.0)  # one at a time
        seen.steps.append(events)
        return events, busy

    monkeypatch.setattr(_core.Engine, "submit", submit)
    monkeypatch.setattr(_core.Engine, "step", step)
    monkeypatch.setattr(_bench_runs, "RUNS_MOST", 1)
    return seen


@pytest.mark.parametrize(("depth", "batch"), [(0, 1), (0, 3), (40, 1), (40, 3)])
@pytest.mark.usefixtures("quick")
def test_batches_decode_together(checkpoint: str, watched: Watched, depth: int, batch: int) -> None:
    test = Task(True, 5, depth, 1, batch)
    made = Bench(checkpoint, [test, Task(True, 5, depth, 1, 4)])
    made.check()
    watched.submitted.clear()
    watched.steps.clear()
    assert made.rate(test) > 0
    prompts = [asked.prompt for asked in watched.submitted]
    assert [len(prompt) for prompt in prompts] == [max(1, depth)] * batch
    assert len({tuple(prompt) for prompt in prompts}) == batch
    drawn = [sum(event.token >= 0 for event in events) for events in watched.steps]
    assert drawn == [batch] * 6  # the first of them reads what is left of the prompts, and is not timed
    assert {event.cached for events in watched.steps for event in events} == {max(1, depth) - 1}
    made.close()


@pytest.mark.usefixtures("quick")
def test_the_rate_of_a_batch_is_that_of_all(checkpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_bench_runs.Batches, "seconds", lambda self, test: 0.5)
    tests = [Task(True, 5, 0, 1, batch) for batch in (1, 4)]
    made = Bench(checkpoint, tests)
    assert [made.rate(test) for test in tests] == [10, 40]
    assert [test.name for test in tests] == ["tg5", "tg5x4"] and Task(True, 5, 9, 1, 2).name == "tg5x2@d9"
    made.close()


def test_batches_that_draw_other_tokens_are_not_timed(
    call: Cli, checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = _bench_runs.Batches.together

    def off_by_one(self: _bench_runs.Batches, batch: int, tokens: int) -> list[list[int]]:
        texts = right(self, batch, tokens)
        texts[-1][-1] ^= 1
        return texts

    monkeypatch.setattr(_bench_runs.Batches, "together", off_by_one)
    said = call.fails("bench", checkpoint, "--prompt", "0", "--decode", "6", "--batch", "1,3", "--threads", "2")
    assert "of 3 sequences at depth 0 on 2 threads, one draws" in said and "(sequence 2)" in said


@pytest.mark.usefixtures("quick")
def test_what_does_not_decode_together_is_not_timed(checkpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the sequences is asked for a token less."""
    really_submit = _core.Engine.submit
    made = Bench(checkpoint, [Task(True, 5, 0, 1, 2)])
    made.check()
    asked_for: list[_core.Asked] = []

    def submit(self: _core.Engine, asked: _core.Asked) -> int:
        asked_for.append(asked)
        return really_submit(self, replace(asked, max_tokens=asked.max_tokens - len(asked_for) + 1))

    monkeypatch.setattr(_core.Engine, "submit", submit)
    with pytest.raises(llama2py.Llama2Error, match="did not draw 5 tokens together"):
        made.rate(Task(True, 5, 0, 1, 2))
    made.close()


@pytest.mark.usefixtures("quick")
def test_engines_are_checked_too(call: Cli, checkpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = _bench.engine_logits
    monkeypatch.setattr(_bench, "engine_logits", lambda *args, **options: -right(*args, **options))
    assert "tokens in an engine with" in call.fails("bench", checkpoint)


@pytest.mark.usefixtures("quick")
def test_hits_are_of_prompts_that_were_read(call: Cli, checkpoint: str, watched: Watched) -> None:
    done = call("bench", checkpoint, "--prompt", "0", "--decode", "0", "--hit", "40", "--threads", "1,2", "--json")
    told = json.loads(done.out)
    assert told["results"] == []
    assert [(row["test"], row["threads"]) for row in told["hits"]] == [("hit40", 1), ("hit40", 2)]
    for row in told["hits"]:
        assert len(row["ratios"]) == told["rounds"] == 5
        for name in ("hit", "read", "step"):
            assert 0 < row[f"{name}_least"] <= row[f"{name}_seconds"] <= row[f"{name}_greatest"]
    cached = [events[-1].cached for events in watched.steps if events and events[-1].end]
    assert cached == [0, 0, *[0, 39, 39] * 10]  # logits on 1 and 2 threads; then texts anew, found, and found
    page = call("bench", checkpoint, "--prompt", "0", "--decode", "0", "--hit", "40", "--rounds", "1").out
    assert "| hit40 " in page and "first token, ms" in page


@pytest.mark.usefixtures("quick")
def test_what_is_not_found_is_no_hit(call: Cli, checkpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_bench_runs, "_text", lambda size, n, which=0: list(range(n)))
    said = call.fails("bench", checkpoint, "--prompt", "0", "--decode", "0", "--hit", "40")
    assert "of a prompt of 40 tokens 39 were found, expected 0" in said


@pytest.mark.usefixtures("quick")
def test_guesses_are_set_beside_none(call: Cli, checkpoint: str, watched: Watched) -> None:
    options = ("bench", checkpoint, "--prompt", "0", "--decode", "24", "--speculate", "4", "--rounds", "2")
    told = json.loads(call(*options, "--json").out)
    (row,) = told["lookups"]
    assert (row["test"], row["tokens"], row["ahead"]) == ("tg24+4", 24, 4)
    assert "tg24+4 tells the 24 tokens that are told without guesses" in told["checked"]
    assert 0 <= row["accepted"] <= row["drafted"] and len(row["ratios"]) == 2
    assert row["accepted_share"] == (row["accepted"] / row["drafted"] if row["drafted"] else None)
    quoted = [asked for asked in watched.submitted if len(asked.prompt) > 24]
    assert [asked.speculate for asked in quoted] == [0, 4] * 3
    (prompt,) = {tuple(asked.prompt) for asked in quoted}
    assert len(prompt) == 32 and prompt[25:] == prompt[:7]
    assert "| tg24+4 " in call(*options).out


@pytest.mark.usefixtures("quick")
def test_guesses_that_change_a_text_are_not_timed(call: Cli, checkpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = _bench_runs.Lookup._draw

    def other(self: _bench_runs.Lookup, prompt: list[int], ahead: int) -> tuple[float, list[int]]:
        seconds, drawn = right(self, prompt, ahead)
        return seconds, [*drawn[:-1], drawn[-1] ^ 1] if ahead else drawn

    monkeypatch.setattr(_bench_runs.Lookup, "_draw", other)
    said = call.fails("bench", checkpoint, "--prompt", "0", "--decode", "24", "--speculate", "4")
    assert "another text is told" in said


# What is written.

ALL = ("--prompt", "8", "--decode", "12", "--depth", "0,16", "--batch", "1,2", "--hit", "40", "--speculate", "2")


@pytest.mark.usefixtures("quick")
def test_bench_writes_csv(call: Cli, checkpoint: str, tmp_path: Path) -> None:
    path = tmp_path / "speed.csv"
    options = ("bench", checkpoint, *ALL, "--rounds", "1", "--threads", "1", "--kv", "q8_0", "--json")
    told = json.loads(call(*options, "--csv", str(path)).out)
    assert told["kv"] == "q8_0"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["test"] for row in rows] == [
        *("pp8", "tg12", "tg12x2", "pp8@d16", "tg12@d16", "tg12x2@d16", "hit40", "tg12+2")
    ]
    assert {row["kv"] for row in rows} == {"q8_0"}
    for row, of_json in zip(rows, told["results"], strict=False):
        assert float(row["tokens_per_second"]) == of_json["tokens_per_second"] and row["hit_seconds"] == ""
    assert float(rows[-2]["hit_seconds"]) == told["hits"][0]["hit_seconds"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["speed.csv"]
    missing = str(tmp_path / "none" / "speed.csv")
    said = call.fails("bench", checkpoint, "--prompt", "4", "--decode", "0", "--rounds", "1", "--csv", missing)
    assert f"{missing}: there is no folder {tmp_path / 'none'}; make it, or name another" in said


def test_a_figure_without_matplotlib(call: Cli, checkpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said before anything is timed."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    monkeypatch.setattr(Bench, "round", lambda self: pytest.fail("it was timed"))
    said = call.fails("bench", checkpoint, "--plot", "speed.png")
    assert said.strip() == "llama2py: a figure takes matplotlib; pip install 'llama2py[plot]'"
    with pytest.raises(llama2py.PackageMissingError):
        _bench_plot.check_figure("speed.png")


@pytest.mark.usefixtures("quick")
def test_a_figure(call: Cli, checkpoint: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "speed.svg"
    call("bench", checkpoint, *ALL, "--rounds", "1", "--threads", "1,2", "--plot", str(path))
    drawn = path.read_text(encoding="utf-8")
    for said in (
        "tokens per second (logarithmic)",
        "sequences decoded together",
        "tokens before (depth)",
        "decode of 2, 2 threads",
    ):
        assert f"<!-- {said} -->" in drawn
    assert [entry.name for entry in tmp_path.iterdir()] == ["speed.svg"]


@pytest.mark.parametrize("shape", [SMALL, SEPARATE], ids=["shared", "separate"])
def test_limits_of_tests(shape: Shape, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_bench, "measure_limits", lambda size, threads, isa: replace(FAKE, threads=threads))
    path = write_v0(tmp_path / "model.bin", random_weights(shape, seed=1))
    layer = shape.dim * (2 * shape.q_dim + 2 * shape.kv_dim + 3 * shape.hidden_dim) + 2 * shape.dim
    layers, classifier = shape.n_layers * layer + shape.dim, shape.vocab_size * shape.dim
    prompt, decode, deep = Task(False, 8, 0, 1), Task(True, 4, 0, 1), Task(True, 4, 20, 1)
    two, many = Task(True, 4, 20, 1, 2), Task(True, 4, 0, 1, 64)
    made = Bench(path, [prompt, decode, deep, two, many])
    assert made.limit(prompt) is None
    made.measure_limits()
    # Rows are padded for vectors, so the bytes are those of the plan; here only what is left out is at stake.
    read = made.info.weight_bytes * (layers + classifier) / made.info.parameters
    kv = llama2py.plan(path, pool=shape.context).kv / shape.context
    for test, expected, by in (
        (prompt, 1e9 / (2 * (layers + classifier / 8)), "f32"),
        (decode, 1e9 / (read + kv * 3), "read"),
        (deep, 1e9 / (read + kv * 22), "read"),
        (two, 2e9 / (read + 2 * kv * 22), "read"),
        (many, 1e9 / (2 * (layers + classifier)), "f32"),
    ):
        limit = made.limit(test)
        assert limit is not None and limit[0] == pytest.approx(expected, rel=1e-3) and limit[1] == by, test.name
    made.close()


# bench/.


def test_models_are_made_once(tmp_path: Path) -> None:
    model = Model("tiny", replace(SEPARATE, dim=64, hidden_dim=96), ("f16", "q8_0"), prompt=8, decode=4, deep={})
    path = make_file(model, "q8_0", tmp_path)
    made = path.stat().st_mtime_ns
    assert path == tmp_path / "tiny-q8_0.gguf" and make_file(model, "q8_0", tmp_path).stat().st_mtime_ns == made
    assert llama2py.describe(path).dtype == "q8_0"
    with Llama(make_file(model, "f16", tmp_path)) as llama:
        assert (llama.info.dim, llama.info.vocab_size, llama.info.shared_classifier) == (64, 320, False)
        logits = llama.logits([1, 5, 9])
        assert 0.5 < np.sqrt(np.mean(logits**2)) < 10
        assert llama.detokenize(llama.tokenize("One day")) == "One day"


def test_models_are_those_that_are_named() -> None:
    assert MODELS["llama1B"].shape.dim == 2048 and set(MODELS["llama1B"].types) == {"f16", "q8_0", "q4_0", "q4_k_m"}
    assert {"q8_0", "q4_0"} <= set(MODELS["stories15M"].types)


PEER = """
import json, sys
if sys.argv[3] == "extra" and "crash" in sys.argv[1]:
    sys.exit("illegal instruction")
row = "AACAPwAAAEA="  # 1 and 2 as float32
answers = {
    "describe": {"version": "1", "system": "AMX_INT8 = 1"},
    "seconds": {"seconds": 0.5},
    "hit": {"hit": 0.25, "read": 4},
    "together": {"rows": [row, row, row]},
}
for line in sys.stdin:
    request = json.loads(line)
    if request.get("tokens") == 99:
        sys.exit("no memory")
    print(json.dumps(answers[request["do"]]), flush=True)
"""


def test_a_peer_that_crashes_does_without_its_layouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "peer.py"
    program.write_text(PEER, encoding="utf-8")
    monkeypatch.setattr(bench.peer, "PROGRAM", program)
    for path, name in (("a.gguf", "llama.cpp with AMX"), ("crash.gguf", "llama.cpp with AMX, plain buffers")):
        peer = bench.peer.LlamaCpp(Path(sys.executable), Path(path), 1)
        assert peer.name == name and peer.seconds(Task(True, 4, 0, 1)) == 0.5
        assert peer.rate(Task(True, 4, 0, 1, 8)) == 64 and peer.hit(100) == (0.25, 4)
        assert peer.together([[1], [2], [3]]).tolist() == [[1, 2]] * 3
        with pytest.raises(BenchError, match="no memory"):
            peer.seconds(Task(True, 99, 0, 1))
        peer.close()


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("pp512", Task(False, 512, 0, 1)),
        ("pp64@d2000", Task(False, 64, 2000, 1)),
        ("tg32x8@d1800", Task(True, 32, 1800, 1, 8)),
    ],
)
def test_tests_are_named(name: str, task: Task) -> None:
    assert peers._test(name) == task and task.name == name


@pytest.mark.parametrize("name", ["pp", "tg32*8", "pp8x2", "tg8@1", "8"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=re.escape(repr(name))):
        peers._test(name)


def test_the_report_is_a_table() -> None:
    peer = {"name": "llama.cpp", "version": "1", "tokens_per_second": 50.0, "ratios": [1.5, 2.0, 2.5]}
    row = {
        "model": "tiny",
        "type": "q8_0",
        "test": "tg4",
        "tokens_per_second": 100.0,
        "rates": [90.0, 100.0, 110.0],
        "share": 0.9,
        "limit": "read",
        "peers": [peer],
    }
    rates = dict.fromkeys((f"{name}_per_second" for name in ("read_bytes", "f32_ops", "int8_ops", "amx_int8_ops")), 1e9)
    report = {
        "llama2py": "0",
        "machine": {"processor": "Z80", "cores": 1},
        "rounds": 3,
        "results": [row],
        "hits": [],
        "lookups": [],
        "limits": [{"type": "tiny q8_0", "threads": 1, **rates}],
        "checked": ["all is well"],
    }
    lines = peers.page(report).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| tiny Q8_0")]
    assert cells == [["tiny Q8_0", "tg4", "100.0", "90.0 to 110.0", "90% read", "50.0", "2.00", "1.50 to 2.50"]]
    assert "Z80" in lines[0] and lines[-1] == "all is well"
