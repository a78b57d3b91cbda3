"""What the tests share: the folder of real checkpoints, made-up models on disk, and ./run."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest
from checkpoints import SHAPES, Variant, write_tokenizer

from llama2py import cli

ROOT = Path(__file__).resolve().parents[2]

Run: TypeAlias = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder with real checkpoints, tokenizers and recorded outputs."""
    folder = os.environ.get("LLAMA2PY_TEST_DATA")
    if not folder:
        pytest.skip("LLAMA2PY_TEST_DATA is not set to the folder with real checkpoints")
    return Path(folder)


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Variant], Path]:
    """Writes a made-up model once, with a tokenizer.bin beside it, and gives its path."""
    folder = tmp_path_factory.mktemp("models")

    def write(variant: Variant) -> Path:
        path = folder / variant.stored / "model.bin"
        if not path.exists():
            path.parent.mkdir()
            write_tokenizer(path.parent / "tokenizer.bin", SHAPES[variant.shape].vocab_size)
            variant.write(path)
        return path

    return write


@pytest.fixture(autouse=True, scope="session")
def heed_interrupts() -> None:
    """A shell that starts the tests in the background has SIGINT ignored, and processes inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def program() -> str:
    """The path of ./run, built first, or of the program that LLAMA2PY_TEST_RUN names, such as one with sanitizers."""
    named = os.environ.get("LLAMA2PY_TEST_RUN")
    if named:
        return named
    built = subprocess.run(["make", "run"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, f"`make run` failed:\n{built.stdout}{built.stderr}"
    return str(ROOT / "run")


@pytest.fixture(scope="session")
def run(program: str) -> Run:
    """Runs that program."""

    def execute(
        *arguments: str | bytes | os.PathLike[str], stdout: int | None = None, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if stdout is None else stdout,
            stderr=subprocess.PIPE,
            env=os.environ | (env or {}),
            timeout=120,
            check=False,
        )

    return execute


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


class Cli:
    """Calls main() and reads what it wrote."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self.capture = capture

    def __call__(self, *argv: str) -> Outcome:
        code = cli.main(argv)
        out, err = self.capture.readouterr()
        return Outcome(code, out, err)

    def fails(self, *argv: str) -> str:
        """The one line that it writes."""
        done = self(*argv)
        assert done.code == 1
        assert done.err.startswith("llama2py: ") and done.err.endswith("\n")
        assert done.err.count("\n") == 1
        return done.err


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capfd)
