"""llama.cpp, to be set beside the engine: a program that answers requests on stdin, a line of JSON for a line of JSON.

    llama_cpp_peer.py GGUF THREADS extra|plain

It runs in a Python that has llama_cpp, which need not be the one that has llama2py, and calls llama-cpp-python's plain
C functions, so that little Python is timed. extra or plain: whether llama.cpp may keep weights in layouts of its own.

    {"do": "describe"}                            -> {"version": …, "system": …}
    {"do": "seconds", "draws": …, "tokens": …,
     "depth": …, "batch": …}                      -> {"seconds": …}: of a prompt, or of drawing one by one, in so many
                                                     sequences at once
    {"do": "hit", "tokens": …}                    -> {"hit": …, "read": …}: seconds to the first token of a prompt of
                                                     which all but the last token is kept, and of one that is not
    {"do": "logits", "tokens": […]}               -> {"rows": […], "batch": …}: in base64, after each token, computed
                                                     one by one, and after the last one, computed at once
    {"do": "together", "texts": [[…], …]}         -> {"rows": […]}: after the last token of each, computed side by side

Keys and values are float16, and attention is as llama.cpp chooses it: its defaults.
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


class Sequences:
    """Some that are kept at a depth, in a context of their own."""

    def __init__(self, engine: Engine, room: int, count: int = 1) -> None:
        room = -(-max(512, room) // 256) * 256  # llama.cpp rounds so
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = room * count
        params.n_seq_max = count
        params.n_threads = params.n_threads_batch = engine.threads
        self.handle = llama_cpp.llama_init_from_model(engine.model, params)
        if not self.handle:
            sys.exit(f"llama.cpp has no memory for {count} contexts of {room}")
        draws = [random.Random(which + 1) for which in range(count)]
        self.texts = [[draw.randrange(engine.vocab_size) for _ in range(room)] for draw in draws]
        self.vocab_size = engine.vocab_size
        self.sampler = llama_cpp.llama_sampler_init_greedy()
        self.rows_most = int(llama_cpp.llama_n_batch(self.handle))
        self.batch = llama_cpp.llama_batch_init(self.rows_most, 0, 1)
        self.kept = 0

    def truncate(self, length: int) -> None:
        """Forgets all but the first tokens of each."""
        for which in range(len(self.texts)):
            llama_cpp.llama_memory_seq_rm(llama_cpp.llama_get_memory(self.handle), which, length, -1)

    def compute(self, tokens: list[int], first: int, which: int = 0) -> None:
        """Appends tokens to one, of which there are so many already, and waits for what the last one gives."""
        for begin in range(0, len(tokens), self.rows_most):
            piece = tokens[begin : begin + self.rows_most]
            if which == 0:  # as little Python as can be: this is timed
                array = (llama_cpp.llama_token * len(piece))(*piece)
                self._decode(llama_cpp.llama_batch_get_one(array, len(piece)))
                continue
            self._compute([(token, first + begin + i, which, i == len(piece) - 1) for i, token in enumerate(piece)])

    def side_by_side(self, tokens: list[int], at: int) -> None:
        """Appends a token to each, and waits for what they give."""
        self._compute([(token, at, which, True) for which, token in enumerate(tokens)])

    def _compute(self, rows: list[tuple[int, int, int, bool]]) -> None:
        batch = self.batch
        batch.n_tokens = len(rows)
        for i, (token, at, which, wanted) in enumerate(rows):
            batch.token[i], batch.pos[i], batch.logits[i] = token, at, wanted
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, which
        self._decode(batch)

    def _decode(self, batch: Any) -> None:
        if llama_cpp.llama_decode(self.handle, batch) != 0:
            sys.exit("llama_decode failed")
        llama_cpp.llama_synchronize(self.handle)

    def draw(self, row: int = -1) -> int:
        """The likeliest token after a row of what was computed last."""
        return int(llama_cpp.llama_sampler_sample(self.sampler, self.handle, row))

    def logits(self, row: int = -1) -> str:
        """Those after it, in base64."""
        values = llama_cpp.llama_get_logits_ith(self.handle, row)
        return base64.b64encode(ctypes.string_at(values, 4 * self.vocab_size)).decode()

    def go_to(self, depth: int) -> None:
        """Holds so many tokens of each text."""
        self.truncate(min(self.kept, depth))
        if self.kept < depth:
            for which, text in enumerate(self.texts):
                self.compute(text[self.kept : depth], self.kept, which)
        self.kept = depth

    def prompt_seconds(self, tokens: int, depth: int) -> float:
        """How long a prompt takes after so many tokens."""
        self.go_to(depth)
        begin = time.perf_counter()
        self.compute(self.texts[0][depth : depth + tokens], depth)
        return time.perf_counter() - begin

    def draw_seconds(self, tokens: int, depth: int) -> float:
        """How long drawing takes after so many tokens, one by one, side by side."""
        depth = max(1, depth)
        self.go_to(depth - 1)
        self.side_by_side([text[depth - 1] for text in self.texts], depth - 1)
        self.kept = depth
        drawn = [self.draw(which) for which in range(len(self.texts))]
        begin = time.perf_counter()
        for at in range(depth, depth + tokens):
            self.side_by_side(drawn, at)
            drawn = [self.draw(which) for which in range(len(self.texts))]
        return time.perf_counter() - begin

    def first_seconds(self, tokens: int, kept: int) -> float:
        """How long it takes to the first token drawn after a prompt, of which so many tokens are kept."""
        begin = time.perf_counter()
        self.truncate(kept)
        self.compute(self.texts[0][kept:tokens], kept)
        self.draw()
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
        self.sequences: dict[tuple[int, int], Sequences] = {}

    def at(self, depth: int, needs: int, count: int = 1) -> Sequences:
        """Those that are kept at this depth."""
        found = self.sequences.get((depth, count))
        if found is None or len(found.texts[0]) < needs:
            found = self.sequences[depth, count] = Sequences(self, needs, count)
        return found

    def describe(self) -> dict[str, Any]:
        """Which llama.cpp it is."""
        return {"version": llama_cpp.__version__, "system": llama_cpp.llama_print_system_info().decode()}

    def seconds(self, draws: bool, tokens: int, depth: int, batch: int) -> dict[str, Any]:
        """Times one thing once."""
        sequences = self.at(depth, depth + tokens + 1, batch)
        return {"seconds": (sequences.draw_seconds if draws else sequences.prompt_seconds)(tokens, depth)}

    def hit(self, tokens: int) -> dict[str, Any]:
        """Times the first token of a prompt that is kept, and of one that is not."""
        sequences = self.at(-tokens, tokens + 1)
        return {"read": sequences.first_seconds(tokens, 0), "hit": sequences.first_seconds(tokens, tokens - 1)}

    def logits(self, tokens: list[int]) -> dict[str, Any]:
        """What it expects after each."""
        sequence = Sequences(self, len(tokens))
        rows = []
        for i, token in enumerate(tokens):
            sequence.compute([token], i)
            rows.append(sequence.logits())
        sequence.truncate(0)
        sequence.compute(tokens, 0)
        return {"rows": rows, "batch": sequence.logits()}

    def together(self, texts: list[list[int]]) -> dict[str, Any]:
        """What it expects after each of some texts of one length."""
        sequences = Sequences(self, len(texts[0]), len(texts))
        for at in range(len(texts[0])):
            sequences.side_by_side([text[at] for text in texts], at)
        return {"rows": [sequences.logits(which) for which in range(len(texts))]}


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
