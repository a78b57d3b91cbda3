"""llama.cpp as a peer: a process of its own, in a Python that has llama-cpp-python, that is asked for figures."""

from __future__ import annotations

import base64
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.common import BenchError
from llama2py._bench_runs import Task, steady

PROGRAM = Path(__file__).with_name("llama_cpp_peer.py")


def _rows(texts: list[str]) -> npt.NDArray[np.float32]:
    return np.stack([np.frombuffer(base64.b64decode(text), np.float32) for text in texts])


class LlamaCpp:
    """A model that llama.cpp has loaded."""

    def __init__(self, python: Path, path: Path, threads: int) -> None:
        """Builds for a processor's matrix unit crash on some virtual machines that show it; those then do without."""
        self._command = [str(python), str(PROGRAM), str(path), str(threads)]
        self.plain = False
        self._start("extra")
        try:
            self.seconds(Task(False, 2, 0, threads))
        except BenchError:
            self.close()
            self.plain = True
            self._start("plain")
            self.seconds(Task(False, 2, 0, threads))
        described = self._ask("describe")
        self.version = str(described["version"])
        amx = "AMX_INT8 = 1" in described["system"]
        self.name = "llama.cpp" + (" with AMX" if amx else "") + (", plain buffers" if self.plain else "")

    def _start(self, buffers: str) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                [*self._command, buffers], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors
            )
        except OSError as error:
            raise BenchError(f"cannot run {self._command[0]}: {error.strerror}") from None

    def _ask(self, what: str, **details: Any) -> dict[str, Any]:
        assert self._process.stdin and self._process.stdout
        line = b""
        try:
            self._process.stdin.write(json.dumps({"do": what, **details}).encode() + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            pass
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        code = self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines()
        raise BenchError(f"`{' '.join(self._command)}` ended ({code}): {said[-1] if said else 'no message'}")

    def seconds(self, test: Task) -> float:
        """How long a test takes, once."""
        asked = {"draws": test.draws, "tokens": test.tokens, "depth": test.depth, "batch": test.batch}
        return float(self._ask("seconds", **asked)["seconds"])

    def hit(self, tokens: int) -> tuple[float, float]:
        """Seconds to the first token of a prompt that is kept, and of one that is not."""
        answer = self._ask("hit", tokens=tokens)
        return float(answer["hit"]), float(answer["read"])

    def rate(self, test: Task) -> float:
        """Tokens per second."""
        return test.computed / steady(lambda: self.seconds(test))

    def logits(self, tokens: list[int]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Those after each token, computed one by one, and those after the last, computed at once."""
        answer = self._ask("logits", tokens=tokens)
        rows = _rows([*answer["rows"], answer["batch"]])
        return rows[:-1], rows[-1]

    def together(self, texts: list[list[int]]) -> npt.NDArray[np.float32]:
        """Those after the last token of each of some texts of one length, computed side by side."""
        return _rows(self._ask("together", texts=texts)["rows"])

    def close(self) -> None:
        """Ends the process."""
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait()
        self._errors.close()
