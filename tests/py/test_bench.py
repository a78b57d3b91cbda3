"""The machine's limits, `llama2py bench`, and the parts of bench/ that need no other engine."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from checkpoints import Shape, random_weights, write_v0
from conftest import Cli

import bench.peer
import llama2py
from bench.common import BenchError
from bench.models import MODELS, Model, make_file
from bench.peers import page
from llama2py import Limits, Llama, _bench, _core
from llama2py._bench import Bench, Task

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
    assert told.keys() == {"results", "rounds", "model", "machine", "checked"}
    for row, name, tokens, limit in zip(told["results"], ("pp8", "tg4"), (8, 4), ("f32", "read"), strict=True):
        assert (row["test"], row["tokens"], row["depth"], row["threads"], row["limit"]) == (name, tokens, 0, 1, limit)
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
def test_tests_compute_what_they_say(checkpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call on a session, as (what, tokens, length before)."""
    calls: list[tuple[str, int, int]] = []
    lengths: dict[int, int] = {}
    session = _core.Session
    really_truncate, really_eval, really_generate = session.truncate, session.eval, session.generate

    def truncate(self: _core.Session, length: int) -> None:
        assert length <= lengths.get(id(self), 0)
        lengths[id(self)] = length
        really_truncate(self, length)

    def evaluate(self: _core.Session, tokens: list[int]) -> None:
        calls.append(("eval", len(tokens), lengths.get(id(self), 0)))
        lengths[id(self)] = lengths.get(id(self), 0) + len(tokens)
        really_eval(self, tokens)

    def generate(self: _core.Session, sampling: _core.Sampling, stops: list[int], n: int) -> tuple[list[int], int]:
        drawn = really_generate(self, sampling, stops, n)
        assert len(drawn[0]) == n
        calls.append(("generate", n, lengths[id(self)]))
        lengths[id(self)] += n - (n == 1)  # the one that is drawn last is not computed; the one before the draws is
        return drawn

    monkeypatch.setattr(session, "truncate", truncate)
    monkeypatch.setattr(session, "eval", evaluate)
    monkeypatch.setattr(session, "generate", generate)
    monkeypatch.setattr(_bench, "RUNS_MOST", 1)
    prompt, decode, deep = Task(False, 8, 0, 1), Task(True, 5, 0, 1), Task(True, 5, 20, 1)
    made = Bench(checkpoint, [prompt, decode, deep])
    for _ in range(2):
        calls.clear()
        for test, last in ((prompt, ("eval", 8, 0)), (decode, ("generate", 5, 1)), (deep, ("generate", 5, 20))):
            assert made.rate(test) > 0
            assert calls[-1] == last
    assert ("eval", 19, 0) not in calls  # the depth is kept from round to round
    made.close()


@pytest.mark.parametrize("shape", [SMALL, SEPARATE], ids=["shared", "separate"])
def test_limits_of_tests(shape: Shape, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_bench, "measure_limits", lambda size, threads, isa: replace(FAKE, threads=threads))
    path = write_v0(tmp_path / "model.bin", random_weights(shape, seed=1))
    layer = shape.dim * (2 * shape.q_dim + 2 * shape.kv_dim + 3 * shape.hidden_dim) + 2 * shape.dim
    layers, classifier = shape.n_layers * layer + shape.dim, shape.vocab_size * shape.dim
    prompt, decode, deep = Task(False, 8, 0, 1), Task(True, 4, 0, 1), Task(True, 4, 20, 1)
    made = Bench(path, [prompt, decode, deep])
    assert made.limit(prompt) is None
    made.measure_limits()
    assert made.limit(prompt) == pytest.approx(1e9 / (2 * (layers + classifier / 8)))
    # Rows are padded for vectors, so the bytes are those of the plan; here only what is left out is at stake.
    read = made.info.weight_bytes * (layers + classifier) / made.info.parameters
    kv = llama2py.plan(path, pool=0).kv / shape.context
    assert made.limit(decode) == pytest.approx(1e9 / (read + kv * 3), rel=1e-3)
    assert made.limit(deep) == pytest.approx(1e9 / (read + kv * 22), rel=1e-3)
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
answers = {"describe": {"version": "1", "system": "AMX_INT8 = 1"}, "seconds": {"seconds": 0.5}}
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
        with pytest.raises(BenchError, match="no memory"):
            peer.seconds(Task(True, 99, 0, 1))
        peer.close()


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
    lines = page(report).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| tiny Q8_0")]
    assert cells == [["tiny Q8_0", "tg4", "100.0", "90.0 to 110.0", "90% read", "50.0", "2.00", "1.50 to 2.50"]]
    assert "Z80" in lines[0] and lines[-1] == "all is well"
