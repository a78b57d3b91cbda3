"""llama.cpp, to be set beside the engine: a program that answers requests on stdin, a line of JSON for a line of JSON.

    llama_cpp_peer.py GGUF THREADS extra|plain

It runs in a Python that has llama_cpp, which need not be the one that has llama2py, and calls llama-cpp-python's plain
C functions, so that little Python is timed. extra or plain: whether llama.cpp may keep weights in layouts of its own.

    {"do": "describe"}                            -> {"version": …, "system": …}
    {"do": "seconds", "draws": …, "tokens": …,
     "depth": …}                                  -> {"seconds": …}: of a prompt, or of drawing one by one
    {"do": "logits", "tokens": […]}               -> {"rows": […], "batch": …}: in base64, after each token, computed
                                                     one by one, and after the last one, computed at once
"""

from __future__ import annotations

import base64
import ctypes
import json
import os
import random
import sys
import time
from typing import Any

import llama_cpp  # type: ignore[import-not-found,unused-ignore]


class Sequence:
    """A sequence that is kept at some depth."""

    def __init__(self, engine: Engine, room: int) -> None:
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = room
        params.n_threads = params.n_threads_batch = engine.threads
        self.handle = llama_cpp.llama_init_from_model(engine.model, params)
        if not self.handle:
            sys.exit(f"llama.cpp has no memory for a context of {room}")
        draw = random.Random(1)
        self.tokens = [draw.randrange(engine.vocab_size) for _ in range(room)]
        self.vocab_size = engine.vocab_size
        self.sampler = llama_cpp.llama_sampler_init_greedy()
        self.kept = 0

    def truncate(self, length: int) -> None:
        """Forgets all but the first tokens."""
        llama_cpp.llama_memory_seq_rm(llama_cpp.llama_get_memory(self.handle), 0, length, -1)

    def compute(self, tokens: list[int]) -> None:
        """Appends tokens and waits for what they give."""
        array = (llama_cpp.llama_token * len(tokens))(*tokens)
        if llama_cpp.llama_decode(self.handle, llama_cpp.llama_batch_get_one(array, len(tokens))) != 0:
            sys.exit("llama_decode failed")
        llama_cpp.llama_synchronize(self.handle)

    def draw(self) -> int:
        """The likeliest next token."""
        return int(llama_cpp.llama_sampler_sample(self.sampler, self.handle, -1))

    def logits(self) -> str:
        """Those after the last token, in base64."""
        row = llama_cpp.llama_get_logits_ith(self.handle, -1)
        return base64.b64encode(ctypes.string_at(row, 4 * self.vocab_size)).decode()

    def go_to(self, depth: int) -> None:
        """Holds so many of the tokens."""
        self.truncate(min(self.kept, depth))
        if self.kept < depth:
            self.compute(self.tokens[self.kept : depth])
        self.kept = depth

    def seconds(self, draws: bool, tokens: int, depth: int) -> float:
        """How long a prompt takes after so many tokens, or drawing one by one."""
        if not draws:
            self.go_to(depth)
            begin = time.perf_counter()
            self.compute(self.tokens[depth : depth + tokens])
            return time.perf_counter() - begin
        depth = max(1, depth)
        self.go_to(depth - 1)
        self.compute(self.tokens[depth - 1 : depth])
        self.kept = depth
        token = self.draw()
        begin = time.perf_counter()
        for _ in range(tokens):
            self.compute([token])
            token = self.draw()
        return time.perf_counter() - begin


class Engine:
    """A model."""

    def __init__(self, path: str, threads: int, buffers: str) -> None:
        self.path, self.threads = path, threads
        self.silence = llama_cpp.llama_log_callback(lambda level, text, data: None)
        llama_cpp.llama_log_set(self.silence, None)
        llama_cpp.llama_backend_init()
        params = llama_cpp.llama_model_default_params()
        params.use_extra_bufts = buffers == "extra"
        self.model = llama_cpp.llama_model_load_from_file(path.encode(), params)
        if not self.model:
            sys.exit(f"{path}: llama.cpp cannot load it")
        self.vocab_size = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))
        self.sequences: dict[int, Sequence] = {}

    def sequence(self, depth: int, needs: int) -> Sequence:
        """The one that is kept at this depth."""
        found = self.sequences.get(depth)
        if found is None or len(found.tokens) < needs:
            found = self.sequences[depth] = Sequence(self, max(512, needs))
        return found

    def describe(self) -> dict[str, Any]:
        """Which llama.cpp it is."""
        return {"version": llama_cpp.__version__, "system": llama_cpp.llama_print_system_info().decode()}

    def seconds(self, draws: bool, tokens: int, depth: int) -> dict[str, Any]:
        """Times one thing once."""
        return {"seconds": self.sequence(depth, depth + tokens + 1).seconds(draws, tokens, depth)}

    def logits(self, tokens: list[int]) -> dict[str, Any]:
        """What it expects after each."""
        sequence = Sequence(self, 512)
        rows = []
        for token in tokens:
            sequence.compute([token])
            rows.append(sequence.logits())
        sequence.truncate(0)
        sequence.compute(tokens)
        return {"rows": rows, "batch": sequence.logits()}


def main(path: str, threads: str, buffers: str) -> None:
    """Answers until stdin ends. What llama.cpp itself prints goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    engine = Engine(path, int(threads), buffers)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(getattr(engine, request.pop("do"))(**request)), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
