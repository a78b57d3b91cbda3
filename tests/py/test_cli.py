"""The command line: what it prints, and its one line and exit code when something is wrong."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from checkpoints import Shape, random_weights, write_tokenizer, write_v0
from conftest import Cli, Run

import llama2py
from llama2py import Plan, cli

SMALL = Shape(dim=40, hidden_dim=52, n_layers=2, n_heads=4, n_kv_heads=2, vocab_size=320, context=64)
SLOW = Shape(dim=96, hidden_dim=256, n_layers=4, n_heads=4, n_kv_heads=4, vocab_size=300, context=8192)
SLOW_OPTIONS = ("--threads", "1", "--isa", "scalar")


def make_files(folder: Path, shape: Shape) -> Path:
    write_tokenizer(folder / "tokenizer.bin", shape.vocab_size)
    return write_v0(folder / "model.bin", random_weights(shape, seed=1))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_files(tmp_path_factory.mktemp("small"), SMALL))


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_files(tmp_path_factory.mktemp("slow"), SLOW))


def start(*argv: str, stdout: int = subprocess.PIPE, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", "import sys, llama2py_command; sys.exit(llama2py_command.main())", *argv]
    # Not in the source tree, where the package that is not built would be found first.
    folder = Path(sys.executable).parent
    return subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, cwd=folder, env=os.environ | (env or {}))


# Run.


@pytest.mark.parametrize("number", range(18))
def test_run_prints_what_llama2c_prints(call: Cli, data: Path, number: int) -> None:
    case = json.loads((data / "golden/llama2c/cases.json").read_text("utf-8"))[number]
    # The reference drops the emoji's four bytes.
    expected = case["stdout"].replace("Lily saw a  and", "Lily saw a 🦙 and")
    done = call("run", str(data / case["checkpoint"]), "-z", str(data / case["tokenizer"]), *case["args"])
    assert (done.code, done.out) == (0, expected)


def test_run_ends_with_its_figures(call: Cli, checkpoint: str) -> None:
    done = call("run", checkpoint, "-n", "20", "-s", "3")
    *_, figures, last = done.err.splitlines()
    assert last.startswith("achieved tok/s: ") and float(last.split()[-1]) > 0
    for name in ("prompt", "decode", "first token", "peak memory"):
        assert name in figures


def test_run_is_generate(call: Cli, checkpoint: str) -> None:
    with llama2py.Llama(checkpoint) as llama:
        for prompt in ("", "One", "-n"):
            n = len(llama.tokenize(prompt))
            result = llama.generate(prompt, max_tokens=31 - n, temperature=0.8, top_p=0.95, seed=9, echo=True)
            options = ("-t", "0.8", "-p", "0.95", "-s", "9", "-n", "30", "-i", prompt)
            assert call("run", checkpoint, *options).out == result.text + "\n"
            told = json.loads(call("run", checkpoint, *options, "--json").out)
            assert (told["text"], told["tokens"], told["seed"]) == (result.text, result.tokens, 9)


@pytest.mark.parametrize(
    "options",
    [
        ["-s", "5", "-n", "0"],
        ["-t", "0", "--prompt", "-x", "--steps", "9"],
        ["-s", "5", "-i", "a\x01b\x7f \t\n🦙"],
        ["-s", "5", "--quant", "q8_0"],
        ["-s", "5", "-m", "chat", "-i", "One", "-y", "", "-n", "0"],
        ["-s", "5", "-m", "chat", "-i", "One", "-y", "be nice", "-t", "0.7"],
        ["-m", "chat"],
    ],
)
def test_run_prints_what_the_c_program_prints(
    call: Cli, run: Run, checkpoint: str, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    done = run(checkpoint, *options)
    assert call("run", checkpoint, *options).out.encode() == done.stdout
    assert done.returncode == 0


def test_chat_takes_turns(call: Cli, checkpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def chat(said: bytes, *options: str) -> list[str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(said)))
        done = call("run", checkpoint, "-m", "chat", "-t", "3", "-p", "1", "-n", "0", *options)
        assert done.code == 0
        return done.out.split("User: ")

    asked, *turns = chat(b"be nice\nOne\n", "-s", "1")
    assert asked == "Enter system prompt (optional): "
    assert turns[0].startswith("Assistant: ")
    lengths = {len(chat(b"Lo\n" * 5, "-y", "", "-s", str(seed))) for seed in range(20)}
    assert len(lengths) > 1  # answers end where the model ends them, and the chat where the context is full
    assert chat(b"Lo\n" * 5, "-y", "", "-s", "3") == chat(b"Lo\n" * 5, "-y", "", "-s", "3")


def test_steps_count_the_prompt(call: Cli, checkpoint: str) -> None:
    with llama2py.Llama(checkpoint) as llama:
        prompt = "One day they lived there"
        ids = llama.tokenize(prompt)
        for steps in range(1, len(ids)):
            done = call("run", checkpoint, "-i", prompt, "-n", str(steps))
            assert done.out == llama.detokenize(ids[: steps + 1]) + "\n"
    assert call("run", checkpoint, "-s", "5", "-n", "0").out == call("run", checkpoint, "-s", "5", "-n", "9999").out


def test_negative_seeds_wrap_as_in_c(call: Cli, checkpoint: str) -> None:
    texts = {call("run", checkpoint, "-n", "20", "-s", seed).out for seed in ("-1", str(2**64 - 1))}
    assert len(texts) == 1


def test_options_that_change_no_text(call: Cli, checkpoint: str) -> None:
    options: list[list[str]] = [[], ["--threads", "3"], ["--isa", "scalar"], ["--context", "40"]]
    assert len({call("run", checkpoint, "-n", "30", "-s", "4", *more).out for more in options}) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-n", "-5"], "-5"),
        (["-n", "x"], "'x'"),
        (["-t", "nan"], "nan"),
        (["-t", "-1"], "-1"),
        (["-t", "warm"], "warm"),
        (["-p", "1.5"], "1.5"),
        (["-m", "sing"], "sing"),
        (["-z", "/nowhere/tokenizer.bin"], "/nowhere/tokenizer.bin"),
        (["-z"], "-z"),
        (["--threads", "-1"], "-1"),
        (["--isa", "avx1024"], "avx1024"),
        (["--quant", "q4"], "q4"),
        (["--context", "1000000"], "1000000"),
        (["--nonsense"], "--nonsense"),
        (["-i", "word " * 100], "64"),
        (["-i", "ab\udcff"], "2"),
        (["-m", "chat", "-y", "", "-i", "word " * 100], "64"),
        (["-m", "chat", "--json"], "--json"),
        (["-s", str(2**64)], str(2**64)),
    ],
)
def test_run_says_what_is_wrong(call: Cli, checkpoint: str, options: list[str], message: str) -> None:
    assert message in call.fails("run", checkpoint, *options)


def test_commands_say_what_is_wrong(call: Cli, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.bin")
    empty = tmp_path / "empty.bin"
    empty.touch()
    for command in ("run", "info", "fit"):
        assert missing in call.fails(command, missing)
        assert str(empty) in call.fails(command, str(empty))
    assert "COMMAND" in call.fails()
    assert "sing" in call.fails("sing")


def test_an_unwritable_stdout(checkpoint: str) -> None:
    for command in ("run", "info", "fit"):
        full = os.open("/dev/full", os.O_WRONLY)
        process = start(command, checkpoint, stdout=full)
        os.close(full)
        _, err = process.communicate(timeout=60)
        assert (process.returncode, err.count(b"\n")) == (1, 1)
        assert err.startswith(b"llama2py: cannot write to stdout: ")


def test_a_broken_pipe(slow: str) -> None:
    process = start("run", slow, "-n", "0", "-i", "One", *SLOW_OPTIONS)
    assert process.stdout and process.stderr
    process.stdout.read(3)
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait(timeout=60) == 1
    assert err.startswith(b"llama2py: cannot write to stdout: ") and err.count(b"\n") == 1
    process.stderr.close()


@pytest.mark.parametrize("words", [1, 1500])
def test_an_interrupt_ends_cleanly(slow: str, words: int) -> None:
    """In decode after a short prompt, in prefill after a long one."""
    process = start("run", slow, "-n", "0", "-i", "One " * words, *SLOW_OPTIONS)
    assert process.stdout
    first = process.stdout.read(3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert (first + out).startswith(b"One") and out.endswith(b"\n")
    *_, figures, last = err.decode().splitlines()
    assert "peak memory" in figures and last.startswith("achieved tok/s: ")
    assert b"Traceback" not in err


def test_an_interrupt_while_it_is_imported(tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("import time\nprint('here', flush=True)\ntime.sleep(60)\n", encoding="utf-8")
    process = start("--version", env={"PYTHONPATH": str(tmp_path)})
    assert process.stdout and process.stdout.readline() == b"here\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (-signal.SIGINT, b"", b"")


# Info and fit.


def test_info(call: Cli, checkpoint: str) -> None:
    done = call("info", checkpoint)
    assert done.code == 0
    for shown in ("llama2.c v0", "320", "64 tokens", "f32"):
        assert shown in done.out
    told = json.loads(call("info", checkpoint, "--json").out)
    assert (told["dim"], told["n_layers"], told["context"]) == (SMALL.dim, SMALL.n_layers, SMALL.context)


def test_fit(call: Cli, checkpoint: str) -> None:
    done = call("fit", checkpoint)
    assert done.code == 0
    assert done.out.splitlines()[-1] == "fits"
    whole = json.loads(call("fit", checkpoint, "--json").out)
    less = json.loads(call("fit", checkpoint, "--json", "--quant", "q8_0", "--context", "16", "--batch", "1").out)
    assert whole["fits"] is True
    for part in ("weights", "kv", "scratch", "total"):
        assert 0 < less[part] < whole[part]


@pytest.mark.parametrize(
    ("available", "advice"),
    [
        (700, "use --quant q8_0, which takes"),
        (360, "use --quant q8_0 --context 256, which takes"),
        (30, "more memory is needed"),
    ],
)
def test_fit_says_what_to_do(
    call: Cli, checkpoint: str, monkeypatch: pytest.MonkeyPatch, available: int, advice: str
) -> None:
    def planned(path: str, *, quantize: str | None, context: int | None, **rest: object) -> Plan:
        if context is not None and context > 512:
            raise llama2py.InvalidArgumentError("context")
        weights, kv = 100 if quantize else 400, context or 512
        return Plan(weights, 0, kv, 0, weights + kv, available)

    monkeypatch.setattr(cli, "plan", planned)
    done = call("fit", checkpoint)
    assert done.code == 1
    assert "does not fit: " in done.out and advice in done.out


# Help.


def test_each_command_has_help_with_an_example(capfd: pytest.CaptureFixture[str]) -> None:
    for command in ("run", "info", "fit"):
        with pytest.raises(SystemExit) as left:
            cli.main([command, "--help"])
        assert left.value.code == 0
        out = capfd.readouterr().out
        assert f"example: llama2py {command} " in " ".join(out.split())


def test_version(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capfd.readouterr().out == f"llama2py {llama2py.__version__}\n"
