"""llama2py's Python interface: what it returns, what it raises, and how it lives with threads, signals and fork."""

from __future__ import annotations

import copy
import errno
import gc
import math
import os
import pickle
import random
import signal
import struct
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from checkpoints import Shape, random_weights, write_tokenizer, write_v0

import llama2py
from llama2py import Chunk, Llama, Tokenizer
from llama2py.stream import StopFilter

DATA = os.environ.get("LLAMA2PY_TEST_DATA")
SMALL = Shape(dim=40, hidden_dim=52, n_layers=2, n_heads=4, n_kv_heads=2, vocab_size=320, context=64)
# Seconds of work in a prefill on one thread of scalar code, so that a signal finds it computing.
SLOW = Shape(dim=96, hidden_dim=256, n_layers=4, n_heads=4, n_kv_heads=4, vocab_size=300, context=8192)


@dataclass(frozen=True)
class Files:
    checkpoint: Path
    tokenizer: Path


def make_files(folder: Path, shape: Shape) -> Files:
    files = Files(folder / "model.bin", folder / "tokenizer.bin")
    write_v0(files.checkpoint, random_weights(shape, seed=1))
    write_tokenizer(files.tokenizer, shape.vocab_size)
    return files


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_files(tmp_path_factory.mktemp("small"), SMALL)


@pytest.fixture(scope="session")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_files(tmp_path_factory.mktemp("slow"), SLOW)


@pytest.fixture(scope="session")
def files(made: Files) -> Files:
    """A trained checkpoint where there is one, else a made-up one."""
    if DATA is None:
        return made
    folder = Path(DATA) / "stories260K"
    return Files(folder / "stories260K.bin", folder / "tok512.bin")


@pytest.fixture
def llama(files: Files) -> Iterator[Llama]:
    with Llama(files.checkpoint) as loaded:
        yield loaded


def slow_llama(slow: Files) -> Llama:
    return Llama(slow.checkpoint, threads=1, isa="scalar")


# Texts.


def test_generate_continues_a_prompt(llama: Llama) -> None:
    result = llama.generate("One day", max_tokens=20, seed=1)
    assert 0 < len(result.tokens) <= 20
    assert result.text == llama.detokenize([*llama.tokenize("One day"), *result.tokens])[len("One day") :]
    assert result.finish_reason == ("length" if len(result.tokens) == 20 else "stop")
    assert result.prompt_tokens == len(llama.tokenize("One day"))
    assert result.seed == 1
    assert result.prompt_tps > 0 and result.decode_tps > 0 and result.time_to_first_token > 0
    assert result.peak_memory > llama.info.weight_bytes
    assert str(result) == result.text


def test_call_and_module_function_are_generate(llama: Llama, files: Files) -> None:
    expected = llama.generate("One", max_tokens=9, seed=3)
    assert llama("One", max_tokens=9, seed=3).tokens == expected.tokens
    once = llama2py.generate(files.checkpoint, "One", max_tokens=9, seed=3, tokenizer=files.tokenizer, threads=1)
    assert (once.text, once.tokens) == (expected.text, expected.tokens)


@pytest.mark.parametrize("echo", [False, True])
@pytest.mark.parametrize("stop", [None, "e", ["th", "q", "."]])
@pytest.mark.parametrize("temperature", [0, 1.0])
def test_streaming_equals_generate(llama: Llama, echo: bool, stop: str | list[str] | None, temperature: float) -> None:
    for seed in range(4):
        expected = llama.generate("One é", 50, temperature, seed=seed, stop=stop, echo=echo)
        stream = llama.stream("One é", 50, temperature, seed=seed, stop=stop, echo=echo)
        chunks = list(stream)
        assert "".join(map(str, chunks)) == expected.text == stream.result.text
        assert [c.token for c in chunks if c.token is not None] == expected.tokens == stream.result.tokens
        assert stream.result.finish_reason == expected.finish_reason
        assert expected.text.startswith("One é") or not echo


def test_stop_strings_cut_the_text(llama: Llama) -> None:
    whole = llama.generate("One", max_tokens=50, seed=5)
    stop = whole.text[len(whole.text) // 2 :][:2]
    cut = llama.generate("One", max_tokens=50, seed=5, stop=stop)
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert cut.finish_reason == "stop"
    assert cut.tokens == whole.tokens[: len(cut.tokens)]


def test_stop_filter_finds_the_first_stop_string_however_the_text_is_split() -> None:
    rng = random.Random(0)
    for _ in range(2000):
        text = "".join(rng.choices("abc", k=12))
        stops = ["".join(rng.choices("abc", k=rng.randint(1, 4))) for _ in range(rng.randint(0, 2))]
        stop_filter = StopFilter(stops)
        got, stopped, at = "", False, 0
        while at < len(text) and not stopped:
            n = rng.randint(0, 3)
            piece, stopped = stop_filter.push(text[at : at + n])
            got, at = got + piece, at + n
        seen = text[:at]
        ends = [seen.find(stop) for stop in stops if stop in seen]
        assert stopped == bool(ends)
        assert got + ("" if stopped else stop_filter.end()) == (seen[: min(ends)] if ends else seen)


def test_token_ids_are_a_prompt(llama: Llama) -> None:
    ids = llama.tokenize("One day")
    expected = llama.generate("One day", max_tokens=8, seed=2)
    for prompt in (ids, tuple(ids), np.array(ids, dtype=np.int64), b"One day"):
        assert llama.generate(prompt, max_tokens=8, seed=2).tokens == expected.tokens  # type: ignore[arg-type]


def test_an_empty_prompt_starts_from_bos(llama: Llama) -> None:
    assert llama.generate(max_tokens=8, seed=2).tokens == llama.generate([1], max_tokens=8, seed=2).tokens
    assert llama.generate(max_tokens=8, seed=2).prompt_tokens == 1


def test_without_a_limit_the_context_is_the_limit(made: Files) -> None:
    with Llama(made.checkpoint, context=16) as llama:
        for seed in range(20):
            result = llama.generate("One", seed=seed)
            room = 16 - result.prompt_tokens + 1
            assert len(result.tokens) == room if result.finish_reason == "length" else len(result.tokens) <= room
            assert llama.generate("One", max_tokens=1000, seed=seed).tokens == result.tokens
        assert len(llama.generate([1] * 16, temperature=0).tokens) <= 1


def test_a_text_ends_where_the_model_ends_it(made: Files) -> None:
    with Llama(made.checkpoint) as llama:
        ends = {llama.generate(temperature=3, top_p=1, seed=seed).finish_reason for seed in range(60)}
        assert ends == {"stop", "length"}
        for seed in range(60):
            assert not {1, 2} & set(llama.generate(temperature=3, top_p=1, seed=seed).tokens)


def test_no_tokens_may_be_asked_for(llama: Llama) -> None:
    result = llama.generate("One", max_tokens=0, echo=True)
    assert (result.text, result.tokens, result.finish_reason) == ("One", [], "length")
    assert result.decode_tps == 0


def test_a_seed_gives_the_same_text_again(llama: Llama) -> None:
    def texts(seed: int | None) -> list[llama2py.Result]:
        return [llama.generate("One", max_tokens=24, seed=seed) for _ in range(2)]

    for seed in (0, 1, 2**64 - 1):
        first, second = texts(seed)
        assert first.tokens == second.tokens
        assert first.seed == seed
    first, second = texts(None)
    assert first.seed != second.seed
    assert llama.generate("One", max_tokens=24, seed=first.seed).tokens == first.tokens
    assert len({tuple(llama.generate("One", max_tokens=24, seed=seed).tokens) for seed in range(8)}) > 1


def test_what_may_change_speed_changes_no_token(made: Files) -> None:
    tokens = set()
    for options in ({}, {"threads": 1}, {"threads": 3}, {"isa": "scalar"}, {"batch": 1}, {"batch": 5}):
        with Llama(made.checkpoint, **options) as llama:
            tokens.add(tuple(llama.generate("One day they lived there", max_tokens=24, seed=7).tokens))
    assert len(tokens) == 1


def test_logits_are_float32_rows(llama: Llama) -> None:
    ids = llama.tokenize("One day, the")
    logits = llama.logits(ids)
    assert logits.shape == (len(ids), llama.info.vocab_size)
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()
    assert (llama.logits(ids[:3]) == logits[:3]).all()
    assert llama.generate(ids, max_tokens=1, temperature=0).tokens in ([], [int(logits[-1].argmax())])


def test_quantising_while_loading(made: Files) -> None:
    with Llama(made.checkpoint) as plain, Llama(made.checkpoint, quantize="q8_0") as small:
        assert (plain.info.dtype, small.info.dtype) == ("f32", "q8_0")
        assert small.info.weight_bytes < plain.info.weight_bytes
        a, b = plain.logits([1, 5, 9]), small.logits([1, 5, 9])
        assert (a != b).any()
        assert np.abs(a - b).max() < 0.1 * np.abs(a).max()


def test_info_and_plan(made: Files) -> None:
    with Llama(made.checkpoint, context=32) as llama:
        info = llama.info
        assert (info.dim, info.hidden_dim, info.n_layers, info.vocab_size) == (40, 52, 2, 320)
        assert (info.n_heads, info.n_kv_heads, info.head_dim, info.context) == (4, 2, 10, 64)
        assert info.shared_classifier is True
        assert info.format == "llama2.c v0"
        assert info.file_bytes == made.checkpoint.stat().st_size
        assert llama.context == 32
    plan = llama2py.plan(made.checkpoint, context=32, pool=32)
    assert plan.weights == info.weight_bytes
    assert plan.fits and plan.total >= plan.weights + plan.kv + plan.scratch
    assert plan.kv * 4096 == llama2py.plan(made.checkpoint).kv * 32
    assert llama2py.plan(made.checkpoint, quantize="q8_0").weights < plan.weights


# Streams.


def test_streams_interleave(llama: Llama) -> None:
    expected = [llama.generate("One", max_tokens=16, seed=seed).tokens for seed in range(4)]
    streams = [llama.stream("One", max_tokens=16, seed=seed) for seed in range(4)]
    taken: list[list[int]] = [[] for _ in streams]
    for _ in range(17):
        for stream, tokens in zip(streams, taken, strict=True):
            chunk = next(stream, None)
            if chunk is not None and chunk.token is not None:
                tokens.append(chunk.token)
        llama.generate("Two", max_tokens=1)
    assert taken == expected


def test_a_stream_can_be_left(llama: Llama) -> None:
    expected = llama.generate("One", max_tokens=20, seed=1)
    with llama.stream("One", max_tokens=20, seed=1) as stream:
        with pytest.raises(llama2py.InvalidArgumentError, match="not ended"):
            _ = stream.result
        first = next(stream)
    assert isinstance(first, Chunk)
    assert stream.result.finish_reason == "cancelled"
    assert stream.result.tokens == expected.tokens[:1]
    assert list(stream) == []
    for _ in range(20):
        next(llama.stream("One", max_tokens=20), None)
    assert llama.generate("One", max_tokens=20, seed=1).tokens == expected.tokens
    state = llama.state
    assert (state.running, state.waiting) == (0, 0) and state.free + state.idle == state.pages


# Tokenizers.


@pytest.mark.parametrize("text", ["", " ", "hello", "One day, é 🦙\n", "a\0b", "ééé " * 50])
def test_text_survives_its_ids(files: Files, text: str) -> None:
    tokenizer = Tokenizer(files.tokenizer)
    ids = tokenizer.encode(text)
    assert ids[0] == tokenizer.bos_id == 1
    assert tokenizer.decode(ids) == text
    assert tokenizer.encode(text, bos=False, eos=True) == [*ids[1:], tokenizer.eos_id]
    assert tokenizer.encode(text.encode()) == ids


def test_text_comes_in_whole_characters(files: Files) -> None:
    tokenizer = Tokenizer(files.tokenizer)
    stream = tokenizer.text_stream()
    pieces = [stream.push(token) for token in tokenizer.encode("a🦙b")]
    assert "".join(pieces) == "a🦙b"
    assert "🦙" in pieces
    assert tokenizer.decode(tokenizer.encode("🦙")[:-1]).endswith("\ufffd")


def test_tokenizers_are_found(files: Files, tmp_path: Path) -> None:
    found = Tokenizer.find(files.checkpoint, Tokenizer(files.tokenizer).vocab_size)
    assert Path(found.path) == files.tokenizer
    with Llama(files.checkpoint, Tokenizer(files.tokenizer)) as llama:
        assert llama.tokenizer.vocab_size == llama.info.vocab_size
    lonely = tmp_path / "lonely.bin"
    lonely.write_bytes(files.checkpoint.read_bytes())
    with Llama(lonely) as llama:
        assert llama.logits([1]).shape[0] == 1
        with pytest.raises(llama2py.TokenizerError):
            llama.tokenize("One")


# Errors.


def test_lone_surrogates_are_a_text_error(llama: Llama) -> None:
    for call in (llama.tokenize, llama.generate, llama.stream):
        with pytest.raises(llama2py.TextError, match=r"character 2 .* U\+D83E") as caught:
            call("ab\ud83e")
        assert caught.value.status == 5
    with pytest.raises(llama2py.TextError):
        llama.tokenize(b"ab\xff")


def test_a_prompt_longer_than_the_context(llama: Llama) -> None:
    n = llama.context + 1
    for call in (llama.generate, llama.stream, llama.logits):
        with pytest.raises(llama2py.ContextOverflowError, match=str(n)) as caught:
            call([1] * n)
        assert (caught.value.required, caught.value.available) == (n, llama.context)


def test_missing_and_damaged_files(made: Files, tmp_path: Path) -> None:
    missing = tmp_path / "missing.bin"
    for call in (Llama, llama2py.plan, Tokenizer):
        with pytest.raises(llama2py.FileMissingError, match=r"missing\.bin") as caught:
            call(missing)
        assert isinstance(caught.value, FileNotFoundError)
        assert caught.value.filename == str(missing)
        assert str(caught.value) == caught.value.message
    with pytest.raises(llama2py.FileError) as folder:
        Llama(tmp_path)
    assert not isinstance(folder.value, FileNotFoundError)
    damaged = tmp_path / "damaged.bin"
    for n in (0, 27, 1000):
        damaged.write_bytes(made.checkpoint.read_bytes()[:n])
        with pytest.raises(llama2py.CheckpointError, match=r"damaged\.bin"):
            Llama(damaged)
    with pytest.raises(llama2py.TokenizerError, match=r"model\.bin"):
        Llama(made.checkpoint, made.checkpoint)
    other = tmp_path / "other.bin"
    write_tokenizer(other, 300)
    for tokenizer in (other, Tokenizer(other)):
        with pytest.raises(llama2py.TokenizerError, match="300"):
            Llama(made.checkpoint, tokenizer)


def test_a_checkpoint_larger_than_memory(tmp_path: Path) -> None:
    path = tmp_path / "huge.bin"
    dim, hidden, layers, vocab, context = 16384, 53248, 126, 1000, 64
    path.write_bytes(struct.pack("<7i", dim, hidden, layers, 128, 128, vocab, context))
    floats = vocab * dim + layers * (2 * dim + 4 * dim * dim + 3 * dim * hidden) + dim + context * dim // 128
    try:
        os.truncate(path, 28 + 4 * floats)
    except OSError:
        pytest.skip("the file system has no room for a sparse file of 2 TB")
    plan = llama2py.plan(path)
    if plan.fits:
        pytest.skip("this machine has 2 TB of memory")
    with pytest.raises(llama2py.InsufficientMemoryError) as caught:
        Llama(path)
    assert isinstance(caught.value, MemoryError)
    assert caught.value.required > caught.value.available > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": -1}, "threads"),
        ({"threads": 2**40}, "threads"),
        ({"context": -1}, "context"),
        ({"batch": -1}, "batch"),
        ({"quantize": "q4"}, "q4"),
        ({"kv": "bf16"}, "kv is .bf16.; expected .f32., .f16., .q8_0., or None"),
    ],
)
def test_bad_options(made: Files, options: dict[str, object], message: str) -> None:
    with pytest.raises(llama2py.InvalidArgumentError, match=message) as caught:
        Llama(made.checkpoint, **options)  # type: ignore[arg-type]
    assert isinstance(caught.value, ValueError)


def test_a_context_that_the_model_was_not_trained_for(made: Files) -> None:
    for call in (Llama, llama2py.plan):
        with pytest.raises(llama2py.ContextOverflowError, match="100") as caught:
            call(made.checkpoint, context=100)
        assert (caught.value.required, caught.value.available) == (100, SMALL.context)


def test_an_unknown_instruction_set(made: Files) -> None:
    with pytest.raises(llama2py.DeviceError, match="avx1024"):
        Llama(made.checkpoint, isa="avx1024")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -1.0}, "temperature"),
        ({"temperature": math.nan}, "temperature"),
        ({"temperature": math.inf}, "temperature"),
        ({"top_p": 1.5}, "top_p"),
        ({"top_p": math.nan}, "top_p"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**64}, "seed"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"stop": ""}, "stop"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [1, 100_000]}, "100000"),
        ({"prompt": [-1]}, "-1"),
        ({"prompt": [2**40]}, "token"),
    ],
)
def test_bad_requests(llama: Llama, options: dict[str, object], message: str) -> None:
    with pytest.raises(llama2py.InvalidArgumentError, match=message):
        llama.generate(**{"prompt": "One", **options})  # type: ignore[call-overload]
    assert llama.generate("One", max_tokens=1, temperature=0).prompt_tokens > 0


def test_logits_that_are_not_numbers(tmp_path: Path) -> None:
    weights = random_weights(SMALL, seed=1)
    path = write_v0(tmp_path / "nan.bin", replace(weights, final_norm=weights.final_norm * np.float32("nan")))
    write_tokenizer(tmp_path / "tokenizer.bin", SMALL.vocab_size)
    with Llama(path) as llama, pytest.raises(llama2py.NumericError):
        llama.generate("One")


def test_errors_can_be_sent_between_processes() -> None:
    error = llama2py.ContextOverflowError("9 tokens, but the context holds 8", 9, 8)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.message, again.required, again.available) == (type(error), error.message, 9, 8)


# Closing, threads, signals, fork.


def test_close(files: Files) -> None:
    llama = Llama(files.checkpoint)
    stream = llama.stream("One", max_tokens=20, seed=1)
    next(stream)
    llama.close()
    llama.close()
    assert llama.closed
    for call in (llama.generate, llama.stream, lambda: llama.logits([1]), stream.__next__):
        with pytest.raises(llama2py.ClosedError, match=r"closed"):
            call()
    stream.close()
    with pytest.raises(llama2py.ClosedError), llama:
        llama.generate()


def test_threads_share_a_llama(llama: Llama) -> None:
    expected = [llama.generate("One", max_tokens=20, seed=seed).tokens for seed in range(6)]
    got: dict[int, list[int]] = {}

    def work(seed: int) -> None:
        if seed % 2:
            got[seed] = llama.generate("One", max_tokens=20, seed=seed).tokens
        else:
            got[seed] = [c.token for c in llama.stream("One", max_tokens=20, seed=seed) if c.token is not None]

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [got[seed] for seed in range(6)] == expected


def test_the_gil_is_free_while_computing_and_close_ends_it(slow: Files) -> None:
    llama = slow_llama(slow)
    began = threading.Event()
    caught: list[BaseException] = []

    def work() -> None:
        began.set()
        try:
            llama.generate([1] * SLOW.context)
        except llama2py.Llama2Error as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    began.wait()
    turns = 0
    while turns < 200 and thread.is_alive():
        time.sleep(0.001)
        turns += 1
    llama.close()
    thread.join()
    assert turns == 200
    assert isinstance(caught[0], llama2py.ClosedError)


def interrupt_soon() -> threading.Timer:
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    return timer


def test_an_interrupt_is_obeyed_in_a_prefill(slow: Files) -> None:
    with slow_llama(slow) as llama:
        expected = llama.generate([1, 5, 9], max_tokens=4, seed=1).tokens
        for call in (llama.logits, llama.generate, lambda prompt: next(llama.stream(prompt), None)):
            timer = interrupt_soon()
            with pytest.raises(KeyboardInterrupt):
                call([1] * SLOW.context)
            timer.join()
            assert llama.generate([1, 5, 9], max_tokens=4, seed=1).tokens == expected


def test_whatever_a_signal_handler_raises_comes_out(slow: Files) -> None:
    class AlarmError(Exception):
        pass

    def handle(number: int, frame: object) -> None:
        seen.append(len(llama.logits([1, 2])))
        raise AlarmError

    seen: list[int] = []
    before = signal.signal(signal.SIGALRM, handle)
    try:
        with slow_llama(slow) as llama:
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            with pytest.raises(AlarmError):
                llama.generate([1] * SLOW.context)
            assert seen == [2]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_signal_handler_may_close(slow: Files) -> None:
    llama = slow_llama(slow)
    before = signal.signal(signal.SIGALRM, lambda number, frame: llama.close())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(llama2py.ClosedError):
            llama.generate([1] * SLOW.context)
    finally:
        signal.signal(signal.SIGALRM, before)


def resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
@pytest.mark.parametrize("closing", ["close", "drop", "cycle"])
def test_memory_is_given_back(slow: Files, closing: str) -> None:
    def once() -> int:
        llama = Llama(slow.checkpoint)
        llama.generate([1], max_tokens=2)
        next(llama.stream([1]), None)
        if closing == "close":
            llama.close()
        elif closing == "cycle":
            llama.cycle = llama  # type: ignore[attr-defined]
        return llama2py.plan(slow.checkpoint).total

    total = once()
    gc.collect()
    before = resident_bytes()
    for _ in range(20):
        once()
        gc.collect()
    assert resident_bytes() - before < 5 * total


def test_fork_after_load(llama: Llama) -> None:
    expected = llama.generate("One", max_tokens=16, seed=1).tokens
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        signal.alarm(60)
        same = False
        try:
            same = llama.generate("One", max_tokens=16, seed=1).tokens == expected
        finally:
            os._exit(0 if same else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert llama.generate("One", max_tokens=16, seed=1).tokens == expected


def test_exit_is_quiet_while_a_thread_computes(slow: Files) -> None:
    code = f"""
import threading, time, llama2py
llama = llama2py.Llama({str(slow.checkpoint)!r}, threads=1, isa="scalar")
kept = llama.stream([1])
next(kept, None)
threading.Thread(target=llama.generate, args=([1] * {SLOW.context},), daemon=True).start()
time.sleep(0.2)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False, cwd=slow.checkpoint.parent)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
def test_handles_are_not_copied(llama: Llama, copied: Callable[[object], object]) -> None:
    with pytest.raises(TypeError, match="make a new one"):
        copied(llama)
    with llama.stream("a", max_tokens=2) as stream, pytest.raises(TypeError, match="make a new one"):
        copied(stream)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_are_text(llama: Llama, kind: Callable[[bytes], bytes]) -> None:
    assert llama.generate(kind(b"One"), 5, temperature=0).tokens == llama.generate("One", 5, temperature=0).tokens


@pytest.mark.parametrize("ids", [{1, 5}, frozenset({1}), {1: 2}])
def test_ids_have_an_order(llama: Llama, ids: object) -> None:
    with pytest.raises(llama2py.InvalidArgumentError, match="no order"):
        llama.logits(ids)  # type: ignore[arg-type]


def test_a_load_tells_how_far_it_is(slow: Files) -> None:
    told: list[tuple[int, int]] = []
    with Llama(slow.checkpoint, context=64, progress=lambda done, total: told.append((done, total))) as llama:
        weights = llama.info.weight_bytes
    assert told[-1] == (weights, weights)
    assert told == sorted(told)
    assert {total for _, total in told} == {weights}


def test_a_load_can_be_interrupted(slow: Files) -> None:
    class EnoughError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise EnoughError

    with pytest.raises(EnoughError):
        Llama(slow.checkpoint, context=64, progress=stop)


def test_fork_while_another_thread_computes(llama: Llama) -> None:
    expected = llama.generate("a", 5, temperature=0).tokens
    enough = threading.Event()

    def compute() -> None:
        while not enough.is_set():
            llama.generate("b", 20, temperature=0)

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        for _ in range(5):
            child = os.fork()
            if child == 0:
                os._exit(0 if llama.generate("a", 5, temperature=0).tokens == expected else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        enough.set()
        thread.join()


def test_closing_a_stream_that_another_thread_reads(slow: Files) -> None:
    with Llama(slow.checkpoint, threads=1, isa="scalar") as llama:
        stream = llama.stream([5] * 4000, max_tokens=4)
        raised: list[BaseException] = []

        def read() -> None:
            try:
                next(stream)
            except BaseException as error:
                raised.append(error)

        thread = threading.Thread(target=read)
        thread.start()
        time.sleep(0.05)
        stream.close()
        thread.join()
        assert [type(error) for error in raised] in ([llama2py.CancelledError], [StopIteration])
        assert stream.result.finish_reason == "cancelled"
        assert llama.generate([5], max_tokens=2).tokens


def test_errors_of_files_carry_errno(tmp_path: Path) -> None:
    for path, number in ((tmp_path / "missing", errno.ENOENT), (tmp_path, errno.EISDIR)):
        with pytest.raises(llama2py.FileError) as caught:
            Llama(path)
        assert (caught.value.errno, caught.value.filename) == (number, str(path))
