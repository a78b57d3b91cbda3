"""llama.cpp beside the engine, through llama-cpp-python's plain C calls, so that little Python is timed with it.

    llama_cpp_peer.py write CHECKPOINT TOKENIZER GGUF           a llama2.c checkpoint as GGUF, its matrices Q8_0
    llama_cpp_peer.py decode GGUF THREADS TOKENS extra|plain    prints tokens per second
    llama_cpp_peer.py prefill GGUF THREADS TOKENS extra|plain   the same

extra or plain: whether llama.cpp may keep weights in layouts of its own. It runs in the Python that has llama_cpp and
gguf, which need not be the one that has llama2py.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import gguf  # type: ignore[import-not-found,unused-ignore]
import llama_cpp  # type: ignore[import-not-found,unused-ignore]
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "py"))

import checkpoints

NORMS = {"attention_norm": "attn_norm", "ffn_norm": "ffn_norm"}
MATRICES = {
    "wq": "attn_q",
    "wk": "attn_k",
    "wv": "attn_v",
    "wo": "attn_output",
    "w1": "ffn_gate",
    "w2": "ffn_down",
    "w3": "ffn_up",
}
BOS = 1
REPEATS = 8


def write(checkpoint: str, tokenizer: str, path: str) -> None:
    """The same weights as GGUF: norms float32, matrices Q8_0. llama.cpp pairs rotated values as llama2.c does."""
    weights = checkpoints.read(checkpoint)
    shape = weights.shape
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.dim)
    writer.add_block_count(shape.n_layers)
    writer.add_feed_forward_length(shape.hidden_dim)
    writer.add_head_count(shape.n_heads)
    writer.add_head_count_kv(shape.n_kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_vocab_size(shape.vocab_size)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    tokens = checkpoints.read_tokenizer(tokenizer)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([piece for _, piece in tokens])
    writer.add_token_scores([score for score, _ in tokens])
    control, byte, normal = gguf.TokenType.CONTROL, gguf.TokenType.BYTE, gguf.TokenType.NORMAL
    last_byte = checkpoints.BYTE_TOKENS_END
    kinds = [control] * 3 + [byte] * (last_byte - 3) + [normal] * (len(tokens) - last_byte)
    writer.add_token_types(kinds)
    writer.add_bos_token_id(BOS)
    writer.add_eos_token_id(2)

    def add_matrix(name: str, matrix: checkpoints.Array) -> None:
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(name, gguf.quants.quantize(matrix.astype(np.float32), kind), raw_dtype=kind)

    add_matrix("token_embd.weight", weights.embedding)
    for layer in range(shape.n_layers):
        for ours, theirs in NORMS.items():
            writer.add_tensor(f"blk.{layer}.{theirs}.weight", getattr(weights, ours)[layer].astype(np.float32))
        for ours, theirs in MATRICES.items():
            add_matrix(f"blk.{layer}.{theirs}.weight", getattr(weights, ours)[layer])
    writer.add_tensor("output_norm.weight", weights.final_norm.astype(np.float32))
    if not shape.shared:
        add_matrix("output.weight", weights.classifier)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class Engine:
    """A model and one sequence."""

    def __init__(self, path: str, threads: int, context: int, buffers: str) -> None:
        self.silence = llama_cpp.llama_log_callback(lambda level, text, data: None)
        llama_cpp.llama_log_set(self.silence, None)
        llama_cpp.llama_backend_init()
        model_params = llama_cpp.llama_model_default_params()
        model_params.use_extra_bufts = buffers == "extra"
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_ubatch = context
        params.n_threads = params.n_threads_batch = threads
        self.model = llama_cpp.llama_model_load_from_file(path.encode(), model_params)
        self.context = llama_cpp.llama_init_from_model(self.model, params) if self.model else None
        if not self.context:
            sys.exit(f"{path}: llama.cpp cannot load it")
        self.sampler = llama_cpp.llama_sampler_init_greedy()

    def start_anew(self) -> None:
        """Empties the sequence."""
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), True)

    def draw_after(self, tokens: list[int]) -> int:
        """Computes the tokens and returns the likeliest next one."""
        array = (llama_cpp.llama_token * len(tokens))(*tokens)
        if llama_cpp.llama_decode(self.context, llama_cpp.llama_batch_get_one(array, len(tokens))) != 0:
            sys.exit("llama_decode failed")
        return int(llama_cpp.llama_sampler_sample(self.sampler, self.context, -1))

    def decode(self, n: int) -> float:
        """As ./run counts: n draws from <s>, of which the first is not timed."""
        self.start_anew()
        token = self.draw_after([BOS])
        start = time.perf_counter()
        for _ in range(n - 1):
            token = self.draw_after([token])
        return (n - 1) / (time.perf_counter() - start)

    def prefill(self, n: int) -> float:
        """A prompt of n tokens and the draw after it, warm."""
        rates = []
        for _ in range(1 + REPEATS):
            self.start_anew()
            start = time.perf_counter()
            self.draw_after([BOS, *range(1000, 999 + n)])
            rates.append(n / (time.perf_counter() - start))
        return statistics.median(rates[1:])


def main(argv: list[str]) -> None:
    """One of the three commands."""
    command, *rest = argv
    if command == "write":
        write(*rest)
        return
    path, threads, tokens, buffers = rest
    engine = Engine(path, int(threads), int(tokens) + 1, buffers)
    print(engine.decode(int(tokens)) if command == "decode" else engine.prefill(int(tokens)))


if __name__ == "__main__":
    main(sys.argv[1:])
